//! `pv logs`

use std::time::Duration;

use engine::datums::DatumKey;
use engine::live::{Happened, JobKey};
use engine::queries::{find_datum, find_jobs};
use repos::documents::{ResultDocument, ResultState, Try};
use repos::tree::{KeyRange, Map};
use repos::{JobRow, Store};
use specs::{DatumRef, Digest, ErrorKind, JobRef, Target, parse_target};
use tokio::sync::broadcast::error::TryRecvError;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{LogText, count};

/// Time between two looks for more.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Print what user code printed
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A job, a datum, or the file that a datum wrote
    #[arg(value_name = "JOB|DATUM|REF:/PATH")]
    what: String,
    /// Only datums that failed
    #[arg(long)]
    failed: bool,
    /// Go on until the job has ended
    #[arg(short, long)]
    follow: bool,
    /// Print bytes as they came, also what a terminal acts on; else control characters are made visible
    #[arg(long)]
    raw: bool,
}

/// What is asked for.
enum Subject {
    Jobs(Vec<JobRow>),
    Result(Box<ResultDocument>),
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    match subject(store, &args.what)? {
        Subject::Result(result) => print_result(cx, store, &result, None, args.raw),
        Subject::Jobs(jobs) => {
            for job in &jobs {
                if args.follow && job.sealed.is_none() {
                    follow(cx, job, args.raw)?;
                } else {
                    print_job(cx, store, job, args)?;
                }
            }
            Ok(())
        }
    }
}

fn subject(store: &Store, what: &str) -> Result<Subject> {
    match parse_target(what)? {
        Target::File(reference) => result_of(store, &DatumRef::Writer(reference)),
        Target::Run(run) => Ok(Subject::Jobs(find_jobs(store, &JobRef::Run(run))?)),
        Target::Word(word) => match word.parse::<JobRef>() {
            // A pipeline's name wins over the id of a datum.
            Ok(job) if is_pipelines(store, &job)? => Ok(Subject::Jobs(find_jobs(store, &job)?)),
            job => match word.parse() {
                Ok(datum) => result_of(store, &datum),
                // No id either, so it was meant as a pipeline: which is not there.
                Err(error) => {
                    if let Ok(JobRef::Newest(name) | JobRef::InRun { pipeline: name, .. }) = job {
                        store.pipeline(&name)?;
                    }
                    Err(error.into())
                }
            },
        },
    }
}

/// Whether a reference to a job names a pipeline that there is.
pub(super) fn is_pipelines(store: &Store, job: &JobRef) -> Result<bool> {
    match job {
        JobRef::Newest(name) | JobRef::InRun { pipeline: name, .. } => Ok(store.find_pipeline(name)?.is_some()),
        JobRef::Run(_) => Ok(false),
    }
}

fn result_of(store: &Store, datum: &DatumRef) -> Result<Subject> {
    Ok(Subject::Result(Box::new(find_datum(store, datum)?.result)))
}

/// The logs of all datums of a job that executed something; a headline each, when there are several.
fn print_job(cx: &Context, store: &Store, job: &JobRow, args: &Args) -> Result<()> {
    let Some(commit) = job.commit.map(|id| store.commit(&id)).transpose()? else {
        let reason = super::failures::reason(store, job)?;
        cx.notes().line(format!("job {}@{} has no datums: {reason}", job.pipeline, job.run.short(8)));
        return Ok(());
    };
    let datums: Map<Vec<u8>> = commit.datums.map_or(Map::empty(), Map::at);
    let mut printed = 0;
    for entry in datums.range(store, KeyRange::prefix(*b"d"))? {
        let (key, value) = entry?;
        let Ok(digest) = <[u8; 32]>::try_from(value) else { continue };
        let result: ResultDocument = store.document(&Digest::from_bytes(digest))?;
        if args.failed && result.state != ResultState::Failed {
            continue;
        }
        let key = DatumKey::from_map(&key);
        let parts: Vec<&str> = key.parts().unwrap_or_default().into_iter().map(|(_, text)| text).collect();
        print_result(cx, store, &result, Some(&parts.join(" ")), args.raw)?;
        printed += 1;
    }
    if printed == 0 {
        cx.notes().line(if args.failed { "no datum failed" } else { "the job has no datums" });
    }
    Ok(())
}

fn print_result(cx: &Context, store: &Store, result: &ResultDocument, title: Option<&str>, raw: bool) -> Result<()> {
    let tries = result.tries.len();
    for (number, one) in result.tries.iter().enumerate() {
        let log = one.log.map(|log| store.log_of(result, &log)).transpose()?.unwrap_or_default();
        if cx.out().is_json() {
            cx.out().json(&serde_json::json!({
                "datum": result.recipe, "job": format!("{}@{}", result.pipeline, result.run), "try": number + 1,
                "exit_code": one.exit_code, "reason": one.reason, "started_at": one.started_at,
                "finished_at": one.finished_at, "log": String::from_utf8_lossy(&log),
            }))?;
            continue;
        }
        if title.is_some() || tries > 1 {
            cx.out().line(headline(result, title, number + 1, tries, one))?;
        }
        let mut text = LogText::default();
        cx.out().log(&mut text, &log, raw)?;
        cx.out().end_log(&mut text)?;
        if log.last().is_some_and(|last| *last != b'\n') {
            cx.out().line("")?;
        }
    }
    Ok(())
}

fn headline(result: &ResultDocument, title: Option<&str>, number: usize, tries: usize, one: &Try) -> String {
    let end = match (&one.reason, one.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => String::new(),
    };
    let of = if tries > 1 { format!("  try {number} of {tries}") } else { String::new() };
    format!("== {} {}  {end}{of}", result.recipe.short(8), title.unwrap_or_default())
}

/// Prints what a running job prints, as it comes.
fn follow(cx: &Context, job: &JobRow, raw: bool) -> Result<()> {
    let Some(engine) = cx.engine() else {
        let error = CliError::new(ErrorKind::Unavailable, format!("job `{}` is not running", job.pipeline));
        return Err(error.hint("pv run runs it; its output is printed with pv logs -f meanwhile"));
    };
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    let mut feed = engine.live().listen();
    let mut text = LogText::default();
    loop {
        match feed.try_recv() {
            Ok(Happened::Log { job, bytes, .. }) if job == key => {
                cx.out().log(&mut text, &bytes, raw)?;
                cx.out().flush()?;
            }
            Ok(Happened::Ended { job, .. }) if job == key => return Ok(()),
            Ok(_) => {}
            Err(TryRecvError::Empty) => {
                let ended = engine.store().job(key.order, &key.pipeline)?.is_none_or(|job| job.sealed.is_some());
                if ended || engine.has_ended() {
                    return Ok(());
                }
                if cx.cancel().is_asked() {
                    return Err(CliError::Cancelled);
                }
                std::thread::sleep(BETWEEN_LOOKS);
            }
            Err(TryRecvError::Lagged(missed)) => {
                cx.notes().line(format!("{} pieces of output came too quickly to show", count(missed)));
            }
            Err(TryRecvError::Closed) => return Ok(()),
        }
    }
}
