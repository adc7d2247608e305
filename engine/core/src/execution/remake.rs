//! Restores content that is damaged or missing: an output is restored by executing its recipe again.
//!
//! The lineage of a file's commit names the result, with recipe and job; the job's commit names the inputs. Only identical bytes can
//! restore anything, so nothing is trusted here: new outputs that did not exist before are discarded.
//!
//! Recipes that may use the network, which is the default of stages, are executed only if the caller allows it (`--network`).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repos::Store;
use repos::documents::{Recipe, ResultDocument, Transform};
use repos::fsck::repair::Done;
use repos::fsck::{Dependent, Problem, Report, Subject};
use repos::object::Kind;
use repos::tree::{Map, Tree};
use specs::{Digest, Network};

use super::datum::DatumContext;
use super::job::{JobSettings, confide, sandbox_spec};
use super::mask::Mask;
use super::pool::Pool;
use super::skip::Skipped;
use crate::blocking::blocking;
use crate::datums::{InputMatch, match_at};
use crate::error::{EngineError, Result};
use crate::executors::Executors;
use crate::graph::Pipeline;
use crate::live::{JobKey, Live};
use crate::recipe::{Leaf, RecipeBuilder};
use sandbox::Executor;

/// Restores missing content where there is a recipe, and reports the outcome for every object in the report.
///
/// Datums with network access are executed only with `network`: they can have external effects, such as a second mail.
///
/// Must run on a multi-threaded runtime. The caller holds the store's lock and makes what was written durable.
pub async fn remake(store: &Store, report: &Report, executors: &Executors, network: bool) -> Result<Vec<Done>> {
    let mut open: Vec<&Problem> = report.problems.iter().filter(|problem| problem.subject.object().is_some()).collect();
    let mut done = Vec::new();
    let mut reasons: BTreeMap<Subject, String> = BTreeMap::new();
    // An output may depend on another that must be restored first.
    loop {
        let before = open.len();
        let mut tried: BTreeMap<Digest, Result<String, String>> = BTreeMap::new();
        for problem in std::mem::take(&mut open) {
            match one(store, problem, (executors, network), &mut tried).await {
                Ok(how) => done.push(Done { subject: problem.subject, how, is_healed: true }),
                Err(why) => {
                    reasons.insert(problem.subject, why);
                    open.push(problem);
                }
            }
        }
        if open.is_empty() || open.len() == before {
            break;
        }
    }
    for executor in [&executors.docker, &executors.process, &executors.workers] {
        if executor.check().await.is_ok() {
            executor.clean_up(&BTreeSet::new()).await?;
        }
    }
    done.extend(open.into_iter().map(|problem| Done {
        subject: problem.subject,
        how: reasons.remove(&problem.subject).unwrap_or_default(),
        is_healed: false,
    }));
    Ok(done)
}

/// Restores one object; returns how, or why not.
async fn one(
    store: &Store,
    problem: &Problem,
    (executors, network): (&Executors, bool),
    tried: &mut BTreeMap<Digest, Result<String, String>>,
) -> Result<String, String> {
    let (kind, digest) = problem.subject.object().expect("only objects are asked for");
    let is_there = || store.contains(kind, &digest).unwrap_or(false) || store.has_content(&digest).unwrap_or(false);
    let mut why = "no record tells how to make it again".to_owned();
    if matches!(kind, Kind::Chunk | Kind::Manifest) {
        "no recipe made it; a pv put of the same content repairs it".clone_into(&mut why);
    }
    for dependent in &problem.needed_by {
        let Some(result) = result_of(store, dependent).unwrap_or_else(|error| {
            why = error.to_string();
            None
        }) else {
            continue;
        };
        let made = match tried.entry(result) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(made) => made.insert(run_again(store, &result, executors, network).await),
        };
        match made {
            Ok(how) if is_there() => return Ok(how.clone()),
            Ok(how) => why = format!("{how}, which did not produce it"),
            Err(error) => why.clone_from(error),
        }
    }
    Err(format!("cannot be repaired: {why}"))
}

/// The result that wrote a file of an output commit.
fn result_of(store: &Store, dependent: &Dependent) -> Result<Option<Digest>> {
    let (Some(commit), Some(path)) = (dependent.commit, &dependent.path) else { return Ok(None) };
    let lineage = store.commit(&commit)?.lineage;
    Ok(match lineage {
        Some(lineage) => Map::<Digest>::at(lineage).get(store, path.as_str().as_bytes())?,
        None => None,
    })
}

/// Executes the recipe of a result again, in a fresh sandbox of the executor that made it: returns the root of its new outputs, `None` if
/// it fails. An error says why it cannot be executed.
pub async fn again(store: &Store, result: &Digest, executors: &Executors) -> Result<Option<Digest>> {
    let prepared = blocking(|| prepare(store, result))?;
    let executor = executors.ready(prepared.result.executor.kind).await?;
    prepared.run(store, executor).await
}

