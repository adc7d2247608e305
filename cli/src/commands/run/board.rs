//! Shows the progress of jobs, and a line for each job that ends.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use answers::job::{JobDocument, JobRow, document_of, job_view};
use answers::run::{CauseKind, RunRow};
use engine::Engine;
use engine::live::{EngineEvent, JobKey, LiveJob, LiveState};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::commands::jobs::end_word;
use crate::context::{Context, Store};
use crate::error::Result;
use crate::output::{Block, Part, bar, behind, columns, count, cut, duration, of_parts};

/// Time between two redraws on a terminal.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(100);
/// Time between two progress lines without a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Width of the pipeline column: that of the longest name, within these bounds.
const NAMES: std::ops::RangeInclusive<usize> = 12..=24;

/// Shows the jobs of an engine: as a redrawn block on a terminal, as occasional lines elsewhere.
pub(crate) struct Board<'a> {
    cx: &'a Context,
    engine: &'a Engine,
    feed: Receiver<EngineEvent>,
    /// Jobs that were open at the last update.
    open: BTreeSet<JobKey>,
    /// Order of the newest run whose jobs are known, since a job may start and end between two updates; `None` if only jobs that are
    /// already open are shown.
    newest: Option<u64>,
    /// Where running jobs are drawn.
    block: Block,
    last_line: Instant,
    /// The run whose jobs were printed last: its cause is printed once above them.
    run: Option<u64>,
}

impl<'a> Board<'a> {
    /// The store as the caller sees it.
    fn store(&self) -> &'a Store {
        // It is open: the engine uses it.
        self.cx.store().unwrap_or(self.engine.store())
    }

    /// Shows all jobs: open ones and new ones.
    pub(crate) fn new(cx: &'a Context, engine: &'a Engine) -> Result<Self> {
        let mut board = Self::of(cx, engine, BTreeSet::new());
        board.newest = Some(engine.store().runs_count()?);
        board.open = board.open_now()?;
        Ok(board)
    }

    /// Shows these jobs until they have ended.
    pub(crate) fn of(cx: &'a Context, engine: &'a Engine, jobs: BTreeSet<JobKey>) -> Self {
        let (feed, last_line) = (engine.live().listen(), Instant::now());
        Self { cx, engine, feed, open: jobs, newest: None, block: cx.notes().block(), last_line, run: None }
    }

    /// Whether none of its jobs is open.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Waits until there is something new to show.
    pub(crate) async fn news(&mut self) {
        let period = if self.cx.notes().is_watched() { BETWEEN_DRAWINGS } else { BETWEEN_LINES };
        let next = self.last_line + period;
        // An idle board is not redrawn until a job starts.
        let mut is_busy = self.engine.live().all().values().any(|live| live.state != LiveState::Waiting);
        loop {
            tokio::select! {
                happened = self.feed.recv() => match happened {
                    Ok(EngineEvent::Changed(_)) => is_busy = true,
                    Ok(EngineEvent::Trouble(what)) => return self.cx.notes().line(format!("{what}; trying again")),
                    _ => return,
                },
                () = tokio::time::sleep_until(next.into()), if is_busy => return,
            }
        }
    }

    /// Shows the activity, forever.
    pub(crate) async fn show(&mut self) -> Result<Infallible> {
        loop {
            tokio::task::block_in_place(|| self.look())?;
            self.news().await;
        }
    }

    /// Adds the jobs of runs since the last update to the open jobs.
    fn take_new(&mut self) -> Result<()> {
        let Some(known) = self.newest else { return Ok(()) };
        let store = self.store();
        let newest = store.runs_count()?;
        for order in known + 1..=newest {
            // A trial reports its jobs itself.
            if store.run_at(order)?.is_none_or(|run| run.cause.kind == CauseKind::Try) {
                continue;
            }
            let jobs = store.jobs_of_run(order)?;
            self.open.extend(jobs.into_iter().map(|job| JobKey { order, pipeline: job.pipeline }));
        }
        self.newest = Some(newest);
        Ok(())
    }

    fn open_now(&self) -> Result<BTreeSet<JobKey>> {
        let open = self.store().open_jobs()?;
        Ok(open.into_iter().map(|job| JobKey { order: job.order, pipeline: job.pipeline }).collect())
    }

    /// Updates: prints jobs that have ended, and draws those that have not.
    pub(crate) fn look(&mut self) -> Result<()> {
        self.take_new()?;
        let open = self.open_now()?;
        let mut ended = Vec::new();
        for key in self.open.difference(&open) {
            ended.extend(self.store().job(key.order, &key.pipeline)?.map(|job| (job.sealed_at, key.clone())));
        }
        ended.sort();
        if !ended.is_empty() {
            for (_, job) in ended {
                self.ended(&job)?;
            }
            self.cx.out().flush()?;
        }
        let is_shown = |job: &JobKey| self.newest.is_some() || self.open.contains(job);
        self.open = open.into_iter().filter(is_shown).collect();
        let mut live = self.engine.live().all();
        live.retain(|job, _| self.open.contains(job));
        if self.cx.notes().is_watched() {
            self.last_line = Instant::now();
            self.draw(&live)?;
        } else if self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            let running = live.iter().filter(|(_, live)| live.state != LiveState::Waiting);
            running.for_each(|(job, live)| {
                let lines = progress(self.engine, job, live, *NAMES.start(), usize::MAX);
                for line in lines {
                    self.cx.notes().line(line);
                }
            });
        }
        Ok(())
    }

    /// The last update.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.look()?;
        self.block.wipe();
        Ok(())
    }

    fn draw(&mut self, live: &BTreeMap<JobKey, LiveJob>) -> Result<()> {
        let names = name_columns(self.store())?;
        let Self { engine, block, .. } = self;
        block.draw(|width| {
            let mut lines = Vec::new();
            // Running jobs first; jobs that do not fit on the terminal are only counted.
            let (waiting, at_work): (Vec<_>, Vec<_>) =
                live.iter().partition(|(_, live)| live.state == LiveState::Waiting);
            for (job, live) in at_work.into_iter().chain(waiting) {
                lines.extend(progress(engine, job, live, names, width));
            }
            lines
        });
        Ok(())
    }

    fn ended(&mut self, key: &JobKey) -> Result<()> {
        let store = self.store();
        let Some(job) = store.job(key.order, &key.pipeline)? else { return Ok(()) };
        if self.run != Some(job.order) && self.cx.out().is_terminal() && !self.cx.out().is_json() {
            self.run = Some(job.order);
            if let Some(run) = store.run_at(job.order)? {
                self.cx.out().wrapped(cause_line(&run))?;
            }
        }
        print_ended(self.cx, store, &job)
    }
}

