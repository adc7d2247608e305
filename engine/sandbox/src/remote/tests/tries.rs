//! Tries at workers, as they would be here.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use repos::documents::ExecutorKind;
use tokio::time::timeout;

use super::super::Workers;
use super::*;
use crate::executor::ExecutorInfo;
use crate::executor::OnPull;
use crate::image::Image;
use crate::task::{Console, Exit};

#[tokio::test]
async fn a_try_gives_its_log_and_output() {
    let network = Network::new();
    let _remote = Remote::join(&network, "gpu1", 2, ScriptedExecutor::new(copies)).await;
    let mut files = Files::default();
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number >> 3) as u8).collect();
    let inputs = [files.add("in/a", "a"), files.add("in/b", large.clone()), files.add("in/empty", "")];
    let mut sandbox = network.workers.open(&SandboxSpec::default(), &files).await.unwrap();
    assert_eq!((sandbox.worker(), sandbox.is_clean()), (Some("gpu1"), true));
    for _ in 0..3 {
        let mut record = Record::default();
        let outcome = sandbox.run(&task(&["cat", "in"], &inputs), &files, &mut record).await.unwrap();
        assert_eq!((outcome.exit, record.log.as_slice()), (Exit::Code(0), &b"cat in"[..]));
        let expected = [("/in/a", b"a".to_vec()), ("/in/b", large.clone()), ("/in/empty", Vec::new())];
        assert!(record.files == expected.map(|(path, bytes)| (path.to_owned(), bytes)), "as they went");
    }
    assert_eq!(files.read_bytes(&inputs[1]), large.len() as u64, "it was fetched once");
    let state = &network.workers.list()[0];
    assert_eq!((state.token.as_str(), state.slots, state.sandboxes, state.is_going), ("token", 2, 1, false));
    sandbox.close().await.unwrap();
    assert_eq!(network.workers.list()[0].sandboxes, 0);
}

#[tokio::test]
async fn code_is_fetched_while_the_sandbox_opens() {
    let network = Network::new();
    let _remote = Remote::join(&network, "gpu1", 1, ScriptedExecutor::new(copies)).await;
    let mut files = Files::default();
    let spec = SandboxSpec { code: vec![files.add("tool", "tool")], ..SandboxSpec::default() };
    network.workers.open(&spec, &files).await.unwrap().close().await.unwrap();
    assert_eq!(files.read_bytes(&spec.code[0]), 4);
}

#[tokio::test]
async fn the_next_try_is_sent_while_one_runs() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let _remote = Remote::join(&network, "gpu1", 1, executor).await;
    let mut files = Files::default();
    let (one, other) = (files.add("in/one", "one"), files.add("in/other", "other"));
    let (first, second) = (task(&["first"], &[one]), task(&["second"], std::slice::from_ref(&other)));
    let mut sandbox = open(&network.workers).await;
    let (mut record, next) = (Record::default(), second.clone());
    let running = sandbox.run_before(&first, &files, &mut record, std::future::ready(Some(next)));
    let staging = async {
        begun.notified().await;
        until(|| files.read_bytes(&other) == 5).await;
        tell.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(running, staging);
    assert_eq!((outcome.unwrap().exit, record.log.as_slice()), (Exit::Code(0), &b"first"[..]));
    assert!(!sandbox.is_clean() && sandbox.spent_by().is_none(), "a try was announced");
    tell.send(()).unwrap();
    let mut record = Record::default();
    sandbox.run_before(&second, &files, &mut record, std::future::ready(None)).await.unwrap();
    assert_eq!((record.log.as_slice(), files.read_bytes(&other)), (&b"second"[..], 5));
    assert!(sandbox.is_clean());
}

#[tokio::test]
async fn a_free_slot_comes_to_who_still_waits_for_one() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let _remote = Remote::join(&network, "gpu1", 1, executor).await;
    let (files, task, mut record) = (Files::default(), task(&["x"], &[]), Record::default());
    let mut busy = open(&network.workers).await;
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(open(&network.workers))).collect();
    let begins_to_wait = async {
        begun.notified().await;
        for wait in &mut waits {
            assert!(wait.now_or_never().is_none(), "the only slot is in use");
        }
        tell.send(()).unwrap();
    };
    let (ended, ()) = tokio::join!(busy.run(&task, &files, &mut record), begins_to_wait);
    ended.unwrap();
    drop(waits.remove(0));
    for wait in waits {
        timeout(Duration::from_secs(10), wait).await.expect("the slot is free");
    }
}

