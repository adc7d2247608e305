//! The outlook: what would run, why, and about how long, without running anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use repos::documents::{Recipe, ResultDocument};
use repos::tree::{KeyRange, Tree};
use repos::{JobRow, RepoError, Store};
use serde::{Deserialize, Serialize};
use specs::spec::PfsInput;
use specs::{CommitId, DatumId, Digest, FilePath, PipelineName, RunId};

use crate::cache::cached;
use crate::datums::{Arm, DatumKey, prefix};
use crate::error::Result;
use crate::explain::{changes_of_recipe, words_of};
use crate::generations::{Readiness, inputs_of};
use crate::graph::{Graph, Pipeline};
use crate::plan::{Base, Plan, plan};
use crate::queries::result_in;
use crate::recipe::{Kitchen, Leaf};

/// Past datums that an estimate of time looks at.
const SAMPLE: usize = 20;

/// What a job would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its run; absent for one that is not pending.
    #[serde(rename = "in_run", skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Datums to execute; at most so many when `at_most`.
    #[serde(rename = "run")]
    pub executes: u64,
    /// Datums from the base or the cache.
    pub cached: u64,
    /// Datums that are gone.
    pub removed: u64,
    /// What there is anything to do for.
    pub why: String,
    /// Why datums would be executed, or go: `new`, `changed: images`, `new version: cmd, env`, `recovered`, `removed`; each with how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<OutlookReason>,
    /// About how long it takes at the given parallelism; absent when nothing like it ran before.
    pub seconds_estimate: Option<f64>,
    /// Whether it depends on what pipelines above it will give.
    pub at_most: bool,
    /// The datums one by one, when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datums: Vec<OutlookDatum>,
}

/// What would become of a datum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutlookDatum {
    /// Its id.
    pub id: DatumId,
    /// The matched path of each input.
    pub inputs: Vec<OutlookInput>,
    /// Whether it would be executed; else the cache has it.
    pub executes: bool,
    /// Why, as in the roll-up.
    pub why: String,
}

/// Why some datums would be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlookReason {
    /// In words.
    pub why: String,
    /// How many.
    pub datums: u64,
}

/// The matched path of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlookInput {
    /// The input's name.
    pub input: String,
    /// The path.
    pub path: FilePath,
}

/// What the open jobs would do, in the order in which they would; only those of `names`, unless it is empty.
pub fn pending(store: &Store, names: &BTreeSet<PipelineName>, each: bool, limit: usize) -> Result<Vec<Outlook>> {
    let open = store.open_jobs()?;
    let mut outlooks = Vec::new();
    for job in &open {
        if !names.is_empty() && !names.contains(&job.pipeline) {
            continue;
        }
        let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
        let outlook = match inputs_of(store, &pipeline, job, &open)? {
            Readiness::Ready(leaves) => {
                let why = why_pending(store, job)?;
                Outlook { run: Some(job.run), ..of_inputs(store, &pipeline, leaves, why, each, limit)? }
            }
            Readiness::Unrunnable { reason } => bounded(store, &pipeline, Some(job.run), reason, 0, limit)?,
            Readiness::Waits { reason } => {
                let upstream = reason.trim_start_matches("for ").to_owned();
                let above = outlooks.iter().rev().find(|above: &&Outlook| above.pipeline.as_str() == upstream);
                let more = above.map_or(0, |above| above.executes);
                bounded(store, &pipeline, Some(job.run), format!("as far as {upstream} changes"), more, limit)?
            }
        };
        outlooks.push(outlook);
    }
    Ok(outlooks)
}

