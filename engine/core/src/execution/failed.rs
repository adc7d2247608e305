//! The failed datums of an ended job, and which of them read certain files.
//!
//! An ended job does not change: the same question has the same answer whenever it is asked, before a retry and in it.

use std::collections::BTreeSet;

use repos::documents::{ResultDocument, ResultState};
use repos::journal::SealedState;
use repos::tree::{KeyRange, Tree};
use repos::{JobRow, RepoError, Store};
use specs::{DatumId, Digest, FilePath, Glob};

use crate::datums::{DatumKey, DatumMap, InputMatch, match_at, prefix, reads, result_in};
use crate::error::Result;
use crate::graph::Pipeline;

/// The failed datums of an ended job, each with its result, in the order of their inputs. With `input`, only those that read a path that
/// matches it, as far as the inputs are visible.
pub fn failed_results(store: &Store, job: &JobRow, input: Option<&Glob>) -> Result<Vec<(DatumId, Digest)>> {
    let readers = input.map(|glob| Readers::of(store, job, glob)).transpose()?;
    let mut failed = Vec::new();
    visit_failed(store, job, |_, result, digest| {
        let is_chosen = match &readers {
            Some(readers) => readers.include(&result)?,
            None => true,
        };
        if is_chosen {
            failed.push((result.recipe, digest));
        }
        Ok(())
    })?;
    Ok(failed)
}

/// The keys of the failed datums of an ended job.
pub(crate) fn failed_keys(store: &Store, job: &JobRow) -> Result<BTreeSet<DatumKey>> {
    let mut failed = BTreeSet::new();
    visit_failed(store, job, |key, _, _| {
        failed.insert(key);
        Ok(())
    })?;
    Ok(failed)
}

fn visit_failed(
    store: &Store,
    job: &JobRow,
    mut visit: impl FnMut(DatumKey, ResultDocument, Digest) -> Result<()>,
) -> Result<()> {
    if job.sealed == Some(SealedState::Success) {
        return Ok(());
    }
    let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
    let map = commit.and_then(|commit| commit.datums).map_or(DatumMap::empty(), DatumMap::at);
    for entry in map.range(store, KeyRange::prefix([prefix::DATUM]))? {
        let (key, value) = entry?;
        let key = DatumKey::from_map(&key);
        let Some(digest) = result_in(&value) else { continue };
        let result: ResultDocument = store.document(&digest)?;
        if result.state == ResultState::Failed && map.get(store, &key.below(prefix::RECOVERED))?.is_none() {
            visit(key, result, digest)?;
        }
    }
    Ok(())
}

/// Tells which datums of a job read a path that a glob matches.
#[derive(Debug)]
struct Readers<'s> {
    store: &'s Store,
    glob: &'s Glob,
    /// The names of the visible inputs, and the files of each.
    inputs: Vec<(String, Tree)>,
    /// The names of the others.
    hidden: BTreeSet<String>,
}

impl<'s> Readers<'s> {
    fn of(store: &'s Store, job: &JobRow, glob: &'s Glob) -> Result<Self> {
        let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
        let provenance = commit.map(|commit| commit.provenance).unwrap_or_default();
        let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
        let mut readers = Self { store, glob, inputs: Vec::new(), hidden: BTreeSet::new() };
        for leaf in pipeline.spec.input.leaves() {
            let (repo, branch) = pipeline.input_branch(leaf);
            if !store.sees(&repo) {
                readers.hidden.insert(leaf.name.clone());
            } else if let Some(origin) = provenance.iter().find(|one| one.repo == repo && one.branch == branch) {
                readers.inputs.push((leaf.name.clone(), Tree::at(store.commit(&origin.commit)?.tree)));
            }
        }
        Ok(readers)
    }

    /// Whether the datum with this result is one of them.
    fn include(&self, result: &ResultDocument) -> Result<bool> {
        let (recipe, _) = self.store.recipe(&result.recipe, |name| !self.hidden.contains(name))?;
        for input in &recipe.inputs {
            for (_, tree) in self.inputs.iter().filter(|(name, _)| *name == input.name) {
                if self.is_matched(*tree, &input.path)? {
                    return Ok(true);
                }
            }
        }
        for input in &result.references {
            if self.is_matched(Tree::at(self.store.commit(&input.commit)?.tree), &input.path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the glob matches this path, or one below it.
    fn is_matched(&self, tree: Tree, path: &FilePath) -> Result<bool, RepoError> {
        let Some(matched) = match_at(self.store, tree, path)? else { return Ok(false) };
        reads(self.store, tree, &InputMatch { leaf: 0, path: path.clone(), matched, key: None }, self.glob)
    }
}
