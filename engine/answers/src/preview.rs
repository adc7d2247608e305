//! The preview: what would run, why, and for about how long, without running anything.
//!
//! Each number is exact for a job that is not interrupted, or marked as an upper bound; if there is no bound, that is reported.
//!
//! For a job that waits for the files of another pipeline, there is a bound only if the globs have no special characters. Otherwise it is
//! `unbounded`, and the number is 2^53 − 1.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use repos::documents::{Recipe, ResultDocument};
use repos::tree::{KeyRange, Tree};
use repos::{JobRow, RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::spec::{Input, PfsInput, Reprocess};
use specs::{DatumId, Digest, FilePath, Glob, PipelineName, RunId};

use crate::explain::changes_of_recipe;
use crate::sight::{InputSight, is_none};
use engine::Result;
use engine::cache::{Known, cached};
use engine::datums::result_in;
use engine::datums::{DatumKey, InputMatch, count_matches, prefix, reads};
use engine::execution::Skipped;
use engine::graph::{BranchOf, Graph, Pipeline};
use engine::inputs::{InputResolver, Readiness};
use engine::plan::{Base, Plan, plan};
use engine::recipe::{Leaf, RecipeBuilder};
use engine::scheduler::{paths_again, reprocesses};

/// Number of past datums used to estimate the time.
const SAMPLE: usize = 20;

/// What a job would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its run; absent if it is not pending.
    #[serde(rename = "in_run", skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Number of datums to execute; an upper bound if `at_most`; 2^53 − 1 if `unbounded`.
    #[serde(rename = "run")]
    pub executes: u64,
    /// Number of datums taken from the base or the cache.
    pub cached: u64,
    /// Number of datums that are removed.
    pub removed: u64,
    /// Why the job has anything to do.
    pub why: String,
    /// Why datums would be executed or removed: `new`, `changed: images`, `new version: cmd, env`, `recovered`, `removed`; each with a
    /// count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<PreviewReason>,
    /// Estimated duration at the given parallelism; absent if nothing similar ran before.
    pub seconds_estimate: Option<f64>,
    /// Whether it depends on the results of other jobs: then `executes` is an upper bound, `cached` and `removed` are unknown, and the time
    /// is for the bound.
    pub at_most: bool,
    /// Whether there is no bound: the number of datums depends on files that are still to be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbounded: bool,
    /// The datums one by one, if requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datums: Vec<PreviewDatum>,
}

/// What would happen to a datum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewDatum {
    /// Its id.
    pub id: DatumId,
    /// The matched path of each input.
    pub inputs: Vec<PreviewInput>,
    /// Whether it would be executed; otherwise the cache has it.
    pub executes: bool,
    /// The reason, as in the summary.
    pub why: String,
    /// How many of its inputs are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

/// What would happen to a datum, with its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewLine {
    /// The job's pipeline.
    pub pipeline: PipelineName,
    /// Its run; absent if it is not pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_run: Option<RunId>,
    /// Whether the job waits for an earlier one, which may already execute this datum.
    pub at_most: bool,
    /// The datum.
    #[serde(flatten)]
    pub datum: PreviewDatum,
}

impl Preview {
    /// Its datums, a line each.
    pub fn into_lines(self) -> impl Iterator<Item = PreviewLine> {
        let Self { pipeline, run: in_run, at_most, datums, .. } = self;
        datums.into_iter().map(move |datum| PreviewLine { pipeline: pipeline.clone(), in_run, at_most, datum })
    }
}

/// Why some datums would be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewReason {
    /// The reason as text.
    pub why: String,
    /// Number of datums.
    pub datums: u64,
    /// Whether these datums are removed, and not executed.
    #[serde(skip)]
    pub is_removal: bool,
}

/// The matched path of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewInput {
    /// The input's name.
    pub input: String,
    /// The path.
    pub path: FilePath,
}

/// The largest number of datums that JSON can represent exactly: used if there is no bound.
const NO_BOUND: u64 = (1 << 53) - 1;

