//! Why a datum was executed, or was not.

use repos::documents::{ResultDocument, ResultState};
use repos::journal::CauseKind;
use repos::tree::KeyRange;
use repos::{JobRow, Store};
use serde::Serialize;
use specs::{DatumId, Digest};

use super::recipes::{FieldChange, RecipeSides, sides_of, words_of};
use crate::datums::{DatumKey, prefix};
use crate::error::{EngineError, Result};
use crate::plan::DatumMap;
use crate::queries::{DatumState, DatumView, FoundDatum, job_id, result_in};

/// Why a datum is as it is in a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatumExplained {
    /// The datum, seen from the job.
    #[serde(flatten)]
    pub datum: DatumView,
    /// The job.
    pub job: String,
    /// The job that executed it.
    pub executed_by: Option<String>,
    /// The answer in one line.
    pub why: String,
    /// The nearest earlier datum, if there is one, or the one that was asked for.
    pub earlier: Option<Earlier>,
    /// Its recipe beside this one's.
    #[serde(flatten)]
    pub sides: RecipeSides,
}

/// The datum that was in the same place before, or another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Earlier {
    /// Its id.
    pub id: DatumId,
    /// The job that executed it.
    pub executed_by: String,
    /// How it ended.
    pub state: DatumState,
    #[serde(skip)]
    result: Digest,
}

/// Explains a datum of a job against the one in the same place of the commit before.
pub fn explain_datum(store: &Store, found: FoundDatum) -> Result<DatumExplained> {
    let earlier = match &found.view.result {
        Some(result) => earlier(store, &found.job, result)?,
        None => None,
    };
    let sides = sides(store, earlier.as_ref(), &found.view.id)?;
    let why = why(store, &found.job, &found.view, earlier.as_ref(), &sides.changes)?;
    Ok(explained(found, why, earlier, sides))
}

/// Explains a datum against any other.
pub fn explain_datum_against(store: &Store, other: &FoundDatum, found: FoundDatum) -> Result<DatumExplained> {
    let result = other.view.result.ok_or_else(|| not_ended(other))?;
    let executed_by = job_id(&other.result.pipeline, &other.result.run);
    let earlier = Some(Earlier { id: other.view.id, executed_by, state: other.view.state, result });
    let sides = sides(store, earlier.as_ref(), &found.view.id)?;
    let why = match words_of(&sides.changes) {
        _ if other.view.id == found.view.id => "both are one recipe".to_owned(),
        words => format!("they differ in {words}"),
    };
    Ok(explained(found, why, earlier, sides))
}

fn not_ended(datum: &FoundDatum) -> EngineError {
    let what = format!("datum {} of {} has not ended", datum.view.id.short(8), datum.job.pipeline);
    EngineError::NotFound { what, hint: None }
}

fn sides(store: &Store, earlier: Option<&Earlier>, id: &DatumId) -> Result<RecipeSides> {
    let Some(earlier) = earlier else { return Ok(RecipeSides::default()) };
    Ok(sides_of(store, &store.document(&earlier.id.digest())?, &store.document(&id.digest())?)?)
}

fn explained(found: FoundDatum, why: String, earlier: Option<Earlier>, sides: RecipeSides) -> DatumExplained {
    let FoundDatum { job, view, .. } = found;
    let executed_by = view.made_by.as_ref().map(|(pipeline, run)| job_id(pipeline, run));
    DatumExplained { job: job_id(&job.pipeline, &job.run), executed_by, why, earlier, sides, datum: view }
}

fn why(
    store: &Store,
    job: &JobRow,
    view: &DatumView,
    earlier: Option<&Earlier>,
    changes: &[FieldChange],
) -> Result<String> {
    let by = view.made_by.as_ref().map_or_else(String::new, |(pipeline, run)| format!("{pipeline}@{}", run.short(8)));
    match view.state {
        DatumState::Waiting | DatumState::Running => return Ok("it has not ended".to_owned()),
        DatumState::Cached if earlier.is_some_and(|earlier| Some(earlier.result) == view.result) => {
            return Ok(format!("not executed: nothing that it reads has changed since {by} executed it"));
        }
        DatumState::Cached => {
            return Ok(format!("not executed: {by} had executed the same recipe; taken from the cache"));
        }
        DatumState::Recovered if view.made_by.as_ref().is_some_and(|(_, run)| *run != job.run) => {
            let reason = view.reason.clone().unwrap_or_default();
            return Ok(format!("not executed: it had failed in {by}, and was {reason}"));
        }
        DatumState::Success | DatumState::Failed | DatumState::Recovered => {}
    }
    let cause = store.run(&job.run)?.cause;
    let Some(earlier) = earlier else {
        return Ok("executed: it is new; the commit before has no datum in its place".to_owned());
    };
    Ok(if !changes.is_empty() {
        format!("executed: {} changed", words_of(changes))
    } else if cause.kind == CauseKind::Rerun {
        "executed: a rerun was asked for, and the recipe is the same".to_owned()
    } else if earlier.state != DatumState::Success {
        "executed: the same recipe had not succeeded before".to_owned()
    } else {
        "executed: the recipe is the same, but its result was not to be reused (a spec that reprocesses, or bytes that were gone)".to_owned()
    })
}

/// What was in the place of a result in the commit before.
fn earlier(store: &Store, job: &JobRow, result: &Digest) -> Result<Option<Earlier>> {
    let Some(commit) = job.commit.map(|id| store.commit(&id)).transpose()? else { return Ok(None) };
    let Some(parent) = commit.parents.first().map(|id| store.commit(id)).transpose()? else { return Ok(None) };
    let map = |root: Option<Digest>| root.map_or(DatumMap::empty(), DatumMap::at);
    let (own, before) = (map(commit.datums), map(parent.datums));
    let Some(key) = place(store, own, result)? else { return Ok(None) };
    let Some(old) = before.get(store, &key.below(prefix::DATUM))?.as_deref().and_then(result_in) else {
        return Ok(None);
    };
    let document: ResultDocument = store.document(&old)?;
    let state = match document.state {
        _ if before.get(store, &key.below(prefix::RECOVERED))?.is_some() => DatumState::Recovered,
        ResultState::Success => DatumState::Success,
        ResultState::Failed => DatumState::Failed,
        ResultState::Recovered => DatumState::Recovered,
    };
    let executed_by = job_id(&document.pipeline, &document.run);
    Ok(Some(Earlier { id: document.recipe, executed_by, state, result: old }))
}

/// Where a result is in a map of datums. The map is by inputs: a scan, but one that reads no documents.
fn place(store: &Store, map: DatumMap, result: &Digest) -> Result<Option<DatumKey>> {
    for entry in map.range(store, KeyRange::prefix([prefix::DATUM]))? {
        let (key, value) = entry?;
        if result_in(&value).as_ref() == Some(result) {
            return Ok(Some(DatumKey::from_map(&key)));
        }
    }
    Ok(None)
}
