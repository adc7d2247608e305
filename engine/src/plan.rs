//! What a job has to do: which datums are new, changed or gone against its base.
//!
//! The base is the branch's last good commit by the same pipeline version. Against it, work is proportional to the change: the
//! difference of the input trees gives the datums that it touches, and the base's map of datums gives their old results. A new
//! version plans in full, and the cache does the rest.

use std::collections::{BTreeMap, BTreeSet};

use repos::documents::Commit;
use repos::tree::{KeyRange, Map, Tree};
use repos::{RepoError, Store};
use specs::spec::PfsInput;
use specs::{CommitId, Digest, Glob};

use crate::datums::{self, Arm, DatumKey, Datums, match_at, prefix};
use crate::error::Result;
use crate::graph::Pipeline;
use crate::recipe::Leaf;

/// The map of datums of an output commit.
pub type DatumMap = Map<Vec<u8>>;

/// What a job starts from.
#[derive(Debug, Clone)]
pub struct Base {
    /// The commit.
    pub id: CommitId,
    /// Its document.
    pub commit: Commit,
}

impl Base {
    /// Its map of datums.
    pub fn datums(&self) -> DatumMap {
        self.commit.datums.map_or(DatumMap::empty(), DatumMap::at)
    }

    /// Its map from output path to result.
    pub fn lineage(&self) -> Map<Digest> {
        self.commit.lineage.map_or(Map::empty(), Map::at)
    }
}

/// What a job has to do.
#[derive(Debug)]
pub struct Plan {
    /// The last good commit of the output branch: the parent of the new one.
    pub parent: Option<Base>,
    /// Whether the parent's outputs are kept and edited; else the output is built from nothing.
    pub edits_parent: bool,
    /// New and changed datums by key, each with one arm for each leaf.
    pub todo: Datums,
    /// Old results of datums that are changed or gone: their outputs go.
    pub replaced: BTreeMap<DatumKey, Digest>,
    /// How many datums the job has in all.
    pub total: u64,
}

impl Plan {
    /// Datums that are neither new nor changed.
    pub fn kept(&self) -> u64 {
        self.total - self.todo.len() as u64
    }

    /// Datums that are gone.
    pub fn removed(&self) -> usize {
        self.replaced.keys().filter(|key| !self.todo.contains_key(key)).count()
    }
}

/// Plans a job that takes these inputs. `parent` is the last good commit of the output branch.
pub fn plan(store: &Store, pipeline: &Pipeline, leaves: &[Leaf], parent: Option<CommitId>) -> Result<Plan> {
    let parent = parent.map(|id| Ok::<_, RepoError>(Base { id, commit: store.commit(&id)? })).transpose()?;
    if let Some(base) = parent.as_ref().filter(|base| is_by(base, pipeline)) {
        let (todo, replaced) = difference(store, pipeline, leaves, base)?;
        let before = count(store, base.datums())?;
        let total = before - replaced.len() as u64 + todo.len() as u64;
        return Ok(Plan { parent, edits_parent: true, todo, replaced, total });
    }
    let globs: Vec<(&Glob, Tree)> = leaves.iter().map(|leaf| (&leaf.input.glob, leaf.tree)).collect();
    let todo = datums::all(store, &globs)?;
    let total = todo.len() as u64;
    Ok(Plan { parent, edits_parent: false, todo, replaced: BTreeMap::new(), total })
}

fn is_by(base: &Base, pipeline: &Pipeline) -> bool {
    base.commit.pipeline.as_ref().is_some_and(|stamp| {
        stamp.name == *pipeline.name()
            && stamp.version == pipeline.version.version
            && stamp.spec == pipeline.version.spec
    })
}

/// How many datums a map of datums holds.
pub fn count(store: &Store, datums: DatumMap) -> Result<u64, RepoError> {
    Ok(datums.range_totals(store, &KeyRange::prefix([prefix::DATUM]))?.entries)
}