#[tokio::test]
async fn a_lost_sandbox_is_told_with_its_worker() {
    let network = Network::new();
    let lost = |_| Reply { is_lost: true, ..Reply::default() };
    let _remote = Remote::join(&network, "gpu1", 1, ScriptedExecutor::new(lost)).await;
    let mut sandbox = open(&network.workers).await;
    let error = sandbox.run(&task(&["x"], &[]), &Files::default(), &mut Record::default()).await.unwrap_err();
    assert!(matches!(&error, ExecError::SandboxLost { why } if why.contains("gpu1")), "{error}");
    assert!(sandbox.spent_by().is_some());
    sandbox.close().await.unwrap();
    open(&network.workers).await;
}

#[tokio::test]
async fn a_try_that_was_dropped_spends_its_sandbox() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let _remote = Remote::join(&network, "gpu1", 1, executor).await;
    let mut sandbox = open(&network.workers).await;
    {
        let (files, mut record, task) = (Files::default(), Record::default(), task(&["x"], &[]));
        let running = sandbox.run(&task, &files, &mut record);
        tokio::select! {
            _ = running => panic!("it cannot end yet"),
            () = begun.notified() => {}
        }
    }
    assert!(sandbox.run(&task(&["y"], &[]), &Files::default(), &mut Record::default()).await.is_err());
    tell.send(()).unwrap();
    sandbox.close().await.unwrap();
    assert_eq!(network.workers.list()[0].sandboxes, 0);
}

#[tokio::test]
async fn a_worker_takes_as_many_tries_as_it_has_slots() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let _remote = Remote::join(&network, "gpu1", 1, executor).await;
    // Idle sandboxes keep nobody from a slot.
    let (mut one, files) = (open(&network.workers).await, Files::default());
    tell.send(()).unwrap();
    one.run(&task(&["x"], &[]), &files, &mut Record::default()).await.unwrap();
    begun.notified().await;
    let mut other = open(&network.workers).await;
    assert!(network.workers.is_full());
    tell.send(()).unwrap();
    other.run(&task(&["x"], &[]), &files, &mut Record::default()).await.unwrap();
    begun.notified().await;
    let (first, second, mut one_record, mut other_record) =
        (task(&["1"], &[]), task(&["2"], &[]), Record::default(), Record::default());
    let running = one.run(&first, &files, &mut one_record);
    let waiting = other.run(&second, &files, &mut other_record);
    let (mut running, mut waiting) = (std::pin::pin!(running), std::pin::pin!(waiting));
    tokio::select! {
        _ = &mut running => panic!("it was not told"),
        () = begun.notified() => {}
    }
    tokio::select! {
        _ = &mut waiting => panic!("it was not told"),
        () = begun.notified() => panic!("there is one slot"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    tell.send(()).unwrap();
    running.await.unwrap();
    tell.send(()).unwrap();
    waiting.await.unwrap();
}

/// An executor that is not the scripted one's kind, and answers questions.
#[derive(Debug)]
struct Docker;

#[async_trait]
impl Executor for Docker {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Docker
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        let info = ScriptedExecutor::new(copies).check().await?;
        Ok(ExecutorInfo { kind: ExecutorKind::Docker, ..info })
    }

    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        let status = "Downloading".to_owned();
        on_pull(crate::image::PullProgress { layer: "a".to_owned(), status, current_bytes: 1, total_bytes: 2 });
        if reference == "none" {
            return Err(ExecError::ImageNotFound { reference: reference.to_owned(), why: "no such image".to_owned() });
        }
        let (id, config) = ("sha256:1".to_owned(), crate::image::ImageConfig::default());
        Ok(Image { reference: reference.to_owned(), id, registry_digest: None, config })
    }

    async fn has_content_at(&self, _: &str, path: &str) -> Result<bool, ExecError> {
        Ok(path == "/app")
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        ScriptedExecutor::new(copies).open(spec, files).await
    }

    async fn clean_up(&self, _: &BTreeSet<String>) -> Result<(), ExecError> {
        Ok(())
    }
}

