//! `pv serve`

use std::pin::pin;

use engine::Engine;
use nix::sys::signal::Signal;

use super::run::{Board, end_now, introduce, with_engine};
use crate::context::Context;
use crate::error::{CliError, Result};

/// How often it looks at signals by itself: the first stops it in order, the second at once.
const HEEDED: u32 = 2;

/// Run jobs as commits, ticks and triggers come, until it is stopped
///
/// Other commands go through it and print the same. SIGTERM and Ctrl-C stop it: running datums finish, and the next `pv serve` or `pv run`
/// goes on with the rest. A second signal does not wait for them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Datums at a time; else the setting `jobs`, else one for each core
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// How long running datums may take to finish when it is stopped
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
    // Whoever manages services ends them by this signal, and nothing failed.
    cx.cancel().obeyed(Signal::SIGTERM);
    Ok(())
}

/// Has the engine work until it is told to stop; shows what goes on.
async fn serve(cx: &Context, engine: &Engine, board: &mut Board<'_>, args: &Args) -> Result<()> {
    let mut work = pin!(engine.serve());
    tokio::select! {
        done = &mut work => return Ok(done?),
        error = show(board) => return end_now(engine, work).await.and(Err(error)),
        () = cx.cancel().asked(1) => {}
    }
    cx.notes().farewell("stopping when running datums have finished; the rest is left for the next pv serve or pv run");
    engine.wind_down();
    tokio::select! {
        done = &mut work => return Ok(done?),
        error = show(board) => return end_now(engine, work).await.and(Err(error)),
        () = cx.cancel().asked(HEEDED) => {}
        () = tokio::time::sleep(args.grace.get()) => {}
    }
    end_now(engine, work).await
}

/// Shows what goes on. When nobody reads it any more, jobs are run all the same.
async fn show(board: &mut Board<'_>) -> CliError {
    match board.show().await {
        Err(CliError::ClosedPipe) => std::future::pending().await,
        Err(error) => error,
    }
}
