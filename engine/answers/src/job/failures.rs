//! Why a job failed, with what a user needs next: the first failed datums, their inputs, and their last output.

use engine::Result;
use engine::apply::find_retry;
use engine::live::Live;
use repos::documents::ResultDocument;
use repos::journal::SealedState;
use repos::tree::Tree;
use repos::{JobRow, Store};
use specs::{DatumId, is_shell_name};

use super::view::document_of;
use crate::datum::{DatumFilter, DatumInput, DatumState, DatumView, TryView, datums, last_words, provenance_of};

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It has not ended.
    NotYet,
    /// It has ended, and no reason is recorded.
    NotRecorded,
    /// The reason, and how many results are kept; empty for a job that succeeded.
    Because {
        /// Why it ended in its state.
        reason: String,
        /// Number of datums that failed.
        failed: u64,
        /// How many datums have a result despite the failure.
        kept: u64,
    },
}

/// Why a job ended in its state.
pub fn why_ended(store: &Store, job: &JobRow) -> Result<Ended> {
    let Some(document) = document_of(store, job)? else {
        return Ok(if job.sealed.is_none() { Ended::NotYet } else { Ended::NotRecorded });
    };
    let kept = document.datums_processed + document.datums_cached + document.datums_recovered;
    Ok(Ended::Because { reason: document.reason.unwrap_or_default(), failed: document.datums_failed, kept })
}

/// A failed datum in short.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedDatum {
    /// Its id.
    pub id: DatumId,
    /// The first of its inputs, with the sizes of files.
    pub inputs: Vec<DatumInput>,
    /// How many inputs were left out.
    pub inputs_left_out: usize,
    /// How many inputs are not visible.
    pub not_visible: u64,
    /// Names of inputs that a shell cannot read as variables.
    pub unreadable: Vec<String>,
    /// The last try.
    pub last: Option<TryView>,
    /// The number of tries.
    pub tries: usize,
    /// The last lines that the last try printed; none if its log was deleted.
    pub last_words: Vec<String>,
}

/// How much of the failed datums to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named after what they limit")]
pub struct Most {
    pub datums: usize,
    pub inputs: usize,
    pub lines: usize,
}

/// The first failed datums of a job, also of a running one.
pub fn failed_datums(store: &Store, live: Option<&Live>, job: &JobRow, most: Most) -> Result<Vec<FailedDatum>> {
    let filter = DatumFilter { state: Some(DatumState::Failed), ..DatumFilter::default() };
    let mut failed = Vec::new();
    for datum in datums(store, live, job, filter)?.take(most.datums) {
        failed.push(in_short(store, job, datum?, most)?);
    }
    Ok(failed)
}

fn in_short(store: &Store, job: &JobRow, datum: DatumView, most: Most) -> Result<FailedDatum> {
    let names = datum.inputs.iter().map(|input| &input.input);
    let unreadable = names.filter(|name| !is_shell_name(name)).cloned().collect();
    let result: Option<ResultDocument> = datum.result.map(|digest| store.document(&digest)).transpose()?;
    let last_words = result.map(|result| last_words(store, &result, most.lines)).transpose()?.unwrap_or_default();
    let inputs_left_out = datum.inputs.len().saturating_sub(most.inputs);
    let mut inputs: Vec<DatumInput> = datum.inputs.into_iter().take(most.inputs).collect();
    for input in &mut inputs {
        input.size_bytes = input_bytes(store, job, input)?;
    }
    let (not_visible, tries) = (datum.not_visible, datum.tries);
    let last = datum.try_details.into_iter().last();
    Ok(FailedDatum { id: datum.id, inputs, inputs_left_out, not_visible, unreadable, last, tries, last_words })
}

/// The size of an input file, found in the commits that the job read; `None` for a directory.
fn input_bytes(store: &Store, job: &JobRow, input: &DatumInput) -> Result<Option<u64>> {
    for origin in provenance_of(store, job)? {
        let file = Tree::at(store.commit(&origin.commit)?.tree).file(store, &input.path)?;
        if let Some(file) = file.filter(|file| file.digest == input.digest) {
            return Ok(Some(file.size));
        }
    }
    Ok(None)
}

/// Whether a job may be retried: it is the newest of a pipeline that is not stopped, and has ended.
pub fn may_be_retried(store: &Store, job: &JobRow) -> bool {
    find_retry(store, job).is_ok() && store.pipeline(&job.pipeline).is_ok_and(|row| !row.is_stopped())
}

/// The unsuccessful job that most likely caused the other failures, and how many others there are; `None` if all
/// succeeded.
pub fn first_cause(jobs: &[JobRow]) -> Option<(&JobRow, u64)> {
    let bad = || jobs.iter().filter(|job| job.sealed != Some(SealedState::Success));
    let first = bad().min_by_key(|job| (rank(job.sealed), job.order))?;
    Some((first, bad().count() as u64 - 1))
}

/// Causes rank before effects.
fn rank(state: Option<SealedState>) -> u8 {
    match state {
        Some(SealedState::Failure) => 0,
        Some(SealedState::Killed) => 1,
        Some(SealedState::Unrunnable) => 2,
        None => 3,
        Some(SealedState::Success) => 4,
    }
}
