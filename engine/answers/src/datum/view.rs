//! The datums of a job: those that have ended, and those in progress.

use std::collections::BTreeSet;
use std::fmt;

use repos::documents::{ExecutorStamp, Recipe, ResultDocument, ResultState, Try};
use repos::tree::Tree;
use repos::{JobRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::words::exact_size;
use specs::{DatumId, Digest, FilePath, Network, PipelineName, RunId};

use super::known::{Entries, Known, provenance_of};
use crate::sight::{InputSight, is_none, recipe, recipe_of};
use engine::Result;
use engine::datums::Shape;
use engine::graph::Pipeline;
use engine::live::job_id;
use engine::live::{Live, LiveJob};

/// The states of a datum in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatumState {
    /// Not examined yet.
    Waiting,
    /// Being executed now.
    Running,
    /// Executed successfully in this job.
    Success,
    /// Its result comes from another job.
    Cached,
    /// It failed in every try.
    Failed,
    /// It failed, and the error command handled it.
    Recovered,
}

impl fmt::Display for DatumState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Success => "success",
            Self::Cached => "cached",
            Self::Failed => "failed",
            Self::Recovered => "recovered",
        })
    }
}

/// One input of a datum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatumInput {
    /// The input's name.
    pub input: String,
    /// The path that its glob matched.
    pub path: FilePath,
    /// SHA-256 of the file's content; for a directory, the root of the map of its files.
    pub digest: Digest,
    /// The file's size in bytes, if it was looked up; absent for a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// One try of a datum, for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct TryView {
    /// Absent if there was none.
    pub exit_code: Option<i32>,
    /// Why it failed, if the exit code does not say it.
    pub reason: Option<String>,
    /// The digest of its log.
    pub log: Option<Digest>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    /// From the start of its command to its end.
    pub process_seconds: f64,
    /// Before it: reading, sending and laying out its input files. Null if that was not recorded.
    pub pull_seconds: Option<f64>,
    /// After it: reading, hashing and storing its output. Null if that was not recorded.
    pub take_in_seconds: Option<f64>,
    /// Its memory limit in bytes. Null unless the limit may grow from try to try.
    pub memory_bytes: Option<u64>,
    /// The worker on which it ran, by name; absent if it ran on the machine of the datum's executor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

impl TryView {
    fn of(tried: &Try) -> Self {
        Self {
            exit_code: tried.exit_code,
            reason: tried.reason.clone(),
            log: tried.log,
            started_at: tried.started_at,
            finished_at: tried.finished_at,
            process_seconds: tried.finished_at.seconds_since(tried.started_at),
            pull_seconds: tried.pull_ms.map(seconds),
            take_in_seconds: tried.take_in_ms.map(seconds),
            memory_bytes: tried.memory_bytes,
            worker: tried.worker.clone(),
        }
    }
}

/// How the memory limit of a datum grew from try to try: `killed at 2 GiB, again with 4 GiB`; `None` if it did not.
pub fn growth_in_words(tries: &[TryView]) -> Option<String> {
    let limits: Vec<u64> = tries.iter().filter_map(|tried| tried.memory_bytes).collect();
    let grown = limits.windows(2).filter(|pair| pair[0] < pair[1]);
    let steps: Vec<String> =
        grown.map(|pair| format!("killed at {}, again with {}", exact_size(pair[0]), exact_size(pair[1]))).collect();
    (!steps.is_empty()).then(|| steps.join("; "))
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds is for people")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// A datum, for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of the contract")]
pub struct DatumView {
    pub id: DatumId,
    pub state: DatumState,
    pub tries: usize,
    /// Exit code of the last try.
    pub exit_code: Option<i32>,
    /// In spec order, with those outside the recipe last.
    pub inputs: Vec<DatumInput>,
    pub outputs_count: u64,
    /// Duration of the last try.
    pub process_seconds: f64,
    pub reason: Option<String>,
    /// The result; absent if it has none yet.
    pub result: Option<Digest>,
    /// The job that executed it: pipeline and run. For a cached datum, another job.
    #[serde(rename = "executed_by", with = "executed_by")]
    #[schemars(with = "Option<String>")]
    pub made_by: Option<(PipelineName, RunId)>,
    /// The pipeline version for which it was executed.
    pub pipeline_version: Option<u32>,
    /// Where it was executed.
    pub executed_on: Option<ExecutorStamp>,
    /// Its network access.
    pub network: Option<Network>,
    /// The log of its last try.
    pub log: Option<Digest>,
    /// When its last try started.
    pub started_at: Option<Timestamp>,
    /// When its last try ended.
    pub finished_at: Option<Timestamp>,
    /// All tries, in order.
    pub try_details: Vec<TryView>,
    /// How many of its inputs are not visible to the one who asks; they are not in `inputs`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

/// The job that executed a datum, as the id that programs know.
mod executed_by {
    use engine::live::job_id;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use specs::{PipelineName, RunId};

