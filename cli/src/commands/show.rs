//! `pv show`

use engine::queries;
use repos::Store;
use repos::files;
use repos::object::Kind;
use repos::store::Resolved;
use repos::tree::{PathKind, Tree};
use specs::{JobRef, Reference, RunRef, Target};

use super::jobs::{JobLine, live};
use super::views::{CommitView, FileView, RunView};
use super::vouched::{ShownCommit, vouched_lines};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, plural, size};

/// Show a commit, a file's entry, or a run
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A commit, a file, or a run
    #[arg(value_name = "REF|@RUN")]
    target: Target,
    /// The exact bytes of the commit's document, whose SHA-256 is the commit's id
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
        Target::Word(word) => {
            let at = store.resolve(&word.parse()?)?;
            if args.raw {
                let document = store.document_bytes(Kind::Commit, &at.id.digest())?;
                let is_text = cx.out().is_terminal();
                return if is_text {
                    cx.out().text(String::from_utf8_lossy(&document))
                } else {
                    cx.out().bytes(&document)
                };
            }
            show_commit(cx, &at)
        }
    }
}

fn show_run(cx: &Context, run: &RunRef) -> Result<()> {
    let store = cx.store()?;
    let view = RunView::new(store, store.run(&store.run_by_prefix(&run.0)?)?, live(cx))?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    cx.table(&[], view.lines(&cx.human()))?;
    let jobs = queries::find_jobs(store, &JobRef::Run(run.clone()))?;
    if jobs.is_empty() {
        return Ok(());
    }
    cx.out().line("")?;
    cx.list(None, jobs.iter().map(|job| JobLine::new(cx, job)))
}

fn show_file(cx: &Context, reference: &Reference) -> Result<()> {
    let store = cx.store()?;
    let at = store.resolve(reference)?;
    let PathKind::File(file) = files::kind_at(store, at.tree(), &at.place(), &at.path)? else {
        let message = format!("`{}` in {} is a directory", at.path, at.place());
        return Err(CliError::usage(message, format!("pv ls {reference}")));
    };
    let view = FileView::new(at.path, file);
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    let lines = [
        ("file", format!("{}@{}:{}", reference.repo, store.short_commit(&at.id)?, view.path)),
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