/// What the open jobs would do, in execution order; only those of `names`, unless it is empty.
///
/// The preview of a job that can start is exact. For one that waits it is an upper bound, if there is one: how many files an upstream
/// pipeline will write is unknown before it ran.
pub fn pending(store: &Store, names: &BTreeSet<PipelineName>, each: bool, limit: usize) -> Result<Vec<Preview>> {
    // What a job would do depends on all of its inputs, visible or not.
    seen(store, pending_in(&store.whole(), names, each, limit)?)
}

/// Previews without what is not visible.
fn seen(store: &Store, mut previews: Vec<Preview>) -> Result<Vec<Preview>> {
    if !store.is_limited() {
        return Ok(previews);
    }
    previews.retain(|preview| store.sees_pipeline(&preview.pipeline));
    for preview in &mut previews {
        let row = store.find_pipeline(&preview.pipeline)?;
        let pipeline = row.map(|row| Pipeline::load(store, &row)).transpose()?;
        let sight = pipeline.map_or_else(InputSight::nothing, |pipeline| InputSight::of(store, &pipeline));
        preview.why = store.without_hidden(&preview.why)?;
        for reason in &mut preview.reasons {
            reason.why = store.without_hidden(&reason.why)?;
        }
        for datum in &mut preview.datums {
            datum.why = store.without_hidden(&datum.why)?;
            let all = datum.inputs.len();
            datum.inputs.retain(|input| sight.sees(&input.input));
            datum.not_visible = (all - datum.inputs.len()) as u64;
        }
    }
    Ok(previews)
}

fn pending_in(store: &Store, names: &BTreeSet<PipelineName>, each: bool, limit: usize) -> Result<Vec<Preview>> {
    let open = store.open_jobs()?;
    let inputs = InputResolver::new(store, &open);
    let mut versions = Vec::new();
    for job in &open {
        versions.push((job, Pipeline::load_version(store, &job.pipeline, job.version)?));
    }
    let mut previews = Vec::new();
    for (job, pipeline) in versions.iter().filter(|(job, _)| names.is_empty() || names.contains(&job.pipeline)) {
        let preview = match inputs.inputs_of(pipeline, job)? {
            Readiness::Ready(leaves) => {
                let preview = of_inputs(store, pipeline, leaves, &Told::of(store, job)?, each, limit)?;
                // What one of two jobs executes, the other may find in the cache.
                let transform = pipeline.version.transform;
                let mut others = versions.iter().filter(|(_, other)| other.version.transform == transform);
                let may_share = others.any(|(other, _)| other.pipeline != job.pipeline);
                Preview { at_most: preview.at_most || (may_share && preview.executes > 0), ..preview }
            }
            Readiness::Unrunnable { reason } => nothing(pipeline, format!("it cannot run: {reason}")),
            Readiness::Waits(_) => waiting(store, &inputs, (pipeline, *job), each, limit)?,
        };
        previews.push(Preview { run: Some(job.run), ..preview });
    }
    Ok(previews)
}

/// What a job that waits for others would do.
fn waiting(
    store: &Store,
    inputs: &InputResolver<'_>,
    (pipeline, job): (&Pipeline, &JobRow),
    each: bool,
    limit: usize,
) -> Result<Preview> {
    let inputs = inputs.known_inputs(pipeline, job)?;
    let Some(upstream) = inputs.iter().find_map(|input| input.as_ref().err().cloned()) else {
        // Only an earlier job of the same pipeline comes before it. What that executes will be in the cache, and what it leaves unchanged
        // stays so; so compared with the current output there is nothing to execute beyond what is reported here.
        let leaves = inputs.into_iter().filter_map(std::result::Result::ok).collect();
        let told = Told::of(store, job)?;
        let told = Told { why: format!("{}, after its earlier run", told.why), ..told };
        return Ok(Preview { at_most: true, ..of_inputs(store, pipeline, leaves, &told, each, limit)? });
    };
    let known = |leaf: usize| inputs.get(leaf)?.as_ref().ok().map(|leaf| leaf.tree);
    let why = format!("depends on changes of {upstream}");
    bounded(store, pipeline, most_datums(store, &pipeline.spec.input, &known)?, why, limit)
}

