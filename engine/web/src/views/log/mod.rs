//! What a job or a datum printed: a window of it by line number, found lines, and the end of it while it is printed.
//!
//! A line's number is that in the whole log, so an address with one shows the same for ever, also when what printed it is gone.
//! - `ansi` colours of terminals as classes

mod ansi;

use answers::datum::find_datum;
use answers::job::{JobRow, job_id, live_job};
use answers::logs::{Found, LogSection, LogText, Window};
use answers::named::find_job;
use maud::{Markup, html};
use serde::Deserialize;
use specs::reference::IdPrefix;
use specs::words::count;
use specs::{DatumRef, ErrorKind, JobRef};

use super::Result;
use super::work::job_link;
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{link, size};

pub(super) use ansi::plain;

/// Lines of a window, of a log that is followed, and of a page of found ones.
const LINES: usize = 1000;
const FOLLOWED: usize = 500;
const FOUND: usize = 200;

/// Which job.
#[derive(Debug, Deserialize)]
pub struct OfJob {
    /// `PIPELINE@RUN`, or `PIPELINE` for its newest job.
    job: JobRef,
}

/// Which datum.
#[derive(Debug, Deserialize)]
pub struct OfDatum {
    /// The job.
    job: JobRef,
    /// The datum's id, or a unique beginning of it.
    datum: IdPrefix,
}

/// Which lines.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    /// The first line of the window.
    line: Option<String>,
    /// A text: the lines that contain it.
    q: Option<String>,
    /// The last lines, as they come.
    follow: Option<String>,
    /// Of a job: only what failed datums printed.
    failed: Option<String>,
    /// Of a datum: where the try with this number begins.
    #[serde(rename = "try")]
    of_try: Option<usize>,
}

/// What is looked at.
struct Log<'s> {
    text: LogText<'s>,
    job: JobRow,
    here: Address,
    title: Markup,
    /// Whether more may come.
    is_open: bool,
    /// What the API has of it.
    download: Address,
}

/// What a job printed.
pub fn of_job(look: &Look<'_>, path: OfJob, query: Query) -> Result<View> {
    let job = find_job(look.store, &path.job)?;
    let failed = query.failed.is_some();
    let text = LogText::of_job(look.store, Some(look.live), &job, failed)?;
    let id = job_id(&job.pipeline, &job.run);
    let here = address::log(&id, None);
    let here = if failed { here.with("failed", "") } else { here };
    let title = html! {
        h1 { "Log of " (job.pipeline) "@" (job.run.short(8)) @if failed { ", failed datums" } }
        p { (job_link(look, &job.pipeline, &job.run)) " · "
            @if failed { (link(look, &address::log(&id, None), "all datums")) }
            @else { (link(look, &address::log(&id, None).with("failed", ""), "failed datums only")) } }
    };
    let is_open = job.sealed.is_none() && !failed;
    let download = address::api(["jobs", &id, "logs"]).with_some("failed", failed.then_some(true));
    shown(look, &Log { text, job, here, title, is_open, download }, &query)
}

/// What a datum printed, in all its tries.
pub fn of_datum(look: &Look<'_>, path: OfDatum, query: Query) -> Result<View> {
    let job = find_job(look.store, &path.job)?;
    let id = path.datum.to_string();
    let running = || {
        live_job(Some(look.live), &job).and_then(|live| {
            live.feed.at_work().into_iter().find(|printing| printing.datum().to_string().starts_with(&id))
        })
    };
    let (text, whole, is_open) =
        match find_datum(look.store, Some(look.live), &DatumRef::InJob { job: path.job, id: path.datum }) {
            Ok(found) => (LogText::of_datum(look.store, &found), found.view.id.to_string(), false),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let printing = running().ok_or(error)?;
                let text = LogText::of_printing(look.store, &job, &printing)?;
                (text, printing.datum().to_string(), true)
            }
            Err(error) => return Err(error),
        };
    let job_name = job_id(&job.pipeline, &job.run);
    let here = address::log(&job_name, Some(&whole));
    let title = html! {
        h1 { "Log of datum " (whole.get(..12).unwrap_or(&whole)) }
        p { (link(look, &address::datum(&job_name, &whole), "Datum")) " of " (job_link(look, &job.pipeline, &job.run)) }
    };
    let download = address::api(["jobs", &job_name, "datums", &whole, "log"]);
    shown(look, &Log { text, job, here, title, is_open, download }, &query)
}

