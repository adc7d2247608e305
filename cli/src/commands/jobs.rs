//! How jobs and pipelines are printed for users, a line each; programs get the answers unchanged.

use answers::job::{self, JobRow, JobState, JobView, LiveJob, SealedState};
use answers::pipeline::{PipelineLine, PipelineState};
use answers::run::cause_words;
use engine::live::Live;

use super::views::first_line;
use crate::context::Context;
use crate::output::{Human, Out, Row, count, duration, plural};

/// The current activity, if an engine runs in this process.
pub(super) fn live(cx: &Context) -> Option<&Live> {
    cx.engine().map(engine::Engine::live)
}

/// What an engine in this process knows about a job.
pub(super) fn live_job(cx: &Context, job: &JobRow) -> Option<LiveJob> {
    job::live_job(live(cx), job)
}

impl Row for JobView {
    const HEADER: &'static [&'static str] = &["JOB", "STATE", "WHEN", "TOOK", "RUN + CACHED", "CAUSE", "REASON"];
    const GIVES_UP: &'static [&'static str] = &["TOOK", "CAUSE", "WHEN", "RUN + CACHED"];
    const SHORTENS: &'static [&'static str] = &["CAUSE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        vec![
            self.short.clone(),
            self.state.to_string(),
            human.ago(self.finished_at.or(self.since).unwrap_or(self.created_at)),
            took(self).unwrap_or_default(),
            datums(self),
            cause_words(self.cause.kind, &self.cause.refs),
            first_line(self.reason.as_deref().unwrap_or_default()),
        ]
    }
}

/// `60 + 2,113,442` and the number of failed ones; empty for a job that never started. If datums were recovered, all four numbers as in
/// Pachyderm: `0 + 1 + 1 / 2` means none executed, one cached and one recovered of two.
fn datums(job: &JobView) -> String {
    if job.started_at.is_none() {
        return String::new();
    }
    let failed = if job.datums_failed > 0 { format!("  {} failed", count(job.datums_failed)) } else { String::new() };
    let done = format!("{} + {}", count(job.datums_processed), count(job.datums_cached));
    match job.datums_recovered {
        0 => format!("{done}{failed}"),
        recovered => format!("{done} + {} / {}{failed}", count(recovered), count(job.datums_total)),
    }
}

/// The time from start to end.
pub(super) fn took(job: &JobView) -> Option<String> {
    job.duration_seconds.map(duration)
}

/// `success  12 min ago  1.1 s`
fn in_short(job: &JobView, human: &Human) -> String {
    let when = human.ago(job.finished_at.or(job.since).unwrap_or(job.created_at));
    format!("{}  {when}  {}", job.state, took(job).unwrap_or_default()).trim_end().to_owned()
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

/// The final state of a job as a word.
pub(super) fn end_word(state: SealedState) -> &'static str {
    match state {
        SealedState::Success => "success",
        SealedState::Failure => "failure",
        SealedState::Killed => "killed",
        SealedState::Unrunnable => "unrunnable",
    }
}

impl Row for PipelineLine {
    const HEADER: &'static [&'static str] = &["PIPELINE", "STATE", "LAST JOB", "RUN + CACHED", "OUTPUT"];
    const GIVES_UP: &'static [&'static str] = &["RUN + CACHED", "OUTPUT", "LAST JOB"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let state = self.pipeline.state;
        // A running pipeline shows the numbers of the running job, otherwise those of the last ended one.
        let job = if state == PipelineState::Running { &self.newest } else { &self.ended };
        let last = match (job, &self.pipeline.last_job) {
            (Some(job), _) if state == PipelineState::Running => job.short.clone(),
            (Some(job), _) => in_short(job, human),
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
            job.as_ref().map(datums).unwrap_or_default(),
            output(self),
        ]
    }
}

fn output(line: &PipelineLine) -> String {
    match (line.pipeline.behind_runs, &line.output) {
        (0, Some(commit)) => commit.clone(),
        (0, None) => String::new(),
        (behind, _) => format!("behind by {}", plural(behind, "run", "runs")),
    }
}