/// What the jobs would do that follow once the `changed` pipelines are as in `graph`, on the current data.
pub fn proposed(
    store: &Store,
    graph: &Graph,
    changed: &BTreeSet<PipelineName>,
    each: bool,
    limit: usize,
) -> Result<Vec<Preview>> {
    seen(store, proposed_in(&store.whole(), graph, changed, each, limit)?)
}

fn proposed_in(
    store: &Store,
    graph: &Graph,
    changed: &BTreeSet<PipelineName>,
    each: bool,
    limit: usize,
) -> Result<Vec<Preview>> {
    let affected = graph.downstream(changed);
    // Open jobs of older versions are killed; what other jobs will still write is unknown.
    let open = store.open_jobs()?;
    let open: BTreeSet<&PipelineName> =
        open.iter().map(|job| &job.pipeline).filter(|name| !changed.contains(name)).collect();
    let mut previews: Vec<Preview> = Vec::new();
    for pipeline in graph.in_order().into_iter().filter(|pipeline| affected.contains(pipeline.name())) {
        let writer = |branch: &BranchOf| {
            let writer = graph.writer(branch)?.name();
            (affected.contains(writer) || open.contains(writer)).then(|| writer.clone())
        };
        let upstream = pipeline.input_branches().iter().find_map(writer);
        previews.push(if let Some(upstream) = upstream {
            let leaves = present_inputs(store, pipeline)?;
            let known =
                |leaf: usize| leaves.get(leaf).filter(|leaf| writer(&leaf.branch).is_none()).map(|leaf| leaf.tree);
            let most = most_datums(store, &pipeline.spec.input, &known)?;
            bounded(store, pipeline, most, format!("depends on changes of {upstream}"), limit)?
        } else {
            let why = if store.find_pipeline(pipeline.name())?.is_some() { "a new version" } else { "a new pipeline" };
            let told = Told { why: why.to_owned(), ..Told::default() };
            let preview = of_inputs(store, pipeline, present_inputs(store, pipeline)?, &told, each, limit)?;
            Preview { at_most: preview.at_most || open.contains(pipeline.name()), ..preview }
        });
    }
    Ok(previews)
}

/// The maximum number of datums of an input; `None` if it depends on unknown files. `known` returns the tree of a leaf, by its number in
/// spec order, if it is known.
fn most_datums(store: &Store, input: &Input, known: &dyn Fn(usize) -> Option<Tree>) -> Result<Option<u64>> {
    let mut number = 0;
    most_below(store, input, known, &mut number)
}

fn most_below(
    store: &Store,
    input: &Input,
    known: &dyn Fn(usize) -> Option<Tree>,
    number: &mut usize,
) -> Result<Option<u64>> {
    let leaf = |leaf: &PfsInput, number: &mut usize| {
        let tree = known(*number);
        *number += 1;
        match tree {
            Some(tree) => Ok(Some(count_matches(store, tree, &leaf.glob)?)),
            // Without a special character it matches one path.
            None => Ok((leaf.glob.literal_prefix() == leaf.glob.as_str()).then_some(1)),
        }
    };
    let (inputs, is_union, is_product) = match input {
        Input::Pfs(input) => return leaf(input, number),
        Input::Cron(cron) => return leaf(&cron.ticks, number),
        Input::Union(inputs) | Input::Group(inputs) => (inputs, true, false),
        Input::Cross(inputs) => (inputs, false, true),
        // Datums without a partner may be kept individually.
        Input::Join(inputs) => (inputs, true, true),
    };
    let (mut sum, mut product) = (Some(0_u64), Some(1_u64));
    for input in inputs {
        let most = most_below(store, input, known, number)?;
        sum = sum.zip(most).map(|(sum, most)| sum.saturating_add(most));
        product = product.zip(most).map(|(product, most)| product.saturating_mul(most));
    }
    let of = |wanted: bool, most: Option<u64>| if wanted { most } else { Some(0) };
    Ok(of(is_union, sum).zip(of(is_product, product)).map(|(sum, product)| sum.saturating_add(product)))
}

