//! `pv ls`

use repos::files;
use repos::tree::PathKind;
use serde::Serialize;
use specs::{FilePath, Reference};

use super::repo;
use super::views::FileView;
use crate::context::Context;
use crate::error::Result;
use crate::output::{plural, short_digest, size};

/// List repositories, or the files of a commit
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A directory; the repositories when it is left out
    #[arg(value_name = "REF[:/PATH]", required_if_eq_any([("recursive", "true"), ("changed", "true")]))]
    reference: Option<Reference>,
    /// All files below, not only the next level
    #[arg(short, long)]
    recursive: bool,
    /// Only files that the commit added or modified
    #[arg(long)]
    changed: bool,
}

/// A directory as programs read it.
#[derive(Serialize)]
struct DirectoryView {
    path: FilePath,
    files: u64,
    size_bytes: u64,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let Some(reference) = &args.reference else { return repo::list::run(cx, &repo::list::Args {}) };
    let store = cx.store()?;
    let at = store.resolve(reference)?;
    if args.changed {
        for change in files::changes_of(store, &at.commit, Some(&at.path))? {
            let change = change?;
            if let Some(file) = change.new {
                print(cx, change.path, PathKind::File(file))?;
            }
        }
        return Ok(());
    }
    for listed in files::list(store, &at, args.recursive)? {
        let listed = listed?;
        print(cx, listed.path, listed.kind)?;
    }
    Ok(())
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
