//! Whether a glob matches any existing file, and which glob would.

use std::collections::BTreeSet;

use repos::tree::{KeyRange, Tree, path_of};
use repos::{RepoError, Store};
use specs::{FilePath, Glob};

/// Maximum number of files examined before giving up: a warning is not worth scanning millions.
const LOOKED_AT: usize = 100_000;
/// Number of files in a tree used as examples for suggested globs.
const EXAMPLES: usize = 200;

/// Whether a glob matches files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It matches, or there are no files, or too many to tell.
    Fits,
    /// It matches none.
    Nothing {
        /// The most similar glob that matches.
        nearest: Option<String>,
    },
}

/// Searches for the first path in `tree` that `glob` matches.
pub(super) fn fit(store: &Store, tree: Tree, glob: &Glob) -> Result<Fit, RepoError> {
    if tree == Tree::empty() || glob.is_root() {
        return Ok(Fit::Fits);
    }
    let entries = tree.range(store, KeyRange::prefix(glob.literal_prefix().as_bytes()))?;
    for (number, entry) in entries.enumerate() {
        let path = path_of(&entry?.0)?;
        let mut above = std::iter::successors(Some(path), FilePath::parent);
        if number >= LOOKED_AT || above.any(|path| glob.matches(path.as_str())) {
            return Ok(Fit::Fits);
        }
    }
    Ok(Fit::Nothing { nearest: nearest(store, tree, glob)? })
}

fn nearest(store: &Store, tree: Tree, glob: &Glob) -> Result<Option<String>, RepoError> {
    let mut candidates = BTreeSet::new();
    for entry in tree.range(store, KeyRange::all())?.take(EXAMPLES) {
        let path = path_of(&entry?.0)?;
        for path in std::iter::successors(Some(path), FilePath::parent).filter(|path| !path.is_root()) {
            candidates.extend(
                shapes(&path)
                    .into_iter()
                    .filter(|shape| Glob::parse(shape).is_ok_and(|shape| shape.matches(path.as_str()))),
            );
        }
    }
    let near = specs::nearest(glob.as_str(), candidates.iter().map(String::as_str));
    Ok(near.or_else(|| candidates.first().map(String::as_str)).map(str::to_owned))
}

/// Globs that a user would write for a path: `/cam7/a.jpg` gives `/*/*`, `/*/*.jpg`, `/cam7/*`, `/cam7/*.jpg`.
fn shapes(path: &FilePath) -> Vec<String> {
    let stars = "/*".repeat(path.as_str().matches('/').count() - 1);
    let directory = path.parent().filter(|parent| !parent.is_root()).map_or(String::new(), |parent| parent.to_string());
    let names = [Some("/*".to_owned()), path.name().rsplit_once('.').map(|(_, ending)| format!("/*.{ending}"))];
    let of = |front: &str| names.iter().flatten().map(|name| format!("{front}{name}")).collect::<Vec<_>>();
    [of(&stars), of(&directory)].concat()
}
