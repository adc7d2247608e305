//! `pv try`
//!
//! - `request` from arguments to the trial request
//! - `log` the output of user code
//! - `shown` the result

mod log;
mod request;
mod shown;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use answers::trial::{Verdict, trial_view};
use engine::Engine;
use engine::live::JobState;
use engine::run::Actor;
use engine::trial::{Begun, EphemeralTrial, Out, Request, TrialRequest, Tried, try_out};
use specs::{ErrorKind, Glob, PipelineName};
use tokio::sync::{mpsc, watch};

use self::log::Log;
use self::request::{parse_mount, prepare};
use super::pipeline::sources::Specs;
use super::run::{end_now, ensure_is_not_for_workers, with_engine};
use crate::author::by;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};

/// Try other data, specs or code without moving any branch
///
/// Other jobs do not wait for a try. Its results are cached: if you adopt the change, no datum runs again. At the end, pv compares the
/// outputs with the current ones. With -n, --input or --failed no commit is made.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipelines to try, with all pipelines between them and the replaced inputs [default: all downstream]
    #[arg(value_name = "PIPELINE")]
    pipelines: Vec<PipelineName>,
    /// Replacement: a commit for a branch's head (`model@candidate`, or `images@main=REV` if several branches are read), or a spec file or
    /// folder; may be repeated
    #[arg(long, value_name = "REF|SPEC")]
    with: Vec<String>,
    /// Run only N datums, spread evenly
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..), group = "sample")]
    number: Option<u32>,
    /// Run only datums that read a matching path
    #[arg(long, value_name = "GLOB", group = "sample")]
    input: Option<Glob>,
    /// Run only datums that failed in the newest job
    #[arg(long, group = "sample")]
    failed: bool,
    /// Mount a local folder in the sandbox, read-only, such as `./src:/code`; keeps no results
    #[arg(long, value_name = "DIR:/PATH", value_parser = parse_mount)]
    mount: Vec<(PathBuf, PathBuf)>,
    /// Write the outputs to a local folder; keeps no results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Open a shell in the sandbox of the first datum, with its inputs in /pfs; Ctrl-D ends it; keeps no results
    #[arg(long)]
    shell: bool,
}

/// Reads what the command reads from the caller's machine.
pub(super) fn read_files(args: &Args, cx: &Context) -> Result<Option<Specs>> {
    request::read_files(args, cx)
}

impl Args {
    /// Where the outputs are written.
    pub(super) fn out(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    /// Whether other code than that of applied pipelines may run.
    pub(super) fn brings_code(&self) -> bool {
        // Which word names specs depends on the caller's files.
        let may_be_specs = |word: &String| !word.contains('@') || word.contains('/') || word.contains('.');
        self.shell || !self.mount.is_empty() || self.with.iter().any(may_be_specs)
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    // Garbage collection must keep the results and what they are compared with until they are printed.
    let _operation = store.operation();
    let (bound, asked) = (args.ephemeral(cx)?, args.asked(cx)?);
    // The first signal stops the trial in an orderly way.
    cx.cancel().heed(1);
    let tried = if let Some(engine) = cx.engine_handle() {
        beside(cx, args.shell, &engine, &asked, bound.trial.clone())?
    } else {
        ensure_is_not_for_workers(store)?;
        let mut tried = None;
        with_engine(cx, store, None, true, async |engine, _| {
            let (stop, stopped) = watch::channel(false);
            let (begun, begins) = mpsc::unbounded_channel();
            let request = prepare(cx, &asked, store, engine.executor_handle().as_ref()).await?;
            let who = by(cx, None);
            let log = Log::new(cx, begins, args.shell);
            let attend = pin!(engine.attend());
            let on_begin = |one: Begun| {
                begun.send((one, engine.live().expect(one.order))).ok();
            };
            let work = try_out(engine, &request, &bound.trial, &who, stopped, &on_begin);
            let work = log.beside(cx, store, work, stop);
            let mut attend = attend;
            tried = Some(tokio::select! {
                tried = work => tried?,
                ended = &mut attend => return Err(ended.err().map_or(CliError::Cancelled, CliError::from)),
            });
            // Clients with other work here continue on their own.
            end_now(engine, attend).await
        })?;
        tried.ok_or(CliError::Cancelled)?
    };
    if let (Some(Out::Elsewhere), Some(far)) = (&bound.trial.out, cx.invocation().client.is_far()) {
        // The client reports its own errors.
        far.get(tried.loose_files(), true).map_err(|_| CliError::Cancelled)?;
    }
    finish(cx, args, store, &tried)
}

/// Runs the trial on the engine of the process that owns the store.
fn beside(
    cx: &Context,
    is_shell: bool,
    engine: &Arc<Engine>,
    asked: &TrialRequest,
    ephemeral: EphemeralTrial,
) -> Result<Tried> {
    let store = cx.store()?.clone();
    let (stop, stopped) = watch::channel(false);
    let (begun, begins) = mpsc::unbounded_channel();
    let log = Log::new(cx, begins, is_shell);
    let who = by(cx, None);
    cx.block_on(async {
        let request = prepare(cx, asked, &store, engine.executor_handle().as_ref()).await?;
        let work = on_engine(engine.clone(), request, ephemeral, who, stopped, begun);
        log.beside(cx, &store, work, stop).await
    })?
}

/// The work needs the threads of the engine's own runtime.
async fn on_engine(
    engine: Arc<Engine>,
    request: Request,
    ephemeral: EphemeralTrial,
    who: Actor,
    stopped: watch::Receiver<bool>,
    begun: mpsc::UnboundedSender<log::Began>,
) -> engine::Result<Tried> {
    let runtime = engine.runtime().clone();
    let work = runtime.spawn(async move {
        let on_begin = |one: Begun| {
            begun.send((one, engine.live().expect(one.order))).ok();
        };
        try_out(&engine, &request, &ephemeral, &who, stopped, &on_begin).await
    });
    work.await.map_err(|error| engine::EngineError::Stopped(error.to_string()))?
}

/// Reports the result; an error unless everything succeeded.
fn finish(cx: &Context, args: &Args, store: &Store, tried: &Tried) -> Result<()> {
    if cx.cancel().is_asked() {
        cx.notes().farewell("stopped; finished datums are kept in the cache");
        return Err(CliError::Cancelled);
    }
    if args.shell {
        cx.notes().line("results are not kept");
        return Ok(());
    }
    let tried = trial_view(store, tried)?;
    shown::print(cx, store, &tried)?;
    let Some(bad) = tried.jobs.iter().find(|job| job.state != JobState::Success) else {
        return Ok(());
    };
    let reason = bad.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let error = CliError::new(ErrorKind::Failed, format!("{} did not succeed{reason}", bad.pipeline));
    // `--failed` means the pipeline's own newest job; the log of a trial is found by its datums.
    let failed =
        bad.compared.iter().flat_map(|compared| &compared.datums).find(|datum| datum.verdict == Verdict::Failed);
    Err(match failed.filter(|_| tried.run.is_some()) {
        Some(datum) => error.hint(format!("pv logs {}      full output", datum.id.short(8))),
        None => error,
    })
}
