//! One job: its state and progress, its datums, and what one can do to it.
//!
//! - `head` its state, times and counts
//! - `parts` what the tries of a datum spent their time on, in numbers and as bars
//! - `datums` its datums, failed ones first, then the slowest
//! - `why` why it ran
//! - `change` the pages that come before a change: what it would touch

mod change;
mod datums;
mod head;
mod parts;
mod why;

use answers::job::{JobRow, job_id};
use answers::named::find_job;
use maud::{Markup, html};
use serde::Deserialize;
use specs::JobRef;

use super::Result;
use super::work::{follows, tab};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;

pub(super) use change::glob_of;
pub(super) use parts::{cells, heads};

/// Which job.
#[derive(Debug, Deserialize)]
pub struct Path {
    /// `PIPELINE@RUN`, or `PIPELINE` for its newest job.
    job: JobRef,
}

/// What of it is shown.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    /// Datums in this state.
    state: Option<String>,
    /// Datums that read this path.
    input: Option<String>,
    /// How many datums come before those that are shown.
    after: Option<usize>,
    /// Why it ran, instead of its datums.
    why: Option<String>,
    /// The page before a change: `retry`, `skip`, `stop` or `rerun`.
    change: Option<String>,
}

/// One job.
pub fn job(look: &Look<'_>, path: Path, query: Query) -> Result<View> {
    let job = find_job(look.store, &path.job)?;
    let view = View::new(format!("Job {}@{}", job.pipeline, job.run.short(8)), "runs");
    if let Some(what) = &query.change {
        return Ok(view.live("change", follows(&job), change::page(look, &job, what, query.input.as_deref())?));
    }
    let (head, tabs) = (head::shown(look, &job)?, tabs(look, &job, &query));
    let view = view.live("job", follows(&job), html! { (head) (tabs) });
    Ok(if query.why.is_some() {
        view.live("why", follows(&job), why::shown(look, &job)?)
    } else {
        let view = match head::running(look, &job)? {
            Some(running) => view.live("running", follows(&job), running),
            None => view,
        };
        view.live("datums", follows(&job), datums::list(look, &job, &query)?)
    })
}

fn address_of(job: &JobRow) -> Address {
    address::job(&job_id(&job.pipeline, &job.run))
}

fn tabs(look: &Look<'_>, job: &JobRow, query: &Query) -> Markup {
    html! {
        nav .tabs aria-label="Of this job" {
            (tab(look, &address_of(job), "Datums", query.why.is_none()))
            (tab(look, &address_of(job).with("why", ""), "Why", query.why.is_some()))
            (tab(look, &address::log(&job_id(&job.pipeline, &job.run), None), "Log", false))
            (tab(look, &address::run(&job.run.to_string()), "Run", false))
            (tab(look, &address::pipeline(&job.pipeline), "Pipeline", false))
        }
    }
}
