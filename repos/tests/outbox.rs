//! Uploads to a store elsewhere: only what is missing travels, and the result is that of a put. And the way back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{TestStore, path};
use proptest::prelude::*;
use repos::files::{
    self, Download, Excludes, Gathered, GetItem, GetItems, GetOptions, Listing, ObjectSink, Outbox, PATTERN_FILE,
    PutOptions, SendOptions, StatPlace, UploadOptions, Uploaded,
};
use repos::hash::digest_of;
use repos::store::Sender;
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use specs::{Digest, ErrorKind, FilePath, Reference, RepoName};

/// A store elsewhere: counts the calls, and fails one.
struct Far<'a> {
    store: &'a Store,
    sender: Sender<'a>,
    calls: AtomicUsize,
    /// The number of the call that fails, and whether it does so only after its work.
    fails: Option<(usize, bool)>,
    asked: Mutex<Vec<usize>>,
    /// What arrived, in order.
    arrived: Mutex<Vec<(Digest, usize)>>,
}

impl<'a> Far<'a> {
    fn new(store: &'a Store) -> Self {
        let sender = Sender { name: "anna", sees: None };
        let (asked, arrived) = (Mutex::default(), Mutex::default());
        Self { store, sender, calls: AtomicUsize::new(0), fails: None, asked, arrived }
    }

    fn step<T>(&self, work: impl FnOnce() -> Result<T, RepoError>) -> Result<T, RepoError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let cut = || RepoError::Conflict { what: "the connection is cut".to_owned(), hint: None };
        match self.fails {
            Some((at, false)) if at == call => Err(cut()),
            Some((at, true)) if at == call => work().and_then(|_| Err(cut())),
            _ => work(),
        }
    }

    fn like(paths: &[FilePath]) -> Vec<Reference> {
        paths.iter().map(|path| format!("images:{path}").parse().unwrap()).collect()
    }

    fn arrived_bytes(&self) -> usize {
        self.arrived.lock().unwrap().iter().map(|(_, length)| length).sum()
    }
}

impl ObjectSink for Far<'_> {
    fn missing(&self, digests: &[Digest], like: &[FilePath]) -> Result<Vec<Digest>, RepoError> {
        self.asked.lock().unwrap().push(digests.len());
        let once: HashSet<&Digest> = digests.iter().collect();
        assert_eq!(once.len(), digests.len(), "each is asked for once");
        self.step(|| self.store.missing(&self.sender, digests, &Self::like(like)))
    }

    fn send(&self, chunks: &[(Digest, &[u8])]) -> Result<(), RepoError> {
        assert!(!chunks.is_empty() && chunks.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 17 << 20);
        self.step(|| {
            let chunks: Vec<_> =
                chunks.iter().map(|(digest, bytes)| (*digest, Bytes::copy_from_slice(bytes))).collect();
            self.store.receive(&self.sender, &chunks)?;
            self.arrived.lock().unwrap().extend(chunks.iter().map(|(digest, bytes)| (*digest, bytes.len())));
            Ok(())
        })
    }

    fn compose(&self, file: &Digest, chunks: &[(Digest, u32)], like: &[FilePath]) -> Result<(), RepoError> {
        self.step(|| self.store.compose(&self.sender, *file, chunks, &Self::like(like)).map(drop))
    }
}

fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn owned() -> TestStore {
    let test = TestStore::new();
    test.store.own().unwrap();
    test
}

fn gathered(folder: &Path) -> Gathered {
    files::gather(&PutOptions { sources: vec![folder.to_owned()], ..PutOptions::default() }).unwrap()
}

fn send_to(far: &dyn ObjectSink, gathered: &Gathered) -> Result<Uploaded, RepoError> {
    let how = SendOptions { known: None, dry_run: false, skip_unreadable: false, progress: &|_, _| {} };
    files::send(&Outbox::new(far), gathered, &how)
}

fn tree_of(store: &Store, listing: &Listing) -> Tree {
    let edits = listing.edits(store, Tree::empty()).unwrap();
    files::apply(store, Tree::empty(), &edits).unwrap().0
}

/// The tree of a put on this machine, in a store of its own.
fn direct(gathered: &Gathered) -> (Tree, u64) {
    let test = TestStore::new();
    let uploaded = files::upload(&test.store, gathered, &|_, _| {}).unwrap();
    let new_bytes = uploaded.new_bytes;
    (files::apply(&test.store, Tree::empty(), &uploaded.into_edits(gathered)).unwrap().0, new_bytes)
}

/// Files by name: a kind of content, and the executable bit.
type Files = BTreeMap<String, (u8, bool)>;

