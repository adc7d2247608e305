//! Resolves the word to explain.

use engine::{EngineError, Result};
use repos::{JobRow, Store};
use specs::{DatumRef, JobRef, PipelineName, RepoName, Target};

use crate::named::{find_jobs, not_a_reference};

/// What to explain.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A pipeline: why it is not running now.
    Pipeline(PipelineName),
    /// Jobs: why they ran.
    Jobs(Vec<JobRow>),
    /// A datum: why it ran.
    Datum(DatumRef),
}

/// Resolves a word: a run, a file (meaning the datum that wrote it), a pipeline, a job, else a datum.
pub fn subject(store: &Store, target: &Target) -> Result<Subject> {
    let word = match target {
        Target::Run(run) => return Ok(Subject::Jobs(find_jobs(store, &JobRef::Run(run.clone()))?)),
        Target::File(reference) => return Ok(Subject::Datum(DatumRef::Writer(reference.clone()))),
        Target::Word(word) => word,
    };
    if word.contains('/') {
        return Ok(Subject::Datum(word.parse().map_err(|error| not_a_reference(&error))?));
    }
    match word.parse::<JobRef>() {
        Ok(JobRef::Newest(name)) if store.find_pipeline(&name)?.is_some() => return Ok(Subject::Pipeline(name)),
        Ok(job @ JobRef::InRun { .. }) => return Ok(Subject::Jobs(find_jobs(store, &job)?)),
        _ => {}
    }
    if let Ok(repo) = word.parse::<RepoName>()
        && store.has_repo(&repo)?
    {
        let what = format!("`{repo}` is a repository, not the output of a pipeline");
        return Err(EngineError::Usage { what, hint: Some(format!("pv log {repo} shows who committed and why")) });
    }
    if let Ok(datum) = word.parse() {
        return Ok(Subject::Datum(datum));
    }
    let name: PipelineName =
        word.parse().map_err(specs::ReferenceError::from).map_err(|error| not_a_reference(&error))?;
    store.pipeline(&name)?;
    Ok(Subject::Pipeline(name))
}

/// The single job that a word means; for a pipeline its newest.
pub fn one_job(store: &Store, subject: Subject, word: &str) -> Result<JobRow> {
    let jobs = match subject {
        Subject::Jobs(jobs) => jobs,
        Subject::Pipeline(name) => find_jobs(store, &JobRef::Newest(name))?,
        Subject::Datum(_) => Vec::new(),
    };
    <[JobRow; 1]>::try_from(jobs).map(|[job]| job).map_err(|jobs| EngineError::Usage {
        what: format!("`{word}` refers to {} jobs", jobs.len()),
        hint: Some("name one as PIPELINE@RUN".to_owned()),
    })
}
