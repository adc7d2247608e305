//! Output of user code: of jobs, of ended datums, of running ones.
//!
//! - `lines` the lines of one log, found by number
//! - `text` the output of a datum or job as one text: windows of it by line number, and lines that contain a word

use std::collections::HashSet;
use std::sync::Arc;

use engine::Result;
use engine::feed::{Feed, Printed, Printing};
use engine::live::{JobKey, Live};
use repos::access::is_stand_in;
use repos::documents::{ResultState, Try};
use repos::{JobRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{DatumId, DatumRef, Digest, ErrorKind, FilePath, JobRef, Target};

use crate::datum::{find_datum, paths_of, results_of};
use crate::job::{job_id, live_job};
use crate::named::{find_job, find_jobs, is_pipelines, not_a_reference};

mod lines;
mod text;

pub use repos::documents::ResultDocument;
pub use text::{Found, FoundLine, LogSection, LogText, Window};

/// How many inputs of a datum its title names.
const NAMED: usize = 8;

/// The output of a try, or a piece of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogView {
    /// The datum.
    pub datum: DatumId,
    /// Only for a log that is followed: whether this is the last piece of its try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
    /// `null` while the try runs, and if there is no exit code.
    pub exit_code: Option<i32>,
    /// `null` while the try runs.
    pub finished_at: Option<Timestamp>,
    /// The job.
    pub job: String,
    /// The text; invalid UTF-8 is replaced.
    pub log: String,
    /// Why the try failed, if the exit code does not say it.
    pub reason: Option<String>,
    /// Only for a log that is followed: bytes left out before this piece, because output came too fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_bytes: Option<u64>,
    /// `null` while the try runs.
    pub started_at: Option<Timestamp>,
    /// The number of the try, from 1.
    #[serde(rename = "try")]
    pub try_number: usize,
}

/// The output of a try; without its end while it runs.
pub fn log_view(datum: &DatumId, job: &str, try_number: usize, end: Option<&Try>, log: &[u8]) -> LogView {
    LogView {
        datum: *datum,
        ended: None,
        exit_code: end.and_then(|end| end.exit_code),
        finished_at: end.map(|end| end.finished_at),
        job: job.to_owned(),
        log: String::from_utf8_lossy(log).into_owned(),
        reason: end.and_then(|end| end.reason.clone()),
        skipped_bytes: None,
        started_at: end.map(|end| end.started_at),
        try_number,
    }
}

/// Whose output is requested.
#[derive(Debug)]
pub enum Subject {
    /// All datums of jobs.
    Jobs(Vec<JobRow>),
    /// An ended datum.
    Result(Box<ResultDocument>),
    /// A running datum.
    AtWork(JobRow, Arc<Feed>, Arc<Printing>),
}

/// Resolves a word to datums. The name of a pipeline takes precedence over the id of a datum. `live` is the activity of this process.
pub fn subject(store: &Store, live: Option<&Live>, target: &Target) -> Result<Subject> {
    match target {
        Target::File(reference) => of_datum(store, live, &DatumRef::Writer(reference.clone())),
        Target::Run(run) => Ok(Subject::Jobs(find_jobs(store, &JobRef::Run(run.clone()))?)),
        Target::Word(word) => match word.parse::<JobRef>() {
            Ok(job) if is_pipelines(store, &job)? => Ok(Subject::Jobs(find_jobs(store, &job)?)),
            job => match word.parse() {
                Ok(datum) => of_datum(store, live, &datum),
                // Not an id either, so it was meant as a pipeline, which does not exist.
                Err(error) => {
                    if let Ok(JobRef::Newest(name) | JobRef::InRun { pipeline: name, .. }) = job {
                        store.pipeline(&name)?;
                    }
                    Err(not_a_reference(&error))
                }
            },
        },
    }
}

fn of_datum(store: &Store, live: Option<&Live>, datum: &DatumRef) -> Result<Subject> {
    match find_datum(store, live, datum) {
        Err(error) if error.kind() == ErrorKind::NotFound => at_work(store, live, datum)?.ok_or(error),
        found => Ok(Subject::Result(Box::new(found?.result))),
    }
}

/// The running datum that a reference names, if exactly one matches.
fn at_work(store: &Store, live: Option<&Live>, datum: &DatumRef) -> Result<Option<Subject>> {
    let Some(live) = live else { return Ok(None) };
    let (only, id) = match datum {
        DatumRef::Id(id) => (None, id),
        DatumRef::InJob { job, id } => (Some(find_job(store, job)?), id),
        DatumRef::Writer(_) => return Ok(None),
    };
    let is_meant = |key: &JobKey| only.as_ref().is_none_or(|job| key_of(job) == *key);
    let mut found = Vec::new();
    let is_seen = |key: &JobKey| store.sees_pipeline(&key.pipeline);
    for (key, known) in live.all().into_iter().filter(|(key, _)| is_meant(key) && is_seen(key)) {
        let datums = known.feed.at_work().into_iter();
        let meant = datums.filter(|printing| printing.datum().to_string().starts_with(id.as_str()));
        found.extend(meant.map(|printing| (key.clone(), known.feed.clone(), printing)));
    }
    let (Some((key, feed, printing)), true) = (found.pop(), found.is_empty()) else { return Ok(None) };
    let job = store.job(key.order, &key.pipeline)?;
    Ok(job.map(|job| Subject::AtWork(job, feed, printing)))
}

