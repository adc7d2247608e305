//! `pv datum list`

use std::cell::RefCell;

use answers::datum::{DatumFilter, DatumState, DatumView, datums, datums_at_work};
use answers::named::find_job;
use clap::ValueEnum;
use engine::live::JobKey;
use serde::Serialize;
use specs::JobRef;

use crate::commands::jobs::live;
use crate::commands::views::first_line;
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, Window, duration};

/// List the datums of a job
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Job
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// List only datums in this state
    #[arg(long, value_name = "S", value_enum)]
    state: Option<State>,
    #[command(flatten)]
    window: Window,
}

/// States of a datum.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Waiting,
    Running,
    Success,
    Cached,
    Failed,
    Recovered,
}

impl From<State> for DatumState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Success => Self::Success,
            State::Cached => Self::Cached,
            State::Failed => Self::Failed,
            State::Recovered => Self::Recovered,
        }
    }
}

/// A datum.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct DatumLine(pub(super) DatumView);

impl Row for DatumLine {
    const HEADER: &'static [&'static str] = &["DATUM", "STATE", "TRIES", "EXIT", "TOOK", "READ", "MADE", "REASON"];
    const GIVES_UP: &'static [&'static str] = &["TRIES", "TOOK", "MADE", "EXIT", "READ"];
    const SHORTENS: &'static [&'static str] = &["READ"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let datum = &self.0;
        let inputs: Vec<String> = datum.inputs.iter().map(|input| format!("{}:{}", input.input, input.path)).collect();
        let has_result = datum.result.is_some();
        vec![
            datum.id.short(8),
            datum.state.to_string(),
            if has_result { datum.tries.to_string() } else { String::new() },
            datum.exit_code.map_or_else(String::new, |exit_code| exit_code.to_string()),
            if has_result { duration(datum.process_seconds) } else { String::new() },
            inputs.join(" "),
            if has_result { datum.outputs_count.to_string() } else { String::new() },
            first_line(datum.reason.as_deref().unwrap_or_default()),
        ]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let job = find_job(store, &args.job)?;
    let state = args.state.map(DatumState::from);
    let limit = args.window.limit(cx);
    let mut running = Vec::new();
    if job.sealed.is_none() {
        // Before those that have ended, so that none is in neither.
        let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
        let known = live(cx).and_then(|live| live.job(&key));
        running = known.map(|known| datums_at_work(store, &known)).transpose()?.unwrap_or_default();
        running.retain(|datum| state.is_none_or(|state| state == datum.state));
        cx.notes().line("the job has not ended: waiting datums are not listed");
    }
    let datums = datums(store, live(cx), &job, DatumFilter { state, ..DatumFilter::default() })?;
    let datums = datums.filter(|datum| {
        let ended = datum.as_ref().ok().and_then(|datum| datum.finished_at);
        ended.is_none_or(|ended| args.window.includes(cx, ended))
    });
    let running = RefCell::new(running);
    let ended = datums.map(|datum| {
        let datum = datum?;
        // One that has ended since is not at work any more.
        running.borrow_mut().retain(|other| other.id != datum.id);
        Ok(DatumLine(datum))
    });
    let at_work = std::iter::from_fn(|| {
        let mut running = running.borrow_mut();
        if running.is_empty() { None } else { Some(Ok(DatumLine(running.remove(0)))) }
    });
    cx.list(limit, ended.chain(at_work))
}
