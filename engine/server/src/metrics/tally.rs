//! Jobs and datums, counted from the journal: each record once, however late.

use std::collections::BTreeSet;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use repos::Store;
use repos::documents::JobDocument;
use repos::journal::{Entry, Position, SealedState};
use specs::{Digest, PipelineName};

use super::labels::{OfOutcome, OfPipeline};
use super::{Histograms, long};

/// Records that are read at once.
const BATCH: usize = 256;

/// How jobs end.
const JOB_OUTCOMES: [SealedState; 4] =
    [SealedState::Success, SealedState::Failure, SealedState::Killed, SealedState::Unrunnable];
/// How datums end.
const DATUM_OUTCOMES: [&str; 4] = ["processed", "cached", "failed", "recovered"];

const fn word(state: SealedState) -> &'static str {
    match state {
        SealedState::Success => "success",
        SealedState::Failure => "failure",
        SealedState::Killed => "killed",
        SealedState::Unrunnable => "unrunnable",
    }
}

/// The counts, and how far they go.
#[derive(Debug)]
pub(super) struct Tally {
    /// The position after the last record that was counted.
    at: Position,
    /// The pipelines that have counts.
    pipelines: BTreeSet<PipelineName>,
    jobs: Family<OfOutcome, Counter>,
    datums: Family<OfOutcome, Counter>,
    waited: Histogram,
    took: Histograms<OfPipeline>,
}

impl Tally {
    /// Counts what comes after the end of the journal.
    pub(super) fn new(store: &Store, registry: &mut Registry) -> Self {
        let took = Histograms::new_with_constructor(long as fn() -> Histogram);
        let tally = Self {
            at: store.position(),
            pipelines: BTreeSet::new(),
            jobs: Family::default(),
            datums: Family::default(),
            waited: long(),
            took,
        };
        registry.register("jobs", "Jobs that have ended", tally.jobs.clone());
        registry.register("datums", "Datums of jobs that have ended", tally.datums.clone());
        let help = "Time from a job's creation to its start";
        registry.register_with_unit("job_wait", help, Unit::Seconds, tally.waited.clone());
        let help = "Time from a job's start to its end";
        registry.register_with_unit("job", help, Unit::Seconds, tally.took.clone());
        tally
    }

    /// Counts the records since the last call.
    pub(super) fn catch_up(&mut self, store: &Store) -> repos::store::Result<()> {
        while store.position().records > self.at.records {
            let records = store.records_after(self.at, BATCH)?;
            let Some((end, _)) = records.last() else { return Ok(()) };
            let end = *end;
            for (_, record) in &records {
                for entry in &record.entries {
                    if let Entry::Job { pipeline, state, document, .. } = entry {
                        self.count(store, pipeline, *state, document.as_ref());
                    }
                }
            }
            self.at = end;
        }
        Ok(())
    }

    fn count(&mut self, store: &Store, pipeline: &PipelineName, state: SealedState, document: Option<&Digest>) {
        self.begin(pipeline);
        self.jobs.get_or_create(&of(pipeline, word(state))).inc();
        // An old document may have been dropped; the job is still counted.
        let Some(job) = document.and_then(|digest| store.document::<JobDocument>(digest).ok()) else { return };
        let counts = [job.datums_processed, job.datums_cached, job.datums_failed, job.datums_recovered];
        for (outcome, count) in DATUM_OUTCOMES.into_iter().zip(counts) {
            self.datums.get_or_create(&of(pipeline, outcome)).inc_by(count);
        }
        if let Some(start) = job.started_at {
            self.waited.observe(start.seconds_since(job.created_at).max(0.0));
            let took = job.finished_at.seconds_since(start).max(0.0);
            self.took.get_or_create(&OfPipeline { pipeline: pipeline.to_string() }).observe(took);
        }
    }

    /// Begins all counts of a pipeline at zero, so that the first failure is an increase.
    fn begin(&mut self, pipeline: &PipelineName) {
        if self.pipelines.insert(pipeline.clone()) {
            for outcome in JOB_OUTCOMES.map(word) {
                drop(self.jobs.get_or_create(&of(pipeline, outcome)));
            }
            for outcome in DATUM_OUTCOMES {
                drop(self.datums.get_or_create(&of(pipeline, outcome)));
            }
        }
    }

    /// Begins the counts of pipelines that are new, and drops those of pipelines that are gone.
    pub(super) fn keep_existing(&mut self, store: &Store) -> repos::store::Result<()> {
        let existing: BTreeSet<_> = store.pipelines()?.into_iter().map(|(name, _)| name).collect();
        for pipeline in &existing {
            self.begin(pipeline);
        }
        for gone in self.pipelines.difference(&existing) {
            for outcome in JOB_OUTCOMES.map(word) {
                self.jobs.remove(&of(gone, outcome));
            }
            for outcome in DATUM_OUTCOMES {
                self.datums.remove(&of(gone, outcome));
            }
            self.took.remove(&OfPipeline { pipeline: gone.to_string() });
        }
        self.pipelines = existing;
        Ok(())
    }
}

fn of(pipeline: &PipelineName, outcome: &'static str) -> OfOutcome {
    OfOutcome { pipeline: pipeline.to_string(), outcome }
}
