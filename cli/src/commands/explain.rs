//! `pv explain`

use engine::explain::{
    DatumExplained, Earlier, FieldChange, InputExplained, JobExplained, PipelineExplained, explain_datum,
    explain_datum_against, explain_job, explain_pipeline,
};
use engine::queries::{find_datum, find_jobs};
use repos::{JobRow, Store};
use specs::{DatumId, DatumRef, Digest, ErrorKind, JobRef, PipelineName, RepoName, Target, parse_target};

use super::jobs::live;
use super::views::cause_words;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, table};

/// Explain why something ran or was not executed, or why nothing runs
///
/// A pipeline: why nothing runs for it, and its newest job. A job: what had changed, and what it did. A datum: what differs from the
/// nearest earlier one, field by field. Two datums: their recipes side by side.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A pipeline, `PIPELINE@RUN`, `@RUN`, a datum's id, `JOB/ID`, or the file that a datum wrote
    #[arg(value_name = "JOB|DATUM|PIPELINE")]
    what: String,
    /// Another datum: the two recipes side by side
    #[arg(value_name = "DATUM")]
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
        return compare(cx, store, &args.what, other);
    }
    match subject(store, &args.what)? {
        Subject::Pipeline(name) => {
            let explained = explain_pipeline(store, &store.pipeline(&name)?, live(cx))?;
            if cx.out().is_json() { cx.out().json(&explained) } else { print_pipeline(cx, store, &explained) }
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
                print_job(cx, store, &explained)?;
            }
            Ok(())
        }
        Subject::Datum(datum) => {
            let explained = explain_datum(store, find_datum(store, &datum)?)?;
            if cx.out().is_json() { cx.out().json(&explained) } else { print_datum(cx, &explained) }
        }
    }
}

/// Two datums side by side, the first as the earlier one.
fn compare(cx: &Context, store: &Store, one: &str, other: &str) -> Result<()> {
    let datum = |what: &str| {
        if let Subject::Datum(datum) = subject(store, what)? {
            return Ok(find_datum(store, &datum)?);
        }
        let error = CliError::new(ErrorKind::Usage, format!("`{what}` is not a datum, and two datums are compared"));
        Err(error.hint(format!("pv datum list {what} lists those of a job")))
    };
    let explained = explain_datum_against(store, &datum(one)?, datum(other)?)?;
    if cx.out().is_json() { cx.out().json(&explained) } else { print_datum(cx, &explained) }
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
        let error = CliError::new(ErrorKind::Usage, format!("`{repo}` is a repository; people commit to it"));
        return Err(error.hint(format!("pv log {repo} tells who did and why")));
    }
    if let Ok(datum) = word.parse() {
        return Ok(Subject::Datum(datum));
    }
    let name: PipelineName = word.parse().map_err(specs::ReferenceError::from)?;
    store.pipeline(&name)?;
    Ok(Subject::Pipeline(name))
}

fn print_pipeline(cx: &Context, store: &Store, explained: &PipelineExplained) -> Result<()> {
    let view = &explained.pipeline;
    cx.out().line(format!("{} v{}   {}", view.name, view.version, view.state))?;
    explained.because.iter().try_for_each(|reason| cx.out().line(format!("  {reason}")))?;
    cx.out().line("")?;
    let mut rows = Vec::new();
    for input in &explained.inputs {
        rows.push(input_cells(store, input)?);
    }
    cx.out().bytes(table(&["INPUT", "BRANCH", "GLOB", "MATCHES", "HEAD", "TAKEN"], rows).as_bytes())?;
    if let Some(job) = &explained.job {
        cx.out().line("\nits newest job")?;
        print_job(cx, store, job)?;
    }
    Ok(())
}

fn input_cells(store: &Store, input: &InputExplained) -> Result<Vec<String>> {
    let short = |id: Option<specs::CommitId>| id.map_or(Ok("none".to_owned()), |id| store.short_commit(&id));
    let cells = vec![input.input.clone(), input.branch.clone(), input.glob.clone(), input.matches.to_string()];
    Ok(cells.into_iter().chain([short(input.head)?, short(input.taken)?]).collect())
}