fn difference(
    store: &Store,
    pipeline: &Pipeline,
    leaves: &[Leaf],
    base: &Base,
) -> Result<(Datums, BTreeMap<DatumKey, Digest>), RepoError> {
    let old_tree = |input: &PfsInput| -> Result<Tree, RepoError> {
        let (repo, branch) = pipeline.input_branch(input);
        let origin = base.commit.provenance.iter().find(|origin| origin.repo == repo && origin.branch == branch);
        origin.map_or(Ok(Tree::empty()), |origin| Ok(Tree::at(store.commit(&origin.commit)?.tree)))
    };
    let sides: Vec<(&Glob, Tree, Tree)> = leaves
        .iter()
        .map(|leaf| Ok((&leaf.input.glob, old_tree(&leaf.input)?, leaf.tree)))
        .collect::<Result<_, RepoError>>()?;
    let (mut todo, before) = datums::touched(store, &sides)?;
    let mut replaced = BTreeMap::new();
    for key in before {
        replaced.extend(old_result(store, base, &key)?.map(|result| (key, result)));
    }
    for (key, arms) in recovered(store, base, leaves)? {
        if !todo.contains_key(&key) && !replaced.contains_key(&key) {
            replaced.extend(old_result(store, base, &key)?.map(|result| (key.clone(), result)));
            todo.insert(key, arms);
        }
    }
    // An input outside the recipe changes nothing of a datum that is there already.
    let fixed: BTreeSet<DatumKey> = unchanged_but_for_references(&todo, &replaced, &sides, leaves, store)?;
    todo.retain(|key, _| !fixed.contains(key));
    replaced.retain(|key, _| !fixed.contains(key));
    Ok((todo, replaced))
}

fn old_result(store: &Store, base: &Base, key: &DatumKey) -> Result<Option<Digest>, RepoError> {
    let value = base.datums().get(store, &key.below(prefix::DATUM))?;
    Ok(value.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes))
}

/// Recovered datums of the base, found without a scan of the others; they run again every time.
fn recovered(store: &Store, base: &Base, leaves: &[Leaf]) -> Result<Datums, RepoError> {
    let mut found = Datums::new();
    for entry in base.datums().range(store, KeyRange::prefix([prefix::RECOVERED]))? {
        let key = DatumKey::from_map(&entry?.0);
        let arms: Option<Vec<Arm>> = key
            .arms()
            .unwrap_or_default()
            .into_iter()
            .map(|(leaf, path)| {
                let matched = leaves.get(leaf).map(|leaf| match_at(store, leaf.tree, &path)).transpose()?.flatten();
                Ok(matched.map(|matched| Arm { leaf, path, matched, key: None }))
            })
            .collect::<Result<_, RepoError>>()?;
        found.extend(arms.map(|arms| (key, arms)));
    }
    Ok(found)
}

/// Datums on both sides in which nothing but inputs marked `reference` differs.
fn unchanged_but_for_references(
    todo: &Datums,
    replaced: &BTreeMap<DatumKey, Digest>,
    sides: &[(&Glob, Tree, Tree)],
    leaves: &[Leaf],
    store: &Store,
) -> Result<BTreeSet<DatumKey>, RepoError> {
    if !leaves.iter().any(|leaf| leaf.input.reference) {
        return Ok(BTreeSet::new());
    }
    let mut unchanged = BTreeSet::new();
    for (key, arms) in todo.iter().filter(|(key, _)| replaced.contains_key(key)) {
        let mut same = true;
        for arm in arms {
            let (_, old, new) = &sides[arm.leaf];
            same = same && (leaves[arm.leaf].input.reference || same_below(store, *old, *new, &arm.path)?);
        }
        if same {
            unchanged.insert(key.clone());
        }
    }
    Ok(unchanged)
}

fn same_below(store: &Store, old: Tree, new: Tree, path: &specs::FilePath) -> Result<bool, RepoError> {
    if old.file(store, path)? != new.file(store, path)? {
        return Ok(false);
    }
    let below = repos::tree::files::directory_range(path);
    Ok(old.diff_range(store, new, below)?.next().transpose()?.is_none())
}
