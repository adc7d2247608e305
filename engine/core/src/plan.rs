//! What a job has to do: which datums are new, changed or removed relative to its base.
//!
//! The base is the branch's last good commit by the same pipeline version. With it, work is proportional to the change: the difference of
//! the input trees gives the datums that it touches, and the base's datums map gives their old results. A new version is planned in full,
//! and the cache avoids repeated work.
//!
//! A job with joins or groups and more than 200,000 changed files is planned in full, too.

use std::collections::{BTreeMap, HashSet};

use repos::documents::Commit;
use repos::tree::{KeyRange, Map, Tree};
use repos::{RepoError, Store};
use specs::{CommitId, Digest};

use crate::datums::{
    self, Datum, DatumKey, DatumList, DatumMap, Difference, KeyedChanges, MemberRows, Shape, prefix, result_in,
};
use crate::error::Result;
use crate::graph::Pipeline;
use crate::recipe::Leaf;

/// Maximum number of file changes in joins and groups that are held in memory; with more, a full plan costs little more.
const MOST_CHANGES: usize = if cfg!(any(test, feature = "testing")) { 50 } else { 200_000 };

/// What a job starts from.
#[derive(Debug, Clone)]
pub struct Base {
    /// The commit.
    pub id: CommitId,
    /// Its document.
    pub commit: Commit,
}

impl Base {
    /// Its datums map.
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
    /// Whether the parent's outputs are kept and edited; otherwise the output is built from nothing.
    pub edits_parent: bool,
    /// New and changed datums.
    pub todo: DatumList,
    /// Old results of datums that are changed or removed: their outputs are removed.
    pub replaced: BTreeMap<DatumKey, Digest>,
    /// The job's total number of datums.
    pub total: u64,
    /// Whether two datums may have the same recipe, and so the same result: an input is outside it, or two inputs have the same name.
    pub results_may_be_shared: bool,
    /// Rows of the datums map that are added or removed with the inputs.
    pub(crate) members: MemberRows,
}

impl Plan {
    /// Number of datums that are neither new nor changed.
    pub fn kept(&self) -> u64 {
        self.total - self.todo.len() as u64
    }

    /// Number of datums that are removed.
    pub fn removed(&self) -> usize {
        let changed = self.todo.iter().filter(|(key, _)| self.replaced.contains_key(key)).count();
        self.replaced.len() - changed
    }
}

/// Plans a job with these inputs. `parent` is the last good commit of the output branch.
pub fn plan(store: &Store, pipeline: &Pipeline, leaves: &[Leaf], parent: Option<CommitId>) -> Result<Plan> {
    let parent = parent.map(|id| Ok::<_, RepoError>(Base { id, commit: store.commit(&id)? })).transpose()?;
    if let Some(base) = parent.as_ref().filter(|base| is_by(base, pipeline)) {
        if base.datums() != DatumMap::empty() {
            return difference(store, pipeline, leaves, base);
        }
        return in_full(store, pipeline, leaves, parent, true);
    }
    in_full(store, pipeline, leaves, parent, false)
}

fn is_by(base: &Base, pipeline: &Pipeline) -> bool {
    base.commit.pipeline.as_ref().is_some_and(|stamp| {
        stamp.name == *pipeline.name()
            && stamp.version == pipeline.version.version
            && stamp.spec == pipeline.version.spec
    })
}

/// Number of datums in a datums map.
pub fn count(store: &Store, datums: DatumMap) -> Result<u64, RepoError> {
    Ok(datums.range_totals(store, &KeyRange::prefix([prefix::DATUM]))?.entries)
}

fn in_full(
    store: &Store,
    pipeline: &Pipeline,
    leaves: &[Leaf],
    parent: Option<Base>,
    edits_parent: bool,
) -> Result<Plan> {
    let shape = Shape::of(&pipeline.spec.input);
    let trees: Vec<Tree> = leaves.iter().map(|leaf| leaf.tree).collect();
    let todo = datums::all(store, &shape, trees.clone())?;
    let total = todo.len() as u64;
    let members = MemberRows::All { shape, trees };
    let results_may_be_shared = results_may_be_shared(leaves);
    Ok(Plan { parent, edits_parent, todo, replaced: BTreeMap::new(), total, results_may_be_shared, members })
}

fn difference(store: &Store, pipeline: &Pipeline, leaves: &[Leaf], base: &Base) -> Result<Plan> {
    let shape = Shape::of(&pipeline.spec.input);
    let old = leaves.iter().map(|leaf| old_tree(store, pipeline, leaf, base)).collect::<Result<Vec<_>, _>>()?;
    let new: Vec<Tree> = leaves.iter().map(|leaf| leaf.tree).collect();
    let Some(changes) = KeyedChanges::new(store, &shape, (&old, &new), MOST_CHANGES)? else {
        return in_full(store, pipeline, leaves, Some(base.clone()), false);
    };
    let difference = Difference::new(store, &shape, (old, new), base.datums(), &changes);

    let mut results = base.datums().cursor(store)?;
    let mut replaced = BTreeMap::new();
    let mut replace = |key: &DatumKey| {
        let result = results.get(&key.below(prefix::DATUM))?.and_then(|value| result_in(&value));
        replaced.extend(result.map(|result| (key.clone(), result)));
        Ok(())
    };
    let mut todo = DatumList::default();
    let mut now = |datum: Datum| {
        todo.push(&datum);
        Ok(())
    };
    difference.touched(&mut now, &mut |datum| replace(&datum.key))?;
    // Recovered datums are found without visiting the others; they run again every time.
    for entry in base.datums().range(store, KeyRange::prefix([prefix::RECOVERED]))? {
        let key = DatumKey::from_map(&entry?.0);
        if !replaced.contains_key(&key)
            && let Some(datum) = difference.datum(&key)?
        {
            replaced.extend(old_result(store, base, &key)?.map(|result| (key, result)));
            todo.push(&datum);
        }
    }
    let before = count(store, base.datums())?;
    let total = before - replaced.len() as u64 + todo.len() as u64;
    Ok(Plan {
        parent: Some(base.clone()),
        edits_parent: true,
        todo,
        replaced,
        total,
        results_may_be_shared: results_may_be_shared(leaves),
        members: changes.rows(),
    })
}

fn results_may_be_shared(leaves: &[Leaf]) -> bool {
    let mut names = HashSet::new();
    leaves.iter().any(|leaf| leaf.input.reference || !names.insert(&leaf.input.name))
}

/// The files of a leaf in the base.
fn old_tree(store: &Store, pipeline: &Pipeline, leaf: &Leaf, base: &Base) -> Result<Tree, RepoError> {
    let (repo, branch) = pipeline.input_branch(&leaf.input);
    let origin = base.commit.provenance.iter().find(|origin| origin.repo == repo && origin.branch == branch);
    origin.map_or(Ok(Tree::empty()), |origin| Ok(Tree::at(store.commit(&origin.commit)?.tree)))
}

fn old_result(store: &Store, base: &Base, key: &DatumKey) -> Result<Option<Digest>, RepoError> {
    let value = base.datums().get(store, &key.below(prefix::DATUM))?;
    Ok(value.and_then(|value| result_in(&value)))
}
