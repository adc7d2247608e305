//! Long-running engines, and how jobs share their slots.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use repos::journal::SealedState;
use tokio::sync::broadcast::error::RecvError;

use super::setting::{Setting, copy};
use engine::live::{EngineEvent, JobKey};
use engine::{Engine, Phase};
use sandbox::scripted::Call;

/// A pipeline of this name that copies the files of `repo`.
fn reader(name: &str, repo: &str) -> String {
    format!(
        "{{pipeline: {{name: {name}}}, transform: {{cmd: [{name}], image: 'x:1'}}, input: {{pfs: {{repo: {repo}, glob: '/*'}}}}}}"
    )
}

fn put_many(s: &Setting, repo: &str, count: usize) {
    let files: Vec<(String, String)> = (0..count).map(|n| (format!("/{n:04}"), format!("{repo} {n}"))).collect();
    s.put(repo, files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))));
}

fn key(s: &Setting, pipeline: &str) -> JobKey {
    let job = s.job(pipeline);
    JobKey { order: job.order, pipeline: job.pipeline }
}

/// Waits until `is_so`, which is checked after every event.
pub(super) async fn until(engine: &Engine, mut is_so: impl FnMut() -> bool) {
    let mut feed = engine.live().listen();
    while !is_so() {
        match feed.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => panic!("the engine is gone"),
        }
    }
}

/// A command that reports its start and ends when it is released.
fn gated() -> (impl Fn(&Call) + Send + Sync + 'static, Receiver<String>, Sender<()>) {
    let (started, starts) = channel();
    let (let_go, gate) = channel::<()>();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let wait = move |call: &Call| {
        started.lock().unwrap().send(call.cmd[0].clone()).ok();
        gate.lock().unwrap().recv().ok();
    };
    (wait, starts, let_go)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_many_datums_does_not_starve_one_of_three() {
    let s = Setting::new();
    s.repo("many").repo("few").pipeline(&reader("large", "many")).pipeline(&reader("small", "few"));
    put_many(&s, "many", 300);
    put_many(&s, "few", 3);
    let order = Arc::new(Mutex::new(Vec::new()));
    let (wait, starts, let_go) = gated();
    let calls = order.clone();
    let engine = s
        .engine(move |call| {
            calls.lock().unwrap().push(call.cmd[0].clone());
            // The first two calls hold all slots until both jobs are queued.
            if calls.lock().unwrap().len() <= 2 {
                wait(&call);
            }
            copy(call)
        })
        .await;
    let engine = Arc::new(engine);
    let (large, small) = (key(&s, "large"), key(&s, "small"));
    let mut running = tokio::task::JoinSet::new();
    let runs = engine.clone();
    running.spawn(async move { runs.run(engine::Selection::All).await });
    let live = |job: &JobKey| engine.live().job(job).map_or(0, |live| live.counts.total);
    until(&engine, || live(&large) == 300 && live(&small) == 3).await;
    drop((starts, let_go));
    running.join_next().await.unwrap().unwrap().unwrap();
    let order = order.lock().unwrap();
    let last_small = order.iter().rposition(|name| name == "small").unwrap();
    let large_before = order[..last_small].iter().filter(|name| *name == "large").count();
    assert!(large_before <= 30, "{large_before} datums of the large job ran before the third of the small one");
    assert_eq!((s.state("large"), s.state("small")), (SealedState::Success, SealedState::Success));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_lives_on_runs_what_comes_until_it_is_told_to_end() {
    let s = Setting::new();
    s.repo("images").pipeline(&reader("upper", "images")).pipeline(&reader("lower", "upper"));
    let engine = Arc::new(s.engine(copy).await);
    let mut serving = tokio::task::JoinSet::new();
    let serves = engine.clone();
    serving.spawn(async move { serves.serve().await });
    for content in ["1", "2"] {
        s.put("images", [("/a", Some(content))]);
        engine.look_again();
        until(&engine, || s.job("lower").sealed.is_some()).await;
        assert_eq!(s.files("lower")["/a"], format!("{content}|upper|lower"));
    }
    engine.drain();
    serving.join_next().await.unwrap().unwrap().unwrap();
    assert!(engine.phase() == Phase::Ended);
    assert!(!engine.want(engine::Selection::All), "it starts nothing more");
}

#[tokio::test(flavor = "multi_thread")]
async fn winding_down_lets_running_datums_finish_and_starts_no_other() {
    let s = Setting::new();
    s.repo("images").pipeline(&reader("upper", "images"));
    put_many(&s, "images", 20);
    let (wait, starts, let_go) = gated();
    let engine = Arc::new(
        s.engine(move |call| {
            wait(&call);
            copy(call)
        })
        .await,
    );
    let mut serving = tokio::task::JoinSet::new();
    let serves = engine.clone();
    serving.spawn(async move { serves.serve().await });
    tokio::task::block_in_place(|| (starts.recv().unwrap(), starts.recv().unwrap()));
    let mut feed = engine.live().listen();
    engine.drain();
    // Waiting listeners are notified.
    while !matches!(feed.recv().await, Ok(EngineEvent::Look)) {}
    drop(let_go);
    serving.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(s.seen("upper").len(), 2, "two ran, and no other began");
    assert_eq!(s.job("upper").sealed, None, "the rest is left");
    s.run().await;
    assert_eq!(s.seen("upper").len(), 18, "what had finished is not run again");
    assert_eq!(s.files("upper").len(), 20);
}
