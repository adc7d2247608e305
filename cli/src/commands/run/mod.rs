//! `pv run`
//!
//! - `board` how far jobs are, while people watch; a line for each job that ends

mod board;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, EngineError, Graph, Selection, apply, time};
use repos::journal::SealedState;
use repos::{JobRow, Store};
use specs::{ErrorKind, PipelineName, ReferenceError, RunId, Target, parse_target};

pub(crate) use board::{Board, print_ended};

use super::failures;
use super::settle::{keep, settle};
use crate::author::by;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, plural};
use crate::socket;

/// How long what runs may take to end in order.
const TO_END: Duration = Duration::from_secs(10);
/// Time between two looks at what nobody tells: the terminal, Ctrl-C, the time given.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Run what is pending to its end
///
/// Exit code 0 says that every selected pipeline is current: its newest job succeeded.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipelines, with all that they need, or a run; else everything that is pending
    #[arg(value_name = "PIPELINE|@RUN")]
    what: Vec<String>,
    /// Datums at a time; else the setting `jobs`, else one for each core
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// First retry the newest jobs that failed
    #[arg(long)]
    retry: bool,
    /// Stop after this time, such as `10m`; what is done is kept, and the next run goes on
    #[arg(long, value_name = "D")]
    timeout: Option<specs::Duration>,
}

/// What a run is to bring to its end.
pub(crate) struct Selected {
    pub(crate) selection: Selection,
    /// The pipelines whose newest jobs say how it ended.
    pub(crate) names: BTreeSet<PipelineName>,
}

/// Reads what was selected; nothing is everything.
pub(crate) fn select(store: &Store, what: &[String]) -> Result<Selected> {
    let mut names = BTreeSet::new();
    for word in what {
        match parse_target(word)? {
            Target::Run(run) if what.len() == 1 => {
                let run = store.run(&store.run_by_prefix(&run.0)?)?;
                let names = run.jobs.into_iter().map(|job| job.pipeline).collect();
                return Ok(Selected { selection: Selection::Run(run.run), names });
            }
            Target::Word(name) => {
                let name: PipelineName = name.parse().map_err(ReferenceError::from)?;
                store.pipeline(&name)?;
                names.insert(name);
            }
            Target::Run(_) | Target::File(_) => {
                return Err(CliError::usage(
                    format!("`{word}` is neither a pipeline nor a single run"),
                    "pv run detect, or pv run @RUN",
                ));
            }
        }
    }
    if names.is_empty() {
        // A stopped one is as somebody wants it to be.
        let at_work = store.pipelines()?.into_iter().filter(|(_, row)| !row.is_stopped());
        return Ok(Selected { selection: Selection::All, names: at_work.map(|(name, _)| name).collect() });
    }
    if let Some(name) = names.iter().find(|name| store.pipeline(name).is_ok_and(|row| row.is_stopped())) {
        let error = CliError::new(ErrorKind::Conflict, format!("pipeline `{name}` is stopped"));
        return Err(error.hint(format!("pv pipeline start {name}")));
    }
    Ok(Selected { selection: Selection::Pipelines(names.clone()), names })
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout.get());
    let store = cx.store()?;
    let selected = select(store, &args.what)?;
    if selected.names.is_empty() {
        cx.notes().line(match store.pipelines()?.first() {
            None => "there are no pipelines yet; pv pipeline apply -f FILE makes some".to_owned(),
            Some((name, _)) => format!("every pipeline is stopped; pv pipeline start {name} starts one"),
        });
        return Ok(());
    }
    tick(cx, store)?;
    if let Some(engine) = cx.engine() {
        // Another `pv run` is at work, and this is that process: it does these jobs too.
        retry(cx, store, args.retry, &selected)?;
        engine.want(selected.selection.clone());
        super::wait::until_ended(cx, engine, &selected, deadline)?;
    } else {
        store.own()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
        let done = runtime.block_on(own_run(cx, store, args, &selected, deadline));
        runtime.shutdown_timeout(Duration::from_secs(2));
        done?;
    }
    judge(cx, store, &selected.names)
}

/// Brings one run to its end, in this process or in the one that runs jobs already.
pub(crate) fn bring_to_end(cx: &Context, run: &RunId) -> Result<()> {
    self::run(cx, &Args { what: vec![format!("@{run}")], jobs: None, retry: false, timeout: None })
}

/// Makes the ticks and takes the commits that are due. Whoever runs only now and then missed them.
fn tick(cx: &Context, store: &Store) -> Result<()> {
    let now = store.clock().now();
    for run in time::due(store, now, now, &by(cx, None))? {
        let cause = store.run(&run)?.cause;
        cx.notes().line(format!("run {}: {} {}", store.short_run(&run)?, cause.kind.word(), cause.refs.join(" ")));
    }
    Ok(())
}

fn retry(cx: &Context, store: &Store, wanted: bool, selected: &Selected) -> Result<()> {
    if !wanted {
        return Ok(());
    }
    let order = Graph::load(store)?;
    for pipeline in order.in_order().into_iter().filter(|pipeline| selected.names.contains(pipeline.name())) {
        let newest = store.newest_job(pipeline.name())?;
        if let Some(job) = newest.filter(|job| job.sealed == Some(SealedState::Failure)) {
            let run = apply::retry(store, &job, &by(cx, None))?;
            cx.notes().line(format!("retrying {}@{} as run {}", job.pipeline, job.run.short(8), run.short(8)));
        }
    }
    Ok(())
}