#[tokio::test]
async fn questions_about_images_go_to_a_worker_with_docker() {
    let network = Network::new();
    let workers = &network.workers;
    let _process = Remote::join(&network, "process", 1, ScriptedExecutor::new(copies)).await;
    let error = workers.resolve_image("busybox", &|_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "no worker with docker has joined");
    assert!(error.hint().unwrap().contains("pv worker join URL --executor docker"));
    let _docker = Remote::join(&network, "docker", 1, Docker).await;
    let pulls = Mutex::new(0);
    let image = workers.resolve_image("busybox", &|_| *pulls.lock().unwrap() += 1).await.unwrap();
    assert_eq!((image.reference.as_str(), *pulls.lock().unwrap()), ("busybox", 1));
    let error = workers.resolve_image("none", &|_| {}).await.unwrap_err();
    assert!(matches!(&error, ExecError::ImageNotFound { reference, .. } if reference == "none"), "{error}");
    assert!(workers.has_content_at("sha256:1", "/app").await.unwrap());
    assert!(!workers.has_content_at("sha256:1", "/").await.unwrap());
    let spec = SandboxSpec { image: Some("sha256:1".to_owned()), ..SandboxSpec::default() };
    let with_image = workers.open(&spec, &Files::default()).await.unwrap();
    assert_eq!(with_image.worker(), Some("docker"));
    assert_eq!(open(workers).await.worker(), Some("process"));
}

#[tokio::test]
async fn sandboxes_wait_for_a_worker_and_show_nothing_of_its_machine() {
    let network = Network::new();
    assert!(!network.workers.is_full());
    let opening = tokio::spawn({
        let workers = network.workers.clone();
        async move { open(&workers).await }
    });
    let info = network.workers.check().await.unwrap();
    assert_eq!((info.kind, info.version.as_str(), info.host.as_str()), (ExecutorKind::Workers, "0 joined", ""));
    let _remote = Remote::join(&network, "gpu1", 1, ScriptedExecutor::new(copies)).await;
    assert_eq!(opening.await.unwrap().worker(), Some("gpu1"));
    let readable = SandboxSpec { readable: vec!["/etc".into()], ..SandboxSpec::default() };
    let error = network.workers.open(&readable, &Files::default()).await.unwrap_err();
    assert!(matches!(error, ExecError::Unsuited { .. }), "{error}");
}

#[tokio::test]
async fn what_is_typed_reaches_the_sandbox() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let _remote = Remote::join(&network, "gpu1", 1, executor).await;
    let mut sandbox = open(&network.workers).await;
    let (typed, console) = mpsc::channel(1);
    let task = DatumTask { console: Some(Console::new(console)), ..(*task(&["sh"], &[])).clone() };
    let (files, mut record) = (Files::default(), Record::default());
    let running = sandbox.run(&task, &files, &mut record);
    let typing = async {
        begun.notified().await;
        for _ in 0..5 {
            // The channel holds one, so all but the last were taken.
            typed.send(b"line\n".to_vec()).await.unwrap();
        }
        drop(typed);
        tell.send(()).unwrap();
    };
    assert_eq!(tokio::join!(running, typing).0.unwrap().exit, Exit::Code(0));
}

#[tokio::test]
async fn two_workers_of_one_name_get_two() {
    let network = Network::new();
    let _one = Remote::join(&network, "gpu", 1, ScriptedExecutor::new(copies)).await;
    let _other = Remote::join(&network, "gpu", 3, ScriptedExecutor::new(copies)).await;
    let names: Vec<_> = network.workers.list().into_iter().map(|worker| worker.name).collect();
    assert_eq!((names, *Workers::slots(&network.workers).borrow()), (vec!["gpu".to_owned(), "gpu-2".to_owned()], 4));
    let mut opened = Vec::new();
    for _ in 0..4 {
        opened.push(open(&network.workers).await);
    }
    let number = |name| opened.iter().filter(|sandbox| sandbox.worker() == Some(name)).count();
    assert_eq!((number("gpu"), number("gpu-2")), (1, 3), "each gets as many as it has slots");
}
