//! What a put removes so that a directory holds what its sources hold, and nothing else.

use specs::{FilePath, Glob};

use super::gather::excluded;
use super::{Edits, Gathered};
use crate::store::{Result, Store};
use crate::tree::Tree;
use crate::tree::files::{directory_range, path_of};

/// How much of a directory a mirroring put removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// Files that the sources lack.
    pub removed: u64,
    /// Files that were there.
    pub total_before: u64,
}

impl Mirror {
    /// Whether this removes so much that it may be a mistake, such as a source that is not mounted: more than half, or all.
    pub fn is_drastic(self) -> bool {
        self.removed * 2 > self.total_before
    }
}

/// Adds to `edits`, which put files below `directory`, the removal of all other files there. What `excludes` match, relative to
/// `directory`, was left out of the put and stays.
pub fn mirror(store: &Store, base: Tree, directory: &FilePath, excludes: &[Glob], edits: &mut Edits) -> Result<Mirror> {
    let (mirror, removed) = removals(store, base, directory, excludes, |path| edits.files.contains_key(path))?;
    edits.files.extend(removed.into_iter().map(|path| (path, None)));
    Ok(mirror)
}

/// The same, where `edits` lack those of the gathered files that have not changed.
pub fn mirror_gathered(
    store: &Store,
    base: Tree,
    directory: &FilePath,
    excludes: &[Glob],
    gathered: &Gathered,
    edits: &mut Edits,
) -> Result<Mirror> {
    let (mirror, removed) = removals(store, base, directory, excludes, |path| gathered.holds(path))?;
    edits.files.extend(removed.into_iter().map(|path| (path, None)));
    Ok(mirror)
}

/// The files below `directory` that are neither put nor left out.
fn removals(
    store: &Store,
    base: Tree,
    directory: &FilePath,
    excludes: &[Glob],
    is_put: impl Fn(&FilePath) -> bool,
) -> Result<(Mirror, Vec<FilePath>)> {
    let mut removed = Vec::new();
    let mut total_before = 0;
    for entry in base.range(store, directory_range(directory))? {
        let path = path_of(&entry?.0)?;
        total_before += 1;
        if !is_put(&path) && !is_left_out(excludes, directory, &path) {
            removed.push(path);
        }
    }
    Ok((Mirror { removed: removed.len() as u64, total_before }, removed))
}

fn is_left_out(excludes: &[Glob], directory: &FilePath, path: &FilePath) -> bool {
    if excludes.is_empty() {
        return false;
    }
    let relative = path.below(directory).unwrap_or_default();
    let ends = relative.match_indices('/').map(|(at, _)| at).chain([relative.len()]);
    ends.map(|end| &relative[..end]).any(|part| excluded(excludes, part))
}