/// Executes the recipe of a result in the executor that made it; returns what was done, or why it was not possible.
async fn run_again(store: &Store, result: &Digest, executors: &Executors, network: bool) -> Result<String, String> {
    let prepared = blocking(|| prepare(store, result)).map_err(|error| error.to_string())?;
    let transform = store.document::<Transform>(&prepared.pipeline.version.transform);
    if transform.map_err(|error| error.to_string())?.network != Network::None && !network {
        let words = format!("{} again (datum {})", prepared.result.pipeline, prepared.result.recipe.short(8));
        return Err(format!("running {words} would use the network: --network runs it"));
    }
    let executor = executors.ready(prepared.result.executor.kind).await;
    let executor = executor.map_err(|error| format!("the executor that made it cannot be used: {error}"))?;
    let words = format!("running {} again (datum {})", prepared.result.pipeline, prepared.result.recipe.short(8));
    match prepared.run(store, executor).await {
        Ok(outputs) if outputs == prepared.result.outputs => Ok(format!("remade by {words}")),
        Ok(Some(_)) => Err(format!("{words} gives different content")),
        Ok(None) => Err(format!("{words} fails")),
        Err(error) => Err(format!("{words}: {error}")),
    }
}

/// A result whose recipe can be executed again.
struct Again {
    result: ResultDocument,
    pipeline: Arc<Pipeline>,
    leaves: Vec<Leaf>,
    inputs: Vec<InputMatch>,
    order: u64,
}

fn lost(what: impl Into<String>) -> EngineError {
    repos::RepoError::NotFound { what: what.into(), hint: None }.into()
}

fn prepare(store: &Store, result: &Digest) -> Result<Again> {
    let result: ResultDocument = store.document(result)?;
    let recipe: Recipe = store.document(&result.recipe.digest())?;
    let pipeline = Arc::new(Pipeline::load_version(store, &result.pipeline, result.version)?);
    if pipeline.version.transform != recipe.transform {
        return Err(lost("the pipeline's version is not the one that ran"));
    }
    let order = store.run(&result.run)?.order;
    let job = store.job(order, &result.pipeline)?.ok_or_else(|| lost("its job is unknown"))?;
    let commit = job.commit.ok_or_else(|| lost("its job has no commit that records the inputs"))?;
    let provenance = store.commit(&commit)?.provenance;
    let mut leaves = Vec::new();
    let mut inputs = Vec::new();
    for input in pipeline.spec.input.leaves() {
        let branch = pipeline.input_branch(input);
        let origin = provenance.iter().find(|origin| (&origin.repo, &origin.branch) == (&branch.0, &branch.1));
        let commit = origin.map(|origin| origin.commit).ok_or_else(|| lost("an input of its job is unknown"))?;
        let tree = Tree::at(store.commit(&commit)?.tree);
        leaves.push(Leaf { input: input.clone(), branch, commit: Some(commit), tree });
    }
    let within = recipe.inputs.iter().map(|input| (&input.name, &input.path, &input.key));
    let beside = result.references.iter().map(|input| (&input.input, &input.path, &None));
    for (name, path, key) in within.chain(beside) {
        // Inputs of a union may share their name.
        let mut found = None;
        for (number, leaf) in leaves.iter().enumerate().filter(|(_, leaf)| leaf.input.name == *name) {
            if let Some(matched) = match_at(store, leaf.tree, path)? {
                found = Some(InputMatch { leaf: number, path: path.clone(), matched, key: key.clone() });
                break;
            }
        }
        inputs.push(found.ok_or_else(|| lost(format!("its input `{name}:{path}` is missing")))?);
    }
    inputs.sort_by_key(|input| input.leaf);
    Ok(Again { result, pipeline, leaves, inputs, order })
}

impl Again {
    /// The root of its new outputs; `None` if it fails.
    async fn run(&self, store: &Store, executor: Arc<dyn Executor>) -> Result<Option<Digest>> {
        let datums = blocking(|| self.context(store, executor))?;
        let prepared = datums.recipes.preview(&self.inputs)?;
        if prepared.id != self.result.recipe {
            return Err(lost("its inputs give a different recipe"));
        }
        let mut seats = datums.seats();
        let tried = datums.try_out(&self.inputs, &prepared, &mut seats).await;
        let closed = seats.close().await;
        datums.pool.close_all().await;
        closed?;
        Ok(tried?.outputs.map(|outputs| blocking(|| datums.keep_outputs(&outputs))).transpose()?)
    }

    fn context(&self, store: &Store, executor: Arc<dyn Executor>) -> Result<DatumContext> {
        let settings = JobSettings::of(store)?;
        let confided = confide(store, &self.pipeline)?;
        let version = &self.pipeline.version;
        let transform: Transform = store.document(&version.transform)?;
        Ok(DatumContext {
            store: store.clone(),
            pool: Arc::new(Pool::new(executor)),
            slots: None,
            pipeline: self.pipeline.clone(),
            recipes: RecipeBuilder::new(store.clone(), version.transform, self.leaves.clone()),
            job: JobKey { order: self.order, pipeline: self.result.pipeline.clone() },
            run: self.result.run,
            executor: self.result.executor.clone(),
            network: transform.network,
            sandbox: Arc::new(sandbox_spec(store, &self.pipeline, &transform, settings.readable)?),
            mask: Mask::of(&confided.values),
            confided,
            cmd: self.pipeline.command(),
            reprocess: true,
            again: None,
            log_max: settings.log_max,
            limits: settings.limits,
            live: Live::default(),
            skipped: Skipped::default(),
        })
    }
}