/// The key of a job in an engine of this process.
pub fn key_of(job: &JobRow) -> JobKey {
    JobKey { order: job.order, pipeline: job.pipeline.clone() }
}

/// A try of an ended datum, with its output.
#[derive(Debug, Clone, PartialEq)]
pub struct TryLog {
    /// The number of the try, from 1.
    pub number: usize,
    /// How it ended.
    pub end: Try,
    /// Its output.
    pub bytes: bytes::Bytes,
}

/// The output of each try of a datum, read lazily.
pub fn tries_of<'r>(store: &'r Store, result: &'r ResultDocument) -> impl Iterator<Item = Result<TryLog>> + 'r {
    result.tries.iter().enumerate().map(|(number, end)| {
        let log = end.log.map(|log| store.log_of(result, &log)).transpose()?.unwrap_or_default();
        Ok(TryLog { number: number + 1, end: end.clone(), bytes: log })
    })
}

/// The result that a digest names.
pub fn result_of(store: &Store, digest: &Digest) -> Result<ResultDocument> {
    Ok(store.document(digest)?)
}

/// The visible paths that a datum of a job reads, on one line.
pub fn title_of(store: &Store, job: &JobRow, datum: &DatumId) -> Result<String> {
    let paths = paths_of(store, job, datum)?;
    let more = if paths.len() > NAMED { " …" } else { "" };
    let named: Vec<&str> = paths.iter().take(NAMED).map(FilePath::as_str).collect();
    Ok(named.join(" ") + more)
}

/// The output of a job's datum.
#[derive(Debug)]
pub enum DatumLog {
    /// An ended datum: its title, and its result.
    Ended(String, Box<ResultDocument>),
    /// A running datum: its title, and its output so far.
    AtWork(String, Vec<Printed>),
}

/// The datums of a job whose output is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Only failed datums.
    pub failed: bool,
    /// Only datums that this job executed.
    pub own: bool,
}

/// The output of a job's datums: ended ones, then running ones; read lazily.
pub fn logs_of_job<'s>(
    store: &'s Store,
    live: Option<&Live>,
    job: &JobRow,
    wanted: Wanted,
) -> Result<impl Iterator<Item = Result<DatumLog>> + use<'s>> {
    // Read before the ended datums, so that none is missed in between.
    let known = live_job(live, job);
    let at_work = known.map(|known| known.feed.at_work()).unwrap_or_default();
    let mut results = results_of(store, live, job)?;
    let mut at_work = at_work.into_iter();
    let mut ended = HashSet::new();
    let (run, pipeline, job) = (job.run, job.pipeline.clone(), job.clone());
    let is_any_at_work = at_work.len() > 0;
    Ok(std::iter::from_fn(move || {
        for entry in results.by_ref() {
            let read = entry.map_err(engine::EngineError::from).and_then(|(place, digest)| {
                let result: ResultDocument = store.document(&digest)?;
                let is_own = result.run == run && result.pipeline == pipeline;
                if is_own && is_any_at_work {
                    ended.insert(result.recipe);
                }
                if (wanted.own && !is_own) || (wanted.failed && result.state != ResultState::Failed) {
                    return Ok(None);
                }
                let title = place.map_or_else(|| title_of(store, &job, &result.recipe), Ok)?;
                Ok(Some(DatumLog::Ended(title, Box::new(result))))
            });
            if let Some(log) = read.transpose() {
                return Some(log);
            }
        }
        let printing = at_work.find(|printing| !wanted.failed && !ended.contains(&printing.datum()))?;
        Some(at_work_log(store, &job, &printing))
    }))
}

/// The output of a running datum of a job so far.
pub fn at_work_log(store: &Store, job: &JobRow, printing: &Printing) -> Result<DatumLog> {
    let title = title_of(store, job, &printing.datum())?;
    Ok(DatumLog::AtWork(title, printing.so_far(store)?))
}

/// The job of a result; without its name if it is not visible.
pub fn job_of(result: &ResultDocument) -> String {
    if is_stand_in(result.pipeline.as_str()) {
        return "not visible to you".to_owned();
    }
    job_id(&result.pipeline, &result.run)
}
