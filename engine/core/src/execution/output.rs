//! The job's output as edits of its base: base − outputs of removed or changed datums + new outputs.
//!
//! Edits are collected and applied to the three maps in batches, so memory does not grow with the job.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use repos::documents::{Recipe, ResultDocument};
use repos::tree::{FileEntry, KeyRange, Map, Tree, path_of};
use repos::{RepoError, Store};
use specs::{DatumId, Digest, FilePath};

use super::datum::DatumEnd;
use crate::datums::DatumMap;
use crate::datums::result_in;
use crate::datums::{DatumKey, prefix};
use crate::feed::SoFar;
use crate::plan::Plan;

/// Maximum number of edits in memory; small in tests, so that all of them also work with edits already applied.
const PENDING: usize = if cfg!(any(test, feature = "testing")) { 20 } else { 50_000 };

/// Collects the results of a job's datums.
#[derive(Debug)]
pub(crate) struct Output {
    store: Store,
    /// The maps without the pending edits.
    trees: Trees,
    files: BTreeMap<FilePath, Option<FileEntry>>,
    lineage: BTreeMap<FilePath, Option<Digest>>,
    /// Shared with readers who look at the job while it runs.
    datums: Arc<SoFar>,
    /// The first path that is both a file and a directory.
    clash: Option<FilePath>,
    pending: usize,
}

/// The three maps of an output commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trees {
    pub(crate) tree: Tree,
    pub(crate) lineage: Map<Digest>,
    pub(crate) datums: DatumMap,
}

/// Two datums that write the same path.
#[derive(Debug)]
pub(crate) struct Collision {
    pub(crate) path: FilePath,
    pub(crate) writers: [String; 2],
}

impl std::fmt::Display for Collision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second] = &self.writers;
        write!(f, "two datums write `{}`: {first} and {second}; give each its own path, ", self.path)?;
        f.write_str("or make all files one datum with the glob `/`")
    }
}

impl Output {
    /// Starts from the plan's base, without the outputs of removed or changed datums.
    pub(crate) fn new(store: &Store, plan: &Plan) -> Result<Self, RepoError> {
        let base = plan.parent.as_ref().filter(|_| plan.edits_parent);
        let empty = Trees { tree: Tree::empty(), lineage: Map::empty(), datums: DatumMap::empty() };
        let trees = base.map_or(empty, |base| Trees {
            tree: Tree::at(base.commit.tree),
            lineage: base.lineage(),
            datums: base.datums(),
        });
        let mut output = Self::of(store, trees);
        let kept = if plan.results_may_be_shared { kept_results(store, plan)? } else { HashSet::new() };
        for (key, result) in &plan.replaced {
            output.datums.insert(key.below(prefix::DATUM), None);
            output.datums.insert(key.below(prefix::RECOVERED), None);
            output.pending += 2;
            if !kept.contains(result) {
                output.remove_outputs(&store.document(result)?)?;
            }
        }
        plan.members.visit(store, &mut |row, comes| {
            output.datums.insert(row, comes.then(Vec::new));
            output.pending += 1;
            output.flush_if_many()
        })?;
        Ok(output)
    }

    fn of(store: &Store, trees: Trees) -> Self {
        Self {
            store: store.clone(),
            trees,
            files: BTreeMap::new(),
            lineage: BTreeMap::new(),
            datums: Arc::new(SoFar::new(trees.datums)),
            clash: None,
            pending: 0,
        }
    }

    /// The growing datums map.
    pub(crate) fn datums(&self) -> Arc<SoFar> {
        self.datums.clone()
    }

    fn remove_outputs(&mut self, result: &ResultDocument) -> Result<(), RepoError> {
        let Some(outputs) = result.outputs else { return self.flush_if_many() };
        let store = self.store.clone();
        for entry in Tree::at(outputs).range(&store, KeyRange::all())? {
            let path = path_of(&entry?.0)?;
            self.lineage.insert(path.clone(), None);
            self.files.insert(path, None);
            self.pending += 1;
            self.flush_if_many()?;
        }
        Ok(())
    }

