//! The job's output as edits of its base: base − outputs of datums that are gone or changed + new outputs.

use std::collections::{BTreeMap, HashMap, HashSet};

use repos::documents::{Recipe, ResultDocument};
use repos::tree::{FileEntry, KeyRange, Map, Tree, path_of};
use repos::{RepoError, Store};
use specs::{Digest, FilePath};

use super::datum::DatumEnd;
use crate::datums::{DatumKey, prefix};
use crate::plan::{DatumMap, Plan};

/// Collects what the datums of a job give.
#[derive(Debug)]
pub(crate) struct Output {
    store: Store,
    base: Trees,
    files: BTreeMap<FilePath, Option<FileEntry>>,
    lineage: BTreeMap<FilePath, Option<Digest>>,
    datums: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Results whose outputs go.
    replaced: HashSet<Digest>,
    /// Who wrote each new output.
    writers: HashMap<FilePath, Digest>,
}

/// The three maps of an output commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trees {
    pub(crate) tree: Tree,
    pub(crate) lineage: Map<Digest>,
    pub(crate) datums: DatumMap,
}

/// Two datums that write one path.
#[derive(Debug)]
pub(crate) struct Collision {
    pub(crate) path: FilePath,
    pub(crate) writers: [String; 2],
}

impl std::fmt::Display for Collision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second] = &self.writers;
        write!(f, "two datums write `{}`: {first} and {second}", self.path)
    }
}

impl Output {
    /// Starts from the plan's base, without the outputs of datums that are gone or changed.
    pub(crate) fn new(store: &Store, plan: &Plan) -> Result<Self, RepoError> {
        let base = plan.parent.as_ref().filter(|_| plan.edits_parent);
        let base =
            base.map_or(Trees { tree: Tree::empty(), lineage: Map::empty(), datums: DatumMap::empty() }, |base| {
                Trees { tree: Tree::at(base.commit.tree), lineage: base.lineage(), datums: base.datums() }
            });
        let mut output = Self {
            store: store.clone(),
            base,
            files: BTreeMap::new(),
            lineage: BTreeMap::new(),
            datums: BTreeMap::new(),
            replaced: plan.replaced.values().copied().collect(),
            writers: HashMap::new(),
        };
        for (key, result) in &plan.replaced {
            output.datums.insert(key.below(prefix::DATUM), None);
            output.datums.insert(key.below(prefix::RECOVERED), None);
            let result: ResultDocument = store.document(result)?;
            for path in output.paths_of(result.outputs)? {
                output.lineage.insert(path.clone(), None);
                output.files.insert(path, None);
            }
        }
        Ok(output)
    }

    fn paths_of(&self, outputs: Option<Digest>) -> Result<Vec<FilePath>, RepoError> {
        let Some(outputs) = outputs else { return Ok(Vec::new()) };
        let entries = Tree::at(outputs).range(&self.store, KeyRange::all())?;
        entries.map(|entry| Ok(path_of(&entry?.0)?)).collect()
    }

    /// Takes in an ended datum; a collision when it writes a path that another datum writes.
    pub(crate) fn add(&mut self, key: &DatumKey, end: &DatumEnd) -> Result<Option<Collision>, RepoError> {
        self.datums.insert(key.below(prefix::DATUM), Some(end.result.as_bytes().to_vec()));
        if let Some(reason) = &end.recovered {
            self.datums.insert(key.below(prefix::RECOVERED), Some(reason.clone().into_bytes()));
        }
        let Some(outputs) = end.outputs else { return Ok(None) };
        let store = self.store.clone();
        for entry in Tree::at(outputs).range(&store, KeyRange::all())? {
            let (path, file) = entry?;
            let path = path_of(&path)?;
            if let Some(other) = self.other_writer(&path, end.result)? {
                let writers = [self.describe(&other)?, self.describe(&end.result)?];
                return Ok(Some(Collision { path, writers }));
            }
            self.writers.insert(path.clone(), end.result);
            self.lineage.insert(path.clone(), Some(end.result));
            self.files.insert(path, Some(file));
        }
        Ok(None)
    }

    fn other_writer(&self, path: &FilePath, own: Digest) -> Result<Option<Digest>, RepoError> {
        if let Some(writer) = self.writers.get(path) {
            return Ok(Some(*writer));
        }
        let kept = self.base.lineage.get(&self.store, path.as_str().as_bytes())?;
        Ok(kept.filter(|writer| *writer != own && !self.replaced.contains(writer)))
    }

    /// A datum by its id and inputs.
    fn describe(&self, result: &Digest) -> Result<String, RepoError> {
        let result: ResultDocument = self.store.document(result)?;
        let recipe: Recipe = self.store.document(&result.recipe.digest())?;
        let inputs: Vec<String> = recipe.inputs.iter().map(|input| format!("{}:{}", input.name, input.path)).collect();
        Ok(format!("datum {} ({})", result.recipe.short(8), inputs.join(", ")))
    }

    /// Paths that would be both file and directory.
    pub(crate) fn finish(self) -> Result<(Trees, Vec<FilePath>), RepoError> {
        let store = &self.store;
        let tree = self.base.tree.edit(store, keyed(&self.files), &mut &*store)?;
        let lineage = self.base.lineage.edit(store, keyed(&self.lineage), &mut &*store)?;
        let datums = self.base.datums.edit(store, self.datums, &mut &*store)?;
        let written = self.files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path);
        let clashes = tree.clashes(store, written)?.into_iter().collect();
        Ok((Trees { tree, lineage, datums }, clashes))
    }
}

fn keyed<V: Copy>(edits: &BTreeMap<FilePath, Option<V>>) -> impl Iterator<Item = (&[u8], Option<V>)> {
    edits.iter().map(|(path, value)| (path.as_str().as_bytes(), *value))
}
