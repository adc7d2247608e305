//! An engine in this process: its start, its work, its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use answers::setting::{EXECUTOR, JOBS};
use engine::executors::{command_that_runs, max_pods, needs_server};
use engine::trial::Room;
use engine::{Engine, EngineError, apply};
use sandbox::ExecutorKind;
use specs::ErrorKind;

use super::Board;
use crate::author::by;
use crate::commands::choose_executor::{choose_executor, keep};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::plural;
use crate::socket;

/// How long running work may take to end in an orderly way.
const TO_END: Duration = Duration::from_secs(6);

/// Owns the store and runs `work` on an engine, which other processes can reach through the store's socket. `stays`: whether an executor that
/// had to be chosen is the store's from now on.
pub(crate) fn with_engine(
    cx: &Context,
    store: &Store,
    jobs: Option<u32>,
    stays: bool,
    work: impl AsyncFnOnce(&Arc<Engine>, &mut Board<'_>) -> Result<()>,
) -> Result<()> {
    store.own()?;
    if let Err(error) = Room::remove_dead(store) {
        tracing::warn!("what a dead trial left is still there: {error}");
    }
    // Readers of this output may stall, and other processes rely on this one: printing must not block.
    cx.out().keep_back();
    cx.notes().do_not_wait();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
    let done = runtime.block_on(live(cx, store, jobs, stays, work));
    runtime.shutdown_timeout(Duration::from_secs(1));
    // Output that is still unread must not keep the store owned.
    done.and(cx.out().finish())
}

async fn live(
    cx: &Context,
    store: &Store,
    jobs: Option<u32>,
    stays: bool,
    work: impl AsyncFnOnce(&Arc<Engine>, &mut Board<'_>) -> Result<()>,
) -> Result<()> {
    let settled = choose_executor(cx, store).await?;
    if stays {
        keep(cx, store, &settled)?;
    }
    let kind = settled.executor.kind();
    let who = by(cx, None);
    if let Some(applied) = apply::refresh_versions(store, &*settled.executor, &who, &|_| {}).await? {
        for pipeline in applied.pipelines {
            cx.notes().line(format!("{} {}: the executor is {kind} now", pipeline.name, pipeline.version));
        }
    }
    if jobs.is_some() && needs_server(kind) {
        cx.notes().line("-j has no effect: as many datums run at a time as workers and pods have slots");
    }
    let limit = limit(store, jobs)?;
    let engine = Engine::new(store.clone(), who, settled.executor, limit).await?;
    let engine = Arc::new(engine.with_workers(cx.workers().clone()));
    let mut serving = socket::serve(&engine, cx.run_for())
        .map_err(|error| CliError::io("cannot answer on the store's socket", &error))?;
    let mut board = Board::new(cx, &engine)?;
    let done = tokio::select! {
        done = work(&engine, &mut board) => done,
        why = serving.lost() => Err(lost(why)),
    };
    // If the store is lost, that is the cause of the error.
    let done = done.map_err(|error| serving.is_lost().map_or(error, lost));
    // The output may fail; what runs is ended anyway.
    let shown = board.finish();
    // Clients that still wait here continue on their own.
    engine.end();
    if let Err(error) = store.end_owning() {
        tracing::warn!("an open pack is left to the next process: {error}");
    }
    let left = serving.end(|| cx.cancel().is_asked());
    if left > 0 {
        tracing::warn!(
            "{} did not end and {} left behind",
            plural(left as u64, "command", "commands"),
            if left == 1 { "is" } else { "are" }
        );
    }
    engine.close().await;
    let histories = store.clone();
    let followed = tokio::task::spawn_blocking(move || histories.follow_histories_as_owner()).await;
    let cleaned = engine.executor_handle().clean_up(&BTreeSet::new()).await;
    // A client that was left behind still holds the store, so its final steps are done here.
    if let Err(error) = store.end_owning().and_then(|()| store.flush_index()) {
        tracing::warn!("cleanup is left to the next process: {error}");
    }
    done?;
    shown?;
    followed.map_err(|error| CliError::io("cannot update the history index", &std::io::Error::other(error)))?;
    Ok(cleaned.map_err(EngineError::from)?)
}

fn lost(why: String) -> CliError {
    CliError::new(ErrorKind::NotFound, why).hint("move it back, then start this command again")
}

/// Number of parallel datums: as given, else the setting `jobs`, else the number of cores.
pub(crate) fn limit(store: &Store, given: Option<u32>) -> Result<usize> {
    let set = store.setting(&JOBS)?.map(|jobs| usize::try_from(jobs.get()).unwrap_or(usize::MAX));
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(given.map(|jobs| jobs as usize).or(set).filter(|jobs| *jobs > 0).unwrap_or_else(cores))
}

/// Refuses to run anything if workers or pods run the store's datums: these join a server, and this process is none.
pub(crate) fn ensure_is_not_for_workers(store: &Store) -> Result<()> {
    let Some(kind) = store.setting(&EXECUTOR)?.filter(|kind| needs_server(*kind)) else { return Ok(()) };
    let what = format!("the store's executor is `{kind}`: what runs datums joins pv serve, not this command");
    Err(CliError::usage(what, command_that_runs(store)?))
}

/// Reports the executor, the pending runs and the limit.
pub(crate) fn introduce(cx: &Context, engine: &Engine) -> Result<()> {
    let pending = engine.store().open_jobs()?.iter().map(|job| job.order).collect::<BTreeSet<_>>().len() as u64;
    let executor = engine.executor();
    let limit = match executor.kind {
        ExecutorKind::Workers => "as many at a time as workers that join have slots".to_owned(),
        ExecutorKind::Kubernetes => {
            format!("at most {} at a time", plural(max_pods(engine.store())? as u64, "pod", "pods"))
        }
        ExecutorKind::Docker | ExecutorKind::Process => format!("{} at a time", engine.limit()),
    };
    let (kind, version) = (executor.kind, &executor.version);
    let name = if version.is_empty() { kind.to_string() } else { format!("{kind} {version}") };
    cx.notes().line(format!("{name} · {} pending · {limit}", plural(pending, "run", "runs")));
    Ok(())
}

/// Ends everything that an engine runs, at once but in an orderly way; `work` is its main loop.
pub(crate) async fn end_now(engine: &Engine, work: impl Future<Output = engine::Result<()>>) -> Result<()> {
    engine.interrupt();
    // What does not end in time is dropped.
    Ok(tokio::time::timeout(TO_END, work).await.unwrap_or(Ok(()))?)
}
