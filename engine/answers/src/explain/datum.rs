//! Why a datum was executed, or was not.

use repos::documents::{Commit, Recipe, ResultDocument, ResultState};
use repos::journal::CauseKind;
use repos::{JobRow, Store};
use schemars::JsonSchema;
use serde::Serialize;
use specs::{DatumId, Digest};

use super::job::before;
use super::recipes::{Differing, changes_of_recipe};
use super::sides::{Differences, Side, compare_inputs, compare_transforms};
use crate::datum::{DatumState, DatumView, FoundDatum, Known};
use crate::job::job_id;
use crate::logs::job_of;
use crate::sight::{InputSight, recipe};
use engine::Result;
use engine::datums::prefix;
use engine::datums::{DatumMap, result_in};
use engine::graph::{Pipeline, Versions};
use engine::live::Live;

/// Explains a datum in a job.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DatumExplained {
    /// The datum, as seen from the job.
    #[serde(flatten)]
    pub datum: DatumView,
    /// The job.
    pub job: String,
    /// The explanation in one line.
    pub why: String,
    /// The nearest earlier datum, if there is one.
    pub earlier: Option<Earlier>,
    /// How it differs from the earlier datum, and what is the same.
    #[serde(flatten)]
    pub differences: Differences,
}

/// The datum that previously had the same key.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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

/// Explains a datum of a job by comparing it with the datum that had the same key in the previous commit. `live` is the activity of this
/// process.
pub fn explain_datum(store: &Store, live: Option<&Live>, found: FoundDatum) -> Result<DatumExplained> {
    let FoundDatum { job, view, .. } = found;
    let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
    let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
    let before = before(store, &pipeline, &job, commit.as_ref())?;
    let earlier = match (&view.result, &before) {
        (Some(result), Some(before)) => earlier(store, &Known::of(store, live, &job)?, before, result)?,
        _ => None,
    };
    let (mut words, mut differences) = (Vec::new(), Differences::default());
    if let (Some(earlier), Some(before)) = (&earlier, before) {
        let sight = InputSight::of(store, &pipeline);
        let (recipe, not_visible) = recipe(store, &sight, &view.id)?;
        let (old, _) = recipe_of_earlier(store, &before, &earlier.id)?;
        words = changes_of_recipe(store, &old, &recipe)?;
        differences.not_visible = not_visible;
        if not_visible > 0 && hides_a_change(store, &earlier.id, &view.id, words.len())? {
            words.push(Differing::hidden());
        }
        if let Some(was) = Side::of_commit(store, &before)? {
            let is = commit.map(|is| Side::of_commit(store, &is)).transpose()?.flatten();
            let is = is.map_or_else(|| Side::of_job(store, &job), Ok)?;
            compare_transforms(store, &was, &is, &mut differences)?;
            compare_inputs(store, (&was, &old), (&is, &recipe), &mut differences)?;
        }
    }
    let why = why(store, &job, &view, earlier.as_ref(), &words)?;
    Ok(DatumExplained { job: job_id(&job.pipeline, &job.run), why, earlier, differences, datum: view })
}

/// The visible part of the recipe that an earlier commit's pipeline executed.
fn recipe_of_earlier(store: &Store, before: &Commit, id: &DatumId) -> Result<(Recipe, u64)> {
    let pipeline = Versions::default().of_commit(store, before)?;
    let sight = pipeline.map_or_else(InputSight::nothing, |pipeline| InputSight::of(store, &pipeline));
    recipe(store, &sight, id)
}

/// Whether two recipes differ in more than these visible ways.
fn hides_a_change(store: &Store, old: &DatumId, new: &DatumId, seen: usize) -> Result<bool> {
    let whole = store.whole();
    let [old, new] = [old, new].map(|id| whole.document::<Recipe>(&id.digest()));
    Ok(changes_of_recipe(&whole, &old?, &new?)?.len() > seen)
}

fn why(
    store: &Store,
    job: &JobRow,
    view: &DatumView,
    earlier: Option<&Earlier>,
    changes: &[Differing],
) -> Result<String> {
    let hidden = || "a job that is not visible to you".to_owned();
    let by = view.made_by.as_ref().map_or_else(hidden, |(pipeline, run)| format!("{pipeline}@{}", run.short(8)));
    match view.state {
        DatumState::Waiting | DatumState::Running => return Ok("it has not ended".to_owned()),
        DatumState::Cached if earlier.is_some_and(|earlier| Some(earlier.result) == view.result) => {
            return Ok(format!("not executed: its inputs have not changed since {by} executed it"));
        }
        DatumState::Cached => {
            return Ok(format!("not executed: {by} had executed the same recipe; taken from the cache"));
        }
        DatumState::Recovered if view.made_by.as_ref().is_some_and(|(_, run)| *run != job.run) => {
            let reason = view.reason.clone().unwrap_or_default();
            return Ok(format!("not executed: it had failed in {by}, and was {reason}"));
        }
        DatumState::Failed if view.made_by.as_ref().is_some_and(|(_, run)| *run != job.run) => {
            return Ok(format!("not executed: it had failed in {by}, and only others were retried"));
        }
        DatumState::Success | DatumState::Failed | DatumState::Recovered => {}
    }
    let cause = store.run(&job.run)?.cause;
    let Some(earlier) = earlier else {
        return Ok("executed: it is new; the previous commit has no such datum".to_owned());
    };
    Ok(if !changes.is_empty() {
        let mut words: Vec<&str> = changes.iter().map(|change| change.word.as_str()).collect();
        words.dedup();
        format!("executed: {} changed", words.join(", "))
    } else if cause.kind == CauseKind::Rerun {
        "executed: a rerun was requested; the recipe is the same".to_owned()
    } else if earlier.state != DatumState::Success {
        "executed: the same recipe had not succeeded before".to_owned()
    } else {
        "executed: the recipe is the same, but its result could not be reused (the spec reprocesses, or content was no longer stored)".to_owned()
    })
}

/// The datum that had a result's key in the previous commit.
fn earlier(store: &Store, known: &Known, before: &Commit, result: &Digest) -> Result<Option<Earlier>> {
    let Some(key) = known.place(store, result)? else { return Ok(None) };
    let before = before.datums.map_or(DatumMap::empty(), DatumMap::at);
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
    let executed_by = job_of(&document);
    Ok(Some(Earlier { id: document.recipe, executed_by, state, result: old }))
}
