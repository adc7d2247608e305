//! One run: its cause, what it moved, all its jobs from the start, and when each ran.
//!
//! - `stop` the page before jobs of it are stopped

mod stop;

use answers::job::{JobRow, JobState, JobView, job_id, job_view_among, live_job, may_be_retried};
use answers::run::{CauseKind, Causes, RunView, cause_words, find_run};
use engine::EngineError;
use maud::{Markup, html};
use repos::access::Role;
use serde::Deserialize;
use specs::words::count;
use specs::{PipelineName, RunRef};

use super::charts::{self, Span};
use super::runs::{jobs_by_state, run_word};
use super::work::{
    ROWS, branch_link, changed_link, choice, chosen, commit_link, datums_of, job_link, more, run_link, state_of, took,
};
use super::{Result, work};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{link, state, time};

/// Which run.
#[derive(Debug, Deserialize)]
pub struct Path {
    /// Its id, or a unique beginning of it.
    run: String,
}

/// Which jobs of it are shown.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    /// Those in this state.
    state: Option<String>,
    /// Those after this one, in the order of the data.
    after: Option<PipelineName>,
    /// The page before a change: `stop`.
    change: Option<String>,
}

const STATES: [&str; 7] = ["waiting", "running", "finishing", "success", "failure", "killed", "unrunnable"];

/// One run.
pub fn run(look: &Look<'_>, path: Path, query: Query) -> Result<View> {
    let wrong = |error: specs::ReferenceError| EngineError::Usage { what: error.to_string(), hint: error.hint() };
    let of: RunRef = format!("@{}", path.run.trim_start_matches('@')).parse().map_err(wrong)?;
    let run = find_run(look.store, &of, Some(look.live))?;
    let view = View::new(format!("Run @{}", run.id.short(8)), "runs");
    match query.change.as_deref() {
        // What is counted does not change before it is confirmed.
        Some("stop") => return Ok(view.fixed("change", stop::page(look, &run, query.state.as_deref())?)),
        Some(other) => {
            let what = format!("`{other}` is not a change of a run");
            return Err(EngineError::Usage { what, hint: Some("stop".to_owned()) });
        }
        None => {}
    }
    let id = run.id.to_string();
    let jobs = jobs(look, &run, &query)?;
    Ok(view.live("run", [id.clone()], head(look, &run)).live("jobs", [id], jobs))
}

fn address_of(run: &RunView) -> Address {
    address::run(&run.id.to_string())
}

fn head(look: &Look<'_>, run: &RunView) -> Markup {
    let cause = &run.cause;
    html! {
        h1 { "Run @" (run.id.short(8)) " " (state(run_word(run))) }
        dl .fields {
            dt { "Cause" } dd { (cause_words(cause.kind, &cause.refs)) (before(look, run)) }
            @if !cause.message.is_empty() { dt { "Message" } dd { (cause.message) } }
            dt { "Who" } dd { (cause.who())
                @if cause.who() != cause.committer { " " span .dim { "by " (cause.committer) } } }
            dt { "Started" } dd { (time(look, run.created_at)) }
            @if let Some(ended) = run.finished_at {
                dt { "Ended" } dd { (time(look, ended)) ", after " (took(Some(ended.seconds_since(run.created_at)))) }
            }
            dt { "Jobs" } dd { (jobs_by_state(run)) }
            @if run.is_try() { dt { "Only a try" } dd { "nothing of it is on a branch" } }
            @if !run.moves.is_empty() {
                dt { "Moved" }
                dd { @for moved in run.moves.iter().take(ROWS) {
                    div { (branch_link(look, &moved.repo, &moved.branch))
                        @if let Some(to) = &moved.to { " to " (commit_link(look, &moved.repo, to)) } @else { " to nothing" }
                        @if let (Some(from), Some(to)) = (&moved.from, &moved.to) {
                            " · " (changed_link(look, &moved.repo, from, to))
                        } }
                }
                @if run.moves.len() > ROWS { div .dim { "and " (count((run.moves.len() - ROWS) as u64)) " more" } } }
            }
            dt { "Id" } dd { code { (run.id) } }
        }
        @if run.finished_at.is_none() && !run.jobs.is_empty() && look.may(Role::Writer) {
            p .changes { (link(look, &address_of(run).with("change", "stop"), "Stop jobs …")) }
        }
    }
}

