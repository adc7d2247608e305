//! `pv wait`

use std::time::{Duration, Instant};

use answers::job::{Awaited, JobRow, awaited, awaited_jobs};
use engine::{Engine, Phase};
use specs::{ErrorKind, parse_target};

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
    let awaited = awaited(store, &parse_target(&args.what)?)?;
    match cx.engine() {
        Some(engine) => cx.block_on(until_sealed(cx, engine, &awaited, deadline))??,
        None => watch(cx, store, &awaited, deadline)?,
    }
    report(cx, store, &awaited_jobs(store, &awaited)?)
}

/// Waits for the engine of this process, which reports the end of jobs.
async fn until_sealed(cx: &Context, engine: &Engine, awaited: &Awaited, deadline: Option<Instant>) -> Result<()> {
    let mut feed = engine.live().listen();
    while !are_sealed(cx.store()?, awaited)? {
        pause(cx, engine, news(&mut feed), deadline).await?;
    }
    Ok(())
}

/// Polls while there is no engine. `InUse` once a process owns the store: that process knows all states, including those that cannot be
/// read from outside yet.
fn watch(cx: &Context, store: &Store, awaited: &Awaited, deadline: Option<Instant>) -> Result<()> {
    let mut is_told = false;
    loop {
        let is_over = are_sealed(store, awaited)?;
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

fn are_sealed(store: &Store, awaited: &Awaited) -> Result<bool> {
    Ok(awaited_jobs(store, awaited)?.iter().all(|job| job.sealed.is_some()))
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