/// The progress of a job as one line; several if the reason why it waits is long.
fn progress(engine: &Engine, job: &JobKey, live: &LiveJob, names: usize, width: usize) -> Vec<String> {
    let names = names.min(width / 3);
    let name = format!("  {:<names$}", cut(job.pipeline.as_str(), names));
    let counts = live.counts;
    match live.state {
        LiveState::Waiting => {
            let rest = " ".repeat(columns(&name) + 15);
            let what = live.awaits().map_or_else(String::new, |what| what.to_string());
            behind(&format!("{name}  waiting      "), &rest, &what, width)
        }
        LiveState::Finishing => vec![format!("{name}  finishing")],
        LiveState::Running => {
            let now = engine.store().clock().now();
            let rate = live.rate(now).map_or_else(String::new, |rate| format!("{rate:.1}/s"));
            let left = live.seconds_left(now);
            let left = left.map_or_else(String::new, |left| format!("{} left", duration(left)));
            let mut also = also(&[(counts.failed, "failed"), (counts.recovered, "recovered")]).trim_start().to_owned();
            also.extend(live.awaits().map(|what| format!("  {what}")));
            let done = format!("running      {} of {}", count(counts.done()), count(counts.total));
            let part = |rank, text| Part { rank, text };
            let bar = bar(counts.done(), counts.total);
            vec![of_parts(
                vec![part(0, name), part(0, done), part(2, bar), part(3, rate), part(1, left), part(0, also)],
                width,
            )]
        }
    }
}

/// Width of the column for a store's pipeline names.
fn name_columns(store: &Store) -> Result<usize> {
    let longest = store.pipelines()?.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or(0);
    Ok(longest.clamp(*NAMES.start(), *NAMES.end()))
}

