//! Links that break in the middle, and silence.

use super::*;
use crate::task::Exit;
use proptest::prelude::*;

use super::super::streams::{End, Side, Streams, WINDOW};

#[tokio::test]
async fn a_try_goes_on_after_a_cut() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let remote = Remote::join(&network, "gpu1", 1, executor).await;
    let mut files = Files::default();
    let large: Vec<u8> = (0..9_000_000_u32).map(|number| (number >> 5) as u8).collect();
    let input = files.add("in/large", large.clone());
    let (mut sandbox, mut record) = (open(&network.workers).await, Record::default());
    let task = task(&["copy"], &[input]);
    let running = sandbox.run(&task, &files, &mut record);
    let cutting = async {
        begun.notified().await;
        network.cut();
        until(|| network.links.load(Ordering::Relaxed) == 2).await;
        tell.send(()).unwrap();
        for links in 3..6 {
            // While its output comes.
            tokio::task::yield_now().await;
            network.cut();
            until(|| network.links.load(Ordering::Relaxed) == links).await;
        }
    };
    let (outcome, ()) = tokio::join!(running, cutting);
    assert_eq!((outcome.unwrap().exit, record.log.as_slice()), (Exit::Code(0), &b"copy"[..]));
    assert!(record.files == [("/in/large".to_owned(), large)], "each byte once");
    let lost = remote.news().into_iter().filter(|news| matches!(news, WorkerNews::Lost { .. })).count();
    assert_eq!(lost, 4);
    sandbox.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_given_up_and_joins_anew() {
    let network = Network::new();
    let (executor, tell, begun) = copies_when_told();
    let remote = Remote::join(&network, "gpu1", 2, executor).await;
    let mut slots = Workers::slots(&network.workers);
    let mut sandbox = open(&network.workers).await;
    let (files, mut record, one) = (Files::default(), Record::default(), task(&["x"], &[]));
    let running = sandbox.run(&one, &files, &mut record);
    let failing = async {
        begun.notified().await;
        network.fail();
        tokio::time::Instant::now()
    };
    let (outcome, begun_at) = tokio::join!(running, failing);
    let error = outcome.unwrap_err();
    let ExecError::WorkerLost { worker, why } = &error else { panic!("{error}") };
    assert_eq!((worker.as_str(), why.as_str()), ("gpu1", "nothing was heard of it for 15 s"));
    let waited = begun_at.elapsed();
    assert!((10..=16).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!((*slots.borrow_and_update(), network.workers.list().len()), (0, 0));
    assert!(sandbox.spent_by().is_some());
    sandbox.close().await.unwrap();
    // The sandbox that was lost ends there too, before it joins anew.
    tell.send(()).unwrap();
    network.is_down.store(false, Ordering::Relaxed);
    slots.wait_for(|slots| *slots == 2).await.unwrap();
    assert_eq!(network.workers.list()[0].sandboxes, 0);
    tell.send(()).unwrap();
    let (mut sandbox, mut record) = (open(&network.workers).await, Record::default());
    sandbox.run(&task(&["again"], &[]), &files, &mut record).await.unwrap();
    assert_eq!(record.log, b"again");
    assert!(remote.news().len() >= 3, "{:?}", remote.news());
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stays() {
    let network = Network::new();
    let _remote = Remote::join(&network, "gpu1", 1, ScriptedExecutor::new(copies)).await;
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!((network.workers.list().len(), network.links.load(Ordering::Relaxed)), (1, 1));
}

/// Sends numbered messages of these sizes in both directions, over links that are cut after so many frames each.
async fn exchange(sizes: Vec<usize>, cuts: Vec<usize>) {
    let (engine, _control) = Streams::new(Side::Engine);
    let (worker, _other) = Streams::new(Side::Worker);
    let first = engine.begin(&0_u32).unwrap();
    let linking = async {
        let mut cuts = cuts.into_iter();
        loop {
            let ((ours, one), (other, theirs)) = (pair(), pair());
            let (theirs_have, ours_have) = (worker.have(), engine.have());
            let (at_engine, at_worker) = (engine.attach(&theirs_have), worker.attach(&ours_have));
            tokio::select! {
                _ = engine.carry(ours, at_engine) => {}
                _ = worker.carry(theirs, at_worker) => {}
                () = counted(one, other, cuts.next()) => {}
            }
        }
    };
    let talking = async {
        let second = worker.accept().await.unwrap();
        assert_eq!(second.next::<u32>().await.unwrap().0, 0);
        tokio::join!(
            say_all(&first, &sizes),
            say_all(&second, &sizes),
            hear_all(&first, &sizes),
            hear_all(&second, &sizes)
        );
        tokio::join!(engine.flushed(), worker.flushed());
    };
    tokio::select! {
        () = talking => {}
        () = linking => {}
    }
}

async fn say_all(end: &End, sizes: &[usize]) {
    for (number, size) in sizes.iter().enumerate() {
        end.send(&(number as u32), &vec![number as u8; *size]).await.unwrap();
    }
}

async fn hear_all(end: &End, sizes: &[usize]) {
    for (number, size) in sizes.iter().enumerate() {
        let (heard, bytes) = end.next::<u32>().await.unwrap();
        assert_eq!((heard as usize, bytes.len()), (number, *size));
        assert!(bytes.iter().all(|byte| *byte == number as u8));
    }
}

/// Carries this many frames, or all.
async fn counted(mut one: Link, mut other: Link, mut frames: Option<usize>) {
    loop {
        if let Some(left) = &mut frames {
            if *left == 0 {
                return;
            }
            *left -= 1;
        }
        tokio::select! {
            Some(frame) = one.from.recv() => other.to.send(frame).await.unwrap_or_default(),
            Some(frame) = other.from.recv() => one.to.send(frame).await.unwrap_or_default(),
            else => return,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn cuts_lose_nothing_and_repeat_nothing(
        sizes in proptest::collection::vec(prop_oneof![0..100_usize, 500_000..1_200_000_usize], 0..24),
        cuts in proptest::collection::vec(0..40_usize, 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(exchange(sizes, cuts));
    }
}

#[tokio::test]
async fn a_sender_waits_for_its_reader() {
    let (engine, _control) = Streams::new(Side::Engine);
    let end = engine.begin(&0_u32).unwrap();
    let piece = vec![0; 100_000];
    let sending = async {
        for _ in 0..100 {
            end.send(&0_u32, &piece).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(20), sending).await.is_err());
    assert!(!end.has_room());
    engine.give_up("test");
    assert_eq!(end.send(&0_u32, &[]).await.unwrap_err(), "test");
    assert!(WINDOW < 100 * piece.len());
}

#[tokio::test]
async fn a_worker_that_sends_nonsense_is_given_up() {
    let network = Network::new();
    let (ours, theirs) = pair();
    let workers = network.workers.clone();
    let attending = tokio::spawn(async move { workers.attend(theirs, "token").await });
    let Link { to, mut from } = ours;
    to.send(Bytes::from_static(b"nonsense")).await.unwrap();
    assert!(from.recv().await.is_some(), "it is told");
    let error = attending.await.unwrap().unwrap_err();
    assert!(matches!(error, ExecError::JoinRefused { .. }), "{error}");
    assert!(network.workers.list().is_empty());
}
