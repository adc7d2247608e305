//! Opens files for their content.

use engine::{EngineError, Result};
use repos::Store;
use repos::files;
use repos::store::Resolved;
use repos::tree::{FileEntry, PathKind};
use specs::{Glob, Reference, Source};

use super::FileView;
use crate::named::{Files, find_files};

/// A file, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAt {
    /// The file.
    pub file: FileView,
    /// The commit with a short id, as `images@77ab01c2`, or another container.
    pub place: String,
}

/// The file that a reference with a path names.
pub fn file_at(store: &Store, reference: &Reference) -> Result<FileAt> {
    let (tree, path, place, shown) = match find_files(store, &Source::Reference(reference.clone()))? {
        Files::Commit(at) => {
            let shown = format!("{}@{}", at.commit.repo, store.short_commit(&at.id)?);
            (at.tree(), at.path.clone(), at.place(), shown)
        }
        Files::Tree { tree, path, place } => (tree, path, place.clone(), place),
        Files::One { .. } => return Err(usage(format!("`{reference}` has no path"), "pv show ID".to_owned())),
    };
    let PathKind::File(file) = files::kind_at(store, tree, &place, &path)? else {
        return Err(usage(format!("`{path}` in {place} is a directory"), format!("pv ls {reference}")));
    };
    Ok(FileAt { file: FileView::new(path, file), place: shown })
}

/// The file at the path of a resolved reference.
pub fn file_in(store: &Store, at: &Resolved) -> Result<FileEntry> {
    let kind = files::kind_at(store, at.tree(), &at.place(), &at.path)?;
    let file = only_file(kind, || named(at), &at.place())?;
    store.ensure_not_pruned(&at.id, &at.path, &file)?;
    Ok(file)
}

/// A resolved reference as one.
fn named(at: &Resolved) -> Source {
    let revision = at.id.to_string().parse().ok();
    Source::Reference(Reference { repo: at.commit.repo.clone(), revision, path: Some(at.path.clone()) })
}

/// The content that a path or a content id names; read it with `Store::open_file`.
pub fn file_of(store: &Store, source: &Source) -> Result<FileEntry> {
    let no_path = || usage(format!("`{source}` has no path"), format!("write {source}:/PATH"));
    let found = match source {
        // Without a path only the id of a file's content makes sense.
        Source::Reference(reference) if reference.path.is_none() && source.as_id().is_none() => return Err(no_path()),
        _ => find_files(store, source)?,
    };
    match found {
        Files::One { file, .. } => Ok(file),
        _ if source.path().is_none() => Err(no_path()),
        Files::Commit(at) => {
            let kind = files::kind_at(store, at.tree(), &at.place(), &at.path)?;
            let file = only_file(kind, || source.clone(), &at.place())?;
            store.ensure_not_pruned(&at.id, &at.path, &file)?;
            Ok(file)
        }
        Files::Tree { tree, path, place } => {
            only_file(files::kind_at(store, tree, &place, &path)?, || source.clone(), &place)
        }
    }
}

fn only_file(kind: PathKind, source: impl FnOnce() -> Source, place: &str) -> Result<FileEntry> {
    match kind {
        PathKind::File(file) => Ok(file),
        PathKind::Directory { .. } => {
            let source = source();
            let path = source.path().map(ToString::to_string).unwrap_or_default();
            let what = format!("`{path}` in {place} is a directory");
            Err(usage(what, format!("pv ls {source}      pv get {source}")))
        }
    }
}

/// All matching files, one after the other. `NotFound`, after the last, for a glob that matches nothing.
pub fn files_matching<'s>(
    store: &'s Store,
    source: &Source,
    glob: &'s Glob,
) -> Result<impl Iterator<Item = Result<FileEntry>> + use<'s>> {
    let (tree, path, place, commit) = match find_files(store, source)? {
        Files::Commit(at) => (at.tree(), at.path.clone(), at.place(), Some(at.id)),
        Files::Tree { tree, path, place } => (tree, path, place, None),
        Files::One { .. } => {
            return Err(usage(format!("`{source}` is a single file"), format!("pv cat {source}")));
        }
    };
    let mut found = files::matching(store, tree, &path, glob)?.peekable();
    let nothing = found.peek().is_none().then(|| Err(files::nothing_matches(glob, &place, &path).into()));
    let contents = found.map(move |found| {
        let found = found?;
        if let Some(commit) = &commit {
            store.ensure_not_pruned(commit, &found.path, &found.file)?;
        }
        Ok(found.file)
    });
    Ok(contents.chain(nothing))
}

fn usage(what: String, hint: String) -> EngineError {
    EngineError::Usage { what, hint: Some(hint) }
}