async fn own_run(
    cx: &Context,
    store: &Store,
    args: &Args,
    selected: &Selected,
    deadline: Option<Instant>,
) -> Result<()> {
    let settled = settle(cx, store).await?;
    keep(cx, store, &settled)?;
    let kind = settled.executor.kind();
    let who = by(cx, None);
    if let Some(applied) = apply::refresh_versions(store, &*settled.executor, &who, &|_| {}).await? {
        for pipeline in applied.pipelines {
            cx.notes().line(format!("{} {}: the executor is {kind} now", pipeline.name, pipeline.version));
        }
    }
    retry(cx, store, args.retry, selected)?;
    let limit = limit(store, args.jobs)?;
    let engine = Arc::new(Engine::new(store.clone(), who, settled.executor, limit).await?);
    let serving =
        socket::serve(&engine).map_err(|error| CliError::io("cannot answer on the store's socket", &error))?;
    let pending = store.open_jobs()?.iter().map(|job| job.order).collect::<BTreeSet<_>>().len() as u64;
    cx.notes().line(format!(
        "{kind} {} · {} pending · {limit} at a time",
        engine.executor().version,
        plural(pending, "run", "runs")
    ));
    let mut board = Board::new(cx, &engine)?;
    let done = drive(cx, &engine, selected.selection.clone(), &mut board, deadline).await;
    // Nobody may be there to see it; what runs is ended all the same.
    let shown = board.finish();
    engine.close().await;
    let cleaned = engine.executor_handle().clean_up(&BTreeSet::new()).await;
    drop(serving);
    done?;
    shown?;
    Ok(cleaned.map_err(EngineError::from)?)
}

pub(crate) fn limit(store: &Store, given: Option<u32>) -> Result<usize> {
    let set = store.setting("jobs")?.and_then(|text| text.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(given.map(|jobs| jobs as usize).or(set).filter(|jobs| *jobs > 0).unwrap_or_else(cores))
}

/// Runs the engine to its end while people watch.
async fn drive(
    cx: &Context,
    engine: &Engine,
    selection: Selection,
    board: &mut Board<'_>,
    deadline: Option<Instant>,
) -> Result<()> {
    let mut run = pin!(engine.run(selection));
    let why = tokio::select! {
        done = &mut run => return Ok(done?),
        why = interrupted(cx, board, deadline) => why?,
    };
    engine.interrupt();
    // Whatever does not end in that time is dropped.
    tokio::time::timeout(TO_END, run).await.unwrap_or(Ok(()))?;
    Err(why)
}

/// Shows what goes on until there is a reason to stop.
async fn interrupted(cx: &Context, board: &mut Board<'_>, deadline: Option<Instant>) -> Result<CliError> {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        if cx.cancel().is_asked() {
            cx.notes().farewell("stopping; finished datums are kept, and the next pv run goes on");
            return Ok(CliError::Cancelled);
        }
        tokio::task::block_in_place(|| board.look())?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let error = CliError::new(ErrorKind::TimedOut, "the time given was not enough");
            return Ok(error.hint("pv run goes on where this stopped").done("finished datums are kept"));
        }
    }
}

/// Says which selected pipeline is not current.
fn judge(cx: &Context, store: &Store, names: &BTreeSet<PipelineName>) -> Result<()> {
    cx.out().flush()?;
    let newest = names.iter().map(|name| store.newest_job(name)).collect::<Result<Vec<_>, _>>()?;
    judge_jobs(store, &newest.into_iter().flatten().collect::<Vec<_>>())
}

/// An error when not all of these jobs succeeded, about the one that is most likely the cause of the others.
pub(crate) fn judge_jobs(store: &Store, jobs: &[JobRow]) -> Result<()> {
    let bad: Vec<&JobRow> = jobs.iter().filter(|job| job.sealed != Some(SealedState::Success)).collect();
    let Some(job) = bad.iter().min_by_key(|job| (rank(job.sealed), job.order)) else { return Ok(()) };
    let name = format!("{}@{}", job.pipeline, job.run.short(8));
    let state = match job.sealed {
        None => "has not ended",
        Some(SealedState::Killed) => "was killed",
        Some(SealedState::Unrunnable) => "is unrunnable",
        Some(SealedState::Failure | SealedState::Success) => "failed",
    };
    let reason = failures::reason(store, job)?;
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    let datums = failures::failed_datums(store, job)?;
    let mut message = format!("job `{name}` {state}{reason}");
    for line in &datums {
        message.push('\n');
        message.push_str(line);
    }
    if bad.len() > 1 {
        message
            .push_str(&format!("\n{} did not succeed either", plural(bad.len() as u64 - 1, "other job", "other jobs")));
    }
    let hint = if datums.is_empty() {
        format!("pv job show {name}")
    } else {
        format!("pv logs {0} --failed      all it said\npv job retry {0}          when the cause is gone", job.pipeline)
    };
    Err(CliError::new(ErrorKind::Failed, message).hint(hint))
}

/// Causes before effects.
fn rank(state: Option<SealedState>) -> u8 {
    match state {
        Some(SealedState::Failure) => 0,
        Some(SealedState::Killed) => 1,
        Some(SealedState::Unrunnable) => 2,
        None => 3,
        Some(SealedState::Success) => 4,
    }
}
