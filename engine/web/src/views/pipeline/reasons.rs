//! Why a pipeline is in its state, and what would run.

use std::collections::BTreeSet;
use std::thread;

use answers::explain::explain_pipeline;
use answers::preview::{Preview, pending};
use maud::{Markup, html};
use specs::PipelineName;
use specs::words::{count, duration};

use super::super::Result;
use super::super::work::{commit_link, job_link, run_link};
use super::facts::branch;
use crate::look::Look;

/// Why a pipeline is in its state.
pub(super) fn why(look: &Look<'_>, name: &PipelineName) -> Result<Markup> {
    let row = look.store.pipeline(name)?;
    let explained = explain_pipeline(look.store, &row, Some(look.live))?;
    let repo_of = |branch: &str| branch.split_once('@').and_then(|(repo, _)| repo.parse().ok());
    Ok(html! {
        h2 { "Why it is " (explained.pipeline.state) }
        ul { @for reason in &explained.because { li { (reason) } } }
        h2 { "Inputs" }
        div .wide { table {
            thead { tr {
                th scope="col" { "Input" } th scope="col" { "Branch" } th scope="col" { "Glob" } th scope="col" .number { "Matches" }
                th scope="col" { "Head" } th scope="col" { "Newest output read" } th scope="col" { "Problem" }
            } }
            tbody { @for input in &explained.inputs { tr {
                th scope="row" { (input.input) }
                td { (branch(look, &input.branch)) }
                td { code { (input.glob) } }
                td .number { (count(input.matches)) }
                td { @if let (Some(head), Some(repo)) = (&input.head, repo_of(&input.branch)) { (commit_link(look, &repo, head)) } }
                td { @if input.taken == input.head { span .dim { "the same" } }
                    @else if let (Some(taken), Some(repo)) = (&input.taken, repo_of(&input.branch)) { (commit_link(look, &repo, taken)) } }
                td { (input.problem.as_deref().unwrap_or_default()) }
            } } }
        } }
        @if let Some(job) = &explained.job {
            h2 { "Its newest job" }
            p { (job_link(look, &job.job.pipeline, &job.job.run)) ": " (job.why) }
        }
    })
}

/// What the pending jobs of a pipeline would do.
pub(super) fn plan(look: &Look<'_>, name: &PipelineName) -> Result<Markup> {
    look.store.pipeline(name)?;
    let at_a_time = thread::available_parallelism().map_or(1, usize::from);
    let previews = pending(look.store, &BTreeSet::from([name.clone()]), false, at_a_time)?;
    Ok(html! {
        h2 { "What would run now" }
        @if previews.is_empty() {
            p { "Nothing is pending: it is up to date with its inputs, or it is stopped." }
        }
        @for preview in &previews { (of_job(look, preview)) }
    })
}

fn of_job(look: &Look<'_>, preview: &Preview) -> Markup {
    let bound = if preview.at_most { "at most " } else { "" };
    html! {
        h3 { @if let Some(run) = &preview.run { "In run " (run_link(look, run)) } @else { "Now" } }
        dl .fields {
            dt { "Executes" }
            dd { @if preview.unbounded { "a number of datums that depends on files still to be written" }
                @else { (bound) (count(preview.executes)) } }
            @if !preview.at_most { dt { "From the cache" } dd { (count(preview.cached)) } }
            @if preview.removed > 0 { dt { "Removed" } dd { (count(preview.removed)) } }
            dt { "Because" } dd { (preview.why) }
            @for reason in &preview.reasons { dt { (count(reason.datums)) } dd { (reason.why) } }
            @if let Some(seconds) = preview.seconds_estimate { dt { "Takes about" } dd { (duration(seconds)) } }
        }
    }
}