/// What the jobs would do that follow when `changed` pipelines became what they are in `graph`, on the present data.
pub fn proposed(
    store: &Store,
    graph: &Graph,
    changed: &BTreeSet<PipelineName>,
    each: bool,
    limit: usize,
) -> Result<Vec<Outlook>> {
    let affected = graph.downstream(changed);
    let mut outlooks: Vec<Outlook> = Vec::new();
    for pipeline in graph.in_order().into_iter().filter(|pipeline| affected.contains(pipeline.name())) {
        let upstream = pipeline.input_branches().iter().find_map(|branch| {
            let writer = graph.writer(branch)?;
            affected.contains(writer.name()).then(|| writer.name().clone())
        });
        outlooks.push(if let Some(upstream) = upstream {
            let above = outlooks.iter().find(|above| above.pipeline == upstream);
            let more = above.map_or(0, |above| above.executes);
            bounded(store, pipeline, None, format!("as far as {upstream} changes"), more, limit)?
        } else {
            let why = if store.find_pipeline(pipeline.name())?.is_some() { "a new version" } else { "a new pipeline" };
            of_inputs(store, pipeline, present_inputs(store, pipeline)?, why.to_owned(), each, limit)?
        });
    }
    Ok(outlooks)
}

/// The inputs of a pipeline at the present heads.
fn present_inputs(store: &Store, pipeline: &Pipeline) -> Result<Vec<Leaf>> {
    let leaf = |input: &PfsInput| {
        let branch = pipeline.input_branch(input);
        let commit = store.find_branch(&branch.0, &branch.1)?.and_then(|row| row.commit);
        let tree =
            commit.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
        Ok(Leaf { input: input.clone(), branch, commit, tree })
    };
    pipeline.spec.input.leaves().into_iter().map(leaf).collect()
}

fn why_pending(store: &Store, job: &JobRow) -> Result<String> {
    let cause = store.run(&job.run)?.cause;
    Ok(format!("{} {}", cause.kind.word(), cause.refs.join(" ")).trim_end().to_owned())
}

/// What a job of this pipeline would do with these inputs.
pub fn of_inputs(
    store: &Store,
    pipeline: &Pipeline,
    leaves: Vec<Leaf>,
    why: String,
    each: bool,
    limit: usize,
) -> Result<Outlook> {
    let (repo, branch) = pipeline.output_branch();
    let parent =
        if store.has_repo(&repo)? { store.find_branch(&repo, &branch)?.and_then(|row| row.commit) } else { None };
    let plan = plan(store, pipeline, &leaves, parent)?;
    let kitchen = Kitchen::new(store.clone(), pipeline.version.transform, leaves);
    let mut reasons = Reasons { store, plan: &plan, versions: HashMap::new(), counts: BTreeMap::new() };
    let (mut executes, mut known, mut datums) = (0, 0, Vec::new());
    for (key, arms) in &plan.todo {
        let prepared = kitchen.outlook(&arms)?;
        let runs = cached(store, pipeline, &prepared.id)?.is_none();
        let reason = if runs { reasons.of(&key, &prepared.recipe)? } else { "the cache has it".to_owned() };
        if runs {
            executes += 1;
            *reasons.counts.entry(reason.clone()).or_default() += 1;
        } else {
            known += 1;
        }
        if each {
            let name = |arm: &Arm| kitchen.leaves()[arm.leaf].input.name.clone();
            let named = arms.iter().map(|arm| OutlookInput { input: name(arm), path: arm.path.clone() });
            datums.push(OutlookDatum { id: prepared.id, inputs: named.collect(), executes: runs, why: reason });
        }
    }
    let reasons = reasons.rolled_up();
    Ok(Outlook {
        pipeline: pipeline.name().clone(),
        run: None,
        executes,
        cached: plan.kept() + known,
        removed: plan.removed() as u64,
        why: if executes == 0 { "nothing of it is new".to_owned() } else { why },
        reasons,
        seconds_estimate: estimate(store, &plan, executes, workers(pipeline, limit))?,
        at_most: false,
        datums,
    })
}

/// Why datums would be executed, counted.
struct Reasons<'a> {
    store: &'a Store,
    plan: &'a Plan,
    /// What differs from a transform of before, in words.
    versions: HashMap<Digest, String>,
    counts: BTreeMap<String, u64>,
}

