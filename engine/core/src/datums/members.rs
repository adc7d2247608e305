//! Which paths have a key: this makes the planning of joins and groups proportional to the change.
//!
//! The datums map has a row for every match of a leaf in a join or group: `k` + leaf number + key + path. From these rows a job reads what
//! else has the key of a changed path, and its output updates them.

use std::collections::{BTreeMap, BTreeSet};

use repos::tree::{KeyRange, Tree, path_of};
use repos::{RepoError, Store};
use specs::FilePath;

use super::DatumMap;
use super::key::member_row;
use super::matches::{ChangedMatch, visit_matches};
use super::shape::{LeafShape, Shape};

/// The matches of one leaf that differ between two commits.
#[derive(Debug, Default)]
pub(super) struct Changes {
    paths: BTreeMap<FilePath, Sides>,
    by_key: BTreeMap<String, Vec<FilePath>>,
}

/// On which sides a path is a match.
#[derive(Debug, Clone, Copy)]
struct Sides {
    old: bool,
    new: bool,
}

impl Changes {
    pub(super) fn add(&mut self, leaf: &LeafShape, change: ChangedMatch) {
        let Some(key) = leaf.member_key(&change.path) else { return };
        self.by_key.entry(key).or_default().push(change.path.clone());
        self.paths.insert(change.path, Sides { old: change.old.is_some(), new: change.new.is_some() });
    }

    pub(super) fn contains(&self, path: &FilePath) -> bool {
        self.paths.contains_key(path)
    }

    /// The rows that are added (`true`) or removed.
    fn rows(&self, leaf: usize) -> impl Iterator<Item = (Vec<u8>, bool)> + '_ {
        let of_key = move |(key, paths): (&String, &Vec<FilePath>)| {
            let moved = paths.iter().filter(|path| self.paths[path].old != self.paths[path].new);
            let row = |path: &FilePath| (member_row(leaf, key, path.as_str()), self.paths[path].new);
            moved.map(row).collect::<Vec<_>>()
        };
        self.by_key.iter().flat_map(of_key)
    }
}

/// Returns the paths with a key, on one side.
pub(super) struct Members<'a> {
    /// The rows of the old side.
    pub(super) base: DatumMap,
    /// The differences of the new side, by leaf.
    pub(super) changes: Option<&'a [Changes]>,
}

impl Members<'_> {
    /// The paths with this key that a leaf matches, sorted.
    pub(super) fn of_key(&self, store: &Store, leaf: usize, key: &str) -> Result<BTreeSet<FilePath>, RepoError> {
        let prefix = member_row(leaf, key, "");
        let mut paths = BTreeSet::new();
        for row in self.base.range(store, KeyRange::prefix(prefix.as_slice()))? {
            paths.insert(path_of(row?.0.get(prefix.len()..).unwrap_or_default())?);
        }
        if let Some(changes) = self.changes.map(|changes| &changes[leaf]) {
            for path in changes.by_key.get(key).into_iter().flatten() {
                if changes.paths[path].new {
                    paths.insert(path.clone());
                } else {
                    paths.remove(path);
                }
            }
        }
        Ok(paths)
    }
}

/// How a job changes the member rows.
#[derive(Debug)]
pub(crate) enum MemberRows {
    /// These are added (`true`) or removed.
    Changed(Vec<(Vec<u8>, bool)>),
    /// There were none: all rows of these inputs are added.
    All {
        /// The pipeline's input.
        shape: Shape,
        /// The commits of its leaves.
        trees: Vec<Tree>,
    },
}

impl MemberRows {
    pub(super) fn of_changes(changes: &[Changes]) -> Self {
        Self::Changed(changes.iter().enumerate().flat_map(|(leaf, changes)| changes.rows(leaf)).collect())
    }

    /// Visits each row, with whether it is added.
    pub(crate) fn visit(
        &self,
        store: &Store,
        visit: &mut dyn FnMut(Vec<u8>, bool) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        match self {
            Self::Changed(rows) => rows.iter().try_for_each(|(row, comes)| visit(row.clone(), *comes)),
            Self::All { shape, trees } => {
                let keyed =
                    shape.leaves.iter().zip(trees).enumerate().filter(|(_, (leaf, _))| leaf.member_by.is_some());
                for (number, (leaf, tree)) in keyed {
                    visit_matches(store, *tree, &leaf.input.glob, &mut |path, _| {
                        let key = leaf.member_key(&path).unwrap_or_default();
                        visit(member_row(number, &key, path.as_str()), true)
                    })?;
                }
                Ok(())
            }
        }
    }
}