/// What is known of a job that can start, and what its run requires beyond the plan.
#[derive(Debug, Default)]
struct Told {
    /// Why the job has anything to do.
    why: String,
    /// Its run.
    run: Option<RunId>,
    /// Whether every datum runs, regardless of the cache.
    reprocess: bool,
    /// The paths whose readers must run again.
    again: Option<Glob>,
    /// What it continues without.
    skipped: Skipped,
}

impl Told {
    fn of(store: &Store, job: &JobRow) -> Result<Self> {
        let cause = store.run(&job.run)?.cause;
        Ok(Self {
            why: format!("{} {}", cause.kind.word(), cause.refs.join(" ")).trim_end().to_owned(),
            run: Some(job.run),
            reprocess: reprocesses(&cause, &job.pipeline),
            again: paths_again(&cause, &job.pipeline),
            skipped: Skipped::of(store, job)?,
        })
    }
}

/// The inputs of a pipeline at the current heads.
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

/// What a job of this pipeline would do with these inputs, if it is not interrupted.
fn of_inputs(
    store: &Store,
    pipeline: &Pipeline,
    leaves: Vec<Leaf>,
    told: &Told,
    each: bool,
    limit: usize,
) -> Result<Preview> {
    let (repo, branch) = pipeline.output_branch();
    let parent =
        if store.has_repo(&repo)? { store.find_branch(&repo, &branch)?.and_then(|row| row.commit) } else { None };
    let reprocess = told.reprocess || pipeline.spec.reprocess == Reprocess::EveryJob;
    let mut plan = plan(store, pipeline, &leaves, parent.filter(|_| !reprocess && told.again.is_none()))?;
    if plan.parent.is_none() {
        plan.parent = parent.map(|id| Ok::<_, RepoError>(Base { id, commit: store.commit(&id)? })).transpose()?;
    }
    let recipes = RecipeBuilder::new(store.clone(), pipeline.version.transform, leaves);
    let mut reasons = Reasons { store, plan: &plan, versions: HashMap::new(), counts: BTreeMap::new() };
    let (mut executes, mut known, mut datums) = (0, 0, Vec::new());
    for (key, inputs) in &plan.todo {
        let prepared = recipes.preview(&inputs)?;
        let anew = reprocess || is_again(store, &recipes, told.again.as_ref(), &inputs)?;
        let is_own = |found: &Known| Some(found.run) == told.run && found.pipeline == *pipeline.name();
        let is_known = cached(store, pipeline, &prepared.id)?.is_some_and(|found| !anew || is_own(&found));
        let skipped = told.skipped.get(&prepared.id).filter(|_| !is_known);
        let runs = !is_known && skipped.is_none();
        let reason = match skipped {
            Some(skipped) => skipped.why.clone(),
            None if is_known => "in the cache".to_owned(),
            None if anew => "rerun requested".to_owned(),
            None => reasons.of(&key, &prepared.recipe)?,
        };
        executes += u64::from(runs);
        known += u64::from(is_known);
        if runs {
            *reasons.counts.entry(reason.clone()).or_default() += 1;
        }
        if each {
            let name = |input: &InputMatch| recipes.leaves()[input.leaf].input.name.clone();
            let named = inputs.iter().map(|input| PreviewInput { input: name(input), path: input.path.clone() });
            let inputs = named.collect();
            datums.push(PreviewDatum { id: prepared.id, inputs, executes: runs, why: reason, not_visible: 0 });
        }
    }
    let reasons = reasons.rolled_up();
    Ok(Preview {
        pipeline: pipeline.name().clone(),
        run: None,
        executes,
        cached: plan.kept() + known,
        removed: plan.removed() as u64,
        why: if executes == 0 { "no new datums".to_owned() } else { told.why.clone() },
        reasons,
        seconds_estimate: estimate(store, plan.parent.as_ref(), executes, workers(pipeline, limit))?,
        // Of two datums with the same recipe, the second may find the result of the first.
        at_most: plan.results_may_be_shared && executes > 1,
        unbounded: false,
        datums,
    })
}

