//! Trials: other data, specs or code, without moving any branch.

use std::time::Duration;

use ::repos::Store;
use ::repos::access::Role;
use answers::trial::{TrialView, trial_view};
use engine::Engine;
use engine::run::Actor;
use engine::trial::{EphemeralTrial, Replacement, Request, Sample, TrialRequest, try_out};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{BranchName, ErrorKind, Glob, PipelineName, Reference, RepoName};

use super::apply::{Sent, SpecFile};
use super::upkeep::{Started, start_waiting};
use crate::caller::Call;
use crate::operation::{Operation, post};
use crate::parts::Json;
use crate::problem::{Problem, Result};
use crate::works::Progress;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/trials", ("tryPipelines", "Try other data, specs or code without moving any branch"), start)
            .needs(Role::Writer),
    ]
}

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(500);

/// What to try.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Trial {
    /// Pipelines to try, with all pipelines between them and what is replaced; empty: everything downstream of that.
    pipelines: Vec<PipelineName>,
    /// Commits in place of heads of branches.
    with: Vec<Replaced>,
    /// Specs in place of the current ones. They may contain any code, so this needs a token of role `admin`.
    specs: Vec<SpecFile>,
    /// Run only so many datums, spread evenly.
    #[schemars(range(min = 1))]
    number: Option<u32>,
    /// Run only datums that read a matching path.
    input: Option<Glob>,
    /// Run only datums that failed in the newest job.
    failed: bool,
}

/// A commit in place of a branch's head.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Replaced {
    /// `REPO@REVISION`.
    commit: Reference,
    /// The branch, if pipelines read several of the repository.
    #[serde(default)]
    branch: Option<BranchName>,
}

impl Replaced {
    fn replacement(self) -> Replacement {
        let repo: RepoName = self.commit.repo.clone();
        match self.branch {
            None => Replacement::Commit(self.commit),
            Some(branch) => Replacement::Branch { branch: (repo, branch), by: self.commit },
        }
    }

    /// As the command line writes it, for the record.
    fn words(&self) -> String {
        match (&self.branch, &self.commit) {
            (Some(branch), Reference { repo, revision: Some(revision), .. }) => format!("{repo}@{branch}={revision}"),
            (_, commit) => commit.to_string(),
        }
    }
}

impl Trial {
    /// The sample; an error if there are several.
    fn sample(&self) -> Result<Sample> {
        match (self.number, &self.input, self.failed) {
            (None, None, false) => Ok(Sample::All),
            (Some(0), ..) => Err(Problem::usage("`number` is 0", "it is the number of datums to run")),
            (Some(number), None, false) => Ok(Sample::Some(number as usize)),
            (None, Some(glob), false) => Ok(Sample::Matching(glob.clone())),
            (None, None, true) => Ok(Sample::Failed),
            _ => Err(Problem::usage("several samples are chosen", "choose one of `number`, `input`, `failed`")),
        }
    }
}

async fn start(call: Call, Json(trial): Json<Trial>) -> Result<Started> {
    let role = if trial.specs.is_empty() { Role::Writer } else { Role::Admin };
    call.ensure(role, true, "this trial")?;
    let (engine, by, access) = (call.engine(), call.actor(None), call.access().clone());
    let (runs_on, who) = (engine.clone(), by.clone());
    let request = call.change(move |store| {
        let sample = trial.sample()?;
        let specs = if trial.specs.is_empty() { None } else { Some(Sent::read(store, &access, trial.specs)?) };
        let refs = trial.pipelines.iter().map(ToString::to_string).chain(trial.with.iter().map(Replaced::words));
        let request = TrialRequest {
            refs: refs.collect(),
            specs: specs.map(|sent| (sent.set, sent.sources)),
            replacements: trial.with.into_iter().map(Replaced::replacement).collect(),
            names: trial.pipelines.into_iter().collect(),
            sample,
            by: who,
        };
        let executor = runs_on.executor_handle();
        let prepared = request.prepare(store, executor.as_ref(), &|_| {}, &|_| {});
        Ok::<_, Problem>(runs_on.runtime().block_on(prepared)?)
    });
    let request = request.await?;
    start_waiting(&call, "try", move |store, progress| async move {
        let runtime = engine.runtime().clone();
        let trying = runtime.spawn(try_it(engine, store, request, by, progress));
        trying.await.map_err(|error| Problem::new(ErrorKind::Failed, error.to_string()))?
    })
}

/// Runs the trial, tells of its progress, and compares its results.
async fn try_it(
    engine: std::sync::Arc<Engine>,
    store: Store,
    request: Request,
    by: Actor,
    progress: Progress,
) -> Result<TrialView> {
    // What it is compared with stays until it is compared.
    let _operation = store.operation();
    let (begun, order) = tokio::sync::watch::channel(None);
    let (ephemeral, on_begin) = (EphemeralTrial::default(), |one: engine::trial::Begun| {
        begun.send_replace(Some(one.order));
    });
    let tried = tokio::select! {
        tried = try_out(&engine, &request, &ephemeral, &by, progress.stopped(), &on_begin) => tried?,
        never = tell(&engine, order, &progress) => never,
    };
    if *progress.stopped().borrow() {
        return Err(Problem::new(ErrorKind::Failed, "it was stopped; finished datums are kept in the cache"));
    }
    let view = tokio::task::spawn_blocking(move || trial_view(&store, &tried)).await;
    Ok(view.map_err(|error| Problem::new(ErrorKind::Failed, error.to_string()))??)
}

/// Tells how many datums of the trial are done, for ever.
async fn tell<T>(engine: &Engine, order: tokio::sync::watch::Receiver<Option<u64>>, progress: &Progress) -> T {
    loop {
        tokio::time::sleep(PROGRESS).await;
        let Some(order) = *order.borrow() else { continue };
        let live = engine.live().all();
        let counts = live.iter().filter(|(key, _)| key.order == order).map(|(_, job)| job.counts);
        let (done, total) = counts.fold((0, 0), |sum, counts| (sum.0 + counts.done(), sum.1 + counts.total));
        progress.tell("datums", done, total);
    }
}
