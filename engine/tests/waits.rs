//! Waits of minutes and hours, in virtual time: on a single-threaded runtime the clock advances as soon as every task waits.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use repos::documents::ExecutorKind;
use repos::journal::SealedState;
use tokio::time::Instant;

use super::failures::{setting, spec};
use super::setting::{Setting, copy};
use answers::datum::DatumState;
use engine::{Engine, Selection};
use sandbox::scripted::{Reply, ScriptedExecutor};
use sandbox::{ExecError, Executor, ExecutorInfo, FileSource, Image, OnPull, Sandbox, SandboxSpec};

#[tokio::test(start_paused = true)]
async fn a_lost_sandbox_is_replaced_a_bounded_number_of_times() {
    let s = setting("", "");
    s.put("images", [("/a", Some("a"))]);
    let calls = AtomicU32::new(0);
    s.run_with(move |call| {
        let is_lost = calls.fetch_add(1, Ordering::SeqCst) < 2;
        if is_lost { Reply { is_lost, ..Reply::default() } } else { copy(call) }
    })
    .await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [1, 1, 0, 0, 0]));
    assert_eq!(s.datum(DatumState::Success).tries, 1, "it was not the datum's fault");
    assert_eq!(s.seen("upper").len(), 3);

    s.put("images", [("/b", Some("b"))]);
    s.run_with(|_| Reply { is_lost: true, ..Reply::default() }).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Failure, [2, 0, 1, 0, 0]));
    assert_eq!(s.why(), "the sandbox was lost: it ended without a message");
    assert_eq!(s.seen("upper").len(), 3);

    s.put("images", [("/c", Some("c"))]);
    s.run().await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [3, 2, 1, 0, 0]), "the next job is good");
}

/// Commands that copy, in an executor that loses its first sandbox and then does not answer for a while.
#[derive(Debug)]
struct Away {
    scripted: ScriptedExecutor,
    lost_at: Arc<Mutex<Option<Instant>>>,
    lasts: Duration,
}

impl Away {
    fn new(lasts: Duration) -> Self {
        let lost_at: Arc<Mutex<Option<Instant>>> = Arc::default();
        let lost = lost_at.clone();
        let scripted = ScriptedExecutor::new(move |call| {
            let is_lost = lost.lock().unwrap().is_none();
            if is_lost {
                *lost.lock().unwrap() = Some(Instant::now());
            }
            if is_lost { Reply { is_lost, ..Reply::default() } } else { copy(call) }
        });
        Self { scripted, lost_at, lasts }
    }
}

#[async_trait]
impl Executor for Away {
    fn kind(&self) -> ExecutorKind {
        self.scripted.kind()
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        let lost_at = *self.lost_at.lock().unwrap();
        match lost_at {
            Some(since) if since.elapsed() < self.lasts => Err(ExecError::NotAnswering {
                executor: self.kind(),
                address: "test".to_owned(),
                source: "it is restarted".into(),
            }),
            _ => self.scripted.check().await,
        }
    }

    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        self.scripted.resolve_image(reference, on_pull).await
    }

    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError> {
        self.scripted.has_content_at(image, path).await
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        self.scripted.open(spec, files).await
    }

    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError> {
        self.scripted.clean_up(alive).await
    }
}

/// Runs one datum; its executor is lost once, and then unavailable for this long.
async fn run_while_away(lasts: Duration) -> (Setting, engine::Result<()>) {
    let s = setting("", "");
    s.put("images", [("/a", Some("a"))]);
    let engine = Engine::new(s.store.clone(), s.by.clone(), Arc::new(Away::new(lasts)), 2).await.unwrap();
    let done = engine.run(Selection::All).await;
    (s, done)
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_comes_back_within_ten_minutes_is_waited_for() {
    let (s, done) = run_while_away(Duration::from_mins(9)).await;
    done.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [1, 1, 0, 0, 0]));
    assert_eq!(s.datum(DatumState::Success).tries, 1, "it was not the datum's fault");
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_stays_away_fails_the_job_and_the_next_one_is_good() {
    let (s, done) = run_while_away(Duration::from_hours(1)).await;
    done.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Failure, [1, 0, 0, 0, 0]), "no datum failed");
    assert_eq!(s.why(), "the process executor does not answer at `test`: it is restarted");
    s.put("images", [("/b", Some("b"))]);
    s.run().await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [2, 2, 0, 0, 0]));
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_killed_and_keeps_what_is_done() {
    // Time jumps only once: a script runs on its own thread, for which the virtual clock does not wait.
    let s = setting("", ", job_timeout: 6h");
    s.put("images", [("/a", Some("a")), ("/b", Some("b"))]);
    let (let_go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let engine = s
        .engine(move |call| {
            if call.inputs.contains_key("images/b") {
                gate.lock().unwrap().recv().ok();
            }
            copy(call)
        })
        .await;
    let jump = async {
        super::living::until(&engine, || engine.live().all().values().any(|job| job.counts.processed == 1)).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_hours(6)).await;
        tokio::time::resume();
        drop(let_go);
    };
    let (ran, ()) = tokio::join!(engine.run(Selection::All), jump);
    ran.unwrap();
    assert_eq!(s.state("upper"), SealedState::Killed);
    assert_eq!(s.why(), "it took longer than `job_timeout` allows: 6h");
    s.seen("upper");
    s.pipeline(&spec("", "")).put("images", [("/c", Some("c"))]);
    s.run().await;
    assert_eq!((s.state("upper"), s.counts()[0]), (SealedState::Success, 3));
    assert_eq!(s.seen("upper"), ["images/b", "images/c"], "a finished datum counts");
}
