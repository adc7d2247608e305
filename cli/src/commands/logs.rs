//! `pv logs`

use std::time::Duration;

use engine::datums::DatumKey;
use engine::live::{Happened, JobKey};
use repos::documents::{ResultDocument, ResultState, Try};
use repos::tree::{KeyRange, Map};
use repos::{JobRow, Store};
use specs::{DatumRef, Digest, ErrorKind, IdPrefix, JobRef, Reference, Target, parse_target};
use tokio::sync::broadcast::error::TryRecvError;

use super::run::TICK;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::count;

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
}

/// What is asked for.
enum Subject {
    Jobs(Vec<JobRow>),
    Result(Box<ResultDocument>),
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    match subject(store, &args.what)? {
        Subject::Result(result) => print_result(cx, store, &result, None),
        Subject::Jobs(jobs) => {
            for job in &jobs {
                if args.follow && job.sealed.is_none() {
                    follow(cx, job)?;
                } else {
                    print_job(cx, store, job, args.failed)?;
                }
            }
            Ok(())
        }
    }
}

fn subject(store: &Store, what: &str) -> Result<Subject> {
    match parse_target(what)? {
        Target::File(reference) => writer_of(store, &reference),
        Target::Run(run) => Ok(Subject::Jobs(store.jobs_of_run(store.run(&store.run_by_prefix(&run.0)?)?.order)?)),
        Target::Word(word) => {
            if let Ok(job) = word.parse::<JobRef>()
                && let Some(job) = job_of(store, &job)?
            {
                return Ok(Subject::Jobs(vec![job]));
            }
            let id = match word.parse::<DatumRef>()? {
                DatumRef::Id(id) | DatumRef::InJob { id, .. } => id,
                DatumRef::Writer(reference) => return writer_of(store, &reference),
            };
            newest_result(store, &id)
        }
    }
}

/// The job that is meant, if there is a pipeline of that name.
fn job_of(store: &Store, job: &JobRef) -> Result<Option<JobRow>> {
    match job {
        JobRef::Newest(name) | JobRef::InRun { pipeline: name, .. } if store.find_pipeline(name)?.is_none() => Ok(None),
        JobRef::Newest(name) => {
            let newest = store.newest_job(name)?;
            let none =
                || CliError::new(ErrorKind::NotFound, format!("pipeline `{name}` has no job yet")).hint("pv plan");
            newest.map(Some).ok_or_else(none)
        }
        JobRef::InRun { pipeline, run } => {
            let run = store.run(&store.run_by_prefix(run)?)?;
            let none = || {
                let message = format!("run {} has no job of pipeline `{pipeline}`", run.run.short(8));
                CliError::new(ErrorKind::NotFound, message).hint(format!("pv job list {pipeline}"))
            };
            store.job(run.order, pipeline)?.map(Some).ok_or_else(none)
        }
        JobRef::Run(_) => Ok(None),
    }
}

fn writer_of(store: &Store, reference: &Reference) -> Result<Subject> {
    let resolved = store.resolve(reference)?;
    let lineage: Map<Digest> = resolved.commit.lineage.map_or(Map::empty(), Map::at);
    let writer = lineage.get(store, resolved.path.as_str().as_bytes())?.ok_or_else(|| {
        CliError::new(ErrorKind::NotFound, format!("no datum wrote `{}` in {}", resolved.path, resolved.place()))
            .hint(format!("pv ls {} shows its files; those that people committed have no log", resolved.commit.repo))
    })?;
    Ok(Subject::Result(Box::new(store.document(&writer)?)))
}

fn newest_result(store: &Store, id: &IdPrefix) -> Result<Subject> {
    let ids = store.datums_by_prefix(id.as_str(), 5)?;
    match ids.as_slice() {
        [] => Err(CliError::new(ErrorKind::NotFound, format!("`{id}` is no pipeline, job or datum"))
            .hint("pv job list and pv datum list JOB show what there is")),
        [datum] => {
            let results = store.results(datum)?;
            let (newest, ..) = results.first().expect("a datum in the index has a result");
            Ok(Subject::Result(Box::new(store.document(newest)?)))
        }
        _ => {
            let ids: Vec<String> = ids.iter().map(|id| id.short(16)).collect();
            Err(CliError::usage(format!("`{id}` fits more than one datum: {}", ids.join(", ")), "write more digits"))
        }
    }
}

/// The logs of all datums of a job that executed something; a headline each, when there are several.
fn print_job(cx: &Context, store: &Store, job: &JobRow, failed_only: bool) -> Result<()> {
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
        if failed_only && result.state != ResultState::Failed {
            continue;
        }
        let paths: Vec<String> =
            DatumKey::from_map(&key).arms().unwrap_or_default().into_iter().map(|(_, path)| path.to_string()).collect();
        print_result(cx, store, &result, Some(&paths.join(" ")))?;
        printed += 1;
    }
    if printed == 0 {
        cx.notes().line(if failed_only { "no datum failed" } else { "the job has no datums" });
    }
    Ok(())
}

fn print_result(cx: &Context, store: &Store, result: &ResultDocument, title: Option<&str>) -> Result<()> {
    let tries = result.tries.len();
    for (number, one) in result.tries.iter().enumerate() {
        let log = one.log.map(|log| store.log(&log)).transpose()?.unwrap_or_default();
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
        cx.out().bytes(&log)?;
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
fn follow(cx: &Context, job: &JobRow) -> Result<()> {
    let Some(engine) = cx.engine() else {
        let error = CliError::new(ErrorKind::Unavailable, format!("job `{}` is not running", job.pipeline));
        return Err(error.hint("pv run runs it; its output is printed with pv logs -f meanwhile"));
    };
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    let mut feed = engine.live().listen();
    loop {
        match feed.try_recv() {
            Ok(Happened::Log { job, bytes, .. }) if job == key => {
                cx.out().bytes(&bytes)?;
                cx.out().flush()?;
            }
            Ok(Happened::Ended { job, .. }) if job == key => return Ok(()),
            Ok(_) => {}
            Err(TryRecvError::Empty) => {
                let ended = engine.store().job(key.order, &key.pipeline)?.is_none_or(|job| job.sealed.is_some());
                if ended || engine.is_over() {
                    return Ok(());
                }
                if cx.cancel().is_asked() {
                    return Err(CliError::Cancelled);
                }
                std::thread::sleep(TICK.min(Duration::from_millis(50)));
            }
            Err(TryRecvError::Lagged(missed)) => {
                cx.notes().line(format!("{} pieces of output came too quickly to show", count(missed)));
            }
            Err(TryRecvError::Closed) => return Ok(()),
        }
    }
}
