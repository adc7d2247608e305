//! Pieces that the views of pipelines, runs and jobs share.

use answers::explain::FieldChange;
use answers::job::{JobState, JobView, job_id};
use answers::trace::Brought;
use engine::EngineError;
use maud::{Markup, html};
use repos::JobRow;
use repos::documents::ExecutorStamp;
use serde::de::DeserializeOwned;
use specs::words::{count, duration};
use specs::{BranchName, CommitId, PipelineName, RepoName, RunId};

use super::Result;
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{link, short_link, state, time};

/// Rows of a page.
pub(super) const ROWS: usize = 100;

/// What one of a list of words, or a name, means; nothing for an empty text, which a form sends for what was not filled in.
pub(super) fn chosen<T: DeserializeOwned>(name: &str, text: Option<&str>) -> Result<Option<T>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = |error: serde_json::Error| EngineError::Usage {
        what: format!("`{text}` is not a possible `{name}`: {error}"),
        hint: None,
    };
    serde_json::from_value(text.into()).map(Some).map_err(wrong)
}

/// A run, by the first digits of its id.
pub(super) fn run_link(look: &Look<'_>, run: &RunId) -> Markup {
    short_link(look, &address::run(&run.to_string()), format!("@{}", run.short(8)))
}

/// A job, by its pipeline and the first digits of its run's id.
pub(super) fn job_link(look: &Look<'_>, pipeline: &PipelineName, run: &RunId) -> Markup {
    short_link(look, &address::job(&job_id(pipeline, run)), format!("{pipeline}@{}", run.short(8)))
}

/// Where something ran: the worker, if there is one, else the machine.
pub(super) fn ran_on(stamp: &ExecutorStamp, worker: Option<&str>) -> Markup {
    html! { (worker.unwrap_or(&stamp.host)) " " span .dim { (stamp.kind) " " (stamp.version) } }
}

/// The run of a job, as an element follows it: its pipeline and its run.
pub(super) fn follows(job: &JobRow) -> [String; 2] {
    [job.pipeline.to_string(), job.run.to_string()]
}

/// A commit of a repository.
pub(super) fn commit_link(look: &Look<'_>, repo: &RepoName, commit: &CommitId) -> Markup {
    short_link(look, &address::commit(repo, commit), format!("{repo}@{}", commit.short(8)))
}

/// A branch of a repository.
pub(super) fn branch_link(look: &Look<'_>, repo: &RepoName, branch: &BranchName) -> Markup {
    link(look, &address::branch(repo, branch), format!("{repo}@{branch}"))
}

/// What differs between two commits of a repository.
pub(super) fn changed_link(look: &Look<'_>, repo: &RepoName, old: &CommitId, new: &CommitId) -> Markup {
    let to = address::diff(format_args!("{repo}@{old}"), format_args!("{repo}@{new}"));
    link(look, &to, "what changed")
}

/// How many datums of a job are done, and how they ended.
pub(super) fn datums_of(job: &JobView) -> Markup {
    let done = job.datums_processed + job.datums_cached + job.datums_failed + job.datums_recovered;
    let is_open = job.finished_at.is_none() && job.state != JobState::Waiting;
    html! {
        @if is_open { (count(done)) " of " }
        (count(job.datums_total))
        @if job.datums_cached > 0 { ", " (count(job.datums_cached)) " cached" }
        @if job.datums_recovered > 0 { ", " (count(job.datums_recovered)) " recovered" }
        @if job.datums_failed > 0 { ", " b .bad { (count(job.datums_failed)) " failed" } }
    }
}

/// A duration; nothing if there is none.
pub(super) fn took(seconds: Option<f64>) -> String {
    seconds.map(duration).unwrap_or_default()
}

/// A duration with so many digits that two of a page can be compared.
pub(super) fn exact(seconds: f64) -> String {
    match seconds {
        ..0.0005 => "under 1 ms".to_owned(),
        0.0005..0.9995 => format!("{:.0} ms", seconds * 1e3),
        0.9995..10.0 => format!("{seconds:.3} s"),
        _ => duration(seconds),
    }
}

/// The state of a job, with its reason and since when, if it has not ended.
pub(super) fn state_of(look: &Look<'_>, job: &JobView) -> Markup {
    html! {
        (state(&job.state.to_string()))
        @if let Some(reason) = &job.reason { " " span .reason { (reason) } }
        @if let (None, Some(since)) = (job.finished_at, job.since) { " " span .dim { "since " (time(look, since)) } }
    }
}

/// A link to the rest of a list.
pub(super) fn more(look: &Look<'_>, to: Option<&Address>, words: &str) -> Markup {
    html! { @if let Some(to) = to { p .more-rows { a href=(look.link(to)) rel="next" { (words) } } } }
}

/// A field that one chooses from; the first choice is nothing in particular.
pub(super) fn choice(name: &str, label: &str, words: &[&str], chosen: Option<&str>) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                option value="" { "any" }
                @for word in words { option value=(word) selected[chosen == Some(*word)] { (word) } }
            }
        }
    }
}

/// A field for text.
pub(super) fn field(name: &str, label: &str, value: Option<&str>, placeholder: &str) -> Markup {
    html! {
        label { (label)
            input name=(name) value=(value.unwrap_or_default()) placeholder=(placeholder) autocomplete="off"
                spellcheck="false";
        }
    }
}

/// A part of a view that is opened by its address: its word, and whether it is open.
pub(super) fn tab(look: &Look<'_>, to: &Address, word: &str, is_open: bool) -> Markup {
    html! { a href=(look.link(to)) aria-current=[is_open.then_some("page")] { (word) } }
}

/// The state of a job that has not begun.
pub(super) const WAITING: JobState = JobState::Waiting;

/// Fields that differ, with both values, and who changed them.
pub(super) fn changes(look: &Look<'_>, changes: &[FieldChange]) -> Markup {
    let value = |text: &Option<String>, by: &Option<Brought>| {
        html! {
            @match text { Some(text) => code { (text) }, None => span .dim { "none" } }
            @if let Some(by) = by { br; span .dim { (by.by) ", " (time(look, by.at)) } }
        }
    };
    html! {
        div .wide { table {
            thead { tr { th scope="col" { "Differs" } th scope="col" { "Before" } th scope="col" { "Now" } } }
            tbody { @for change in changes { tr {
                th scope="row" { (change.field) }
                td { (value(&change.old, &change.old_by)) }
                td { (value(&change.new, &change.new_by)) }
            } } }
        } }
    }
}
