//! Datums that a retry does not execute: they failed in the earlier job, and a user accepted that, or chose others to be executed again.

use std::collections::{HashMap, HashSet};

use repos::journal::{Cause, CauseKind};
use repos::{JobRow, Store};
use specs::{DatumId, Digest, Glob, RunId};

use super::failed::{failed_results, left_out};
use crate::error::Result;
use crate::run::paths_named;

/// Failed datums that one job does not execute, by the digest of their recipe.
#[derive(Debug, Clone, Default)]
pub struct Skipped(HashMap<DatumId, SkippedDatum>);

/// A failed datum that is not executed.
#[derive(Debug, Clone)]
pub struct SkippedDatum {
    /// Its failed result.
    pub result: Digest,
    /// Whether it counts as recovered, because somebody decided that; else it stays failed.
    pub is_recovered: bool,
    /// Who decided it, and why.
    pub why: String,
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

    /// What a retry of `before` skips. With `input`, it is about the failed datums that read a path matching it. What was left out of
    /// `before` stays left out.
    fn in_retry(store: &Store, before: &JobRow, cause: Cause, input: Option<&Glob>) -> Result<Self> {
        let author = cause.author.unwrap_or_default();
        let mut skipped = Self::default();
        for (id, result, why) in left_out(store, before)? {
            skipped.0.insert(id, SkippedDatum { result, is_recovered: true, why });
        }
        match (cause.message, input) {
            (Some(message), input) => {
                let why = format!("skipped by {author} ({}): {message}", cause.committer);
                skipped.add(failed_results(store, before, input)?, true, &why);
            }
            (None, Some(glob)) => {
                let again: HashSet<DatumId> =
                    failed_results(store, before, Some(glob))?.into_iter().map(|(id, _)| id).collect();
                let mut others = failed_results(store, before, None)?;
                others.retain(|(id, _)| !again.contains(id));
                let why = format!("it stays failed: {author} retried only datums that read `{glob}`");
                skipped.add(others, false, &why);
            }
            (None, None) => {}
        }
        Ok(skipped)
    }

    fn add(&mut self, datums: Vec<(DatumId, Digest)>, is_recovered: bool, why: &str) {
        for (id, result) in datums {
            self.0.insert(id, SkippedDatum { result, is_recovered, why: why.to_owned() });
        }
    }

    /// A datum, if it is skipped.
    pub fn get(&self, datum: &DatumId) -> Option<&SkippedDatum> {
        self.0.get(datum)
    }
}
