//! What a worker may have, what it believes, and what it keeps.

use super::super::cache::{Cache, Claim, Part, Pin};
use super::super::messages::{Answer, FromWorker, Hello, Purpose, Registration, ToWorker, VERSION};
use super::super::streams::{Side, Streams};
use super::*;

/// A worker that says whatever a test wants.
async fn join_by_hand(workers: &Workers) -> (Arc<Streams>, Link, super::super::streams::Have) {
    let (mut ours, theirs) = pair();
    let workers = workers.clone();
    tokio::spawn(async move { workers.attend(theirs, "token").await });
    let info = ScriptedExecutor::new(copies).check().await.unwrap();
    let why = Purpose::Register(Registration { name: "gpu1".to_owned(), info, slots: 1 });
    ours.to.send(postcard::to_stdvec(&Hello { version: VERSION, why }).unwrap().into()).await.unwrap();
    let answer = ours.from.recv().await.unwrap();
    let Answer::Welcome { have, .. } = postcard::from_bytes(&answer).unwrap() else { panic!("refused") };
    (Streams::new(Side::Worker).0, ours, have)
}

#[tokio::test]
async fn a_worker_that_asks_for_what_it_was_not_given_is_given_up() {
    let workers = Workers::new();
    let (streams, link, have) = join_by_hand(&workers).await;
    let mut files = Files::default();
    let (own, foreign) = (files.add("in/own", "own"), files.add("in/foreign", "foreign"));
    let worker = async {
        let stream = streams.accept().await.unwrap();
        assert!(matches!(stream.next::<ToWorker>().await.unwrap().0, ToWorker::Open(_)));
        stream.push(&FromWorker::Opened(Ok(())));
        assert!(matches!(stream.next::<ToWorker>().await.unwrap().0, ToWorker::Run { .. }));
        stream.push(&FromWorker::Want { digest: own.digest, offset: 0, length: 3 });
        while let Ok((said, bytes)) = stream.next::<ToWorker>().await {
            if matches!(said, ToWorker::Content) {
                assert_eq!(bytes, "own");
                stream.push(&FromWorker::Want { digest: foreign.digest, offset: 0, length: 7 });
            }
        }
        std::future::pending::<()>().await;
    };
    let engine = async {
        let mut sandbox = workers.open(&SandboxSpec::default(), &files).await.unwrap();
        sandbox.run(&task(&["x"], std::slice::from_ref(&own)), &files, &mut Record::default()).await.unwrap_err()
    };
    let number = streams.attach(&have);
    let carried = streams.carry(link, number);
    let (error, ended) = tokio::select! {
        both = async { tokio::join!(engine, carried) } => both,
        () = worker => panic!("it waits"),
    };
    assert!(error.to_string().contains("`gpu1`") && error.to_string().contains("was not given"), "{error}");
    assert_eq!((ended.as_str(), workers.list().len()), ("the connection ended", 0));
    assert_eq!(files.read_bytes(&foreign), 0);
}

#[tokio::test]
async fn a_file_with_other_bytes_than_its_digest_says_fails_the_try() {
    let network = Network::new();
    let _remote = Remote::join(&network, "gpu1", 1, ScriptedExecutor::new(copies)).await;
    let mut files = Files::default();
    let input = files.add("in/a", "right");
    files.files.insert(input.digest, Bytes::from_static(b"wrong"));
    let mut sandbox = open(&network.workers).await;
    let one = task(&["x"], std::slice::from_ref(&input));
    let error = sandbox.run(&one, &files, &mut Record::default()).await.unwrap_err();
    assert!(error.to_string().contains(&input.digest.to_string()), "{error}");
    sandbox.close().await.unwrap();
    files.files.insert(input.digest, Bytes::from_static(b"right"));
    let (mut sandbox, mut record) = (open(&network.workers).await, Record::default());
    sandbox.run(&one, &files, &mut record).await.unwrap();
    assert_eq!(record.files, [("/in/a".to_owned(), b"right".to_vec())]);
}

#[tokio::test]
async fn many_small_files_and_one_in_two_sandboxes() {
    let network = Network::new();
    let _remote = Remote::join(&network, "gpu1", 2, ScriptedExecutor::new(copies)).await;
    let mut files = Files::default();
    let model = files.add("model", vec![7; 6 << 20]);
    let small: Vec<_> = (0..600).map(|number| files.add(&format!("in/{number:04}"), number.to_string())).collect();
    let inputs: Vec<_> = std::iter::once(model.clone()).chain(small).collect();
    let (mut one, mut other) = (open(&network.workers).await, open(&network.workers).await);
    let (mut first, mut second, task) = (Record::default(), Record::default(), task(&["x"], &inputs));
    let (done, also) = tokio::join!(one.run(&task, &files, &mut first), other.run(&task, &files, &mut second));
    assert_eq!(done.unwrap().exit, also.unwrap().exit);
    assert_eq!((first.files.len(), first.files == second.files), (601, true));
    assert_eq!(files.read_bytes(&model), model.size_bytes, "both used what one of them fetched");
}

fn part(claim: Claim) -> Part {
    match claim {
        Claim::Yours(part) => part,
        other => panic!("{other:?}"),
    }
}

fn put(cache: &Arc<Cache>, content: &[u8]) -> Pin {
    let part = part(cache.claim(digest_of(content), content.len() as u64).unwrap());
    part.add(content).unwrap().unwrap()
}

fn is_here(cache: &Arc<Cache>, content: &[u8]) -> bool {
    matches!(cache.claim(digest_of(content), content.len() as u64).unwrap(), Claim::Here(_))
}

fn parts_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count()
}

#[test]
fn the_cache_gives_up_what_was_used_longest_ago() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path(), 10).unwrap();
    let in_use = put(&cache, b"aaaa");
    drop(put(&cache, b"bbbb"));
    drop(put(&cache, b"cc"));
    assert!(is_here(&cache, b"bbbb"), "and is used last by that");
    drop(put(&cache, b"dd"));
    assert_eq!(
        [&b"aaaa"[..], b"bbbb", b"cc", b"dd"].map(|content| is_here(&cache, content)),
        [true, true, false, true]
    );
    let large = put(&cache, b"more than all of it");
    assert!(large.path().exists() && in_use.path().exists(), "what is in use stays");
    assert!(!is_here(&cache, b"bbbb"));
    let path = large.path();
    drop(large);
    assert!(!path.exists());
    assert!(is_here(&cache, b"aaaa"));
}

#[test]
fn the_cache_believes_no_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path(), 100).unwrap();
    let digest = digest_of(b"right");
    for wrong in [&b"wrong"[..], b"right and more"] {
        let part = part(cache.claim(digest, 5).unwrap());
        assert!(matches!(cache.claim(digest, 5).unwrap(), Claim::Theirs));
        assert!(part.add(wrong).is_err());
        assert_eq!(parts_in(folder.path()), 0);
    }
    let half = part(cache.claim(digest, 5).unwrap()).add(b"rig").unwrap().unwrap_err();
    assert_eq!(parts_in(folder.path()), 1);
    let path = half.add(b"ht").unwrap().unwrap().path();
    assert_eq!((std::fs::read(&path).unwrap(), parts_in(folder.path())), (b"right".to_vec(), 0));
    // Files from before are read once more.
    drop(cache);
    let cache = Cache::open(folder.path(), 100).unwrap();
    assert!(is_here(&cache, b"right"));
    drop(cache);
    std::fs::write(&path, "wrong").unwrap();
    let cache = Cache::open(folder.path(), 100).unwrap();
    assert!(!is_here(&cache, b"right") && !path.exists());
}
