//! Jobs and pipelines as they are printed: for programs the engine's answers, for people a line each.

use answers::job::{JobState, JobView, job_view};
use answers::pipeline::{PipelineState, PipelineView, pipeline_view};
use engine::live::{JobKey, Live};
use repos::{JobRow, Store};
use serde::Serialize;

use super::views::{cause_words, first_line};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Out, Row, ShortIds, count, duration, plural};

/// The current activity, if an engine runs in this process.
pub(super) fn live(cx: &Context) -> Option<&Live> {
    cx.engine().map(engine::Engine::live)
}

/// `detect@6e0b2f17`
pub(super) fn short_job(store: &Store, job: &JobRow) -> Result<String> {
    Ok(format!("{}@{}", job.pipeline, store.short_run(&job.run)?))
}

/// A job.
#[derive(Debug, Serialize)]
pub(super) struct JobLine {
    #[serde(flatten)]
    pub(super) job: JobView,
    /// Its id with a short run.
    #[serde(skip)]
    pub(super) short: String,
}

impl JobLine {
    pub(super) fn new(cx: &Context, row: &JobRow) -> Result<Self> {
        let store = cx.store()?;
        let key = JobKey { order: row.order, pipeline: row.pipeline.clone() };
        let known = live(cx).and_then(|live| live.job(&key));
        Ok(Self { job: job_view(store, row, known.as_ref())?, short: short_job(store, row)? })
    }

    /// `60 + 2,113,442`, and how many failed; nothing for a job that never started. Where some were recovered, all four numbers, as
    /// Pachyderm writes them: `0 + 1 + 1 / 2` are none executed, one cached and one recovered of two.
    pub(super) fn datums(&self) -> String {
        let job = &self.job;
        if job.started_at.is_none() {
            return String::new();
        }
        let failed =
            if job.datums_failed > 0 { format!("  {} failed", count(job.datums_failed)) } else { String::new() };
        let done = format!("{} + {}", count(job.datums_processed), count(job.datums_cached));
        match job.datums_recovered {
            0 => format!("{done}{failed}"),
            recovered => format!("{done} + {} / {}{failed}", count(recovered), count(job.datums_total)),
        }
    }

    /// From its start to its end.
    pub(super) fn took(&self) -> Option<String> {
        self.job.duration_seconds.map(duration)
    }

    /// `success  12 min ago  1.1 s`
    fn in_short(&self, human: &Human) -> String {
        let when = human.ago(self.job.finished_at.or(self.job.since).unwrap_or(self.job.created_at));
        format!("{}  {when}  {}", self.job.state, self.took().unwrap_or_default()).trim_end().to_owned()
    }
}

impl Row for JobLine {
    const HEADER: &'static [&'static str] = &["JOB", "STATE", "WHEN", "TOOK", "RUN + CACHED", "CAUSE", "REASON"];
    const GIVES_UP: &'static [&'static str] = &["TOOK", "CAUSE", "WHEN", "RUN + CACHED"];
    const SHORTENS: &'static [&'static str] = &["CAUSE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let job = &self.job;
        vec![
            self.short.clone(),
            job.state.to_string(),
            human.ago(job.finished_at.or(job.since).unwrap_or(job.created_at)),
            self.took().unwrap_or_default(),
            self.datums(),
            cause_words(job.cause.kind, &job.cause.refs),
            first_line(job.reason.as_deref().unwrap_or_default()),
        ]
    }
}

/// A state in its colour: success is green, states that need attention are red.
pub(super) fn paint_state(out: &Out, state: JobState) -> String {
    let color = match state {
        JobState::Success => 32,
        JobState::Failure | JobState::Unrunnable | JobState::Killed => 31,
        JobState::Waiting | JobState::Running | JobState::Finishing => 36,
    };
    out.paint(color, &state.to_string())
}

/// A pipeline.
#[derive(Debug, Serialize)]
pub(super) struct PipelineLine {
    #[serde(flatten)]
    pub(super) pipeline: PipelineView,
    #[serde(skip)]
    newest: Option<JobLine>,
    #[serde(skip)]
    ended: Option<JobLine>,
    /// Its output commit with a short id.
    #[serde(skip)]
    output: Option<String>,
}

impl PipelineLine {
    pub(super) fn new(cx: &Context, pipeline: PipelineView) -> Result<Self> {
        let store = cx.store()?;
        let line = |job: &Option<JobRow>| job.as_ref().map(|job| JobLine::new(cx, job)).transpose();
        let (newest, ended) = (line(&pipeline.newest)?, line(&pipeline.ended)?);
        let output = pipeline.output_commit.map(|id| store.short_commit(&id)).transpose()?;
        Ok(Self { pipeline, newest, ended, output })
    }

    /// All pipelines, each after those that it reads from.
    pub(super) fn all(cx: &Context) -> Result<Vec<Self>> {
        let store = cx.store()?;
        let graph = engine::Graph::load(store)?;
        let names = graph.in_order().into_iter().map(|pipeline| pipeline.name());
        names.map(|name| Self::new(cx, pipeline_view(store, name, live(cx))?)).collect()
    }

    /// Its newest job.
    pub(super) fn newest_job(&self) -> Option<&JobLine> {
        self.newest.as_ref()
    }

    /// Datums of its newest job that have failed, while it runs.
    pub(super) fn failed_so_far(&self) -> u64 {
        self.newest.as_ref().filter(|job| job.job.finished_at.is_none()).map_or(0, |job| job.job.datums_failed)
    }

    fn output(&self) -> String {
        match (self.pipeline.behind_runs, &self.output) {
            (0, Some(commit)) => commit.clone(),
            (0, None) => String::new(),
            (behind, _) => format!("behind by {}", plural(behind, "run", "runs")),
        }
    }
}

impl Row for PipelineLine {
    const HEADER: &'static [&'static str] = &["PIPELINE", "STATE", "LAST JOB", "RUN + CACHED", "OUTPUT"];
    const GIVES_UP: &'static [&'static str] = &["RUN + CACHED", "OUTPUT", "LAST JOB"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let state = self.pipeline.state;
        // A running job is told by its own numbers, any other state by the last one that ended.
        let job = if state == PipelineState::Running { &self.newest } else { &self.ended };
        let last = match (job, &self.pipeline.last_job) {
            (Some(job), _) if state == PipelineState::Running => job.short.clone(),
            (Some(job), _) => job.in_short(human),
            (None, Some(_)) => "none ended yet".to_owned(),
            (None, None) => "none: no data yet".to_owned(),
        };
        let why = self.pipeline.reason.as_deref().filter(|_| state != PipelineState::Failed).unwrap_or_default();
        let tick = self.pipeline.next_tick.filter(|_| state == PipelineState::Current);
        let why = tick.map_or(why.to_owned(), |time| format!("ticks in {}", human.until(time)));
        vec![
            self.pipeline.name.to_string(),
            format!("{state}  {}", first_line(&why)).trim_end().to_owned(),
            last,
            job.as_ref().map(JobLine::datums).unwrap_or_default(),
            self.output(),
        ]
    }
}
