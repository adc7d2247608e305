//! `pv run`
//!
//! - `living` an engine in this process, also used by `pv serve`
//! - `board` progress of jobs, and a line for each job that ends
//!
//! With nothing to do, no engine starts and no executor is asked, unless the socket of a dead owner shows that there is something to clean
//! up.

mod board;
mod living;

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Instant;

use answers::job::{JobRow, SealedState, Selected, first_cause, newest_of_version, short_job};
use answers::setting::EXECUTOR;
use engine::{Engine, Graph, Selection, apply, time};
use specs::{ErrorKind, PipelineName, ReferenceError, RunId, Target, parse_target};

pub(crate) use board::{Board, news, print_ended};
pub(crate) use living::{end_now, ensure_is_not_for_workers, introduce, limit, with_engine};

use super::failures;
use crate::author::by;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::plural;
use crate::socket;

/// Run all pending jobs to completion
///
/// Exit code 0 means that every selected pipeline is current: its newest job succeeded.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipelines, with everything they depend on, or a run [default: all pending jobs]
    #[arg(value_name = "PIPELINE|@RUN")]
    what: Vec<String>,
    /// Datums to run at a time [default: setting `jobs`, or the number of cores]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// First retry failed jobs that are the newest of their pipeline
    #[arg(long)]
    retry: bool,
    /// Stop after this time, such as `10m`; finished datums are kept for the next run
    #[arg(long, value_name = "D")]
    timeout: Option<specs::Duration>,
}

/// Parses the selection; an empty one means everything.
pub(crate) fn select(store: &Store, what: &[String]) -> Result<Selected> {
    let mut names = BTreeSet::new();
    for word in what {
        match parse_target(word)? {
            Target::Run(run) if what.len() == 1 => {
                return Ok(Selected::of_run(store, &run)?);
            }
            Target::Word(name) => {
                let name: PipelineName = name.parse().map_err(ReferenceError::from)?;
                store.pipeline(&name)?;
                names.insert(name);
            }
            Target::Run(_) | Target::File(_) => {
                return Err(CliError::usage(
                    format!("`{word}` is neither a pipeline nor a run"),
                    "pv run detect, or pv run @RUN",
                ));
            }
        }
    }
    Ok(Selected::of_pipelines(store, names)?)
}

impl Args {
    /// Whether the only changes are those of running jobs.
    pub(crate) fn only_runs(&self) -> bool {
        !self.retry
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout.get());
    let store = cx.store()?;
    let selected = select(store, &args.what)?;
    if selected.names.is_empty() {
        cx.notes().line(match store.pipelines()?.first() {
            None => cx.none_of("pipelines", "there are no pipelines yet; pv pipeline apply -f FILE creates them")?,
            Some(_) if store.is_limited() => "every pipeline that is visible to you is stopped".to_owned(),
            Some((name, _)) => format!("every pipeline is stopped; pv pipeline start {name} starts one"),
        });
        return Ok(());
    }
    tick(cx, store)?;
    if let Some(engine) = cx.engine() {
        return beside(cx, engine, args, selected, deadline);
    }
    if !args.retry && is_idle(store, &selected)? {
        return judge(cx, store, &selected.newest(store)?);
    }
    ensure_is_not_for_workers(store)?;
    with_engine(cx, store, args.jobs, true, async |engine, board| {
        let selected = retry(cx, store, args.retry, selected.clone())?;
        introduce(cx, engine)?;
        let mut work = pin!(engine.run(selected.selection));
        let why = tokio::select! {
            done = &mut work => return Ok(done?),
            Err(error) = board.show() => error,
            why = told_to_stop(cx, deadline) => why,
        };
        end_now(engine, work).await?;
        Err(why)
    })?;
    judge(cx, store, &selected.newest(store)?)
}

/// Whether no engine is needed: no selected job is open, all versions are for the store's executor, and no engine crashed and left its
/// socket behind.
fn is_idle(store: &Store, selected: &Selected) -> Result<bool> {
    if store.open_jobs()?.iter().any(|job| selected.names.contains(&job.pipeline)) || socket::is_there(store) {
        return Ok(false);
    }
    let kind = store.setting(&EXECUTOR)?;
    let graph = Graph::load(store)?;
    Ok(graph.pipelines.values().all(|pipeline| kind == Some(pipeline.version.executor)))
}

