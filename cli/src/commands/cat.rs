//! `pv cat`

use answers::named::{Files, find_files};
use repos::Store;
use repos::files;
use repos::tree::{FileEntry, PathKind};
use specs::{Glob, Source};

use super::matching::literal;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Print the contents of files
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files: `REF:/PATH`, the id of a file's content, or code of a pipeline version such as `detect@v3:/run.py`
    #[arg(value_name = "REF:/PATH|ID", required = true)]
    sources: Vec<Source>,
    /// Print all files whose whole path matches this pipeline glob; a matching directory includes its files
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    for source in &args.sources {
        match &args.matching {
            Some(glob) => print_matching(cx, store, source, glob)?,
            None => print_one(cx, store, source).map_err(|error| literal(error, source.path()))?,
        }
    }
    Ok(())
}

fn print_one(cx: &Context, store: &Store, source: &Source) -> Result<()> {
    let found = match source {
        // Without a path it can only be the id of a file's content.
        Source::Reference(reference) if reference.path.is_none() && source.as_id().is_none() => Err(no_path(source)),
        _ => Ok(find_files(store, source)?),
    };
    let file = match found? {
        Files::One { file, .. } => file,
        _ if source.path().is_none() => return Err(no_path(source)),
        Files::Commit(at) => {
            let file = file_at(files::kind_at(store, at.tree(), &at.place(), &at.path)?, source, &at.place())?;
            store.ensure_not_pruned(&at.id, &at.path, &file)?;
            file
        }
        Files::Tree { tree, path, place } => file_at(files::kind_at(store, tree, &place, &path)?, source, &place)?,
    };
    print(cx, store, &file)
}

fn no_path(source: &Source) -> CliError {
    CliError::usage(format!("`{source}` has no path"), format!("write {source}:/PATH"))
}

fn file_at(kind: PathKind, source: &Source, place: &str) -> Result<FileEntry> {
    match kind {
        PathKind::File(file) => Ok(file),
        PathKind::Directory { .. } => {
            let path = source.path().map(ToString::to_string).unwrap_or_default();
            let message = format!("`{path}` in {place} is a directory");
            Err(CliError::usage(message, format!("pv ls {source}      pv get {source}")))
        }
    }
}

fn print_matching(cx: &Context, store: &Store, source: &Source, glob: &Glob) -> Result<()> {
    let (tree, path, place, commit) = match find_files(store, source)? {
        Files::Commit(at) => (at.tree(), at.path.clone(), at.place(), Some(at.id)),
        Files::Tree { tree, path, place } => (tree, path, place, None),
        Files::One { .. } => {
            return Err(CliError::usage(format!("`{source}` is a single file"), format!("pv cat {source}")));
        }
    };
    let mut is_any = false;
    for found in files::matching(store, tree, &path, glob)? {
        let found = found?;
        if let Some(commit) = &commit {
            store.ensure_not_pruned(commit, &found.path, &found.file)?;
        }
        print(cx, store, &found.file)?;
        is_any = true;
    }
    if is_any { Ok(()) } else { Err(files::nothing_matches(glob, &place, &path).into()) }
}

fn print(cx: &Context, store: &Store, file: &FileEntry) -> Result<()> {
    let mut reader = store.open_file(file)?;
    while let Some(chunk) = reader.next_chunk()? {
        cx.out().bytes(&chunk)?;
    }
    Ok(())
}
