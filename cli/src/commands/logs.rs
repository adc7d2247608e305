//! `pv logs`

use std::collections::HashSet;
use std::sync::Arc;

use answers::datum::{ResultState, Try, find_datum, paths_of, results_of};
use answers::job::{JobRow, job_id};
use answers::named::find_jobs;
use engine::feed::{Feed, Printing};
use engine::live::JobKey;
use repos::RepoError;
use repos::documents::ResultDocument;
use specs::{DatumId, DatumRef, ErrorKind, JobRef, Target, parse_target};

use super::following;
use super::jobs::live;
use crate::context::{Context, Store};
use crate::error::Result;
use crate::output::LogText;

/// How many inputs of a datum its headline names.
const NAMED: usize = 8;

/// Print the output of user code
///
/// For a running job, this prints the output so far. With -f it follows the output until the job ends. With --json -f each object is a
/// piece of a try's log, and the last object of a try says how the try ended.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Job, datum, or a file that a datum wrote
    #[arg(value_name = "JOB|DATUM|REF:/PATH")]
    what: String,
    /// Print only failed datums
    #[arg(long)]
    failed: bool,
    /// Follow the output until the job ends
    #[arg(short, long)]
    follow: bool,
    /// Print the bytes unchanged; otherwise control characters are escaped
    #[arg(long)]
    raw: bool,
}

/// Whose log is shown.
enum Subject {
    Jobs(Vec<JobRow>),
    Result(Box<ResultDocument>),
    /// A running datum.
    AtWork(JobRow, Arc<Feed>, Arc<Printing>),
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    match subject(cx, store, &args.what)? {
        Subject::Result(result) => print_result(cx, store, &result, None, args.raw),
        Subject::AtWork(job, feed, printing) if args.follow => {
            following::follow_datum(cx, store, &job, (&feed, printing.number()), args.raw)
        }
        Subject::AtWork(job, _, printing) => print_at_work(cx, store, &job, &printing, args.raw),
        Subject::Jobs(jobs) => {
            for job in &jobs {
                if args.follow && job.sealed.is_none() {
                    following::follow(cx, store, job, (args.failed, args.raw))?;
                } else {
                    print_job(cx, store, job, (args.failed, args.raw), false)?;
                }
            }
            Ok(())
        }
    }
}