/// Runs the selection on the engine that already works in this process.
fn beside(cx: &Context, engine: &Engine, args: &Args, selected: Selected, deadline: Option<Instant>) -> Result<()> {
    let store = cx.store()?;
    selected.names.iter().try_for_each(|name| store.ensure_may_run(name))?;
    let selected = retry(cx, store, args.retry, selected)?;
    // The newest jobs as of now: with a stream of commits there is always a newer one.
    let newest = selected.newest(store)?;
    let mut board = Board::of(cx, engine, engine.pending(&selected.selection)?);
    if let Some(jobs) = args.jobs.filter(|jobs| *jobs as usize != engine.limit()) {
        let limit = plural(engine.limit() as u64, "datum", "datums");
        cx.notes().line(format!("-j {jobs} has no effect here: the engine that runs already runs {limit} at a time"));
    }
    engine.want(selected.selection);
    cx.block_on(super::wait::until_ended(cx, engine, &mut board, deadline))??;
    let newest = newest.iter().map(|job| store.job(job.order, &job.pipeline)).collect::<Result<Vec<_>, _>>()?;
    judge(cx, store, &newest.into_iter().flatten().collect::<Vec<_>>())
}

/// Waits for a signal or the deadline.
async fn told_to_stop(cx: &Context, deadline: Option<Instant>) -> CliError {
    tokio::select! {
        () = cx.cancel().asked(1) => {
            cx.notes().farewell("stopping; finished datums are kept, and the next pv run continues");
            CliError::Cancelled
        }
        () = until(deadline) => {
            let error = CliError::new(ErrorKind::TimedOut, "timed out");
            error.hint("pv run continues where this stopped").done("finished datums are kept")
        }
    }
}

/// Waits until the deadline; forever without one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Runs one run to its end, in this process or in the one that already runs jobs.
pub(crate) fn bring_to_end(cx: &Context, run: &RunId) -> Result<()> {
    self::run(cx, &Args { what: vec![format!("@{run}")], jobs: None, retry: false, timeout: None })
}

/// Publishes the due ticks and triggers: without a permanent engine they may be overdue.
fn tick(cx: &Context, store: &Store) -> Result<()> {
    let now = store.clock().now();
    for run in time::due(store, now, now, &by(cx, None))? {
        let cause = store.run(&run)?.cause;
        cx.notes().line(format!("run {}: {} {}", store.short_run(&run)?, cause.kind.word(), cause.refs.join(" ")));
    }
    Ok(())
}

/// Retries the newest failed jobs if wanted. These become new runs, so a selected run is replaced by its pipelines.
fn retry(cx: &Context, store: &Store, wanted: bool, selected: Selected) -> Result<Selected> {
    if !wanted {
        return Ok(selected);
    }
    let order = Graph::load(store)?;
    for pipeline in order.in_order().into_iter().filter(|pipeline| selected.names.contains(pipeline.name())) {
        let newest = newest_of_version(store, pipeline.name())?;
        if let Some(job) = newest.filter(|job| job.sealed == Some(SealedState::Failure)) {
            let run = apply::retry(store, &job, None, &by(cx, None), None)?;
            cx.notes().line(format!("retrying {}@{} as run {}", job.pipeline, job.run.short(8), run.short(8)));
        }
    }
    Ok(match selected {
        Selected { selection: Selection::Run(_), names } => {
            Selected { selection: Selection::Pipelines(names.clone()), names }
        }
        selected => selected,
    })
}

/// Reports which of these jobs did not succeed.
fn judge(cx: &Context, store: &Store, jobs: &[JobRow]) -> Result<()> {
    cx.out().flush()?;
    judge_jobs(store, jobs)
}

/// An error unless all these jobs succeeded; it names the job that most likely caused the other failures.
pub(crate) fn judge_jobs(store: &Store, jobs: &[JobRow]) -> Result<()> {
    let Some((job, others)) = first_cause(jobs) else { return Ok(()) };
    let name = short_job(store, job)?;
    let state = match job.sealed {
        None => "has not ended",
        Some(SealedState::Killed) => "was killed",
        Some(SealedState::Unrunnable) => "is unrunnable",
        Some(SealedState::Failure | SealedState::Success) => "failed",
    };
    let reason = failures::reason(store, job)?;
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    let datums = failures::failed_lines(store, None, job)?;
    let mut message = format!("job `{name}` {state}{reason}");
    for line in &datums {
        message.push('\n');
        message.push_str(line);
    }
    if others > 0 {
        message.push_str(&format!("\n{} did not succeed either", plural(others, "other job", "other jobs")));
    }
    let hint = if datums.is_empty() { format!("pv job show {name}") } else { failures::hint(store, job)? };
    Err(CliError::new(ErrorKind::Failed, message).hint(hint))
}
