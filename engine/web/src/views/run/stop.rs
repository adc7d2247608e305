//! The page before jobs of a run are stopped: which ones, and the form that stops exactly these.

use answers::job::{JobRow, JobState, JobView, job_view_among, live_job};
use answers::run::{Causes, RunView};
use maud::{Markup, html};
use repos::access::Role;
use specs::words::{count, plural};

use super::super::Result;
use super::super::work::{choice, chosen, datums_of, field, job_link};
use super::address_of;
use crate::address;
use crate::look::Look;
use crate::parts::{form, link, state};

/// Jobs that are named.
const NAMED: usize = 20;
/// States of a job that can be stopped.
const STATES: [&str; 3] = ["waiting", "running", "finishing"];

/// The page before a change.
pub(super) fn page(look: &Look<'_>, run: &RunView, wanted: Option<&str>) -> Result<Markup> {
    if !look.may(Role::Writer) {
        return Ok(html! { h1 { "You may not stop jobs" } p { "A token of role writer may." } });
    }
    let jobs = open_jobs(look, run, chosen("state", wanted)?)?;
    Ok(html! {
        h1 { "Stop jobs of run @" (run.id.short(8)) "?" }
        form .filter action=(look.link(&address_of(run))) {
            input type="hidden" name="change" value="stop";
            (choice("state", "Those in state", &STATES, wanted))
            button { "Count" }
        }
        @if jobs.is_empty() { p { "There is no such job that has not ended." } } @else { (confirmed(look, run, &jobs)) }
        p { (link(look, &address_of(run), "Leave them as they are")) }
    })
}

/// The jobs of a run that can be stopped, in the order of the data.
fn open_jobs(look: &Look<'_>, run: &RunView, wanted: Option<JobState>) -> Result<Vec<(JobRow, JobView)>> {
    let mut causes = Causes::default();
    let mut open = Vec::new();
    for job in look.store.jobs_of_run(look.store.run(&run.id)?.order)? {
        let view = job_view_among(look.store, &job, live_job(Some(look.live), &job).as_ref(), &mut causes)?;
        // One that is being stopped has not ended yet.
        let can_stop = job.sealed.is_none() && view.state != JobState::Killed;
        if can_stop && wanted.is_none_or(|wanted| wanted == view.state) {
            open.push((job, view));
        }
    }
    Ok(open)
}

/// What would be stopped, and the form that does it. It names the jobs, so that none is stopped that was not shown.
fn confirmed(look: &Look<'_>, run: &RunView, jobs: &[(JobRow, JobView)]) -> Markup {
    let operation = address::api(["runs", &run.id.to_string(), "stop"]);
    let next = address_of(run).under("");
    let back = Look { here: &next, ..*look };
    let fields = html! {
        @for (job, _) in jobs { input type="hidden" name="pipelines:list" value=(job.pipeline); }
        (field("message", "Reason", None, ""))
    };
    html! {
        p { (plural(jobs.len() as u64, "job", "jobs")) " will be stopped. Datums that are done stay in the cache; jobs that wait for the "
            "output of these cannot run then." }
        ul {
            @for (job, view) in jobs.iter().take(NAMED) {
                li { (job_link(look, &job.pipeline, &job.run)) " " (state(&view.state.to_string())) " " (datums_of(view)) " datums" }
            }
            @if jobs.len() > NAMED { li .dim { "and " (count((jobs.len() - NAMED) as u64)) " more" } }
        }
        (form(&back, "POST", &operation, &fields, "Stop them"))
    }
}
