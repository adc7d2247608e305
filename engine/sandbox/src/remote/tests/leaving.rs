//! Workers that end, and others that go on.

use super::*;
use crate::task::Exit;

#[tokio::test]
async fn a_worker_that_goes_lets_its_try_end() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let remote = Remote::join(&network, "gpu1", 2, executor).await;
    let mut slots = Workers::slots(&network.workers);
    let (mut sandbox, mut idle) = (open(&network.workers).await, open(&network.workers).await);
    let (files, mut record, one) = (Files::default(), Record::default(), task(&["x"], &[]));
    let running = sandbox.run(&one, &files, &mut record);
    let (stop, news) = (remote.stop, remote.news);
    let going = async {
        begun.notified().await;
        stop.send(()).unwrap();
        slots.wait_for(|slots| *slots == 0).await.unwrap();
        assert!(network.workers.list()[0].is_going);
        let error = idle.run(&one, &files, &mut Record::default()).await.unwrap_err();
        assert!(matches!(&error, ExecError::WorkerLost { worker, .. } if worker == "gpu1"), "{error}");
        assert!(idle.spent_by().is_some());
        tell.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(running, going);
    assert_eq!((outcome.unwrap().exit, record.log.as_slice()), (Exit::Code(0), &b"x"[..]));
    idle.close().await.unwrap();
    sandbox.close().await.unwrap();
    remote.work.await.unwrap().unwrap();
    assert!(network.workers.list().is_empty(), "it said that it left");
    assert_eq!(*news.lock().unwrap(), [WorkerNews::Joined { name: "gpu1".to_owned() }, WorkerNews::Going]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_goes_waits_no_longer_than_it_may() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let remote = Remote::join(&network, "gpu1", 1, executor).await;
    let mut sandbox = open(&network.workers).await;
    let (files, mut record, one) = (Files::default(), Record::default(), task(&["x"], &[]));
    let running = sandbox.run(&one, &files, &mut record);
    let going = async {
        begun.notified().await;
        remote.stop.send(()).unwrap();
        let begun = tokio::time::Instant::now();
        remote.work.await.unwrap().unwrap();
        begun.elapsed()
    };
    let (outcome, waited) = tokio::join!(running, going);
    assert!(matches!(outcome, Err(ExecError::WorkerLost { .. })), "{outcome:?}");
    assert!((15..=17).contains(&waited.as_secs()), "{waited:?}");
    tell.send(()).unwrap();
}

#[tokio::test]
async fn another_worker_takes_over() {
    let network = Network::new();
    let one = Remote::join(&network, "one", 1, ScriptedExecutor::new(copies)).await;
    let sandbox = open(&network.workers).await;
    one.stop.send(()).unwrap();
    one.work.await.unwrap().unwrap();
    assert!(sandbox.spent_by().is_some());
    sandbox.close().await.unwrap();
    let opening = open(&network.workers);
    let joining = Remote::join(&network, "other", 1, ScriptedExecutor::new(copies));
    let (mut sandbox, _other) = tokio::join!(opening, joining);
    assert_eq!(sandbox.worker(), Some("other"));
    let mut record = Record::default();
    sandbox.run(&task(&["y"], &[]), &Files::default(), &mut record).await.unwrap();
    assert_eq!(record.log, b"y");
}

/// An engine that never takes anybody.
struct Never;
#[async_trait]
impl Dial for Never {
    async fn dial(&self) -> Result<Link, DialError> {
        Err(DialError::Never("the token does not count".to_owned()))
    }
}

#[tokio::test]
async fn a_worker_ends_if_it_is_refused_for_good() {
    let (network, cache) = (Network::new(), tempfile::tempdir().unwrap());
    let executor = || Arc::new(ScriptedExecutor::new(copies));
    for (name, slots, word) in [("no name", 1, "--name"), ("gpu1", 0, "--slots")] {
        let options = options(name, slots, cache.path());
        let error = work(&network, executor(), &options, std::future::pending()).await.unwrap_err();
        assert!(matches!(&error, ExecError::JoinRefused { why } if why.contains(word)), "{error}");
    }
    let options = options("gpu1", 1, cache.path());
    let error = work(&Never, executor(), &options, std::future::pending()).await.unwrap_err();
    assert_eq!(error.to_string(), "the engine refuses this worker: the token does not count");
}
