//! Machines that join, go and vanish, and have only so many sandboxes: as the engine sees them, without a connection.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use repos::documents::ExecutorKind;
use repos::journal::SealedState;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::failures::setting;
use super::flow::UPPER;
use super::living::until;
use super::setting::{Setting, copy};
use answers::datum::DatumState;
use answers::job::{job_view, live_job};
use answers::pipeline::{PipelineState, pipeline_view};
use engine::inputs::WaitsFor;
use engine::live::{JobState, LiveJob};
use engine::{Engine, Selection};
use sandbox::scripted::{Call, Reply, ScriptedExecutor};
use sandbox::{ExecError, Executor, ExecutorInfo, FileSource, Image, OnPull, Sandbox, SandboxSpec};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(1);

type Script = Arc<dyn Fn(Call) -> Reply + Send + Sync>;

/// A worker `gpu-1` that says how many tries it runs, and has only so many sandboxes.
#[derive(Clone)]
struct Bounded {
    script: Script,
    slots: Arc<watch::Sender<usize>>,
    rooms: Arc<Semaphore>,
}

impl Bounded {
    fn new(slots: usize, rooms: usize, script: impl Fn(Call) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            slots: Arc::new(watch::Sender::new(slots)),
            rooms: Arc::new(Semaphore::new(rooms)),
        }
    }

    async fn engine(&self, s: &Setting) -> Engine {
        Engine::new(s.store.clone(), s.by.clone(), Arc::new(self.clone()), 7).await.unwrap()
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").finish_non_exhaustive()
    }
}

#[async_trait]
impl Executor for Bounded {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Workers
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        Ok(ExecutorInfo {
            kind: ExecutorKind::Workers,
            version: "1 worker".to_owned(),
            host: String::new(),
            platform: ("linux".to_owned(), "x86_64".to_owned()),
        })
    }

    async fn resolve_image(&self, _: &str, _: OnPull<'_>) -> Result<Image, ExecError> {
        Err(ExecError::Unsuited { executor: ExecutorKind::Workers, why: "has no images" })
    }

    async fn has_content_at(&self, _: &str, _: &str) -> Result<bool, ExecError> {
        Ok(false)
    }

    fn slots(&self) -> Option<watch::Receiver<usize>> {
        Some(self.slots.subscribe())
    }

    fn is_full(&self) -> bool {
        self.rooms.available_permits() == 0
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        let room = self.rooms.clone().acquire_owned().await.unwrap();
        let script = self.script.clone();
        // The room is free again when the sandbox is closed, and with it this function dropped.
        let scripted = ScriptedExecutor::new(move |call| {
            assert_eq!(room.num_permits(), 1);
            script(call)
        });
        scripted.on_worker("gpu-1").open(spec, files).await
    }

    async fn clean_up(&self, _: &BTreeSet<String>) -> Result<(), ExecError> {
        Ok(())
    }
}

