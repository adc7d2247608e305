//! `pv wait`

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use answers::job::JobRow;
use answers::named::{find_job, is_pipelines};
use engine::{Engine, Phase};
use specs::{ErrorKind, JobRef, PipelineName, Reference, RunId, Target, parse_target};

use super::run::{Board, judge_jobs, news, print_ended, until};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::socket;

/// Time between two checks of a store without an owner.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Wait until jobs end
///
/// Exit code 0 means that all of them succeeded. This command runs no jobs itself: `pv run` and `pv serve` do.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit (all jobs of its run), job, or run
    #[arg(value_name = "REF|JOB|@RUN")]
    what: String,
    /// Stop waiting after this time, such as `10m`
    #[arg(long, value_name = "D")]
    timeout: Option<specs::Duration>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout.get());
    let store = cx.store()?;
    let (run, names) = subject(store, &args.what)?;
    match cx.engine() {
        Some(engine) => cx.block_on(until_sealed(cx, engine, &run, names.as_ref(), deadline))??,
        None => watch(cx, store, &run, names.as_ref(), deadline)?,
    }
    report(cx, store, &jobs_of(store, &run, names.as_ref())?)
}

/// Waits for the engine of this process, which reports the end of jobs.
async fn until_sealed(
    cx: &Context,
    engine: &Engine,
    run: &RunId,
    names: Option<&BTreeSet<PipelineName>>,
    deadline: Option<Instant>,
) -> Result<()> {
    let mut feed = engine.live().listen();
    while !are_sealed(engine.store(), run, names)? {
        pause(cx, engine, news(&mut feed), deadline).await?;
    }
    Ok(())
}

/// Polls while there is no engine. `InUse` once a process owns the store: that process knows all states, including those that cannot be
/// read from outside yet.
fn watch(
    cx: &Context,
    store: &Store,
    run: &RunId,
    names: Option<&BTreeSet<PipelineName>>,
    deadline: Option<Instant>,
) -> Result<()> {
    let mut is_told = false;
    loop {
        let is_over = are_sealed(store, run, names)?;
        if let Some(error) = socket::owner_of(store) {
            return Err(error.into());
        }
        store.refresh()?;
        if is_over {
            return Ok(());
        }
        if !is_told {
            cx.notes().line("no engine is running: this waits for `pv run` or `pv serve`");
            is_told = true;
        }
        if cx.cancel().is_asked() {
            return Err(CliError::Cancelled);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(late());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn are_sealed(store: &Store, run: &RunId, names: Option<&BTreeSet<PipelineName>>) -> Result<bool> {
    Ok(jobs_of(store, run, names)?.iter().all(|job| job.sealed.is_some()))
}

/// The requested run, and which of its jobs; `None` for all.
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

/// Waits for `news`; an error if the wait is over.
async fn pause<T>(
    cx: &Context,
    engine: &Engine,
    news: impl Future<Output = T>,
    deadline: Option<Instant>,
) -> Result<()> {
    if engine.phase() == Phase::Ended {
        return Err(CliError::OwnerEnds);
    }
    tokio::select! {
        _ = news => Ok(()),
        () = cx.cancel().asked(1) => Err(CliError::Cancelled),
        () = until(deadline) => Err(late()),
    }
}

fn late() -> CliError {
    let error = CliError::new(ErrorKind::TimedOut, "timed out");
    error.hint("pv job list shows which jobs have not ended; pv run runs them")
}

fn report(cx: &Context, store: &Store, jobs: &[JobRow]) -> Result<()> {
    jobs.iter().try_for_each(|job| print_ended(cx, store, job))?;
    cx.out().flush()?;
    judge_jobs(store, jobs)
}

/// Waits until the jobs of a board have ended in the engine of this process.
pub(crate) async fn until_ended(
    cx: &Context,
    engine: &Engine,
    board: &mut Board<'_>,
    deadline: Option<Instant>,
) -> Result<()> {
    loop {
        board.look()?;
        if board.is_done() {
            return board.finish();
        }
        pause(cx, engine, board.news(), deadline).await?;
    }
}
