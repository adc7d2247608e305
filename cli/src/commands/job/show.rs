//! `pv job show`

use answers::job::{JobRow, JobState, JobView, LiveJob, job_details, job_view, may_be_retried, output_of, pace};
use answers::named::{find_job, find_jobs};
use answers::run::cause_words;
use answers::sight::gap_in_words;
use repos::Timestamp;
use specs::JobRef;

use crate::commands::failures;
use crate::commands::jobs::{live, live_job, paint_state, took};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, count, duration, plural};

/// How many running datums are shown.
const SHOWN: usize = 10;

/// Show a job: its state, the reason, and its failed datums with their last output
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Job: `PIPELINE` (its newest), `PIPELINE@RUN`, or `@RUN` for all jobs of a run
    #[arg(value_name = "JOB")]
    job: JobRef,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if let JobRef::Run(_) = &args.job {
        let jobs = find_jobs(store, &args.job)?;
        if cx.out().is_json() {
            return jobs.iter().try_for_each(|job| cx.out().json(&job_details(store, job, live(cx))?));
        }
        return cx.list(None, jobs.iter().map(|job| Ok(job_view(store, job, live_job(cx, job).as_ref())?)));
    }
    let job = find_job(store, &args.job)?;
    if cx.out().is_json() {
        return cx.out().json(&job_details(store, &job, live(cx))?);
    }
    let known = live_job(cx, &job);
    let view = job_view(store, &job, known.as_ref())?;
    let lines = lines(cx, &view)?.into_iter().map(|(word, text)| vec![word.to_owned(), text]);
    cx.table(&[], lines.collect())?;
    if let Some(known) = &known {
        at_work(cx, &job, known)?;
    }
    failed(cx, &job, &view)
}

/// Shows the job that a reference names.
pub(in crate::commands) fn show_one(cx: &Context, job: &JobRef) -> Result<()> {
    run(cx, &Args { job: job.clone() })
}

fn lines(cx: &Context, view: &JobView) -> Result<Vec<(&'static str, String)>> {
    let (store, human, cause) = (cx.store()?, cx.human(), &view.cause);
    let said = cause.reason.as_deref().map_or_else(String::new, |reason| format!("   {reason}"));
    let reason = view.reason.as_deref().map_or_else(String::new, |reason| format!("   {reason}"));
    let mut lines = vec![
        ("job", view.id.clone()),
        ("state", format!("{}{reason}", paint_state(cx.out(), view.state))),
        ("cause", format!("{}   {}{said}", cause_words(cause.kind, &cause.refs), cause.who())),
        ("pipeline", format!("{} v{}", view.pipeline, view.pipeline_version)),
        ("executor", executor(view)),
        ("datums", datums(view)),
        ("created", when(&human, view.created_at)),
        ("started", view.started_at.map_or_else(String::new, |time| when(&human, time))),
        ("ended", view.finished_at.map_or_else(String::new, |time| when(&human, time))),
        ("took", took(view).unwrap_or_default()),
    ];
    if let (Some(id), Some(made)) = (&view.output_commit, output_of(store, view)?) {
        for from in &made.inputs {
            lines.push(("read", format!("{}@{}   {}", from.repo, from.branch, store.short_commit(&from.commit)?)));
        }
        if made.not_visible > 0 {
            lines.push(("read", gap_in_words(made.not_visible, "input commit")));
        }
        let kept = if made.is_partial { "   only what succeeded; not on a branch" } else { "" };
        lines.push(("made", format!("{}@{}{kept}", made.repo, store.short_commit(id)?)));
    }
    lines.retain(|(_, text)| !text.is_empty());
    Ok(lines)
}

/// `docker 28.2 on edge-1`; for a job that has not ended only the kind is known.
fn executor(view: &JobView) -> String {
    match &view.executed_on {
        Some(stamp) => stamp.to_string(),
        None => view.executor.map_or_else(String::new, |kind| kind.to_string()),
    }
}

fn datums(view: &JobView) -> String {
    if view.started_at.is_none() {
        return String::new();
    }
    let parts = [
        (view.datums_processed, "run"),
        (view.datums_cached, "cached"),
        (view.datums_failed, "failed"),
        (view.datums_recovered, "recovered"),
    ];
    let always = ["run", "cached"];
    let parts = parts.iter().filter(|(number, word)| *number > 0 || always.contains(word));
    let parts: Vec<String> = parts.map(|(number, word)| format!("{} {word}", count(*number))).collect();
    format!("{} of {}", parts.join(", "), count(view.datums_total))
}

fn when(human: &Human, time: Timestamp) -> String {
    format!("{}   {}", human.local_and_utc(time), human.ago(time))
}

/// The speed of a job and its running datums, the oldest first.
fn at_work(cx: &Context, job: &JobRow, known: &LiveJob) -> Result<()> {
    let Some(pace) = pace(cx.store()?, job, known)? else { return Ok(()) };
    let human = cx.human();
    let rate = pace.datums_per_second.map(|rate| format!("{rate:.1} a second"));
    let left = pace.seconds_left.map(|seconds| format!("about {} left", duration(seconds)));
    let median = pace.median_seconds.map(|seconds| format!("a datum takes {} (median)", duration(seconds)));
    let speed: Vec<String> = [rate, left, median].into_iter().flatten().collect();
    if !speed.is_empty() {
        cx.out().line(format!("\nspeed: {}", speed.join(", ")))?;
    }
    if pace.running.is_empty() {
        return Ok(());
    }
    cx.out().line(format!("\nrunning: {}", plural(pace.running.len() as u64, "datum", "datums")))?;
    for (datum, since) in pace.running.iter().take(SHOWN) {
        let since = since.map_or_else(String::new, |since| human.ago(since));
        let mut inputs: Vec<String> =
            datum.inputs.iter().map(|input| format!("{}:{}", input.input, input.path)).collect();
        inputs.extend((datum.not_visible > 0).then(|| gap_in_words(datum.not_visible, "input")));
        cx.out().wrapped(format!("  datum {}  {}  since {since}", datum.id.short(8), inputs.join(" ")))?;
    }
    Ok(())
}

fn failed(cx: &Context, job: &JobRow, view: &JobView) -> Result<()> {
    let store = cx.store()?;
    // If the job's engine is gone, nothing has counted its failed datums.
    let is_broken_off = job.sealed.is_none() && view.started_at.is_none();
    let failed = view.datums_failed;
    let said = if failed > 0 || is_broken_off { failures::failed_lines(store, live(cx), job)? } else { Vec::new() };
    if !said.is_empty() {
        let so_far = if job.sealed.is_none() { " so far" } else { "" };
        let number = if failed > 0 { format!(": {}", plural(failed, "datum", "datums")) } else { String::new() };
        cx.out().line(format!("\nfailed{so_far}{number}"))?;
        said.iter().try_for_each(|text| cx.out().wrapped(text))?;
        cx.out().flush()?;
        cx.notes().line(format!("full output: pv logs {} --failed", view.short));
    }
    if !may_be_retried(store, job) {
        return Ok(());
    }
    if failed > 0 && job.sealed.is_some() {
        cx.notes().line(format!("skip them: pv job retry {} --skip-failed -m WHY", job.pipeline));
    }
    if matches!(view.state, JobState::Failure | JobState::Killed) {
        cx.out().flush()?;
        cx.notes().line(format!("retry: pv job retry {}", job.pipeline));
    }
    Ok(())
}