/// Whether a datum is one that must run again.
fn is_again(
    store: &Store,
    recipes: &RecipeBuilder,
    again: Option<&Glob>,
    inputs: &[InputMatch],
) -> Result<bool, RepoError> {
    let Some(glob) = again else { return Ok(false) };
    for input in inputs {
        if reads(store, recipes.leaves()[input.leaf].tree, input, glob)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Counts why datums would be executed.
struct Reasons<'a> {
    store: &'a Store,
    plan: &'a Plan,
    /// How an earlier transform differs, as text.
    versions: HashMap<Digest, String>,
    counts: BTreeMap<String, u64>,
}

impl Reasons<'_> {
    /// Why a datum would be executed: compared with the one with the same key in the previous commit.
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
                let words: Vec<String> = changes.into_iter().map(|change| change.word).collect();
                self.versions.insert(old.transform, format!("new version: {}", words.join(", ")));
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
        // The recipe is the same, but its result cannot be reused.
        Ok(if parts.is_empty() { "not in the cache".to_owned() } else { parts.join("; ") })
    }

    /// The most frequent reasons first, including removed datums.
    fn rolled_up(self) -> Vec<PreviewReason> {
        let mut reasons: Vec<PreviewReason> =
            self.counts.into_iter().map(|(why, datums)| PreviewReason { why, datums, is_removal: false }).collect();
        reasons.sort_by(|one, other| other.datums.cmp(&one.datums).then_with(|| one.why.cmp(&other.why)));
        let removed = self.plan.removed() as u64;
        reasons.extend((removed > 0).then(|| PreviewReason {
            why: "removed".to_owned(),
            datums: removed,
            is_removal: true,
        }));
        reasons
    }
}

fn workers(pipeline: &Pipeline, limit: usize) -> usize {
    pipeline.spec.parallelism.map_or(limit, |own| own as usize).min(limit).max(1)
}

/// What a waiting job would do: at most `most` datums, if there is such a bound.
fn bounded(store: &Store, pipeline: &Pipeline, most: Option<u64>, why: String, limit: usize) -> Result<Preview> {
    let (repo, branch) = pipeline.output_branch();
    let parent =
        if store.has_repo(&repo)? { store.find_branch(&repo, &branch)?.and_then(|row| row.commit) } else { None };
    let parent = parent.map(|id| Ok::<_, RepoError>(Base { id, commit: store.commit(&id)? })).transpose()?;
    let seconds = match most {
        Some(most) => estimate(store, parent.as_ref(), most, workers(pipeline, limit))?,
        None => None,
    };
    let executes = most.unwrap_or(NO_BOUND).min(NO_BOUND);
    let (unbounded, at_most) = (most.is_none(), true);
    Ok(Preview { executes, seconds_estimate: seconds, at_most, unbounded, ..nothing(pipeline, why) })
}

/// The preview of a job that does nothing.
fn nothing(pipeline: &Pipeline, why: String) -> Preview {
    Preview {
        pipeline: pipeline.name().clone(),
        run: None,
        executes: 0,
        cached: 0,
        removed: 0,
        why,
        reasons: Vec::new(),
        seconds_estimate: None,
        at_most: false,
        unbounded: false,
        datums: Vec::new(),
    }
}

/// The estimated duration of `executes` datums: based on the mean of some past ones.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn estimate(store: &Store, base: Option<&Base>, executes: u64, workers: usize) -> Result<Option<f64>> {
    let Some(base) = base else { return Ok(None) };
    let mut seconds = Vec::new();
    for entry in base.datums().range(store, KeyRange::prefix([prefix::DATUM]))?.take(SAMPLE) {
        let Ok(result) = <[u8; 32]>::try_from(entry?.1) else { continue };
        let result: ResultDocument = store.document(&Digest::from_bytes(result))?;
        seconds.extend(result.tries.last().map(|last| last.finished_at.seconds_since(last.started_at)));
    }
    let mean = seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
    Ok((!seconds.is_empty()).then_some(mean * executes as f64 / workers as f64))
}
