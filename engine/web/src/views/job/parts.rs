//! What the tries of a datum spent their time on: pull, execute, take-in, in numbers and as bars over the time of the job.
//!
//! Older versions of pv did not measure pull and take-in; a try of theirs is one bar, as long as its command ran.

use answers::datum::{DatumView, TryView};
use answers::job::JobRow;
use maud::{Markup, html};
use repos::Timestamp;

use super::super::charts::{Span, rounded, whole};
use super::super::work::exact;

/// Tries of a datum that are drawn: the last ones.
const TRIES: usize = 5;
/// The least width of a part, so that it can be seen.
const LEAST: f64 = 2.0;
/// The parts in order: the class of each, its word, and what it is.
const PARTS: [(&str, &str, &str); 3] = [
    ("pull", "pull", "its inputs are read, sent and laid out"),
    ("ran", "execute", "its command runs"),
    ("take-in", "take-in", "its output is read, hashed and stored"),
];

/// The tries of a datum that ran in this job, the last ones. Those of another job, from which the cache has a result, have no place in its time.
fn own<'v>(job: &JobRow, view: &'v DatumView) -> &'v [TryView] {
    let is_own = view.made_by.as_ref().is_some_and(|(pipeline, run)| *pipeline == job.pipeline && *run == job.run);
    let tries: &[TryView] = if is_own { &view.try_details } else { &[] };
    &tries[tries.len().saturating_sub(TRIES)..]
}

/// The time from the start of a job, if it is known, to the end of these datums; nothing if none of them ran in it.
pub(super) fn span_of(job: &JobRow, started: Option<Timestamp>, views: &[DatumView]) -> Option<Span> {
    let tries: Vec<&TryView> = views.iter().flat_map(|view| own(job, view)).collect();
    let first = tries.iter().map(|one| later(one.started_at, -one.pull_seconds.unwrap_or_default())).min()?;
    let ends = tries.iter().map(|one| later(one.finished_at, one.take_in_seconds.unwrap_or_default()));
    Some(Span::new(started.map_or(first, |started| started.min(first)), ends))
}

/// A point in time after another; before it, if the seconds are negative.
fn later(at: Timestamp, seconds: f64) -> Timestamp {
    Timestamp::from_micros(at.as_micros() + (seconds * 1e6) as i64)
}

/// The tries of a datum in this job as bars; nothing if there are none.
pub(super) fn bars(span: Span, job: &JobRow, view: &DatumView) -> Markup {
    let tries = own(job, view);
    let words = tries.iter().map(words).collect::<Vec<_>>().join("; then ");
    html! {
        @if !tries.is_empty() {
            svg .times viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label=(words) {
                title { (words) }
                @for one in tries { (bar(span, one)) }
            }
        }
    }
}

/// A try in words.
fn words(one: &TryView) -> String {
    match (one.pull_seconds, one.take_in_seconds) {
        (Some(pull), Some(take_in)) => {
            format!("pull {}, execute {}, take-in {}", exact(pull), exact(one.process_seconds), exact(take_in))
        }
        _ => format!("ran {}", exact(one.process_seconds)),
    }
}

/// A try, each part of it after the one before.
fn bar(span: Span, one: &TryView) -> Markup {
    let (pull, take_in) = (one.pull_seconds.unwrap_or_default(), one.take_in_seconds.unwrap_or_default());
    let mut x = (span.place(one.started_at) - span.width(pull)).max(0.0);
    let mut parts = Vec::new();
    for ((class, ..), seconds) in PARTS.into_iter().zip([pull, one.process_seconds, take_in]) {
        if seconds > 0.0 || class == "ran" {
            let width = span.width(seconds).max(LEAST);
            parts.push(part(class, x, width));
            x += width;
        }
    }
    html! { @for part in &parts { (part) } }
}

/// A part of a bar. They are told apart without colour: a light one, a full one, and one of stripes, which are the dashes of a thick line.
fn part(class: &str, x: f64, width: f64) -> Markup {
    let (x, end, width) = (rounded(x), rounded(x + width), rounded(width));
    html! {
        @if class == "take-in" {
            line .(class) x1=(x) x2=(end) y1="6" y2="6" {}
        } @else {
            rect .(class) x=(x) y="1" width=(width) height="10" {}
        }
    }
}

/// What the bars mean.
pub(super) fn legend(span: Span) -> Markup {
    html! {
        @for (class, word, meaning) in PARTS {
            span .key-part { svg .times viewBox="0 0 24 12" aria-hidden="true" { (part(class, 0.0, 24.0)) } " " (word) } ": " (meaning) ". "
        }
        (whole(span))
    }
}

/// The cells of a try: how long each part took.
pub(in crate::views) fn cells(one: Option<&TryView>) -> Markup {
    let parts = one.map(|one| [one.pull_seconds, Some(one.process_seconds), one.take_in_seconds]).unwrap_or_default();
    html! { @for seconds in parts { td .number { @if let Some(seconds) = seconds { (exact(seconds)) } } } }
}

/// The heads of their columns.
pub(in crate::views) fn heads() -> Markup {
    html! { @for word in ["Pull", "Execute", "Take-in"] { th scope="col" .number { (word) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    /// A try from 1 s to 3 s.
    fn tried(pull_seconds: Option<f64>, take_in_seconds: Option<f64>) -> TryView {
        TryView {
            exit_code: Some(0),
            reason: None,
            log: None,
            started_at: at(1000),
            finished_at: at(3000),
            process_seconds: 2.0,
            pull_seconds,
            take_in_seconds,
            memory_bytes: None,
            worker: None,
        }
    }

    #[test]
    fn a_try_is_three_parts_one_after_the_other() {
        let span = Span::new(at(0), std::iter::once(at(4000)));
        let one = tried(Some(0.5), Some(0.25));
        let shown = bar(span, &one).into_string();
        for part in [
            r#"<rect class="pull" x="125" y="1" width="125" height="10">"#,
            r#"<rect class="ran" x="250" y="1" width="500" height="10">"#,
            r#"<line class="take-in" x1="750" x2="812.5" y1="6" y2="6">"#,
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert_eq!(words(&one), "pull 500 ms, execute 2.000 s, take-in 250 ms");
        let row = cells(Some(&one)).into_string();
        assert_eq!(row.matches("<td").count(), 3);
        assert!(row.contains(">500 ms<") && row.contains(">2.000 s<") && row.contains(">250 ms<"), "{row}");
    }

    #[test]
    fn a_try_of_an_older_version_is_one_bar() {
        let span = Span::new(at(0), std::iter::once(at(4000)));
        let one = tried(None, None);
        let shown = bar(span, &one).into_string();
        assert_eq!((shown.matches("<rect").count(), shown.matches("<line").count()), (1, 0), "{shown}");
        assert!(shown.contains(r#"class="ran" x="250""#), "{shown}");
        assert_eq!(words(&one), "ran 2.000 s");
        assert_eq!(cells(Some(&one)).into_string().matches("<td class=\"number\"></td>").count(), 2);
    }
}
