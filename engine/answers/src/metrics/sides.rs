//! The figures of two commits side by side: the current ones, and those of a trial.

use std::collections::BTreeMap;

use compare::Figures;
use repos::documents::{ResultDocument, ResultState};
use repos::tree::{FileEntry, KeyRange, Tree, path_of};
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::{CommitId, DatumId, FilePath};

use super::columns::Goal;
use super::files::{figures_of, metric_of_word};
use engine::Result;

/// Maximum number of files reported.
const FILES: usize = 10;
/// Maximum number of figures reported for a file.
const FIGURES: usize = 20;

/// The figures of two sides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sides {
    /// File by file; for each, the figures that are numbers or differ.
    pub figures: Vec<SideBySide>,
    /// Number of further files with differing figures.
    pub files_left_out: u64,
    /// Number of further figures in the reported files.
    pub figures_left_out: u64,
}

/// A figure on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideBySide {
    /// The file.
    pub path: FilePath,
    /// The figure's name.
    pub metric: String,
    /// The current value; absent if it is new.
    pub old: Option<Value>,
    /// The new value; absent if it is gone.
    pub new: Option<Value>,
    /// New minus old, for numbers.
    pub change: Option<f64>,
    /// Whether the new value is better; absent if they are equal, or it is unknown which is better.
    pub better: Option<bool>,
}

/// The figures of all files that differ between two commits.
pub(crate) fn sides(store: &Store, old: Option<CommitId>, new: CommitId) -> Result<Sides> {
    let tree = |id: CommitId| Ok::<_, RepoError>(Tree::at(store.commit(&id)?.tree));
    let (old, new) = (old.map(tree).transpose()?.unwrap_or(Tree::empty()), tree(new)?);
    let mut found = Sides::default();
    for change in old.diff(store, new)? {
        let change = change?;
        found.file(store, &path_of(&change.key).map_err(RepoError::from)?, change.old, change.new)?;
    }
    Ok(found)
}

/// Like [`sides`], for files written by datums (by their newest results) compared with those of a commit.
pub(crate) fn sides_of_datums(store: &Store, old: Option<CommitId>, datums: &[DatumId]) -> Result<Sides> {
    let mut files = Vec::new();
    for datum in datums {
        let newest = store.results(datum)?.into_iter().find(|(_, state, _)| *state == ResultState::Success);
        let Some((digest, ..)) = newest else { continue };
        let outputs = store.document::<ResultDocument>(&digest)?.outputs.map_or(Tree::empty(), Tree::at);
        for entry in outputs.range(store, KeyRange::all())? {
            let (key, file) = entry?;
            files.push((path_of(&key).map_err(RepoError::from)?, file));
        }
    }
    sides_of_files(store, old, files)
}

/// Like [`sides`], for files compared with those at the same paths in a commit.
pub(crate) fn sides_of_files(
    store: &Store,
    old: Option<CommitId>,
    files: impl IntoIterator<Item = (FilePath, FileEntry)>,
) -> Result<Sides> {
    let old = old.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
    let mut found = Sides::default();
    for (path, new) in files {
        let before = old.file(store, &path)?;
        if before.is_none_or(|before| before.digest != new.digest) {
            found.file(store, &path, before, Some(new))?;
        }
    }
    Ok(found)
}

impl Sides {
    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    fn file(
        &mut self,
        store: &Store,
        path: &FilePath,
        old: Option<FileEntry>,
        new: Option<FileEntry>,
    ) -> Result<(), RepoError> {
        let told = self.figures.iter().fold((0, None), |(count, last), one| {
            if last == Some(&one.path) { (count, last) } else { (count + 1, Some(&one.path)) }
        });
        if told.0 >= FILES {
            let is_one = [old, new].iter().flatten().any(|file| compare::may_have_figures(path.name(), file.size));
            self.files_left_out += u64::from(is_one);
            return Ok(());
        }
        let (old, new) = (figures(store, path, old)?, figures(store, path, new)?);
        if !old.values().chain(new.values()).any(Value::is_number) {
            return Ok(());
        }
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        let wanted = names.filter(|name| {
            let (old, new) = (old.get(*name), new.get(*name));
            old != new || old.is_some_and(Value::is_number)
        });
        for (number, name) in wanted.enumerate() {
            if number < FIGURES {
                self.figures.push(side_by_side(path, name, old.get(name), new.get(name)));
            } else {
                self.figures_left_out += 1;
            }
        }
        Ok(())
    }
}

fn figures(store: &Store, path: &FilePath, file: Option<FileEntry>) -> Result<BTreeMap<String, Value>, RepoError> {
    let Some(file) = file else { return Ok(BTreeMap::new()) };
    let Figures::Values(values) = figures_of(store, path, &file)? else { return Ok(BTreeMap::new()) };
    let named = |name: String| if name.is_empty() { metric_of_word(path) } else { name };
    Ok(values.leaves.into_iter().map(|(name, value)| (named(name), value)).collect())
}

fn side_by_side(path: &FilePath, metric: &str, old: Option<&Value>, new: Option<&Value>) -> SideBySide {
    let numbers = old.and_then(Value::as_f64).zip(new.and_then(Value::as_f64));
    let change = numbers.map(|(old, new)| new - old);
    let better = Goal::of_name(metric).zip(change.filter(|change| *change != 0.0));
    SideBySide {
        path: path.clone(),
        metric: metric.to_owned(),
        old: old.cloned(),
        new: new.cloned(),
        change,
        better: better.map(|(goal, change)| (goal == Goal::Highest) == (change > 0.0)),
    }
}
