//! `pv ls`

use answers::file::{DirectoryView, FileView, ListedView, Listing, listing, without_commits};
use specs::{Glob, Source};

use super::matching::literal;
use super::repo;
use crate::context::Context;
use crate::error::Result;
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

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let Some(source) = &args.source else { return repo::list::run(cx, &repo::list::Args {}) };
    if let Some(what) = without_commits(cx.store()?, source)? {
        cx.notes().line(format!("{what} has no files yet: pv put {source} SRC"));
        return Ok(());
    }
    list(cx, args, source).map_err(|error| literal(error, source.path().filter(|_| args.matching.is_none())))
}

/// Prints line by line: a listing may have a million.
fn list(cx: &Context, args: &Args, source: &Source) -> Result<()> {
    let matching = args.matching.as_ref();
    let wanted = Listing { recursive: args.recursive, changed: args.changed, matching };
    for listed in listing(cx.store()?, source, wanted)? {
        let listed = listed?;
        if cx.out().is_json() { cx.out().json(&listed)? } else { cx.out().line(line(&listed))? }
    }
    Ok(())
}

fn line(listed: &ListedView) -> String {
    match listed {
        ListedView::File(FileView { path, size_bytes, digest, executable }) => {
            let mark = if *executable { "*" } else { "" };
            format!("{:>7}  {:<12}  {path}{mark}", size(*size_bytes), short_digest(digest))
        }
        ListedView::Directory(DirectoryView { path, files, size_bytes }) => {
            format!("{:>7}  {:<12}  {path}/", size(*size_bytes), plural(*files, "file", "files"))
        }
    }
}