/// The run that a rerun or retry repeats.
fn before(look: &Look<'_>, run: &RunView) -> Markup {
    let is_again = matches!(run.cause.kind, CauseKind::Rerun | CauseKind::Retry);
    let mut named = run.cause.refs.iter().filter_map(|text| text.strip_prefix('@')?.parse().ok());
    html! { @if let Some(before) = named.next().filter(|_| is_again) { " · after " (run_link(look, &before)) } }
}

fn jobs(look: &Look<'_>, run: &RunView, query: &Query) -> Result<Markup> {
    let wanted: Option<JobState> = chosen("state", query.state.as_deref())?;
    let row = look.store.run(&run.id)?;
    let mut is_before = query.after.is_some();
    let mut shown: Vec<(JobRow, JobView)> = Vec::new();
    let (mut next, mut causes) = (None, Causes::default());
    for job in look.store.jobs_of_run(row.order)? {
        if is_before {
            is_before = query.after.as_ref() != Some(&job.pipeline);
            continue;
        }
        let view = job_view_among(look.store, &job, live_job(Some(look.live), &job).as_ref(), &mut causes)?;
        if wanted.is_some_and(|wanted| wanted != view.state) {
            continue;
        }
        if let (ROWS, Some((last, _))) = (shown.len(), shown.last()) {
            let here = address_of(run).with_some("state", query.state.as_ref());
            next = Some(here.with("after", &last.pipeline));
            break;
        }
        shown.push((job, view));
    }
    let span = Span::new(run.created_at, shown.iter().map(|(_, view)| end_of(look, view)));
    Ok(html! {
        h2 { "Jobs" }
        form .filter action=(look.link(&address_of(run))) {
            (choice("state", "State", &STATES, query.state.as_deref())) button { "Show" }
        }
        @if shown.is_empty() {
            p { @if wanted.is_some() { "No job is in this state." } @else { "This change made no pipeline run." } }
        } @else {
            div .wide { table {
                caption { (charts::caption(span)) }
                thead { tr {
                    th scope="col" { "Job" } th scope="col" { "State" } th scope="col" { "Datums" }
                    th scope="col" .number { "Took" } th scope="col" .times-of { "Times" } th scope="col" { "Output" }
                } }
                tbody { @for (row, view) in &shown { (job_row(look, span, row, view)) } }
            } }
        }
        (more(look, next.as_ref(), "More jobs"))
    })
}

fn end_of(look: &Look<'_>, view: &JobView) -> repos::Timestamp {
    view.finished_at.unwrap_or(look.now)
}

fn job_row(look: &Look<'_>, span: Span, row: &JobRow, view: &JobView) -> Markup {
    let end = end_of(look, view);
    let words = charts::times_in_words(view.created_at, view.started_at, view.finished_at, look.now);
    html! {
        tr id={ "job-" (row.pipeline) } {
            th scope="row" { (job_link(look, &row.pipeline, &row.run)) " " span .dim { "v" (row.version) } }
            td { (state_of(look, view)) (retry(look, row, view)) }
            td { (datums_of(view)) (progress(view)) }
            td .number { (took(view.duration_seconds)) }
            td .times-of { (charts::times(span, view.created_at, (view.started_at, end), &words)) }
            td { @if let Some(commit) = &row.commit { (commit_link(look, &row.pipeline.output_repo(), commit)) } }
        }
    }
}

/// The way to retry a job whose datums failed, for those who may.
fn retry(look: &Look<'_>, row: &JobRow, view: &JobView) -> Markup {
    let can_retry = view.datums_failed > 0 && look.may(Role::Writer) && may_be_retried(look.store, row);
    let to = address::job(&job_id(&row.pipeline, &row.run)).with("change", "retry");
    html! { @if can_retry { " " (link(look, &to, "Retry …")) } }
}

/// How far a running job has come, as a bar.
pub(super) fn progress(view: &JobView) -> Markup {
    let done = view.datums_processed + view.datums_cached + view.datums_failed + view.datums_recovered;
    let is_running = view.finished_at.is_none() && view.datums_total > 0 && view.state != work::WAITING;
    html! {
        @if is_running {
            " " progress max=(view.datums_total) value=(done) aria-label="Datums done" { (count(done)) }
        }
    }
}
