//! Long work: started by a request, asked for by others. It is kept in memory: a server that ends forgets it, and what it had not finished
//! has not happened. Some of it works on a thread of its own, some waits for the engine; of both only so much runs at a time.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use repos::Timestamp;
use repos::time::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::ErrorKind;
use tokio::sync::watch;
use tracing::Instrument;
use web::views::operations;

use crate::logs;
use crate::problem::{Problem, Result};

/// Most work that runs on threads at the same time.
const RUNNING: usize = 4;
/// Most work that waits for the engine at the same time.
const WAITING: usize = 64;
/// How long finished work is kept.
const KEPT: Duration = Duration::from_hours(24);
/// Most finished work that is kept.
const MOST_KEPT: usize = 1000;

/// Long work.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WorkView {
    /// Its id.
    pub(crate) id: String,
    /// What it does.
    kind: String,
    /// How far it is.
    state: State,
    /// When it was started.
    started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// What it does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Told>,
    /// Its result: what the command of this name prints with `--json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl WorkView {
    /// What it does.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// Its result, or why it failed; `None` while it runs.
    pub(crate) fn outcome(self) -> Option<Result<Value>> {
        match (self.state, self.error) {
            (State::Running, _) => None,
            (_, Some(problem)) => Some(Err(problem)),
            (_, None) => Some(Ok(self.result.unwrap_or_default())),
        }
    }
}

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It runs.
    Running,
    /// It has a result.
    Done,
    /// It failed.
    Failed,
}

/// The progress of long work.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Told {
    /// What is counted.
    what: String,
    /// How many are done.
    done: u64,
    /// How many there are; 0 if that is not known.
    total: u64,
}

/// What work tells of itself while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    told: Arc<Mutex<Option<Told>>>,
    stop: watch::Receiver<bool>,
}

impl Progress {
    /// So many of so many things are done.
    pub(crate) fn tell(&self, what: &str, done: u64, total: u64) {
        *self.told.lock().expect("no panic under this lock") = Some(Told { what: what.to_owned(), done, total });
    }

    /// Becomes true when somebody stops the work.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }
}

/// What work on a thread does: it tells of its progress, and returns its result.
type Run = dyn FnOnce(&Progress) -> Result<Value> + Send;
/// What work that waits does.
type Wait = dyn FnOnce(Progress) -> Pin<Box<dyn Future<Output = Result<Value>> + Send>> + Send;

/// Work to do.
pub(crate) enum Work {
    /// On a thread; it cannot be stopped.
    Thread(Box<Run>),
    /// In the engine, while this waits.
    Waits(Box<Wait>),
}

impl Work {
    pub(crate) fn new(work: impl FnOnce(&Progress) -> Result<Value> + Send + 'static) -> Self {
        Self::Thread(Box::new(work))
    }

    pub(crate) fn waits<F>(work: impl FnOnce(Progress) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        Self::Waits(Box::new(|progress| Box::pin(work(progress))))
    }

    fn may_be_stopped(&self) -> bool {
        matches!(self, Self::Waits(_))
    }

    /// How much of this kind may run.
    fn most(&self) -> usize {
        if self.may_be_stopped() { WAITING } else { RUNNING }
    }
}

/// One piece of work, and who started it: the client, which is one token.
#[derive(Debug)]
struct Known {
    who: String,
    view: WorkView,
    progress: Progress,
    /// Stops it; `None` if it cannot be stopped.
    stop: Option<watch::Sender<bool>>,
}

/// All work of a server.
#[derive(Debug, Clone)]
pub(crate) struct Works {
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    clock: Arc<dyn Clock>,
}

