//! `pv serve`

use std::pin::pin;

use engine::Engine;
use nix::sys::signal::Signal;

use super::run::{Board, end_now, introduce, with_engine};
use crate::context::Context;
use crate::error::{CliError, Result};

/// How many signals it handles itself: the first one drains, the second stops at once.
const HEEDED: u32 = 2;

/// Run jobs as commits, ticks and triggers arrive, until stopped
///
/// Other commands run inside this process and print the same. SIGTERM or Ctrl-C stops it: running datums finish, and the next `pv serve` or
/// `pv run` continues with the rest. A second signal stops it at once.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Datums to run at a time [default: setting `jobs`, or the number of cores]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// How long running datums may take to finish after a stop
    #[arg(long, value_name = "D", default_value = "60s")]
    grace: specs::Duration,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    with_engine(cx, store, args.jobs, async |engine, board| {
        cx.cancel().heed(HEEDED);
        introduce(cx, engine)?;
        serve(cx, engine, board, args).await
    })?;
    // Service managers stop services by this signal: that is not a failure.
    cx.cancel().obeyed(Signal::SIGTERM);
    Ok(())
}

/// Runs the engine until it is asked to stop, and shows its activity.
async fn serve(cx: &Context, engine: &Engine, board: &mut Board<'_>, args: &Args) -> Result<()> {
    let mut work = pin!(engine.serve());
    tokio::select! {
        done = &mut work => return Ok(done?),
        error = show(board) => return end_now(engine, work).await.and(Err(error)),
        () = cx.cancel().asked(1) => {}
    }
    cx.notes().farewell("stopping after running datums finish; the next pv serve or pv run continues with the rest");
    engine.drain();
    tokio::select! {
        done = &mut work => return Ok(done?),
        error = show(board) => return end_now(engine, work).await.and(Err(error)),
        () = cx.cancel().asked(HEEDED) => {}
        () = tokio::time::sleep(args.grace.get()) => {}
    }
    end_now(engine, work).await
}

/// Shows the activity. If the output is closed, jobs still run.
async fn show(board: &mut Board<'_>) -> CliError {
    match board.show().await {
        Err(CliError::ClosedPipe) => std::future::pending().await,
        Err(error) => error,
    }
}
