//! Datums that a retry does not execute: they failed in the earlier job, and a user accepted that, or chose others to be executed again.

use std::collections::{HashMap, HashSet};

use repos::journal::{Cause, CauseKind};
use repos::{JobRow, Store};
use specs::{DatumId, Digest, Glob, RunId};

use super::failed::failed_results;
use crate::error::Result;
use crate::run::paths_named;

/// Failed datums that one job does not execute.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    /// The result of each, by the digest of its recipe.
    results: HashMap<DatumId, Digest>,
    /// Whether they count as recovered, because somebody decided that; else they stay failed.
    are_recovered: bool,
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
        let input = paths_named(&cause, &job.pipeline);
        let names_it = input.is_some() || cause.refs.iter().any(|name| name == job.pipeline.as_str());
        let before = cause.refs.iter().find_map(|text| text.strip_prefix('@')?.parse::<RunId>().ok());
        let (CauseKind::Retry, true, Some(before)) = (cause.kind, names_it, before) else {
            return Ok(Self::default());
        };
        match store.job(store.run(&before)?.order, &job.pipeline)? {
            Some(before) => Self::in_retry(store, &before, cause, input.as_ref()),
            None => Ok(Self::default()),
        }
    }

    /// What a retry of `before` skips. With `input`, it is about the failed datums that read a path matching it.
    fn in_retry(store: &Store, before: &JobRow, cause: Cause, input: Option<&Glob>) -> Result<Self> {
        let author = cause.author.unwrap_or_default();
        Ok(match (cause.message, input) {
            (Some(message), input) => Self {
                results: failed_results(store, before, input)?.into_iter().collect(),
                are_recovered: true,
                why: format!("skipped by {author} ({}): {message}", cause.committer),
            },
            (None, Some(glob)) => {
                let again: HashSet<DatumId> =
                    failed_results(store, before, Some(glob))?.into_iter().map(|(id, _)| id).collect();
                let all = failed_results(store, before, None)?.into_iter();
                Self {
                    results: all.filter(|(id, _)| !again.contains(id)).collect(),
                    are_recovered: false,
                    why: format!("it stays failed: {author} retried only datums that read `{glob}`"),
                }
            }
            (None, None) => Self::default(),
        })
    }

    /// The failed result of a skipped datum, with who decided that and why.
    pub fn of_datum(&self, datum: &DatumId) -> Option<(Digest, &str)> {
        self.results.get(datum).map(|result| (*result, self.why.as_str()))
    }

    /// Whether skipped datums count as recovered; else they stay failed.
    pub(crate) fn are_recovered(&self) -> bool {
        self.are_recovered
    }
}
