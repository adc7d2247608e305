//! What clients send to a store, what they must send, and what they may name.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use common::{START, TestStore, entry};
use repos::hash::digest_of;
use repos::object::Kind;
use repos::store::{MAX_CHUNK, MOST_ASKED, Sender};
use repos::time::Clock;
use repos::tree::FileEntry;
use repos::{OpenOptions, RepoError, Store, Timestamp, gc};
use specs::{BranchName, Digest, ErrorKind, Reference, RepoName};

const ALL: Sender<'static> = Sender { name: "all", sees: None };
/// Sees `images` alone.
const LIMITED: Sender<'static> = Sender { name: "limited", sees: Some(&images_only) };

fn images_only(repo: &RepoName) -> bool {
    repo.as_str() == "images"
}

fn limited(name: &'static str) -> Sender<'static> {
    Sender { name, ..LIMITED }
}

fn chunk(bytes: &[u8]) -> (Digest, Bytes) {
    (digest_of(bytes), Bytes::copy_from_slice(bytes))
}

fn file(bytes: &[u8]) -> FileEntry {
    FileEntry { digest: digest_of(bytes), size: bytes.len() as u64, executable: false }
}

/// Bytes that do not compress and are cut into several chunks.
fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Stores content as files of `repo`; the history index then knows it.
fn commit(test: &TestStore, repo: &str, at: &str, bytes: &[u8]) {
    let edits = repos::files::Edits {
        files: [(common::path(at), Some(large_entry(&test.store, bytes)))].into(),
        ..Default::default()
    };
    let id = test.commit(repo, &edits);
    test.store.follow_histories_as_owner();
    assert!(test.store.has_followed(&id).unwrap());
}

fn large_entry(store: &Store, bytes: &[u8]) -> FileEntry {
    store.put_content(bytes).unwrap();
    file(bytes)
}

fn like(references: &[&str]) -> Vec<Reference> {
    references.iter().map(|text| text.parse().unwrap()).collect()
}

fn owned() -> TestStore {
    let test = TestStore::new();
    test.create("secret");
    test.store.own().unwrap();
    test
}

#[test]
fn what_was_sent_is_no_longer_missing_and_wrong_bytes_change_nothing() {
    let test = owned();
    let (one, two) = (chunk(b"one"), chunk(b"two"));
    let both = [one.0, two.0];
    assert_eq!(test.store.missing(&ALL, &both, &[]).unwrap(), both);
    let wrong = (two.0, Bytes::from_static(b"tow"));
    let error = test.store.receive(&ALL, &[one.clone(), wrong]).unwrap_err();
    assert!(error.kind() == ErrorKind::Usage && error.to_string().contains(&two.0.to_string()), "{error}");
    assert_eq!(test.store.missing(&ALL, &both, &[]).unwrap(), both, "all or none");
    let long = chunk(&vec![7; MAX_CHUNK + 1]);
    assert!(test.store.receive(&ALL, &[long]).unwrap_err().to_string().contains("at most"));
    test.store.receive(&ALL, &[two]).unwrap();
    assert_eq!(test.store.missing(&ALL, &both, &[]).unwrap(), [one.0]);
    assert!(test.store.missing(&ALL, &vec![one.0; MOST_ASKED + 1], &[]).is_err());
}

#[test]
fn a_file_of_several_chunks_is_what_its_digest_says_or_nothing() {
    let test = owned();
    let bytes = noise(900_000, 1);
    let parts: Vec<_> = bytes.chunks(300_000).map(chunk).collect();
    let list: Vec<(Digest, u32)> = parts.iter().map(|(digest, part)| (*digest, part.len() as u32)).collect();
    let whole = digest_of(&bytes);
    test.store.receive(&ALL, &parts[..2]).unwrap();
    match test.store.compose(&ALL, whole, &list, &[]) {
        Err(RepoError::NotSent { digests, more: 0 }) => assert_eq!(digests, [parts[2].0]),
        other => panic!("{other:?}"),
    }
    test.store.receive(&ALL, &parts[2..]).unwrap();
    let swapped = [list[1], list[0], list[2]];
    assert_eq!(test.store.compose(&ALL, whole, &swapped, &[]).unwrap_err().kind(), ErrorKind::Usage);
    let longer = [list[0], (list[1].0, 300_001), list[2]];
    assert_eq!(test.store.compose(&ALL, whole, &longer, &[]).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(test.store.compose(&ALL, list[0].0, &list[..1], &[]).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(test.store.missing(&ALL, &[whole], &[]).unwrap(), [whole], "nothing was written");
    for sender in [ALL, ALL, LIMITED] {
        if sender.sees.is_some() {
            test.store.receive(&sender, &parts).unwrap();
        }
        assert_eq!(test.store.compose(&sender, whole, &list, &[]).unwrap(), 900_000);
        assert!(test.store.missing(&sender, &[whole], &[]).unwrap().is_empty());
    }
    let read = test.store.read_file(&file(&bytes), 0..900_000).unwrap();
    assert!(read == bytes);
    test.store.ensure_may_name(&ALL, [&file(&bytes)]).unwrap();
    let shorter = FileEntry { size: 1, ..file(&bytes) };
    assert_eq!(test.store.ensure_may_name(&ALL, [&shorter]).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_chunk_that_is_stored_as_several_is_replaced_by_them() {
    let test = owned();
    let bytes = noise(2 << 20, 2);
    // As if an earlier version had cut elsewhere: the first half is a file of several chunks, and a chunk for this client.
    let (half, rest) = bytes.split_at(1 << 20);
    let halves = [half, rest].map(|part| (digest_of(part), part.len() as u32));
    for part in [half, rest] {
        let parts: Vec<_> = part.chunks(400_000).map(chunk).collect();
        let list: Vec<_> = parts.iter().map(|(digest, part)| (*digest, part.len() as u32)).collect();
        test.store.receive(&ALL, &parts).unwrap();
        test.store.compose(&ALL, digest_of(part), &list, &[]).unwrap();
    }
    assert_eq!(test.store.compose(&ALL, digest_of(&bytes), &halves, &[]).unwrap(), 2 << 20);
    assert!(test.store.read_file(&file(&bytes), 0..2 << 20).unwrap() == bytes);
}

#[test]
fn a_digest_is_no_ticket() {
    let test = owned();
    commit(&test, "secret", "/plan", b"hidden");
    commit(&test, "images", "/seen", b"seen");
    let digests = [b"hidden".as_slice(), b"seen", b"absent"].map(digest_of);
    assert_eq!(test.store.missing(&ALL, &digests, &[]).unwrap(), [digests[2]]);
    assert_eq!(test.store.missing(&LIMITED, &digests, &[]).unwrap(), [digests[0], digests[2]], "hidden is absent");
    test.store.ensure_may_name(&LIMITED, [&file(b"seen")]).unwrap();
    for bytes in [b"hidden".as_slice(), b"absent"] {
        match test.store.ensure_may_name(&LIMITED, [&file(bytes)]) {
            Err(RepoError::NotSent { digests, more: 0 }) => assert_eq!(digests, [digest_of(bytes)]),
            other => panic!("{other:?}"),
        }
        // Not even a wrong length tells the difference.
        let longer = FileEntry { size: 99, ..file(bytes) };
        assert!(matches!(test.store.ensure_may_name(&LIMITED, [&longer]), Err(RepoError::NotSent { .. })));
    }
    // Having sent it shows that the client has it.
    test.store.receive(&LIMITED, &[chunk(b"hidden")]).unwrap();
    assert_eq!(test.store.missing(&LIMITED, &digests, &[]).unwrap(), [digests[2]]);
    test.store.ensure_may_name(&LIMITED, [&file(b"hidden")]).unwrap();
    let other = limited("another");
    assert_eq!(test.store.missing(&other, &digests, &[]).unwrap(), [digests[0], digests[2]], "another client has not");
    // That it is in the store, and that another client was told so, is no ticket either.
    test.store.receive(&other, &[chunk(b"x")]).unwrap();
    assert!(test.store.ensure_may_name(&other, [&file(b"hidden")]).is_err());
}

#[test]
fn chunks_of_similar_files_need_not_be_sent_if_the_client_sees_the_file() {
    let test = owned();
    let (mine, theirs) = (noise(2 << 20, 3), noise(2 << 20, 4));
    commit(&test, "images", "/large", &mine);
    commit(&test, "secret", "/large", &theirs);
    let chunks = |bytes: &[u8]| -> Vec<(Digest, u32)> { test.store.open_file(&file(bytes)).unwrap().chunks().to_vec() };
    let digests = |bytes: &[u8]| -> Vec<Digest> { chunks(bytes).iter().map(|(digest, _)| *digest).collect() };
    let asked = [digests(&mine), digests(&theirs)].concat();
    assert_eq!(test.store.missing(&LIMITED, &asked, &[]).unwrap(), asked, "a chunk is not a file");
    let similar = like(&["images:/large", "secret:/large", "images:/none", "none:/large", "images@nothing:/x"]);
    assert_eq!(test.store.missing(&LIMITED, &asked, &similar).unwrap(), digests(&theirs));
    // A new file of old chunks and one that was sent.
    let new = [&mine[..], b"the end"].concat();
    let list = [chunks(&mine), vec![(digest_of(b"the end"), 7)]].concat();
    test.store.receive(&LIMITED, &[chunk(b"the end")]).unwrap();
    assert!(matches!(test.store.compose(&LIMITED, digest_of(&new), &list, &[]), Err(RepoError::NotSent { .. })));
    test.store.compose(&LIMITED, digest_of(&new), &list, &similar).unwrap();
    test.store.ensure_may_name(&LIMITED, [&file(&new)]).unwrap();
    let stolen = [chunks(&theirs), vec![(digest_of(b"the end"), 7)]].concat();
    let whole = digest_of(&[&theirs[..], b"the end"].concat());
    assert!(matches!(test.store.compose(&LIMITED, whole, &stolen, &similar), Err(RepoError::NotSent { .. })));
}

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[test]
fn what_was_sent_survives_a_restart_and_garbage_collection_until_its_time_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock(AtomicI64::new(START)));
    let options = OpenOptions::default().clock(clock.clone());
    let store = options.clone().init(folder.path(), BranchName::main()).unwrap();
    store.own().unwrap();
    let bytes = noise(900_000, 5);
    let parts: Vec<_> = bytes.chunks(450_000).map(chunk).collect();
    let list: Vec<_> = parts.iter().map(|(digest, part)| (*digest, part.len() as u32)).collect();
    store.receive(&LIMITED, &parts).unwrap();
    store.compose(&LIMITED, digest_of(&bytes), &list, &[]).unwrap();
    store.receive(&ALL, &[chunk(b"small")]).unwrap();
    let asked = [digest_of(&bytes), parts[0].0, digest_of(b"small")];
    drop(store);
    let store = options.open(folder.path()).unwrap();
    store.own().unwrap();
    store.finish_packs().unwrap();
    let collect = || gc::collect(&store, "test", false, &|_, _, _| {}).unwrap().swept;
    assert_eq!(collect().objects_removed, 0);
    assert!(store.missing(&ALL, &asked, &[]).unwrap().is_empty());
    assert_eq!(store.missing(&LIMITED, &asked, &[]).unwrap(), [asked[2]]);
    clock.0.fetch_add(15 * 24 * 3_600_000_000, Ordering::Relaxed);
    assert_eq!(store.missing(&LIMITED, &asked, &[]).unwrap(), asked, "the ledger forgets");
    assert!(collect().objects_removed > 0);
    assert_eq!(store.missing(&ALL, &asked, &[]).unwrap(), asked);
}

#[test]
fn what_was_committed_is_kept_for_the_commit_alone() {
    let test = owned();
    let large = noise(900_000, 6);
    let parts: Vec<_> = large.chunks(450_000).map(chunk).collect();
    let list: Vec<_> = parts.iter().map(|(digest, part)| (*digest, part.len() as u32)).collect();
    test.store.receive(&LIMITED, &parts).unwrap();
    test.store.compose(&LIMITED, digest_of(&large), &list, &[]).unwrap();
    test.store.receive(&LIMITED, &[chunk(b"small"), chunk(b"not committed")]).unwrap();
    test.store.release_sent(&LIMITED, &[file(&large), file(b"small")]).unwrap();
    // Still its own: it may name it again, as long as it is there.
    test.store.ensure_may_name(&LIMITED, [&file(&large), &file(b"small")]).unwrap();
    commit(&test, "images", "/x", b"x");
    gc::collect(&test.store, "test", false, &|_, _, _| {}).unwrap();
    let asked = [digest_of(&large), list[0].0, list[1].0, digest_of(b"small"), digest_of(b"not committed")];
    assert_eq!(test.store.missing(&LIMITED, &asked, &[]).unwrap(), asked[..4]);
    // Sent again, it is kept again.
    test.store.receive(&LIMITED, &[chunk(b"small")]).unwrap();
    commit(&test, "images", "/x", b"y");
    gc::collect(&test.store, "test", false, &|_, _, _| {}).unwrap();
    assert!(test.store.missing(&LIMITED, &asked[3..], &[]).unwrap().is_empty());
}

#[test]
fn a_client_may_name_what_it_just_sent_however_short_the_grace_is() {
    let test = owned();
    let entry = repos::journal::Entry::Setting { key: "gc_grace".to_owned(), value: Some("0s".to_owned()) };
    test.store.publish(&repos::Change::of(vec![entry])).unwrap();
    assert_eq!(test.store.gc_grace().unwrap(), std::time::Duration::ZERO);
    test.store.receive(&LIMITED, &[chunk(b"sent")]).unwrap();
    test.store.ensure_may_name(&LIMITED, [&file(b"sent")]).unwrap();
}

#[test]
fn what_arrives_while_garbage_is_collected_stays() {
    for is_first in [true, false] {
        let test = owned();
        if !is_first {
            test.store.receive(&ALL, &[chunk(b"before")]).unwrap();
        }
        let plan = gc::Plan::of_settings(&test.store).unwrap();
        let mut kept = gc::mark(&test.store, &plan, &|_, _, _| {}).unwrap();
        // Both are in a finished pack that nothing holds when the sweep begins.
        test.store.receive(&ALL, &[chunk(b"meanwhile")]).unwrap();
        let garbage = entry(&test.store, b"given up");
        commit(&test, "images", "/x", b"x");
        test.store.sweep(&mut kept, &|_, _, _| {}).unwrap();
        assert!(!test.store.has_content(&garbage.digest).unwrap());
        assert!(test.store.missing(&ALL, &[digest_of(b"meanwhile")], &[]).unwrap().is_empty());
        assert_eq!(test.store.read_file(&file(b"meanwhile"), 0..9).unwrap().as_ref(), b"meanwhile");
    }
}

/// Marks nothing; before the last look, another client sends a chunk that is garbage at that moment.
struct Late<'a, M> {
    marks: M,
    send: &'a dyn Fn(),
    is_sent: bool,
}

impl<M: gc::Marks> gc::Marks for Late<'_, M> {
    fn is_live(&self, kind: Kind, digest: &Digest) -> bool {
        self.marks.is_live(kind, digest)
    }

    fn catch_up(&mut self, store: &Store) -> Result<(), RepoError> {
        self.marks.catch_up(store)?;
        // At the worst moment: after everything known was marked.
        if !std::mem::replace(&mut self.is_sent, true) {
            (self.send)();
        }
        Ok(())
    }

    fn last_look(&mut self) {
        self.marks.last_look();
    }
}

#[test]
fn a_chunk_that_is_sent_while_its_garbage_copy_is_removed_stays() {
    let test = owned();
    test.store.receive(&ALL, &[chunk(b"before")]).unwrap();
    let garbage = entry(&test.store, b"given up");
    let other = entry(&test.store, b"given up too");
    commit(&test, "images", "/x", b"x");
    let plan = gc::Plan::of_settings(&test.store).unwrap();
    let send = || test.store.receive(&ALL, &[chunk(b"given up")]).unwrap();
    let marks = gc::mark(&test.store, &plan, &|_, _, _| {}).unwrap();
    test.store.sweep(&mut Late { marks, send: &send, is_sent: false }, &|_, _, _| {}).unwrap();
    assert!(!test.store.has_content(&other.digest).unwrap());
    assert!(test.store.missing(&ALL, &[garbage.digest], &[]).unwrap().is_empty());
    assert_eq!(test.store.read_file(&garbage, 0..8).unwrap().as_ref(), b"given up");
}