    #[expect(clippy::ref_option, reason = "serde asks so")]
    pub(super) fn serialize<S: Serializer>(job: &Option<(PipelineName, RunId)>, to: S) -> Result<S::Ok, S::Error> {
        job.as_ref().map(|(pipeline, run)| job_id(pipeline, run)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(PipelineName, RunId)>, D::Error> {
        let Some(id) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let parts = id.split_once('@').and_then(|(name, run)| Some((name.parse().ok()?, run.parse().ok()?)));
        parts.map(Some).ok_or_else(|| D::Error::custom(format!("`{id}` is not the id of a job")))
    }
}

impl DatumView {
    /// The id of the job that executed it.
    pub fn executed_by(&self) -> Option<String> {
        self.made_by.as_ref().map(|(pipeline, run)| job_id(pipeline, run))
    }
}

/// Which datums of a job to return.
#[derive(Debug, Clone, Default)]
pub struct DatumFilter {
    /// Only those in this state.
    pub state: Option<DatumState>,
    /// Only those that read this file, directly or in a directory.
    pub input: Option<FilePath>,
}

/// Datums of a job in the order of their keys, read lazily.
#[derive(Debug)]
pub struct Datums<'s> {
    store: &'s Store,
    job: JobRow,
    known: Known,
    entries: Option<Entries<'s>>,
    filter: DatumFilter,
    /// The pipeline's input, and the leaves whose commit contains the requested file; absent if no file is requested.
    holders: Option<(Shape, BTreeSet<usize>)>,
    sight: InputSight,
}

/// The datums of a job that have ended; for a running job, those so far. `live` is the activity of this process.
pub fn datums<'s>(store: &'s Store, live: Option<&Live>, job: &JobRow, filter: DatumFilter) -> Result<Datums<'s>> {
    let known = Known::of(store, live, job)?;
    let entries = Some(known.entries(store)?);
    let holders = filter.input.as_ref().map(|path| holders(store, job, path)).transpose()?;
    let sight = InputSight::of_job(store, job)?;
    Ok(Datums { store, job: job.clone(), known, entries, filter, holders, sight })
}

/// The leaves whose commit contains a file: only there can a matched directory contain it.
fn holders(store: &Store, job: &JobRow, path: &FilePath) -> Result<(Shape, BTreeSet<usize>)> {
    let provenance = provenance_of(store, job)?;
    let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
    let mut holders = BTreeSet::new();
    for (number, leaf) in pipeline.spec.input.leaves().into_iter().enumerate() {
        let (repo, branch) = pipeline.input_branch(leaf);
        let origin = provenance.iter().find(|origin| origin.repo == repo && origin.branch == branch);
        if let Some(origin) = origin
            && Tree::at(store.commit(&origin.commit)?.tree).kind_at(store, path)?.is_some()
        {
            holders.insert(number);
        }
    }
    Ok((Shape::of(&pipeline.spec.input), holders))
}

/// The datums of a job being executed now.
pub fn running_datums(store: &Store, job: &JobRow, live: &LiveJob) -> Result<Vec<DatumView>> {
    let sight = InputSight::of_job(store, job)?;
    live.running.keys().map(|id| running(store, &sight, id)).collect()
}

/// The datums without a stored result: those being executed, and those whose output is being collected.
pub fn datums_at_work(store: &Store, job: &JobRow, live: &LiveJob) -> Result<Vec<DatumView>> {
    let sight = InputSight::of_job(store, job)?;
    live.feed.at_work().iter().map(|printing| running(store, &sight, &printing.datum())).collect()
}

fn running(store: &Store, sight: &InputSight, id: &DatumId) -> Result<DatumView> {
    let (recipe, not_visible) = recipe(store, sight, id)?;
    Ok(DatumView {
        id: *id,
        state: DatumState::Running,
        tries: 0,
        exit_code: None,
        inputs: inputs_of(recipe),
        outputs_count: 0,
        process_seconds: 0.0,
        reason: None,
        result: None,
        made_by: None,
        pipeline_version: None,
        executed_on: None,
        network: None,
        log: None,
        started_at: None,
        finished_at: None,
        try_details: Vec::new(),
        not_visible,
    })
}

