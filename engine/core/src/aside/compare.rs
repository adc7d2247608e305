//! What differs between what a try gave and the present output, datum by datum.

use repos::documents::{ResultDocument, ResultState};
use repos::tree::{KeyRange, Map, Tree, path_of};
use repos::{RepoError, Store};
use serde::Serialize;
use specs::{CommitId, DatumId, Digest, FilePath};

use crate::datums::prefix;
use crate::error::Result;
use crate::graph::Pipeline;
use crate::plan::DatumMap;
use crate::queries::{DatumInput, datum_view, result_in};

/// Datums that are told one by one.
pub(super) const SHOWN: usize = 20;
/// Paths of a datum that are told.
const PATHS: usize = 3;

/// How the datums of a try compare with those of the present output.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Compared {
    /// Datums that give the same files as now.
    pub same: u64,
    /// Datums that give other files.
    pub differs: u64,
    /// Datums that there are not now.
    pub new: u64,
    /// Datums that there are now, and not in the try; 0 in a sample.
    pub gone: u64,
    /// Datums that failed.
    pub failed: u64,
    /// The first that are not the same.
    pub datums: Vec<TriedDatum>,
}

/// How one datum compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields of `Compared` say what they mean")]
pub enum Verdict {
    Same,
    Differs,
    New,
    Failed,
}

/// A datum that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriedDatum {
    /// Its id.
    pub id: DatumId,
    /// How it compares.
    pub verdict: Verdict,
    /// What it read.
    pub inputs: Vec<DatumInput>,
    /// The first output paths that differ.
    pub paths: Vec<TriedPath>,
}

/// An output path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TriedPath {
    /// The path.
    pub path: FilePath,
    /// Bytes now; absent for a new file.
    pub old_bytes: Option<u64>,
    /// Bytes in the try; absent for one that is gone.
    pub new_bytes: Option<u64>,
}

/// A pipeline's present output; `None` while it has none.
pub(super) fn head(store: &Store, pipeline: &Pipeline) -> Result<Option<CommitId>, RepoError> {
    let (repo, branch) = pipeline.output_branch();
    if !store.has_repo(&repo)? {
        return Ok(None);
    }
    Ok(store.find_branch(&repo, &branch)?.and_then(|row| row.commit))
}

/// The map of datums of a pipeline's present output.
pub(super) fn present(store: &Store, pipeline: &Pipeline) -> Result<DatumMap, RepoError> {
    let datums = head(store, pipeline)?.map(|id| store.commit(&id)).transpose()?.and_then(|commit| commit.datums);
    Ok(datums.map_or(DatumMap::empty(), DatumMap::at))
}

/// Compares the datums of a try with the present ones. Equal parts of the maps are skipped.
pub(super) fn compare(store: &Store, present: DatumMap, tried: DatumMap, is_sample: bool) -> Result<Compared> {
    let datums = || KeyRange::prefix([prefix::DATUM]);
    let mut compared = Compared::default();
    let mut differing = 0;
    for change in present.diff_range(store, tried, datums())? {
        let change = change?;
        let Some(new) = change.new.as_deref().and_then(result_in) else {
            compared.gone += u64::from(!is_sample);
            continue;
        };
        differing += 1;
        compared.add(store, change.old.as_deref().and_then(result_in), new)?;
    }
    compared.same += tried.range_totals(store, &datums())?.entries - differing;
    Ok(compared)
}

impl Compared {
    /// Counts a datum, by its present result and that of the try.
    fn add(&mut self, store: &Store, old: Option<Digest>, new: Digest) -> Result<(), RepoError> {
        let result: ResultDocument = store.document(&new)?;
        let old: Option<ResultDocument> = old.map(|old| store.document(&old)).transpose()?;
        let verdict = self.count(old.as_ref(), result.outputs.filter(|_| result.state == ResultState::Success));
        if verdict != Verdict::Same && self.datums.len() < SHOWN {
            let inputs = datum_view(store, None, &new, None)?.inputs;
            let paths = differing_paths(store, old.and_then(|old| old.outputs), result.outputs)?;
            self.datums.push(TriedDatum { id: result.recipe, verdict, inputs, paths });
        }
        Ok(())
    }

    /// Counts a datum by its present result (`None`: there is no such datum), and by its outputs in the try (`None`: it failed).
    pub(super) fn count(&mut self, old: Option<&ResultDocument>, new: Option<Digest>) -> Verdict {
        let (verdict, counter) = match (old, new) {
            (_, None) => (Verdict::Failed, &mut self.failed),
            (None, _) => (Verdict::New, &mut self.new),
            (Some(old), new) if old.outputs == new => (Verdict::Same, &mut self.same),
            _ => (Verdict::Differs, &mut self.differs),
        };
        *counter += 1;
        verdict
    }
}

/// The first paths that differ between the outputs of two results.
pub(super) fn differing_paths(
    store: &Store,
    old: Option<Digest>,
    new: Option<Digest>,
) -> Result<Vec<TriedPath>, RepoError> {
    let tree = |root: Option<Digest>| root.map_or(Tree::empty(), Map::at);
    let changes = tree(old).diff(store, tree(new))?.take(PATHS);
    let path = |change: std::result::Result<repos::tree::Change<repos::tree::FileEntry>, RepoError>| {
        let change = change?;
        Ok(TriedPath {
            path: path_of(&change.key)?,
            old_bytes: change.old.map(|file| file.size),
            new_bytes: change.new.map(|file| file.size),
        })
    };
    changes.map(path).collect()
}
