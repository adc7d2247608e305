//! Datums that a retry skips: they failed in the earlier job, and a user accepted that.

use std::collections::{BTreeSet, HashMap};

use repos::documents::{ResultDocument, ResultState};
use repos::journal::CauseKind;
use repos::tree::KeyRange;
use repos::{JobRow, Store};
use specs::{DatumId, Digest, RunId};

use crate::datums::DatumMap;
use crate::datums::{DatumKey, prefix};
use crate::error::Result;

/// Failed datums that count as recovered in one job.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    /// The result of each, by the digest of its recipe.
    results: HashMap<DatumId, Digest>,
    /// Who decided it, and why.
    why: String,
}

impl Skipped {
    /// What a job skips: nothing, unless it is a retry that says so.
    pub fn of(store: &Store, job: &JobRow) -> Result<Self> {
        // A trial that keeps nothing has no run.
        if store.run_order(&job.run)?.is_none() {
            return Ok(Self::default());
        }
        let cause = store.run(&job.run)?.cause;
        let names_it = cause.refs.iter().any(|name| name == job.pipeline.as_str());
        let (CauseKind::Retry, Some(message), true) = (cause.kind, &cause.message, names_it) else {
            return Ok(Self::default());
        };
        let before = cause.refs.iter().find_map(|text| text.strip_prefix('@')?.parse::<RunId>().ok());
        let before = before.map(|run| store.run(&run)).transpose()?;
        let before = before.map(|run| store.job(run.order, &job.pipeline)).transpose()?.flatten();
        let results = before.map(|before| failed_results(store, &before)).transpose()?.unwrap_or_default();
        let author = cause.author.unwrap_or_default();
        Ok(Self { results, why: format!("skipped by {author} ({}): {message}", cause.committer) })
    }

    /// The failed result of a skipped datum, with who decided that and why.
    pub fn of_datum(&self, datum: &DatumId) -> Option<(Digest, &str)> {
        self.results.get(datum).map(|result| (*result, self.why.as_str()))
    }
}

/// The failed datums of an ended job, each with its result.
pub(crate) fn failed_results(store: &Store, job: &JobRow) -> Result<HashMap<DatumId, Digest>> {
    let mut failed = HashMap::new();
    visit_failed(store, job, |_, result, digest| {
        failed.insert(result.recipe, digest);
    })?;
    Ok(failed)
}

/// The keys of the failed datums of an ended job.
pub(crate) fn failed_keys(store: &Store, job: &JobRow) -> Result<BTreeSet<DatumKey>> {
    let mut failed = BTreeSet::new();
    visit_failed(store, job, |key, _, _| {
        failed.insert(key);
    })?;
    Ok(failed)
}

fn visit_failed(store: &Store, job: &JobRow, mut visit: impl FnMut(DatumKey, ResultDocument, Digest)) -> Result<()> {
    let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
    let map = commit.and_then(|commit| commit.datums).map_or(DatumMap::empty(), DatumMap::at);
    for entry in map.range(store, KeyRange::prefix([prefix::DATUM]))? {
        let (key, value) = entry?;
        let key = DatumKey::from_map(&key);
        let Some(digest) = crate::datums::result_in(&value) else { continue };
        let result: ResultDocument = store.document(&digest)?;
        if result.state == ResultState::Failed && map.get(store, &key.below(prefix::RECOVERED))?.is_none() {
            visit(key, result, digest);
        }
    }
    Ok(())
}
