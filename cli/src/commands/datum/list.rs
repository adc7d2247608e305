//! `pv datum list`

use answers::datum::{DatumState, DatumView, datum_list};
use answers::named::find_job;
use clap::ValueEnum;
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

impl Row for DatumView {
    const HEADER: &'static [&'static str] = &["DATUM", "STATE", "TRIES", "EXIT", "TOOK", "READ", "MADE", "REASON"];
    const GIVES_UP: &'static [&'static str] = &["TRIES", "TOOK", "MADE", "EXIT", "READ"];
    const SHORTENS: &'static [&'static str] = &["READ"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let inputs: Vec<String> = self.inputs.iter().map(|input| format!("{}:{}", input.input, input.path)).collect();
        let has_result = self.result.is_some();
        vec![
            self.id.short(8),
            self.state.to_string(),
            if has_result { self.tries.to_string() } else { String::new() },
            self.exit_code.map_or_else(String::new, |exit_code| exit_code.to_string()),
            if has_result { duration(self.process_seconds) } else { String::new() },
            inputs.join(" "),
            if has_result { self.outputs_count.to_string() } else { String::new() },
            first_line(self.reason.as_deref().unwrap_or_default()),
        ]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let job = find_job(store, &args.job)?;
    if job.sealed.is_none() {
        cx.notes().line("the job has not ended: waiting datums are not listed");
    }
    let state = args.state.map(DatumState::from);
    let datums = datum_list(store, live(cx), &job, (state, args.window.start(cx)))?;
    cx.list(args.window.limit(cx), datums.map(|datum| Ok(datum?)))
}
