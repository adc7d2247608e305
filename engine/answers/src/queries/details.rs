//! All about one datum or one job, as programs see it: whatever people are shown, with ids in full.

use repos::documents::{ExecutorStamp, JobDocument, Provenance, ResultDocument};
use repos::tree::{KeyRange, Tree, path_of};
use repos::{JobRow, RepoError, Store};
use serde::Serialize;
use specs::{Digest, ErrorKind, FilePath};

use super::datum::{DatumFilter, DatumState, DatumView, datums, datums_at_work};
use super::find::FoundDatum;
use super::job::{JobView, job_view};
use super::known::provenance_of;
use engine::Result;
use engine::live::job_id;
use engine::live::{JobKey, Live};

/// Output files of a datum that are listed.
const FILES: usize = 1000;
/// Failed datums of a job that are listed, and those at work.
const DATUMS: usize = 100;
/// Lines of a log that are its last words.
const LINES: usize = 3;

/// All about a datum in a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatumDetails {
    /// The datum, with the sizes of the files that it read.
    #[serde(flatten)]
    pub view: DatumView,
    /// The job from which it is seen.
    pub job: String,
    /// The first files that it wrote, in order of their paths.
    pub outputs: Vec<OutputView>,
    /// Files that it wrote and that are not among these.
    pub outputs_left_out: u64,
    /// The last lines that its last try printed; none when its log is not kept any more.
    pub last_words: Vec<String>,
}

/// A file that a datum wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields of a file in the contract")]
pub struct OutputView {
    pub path: FilePath,
    pub size_bytes: u64,
    pub digest: Digest,
    pub executable: bool,
}

/// All about a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobDetails {
    /// The job.
    #[serde(flatten)]
    pub view: JobView,
    /// Where its datums were executed; absent while it has not ended, and when nothing more is kept of it.
    pub executed_on: Option<ExecutorStamp>,
    /// The commits that it took.
    pub inputs: Vec<Provenance>,
    /// The first datums that failed; of a job that runs those so far.
    pub failed_datums: Vec<DatumDetails>,
    /// The datums at work, in a job that runs in this engine.
    pub running_datums: Vec<DatumView>,
    /// Datums that end in a second, in a job that runs in this engine.
    pub datums_per_second: Option<f64>,
    /// About how long it will take yet.
    pub seconds_left: Option<f64>,
}

/// All about a datum that was found.
pub fn datum_details(store: &Store, found: &FoundDatum) -> Result<DatumDetails> {
    let FoundDatum { job, view, result } = found;
    let mut view = view.clone();
    let origins = trees_of(store, job)?;
    for input in &mut view.inputs {
        for tree in &origins {
            let file = tree.file(store, &input.path)?.filter(|file| file.digest == input.digest);
            input.size_bytes = input.size_bytes.or(file.map(|file| file.size));
        }
    }
    let outputs = outputs_of(store, result)?;
    let outputs_left_out = result.outputs_count.saturating_sub(outputs.len() as u64);
    let last_words = last_words(store, result, LINES)?;
    Ok(DatumDetails { view, job: job_id(&job.pipeline, &job.run), outputs, outputs_left_out, last_words })
}

/// The files that a job could read.
fn trees_of(store: &Store, job: &JobRow) -> Result<Vec<Tree>> {
    let origins = provenance_of(store, job)?;
    origins.iter().map(|origin| Ok(Tree::at(store.commit(&origin.commit)?.tree))).collect()
}

fn outputs_of(store: &Store, result: &ResultDocument) -> Result<Vec<OutputView>> {
    let Some(outputs) = result.outputs else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in Tree::at(outputs).range(store, KeyRange::all())?.take(FILES) {
        let (key, file) = entry?;
        let path = path_of(&key).map_err(RepoError::from)?;
        files.push(OutputView { path, size_bytes: file.size, digest: file.digest, executable: file.executable });
    }
    Ok(files)
}

/// The last lines that are not blank of what the last try printed.
pub fn last_words(store: &Store, result: &ResultDocument, lines: usize) -> Result<Vec<String>> {
    let Some(log) = result.tries.last().and_then(|last| last.log) else { return Ok(Vec::new()) };
    let log = match store.log_of(result, &log) {
        // Given up by right: the failure is told without it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let text = String::from_utf8_lossy(&log);
    let said: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(said[said.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect())
}

/// All about a job. `live` is the activity of this process.
pub fn job_details(store: &Store, job: &JobRow, live: Option<&Live>) -> Result<JobDetails> {
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    let known = live.and_then(|live| live.job(&key));
    let view = job_view(store, job, known.as_ref())?;
    // Retention may have dropped the document.
    let document = job.document.and_then(|digest| store.document::<JobDocument>(&digest).ok());
    // Of a job whose engine is gone nobody has counted.
    let is_broken_off = job.sealed.is_none() && view.started_at.is_none();
    let has_failed = view.datums_failed > 0 || is_broken_off;
    let failed_datums = if has_failed { failed_datums(store, live, job)? } else { Vec::new() };
    let running_datums = known.as_ref().map(|known| datums_at_work(store, known)).transpose()?.unwrap_or_default();
    let now = store.clock().now();
    Ok(JobDetails {
        view,
        executed_on: document.map(|document| document.executor),
        inputs: provenance_of(store, job)?,
        failed_datums,
        running_datums: running_datums.into_iter().take(DATUMS).collect(),
        datums_per_second: known.as_ref().and_then(|known| known.rate(now)),
        seconds_left: known.as_ref().and_then(|known| known.seconds_left(now)),
    })
}

fn failed_datums(store: &Store, live: Option<&Live>, job: &JobRow) -> Result<Vec<DatumDetails>> {
    let filter = DatumFilter { state: Some(DatumState::Failed), ..DatumFilter::default() };
    let mut failed = Vec::new();
    for view in datums(store, live, job, filter)?.take(DATUMS) {
        let view = view?;
        let Some(digest) = view.result else { continue };
        let found = FoundDatum { job: job.clone(), result: store.document(&digest)?, view };
        failed.push(datum_details(store, &found)?);
    }
    Ok(failed)
}
