//! `pv wait`

use std::collections::BTreeSet;
use std::time::Instant;

use engine::Engine;
use engine::queries::find_job;
use repos::{JobRow, Store};
use specs::{ErrorKind, JobRef, PipelineName, Reference, RunId, Target, parse_target};

use super::logs::is_pipelines;
use super::run::{Board, Selected, TICK, judge_jobs, print_ended};
use crate::context::Context;
use crate::error::{CliError, Result};

/// Wait until jobs have ended
///
/// Exit code 0 says that all of them succeeded. Only `pv run` makes jobs end; this does not.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A commit (all that its run causes), a job, or a run
    #[arg(value_name = "REF|JOB|@RUN")]
    what: String,
    /// Give up after this time, such as `10m`
    #[arg(long, value_name = "D")]
    timeout: Option<specs::Duration>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout.get());
    let store = cx.store()?;
    let (run, names) = subject(store, &args.what)?;
    let mut is_told = cx.engine().is_some();
    loop {
        let jobs = jobs_of(store, &run, names.as_ref())?;
        if jobs.iter().all(|job| job.sealed.is_some()) {
            return report(cx, store, &jobs);
        }
        if !is_told {
            cx.notes().line("nothing runs jobs right now: this waits for a `pv run`");
            is_told = true;
        }
        pause(cx, deadline)?;
        if cx.engine().is_none() {
            store.refresh()?;
        }
    }
}

/// The run that is meant, and which of its jobs; `None` for all.
fn subject(store: &Store, what: &str) -> Result<(RunId, Option<BTreeSet<PipelineName>>)> {
    match parse_target(what)? {
        Target::Run(run) => Ok((store.run_by_prefix(&run.0)?, None)),
        Target::File(reference) => Ok((store.resolve(&reference)?.commit.run, None)),
        Target::Word(word) => match word.parse::<JobRef>() {
            Ok(job @ (JobRef::Newest(_) | JobRef::InRun { .. })) if is_pipelines(store, &job)? => {
                let job = find_job(store, &job)?;
                Ok((job.run, Some(BTreeSet::from([job.pipeline]))))
            }
            _ => Ok((store.resolve(&word.parse::<Reference>()?)?.commit.run, None)),
        },
    }
}

fn jobs_of(store: &Store, run: &RunId, names: Option<&BTreeSet<PipelineName>>) -> Result<Vec<JobRow>> {
    let mut jobs = store.jobs_of_run(store.run(run)?.order)?;
    jobs.retain(|job| names.is_none_or(|names| names.contains(&job.pipeline)));
    Ok(jobs)
}

fn pause(cx: &Context, deadline: Option<Instant>) -> Result<()> {
    if cx.cancel().is_asked() {
        return Err(CliError::Cancelled);
    }
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        let error = CliError::new(ErrorKind::TimedOut, "the time given was not enough");
        return Err(error.hint("pv job list shows what has not ended; pv run makes it end"));
    }
    std::thread::sleep(TICK);
    Ok(())
}

fn report(cx: &Context, store: &Store, jobs: &[JobRow]) -> Result<()> {
    jobs.iter().try_for_each(|job| print_ended(cx, store, job))?;
    cx.out().flush()?;
    judge_jobs(store, jobs)
}

/// Waits until nothing selected is open in the engine of this process.
pub(crate) fn until_ended(cx: &Context, engine: &Engine, selected: &Selected, deadline: Option<Instant>) -> Result<()> {
    let mut board = Board::new(cx, engine)?;
    loop {
        board.look()?;
        let open = engine.store().open_jobs()?;
        if !open.iter().any(|job| selected.names.contains(&job.pipeline)) {
            return board.finish();
        }
        if engine.is_over() {
            let error = CliError::new(ErrorKind::Unavailable, "the run that was at work has just ended");
            return Err(error.hint("repeat the command"));
        }
        pause(cx, deadline)?;
    }
}
