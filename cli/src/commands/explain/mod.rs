//! `pv explain`
//!
//! - `print` pipelines, jobs and datums in words
//! - `sides` what differs between two of them, as a table

mod print;
mod sides;

use answers::datum::find_datum;
use answers::explain::{
    Subject, compare_datums, compare_jobs, explain_datum, explain_job, explain_pipeline, one_job, subject,
};
use specs::parse_target;

use super::jobs::live;
use crate::context::{Context, Store};
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

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if let Some(other) = &args.other {
        return compare(cx, store, (&args.what, other));
    }
    match subject(store, &parse_target(&args.what)?)? {
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
    match (subject(store, &parse_target(old)?)?, subject(store, &parse_target(new)?)?) {
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