    /// Adds an ended datum; returns a collision if it writes a path that another datum writes. In that case nothing of it is added: each
    /// file is owned by a datum in the map, and each such datum's files are complete, even in the commit of a failed job.
    pub(crate) fn add(&mut self, key: &DatumKey, end: &DatumEnd) -> Result<Option<Collision>, RepoError> {
        let Some(outputs) = end.outputs else {
            self.enter(key, &end.result, end.recovered.as_deref());
            self.flush_if_many()?;
            return Ok(None);
        };
        if let Some((path, other)) = self.other_writer(outputs, &end.result)? {
            if self.recipe_of(&other)? == self.recipe_of(&end.result)? {
                // Two datums with one recipe were executed concurrently: the first result counts for both, and the other is ignored.
                self.enter(key, &other, None);
                return Ok(None);
            }
            let writers = [self.describe(&other)?, self.describe(&end.result)?];
            return Ok(Some(Collision { path, writers }));
        }
        self.enter(key, &end.result, end.recovered.as_deref());
        let store = self.store.clone();
        for entry in Tree::at(outputs).range(&store, KeyRange::all())? {
            let (path, file) = entry?;
            let path = path_of(&path)?;
            self.lineage.insert(path.clone(), Some(end.result));
            self.files.insert(path, Some(file));
            self.pending += 1;
            self.flush_if_many()?;
        }
        Ok(None)
    }

    /// Adds a datum with its result to the datums map.
    fn enter(&mut self, key: &DatumKey, result: &Digest, recovered: Option<&str>) {
        self.datums.insert(key.below(prefix::DATUM), Some(result.as_bytes().to_vec()));
        if let Some(why) = recovered {
            self.datums.insert(key.below(prefix::RECOVERED), Some(why.as_bytes().to_vec()));
        }
        self.pending += 1;
    }

    /// The first of these files that another result also writes, and that result.
    fn other_writer(&self, outputs: Digest, own: &Digest) -> Result<Option<(FilePath, Digest)>, RepoError> {
        for entry in Tree::at(outputs).range(&self.store, KeyRange::all())? {
            let path = path_of(&entry?.0)?;
            if let Some(other) = self.writer(&path)?.filter(|writer| writer != own) {
                return Ok(Some((path, other)));
            }
        }
        Ok(None)
    }

    /// The result that writes a path, so far.
    fn writer(&self, path: &FilePath) -> Result<Option<Digest>, RepoError> {
        match self.lineage.get(path) {
            Some(pending) => Ok(*pending),
            None => self.trees.lineage.get(&self.store, path.as_str().as_bytes()),
        }
    }

    fn recipe_of(&self, result: &Digest) -> Result<DatumId, RepoError> {
        Ok(self.store.document::<ResultDocument>(result)?.recipe)
    }

    /// Describes a datum by its id and inputs.
    fn describe(&self, result: &Digest) -> Result<String, RepoError> {
        let result: ResultDocument = self.store.document(result)?;
        let recipe: Recipe = self.store.document(&result.recipe.digest())?;
        let inputs: Vec<String> = recipe.inputs.iter().map(|input| format!("{}:{}", input.name, input.path)).collect();
        Ok(format!("datum {} ({})", result.recipe.short(8), inputs.join(", ")))
    }

    fn flush_if_many(&mut self) -> Result<(), RepoError> {
        if self.pending < PENDING { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), RepoError> {
        let store = &self.store;
        let Trees { tree, lineage, .. } = self.trees;
        let tree = tree.edit(store, keyed(&self.files), &mut &*store)?;
        let lineage = lineage.edit(store, keyed(&self.lineage), &mut &*store)?;
        let datums = self.datums.flush(store)?;
        self.trees = Trees { tree, lineage, datums };
        if self.clash.is_none() {
            let written = self.files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path);
            self.clash = tree.clashes(store, written)?.pop_first();
        }
        self.files.clear();
        self.lineage.clear();
        self.pending = 0;
        Ok(())
    }

    /// The finished maps, and the first path that would be both a file and a directory.
    pub(crate) fn finish(mut self) -> Result<(Trees, Option<FilePath>), RepoError> {
        self.flush()?;
        Ok((self.trees, self.clash))
    }
}

/// The replaced results that remaining datums also have.
fn kept_results(store: &Store, plan: &Plan) -> Result<HashSet<Digest>, RepoError> {
    let Some(base) = plan.parent.as_ref().filter(|_| !plan.replaced.is_empty()) else { return Ok(HashSet::new()) };
    let replaced: HashSet<&Digest> = plan.replaced.values().collect();
    let mut kept = HashSet::new();
    for entry in base.datums().range(store, KeyRange::prefix([prefix::DATUM]))? {
        let (key, value) = entry?;
        let result = result_in(&value).filter(|result| replaced.contains(result));
        kept.extend(result.filter(|_| !plan.replaced.contains_key(&DatumKey::from_map(&key))));
    }
    Ok(kept)
}

fn keyed<V: Copy>(edits: &BTreeMap<FilePath, Option<V>>) -> impl Iterator<Item = (&[u8], Option<V>)> {
    edits.iter().map(|(path, value)| (path.as_str().as_bytes(), *value))
}