fn print_job(cx: &Context, store: &Store, explained: &JobExplained) -> Result<()> {
    let job = &explained.job;
    cx.out().line(format!("{}@{}   {}", job.pipeline, store.short_run(&job.run)?, explained.why))?;
    let mut lines = Vec::new();
    let cause = store.run(&job.run)?.cause;
    let message = explained.message.as_deref().map_or_else(String::new, |message| format!("   {message}"));
    let author = explained.author.as_deref().unwrap_or_default();
    lines.push(vec!["cause".to_owned(), format!("{}   {author}{message}", cause_words(cause.kind, &cause.refs))]);
    for input in &explained.inputs {
        let old = input.old.map_or(Ok("nothing".to_owned()), |id| store.short_commit(&id))?;
        let new = store.short_commit(&input.new)?;
        let text = format!("{}@{}   {old} → {new}   {}   {}", input.repo, input.branch, input.author, input.message);
        lines.push(vec!["input".to_owned(), text.trim_end().to_owned()]);
    }
    if !explained.same.is_empty() {
        lines.push(vec!["same".to_owned(), explained.same.join(", ")]);
    }
    if let Some(before) = explained.version_before {
        lines.push(vec!["version".to_owned(), format!("v{before} → v{}", job.pipeline_version)]);
    }
    lines.extend(explained.changes.iter().map(change_cells));
    cx.out().bytes(table(&[], lines).as_bytes())
}

fn print_datum(cx: &Context, explained: &DatumExplained) -> Result<()> {
    let datum = &explained.datum;
    cx.out().line(format!("datum {} of {}   {}", datum.id.short(8), short_job(&explained.job), explained.why))?;
    let mut lines: Vec<Vec<String>> = Vec::new();
    for input in &datum.inputs {
        lines.push(vec!["reads".to_owned(), format!("{}:{}   {}", input.input, input.path, input.digest)]);
    }
    cx.out().bytes(table(&[], lines).as_bytes())?;
    if let Some(earlier) = &explained.earlier {
        print_sides(cx, explained, earlier)?;
    }
    cx.out().flush()?;
    if let Some(by) = &explained.executed_by {
        cx.notes().line(format!("what it printed: pv logs {}/{}", short_job(by), datum.id.short(8)));
    }
    Ok(())
}

/// Both recipes: a line a field that differs, and in one line what is the same.
fn print_sides(cx: &Context, explained: &DatumExplained, earlier: &Earlier) -> Result<()> {
    cx.out().line("")?;
    let side = |id: &DatumId, state: String, by: &str| format!("{}   {state} in {}", id.short(8), short_job(by));
    let by = explained.executed_by.as_deref().unwrap_or(&explained.job);
    let datum = &explained.datum;
    let mut rows = vec![vec![
        "datum".to_owned(),
        side(&earlier.id, earlier.state.to_string(), &earlier.executed_by),
        side(&datum.id, datum.state.to_string(), by),
    ]];
    for change in &explained.sides.changes {
        rows.push(vec![change.field.clone(), value_text(change.old.as_deref()), value_text(change.new.as_deref())]);
    }
    cx.out().bytes(table(&["FIELD", "EARLIER", "THIS"], rows).as_bytes())?;
    if explained.sides.same.is_empty() {
        return Ok(());
    }
    cx.out().line(format!("same   {}", explained.sides.same.join(", ")))
}

fn change_cells(change: &FieldChange) -> Vec<String> {
    let text = |value: &Option<String>| value_text(value.as_deref());
    vec![change.field.clone(), format!("{} → {}", text(&change.old), text(&change.new))]
}

/// A value with its digests cut to what tells them apart.
fn value_text(value: Option<&str>) -> String {
    let short = |word: &str| match word.parse::<Digest>() {
        Ok(digest) => digest.short(12),
        Err(_) => word.to_owned(),
    };
    value.map_or_else(|| "nothing".to_owned(), |text| text.split(' ').map(short).collect::<Vec<_>>().join(" "))
}

/// `detect@6e0b2f17`
fn short_job(id: &str) -> String {
    match id.split_once('@') {
        Some((pipeline, run)) => format!("{pipeline}@{}", run.get(..8).unwrap_or(run)),
        None => id.to_owned(),
    }
}