fn shown(look: &Look<'_>, log: &Log<'_>, query: &Query) -> Result<View> {
    let view = View::new(format!("Log of {}@{}", log.job.pipeline, log.job.run.short(8)), "runs");
    let word = query.q.as_deref().filter(|word| !word.is_empty());
    let is_followed = query.follow.is_some();
    let head = html! { (log.title) (tools(look, log, word, is_followed)?) };
    let lines = if let Some(word) = word {
        let from = number(query).unwrap_or(1);
        found(look, log, word, from, &log.text.search(word, from, FOUND)?)
    } else if is_followed {
        followed(look, log, &log.text.tail(FOLLOWED)?)
    } else if query.line.as_deref() == Some("end") {
        window(look, log, &log.text.tail(LINES)?)
    } else {
        let from = match query.of_try {
            Some(number) => log.text.line_of_try(number)?,
            None => number(query).unwrap_or(1).max(1),
        };
        window(look, log, &log.text.window(from, LINES)?)
    };
    Ok(view.fixed("head", head).fixed("lines", lines))
}

fn number(query: &Query) -> Option<u64> {
    query.line.as_deref()?.parse().ok()
}

/// Search, the first error, following, downloading.
fn tools(look: &Look<'_>, log: &Log<'_>, word: Option<&str>, is_followed: bool) -> Result<Markup> {
    let error = log.text.first_error()?;
    Ok(html! {
        form .filter action=(look.link(&log.here)) {
            @if log.here.under("").contains("failed=") { input type="hidden" name="failed" value=""; }
            label { "Lines with" input type="search" name="q" value=(word.unwrap_or_default()) spellcheck="false" autocomplete="off"; }
            button { "Search" }
        }
        p .log-tools {
            @if let Some(line) = error { (link(look, &to_line(&log.here, line), format_args!("First error, line {}", count(line)))) " · " }
            @if log.is_open && !is_followed { (link(look, &log.here.clone().with("follow", ""), "Follow")) " · " }
            @if is_followed || word.is_some() { (link(look, &log.here, "From the start")) " · " }
            a href=(look.link(&log.download)) download { "Download" }
        }
    })
}

/// A window in which a line stands with some before it.
fn to_line(here: &Address, line: u64) -> Address {
    let first = (line.saturating_sub(1) / LINES as u64) * LINES as u64 + 1;
    let here = if first > 1 { here.clone().with("line", first) } else { here.clone() };
    here.at(&format!("L{line}"))
}

fn window(look: &Look<'_>, log: &Log<'_>, window: &Window) -> Markup {
    let lines: usize = window.sections.iter().map(|section| section.lines.len()).sum();
    let pages = |label: &str| pages(look, log, window, lines as u64, label);
    html! {
        (pages("Parts of the log"))
        @if lines == 0 {
            @match window.first {
                Some(first) if first > 1 => p { "There is no such line." },
                _ => (nothing(log)),
            }
        } @else { (text(look, log, window)) (pages("Parts of the log, again")) }
    }
}

fn nothing(log: &Log<'_>) -> Markup {
    html! { p { "It printed nothing" @if log.is_open { " yet" } "." } }
}

/// Links to what comes before and after a window.
fn pages(look: &Look<'_>, log: &Log<'_>, window: &Window, lines: u64, label: &str) -> Markup {
    let Some(first) = window.first.filter(|first| lines > 0 || *first > 1) else { return html! {} };
    let last = first + lines.saturating_sub(1);
    let at = |line: u64| if line <= 1 { log.here.clone() } else { log.here.clone().with("line", line) };
    html! {
        nav .pages aria-label=(label) {
            span {
                "Lines " (count(first)) " to " (count(last))
                @match window.total {
                    Some(total) => { " of " (count(total)) },
                    None => { " of more than " (count(window.counted)) },
                }
            }
            @if first > 1 {
                " " a href=(look.link(&log.here)) { "first" }
                " " a href=(look.link(&at(first.saturating_sub(LINES as u64)))) rel="prev" { "previous" }
            }
            @if window.has_more && lines > 0 {
                " " a href=(look.link(&at(last + 1))) rel="next" { "next" }
                " " a href=(look.link(&log.here.clone().with("line", "end"))) { "last" }
            }
            @if window.has_more && lines == 0 { " " a href={ (look.base) (look.here) } { "Keep counting" } }
        }
    }
}

