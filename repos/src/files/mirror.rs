//! Removals of a mirroring put: afterwards a directory has exactly what its sources have.

use specs::FilePath;

use super::{Edits, Gathered, LeftOut, Listing};
use crate::base::error::RepoError;
use crate::store::{Result, Store};
use crate::tree::Tree;
use crate::tree::files::{directory_range, path_of};

/// How much of a directory a mirroring put removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// Files that the sources lack.
    pub removed: u64,
    /// Number of files that existed before.
    pub total_before: u64,
}

impl Mirror {
    /// Whether it removes so much that it may be a mistake, such as a source that is not mounted: more than half, or everything.
    pub fn is_drastic(self) -> bool {
        self.removed * 2 > self.total_before
    }
}

/// Adds to `edits`, which put files below `directory`, the removal of all other files there. What the put left out stays.
pub fn mirror(
    store: &Store,
    base: Tree,
    directory: &FilePath,
    left_out: &LeftOut,
    edits: &mut Edits,
) -> Result<Mirror> {
    let (mirror, removed) = removals(store, base, directory, left_out, |path| edits.files.contains_key(path))?;
    edits.files.extend(removed.into_iter().map(|path| (path, None)));
    Ok(mirror)
}

/// Like [`mirror`], for `edits` that omit unchanged gathered files.
pub fn mirror_gathered(
    store: &Store,
    base: Tree,
    directory: &FilePath,
    gathered: &Gathered,
    edits: &mut Edits,
) -> Result<Mirror> {
    let left_out = &gathered.left_out;
    let (mirror, removed) = removals(store, base, directory, left_out, |path| gathered.holds(path))?;
    edits.files.extend(removed.into_iter().map(|path| (path, None)));
    Ok(mirror)
}

/// Like [`mirror`], for `edits` that omit unchanged files of a listing.
pub fn mirror_listed(
    store: &Store,
    base: Tree,
    directory: &FilePath,
    listing: &Listing,
    edits: &mut Edits,
) -> Result<Mirror> {
    let left_out = LeftOut::of_text(listing.left_out());
    let left_out = left_out.map_err(|error| RepoError::Usage { what: error.to_string(), hint: None })?;
    let (mirror, removed) = removals(store, base, directory, &left_out, |path| listing.holds(path))?;
    edits.files.extend(removed.into_iter().map(|path| (path, None)));
    Ok(mirror)
}

/// The files below `directory` that are neither put nor left out.
fn removals(
    store: &Store,
    base: Tree,
    directory: &FilePath,
    left_out: &LeftOut,
    is_put: impl Fn(&FilePath) -> bool,
) -> Result<(Mirror, Vec<FilePath>)> {
    let mut removed = Vec::new();
    let mut total_before = 0;
    for entry in base.range(store, directory_range(directory))? {
        let path = path_of(&entry?.0)?;
        total_before += 1;
        let is_kept = || left_out.covers(path.below(directory).unwrap_or_default()) || left_out.is_skipped(&path);
        if !is_put(&path) && !is_kept() {
            removed.push(path);
        }
    }
    Ok((Mirror { removed: removed.len() as u64, total_before }, removed))
}