/// Waits until jobs may have ended, or something else may need an update. Returns the message if that was a failure.
pub(crate) async fn news(feed: &mut Receiver<EngineEvent>) -> Option<String> {
    loop {
        match feed.recv().await {
            Ok(EngineEvent::Changed(_)) => {}
            Ok(EngineEvent::Trouble(what)) => return Some(what),
            Ok(EngineEvent::Ended { .. } | EngineEvent::Look) | Err(RecvError::Lagged(_)) => return None,
            // The engine is gone, so nothing more will happen.
            Err(RecvError::Closed) => return None,
        }
    }
}

/// Prints a job that has ended: for users, for scripts, or as JSON.
pub(crate) fn print_ended(cx: &Context, store: &Store, job: &JobRow) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(&job_view(store, job, None)?);
    }
    let document = document_of(store, job)?;
    if !cx.out().is_terminal() {
        return cx.out().line(plain_line(job, document.as_ref()));
    }
    let (out, name) = (cx.out(), job.pipeline.as_str());
    let width = out.columns().unwrap_or(usize::MAX);
    let names = name_columns(store)?.min(width / 3);
    let (state, how) = (state_of(job), how_it_ended(document.as_ref()));
    let start = format!("  {name:<names$}  {state:<11}  ");
    if columns(&start) + NAMES.start() <= width {
        return out.branch(&start, &" ".repeat(columns(&start)), &how);
    }
    // A long name is not cut; it gets its own line.
    out.line(format!("  {name}"))?;
    out.branch("    ", "    ", &format!("{state:<11}  {how}"))
}

fn state_of(job: &JobRow) -> &'static str {
    job.sealed.map_or("open", end_word)
}

fn seconds(document: &JobDocument) -> f64 {
    document.finished_at.seconds_since(document.started_at.unwrap_or(document.finished_at))
}

/// `2026-07-01T12:14:43Z 6e0b2f17 validate success run=50000 cached=2063502 failed=0 41.2s`
fn plain_line(job: &JobRow, document: Option<&JobDocument>) -> String {
    let at = job.sealed_at.unwrap_or(job.created_at).to_string();
    let at = at.split_once('.').map_or_else(|| at.clone(), |(seconds, _)| format!("{seconds}Z"));
    let start = format!("{at} {} {} {}", job.run.short(8), job.pipeline, state_of(job));
    match document {
        Some(document) if document.started_at.is_some() => format!(
            "{start} run={} cached={} failed={}{} {:.1}s",
            document.datums_processed,
            document.datums_cached,
            document.datums_failed,
            recovered_word(document),
            seconds(document)
        ),
        Some(JobDocument { reason: Some(reason), .. }) => format!("{start} {reason}"),
        _ => start,
    }
}

/// `  1 failed  2 recovered`: the counts above zero.
fn also(parts: &[(u64, &str)]) -> String {
    let there = parts.iter().filter(|(number, _)| *number > 0);
    there.fold(String::new(), |text, (number, word)| text + "  " + &count(*number) + " " + word)
}

/// ` recovered=2`, if there are any: rare, and scripts expect the line without it.
fn recovered_word(document: &JobDocument) -> String {
    let recovered = document.datums_recovered;
    if recovered > 0 { format!(" recovered={recovered}") } else { String::new() }
}

fn cause_line(run: &RunRow) -> String {
    let author = run.cause.author.as_deref().unwrap_or_default();
    format!("{}  {} {}  {author}", run.run.short(8), run.cause.kind.word(), run.cause.refs.join(" "))
}

/// `50,000 run  2,063,502 cached  1 failed  41.2 s`, or why there are no counts.
fn how_it_ended(document: Option<&JobDocument>) -> String {
    match document {
        Some(document) if document.started_at.is_some() => {
            let also = also(&[(document.datums_failed, "failed"), (document.datums_recovered, "recovered")]);
            format!(
                "{} run  {} cached{also}  {:.1} s",
                count(document.datums_processed),
                count(document.datums_cached),
                seconds(document)
            )
        }
        Some(JobDocument { reason: Some(reason), .. }) => reason.clone(),
        _ => String::new(),
    }
}