fn followed(look: &Look<'_>, log: &Log<'_>, window: &Window) -> Markup {
    html! {
        // While this is here, the script asks again for what is new.
        div #log-follow data-follow[log.is_open] {
            @if window.sections.is_empty() { (nothing(log)) } @else { (text(look, log, window)) }
        }
        p #log-state role="status" { @if log.is_open { "It is being printed. Reload for what is new." } @else { "It has ended." } }
        button #log-again type="button" hidden { "Follow again" }
    }
}

fn text(look: &Look<'_>, log: &Log<'_>, window: &Window) -> Markup {
    let mut next = window.first;
    let job = job_id(&log.job.pipeline, &log.job.run);
    html! {
        div .log {
            @for section in &window.sections {
                (headline(look, &job, section))
                @for (line, cut) in &section.lines {
                    @let number = next;
                    (row(number, line, *cut))
                    @let () = { next = next.map(|next| next + 1) };
                }
            }
        }
    }
}

/// Whose lines follow.
fn headline(look: &Look<'_>, job: &str, section: &LogSection) -> Markup {
    let datum = section.datum.to_string();
    html! {
        div .log-of {
            (link(look, &address::datum(job, &datum), section.datum.short(8))) " " (section.title)
            @if section.try_number > 1 { ", try " (section.try_number) }
            @match &section.end {
                Some(end) => @match (&end.reason, end.exit_code) {
                    (Some(reason), _) => { ", " (reason) },
                    (None, Some(code)) => { ", exit " (code) },
                    (None, None) => "",
                },
                None => ", running",
            }
            @if !section.is_start { ", continued" }
        }
    }
}

fn row(number: Option<u64>, line: &str, cut: usize) -> Markup {
    html! {
        div id=[number.map(|number| format!("L{number}"))] {
            @if let Some(number) = number { a href={ "#L" (number) } data-n=(number) aria-label={ "line " (number) } {} }
            code { (coloured(line)) }
            @if cut > 0 { " " span .dim { "… " (size(cut as u64)) " more" } }
        }
    }
}

fn coloured(line: &str) -> Markup {
    html! {
        @for (style, text) in ansi::spans(line) {
            @match style { Some(style) => span .{ "ansi-" (style) } { (text) }, None => (text) }
        }
    }
}

fn found(look: &Look<'_>, log: &Log<'_>, word: &str, from: u64, found: &Found) -> Markup {
    let next = found.next.map(|line| log.here.clone().with("q", word).with("line", line));
    html! {
        p {
            @if from > 1 { "From line " (count(from)) " on: " }
            @match (found.lines.len(), found.next) {
                (0, None) => { "no line has " code { (word) } "." },
                (0, Some(next)) => { "no line up to " (count(next - 1)) " has " code { (word) } "." },
                (lines, None) => { (lines) " with " code { (word) } "." },
                (lines, Some(next)) => { (lines) " with " code { (word) } " before line " (count(next)) "." },
            }
        }
        div .log {
            @for line in &found.lines {
                div {
                    a href=(look.link(&to_line(&log.here, line.number))) data-n=(line.number) aria-label={ "line " (line.number) } {}
                    code { (marked(&plain(&line.text), word)) }
                }
            }
        }
        @if let Some(next) = &next { p { a href=(look.link(next)) rel="next" { "Continue searching" } } }
    }
}

/// A line in which a word is marked, in whatever case of ASCII.
fn marked(line: &str, word: &str) -> Markup {
    let lower = line.to_ascii_lowercase();
    let word = word.to_ascii_lowercase();
    let mut at = 0;
    let mut pieces = Vec::new();
    while let Some(found) = lower[at..].find(&word) {
        pieces.push((&line[at..at + found], &line[at + found..at + found + word.len()]));
        at += found + word.len();
    }
    html! { @for (before, word) in pieces { (before) mark { (word) } } (line[at..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_where_they_stand() {
        let html = marked("An <b>ERROR</b> and an error: é", "error").into_string();
        assert_eq!(html, "An &lt;b&gt;<mark>ERROR</mark>&lt;/b&gt; and an <mark>error</mark>: é");
    }

    #[test]
    fn a_line_is_shown_as_text() {
        let html = row(Some(7), "<script>alert(1)</script>\u{1b}[31m!\u{1b}[0m", 0).into_string();
        assert_eq!(
            html,
            "<div id=\"L7\"><a href=\"#L7\" data-n=\"7\" aria-label=\"line 7\"></a>\
             <code>&lt;script&gt;alert(1)&lt;/script&gt;<span class=\"ansi-red\">!</span></code></div>"
        );
    }
}
