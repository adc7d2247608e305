//! Resolves references to jobs.

use engine::live::job_id;
use engine::{EngineError, Result};
use repos::{JobRow, Store};
use specs::JobRef;

/// The jobs that a reference names: one, or all of a run in the order of data flow.
pub fn find_jobs(store: &Store, job: &JobRef) -> Result<Vec<JobRow>> {
    let (pipeline, run) = match job {
        JobRef::Newest(pipeline) => {
            if let Some(job) = store.newest_job(pipeline)? {
                return Ok(vec![job]);
            }
            store.pipeline(pipeline)?;
            return Err(EngineError::NotFound {
                what: format!("pipeline `{pipeline}` has no job yet"),
                hint: Some(format!("pv plan {pipeline} shows what it is waiting for")),
            });
        }
        JobRef::InRun { pipeline, run } => (Some(pipeline), run),
        JobRef::Run(run) => (None, &run.0),
    };
    let run = store.run(&store.run_by_prefix(run)?)?;
    let mut jobs = Vec::new();
    for seed in run.jobs.iter().filter(|seed| pipeline.is_none_or(|pipeline| seed.pipeline == *pipeline)) {
        jobs.extend(store.job(run.order, &seed.pipeline)?);
    }
    match pipeline {
        Some(pipeline) if jobs.is_empty() => Err(EngineError::JobNotFound { job: job_id(pipeline, &run.run) }),
        _ => Ok(jobs),
    }
}

/// The one job that a reference names.
pub fn find_job(store: &Store, job: &JobRef) -> Result<JobRow> {
    let mut jobs = find_jobs(store, job)?;
    match (jobs.pop(), jobs.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(EngineError::NotFound { what: format!("run `{job}` caused no job"), hint: None }),
        (Some(last), false) => {
            jobs.push(last);
            let names: Vec<String> = jobs.iter().map(|job| format!("{}@{}", job.pipeline, job.run.short(8))).collect();
            let what = format!("`{job}` refers to {} jobs: {}", names.len(), names.join(", "));
            Err(EngineError::Usage { what, hint: Some(format!("name one, such as {}", names[0])) })
        }
    }
}

/// Whether a reference to a job names an existing pipeline.
pub fn is_pipelines(store: &Store, job: &JobRef) -> Result<bool> {
    match job {
        JobRef::Newest(name) | JobRef::InRun { pipeline: name, .. } => Ok(store.find_pipeline(name)?.is_some()),
        JobRef::Run(_) => Ok(false),
    }
}