fn subject(cx: &Context, store: &Store, what: &str) -> Result<Subject> {
    match parse_target(what)? {
        Target::File(reference) => result_of(cx, store, &DatumRef::Writer(reference)),
        Target::Run(run) => Ok(Subject::Jobs(find_jobs(store, &JobRef::Run(run))?)),
        Target::Word(word) => match word.parse::<JobRef>() {
            // The name of a pipeline takes precedence over the id of a datum.
            Ok(job) if is_pipelines(store, &job)? => Ok(Subject::Jobs(find_jobs(store, &job)?)),
            job => match word.parse() {
                Ok(datum) => result_of(cx, store, &datum),
                // Not an id either, so it was meant as a pipeline, which does not exist.
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

/// Whether a reference to a job names an existing pipeline.
pub(super) fn is_pipelines(store: &Store, job: &JobRef) -> Result<bool> {
    match job {
        JobRef::Newest(name) | JobRef::InRun { pipeline: name, .. } => Ok(store.find_pipeline(name)?.is_some()),
        JobRef::Run(_) => Ok(false),
    }
}

fn result_of(cx: &Context, store: &Store, datum: &DatumRef) -> Result<Subject> {
    match find_datum(store, live(cx), datum) {
        Err(error) if error.kind() == ErrorKind::NotFound => match at_work(cx, store, datum)? {
            Some(subject) => Ok(subject),
            None => Err(error.into()),
        },
        found => Ok(Subject::Result(Box::new(found?.result))),
    }
}

/// The running datum that a reference names, if exactly one matches.
fn at_work(cx: &Context, store: &Store, datum: &DatumRef) -> Result<Option<Subject>> {
    let Some(live) = live(cx) else { return Ok(None) };
    let (only, id) = match datum {
        DatumRef::Id(id) => (None, id),
        DatumRef::InJob { job, id } => (Some(answers::named::find_job(store, job)?), id),
        DatumRef::Writer(_) => return Ok(None),
    };
    let is_meant = |key: &JobKey| only.as_ref().is_none_or(|job| key_of(job) == *key);
    let mut found = Vec::new();
    for (key, known) in live.all().into_iter().filter(|(key, _)| is_meant(key)) {
        let datums = known.feed.at_work().into_iter();
        let meant = datums.filter(|printing| printing.datum().to_string().starts_with(id.as_str()));
        found.extend(meant.map(|printing| (key.clone(), known.feed.clone(), printing)));
    }
    let (Some((key, feed, printing)), true) = (found.pop(), found.is_empty()) else { return Ok(None) };
    let job = store.job(key.order, &key.pipeline)?;
    Ok(job.map(|job| Subject::AtWork(job, feed, printing)))
}

pub(super) fn key_of(job: &JobRow) -> JobKey {
    JobKey { order: job.order, pipeline: job.pipeline.clone() }
}

/// The logs of a job's ended datums, then of the running ones, each under a headline. `own`: only datums that this job executed.
pub(super) fn print_job(
    cx: &Context,
    store: &Store,
    job: &JobRow,
    (failed_only, raw): (bool, bool),
    own: bool,
) -> Result<()> {
    // Read before the ended datums, so that none is missed in between.
    let known = live(cx).and_then(|live| live.job(&key_of(job)));
    let at_work = known.map(|known| known.feed.at_work()).unwrap_or_default();
    let mut printed = 0;
    let mut ended = HashSet::new();
    for entry in results_of(store, live(cx), job)? {
        let (place, digest) = entry?;
        let result: ResultDocument = store.document(&digest)?;
        let is_own = result.run == job.run && result.pipeline == job.pipeline;
        if is_own && !at_work.is_empty() {
            ended.insert(result.recipe);
        }
        if (own && !is_own) || (failed_only && result.state != ResultState::Failed) {
            continue;
        }
        let title = place.map_or_else(|| title_of(store, &result.recipe), Ok)?;
        print_result(cx, store, &result, Some(&title), raw)?;
        printed += 1;
    }
    for printing in at_work.iter().filter(|printing| !failed_only && !ended.contains(&printing.datum())) {
        print_at_work(cx, store, job, printing, raw)?;
        printed += 1;
    }
    if printed == 0 && !own {
        let so_far = if job.sealed.is_none() { " so far" } else { "" };
        let short = format!("job {}@{}", job.pipeline, job.run.short(8));
        cx.notes().line(match (failed_only, job.commit.is_some() || job.sealed.is_none()) {
            (true, true) => format!("no datum failed{so_far}"),
            (false, true) => format!("{short} has no datums{so_far}"),
            (_, false) => format!("{short} has no datums: {}", super::failures::reason(store, job)?),
        });
    }
    Ok(())
}

/// The paths that a datum reads, on one line.
pub(super) fn title_of(store: &Store, datum: &DatumId) -> Result<String, RepoError> {
    let paths = paths_of(store, datum)?;
    let more = if paths.len() > NAMED { " …" } else { "" };
    let named: Vec<&str> = paths.iter().take(NAMED).map(specs::FilePath::as_str).collect();
    Ok(named.join(" ") + more)
}

/// Everything that a datum printed, with a headline per try if there is a title or several tries.
pub(super) fn print_result(
    cx: &Context,
    store: &Store,
    result: &ResultDocument,
    title: Option<&str>,
    raw: bool,
) -> Result<()> {
    let tries = result.tries.len();
    for (number, one) in result.tries.iter().enumerate() {
        let log = one.log.map(|log| store.log_of(result, &log)).transpose()?.unwrap_or_default();
        if cx.out().is_json() {
            let job = job_id(&result.pipeline, &result.run);
            cx.out().json(&object(&result.recipe, &job, number + 1, Some(one), &log))?;
            continue;
        }
        if title.is_some() || tries > 1 {
            let of = if tries > 1 { format!("  try {} of {tries}", number + 1) } else { String::new() };
            cx.out().line(headline(&result.recipe, title.unwrap_or_default(), &(end_of(one) + &of)))?;
        }
        whole_lines(cx, &log, raw)?;
    }
    Ok(())
}

/// The output of a running datum so far.
fn print_at_work(cx: &Context, store: &Store, job: &JobRow, printing: &Printing, raw: bool) -> Result<()> {
    let title = title_of(store, &printing.datum())?;
    for piece in printing.so_far(store)? {
        if cx.out().is_json() {
            let job = job_id(&job.pipeline, &job.run);
            cx.out().json(&object(&piece.datum, &job, piece.try_number, piece.end.as_ref(), &piece.bytes))?;
            continue;
        }
        let end = piece.end.as_ref().map_or_else(|| "running".to_owned(), end_of);
        let of = if piece.try_number > 1 { format!("  try {}", piece.try_number) } else { String::new() };
        cx.out().line(headline(&piece.datum, &title, &(end + &of)))?;
        whole_lines(cx, &piece.bytes, raw)?;
    }
    Ok(())
}

/// The output of a try, for programs; without its end while it runs.
pub(super) fn object(datum: &DatumId, job: &str, number: usize, end: Option<&Try>, log: &[u8]) -> serde_json::Value {
    serde_json::json!({
        "datum": datum, "job": job, "try": number,
        "exit_code": end.and_then(|end| end.exit_code), "reason": end.and_then(|end| end.reason.as_ref()),
        "started_at": end.map(|end| end.started_at), "finished_at": end.map(|end| end.finished_at),
        "log": String::from_utf8_lossy(log),
    })
}

/// `== 91ce22aa /cam7/a.jpg  exit 1  try 1 of 3`
pub(super) fn headline(datum: &DatumId, title: &str, end: &str) -> String {
    format!("== {} {title}  {end}", datum.short(8))
}

/// How a try ended.
pub(super) fn end_of(one: &Try) -> String {
    match (&one.reason, one.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => String::new(),
    }
}

/// Prints a log, and a line end if it has none.
fn whole_lines(cx: &Context, log: &[u8], raw: bool) -> Result<()> {
    let mut text = LogText::default();
    cx.out().log(&mut text, log, raw)?;
    cx.out().end_log(&mut text)?;
    if log.last().is_some_and(|last| *last != b'\n') { cx.out().line("") } else { Ok(()) }
}
