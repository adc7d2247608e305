//! The jobs of a pipeline over time.

use std::ops::ControlFlow;

use answers::job::{JobRow, job_view, live_job};
use maud::{Markup, html};
use repos::Timestamp;
use specs::PipelineName;

use super::super::charts::{self, Bar};
use super::super::work::{commit_link, datums_of, job_link, more, state_of, took};
use super::super::{Result, runs};
use crate::look::Look;
use crate::parts::time;

/// Jobs in the charts, and in the table.
const CHARTED: usize = 100;
const LISTED: usize = 10;

/// The duration and the datums of the last jobs; with a time, of those that were created until then.
pub(super) fn charts(look: &Look<'_>, name: &PipelineName, until: Option<Timestamp>) -> Result<Markup> {
    let mut jobs = newest_first(look, name, until, CHARTED)?;
    jobs.reverse();
    let bars = Bar::read(look.store, &jobs);
    Ok(html! {
        h2 { "Jobs over time" }
        @if bars.is_empty() { p { "No job has ended yet." } } @else { (charts::bars(look, &bars)) }
    })
}

/// The newest jobs as a table.
pub(super) fn newest(look: &Look<'_>, name: &PipelineName) -> Result<Markup> {
    let jobs = newest_first(look, name, None, LISTED)?;
    let mut views = Vec::new();
    for job in &jobs {
        views.push((job, job_view(look.store, job, live_job(Some(look.live), job).as_ref())?));
    }
    Ok(html! {
        @if !views.is_empty() {
            div .wide { table {
                thead { tr {
                    th scope="col" { "Job" } th scope="col" { "State" } th scope="col" { "Datums" }
                    th scope="col" .number { "Took" } th scope="col" { "Output" } th scope="col" { "Created" }
                } }
                tbody { @for (row, view) in &views { tr {
                    th scope="row" { (job_link(look, &row.pipeline, &row.run)) " " span .dim { "v" (row.version) } }
                    td { (state_of(look, view)) }
                    td { (datums_of(view)) }
                    td .number { (took(view.duration_seconds)) }
                    td { @if let Some(commit) = &row.commit { (commit_link(look, &row.pipeline.output_repo(), commit)) } }
                    td { (time(look, row.created_at)) }
                } } }
            } }
        }
        (more(look, (jobs.len() == LISTED).then(|| runs::of(None, Some(name.as_str()))).as_ref(), "All its runs"))
    })
}

fn newest_first(look: &Look<'_>, name: &PipelineName, until: Option<Timestamp>, most: usize) -> Result<Vec<JobRow>> {
    let mut jobs = Vec::new();
    look.store.visit_jobs(name, u64::MAX, |job| {
        if until.is_none_or(|until| job.created_at <= until) {
            jobs.push(job);
        }
        if jobs.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(jobs)
}
