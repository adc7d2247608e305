//! `pv show`: commits, files, runs; `ids` everything else with an id, `versions` a version of a pipeline.

use answers::commit::{commit_changes, commit_details};
use answers::file::file_at;
use answers::job::job_view;
use answers::named::{Resolved, find_jobs};
use answers::object::{Subject, document_of, subject};
use answers::run::find_run;
use specs::{DatumRef, JobRef, Reference, RunRef, Source, Target};

use super::jobs::{live, live_job};
use super::views::run_lines;
use super::vouched::vouched_lines;

mod ids;
mod versions;

pub(super) use versions::show as version;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{plural, size};

/// How many source addresses of a commit's files are shown; `--json` has all.
const ORIGINS: usize = 20;

/// Show a commit, file, run, pipeline version or any other id
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit, file, run, version (`detect@v3`), or any id that pv prints, shortened or not
    #[arg(value_name = "REF|@RUN|NAME@vN|ID")]
    target: Target,
    /// Print the exact bytes of the document, whose SHA-256 is its id
    #[arg(long)]
    raw: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    match &args.target {
        Target::Run(run) if !args.raw => show_run(cx, run),
        Target::Run(run) => Err(CliError::usage("a run has no document", format!("pv show {run} --json"))),
        Target::File(reference) if !args.raw => show_file(cx, reference),
        Target::File(reference) => {
            Err(CliError::usage("only a commit has a document", format!("pv cat {reference} prints the file's bytes")))
        }
        Target::Word(word) => show_word(cx, word, args.raw),
    }
}

fn show_word(cx: &Context, word: &str, raw: bool) -> Result<()> {
    let datum = word.parse::<DatumRef>().ok().filter(|datum| matches!(datum, DatumRef::InJob { .. }));
    let source = match (word.parse::<Source>(), &datum) {
        (Err(_), Some(datum)) => return super::datum::show_one(cx, datum),
        (parsed, _) => parsed?,
    };
    let subject = subject(cx.store()?, live(cx), &source, raw)?;
    if raw {
        return print_document(cx, &subject);
    }
    match &subject {
        Subject::Version(of) => versions::show(cx, of),
        Subject::Commit(at) => show_commit(cx, at),
        Subject::Job(job) => super::job::show_one(cx, job),
        Subject::Datum(datum) => super::datum::show_one(cx, datum),
        Subject::Object(named) => ids::show(cx, named),
    }
}

/// Prints the exact bytes of a document; on a terminal as text, unless it is a log.
fn print_document(cx: &Context, subject: &Subject) -> Result<()> {
    let document = document_of(cx.store()?, subject)?;
    let is_log = matches!(subject, Subject::Object(named) if named.is_log());
    if cx.out().is_terminal() && !is_log {
        cx.out().text(String::from_utf8_lossy(&document))
    } else {
        cx.out().bytes(&document)
    }
}

fn show_run(cx: &Context, run: &RunRef) -> Result<()> {
    let store = cx.store()?;
    let view = find_run(store, run, live(cx))?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    cx.table(&[], run_lines(&view, &cx.human()))?;
    let jobs = find_jobs(store, &JobRef::Run(run.clone()))?;
    if jobs.is_empty() {
        return Ok(());
    }
    cx.out().line("")?;
    cx.list(None, jobs.iter().map(|job| Ok(job_view(store, job, live_job(cx, job).as_ref())?)))
}

fn show_file(cx: &Context, reference: &Reference) -> Result<()> {
    let found = file_at(cx.store()?, reference)?;
    let file = &found.file;
    if cx.out().is_json() {
        return cx.out().json(file);
    }
    let lines = [
        ("file", format!("{}:{}", found.place, file.path)),
        ("sha256", file.digest.to_string()),
        ("size", plural(file.size_bytes, "byte", "bytes")),
        ("executable", if file.executable { "yes" } else { "no" }.to_owned()),
    ];
    print(cx, lines)
}

fn print(cx: &Context, lines: impl IntoIterator<Item = (&'static str, String)>) -> Result<()> {
    let lines = lines.into_iter().map(|(word, text)| vec![word.to_owned(), text]).collect();
    cx.table(&[], lines)
}

fn show_commit(cx: &Context, at: &Resolved) -> Result<()> {
    let store = cx.store()?;
    let details = commit_details(store, at.id, at.commit.clone())?;
    if cx.out().is_json() {
        return cx.out().json(&details);
    }
    let (view, commit, human) = (&details.commit, &at.commit, cx.human());
    let changes = commit_changes(store, commit)?;
    let changes = format!("{} added, {} modified, {} removed", changes.added, changes.modified, changes.removed);
    let mut lines = vec![
        ("commit", at.id.to_string()),
        ("on", format!("{}@{}", commit.repo, commit.branch)),
        ("when", format!("{}   {}", human.local(commit.created_at), human.ago(commit.created_at))),
        ("author", commit.author.clone()),
        ("committer", commit.committer.clone()),
        ("message", commit.message.clone()),
        ("run", commit.run.to_string()),
        ("parent", commit.parents.first().map_or("none".to_owned(), ToString::to_string)),
        ("files", format!("{}   {}", plural(view.files, "file", "files"), size(view.size_bytes))),
        ("changes", changes),
    ];
    if let Some(pipeline) = &commit.pipeline {
        lines.push(("pipeline", format!("{} v{}", pipeline.name, pipeline.version)));
    }
    lines.extend(commit.job.iter().map(|job| ("job", job.clone())));
    lines.extend(
        commit.provenance.iter().map(|from| ("from", format!("{}@{}   {}", from.repo, from.branch, from.commit))),
    );
    lines.extend(commit.sources.iter().map(|from| ("copied", format!("{}@{}:{}", from.repo, from.commit, from.path))));
    lines
        .extend(commit.origins.iter().take(ORIGINS).map(|from| ("read from", format!("{}   {}", from.path, from.url))));
    let more = commit.origins.len().saturating_sub(ORIGINS) as u64;
    lines.extend((more > 0).then(|| ("", format!("and {}", plural(more, "more address", "more addresses")))));
    lines.extend(vouched_lines(&details.signatures, &details.certificates, &human));
    lines.extend(commit.error.iter().map(|error| ("error", format!("{}: {}", error.state, error.message))));
    lines.retain(|(_, text)| !text.is_empty());
    print(cx, lines)
}