/// Empty, small, one chunk that could be several, two chunks or more.
fn content(kind: u8) -> Vec<u8> {
    match kind {
        0 => Vec::new(),
        1..=9 => noise(usize::from(kind), u64::from(kind)),
        10..=12 => noise(256 << 10, u64::from(kind)),
        13..=15 => noise(900_000, u64::from(kind)),
        _ => [noise(900_000, 13), noise(500_000, u64::from(kind))].concat(),
    }
}

fn write(folder: &Path, files: &Files) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, (kind, executable)) in files {
        let at = folder.join(name);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, content(*kind)).unwrap();
        let mode = if *executable { 0o755 } else { 0o644 };
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn any_files() -> impl Strategy<Value = Files> {
    let kind = prop_oneof![2 => Just(0_u8), 6 => 1_u8..10, 1 => 10_u8..13, 1 => 13_u8..19];
    prop::collection::btree_map("[a-c](/[a-c]\\.[xy]){1,2}", (kind, any::<bool>()), 0..9)
        .prop_map(|files| files.into_iter().map(|(at, file)| (at.replace('/', "_d/"), file)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn only_missing_chunks_are_sent_and_the_tree_is_that_of_a_put(files in any_files(), there in any_files(), limited: bool) {
        let test = owned();
        let [new, old] = ["new", "old"].map(|folder| test.work().join(folder));
        write(&new, &files);
        write(&old, &there);
        // What the other side has already, in whatever way it got there.
        files::upload(&test.store, &gathered(&old), &|_, _| {}).unwrap();
        let nothing = |_: &RepoName| false;
        let sender = Sender { name: "anna", sees: limited.then_some(&nothing) };
        let far = Far { sender, ..Far::new(&test.store) };
        let all = gathered(&new);
        let uploaded = send_to(&far, &all).unwrap();
        let listing = uploaded.listing(&all);
        let entries: Vec<FileEntry> = listing.files().iter().map(files::ListedFile::entry).collect();
        test.store.ensure_may_name(&far.sender, &entries).unwrap();
        prop_assert_eq!(tree_of(&test.store, &listing), direct(&all).0);
        let arrived = far.arrived.lock().unwrap().clone();
        let once: HashSet<Digest> = arrived.iter().map(|(digest, _)| *digest).collect();
        prop_assert_eq!(once.len(), arrived.len(), "nothing is sent twice");
        prop_assert_eq!(uploaded.new_bytes as usize, far.arrived_bytes());
        if !limited {
            // The other store was filled by a put, so what is new to it is what a put would have added.
            let reference = TestStore::new();
            files::upload(&reference.store, &gathered(&old), &|_, _| {}).unwrap();
            let put = files::upload(&reference.store, &all, &|_, _| {}).unwrap();
            prop_assert_eq!(put.new_bytes, uploaded.new_bytes);
        }
        // Again: everything is there.
        far.arrived.lock().unwrap().clear();
        prop_assert_eq!(send_to(&far, &all).unwrap().new_bytes, 0);
        prop_assert_eq!(far.arrived_bytes(), 0);
    }
}

#[test]
fn a_cut_upload_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let files: Files = [("a", 0), ("b", 5), ("c", 11), ("d", 13), ("e/f", 17), ("e/g", 18), ("h", 5)]
        .map(|(name, kind)| (name.to_owned(), (kind, false)))
        .into();
    write(folder.path(), &files);
    // More than one batch.
    std::fs::write(folder.path().join("large"), noise(18 << 20, 99)).unwrap();
    let all = gathered(folder.path());
    let (tree, bytes) = direct(&all);
    for after_work in [false, true] {
        for n in 0.. {
            let test = owned();
            let far = Far { fails: Some((n, after_work)), ..Far::new(&test.store) };
            let cut = send_to(&far, &all);
            let before = far.arrived.lock().unwrap().clone();
            let again = Far::new(&test.store);
            let uploaded = send_to(&again, &all).unwrap();
            assert_eq!(tree_of(&test.store, &uploaded.listing(&all)), tree, "call {n}");
            let arrived: Vec<_> = [before, again.arrived.lock().unwrap().clone()].concat();
            let once: HashSet<_> = arrived.iter().collect();
            assert_eq!(
                (once.len(), arrived.iter().map(|(_, length)| *length as u64).sum()),
                (arrived.len(), bytes),
                "call {n}"
            );
            match cut {
                Ok(_) => {
                    assert!(n >= 5, "two batches and files of several chunks: {n} calls");
                    break;
                }
                Err(error) => assert_eq!(error.to_string(), "the connection is cut"),
            }
        }
    }
}

#[test]
fn an_insertion_into_a_large_file_sends_a_chunk_or_two_for_limited_clients_too() {
    let test = owned();
    let bytes = noise(20 << 20, 7);
    let folder = test.work().join("d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("large"), &bytes).unwrap();
    let edits = files::upload(&test.store, &gathered(&folder), &|_, _| {}).unwrap().into_edits(&gathered(&folder));
    test.commit("images", &edits);
    std::fs::write(folder.join("large"), [&bytes[..9 << 20], &noise(1 << 10, 8), &bytes[9 << 20..]].concat()).unwrap();
    let all = gathered(&folder);
    let images = |repo: &RepoName| repo.as_str() == "images";
    let nothing = |_: &RepoName| false;
    for (sees, most) in [(&images as &(dyn Fn(&RepoName) -> bool + Sync), 2 << 20), (&nothing, 21 << 20)] {
        let sender = Sender { name: if most > 2 << 20 { "bert" } else { "anna" }, sees: Some(sees) };
        let far = Far { sender, ..Far::new(&test.store) };
        let uploaded = send_to(&far, &all).unwrap();
        assert!(uploaded.new_bytes <= most && uploaded.new_bytes > most / 10, "{}", uploaded.new_bytes);
        assert_eq!(tree_of(&test.store, &uploaded.listing(&all)), direct(&all).0);
    }
}

#[test]
fn files_that_look_unchanged_are_only_asked_for() {
    const LATER: Duration = Duration::from_mins(30);
    let (test, cache) = (owned(), tempfile::tempdir().unwrap());
    let place = StatPlace::in_cache(cache.path(), &test.store.id().unwrap());
    let folder = test.work().join("d");
    write(&folder, &[("a".to_owned(), (3, false)), ("b".to_owned(), (14, true))].into());
    std::thread::sleep(Duration::from_millis(40));
    let later = || gathered(&folder).as_if_later(LATER).as_if_on_disk();
    let how = SendOptions { known: Some(&place), dry_run: false, skip_unreadable: false, progress: &|_, _| {} };
    let far = Far::new(&test.store);
    let first = files::send(&Outbox::new(&far), &later(), &how).unwrap();
    assert_eq!((first.read, far.arrived_bytes()), (2, 900_003));
    first.remember_at(&place, &later());
    far.asked.lock().unwrap().clear();
    let again = files::send(&Outbox::new(&far), &later(), &how).unwrap();
    assert_eq!((again.read, again.files, far.asked.lock().unwrap().as_slice()), (0, first.files, &[2][..]));
    // For another store nothing is known, and what a store lost is read again.
    let other = owned();
    let elsewhere = StatPlace::in_cache(cache.path(), &other.store.id().unwrap());
    let how = SendOptions { known: Some(&elsewhere), ..how };
    assert_eq!(files::send(&Outbox::new(&Far::new(&other.store)), &later(), &how).unwrap().read, 2);
    let lost = owned();
    let how = SendOptions { known: Some(&place), ..how };
    assert_eq!(files::send(&Outbox::new(&Far::new(&lost.store)), &later(), &how).unwrap().read, 2);
}

#[test]
fn a_dry_run_counts_what_would_be_sent_and_sends_nothing() {
    let test = owned();
    let [new, old] = ["new", "old"].map(|folder| test.work().join(folder));
    write(&new, &[("a".to_owned(), (3, false)), ("b".to_owned(), (14, true)), ("c".to_owned(), (4, true))].into());
    write(&old, &[("x".to_owned(), (3, false))].into());
    files::upload(&test.store, &gathered(&old), &|_, _| {}).unwrap();
    let far = Far::new(&test.store);
    let how = SendOptions { known: None, dry_run: true, skip_unreadable: false, progress: &|_, _| {} };
    let all = gathered(&new);
    let dry = files::send(&Outbox::new(&far), &all, &how).unwrap();
    assert_eq!((dry.new_bytes, far.arrived_bytes()), (900_004, 0));
    let local = UploadOptions {
        base: Tree::empty(),
        trust_stat: false,
        dry_run: true,
        skip_unreadable: false,
        progress: &|_, _| {},
    };
    let put = files::upload_with(&test.store, &all, &local).unwrap();
    assert_eq!((put.new_bytes, put.files), (dry.new_bytes, dry.files));
}

#[test]
fn a_listing_says_what_was_left_out_as_a_put_does() {
    let test = owned();
    for (at, bytes) in [
        ("d/a.log", "1"),
        ("d/keep.log", "2"),
        ("d/sub/x.tmp", "3"),
        ("d/sub/y", "4"),
        ("d/.pvignore", "*.log\n!keep.log\n"),
        ("d/sub/.pvignore", "*.tmp\n"),
        ("d/z.bak", "5"),
    ] {
        test.write(at, bytes);
    }
    std::os::unix::fs::symlink("/nowhere", test.work().join("d/broken")).unwrap();
    let excludes = Excludes { patterns: vec!["*.bak".parse().unwrap()], files: &[PATTERN_FILE], built_in: &[] };
    let options = PutOptions {
        sources: vec![test.work().join("d")],
        excludes,
        skip_unreadable: true,
        mirror: true,
        ..PutOptions::default()
    };
    let all = files::gather(&options).unwrap();
    let far = Far::new(&test.store);
    let how = SendOptions { known: None, dry_run: false, skip_unreadable: true, progress: &|_, _| {} };
    let uploaded = files::send(&Outbox::new(&far), &all, &how).unwrap();
    let listing = uploaded.listing(&all);
    assert_eq!(listing.skipped(), all.skipped);
    // What is there before: files that a mirror keeps, because they are left out, and others that it removes.
    let before = [
        "/a.log",
        "/keep.log",
        "/sub/x.tmp",
        "/sub/old",
        "/sub/a.log",
        "/x.tmp",
        "/z.bak",
        "/broken",
        "/broken/x",
        "/.pvignore",
    ];
    let files: Vec<(&str, Option<&str>)> =
        before.iter().filter(|at| **at != "/broken").map(|at| (*at, Some("before"))).collect();
    test.set("images", &files);
    let base = test.tree("images");
    let mut one = uploaded.edits(&test.store, base, &all).unwrap();
    let mirror = files::mirror_gathered(&test.store, base, &FilePath::root(), &all, &mut one).unwrap();
    let mut other = listing.edits(&test.store, base).unwrap();
    assert_eq!(files::mirror_listed(&test.store, base, &FilePath::root(), &listing, &mut other).unwrap(), mirror);
    assert_eq!(one, other);
    let removed: Vec<_> = one.files.iter().filter(|(_, file)| file.is_none()).map(|(at, _)| at.to_string()).collect();
    assert_eq!(removed, ["/sub/old", "/x.tmp"]);
}

#[test]
fn a_listing_with_a_path_twice_is_refused() {
    let file = |at: &str, bytes: &[u8]| {
        let entry = FileEntry { digest: digest_of(bytes), size: bytes.len() as u64, executable: false };
        files::ListedFile::new(path(at), entry)
    };
    let error = Listing::of(vec![file("/b", b"1"), file("/a", b"2"), file("/b", b"3")], 0).unwrap_err();
    assert!(matches!(&error, RepoError::SameTarget { paths } if *paths == [path("/b")]), "{error}");
    let sorted = Listing::of(vec![file("/b", b"1"), file("/a", b"2")], 3).unwrap();
    assert_eq!(sorted.files().iter().map(|file| file.path().as_str()).collect::<Vec<_>>(), ["/a", "/b"]);
    let text = serde_json::to_string(&sorted).unwrap();
    let turned = text.replace("/a", "/c");
    let turned: Listing = serde_json::from_str(&turned).unwrap();
    assert_eq!(turned.ensure_sound().unwrap_err().kind(), ErrorKind::Usage);
}

/// Serves files of a store, and cuts each stream after some bytes.
struct Source<'a> {
    store: &'a Store,
    cut_after: usize,
    /// Flips a bit of every stream.
    damages: bool,
    opened: Mutex<Vec<(Digest, std::ops::Range<u64>)>>,
}

impl<'a> Source<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, cut_after: usize::MAX, damages: false, opened: Mutex::default() }
    }
}

