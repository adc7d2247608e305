//! `pv logs`

use answers::datum::Try;
use answers::job::{JobRow, job_id};
use answers::logs::{
    DatumLog, ResultDocument, Subject, Wanted, at_work_log, job_of, log_view, logs_of_job, subject, tries_of,
};
use engine::feed::Printed;
use specs::{DatumId, parse_target};

use super::following;
use super::jobs::live;
use crate::context::{Context, Store};
use crate::error::Result;
use crate::output::LogText;

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

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    match subject(store, live(cx), &parse_target(&args.what)?)? {
        Subject::Result(result) => print_result(cx, store, &result, None, args.raw),
        Subject::AtWork(job, feed, printing) if args.follow => {
            following::follow_datum(cx, store, &job, (&feed, printing.number()), args.raw)
        }
        Subject::AtWork(job, _, printing) => print_log(cx, &job, &at_work_log(store, &job, &printing)?, args.raw),
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

/// The logs of a job's ended datums, then of the running ones, each under a headline. `own`: only datums that this job executed.
pub(super) fn print_job(
    cx: &Context,
    store: &Store,
    job: &JobRow,
    (failed, raw): (bool, bool),
    own: bool,
) -> Result<()> {
    let mut printed = 0;
    for log in logs_of_job(store, live(cx), job, Wanted { failed, own })? {
        print_log(cx, job, &log?, raw)?;
        printed += 1;
    }
    if printed == 0 && !own {
        let so_far = if job.sealed.is_none() { " so far" } else { "" };
        let short = format!("job {}@{}", job.pipeline, job.run.short(8));
        cx.notes().line(match (failed, job.commit.is_some() || job.sealed.is_none()) {
            (true, true) => format!("no datum failed{so_far}"),
            (false, true) => format!("{short} has no datums{so_far}"),
            (_, false) => format!("{short} has no datums: {}", super::failures::reason(store, job)?),
        });
    }
    Ok(())
}

fn print_log(cx: &Context, job: &JobRow, log: &DatumLog, raw: bool) -> Result<()> {
    match log {
        DatumLog::Ended(title, result) => print_result(cx, cx.store()?, result, Some(title), raw),
        DatumLog::AtWork(title, pieces) => pieces.iter().try_for_each(|piece| print_piece(cx, job, title, piece, raw)),
    }
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
    for one in tries_of(store, result) {
        let one = one?;
        if cx.out().is_json() {
            cx.out().json(&log_view(&result.recipe, &job_of(result), one.number, Some(&one.end), &one.bytes))?;
            continue;
        }
        if title.is_some() || tries > 1 {
            let of = if tries > 1 { format!("  try {} of {tries}", one.number) } else { String::new() };
            cx.out().line(headline(&result.recipe, title.unwrap_or_default(), &(end_of(&one.end) + &of)))?;
        }
        whole_lines(cx, &one.bytes, raw)?;
    }
    Ok(())
}

/// The output of a running datum so far.
fn print_piece(cx: &Context, job: &JobRow, title: &str, piece: &Printed, raw: bool) -> Result<()> {
    if cx.out().is_json() {
        let job = job_id(&job.pipeline, &job.run);
        return cx.out().json(&log_view(&piece.datum, &job, piece.try_number, piece.end.as_ref(), &piece.bytes));
    }
    let end = piece.end.as_ref().map_or_else(|| "running".to_owned(), end_of);
    let of = if piece.try_number > 1 { format!("  try {}", piece.try_number) } else { String::new() };
    cx.out().line(headline(&piece.datum, title, &(end + &of)))?;
    whole_lines(cx, &piece.bytes, raw)
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
