//! The failed datums of an ended job, and which of them read certain files.
//!
//! An ended job does not change: the same question has the same answer whenever it is asked, before a retry and in it.

use std::collections::{BTreeSet, HashMap};

use repos::documents::{ResultDocument, ResultState};
use repos::journal::SealedState;
use repos::tree::{KeyRange, Tree};
use repos::{JobRow, RepoError, Store};
use specs::{DatumId, Digest, FilePath, Glob};

use crate::datums::{DatumKey, DatumMap, InputMatch, match_at, prefix, reads, result_in};
use crate::error::Result;
use crate::graph::Pipeline;

/// The failed datums of an ended job, each with its result, in the order of their inputs. With `input`, only those that read a path that
/// matches it; refused unless all inputs are visible.
pub fn failed_results(store: &Store, job: &JobRow, input: Option<&Glob>) -> Result<Vec<(DatumId, Digest)>> {
    let mut readers = input.map(|glob| Readers::of(store, job, glob)).transpose()?;
    let mut failed = Vec::new();
    visit_failed(store, job, |_, result, digest, left_out| {
        let is_chosen = match &mut readers {
            _ if left_out.is_some() => false,
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
    visit_failed(store, job, |key, _, _, left_out| {
        if left_out.is_none() {
            failed.insert(key);
        }
        Ok(())
    })?;
    Ok(failed)
}

/// The datums that failed before a job that ended without success, and that somebody left out of it: each with its result, and who decided
/// that and why.
pub(super) fn left_out(store: &Store, job: &JobRow) -> Result<Vec<(DatumId, Digest, String)>> {
    let mut found = Vec::new();
    visit_failed(store, job, |_, result, digest, left_out| {
        found.extend(left_out.map(|why| (result.recipe, digest, String::from_utf8_lossy(&why).into_owned())));
        Ok(())
    })?;
    Ok(found)
}

/// Looks at each failed datum: with its result, and why it is left out, if somebody decided that.
fn visit_failed(
    store: &Store,
    job: &JobRow,
    mut visit: impl FnMut(DatumKey, ResultDocument, Digest, Option<Vec<u8>>) -> Result<()>,
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
        if result.state == ResultState::Failed {
            let left_out = map.get(store, &key.below(prefix::RECOVERED))?;
            visit(key, result, digest, left_out)?;
        }
    }
    Ok(())
}

/// Tells which datums of a job read a path that a glob matches.
#[derive(Debug)]
struct Readers<'s> {
    store: &'s Store,
    glob: &'s Glob,
    /// The names of the inputs, and the files of each.
    inputs: Vec<(String, Tree)>,
    /// What was found out: many datums share a directory.
    known: HashMap<(Digest, FilePath), bool>,
}

impl<'s> Readers<'s> {
    fn of(store: &'s Store, job: &JobRow, glob: &'s Glob) -> Result<Self> {
        let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
        let provenance = commit.map(|commit| commit.provenance).unwrap_or_default();
        let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
        let mut readers = Self { store, glob, inputs: Vec::new(), known: HashMap::new() };
        for leaf in pipeline.spec.input.leaves() {
            let (repo, branch) = pipeline.input_branch(leaf);
            if !store.sees(&repo) {
                // What is executed depends on all inputs: it would be other datums than those that were counted.
                let what = format!("a glob chooses datums of `{}` only for those who see all its inputs", job.pipeline);
                let hint = Some(format!("without a glob: pv job retry {}", job.pipeline));
                return Err(RepoError::Refused { what, hint }.into());
            }
            if let Some(origin) = provenance.iter().find(|one| one.repo == repo && one.branch == branch) {
                readers.inputs.push((leaf.name.clone(), Tree::at(store.commit(&origin.commit)?.tree)));
            }
        }
        Ok(readers)
    }

    /// Whether the datum with this result is one of them.
    fn include(&mut self, result: &ResultDocument) -> Result<bool> {
        let (recipe, _) = self.store.recipe(&result.recipe, |_| true)?;
        for input in &recipe.inputs {
            let trees = self.inputs.iter().filter(|(name, _)| *name == input.name);
            for tree in trees.map(|(_, tree)| *tree).collect::<Vec<_>>() {
                if self.is_matched(tree, &input.path)? {
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
    fn is_matched(&mut self, tree: Tree, path: &FilePath) -> Result<bool, RepoError> {
        let asked = (tree.root(), path.clone());
        if let Some(known) = self.known.get(&asked) {
            return Ok(*known);
        }
        let is_matched = match match_at(self.store, tree, path)? {
            Some(matched) => {
                reads(self.store, tree, &InputMatch { leaf: 0, path: path.clone(), matched, key: None }, self.glob)?
            }
            None => false,
        };
        self.known.insert(asked, is_matched);
        Ok(is_matched)
    }
}
