//! `pv explain`
//!
//! - `print` pipelines, jobs and datums in words
//! - `sides` what differs between two of them, as a table

mod print;
mod sides;

use answers::datum::find_datum;
use answers::explain::{compare_datums, compare_jobs, explain_datum, explain_job, explain_pipeline};
use answers::named::find_jobs;
use repos::{JobRow, Store};
use specs::{DatumRef, ErrorKind, JobRef, PipelineName, RepoName, Target, parse_target};

use super::jobs::live;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Explain why a pipeline, job or datum ran or did not run
///
/// For a pipeline: why it is not running now, and its newest job. For a job: what had changed, and what the job did. For a datum: each
/// field that differs from the nearest earlier datum. For two datums or two jobs: what differs between them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline, job (`PIPELINE@RUN`), run (`@RUN`), datum (an id or `JOB/ID`), or a file that a datum wrote
    #[arg(value_name = "JOB|DATUM|PIPELINE")]
    what: String,
    /// Second datum or job, to compare with the first
    #[arg(value_name = "JOB|DATUM")]
    other: Option<String>,
}

enum Subject {
    Pipeline(PipelineName),
    Jobs(Vec<JobRow>),
    Datum(DatumRef),
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if let Some(other) = &args.other {
        return compare(cx, store, (&args.what, other));
    }
    match subject(store, &args.what)? {
        Subject::Pipeline(name) => {
            let explained = explain_pipeline(store, &store.pipeline(&name)?, live(cx))?;
            if cx.out().is_json() { cx.out().json(&explained) } else { print::pipeline(cx, store, &explained) }
        }
        Subject::Jobs(jobs) => {
            for (number, job) in jobs.iter().enumerate() {
                let explained = explain_job(store, job, live(cx))?;
                if cx.out().is_json() {
                    cx.out().json(&explained)?;
                    continue;
                }
                if number > 0 {
                    cx.out().line("")?;
                }
                print::job(cx, store, &explained)?;
            }
            Ok(())
        }
        Subject::Datum(datum) => {
            let explained = explain_datum(store, live(cx), find_datum(store, live(cx), &datum)?)?;
            if cx.out().is_json() { cx.out().json(&explained) } else { print::datum(cx, store, &explained) }
        }
    }
}

/// Compares two datums, or two jobs; a pipeline stands for its newest job.
fn compare(cx: &Context, store: &Store, (old, new): (&str, &str)) -> Result<()> {
    match (subject(store, old)?, subject(store, new)?) {
        (Subject::Datum(was), Subject::Datum(is)) => {
            let found = |datum| find_datum(store, live(cx), datum);
            let compared = compare_datums(store, &found(&was)?, &found(&is)?)?;
            if cx.out().is_json() { cx.out().json(&compared) } else { sides::datums(cx, store, &compared) }
        }
        (Subject::Datum(_), _) | (_, Subject::Datum(_)) => {
            Err(CliError::usage(format!("`{old}` and `{new}` are of different kinds"), "name two datums, or two jobs"))
        }
        (was, is) => {
            let compared = compare_jobs(store, &one_job(store, was, old)?, &one_job(store, is, new)?)?;
            if cx.out().is_json() { cx.out().json(&compared) } else { sides::jobs(cx, store, &compared) }
        }
    }
}

fn one_job(store: &Store, subject: Subject, word: &str) -> Result<JobRow> {
    let jobs = match subject {
        Subject::Jobs(jobs) => jobs,
        Subject::Pipeline(name) => find_jobs(store, &JobRef::Newest(name))?,
        Subject::Datum(_) => Vec::new(),
    };
    match <[JobRow; 1]>::try_from(jobs) {
        Ok([job]) => Ok(job),
        Err(jobs) => {
            let error = CliError::new(ErrorKind::Usage, format!("`{word}` refers to {} jobs", jobs.len()));
            Err(error.hint("name one as PIPELINE@RUN"))
        }
    }
}

fn subject(store: &Store, what: &str) -> Result<Subject> {
    let word = match parse_target(what)? {
        Target::Run(run) => return Ok(Subject::Jobs(find_jobs(store, &JobRef::Run(run))?)),
        Target::File(reference) => return Ok(Subject::Datum(DatumRef::Writer(reference))),
        Target::Word(word) => word,
    };
    if word.contains('/') {
        return Ok(Subject::Datum(word.parse()?));
    }
    match word.parse::<JobRef>() {
        Ok(JobRef::Newest(name)) if store.find_pipeline(&name)?.is_some() => return Ok(Subject::Pipeline(name)),
        Ok(job @ JobRef::InRun { .. }) => return Ok(Subject::Jobs(find_jobs(store, &job)?)),
        _ => {}
    }
    if let Ok(repo) = word.parse::<RepoName>()
        && store.has_repo(&repo)?
    {
        let error = CliError::new(ErrorKind::Usage, format!("`{repo}` is a repository, not the output of a pipeline"));
        return Err(error.hint(format!("pv log {repo} shows who committed and why")));
    }
    if let Ok(datum) = word.parse() {
        return Ok(Subject::Datum(datum));
    }
    let name: PipelineName = word.parse().map_err(specs::ReferenceError::from)?;
    store.pipeline(&name)?;
    Ok(Subject::Pipeline(name))
}