/// The only open job of an engine.
fn only_job(engine: &Engine) -> Option<LiveJob> {
    engine.live().all().into_values().next()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datum_whose_worker_vanishes_begins_again_and_its_tries_are_untouched() {
    let s = setting("", "");
    s.put("images", [("/a", Some("a"))]);
    let calls = AtomicU32::new(0);
    let worker = Bounded::new(1, 1, move |call| {
        let is_lost = calls.fetch_add(1, Ordering::SeqCst) < 5;
        if is_lost { Reply { is_lost, ..Reply::default() } } else { copy(call) }
    });
    worker.engine(&s).await.run(Selection::All).await.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [1, 1, 0, 0, 0]));
    let datum = s.datum(DatumState::Success);
    assert_eq!((datum.tries, datum.try_details[0].worker.as_deref()), (1, Some("gpu-1")));
    let stamp = datum.executed_on.unwrap();
    assert_eq!(stamp.on(Some("gpu-1")), "workers on gpu-1", "what had joined when the engine started is not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datum_whose_worker_vanishes_too_often_fails_and_says_so() {
    let s = setting("", ", datum_tries: 2");
    s.put("images", [("/a", Some("a"))]);
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let worker = Bounded::new(1, 1, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Reply { is_lost: true, ..Reply::default() }
    });
    worker.engine(&s).await.run(Selection::All).await.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Failure, [1, 0, 0, 1, 0]));
    assert_eq!(s.why(), "1 of 1 datums failed", "the job goes on");
    let datum = s.datum(DatumState::Failed);
    assert_eq!((datum.tries, calls.load(Ordering::SeqCst)), (1, 6));
    assert_eq!(
        datum.reason.as_deref(),
        Some(
            "it was begun 6 times, and each time its worker was lost; the last was `gpu-1`: it ended without a message"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_until_a_worker_joins_and_says_so() {
    let s = setting("", "");
    s.put("images", [("/a", Some("a")), ("/b", Some("b"))]);
    let worker = Bounded::new(0, 2, copy);
    let engine = worker.engine(&s).await;
    assert_eq!(engine.limit(), 0, "and not what the engine was given");
    let joins = async {
        until(&engine, || only_job(&engine).is_some_and(|job| job.waits_for == Some(WaitsFor::Worker))).await;
        let job = s.job("upper");
        let view = job_view(&s.store, &job, live_job(Some(engine.live()), &job).as_ref()).unwrap();
        let reason = "no worker has joined: pv worker join URL";
        assert_eq!((view.state, view.reason.as_deref()), (JobState::Waiting, Some(reason)));
        let view = pipeline_view(&s.store, &"upper".parse().unwrap(), Some(engine.live())).unwrap();
        assert_eq!((view.state, view.reason.as_deref()), (PipelineState::Pending, Some(reason)));
        worker.slots.send_replace(2);
    };
    let (ran, ()) = timeout(LONG, async { tokio::join!(engine.run(Selection::All), joins) }).await.unwrap();
    ran.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [2, 2, 0, 0, 0]));
    assert_eq!(engine.limit(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_worker_goes_its_datum_ends_and_no_other_begins() {
    let s = setting("", "");
    s.put("images", [("/a", Some("a")), ("/b", Some("b"))]);
    let (started, starts) = channel();
    let (let_go, gate) = channel::<()>();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let worker = Bounded::new(1, 1, move |call| {
        started.lock().unwrap().send(()).ok();
        gate.lock().unwrap().recv().ok();
        copy(call)
    });
    let engine = worker.engine(&s).await;
    let goes = async {
        until(&engine, || only_job(&engine).is_some_and(|job| job.running.len() == 1)).await;
        tokio::task::block_in_place(|| starts.recv().unwrap());
        worker.slots.send_replace(0);
        until(&engine, || only_job(&engine).is_some_and(|job| job.waits_for == Some(WaitsFor::Worker))).await;
        let_go.send(()).unwrap();
        until(&engine, || only_job(&engine).is_some_and(|job| job.counts.processed == 1)).await;
        assert!(starts.try_recv().is_err(), "the other datum waits");
        drop(let_go);
        worker.slots.send_replace(1);
    };
    let (ran, ()) = timeout(LONG, async { tokio::join!(engine.run(Selection::All), goes) }).await.unwrap();
    ran.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [2, 2, 0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_workers_join_a_running_job_uses_them() {
    let s = setting("", "");
    s.put("images", [("/a", Some("a")), ("/b", Some("b")), ("/c", Some("c"))]);
    let (let_go, gate) = channel::<()>();
    let gate = Mutex::new(Some(gate));
    let at_once = Arc::new(AtomicU32::new(0));
    let counted = at_once.clone();
    let worker = Bounded::new(1, 3, move |call| {
        counted.fetch_add(1, Ordering::SeqCst);
        let first = gate.lock().unwrap().take();
        if let Some(gate) = first {
            gate.recv().ok();
        }
        copy(call)
    });
    let engine = worker.engine(&s).await;
    let joins = async {
        until(&engine, || only_job(&engine).is_some_and(|job| job.running.len() == 1)).await;
        worker.slots.send_replace(3);
        until(&engine, || only_job(&engine).is_some_and(|job| job.counts.processed == 2)).await;
        assert_eq!(at_once.load(Ordering::SeqCst), 3, "the first still runs");
        let_go.send(()).unwrap();
    };
    let (ran, ()) = timeout(LONG, async { tokio::join!(engine.run(Selection::All), joins) }).await.unwrap();
    ran.unwrap();
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [3, 3, 0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_sandbox_is_closed_for_a_pipeline_that_has_none() {
    let s = Setting::new();
    let lower = UPPER.replace("upper", "lower").replace("images", "upper");
    s.repo("images").pipeline(UPPER).pipeline(&lower);
    s.put("images", [("/a", Some("a"))]);
    let engine = Bounded::new(1, 1, copy).engine(&s).await;
    timeout(LONG, engine.run(Selection::All)).await.expect("there is only one sandbox").unwrap();
    assert_eq!(s.files("lower")["/a"], "a|upper|lower");
}