/// The visible paths that a datum of a job reads, in spec order.
pub fn paths_of(store: &Store, job: &JobRow, id: &DatumId) -> Result<Vec<FilePath>> {
    let (recipe, _) = recipe(store, &InputSight::of_job(store, job)?, id)?;
    Ok(inputs_of(recipe).into_iter().map(|input| input.path).collect())
}

fn inputs_of(recipe: Recipe) -> Vec<DatumInput> {
    let inputs = recipe.inputs.into_iter().filter_map(|input| {
        Some(DatumInput { input: input.name, path: input.path, digest: input.digest.or(input.tree)?, size_bytes: None })
    });
    inputs.collect()
}

/// A result as a datum of `job`; as one of the job that executed it if `job` is `None`. `recovered` says why it was recovered, if it was.
pub fn datum_view(
    store: &Store,
    job: Option<&JobRow>,
    digest: &Digest,
    recovered: Option<String>,
) -> Result<DatumView> {
    let result: ResultDocument = store.document(digest)?;
    let sight = match job {
        Some(job) => InputSight::of_job(store, job)?,
        None => InputSight::of_result(store, &result)?,
    };
    seen_view(store, job, &sight, (digest, result), recovered)
}

/// The same, with the inputs that are visible in the job.
fn seen_view(
    store: &Store,
    job: Option<&JobRow>,
    sight: &InputSight,
    (digest, result): (&Digest, ResultDocument),
    recovered: Option<String>,
) -> Result<DatumView> {
    let is_own = job.is_none_or(|job| job.run == result.run && job.pipeline == result.pipeline);
    let state = match result.state {
        _ if recovered.is_some() => DatumState::Recovered,
        ResultState::Recovered => DatumState::Recovered,
        ResultState::Failed => DatumState::Failed,
        ResultState::Success if is_own => DatumState::Success,
        ResultState::Success => DatumState::Cached,
    };
    let (recipe, not_visible) = recipe_of(store, sight, digest, &result.recipe)?;
    let mut inputs = inputs_of(recipe);
    let references = result.references.into_iter();
    inputs.extend(references.map(|one| DatumInput {
        input: one.input,
        path: one.path,
        digest: one.digest,
        size_bytes: None,
    }));
    let last = result.tries.last();
    Ok(DatumView {
        id: result.recipe,
        state,
        tries: result.tries.len(),
        exit_code: last.and_then(|last| last.exit_code),
        inputs,
        outputs_count: result.outputs_count,
        process_seconds: last.map_or(0.0, |last| last.finished_at.seconds_since(last.started_at)),
        reason: recovered.or_else(|| last.and_then(|last| last.reason.clone())),
        result: Some(*digest),
        log: last.and_then(|last| last.log),
        started_at: last.map(|last| last.started_at),
        finished_at: last.map(|last| last.finished_at),
        try_details: result.tries.iter().map(TryView::of).collect(),
        pipeline_version: (result.version > 0).then_some(result.version),
        // Somebody else's job, from which the cache has the result, is not named.
        made_by: store.sees_pipeline(&result.pipeline).then_some((result.pipeline, result.run)),
        executed_on: Some(result.executor),
        network: Some(result.network),
        not_visible,
    })
}

/// Whether an input is a file, or a directory that may contain it.
fn reads(input: &DatumInput, path: &FilePath) -> bool {
    input.path == *path || input.path.contains(path)
}

impl Datums<'_> {
    fn advance(&mut self) -> Result<Option<DatumView>> {
        while let Some(entry) = self.entries.as_mut().and_then(Iterator::next) {
            let (key, result) = entry?;
            if let (Some(path), Some((shape, holders)), Some(key)) = (&self.filter.input, &self.holders, &key)
                && !shape.reads(self.store, (key, &result), path, holders)?
            {
                continue;
            }
            let recovered = key.map(|key| self.known.recovered(self.store, &key)).transpose()?.flatten();
            let document: ResultDocument = self.store.document(&result)?;
            let of = (&result, document);
            let view = seen_view(self.store, Some(&self.job), &self.sight, of, recovered)?;
            let is_read = match &self.filter.input {
                Some(path) if matches!(self.known, Known::Results(_)) => {
                    view.inputs.iter().any(|input| reads(input, path))
                }
                _ => true,
            };
            if is_read && self.filter.state.is_none_or(|state| state == view.state) {
                return Ok(Some(view));
            }
        }
        Ok(None)
    }
}

impl Iterator for Datums<'_> {
    type Item = Result<DatumView>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.entries = None;
        }
        next
    }
}
