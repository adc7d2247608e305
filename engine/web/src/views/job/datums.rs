//! The datums of a job: failed ones first, then the slowest.

use std::sync::Arc;
use std::time::Duration;

use answers::datum::{
    DatumFilter, DatumOrder, DatumState, DatumView, datums, datums_in_order, datums_in_order_within, datums_of_input,
    last_words,
};
use answers::job::{JobRow, job_id, job_view, live_job};
use engine::EngineError;
use maud::{Markup, html};
use repos::documents::ResultDocument;
use specs::FilePath;
use specs::words::count;

use super::super::Result;
use super::super::charts::Span;
use super::super::work::{ROWS, chosen, field, more};
use super::parts::{bars, cells, heads, legend, span_of};
use super::{Query, address_of};
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{id, link, state};

/// So many datums are always sorted; of more, how long a page waits for it.
const FEW: u64 = 2_000;
const PATIENCE: Duration = Duration::from_millis(250);
/// Rows for which the end of the log is read.
const CAUSES: usize = 25;
/// Most characters of a cause.
const CAUSE_CHARS: usize = 300;
/// Inputs of a datum that are named in its row.
const INPUTS: usize = 4;

const STATES: [(&str, DatumState); 4] = [
    ("failed", DatumState::Failed),
    ("recovered", DatumState::Recovered),
    ("success", DatumState::Success),
    ("cached", DatumState::Cached),
];

/// The datums that the query asks for.
pub(super) fn list(look: &Look<'_>, job: &JobRow, query: &Query) -> Result<Markup> {
    let input = query.input.as_deref().map(str::trim).filter(|input| !input.is_empty());
    let filter = html! {
        form .filter action=(look.link(&address_of(job))) {
            (field("input", "Which read the file or directory", input, "/cam7/0042.png"))
            button { "Find" }
            @if input.is_some() { " " (link(look, &address_of(job), "all datums")) }
        }
    };
    if let Some(input) = input {
        let found = datums_of_input(look.store, Some(look.live), job, &path(input)?, ROWS + 1)?;
        return Ok(html! { h2 { "Datums" } (filter) (found_ones(look, job, found, input)?) });
    }
    let Some(order) = ordered(look, job)? else {
        return Ok(html! { h2 { "Datums" } (filter) (unsorted(look, job)?) });
    };
    let wanted: Option<DatumState> = chosen("state", query.state.as_deref())?;
    let after = query.after.unwrap_or_default();
    let page: Vec<_> = order.of(wanted).skip(after).take(ROWS + 1).collect();
    let views = page.iter().take(ROWS).map(|ranked| ranked.view(look.store, job));
    let views: Vec<DatumView> = views.collect::<Result<_>>()?;
    let next = (page.len() > ROWS)
        .then(|| address_of(job).with_some("state", query.state.as_ref()).with("after", after + ROWS));
    Ok(html! {
        h2 { "Datums" }
        (filter)
        (by_state(look, job, &order, wanted))
        @if views.is_empty() { p { "There is none yet." } } @else { (table(look, job, &views)?) }
        (more(look, next.as_ref(), "More datums"))
    })
}

fn path(text: &str) -> Result<FilePath> {
    let text = text.trim_end_matches('/');
    let text = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    text.parse().map_err(|error: specs::PathError| EngineError::Usage { what: error.to_string(), hint: None })
}

/// The datums in order; `None` if there are so many that a page does not wait for it.
fn ordered(look: &Look<'_>, job: &JobRow) -> Result<Option<Arc<DatumOrder>>> {
    let total = job_view(look.store, job, live_job(Some(look.live), job).as_ref())?.datums_total;
    if total <= FEW {
        return datums_in_order(look.store, Some(look.live), job).map(Some);
    }
    datums_in_order_within(look.store, look.live, job, PATIENCE)
}

/// The first datums by their inputs: they are shown until all are sorted.
fn unsorted(look: &Look<'_>, job: &JobRow) -> Result<Markup> {
    let first = datums(look.store, Some(look.live), job, DatumFilter::default())?.take(ROWS);
    let views: Vec<DatumView> = first.collect::<Result<_>>()?;
    Ok(html! {
        p role="status" { "The datums are being sorted: " (link(look, &address_of(job), "show failed ones first")) " in a moment." }
        (table(look, job, &views)?)
    })
}