impl Works {
    /// None yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: Arc::default(), clock }
    }

    /// Starts work. `Unavailable` while too much of it runs.
    pub(crate) fn start(&self, kind: &str, who: &str, work: Work) -> Result<WorkView> {
        let mut known = self.known();
        let now = self.clock.now();
        thin_out(&mut known, now);
        let same = |known: &&Known| known.view.state == State::Running && known.stop.is_some() == work.may_be_stopped();
        if known.values().filter(same).count() >= work.most() {
            let detail = format!("{} operations run already", work.most());
            return Err(Problem::new(ErrorKind::Unavailable, detail)
                .hint("try again when one of them has ended")
                .retry_after(10));
        }
        let id = repos::random_hex();
        let view = WorkView {
            id: id.clone(),
            kind: kind.to_owned(),
            state: State::Running,
            started_at: now,
            ended_at: None,
            progress: None,
            result: None,
            error: None,
        };
        let (stop, stopped) = watch::channel(false);
        let progress = Progress { told: Arc::default(), stop: stopped };
        let stop = work.may_be_stopped().then_some(stop);
        known.insert(id.clone(), Known { who: who.to_owned(), view: view.clone(), progress: progress.clone(), stop });
        drop(known);
        self.clone().run(id, work, progress);
        Ok(view)
    }

    /// Does the work. A panic is a failure of this work, not of the server.
    fn run(self, id: String, work: Work, progress: Progress) {
        let stopped = || Err(Problem::new(ErrorKind::Failed, "the operation stopped unexpectedly"));
        match work {
            Work::Thread(work) => {
                tokio::task::spawn_blocking(logs::here(move || {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&progress)));
                    self.end(&id, done.unwrap_or_else(|_| stopped()));
                }));
            }
            Work::Waits(work) => {
                let done = tokio::spawn(work(progress).in_current_span());
                tokio::spawn(async move { self.end(&id, done.await.unwrap_or_else(|_| stopped())) });
            }
        }
    }

    /// Stops work that this somebody started: it ends soon. `None` if there is none.
    ///
    /// `Conflict` if it cannot be stopped, or has ended.
    pub(crate) fn stop(&self, id: &str, who: &str) -> Option<Result<()>> {
        let known = self.known();
        let work = known.get(id).filter(|work| work.who == who)?;
        let refuse = |why: &str| Problem::new(ErrorKind::Conflict, format!("operation `{id}` {why}"));
        Some(match &work.stop {
            _ if work.view.state != State::Running => Err(refuse("has ended")),
            None => Err(refuse("cannot be stopped").hint("wait until it ends")),
            Some(stop) => {
                stop.send_replace(true);
                Ok(())
            }
        })
    }

    fn end(&self, id: &str, done: Result<Value>) {
        let ended_at = Some(self.clock.now());
        let mut known = self.known();
        let Some(Known { view, .. }) = known.get_mut(id) else { return };
        view.ended_at = ended_at;
        match done {
            Ok(result) => (view.state, view.result) = (State::Done, Some(result)),
            Err(problem) => (view.state, view.error) = (State::Failed, Some(problem)),
        }
    }

    /// All work that somebody started, the newest first.
    pub(crate) fn of(&self, who: &str) -> Vec<WorkView> {
        let known = self.known();
        let mut views: Vec<_> = known.values().filter(|work| work.who == who).map(Known::now).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.started_at));
        views
    }

    /// One piece of work, if this is who started it.
    pub(crate) fn find(&self, id: &str, who: &str) -> Option<WorkView> {
        self.known().get(id).filter(|work| work.who == who).map(Known::now)
    }

    /// The same as a page shows it.
    pub(crate) fn seen(&self, who: &str) -> Vec<operations::Work> {
        let known = self.known();
        let mut seen: Vec<_> = known.values().filter(|work| work.who == who).map(Known::seen).collect();
        seen.sort_by_key(|work| std::cmp::Reverse(work.started_at));
        seen
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().expect("no panic under this lock")
    }
}

impl Known {
    fn now(&self) -> WorkView {
        let mut view = self.view.clone();
        if view.state == State::Running {
            view.progress.clone_from(&self.progress.told.lock().expect("no panic under this lock"));
        }
        view
    }
}

impl Known {
    fn seen(&self) -> operations::Work {
        let WorkView { id, kind, state, started_at, ended_at, progress, result, error } = self.now();
        operations::Work {
            id,
            kind,
            state: match state {
                State::Running => "running",
                State::Done => "done",
                State::Failed => "failed",
            },
            started_at,
            ended_at,
            progress: progress.map(|Told { what, done, total }| operations::Progress { what, done, total }),
            result,
            why: error.map(super::problem::Problem::in_sentences).unwrap_or_default(),
            can_be_stopped: self.stop.is_some() && state == State::Running,
        }
    }
}

/// Forgets work that ended long ago, and the oldest beyond a bound.
fn thin_out(known: &mut BTreeMap<String, Known>, now: Timestamp) {
    let kept = KEPT.as_secs_f64();
    known.retain(|_, work| work.view.ended_at.is_none_or(|ended| now.seconds_since(ended) < kept));
    while known.len() > MOST_KEPT {
        let ended = known.iter().filter_map(|(id, work)| Some((work.view.ended_at?, id.clone())));
        let Some((_, oldest)) = ended.min() else { return };
        known.remove(&oldest);
    }
}
