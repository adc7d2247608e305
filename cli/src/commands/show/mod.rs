//! `pv show`: commits, files, runs; `ids` all else that has an id, `versions` a version of a pipeline.

use answers::datum::find_datum;
use answers::named::{Files, VersionOf, find_files, find_job, find_jobs, find_version};
use repos::documents::VersionDocument;
use repos::files;
use repos::object::Kind;
use repos::store::Resolved;
use repos::tree::{PathKind, Tree};
use repos::{RepoError, Store};
use specs::{DatumRef, Digest, ErrorKind, JobRef, Reference, RunRef, Source, Target};

use super::jobs::{JobLine, live};
use super::views::{CommitView, FileView, RunView};
use super::vouched::{ShownCommit, vouched_lines};

mod ids;
mod versions;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, plural, size};

/// This many addresses are shown of those that a commit's files were read from; `--json` has all.
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
    let store = cx.store()?;
    match &args.target {
        Target::Run(run) if !args.raw => show_run(cx, run),
        Target::Run(run) => Err(CliError::usage("a run has no document", format!("pv show {run} --json"))),
        Target::File(reference) if !args.raw => show_file(cx, reference),
        Target::File(reference) => {
            Err(CliError::usage("only a commit has a document", format!("pv cat {reference} prints the file's bytes")))
        }
        Target::Word(word) => show_word(cx, store, word, args.raw),
    }
}

/// A name comes first: of a repository, a branch, a tag; then a version; then an id; then a job or datum.
fn show_word(cx: &Context, store: &Store, word: &str, raw: bool) -> Result<()> {
    let datum = word.parse::<DatumRef>().ok().filter(|datum| matches!(datum, DatumRef::InJob { .. }));
    let source = match (word.parse::<Source>(), &datum) {
        (Err(_), Some(datum)) => return super::datum::show_one(cx, datum),
        (parsed, _) => parsed?,
    };
    let Source::Reference(reference) = &source else { return ids::show(cx, store, &source, raw) };
    if let Some((of, document)) = find_version(store, reference)? {
        return versions::show(cx, store, &of, &document, raw);
    }
    let is_id = source.as_id().is_some() && !store.has_repo(&reference.repo)?;
    if is_id {
        return ids::show(cx, store, &source, raw);
    }
    match store.resolve(reference) {
        Ok(at) => show_whole_commit(cx, &at, raw),
        // A job that made no commit has an id anyway.
        Err(error @ RepoError::NoCommit { .. }) => match word.parse::<JobRef>() {
            Ok(job @ JobRef::InRun { .. }) if !raw && find_job(store, &job).is_ok() => super::job::show_one(cx, &job),
            _ => Err(error.into()),
        },
        Err(error) => match datum.filter(|_| !raw && error.kind() == ErrorKind::NotFound) {
            Some(datum) if find_datum(store, live(cx), &datum).is_ok() => super::datum::show_one(cx, &datum),
            _ => Err(error.into()),
        },
    }
}

/// A commit, or the bytes of its document.
fn show_whole_commit(cx: &Context, at: &Resolved, raw: bool) -> Result<()> {
    if raw { print_document(cx, Kind::Commit, &at.id.digest()) } else { show_commit(cx, at) }
}

/// The exact bytes of a document; for a terminal as text.
fn print_document(cx: &Context, kind: Kind, digest: &Digest) -> Result<()> {
    let document = cx.store()?.document_bytes(kind, digest)?;
    if cx.out().is_terminal() { cx.out().text(String::from_utf8_lossy(&document)) } else { cx.out().bytes(&document) }
}

/// A version of a pipeline.
pub(super) fn version(cx: &Context, store: &Store, of: &VersionOf, document: &VersionDocument) -> Result<()> {
    versions::show(cx, store, of, document, false)
}

fn show_run(cx: &Context, run: &RunRef) -> Result<()> {
    let store = cx.store()?;
    let view = RunView::new(store, store.run(&store.run_by_prefix(&run.0)?)?, live(cx))?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    cx.table(&[], view.lines(&cx.human()))?;
    let jobs = find_jobs(store, &JobRef::Run(run.clone()))?;
    if jobs.is_empty() {
        return Ok(());
    }
    cx.out().line("")?;
    cx.list(None, jobs.iter().map(|job| JobLine::new(cx, job)))
}

fn show_file(cx: &Context, reference: &Reference) -> Result<()> {
    let store = cx.store()?;
    let (tree, path, place, shown) = match find_files(store, &Source::Reference(reference.clone()))? {
        Files::Commit(at) => {
            let shown = format!("{}@{}", at.commit.repo, store.short_commit(&at.id)?);
            (at.tree(), at.path.clone(), at.place(), shown)
        }
        Files::Tree { tree, path, place } => (tree, path, place.clone(), place),
        Files::One { .. } => return Err(CliError::usage(format!("`{reference}` has no path"), "pv show ID")),
    };
    let PathKind::File(file) = files::kind_at(store, tree, &place, &path)? else {
        let message = format!("`{path}` in {place} is a directory");
        return Err(CliError::usage(message, format!("pv ls {reference}")));
    };
    let view = FileView::new(path, file);
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    let lines = [
        ("file", format!("{shown}:{}", view.path)),
        ("sha256", view.digest.to_string()),
        ("size", plural(view.size_bytes, "byte", "bytes")),
        ("executable", if view.executable { "yes" } else { "no" }.to_owned()),
    ];
    print(cx, lines)
}

fn print(cx: &Context, lines: impl IntoIterator<Item = (&'static str, String)>) -> Result<()> {
    let lines = lines.into_iter().map(|(word, text)| vec![word.to_owned(), text]).collect();
    cx.table(&[], lines)
}

fn show_commit(cx: &Context, at: &Resolved) -> Result<()> {
    let store = cx.store()?;
    let (signatures, certificates) = (store.signatures(&at.id)?, store.certificates(&at.id)?);
    if cx.out().is_json() {
        let commit = CommitView::new(store, at.id, at.commit.clone())?;
        return cx.out().json(&ShownCommit::new(commit, &signatures, certificates));
    }
    let (commit, human) = (&at.commit, cx.human());
    let totals = Tree::at(commit.tree).totals(store)?;
    let mut lines = vec![
        ("commit", at.id.to_string()),
        ("on", format!("{}@{}", commit.repo, commit.branch)),
        ("when", format!("{}   {}", human.local(commit.created_at), human.ago(commit.created_at))),
        ("author", commit.author.clone()),
        ("committer", commit.committer.clone()),
        ("message", commit.message.clone()),
        ("run", commit.run.to_string()),
        ("parent", commit.parents.first().map_or("none".to_owned(), ToString::to_string)),
        ("files", format!("{}   {}", plural(totals.entries, "file", "files"), size(totals.weight))),
        ("changes", changes(store, at)?),
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
    lines.extend(vouched_lines(&signatures, &certificates, &human));
    lines.extend(commit.error.iter().map(|error| ("error", format!("{}: {}", error.state, error.message))));
    lines.retain(|(_, text)| !text.is_empty());
    print(cx, lines)
}

/// What the commit changed, counted.
fn changes(store: &Store, at: &Resolved) -> Result<String> {
    let (mut added, mut modified, mut removed) = (0, 0, 0);
    for change in files::changes_of(store, &at.commit, None)? {
        let change = change?;
        match (change.old, change.new) {
            (None, _) => added += 1,
            (_, None) => removed += 1,
            _ => modified += 1,
        }
    }
    Ok(format!("{added} added, {modified} modified, {removed} removed"))
}