/// Links to the datums in each state, with their numbers.
fn by_state(look: &Look<'_>, job: &JobRow, order: &DatumOrder, wanted: Option<DatumState>) -> Markup {
    let entry = |to: Address, words: Markup, is_open: bool| {
        html! { a href=(look.link(&to)) aria-current=[is_open.then_some("page")] { (words) } }
    };
    html! {
        nav .tabs aria-label="Datums by state" {
            (entry(address_of(job), html! { "all " (count(order.of(None).count() as u64)) }, wanted.is_none()))
            @for (word, one) in STATES {
                @let number = order.count(one);
                @if number > 0 || wanted == Some(one) {
                    (entry(address_of(job).with("state", word), html! { (state(word)) " " (count(number as u64)) }, wanted == Some(one)))
                }
            }
        }
    }
}

fn found_ones(look: &Look<'_>, job: &JobRow, mut found: Vec<DatumView>, input: &str) -> Result<Markup> {
    let has_more = found.len() > ROWS;
    found.truncate(ROWS);
    let is_below = |datum: &DatumView| {
        let mut paths = datum.inputs.iter().map(|input| input.path.as_str());
        paths.all(|path| path != input && !input.starts_with(path.trim_end_matches('/')))
    };
    let words = if found.iter().all(is_below) { "have inputs below" } else { "read" };
    Ok(html! {
        @if found.is_empty() { p { "No datum read " code { (input) } "." } } @else {
            p { (if has_more { "The first " } else { "" }) (found.len()) " that " (words) " " code { (input) } "." }
            (table(look, job, &found)?)
        }
    })
}

fn table(look: &Look<'_>, job: &JobRow, views: &[DatumView]) -> Result<Markup> {
    let mut rows = Vec::new();
    for (number, view) in views.iter().enumerate() {
        rows.push((view, cause(look, view, number < CAUSES)?));
    }
    let started = job_view(look.store, job, live_job(Some(look.live), job).as_ref())?.started_at;
    let span = span_of(job, started, views);
    Ok(html! {
        div .wide { table {
            @if let Some(span) = span { caption { (legend(span)) } }
            thead { tr {
                th scope="col" { "Datum" } th scope="col" { "State" } th scope="col" { "Read" } (heads())
                @if span.is_some() { th scope="col" .times-of { "Times" } }
                th scope="col" .number { "Tries" } th scope="col" { "Log" }
            } }
            tbody { @for (view, cause) in &rows { (row(look, job, view, cause, span)) } }
        } }
    })
}

fn row(look: &Look<'_>, job: &JobRow, view: &DatumView, cause: &Markup, span: Option<Span>) -> Markup {
    let times = span.map(|span| bars(span, job, view));
    let (job, datum) = (job_id(&job.pipeline, &job.run), view.id.to_string());
    html! {
        tr {
            th scope="row" { a href=(look.link(&address::datum(&job, &datum))) { (id(&datum)) } }
            td { (state(&view.state.to_string())) (cause) }
            td {
                @for input in view.inputs.iter().take(INPUTS) { div .path { (input.path) } }
                @if view.inputs.len() > INPUTS { div .dim { (view.inputs.len() - INPUTS) " more" } }
                @if view.not_visible > 0 { div .dim { (view.not_visible) " not visible to you" } }
            }
            (cells(view.try_details.last()))
            @if let Some(times) = times { td .times-of { (times) } }
            td .number { (view.tries) }
            td { @if view.log.is_some() { (link(look, &address::log(&job, Some(&datum)), "Log")) } }
        }
    }
}

/// Why a datum failed: exit code or reason, and the last line that it printed.
fn cause(look: &Look<'_>, view: &DatumView, reads: bool) -> Result<Markup> {
    if !matches!(view.state, DatumState::Failed | DatumState::Recovered) {
        return Ok(html! {});
    }
    let mut said = Vec::new();
    if let Some(result) = view.result.filter(|_| reads && view.log.is_some()) {
        let result: ResultDocument = look.store.document(&result)?;
        said = last_words(look.store, &result, 1)?;
    }
    let said = said.pop().map(|line| super::super::log::plain(&line).chars().take(CAUSE_CHARS).collect::<String>());
    Ok(html! {
        " " @match (&view.reason, view.exit_code) {
            (Some(reason), _) => (reason),
            (None, Some(code)) => { "exit " (code) },
            (None, None) => "",
        }
        @if let Some(said) = said { code .said { (said) } }
    })
}