impl Reasons<'_> {
    /// Why a datum would be: against the one in its place in the commit before.
    fn of(&mut self, key: &DatumKey, new: &Recipe) -> Result<String> {
        let Some(base) = &self.plan.parent else { return Ok("new".to_owned()) };
        let old = base.datums().get(self.store, &key.below(prefix::DATUM))?;
        let Some(old) = old.as_deref().and_then(result_in) else { return Ok("new".to_owned()) };
        if base.datums().get(self.store, &key.below(prefix::RECOVERED))?.is_some() {
            return Ok("recovered".to_owned());
        }
        let result: ResultDocument = self.store.document(&old)?;
        let old: Recipe = self.store.document(&result.recipe.digest())?;
        let mut parts = Vec::new();
        if old.transform != new.transform {
            if !self.versions.contains_key(&old.transform) {
                let without_inputs = |recipe: &Recipe| Recipe { inputs: Vec::new(), ..recipe.clone() };
                let changes = changes_of_recipe(self.store, &without_inputs(&old), &without_inputs(new))?;
                self.versions.insert(old.transform, format!("new version: {}", words_of(&changes)));
            }
            parts.extend(self.versions.get(&old.transform).cloned());
        }
        let same = Recipe { transform: new.transform, ..old };
        let mut inputs: Vec<String> =
            changes_of_recipe(self.store, &same, new)?.into_iter().map(|change| change.field).collect();
        inputs.dedup();
        if !inputs.is_empty() {
            parts.push(format!("changed: {}", inputs.join(", ")));
        }
        // The same recipe, but nothing that could be used of it.
        Ok(if parts.is_empty() { "not in the cache".to_owned() } else { parts.join("; ") })
    }

    /// The most frequent first, and what is gone.
    fn rolled_up(self) -> Vec<OutlookReason> {
        let mut reasons: Vec<OutlookReason> =
            self.counts.into_iter().map(|(why, datums)| OutlookReason { why, datums }).collect();
        reasons.sort_by(|one, other| other.datums.cmp(&one.datums).then_with(|| one.why.cmp(&other.why)));
        let removed = self.plan.removed() as u64;
        reasons.extend((removed > 0).then(|| OutlookReason { why: "removed".to_owned(), datums: removed }));
        reasons
    }
}

fn workers(pipeline: &Pipeline, limit: usize) -> usize {
    pipeline.spec.parallelism.map_or(limit, |own| own as usize).min(limit).max(1)
}

/// What a job that waits would do at most: all datums that the pipeline has now, and `more`.
fn bounded(
    store: &Store,
    pipeline: &Pipeline,
    run: Option<RunId>,
    why: String,
    more: u64,
    limit: usize,
) -> Result<Outlook> {
    let (repo, branch) = pipeline.output_branch();
    let parent: Option<CommitId> = store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
    let parent = parent.map(|id| Ok::<_, RepoError>(Base { id, commit: store.commit(&id)? })).transpose()?;
    let now = parent.as_ref().map_or(Ok(0), |base| crate::plan::count(store, base.datums()))?;
    let plan = Plan::unchanged(parent, now);
    Ok(Outlook {
        pipeline: pipeline.name().clone(),
        run,
        executes: now + more,
        cached: 0,
        removed: 0,
        why,
        reasons: Vec::new(),
        seconds_estimate: estimate(store, &plan, now + more, workers(pipeline, limit))?,
        at_most: true,
        datums: Vec::new(),
    })
}

/// About how long `executes` datums take: the mean of some past ones.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn estimate(store: &Store, plan: &Plan, executes: u64, workers: usize) -> Result<Option<f64>> {
    let Some(base) = &plan.parent else { return Ok(None) };
    let mut seconds = Vec::new();
    for entry in base.datums().range(store, KeyRange::prefix([prefix::DATUM]))?.take(SAMPLE) {
        let Ok(result) = <[u8; 32]>::try_from(entry?.1) else { continue };
        let result: ResultDocument = store.document(&Digest::from_bytes(result))?;
        seconds.extend(result.tries.last().map(|last| last.finished_at.seconds_since(last.started_at)));
    }
    let mean = seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
    Ok((!seconds.is_empty()).then_some(mean * executes as f64 / workers as f64))
}
