//! `pv ls`

use answers::named::{Files, find_files};
use repos::files::{self, Matching};
use repos::tree::{PathKind, Tree};
use repos::{RepoError, Store};
use serde::Serialize;
use specs::{FilePath, Glob, Source};

use super::matching::literal;
use super::repo;
use super::views::FileView;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{plural, short_digest, size};

/// List repositories, or the files of a commit
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Directory [default: list repositories]
    #[arg(value_name = "REF[:/PATH]|ID", required_if_eq_any([("recursive", "true"), ("changed", "true")]))]
    source: Option<Source>,
    /// List all files below, not only the next level
    #[arg(short, long)]
    recursive: bool,
    /// List only files that the commit added or modified
    #[arg(long)]
    changed: bool,
    /// List only files and directories whose whole path matches this pipeline glob
    #[arg(long = "match", value_name = "GLOB", requires = "source")]
    matching: Option<Glob>,
}

/// A directory as programs read it.
#[derive(Serialize)]
struct DirectoryView {
    path: FilePath,
    files: u64,
    size_bytes: u64,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let Some(source) = &args.source else { return repo::list::run(cx, &repo::list::Args {}) };
    let store = cx.store()?;
    if let Some(what) = empty(store, source)? {
        cx.notes().line(format!("{what} has no files yet: pv put {source} SRC"));
        return Ok(());
    }
    list(cx, store, args, source).map_err(|error| literal(error, source.path().filter(|_| args.matching.is_none())))
}

/// A repository or branch that is there and to which nothing was committed, in words.
pub(super) fn empty(store: &Store, source: &Source) -> Result<Option<String>> {
    let Source::Reference(reference) = source else { return Ok(None) };
    let is_whole = reference.path.as_ref().is_none_or(FilePath::is_root);
    if !is_whole || !store.has_repo(&reference.repo)? {
        return Ok(None);
    }
    let branch = match &reference.revision {
        None if store.branches(&reference.repo)?.iter().all(|(_, row)| row.commit.is_none()) => {
            return Ok(Some(format!("repository `{}`", reference.repo)));
        }
        None => return Ok(None),
        Some(revision) => revision.as_branch(),
    };
    let row = branch.map(|branch| store.find_branch(&reference.repo, &branch)).transpose()?.flatten();
    Ok(row.filter(|row| row.commit.is_none()).map(|_| format!("branch `{reference}`")))
}

fn list(cx: &Context, store: &Store, args: &Args, source: &Source) -> Result<()> {
    let (tree, path, place) = match find_files(store, source)? {
        Files::Commit(at) if args.changed => {
            let mut matching = args.matching.as_ref().map(Matching::new);
            for change in files::changes_of(store, &at.commit, Some(&at.path))? {
                let change = change?;
                let fits = matching.as_mut().is_none_or(|matching| matching.fits(&change.path));
                if let Some(file) = change.new.filter(|_| fits) {
                    print(cx, change.path, PathKind::File(file))?;
                }
            }
            return Ok(());
        }
        _ if args.changed => {
            let message = format!("--changed is for commits, and `{source}` is not a commit");
            return Err(CliError::usage(message, format!("pv ls {source}")));
        }
        Files::Commit(at) => (at.tree(), at.path.clone(), at.place()),
        Files::Tree { tree, path, place } => (tree, path, place),
        Files::One { file, name } => {
            let path = FilePath::root().join(&name).map_err(|error| RepoError::IllegalPaths(vec![error]))?;
            return print(cx, path, PathKind::File(file));
        }
    };
    if let Some(glob) = &args.matching {
        return list_matching(cx, store, (tree, &path, &place), glob, args.recursive);
    }
    for listed in files::list_tree(store, tree, &place, &path, args.recursive)? {
        let listed = listed?;
        print(cx, listed.path, listed.kind)?;
    }
    Ok(())
}

/// What matches, each file and directory once; with `recursive` the files in these.
fn list_matching(
    cx: &Context,
    store: &Store,
    (tree, path, place): (Tree, &FilePath, &str),
    glob: &Glob,
    recursive: bool,
) -> Result<()> {
    let mut last = None;
    for found in files::matching(store, tree, path, glob)? {
        let found = found?;
        if recursive || found.by == found.path {
            print(cx, found.path, PathKind::File(found.file))?;
        } else if last.as_ref() != Some(&found.by) {
            let kind = files::kind_at(store, tree, place, &found.by)?;
            print(cx, found.by.clone(), kind)?;
        }
        last = Some(found.by);
    }
    if last.is_some() { Ok(()) } else { Err(files::nothing_matches(glob, place, path).into()) }
}

/// One line, at once: a listing may have a million.
fn print(cx: &Context, path: FilePath, kind: PathKind) -> Result<()> {
    if cx.out().is_json() {
        return match kind {
            PathKind::File(file) => cx.out().json(&FileView::new(path, file)),
            PathKind::Directory { files, size_bytes } => cx.out().json(&DirectoryView { path, files, size_bytes }),
        };
    }
    cx.out().line(match kind {
        PathKind::File(file) => {
            let mark = if file.executable { "*" } else { "" };
            format!("{:>7}  {:<12}  {path}{mark}", size(file.size), short_digest(&file.digest))
        }
        PathKind::Directory { files, size_bytes } => {
            format!("{:>7}  {:<12}  {path}/", size(size_bytes), plural(files, "file", "files"))
        }
    })
}