impl Download for Source<'_> {
    fn open(&self, digest: &Digest, range: std::ops::Range<u64>) -> Result<Box<dyn Read + '_>, RepoError> {
        self.opened.lock().unwrap().push((*digest, range.clone()));
        let file = self.store.find_file(digest)?.unwrap();
        let mut bytes = self.store.read_file(&file, range)?.to_vec();
        bytes.truncate(self.cut_after);
        if let Some(first) = bytes.first_mut().filter(|_| self.damages) {
            *first ^= 1;
        }
        // More than was asked for is not taken.
        Ok(Box::new(std::io::Cursor::new(bytes).chain(if self.cut_after == usize::MAX { &b"more"[..] } else { b"" })))
    }
}

fn options(force: bool) -> GetOptions<'static> {
    GetOptions { since: None, matching: None, force, progress: &|_, _| {} }
}

#[test]
fn a_get_from_elsewhere_is_the_get_and_fetches_only_what_differs() {
    let test = owned();
    let folder = test.work().join("d");
    let all = [("a", 0, false), ("b_d/run", 5, true), ("b_d/x", 11, false), ("c", 17, false)];
    write(&folder, &all.map(|(name, kind, executable)| (name.to_owned(), (kind, executable))).into());
    test.put("images", "/", &["d"]).unwrap();
    let from = test.resolve("images");
    let [one, other] = ["one", "other"].map(|name| test.work().join(name));
    let got = files::get(&test.store, &from, &one, options(false)).unwrap();
    let source = Source { cut_after: 300_000, ..Source::new(&test.store) };
    let items = || files::get_items(&test.store, &from, &options(false));
    let get = |source: &Source<'_>, force| files::get_from(source, 2, &items, &other, options(force));
    assert_eq!(get(&source, false).unwrap(), got);
    let large = digest_of(&content(17));
    let opened = source.opened.lock().unwrap().clone();
    let starts: Vec<u64> = opened.iter().filter(|(digest, _)| *digest == large).map(|(_, range)| range.start).collect();
    assert_eq!(starts, [0, 300_000, 600_000, 900_000, 1_200_000], "a cut stream goes on where it ended");
    let entries = |folder: &Path| -> Vec<(String, Vec<u8>, u32)> {
        let mode = |at: &Path| std::fs::metadata(at).unwrap().permissions().mode();
        all.map(|(name, ..)| {
            let at = folder.join(name);
            (name.to_owned(), std::fs::read(&at).unwrap(), mode(&at))
        })
        .into()
    };
    assert_eq!(entries(&one), entries(&other));
    // Again, with one file changed: only that one is fetched, and only with force.
    let source = Source::new(&test.store);
    let mut expected = files::get(&test.store, &from, &one, options(false)).unwrap();
    assert_eq!((get(&source, false).unwrap(), source.opened.lock().unwrap().len()), (expected, 0));
    for folder in [&one, &other] {
        std::fs::write(folder.join("b_d/x"), "mine").unwrap();
    }
    let [refused, refused_too] =
        [files::get(&test.store, &from, &one, options(false)), get(&source, false)].map(|got| got.unwrap_err());
    assert_eq!(refused.to_string().replace("/one/", "/other/"), refused_too.to_string());
    expected = files::get(&test.store, &from, &one, options(true)).unwrap();
    assert_eq!(get(&source, true).unwrap(), expected);
    assert_eq!(source.opened.lock().unwrap().as_slice(), [(digest_of(&content(11)), 0..256 << 10)]);
    assert_eq!(entries(&one), entries(&other));
}

