//! Compares the outputs of a trial with the current output, datum by datum.

use repos::documents::{ResultDocument, ResultState};
use repos::tree::{KeyRange, Map, Tree, path_of};
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, DatumId, Digest, FilePath};

use engine::Result;
use engine::datums::prefix;
use engine::datums::{DatumMap, result_in};
use engine::trial::{EphemeralDatum, TriedJob, TriedOutput};

use crate::datum::{DatumInput, datum_view};

/// Maximum number of datums listed.
const SHOWN: usize = 20;
/// Maximum number of paths listed for a datum.
const PATHS: usize = 3;

/// How the datums of a trial compare with those of the current output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// Number of datums with the same files as now.
    pub same: u64,
    /// Number of datums with different files.
    pub differs: u64,
    /// Number of datums that do not exist now.
    pub new: u64,
    /// Number of current datums that are not in the trial; 0 for a sample.
    pub gone: u64,
    /// Number of datums that failed.
    pub failed: u64,
    /// The first datums that are not the same.
    pub datums: Vec<TriedDatum>,
}

/// How one datum compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields of `Compared` say what they mean")]
pub enum Verdict {
    Same,
    Differs,
    New,
    Failed,
}

/// A datum that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriedPath {
    /// The path.
    pub path: FilePath,
    /// Current size in bytes; absent for a new file.
    pub old_bytes: Option<u64>,
    /// Size in the trial in bytes; absent for a removed file.
    pub new_bytes: Option<u64>,
}

/// The datums map of a pipeline's current output.
fn datums_of(store: &Store, present: Option<CommitId>) -> Result<DatumMap, RepoError> {
    let datums = present.map(|id| store.commit(&id)).transpose()?.and_then(|commit| commit.datums);
    Ok(datums.map_or(DatumMap::empty(), DatumMap::at))
}

/// Compares a pipeline's trial output with its current output; `None` if it did not run. A trial reads nothing that is not visible.
pub(super) fn compare(store: &Store, job: &TriedJob) -> Result<Option<Compared>> {
    let present = datums_of(store, job.present)?;
    match &job.output {
        TriedOutput::Nothing => Ok(None),
        TriedOutput::Kept { datums, is_sample } => compare_kept(store, present, *datums, *is_sample).map(Some),
        TriedOutput::EphemeralTrial { datums, .. } => {
            let mut compared = Compared::default();
            datums.iter().try_for_each(|datum| compared.add_loose(store, &present, datum))?;
            Ok(Some(compared))
        }
    }
}

/// Compares the datums of a trial with the current ones. Equal parts of the maps are skipped.
fn compare_kept(store: &Store, present: DatumMap, tried: DatumMap, is_sample: bool) -> Result<Compared> {
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
    /// Counts a datum, by its current result and that of the trial.
    fn add(&mut self, store: &Store, old: Option<Digest>, new: Digest) -> Result<()> {
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

    /// Like [`Self::add`], for a datum whose result is not kept.
    fn add_loose(&mut self, store: &Store, present: &DatumMap, datum: &EphemeralDatum) -> Result<(), RepoError> {
        let old = present.get(store, &datum.key.below(prefix::DATUM))?.as_deref().and_then(result_in);
        let old: Option<ResultDocument> = old.map(|old| store.document(&old)).transpose()?;
        let verdict = self.count(old.as_ref(), datum.outputs);
        if verdict != Verdict::Same && self.datums.len() < SHOWN {
            let inputs = datum.inputs.iter().filter_map(|input| {
                let digest = input.digest.or(input.tree)?;
                Some(DatumInput { input: input.name.clone(), path: input.path.clone(), digest, size_bytes: None })
            });
            let paths = differing_paths(store, old.and_then(|old| old.outputs), datum.outputs)?;
            self.datums.push(TriedDatum { id: datum.id, verdict, inputs: inputs.collect(), paths });
        }
        Ok(())
    }

    /// Counts a datum by its current result (`None`: it does not exist now), and by its outputs in the trial (`None`: it failed).
    fn count(&mut self, old: Option<&ResultDocument>, new: Option<Digest>) -> Verdict {
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
fn differing_paths(store: &Store, old: Option<Digest>, new: Option<Digest>) -> Result<Vec<TriedPath>, RepoError> {
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