#[test]
fn what_arrives_damaged_or_never_leaves_no_file() {
    let test = owned();
    let file = FileEntry { digest: digest_of(&content(17)), size: 1_400_000, executable: false };
    test.store.put_content(content(17).as_slice()).unwrap();
    let dest = test.work().join("dest");
    let one = |path: &str, file: FileEntry| GetItem { path: path.to_owned(), file };
    let get = |source: &Source<'_>, item: GetItem| {
        let items = || -> Result<GetItems<'static>, RepoError> { Ok(Box::new(std::iter::once(Ok(item.clone())))) };
        files::get_from(source, 1, &items, &dest, options(false))
    };
    let damaged = Source { damages: true, ..Source::new(&test.store) };
    assert_eq!(get(&damaged, one("x", file)).unwrap_err().kind(), ErrorKind::Damaged);
    let silent = Source { cut_after: 0, ..Source::new(&test.store) };
    assert!(get(&silent, one("x", file)).is_err());
    assert!(silent.opened.lock().unwrap().len() <= 5, "it is not asked for ever");
    assert_eq!(std::fs::read_dir(&dest).unwrap().count(), 0, "no half file");
    for path in ["../x", "/x", "a/../../x", "a//x", "", ".", "a/.", "a\u{0}b"] {
        let error = get(&Source::new(&test.store), one(path, file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{path}");
    }
    assert!(!test.work().join("x").exists());
    let empty = FileEntry { digest: digest_of(b""), size: 0, executable: false };
    assert_eq!(get(&silent, one("empty", empty)).unwrap().written, 1);
    let lying = FileEntry { digest: digest_of(b"not empty"), ..empty };
    assert_eq!(get(&silent, one("lying", lying)).unwrap_err().kind(), ErrorKind::Damaged);
}
