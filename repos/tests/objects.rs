//! Stores whose packs and journal are in an object store: over memory, over a folder, and over a server that speaks S3.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "common/flaky.rs"]
mod flaky;

use std::path::Path;
use std::sync::Arc;

use common::{TestStore, contents, edits, name};
use flaky::{Plan, flaky};
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use repos::fsck::check;
use repos::fsck::repair::Repair;
use repos::journal::{Entry, RepoKind};
use repos::packs::testing::pack_store_contract;
use repos::packs::{ObjectPacks, PackStore};
use repos::place::{Access, Place};
use repos::{Change, OpenOptions, RepoError, Store};
use specs::BranchName;
use tests::s3::S3Server;

const URL: &str = "memory://test";

fn memory() -> Place {
    Place::open(URL, &Access::default()).unwrap()
}

fn options(place: &Place) -> OpenOptions {
    OpenOptions::default().place(place.clone())
}

/// A store in a place, with the repository `images`.
fn made(place: &Place) -> TestStore {
    let test = joined(place);
    test.create("images");
    test
}

fn joined(place: &Place) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    std::fs::create_dir(&dir).unwrap();
    let store = options(place).init_shared(&dir, place.url(), BranchName::main()).unwrap();
    TestStore { folder, store }
}

#[track_caller]
fn assert_sound(store: &Store) {
    assert_eq!(check(store, &|_, _, _| {}).unwrap().problems, []);
}

fn keeps_the_contract(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("packs")).unwrap();
    pack_store_contract(&ObjectPacks::new(place.clone(), folder.path()));
}

#[test]
fn packs_keep_the_contract_in_memory_and_in_a_folder() {
    keeps_the_contract(&memory());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/place", folder.path().display());
    keeps_the_contract(&Place::open(&url, &Access::default()).unwrap());
}

fn lives_through_the_loss_of_its_folder(place: &Place) {
    let test = made(place);
    test.set("images", &[("/a", Some("1")), ("/b", Some("2"))]);
    test.set("images", &[("/a", Some("3"))]);
    let large = large_content(40 << 20);
    let stored = test.store.put_content(large.as_slice()).unwrap();
    let mut edits = repos::files::Edits::default();
    let file = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    edits.files.insert(common::path("/large"), Some(file));
    test.commit("images", &edits);
    let (before, records) = (test.resolve("images").id, test.store.position());
    assert_sound(&test.store);
    drop(test);
    let again = joined(place);
    assert_eq!((again.resolve("images").id, again.store.position()), (before, records));
    assert_eq!(again.store.read_file(&file, 0..file.size).unwrap(), large);
    assert_eq!(again.store.read_file(&file, 9_000_000..9_000_010).unwrap(), large[9_000_000..9_000_010]);
    assert_sound(&again.store);
    again.set("images", &[("/c", Some("4"))]);
    assert_eq!(again.store.position().records, records.records + 1);
}

/// Bytes that do not repeat.
fn large_content(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_store_lives_through_the_loss_of_its_folder() {
    lives_through_the_loss_of_its_folder(&memory());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/place", folder.path().display());
    lives_through_the_loss_of_its_folder(&Place::open(&url, &Access::default()).unwrap());
}

fn write(place: &Place, writer: usize, puts: usize, owner: bool) {
    let test = joined(place);
    if owner {
        test.store.own().unwrap();
    }
    for number in 0..puts {
        let (path, content) = (format!("/{writer}/{number}"), format!("{writer} {number}"));
        let edits = edits(&test.store, &[(&path, Some(&content)), ("/shared", Some(&content))]);
        common::commit(&test.store, &name("images"), &BranchName::main(), &edits).unwrap();
    }
    assert_sound(&test.store);
}

fn many_machines_make_one_history(place: &Place, puts: usize) {
    const MACHINES: usize = 3;
    let test = made(place);
    std::thread::scope(|scope| {
        for writer in 0..MACHINES {
            scope.spawn(move || write(place, writer, puts, writer == 0));
        }
    });
    test.store.refresh().unwrap();
    let commits: Vec<_> =
        repos::files::log(&test.store, &test.resolve("images")).unwrap().map(Result::unwrap).collect();
    assert_eq!(commits.len(), MACHINES * puts);
    assert_eq!(test.contents("images").len(), MACHINES * puts + 1);
    assert_sound(&test.store);
}

#[test]
fn machines_that_commit_at_the_same_time_make_one_history() {
    many_machines_make_one_history(&memory(), 12);
}

#[test]
fn machines_that_commit_in_turn_see_each_other() {
    let place = memory();
    let (one, other) = (made(&place), joined(&place));
    for number in 0..6 {
        let (writer, reader) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        writer.store.refresh().unwrap();
        writer.set("images", &[(&format!("/{number}"), Some("content"))]);
        reader.store.refresh().unwrap();
        assert_eq!(reader.contents("images").len(), number + 1);
    }
    let journal = |test: &TestStore| std::fs::read(test.store.folder().join("journal")).unwrap();
    assert_eq!(journal(&one), journal(&other), "each has a byte for byte copy");
}

#[test]
fn packs_that_another_machine_folded_are_found_again() {
    let place = memory();
    let (one, other) = (made(&place), joined(&place));
    let data = |test: &TestStore| {
        let listed = std::fs::read_dir(test.store.folder().join("packs")).unwrap();
        listed.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".data.pack")).count()
    };
    for number in 0..7 {
        one.set("images", &[(&format!("/{number}"), Some(&format!("content {number}")))]);
    }
    other.store.refresh().unwrap();
    let tree = other.tree("images");
    one.set("images", &[("/7", Some("content 7"))]);
    assert!(data(&one) < 8, "they were folded");
    // No new record tells of that.
    for _ in 0..2 {
        assert_eq!(contents(&other.store, tree).len(), 7);
    }
    other.set("images", &[("/here", Some("content 3"))]);
    assert_sound(&other.store);
    one.store.refresh().unwrap();
    assert_eq!(one.contents("images").len(), 9);
    assert_sound(&one.store);
}

#[test]
fn two_that_make_the_store_at_the_same_time_make_one() {
    for _ in 0..10 {
        let place = memory();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| joined(&place).store.id().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(joined(&place).store.position().records, 1);
    }
}

#[test]
fn one_request_tells_that_nothing_is_new() {
    let place = memory();
    let test = made(&place);
    test.set("images", &[("/a", Some("1"))]);
    test.store.own().unwrap();
    let dir = test.store.dir().to_owned();
    let TestStore { folder: _folder, store } = test;
    drop(store);
    let plan = Arc::new(Plan::default());
    let reader = options(&flaky(&place, &plan)).open(&dir).unwrap();
    assert_eq!(contents(&reader, reader.resolve(&"images".parse().unwrap()).unwrap().tree()).len(), 1);
    assert_eq!(plan.seen(), 1);
    reader.refresh().unwrap();
    assert_eq!(plan.seen(), 2);
}

#[test]
fn a_file_is_read_again_without_a_request() {
    let place = memory();
    let bytes = large_content(9 << 20);
    let file = {
        let test = made(&place);
        let stored = test.store.put_content(bytes.as_slice()).unwrap();
        let file = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        let mut edits = repos::files::Edits::default();
        edits.files.insert(common::path("/large"), Some(file));
        test.commit("images", &edits);
        file
    };
    let plan = Arc::new(Plan::default());
    let test = joined(&flaky(&place, &plan));
    let joining = plan.seen();
    assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
    let reading = plan.seen() - joining;
    assert!((1..=3).contains(&reading), "blocks, not chunks: {reading}");
    assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
    assert_eq!(plan.seen(), joining + reading);
    // A copy that went bad is not taken for the file, and is fetched again.
    for copy in std::fs::read_dir(test.store.folder().join("cache")).unwrap().map(|copy| copy.unwrap().path()) {
        let length = std::fs::metadata(&copy).unwrap().len() as usize;
        for garbage in [vec![0xa5; length], vec![1; length / 2], Vec::new()] {
            std::fs::write(&copy, garbage).unwrap();
            assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
        }
    }
    test.resolve("images").tree();
    assert_sound(&test.store);
}

#[test]
fn copies_of_data_are_bounded() {
    let place = memory();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("packs")).unwrap();
    let mut names = Vec::new();
    {
        let packs = ObjectPacks::new(place.clone(), folder.path());
        for number in 0..6_u8 {
            let mut writer = repos::packs::writer::PackWriter::new(repos::object::PackClass::Data, u64::MAX);
            let mut bytes = large_content(5 << 20);
            bytes[0] = number;
            writer.append(&packs, repos::object::Kind::Chunk, repos::hash::digest_of(&bytes), &bytes).unwrap();
            names.push(writer.finish().unwrap().remove(0).name);
        }
    }
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir(elsewhere.path().join("packs")).unwrap();
    let packs = ObjectPacks::new(place, elsewhere.path()).cache_bytes(12 << 20);
    for name in names.iter().chain(&names) {
        assert_eq!(packs.read(name, (5 << 20)..(5 << 20) + 10).unwrap().len(), 10);
        assert_eq!(packs.read(name, 0..5 << 20).unwrap().len(), 5 << 20);
    }
    let kept: Vec<u64> = std::fs::read_dir(elsewhere.path().join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(kept.iter().sum::<u64>() <= (12 << 20) + (5 << 20), "{kept:?}");
    // Those written here make way as well.
    let writer = ObjectPacks::new(Place::open(URL, &Access::default()).unwrap(), folder.path()).cache_bytes(8 << 20);
    assert_eq!(writer.known().unwrap().0.len(), 6);
}

fn put(store: &Store) -> Result<(), RepoError> {
    let bytes = large_content(700_000);
    let stored =
        store.put_content(bytes.as_slice()).map_err(|error| error.downcast().unwrap_or(RepoError::GraphMoved))?;
    let mut edits = repos::files::Edits::default();
    for (path, bytes) in [("/a", "new a"), ("/b", "new b")] {
        let stored = store.put_bytes(bytes.as_bytes())?;
        let entry = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        edits.files.insert(common::path(path), Some(entry));
    }
    let large = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    edits.files.insert(common::path("/large"), Some(large));
    common::commit(store, &name("images"), &BranchName::main(), &edits).map(|_| ())
}

/// Breaks one request after another until none is left to break; `stays`: all after it as well.
fn whole_or_absent(stays: bool, only_answer: bool) {
    let mut unsure = 0;
    for n in 0.. {
        let place = memory();
        let test = made(&place);
        test.set("images", &[("/a", Some("old a"))]);
        let before = test.contents("images");
        let plan = Plan::failing(n..if stays { u64::MAX } else { n + 1 }, only_answer);
        let opened = options(&flaky(&place, &plan)).open(test.store.dir());
        let done = opened.and_then(|store| put(&store));
        let ended = plan.seen() <= n;
        let reopened = options(&place).open(test.store.dir()).unwrap();
        assert_sound(&reopened);
        let now = contents(&reopened, reopened.resolve(&"images".parse().unwrap()).unwrap().tree());
        match &done {
            Ok(()) => assert_eq!(now.len(), 3, "request {n}"),
            // When all answers are lost from the record's on, nobody can know that it is there: it is whole then, or absent.
            Err(RepoError::Unsure { why, source: None }) => {
                assert!(stays && (now.len() == 3 || now == before), "request {n}");
                assert!(why.contains("journal/0000"), "{why}");
                unsure += 1;
            }
            Err(error) => {
                assert_eq!(now, before, "request {n}");
                assert_eq!(error.kind(), specs::ErrorKind::Unavailable, "{error}");
            }
        }
        put(&reopened).unwrap();
        assert_sound(&reopened);
        let elsewhere = joined(&place);
        assert_eq!(elsewhere.contents("images").len(), 3, "request {n}");
        assert_sound(&elsewhere.store);
        if ended {
            assert!(n >= 4, "there were requests to break: {n}");
            assert_eq!(unsure > 0, stays, "only the record itself can be in doubt");
            return;
        }
    }
}

#[test]
fn a_put_is_whole_or_absent_whichever_request_fails() {
    whole_or_absent(false, false);
    whole_or_absent(true, false);
}

#[test]
fn a_put_is_whole_or_absent_whichever_answer_is_lost() {
    whole_or_absent(false, true);
    whole_or_absent(true, true);
}

#[test]
fn a_change_that_nobody_is_sure_of_is_seen_by_the_next() {
    let create = |repo: &str| Change::of(vec![Entry::RepoCreate { repo: name(repo), repo_kind: RepoKind::User }]);
    for owner in [false, true] {
        let mut unsure = 0;
        for n in 0..12 {
            let place = memory();
            let test = made(&place);
            // Two tries to write the record, and two looks for it.
            let plan = Plan::failing(n..n + 4, true);
            let Ok(store) = options(&flaky(&place, &plan)).open(test.store.dir()) else { continue };
            if owner && store.own().is_err() {
                continue;
            }
            let done = store.publish(&create("rules"));
            if let Err(RepoError::Unsure { .. }) = &done {
                unsure += 1;
                assert!(joined(&place).store.has_repo(&name("rules")).unwrap(), "its answer was all that was lost");
                store.publish(&create("other")).unwrap();
                assert!(store.has_repo(&name("rules")).unwrap(), "request {n}");
                let error = store.publish(&create("rules")).unwrap_err();
                assert_eq!(error.kind(), specs::ErrorKind::Conflict, "{error}");
            }
            drop(store);
            assert_sound(&joined(&place).store);
        }
        assert_eq!(unsure, 1, "owner: {owner}");
    }
}

#[test]
fn a_place_is_finished_whichever_request_of_init_fails() {
    for (n, only_answer) in (0..8).flat_map(|n| [(n, false), (n, true)]) {
        let place = memory();
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::failing(n..u64::MAX, only_answer);
        options(&flaky(&place, &plan)).init_shared(folder.path(), URL, BranchName::main()).ok();
        if !Store::is_at(folder.path()) {
            options(&place).init_shared(folder.path(), URL, BranchName::main()).unwrap();
        }
        let store = options(&place).open(folder.path()).unwrap();
        assert_eq!(store.position().records, 1, "request {n}");
        let entry = Entry::RepoCreate { repo: name("images"), repo_kind: RepoKind::User };
        store.publish(&Change::of(vec![entry])).unwrap();
        assert_sound(&joined(&place).store);
    }
}

#[test]
fn a_large_upload_is_whole_or_absent_whichever_part_fails() {
    let bytes = large_content(20 << 20);
    for n in 0.. {
        let place = memory();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("packs")).unwrap();
        let plan = Plan::failing(n..n + 1, false);
        let packs = ObjectPacks::new(flaky(&place, &plan), folder.path());
        let mut writer = repos::packs::writer::PackWriter::new(repos::object::PackClass::Data, u64::MAX);
        for chunk in bytes.chunks(1 << 20) {
            writer.append(&packs, repos::object::Kind::Chunk, repos::hash::digest_of(chunk), chunk).unwrap();
        }
        if writer.finish().is_err() {
            assert_eq!(packs.list().unwrap(), []);
            writer.finish().unwrap();
        } else if plan.seen() <= n {
            assert!(n >= 5, "three parts, begin and end: {n}");
            return;
        }
        let (name, length) = packs.list().unwrap()[0];
        assert_eq!(repos::packs::writer::read_index(&packs, &name, length).unwrap().len(), 20);
    }
}

#[test]
fn a_record_that_is_gone_or_damaged_is_told() {
    use object_store::ObjectStoreExt;
    let place = memory();
    let test = made(&place);
    test.set("images", &[("/a", Some("1"))]);
    let last = ObjectPath::from("journal/00000000000000000003");
    let block_on = |work: &dyn Fn(Arc<dyn ObjectStore>)| {
        let _same = place.wrapped(|objects| {
            work(objects.clone());
            objects
        });
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    block_on(&|objects| runtime.block_on(objects.put(&last, "other".into())).map(|_| ()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let joining = options(&place).init_shared(folder.path(), URL, BranchName::main()).unwrap_err();
    assert!(matches!(joining, RepoError::DamagedJournal { record: 3, .. }), "{joining}");
}

/// Takes a record away from a place.
fn lose(place: &Place, record: u64) {
    use object_store::ObjectStoreExt;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _same = place.wrapped(|objects| {
        runtime.block_on(objects.delete(&ObjectPath::from(format!("journal/{record:020}")))).unwrap();
        objects
    });
}

#[test]
fn a_place_that_lost_its_last_records_gets_them_back_from_a_copy() {
    let place = memory();
    let test = made(&place);
    let commits = ["1", "2", "3"].map(|content| test.set("images", &[("/a", Some(content))]));
    lose(&place, 5);
    lose(&place, 4);
    let one = options(&place).open(test.store.dir()).unwrap();
    assert_eq!((one.position().records, one.resolve(&"images".parse().unwrap()).unwrap().id), (5, commits[2]));
    let other = joined(&place);
    assert_eq!((other.store.position(), other.resolve("images").id), (one.position(), commits[2]));
    // While it is being written to as well.
    lose(&place, 5);
    test.store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    assert_eq!(joined(&place).store.position(), test.store.position());
    assert_sound(&other.store);
}

#[test]
fn a_journal_that_forked_shows_both_sides_and_a_repair_takes_up_the_places() {
    let place = memory();
    let (test, other) = (made(&place), joined(&place));
    let lost = test.set("images", &[("/a", Some("lost"))]);
    lose(&place, 3);
    // The other machine has not seen it.
    let edits = edits(&other.store, &[("/a", Some("kept"))]);
    let kept = common::commit(&other.store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
    let error =
        test.store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap_err();
    let RepoError::DamagedJournal { record: 3, why } = error else { panic!("{error}") };
    let line = |store: &Store| {
        let text = std::fs::read_to_string(store.folder().join("journal")).unwrap();
        text.lines().nth(2).unwrap()[..12].to_owned()
    };
    assert!(why.contains(&line(&test.store)) && why.contains(&line(&other.store)) && why.contains("--repair"), "{why}");
    let dir = test.store.dir().to_owned();
    let TestStore { folder: _folder, store } = test;
    drop(store);
    let reopen = || options(&place).open_damaged(&dir);
    let store = reopen().unwrap();
    let report = check(&store, &|_, _, _| {}).unwrap();
    assert!(report.problems.iter().any(|problem| problem.why.contains("it forked")), "{report:?}");
    let repair = Repair::begin(store, &report, None, reopen, &|_, _, _| {}).unwrap();
    let done = repair.finish().unwrap();
    assert!(done.iter().any(|done| done.is_healed && done.how.contains("Superseded")), "{done:?}");
    let store = options(&place).open(&dir).unwrap();
    assert_eq!(store.resolve(&"images".parse().unwrap()).unwrap().id, kept);
    assert_eq!(store.position(), other.store.position());
    store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    other.store.refresh().unwrap();
    assert_eq!((store.position(), store.commit_row(&lost).unwrap()), (other.store.position(), None));
    assert_sound(&store);
}

#[test]
fn urls_that_are_none_are_refused() {
    for url in
        ["bucket", "s3://", "s3://key:secret@bucket", "gs://bucket", "s3://bu cket", "s3://bucket/a//b", "file://x"]
    {
        let error = Place::open(url, &Access::default()).unwrap_err();
        assert_eq!(error.kind(), specs::ErrorKind::Usage, "{url}");
    }
    let access = Access::new([("AWS_SECRET_ACCESS_KEY".to_owned(), "hidden".to_owned())]);
    assert!(!format!("{access:?}").contains("hidden"));
    let plain = Access::new([("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:9".to_owned())]);
    let error = Place::open("s3://bucket", &plain).unwrap_err();
    assert!(error.hint().unwrap().contains("AWS_ALLOW_HTTP"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let variables = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_MAX_ATTEMPTS", "2"),
    ];
    let access = Access::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::default().access(access);
    let error = options.init_shared(folder.path(), "s3://bucket/prefix", BranchName::main()).unwrap_err();
    assert_eq!(error.kind(), specs::ErrorKind::Unavailable);
    assert!(error.to_string().contains("s3://bucket/prefix/format"), "{error}");
    assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL"));
    assert!(!Path::new(folder.path()).join(".pv/format").exists());
}

#[test]
fn s3_holds_stores_as_memory_does() {
    let Some(server) = S3Server::start() else { return };
    let access = Access::new(server.variables());
    let place = |prefix: &str| Place::open(&S3Server::url(prefix), &access).unwrap();
    keeps_the_contract(&place("contract"));
    lives_through_the_loss_of_its_folder(&place("a/deep/prefix"));
    many_machines_make_one_history(&place("machines"), 4);
    let error = Place::open("s3://no-such-bucket/x", &access)
        .and_then(|place| ObjectPacks::new(place, Path::new("/nowhere")).list());
    assert!(error.is_err());
}

fn mirror(store: &Store, url: &str) -> Result<repos::store::Mirrored, RepoError> {
    store.mirror(url, &Access::default(), false, &|_, _, _| {})
}

fn mirror_folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/mirror", folder.path().display());
    (folder, url)
}

#[test]
fn a_mirror_takes_what_is_new_and_becomes_a_store_again() {
    let (_folder, url) = mirror_folder();
    let test = TestStore::new();
    for (number, records) in (0..4).zip(3..) {
        test.set("images", &[(&format!("/{number}"), Some("content"))]);
        let done = mirror(&test.store, &url).unwrap();
        assert_eq!((done.records, done.new_records), (records, if number == 0 { 3 } else { 1 }));
        assert!((1..=2).contains(&done.new_packs) && done.packs >= done.new_packs, "{done:?}");
    }
    let done = mirror(&test.store, &url).unwrap();
    assert_eq!((done.new_packs, done.new_bytes, done.new_records), (0, 0, 0));
    let journal = std::fs::read(test.store.folder().join("journal")).unwrap();
    assert_eq!(repos::store::journal_at(&url, &Access::default()).unwrap(), journal);
    let back = tempfile::tempdir().unwrap();
    let alone = OpenOptions::default().init_from(back.path(), &url, &|_, _, _| {}).unwrap();
    assert_eq!(alone.position(), test.store.position());
    assert_eq!(alone.id().unwrap(), test.store.id().unwrap());
    assert_eq!(alone.objects_url().unwrap(), None);
    assert_sound(&alone);
    let place = Place::open(&url, &Access::default()).unwrap();
    let on_it = joined(&place);
    assert_eq!(on_it.contents("images"), test.contents("images"));
    assert_sound(&on_it.store);
    // Each goes its own way now, and nobody's is overwritten.
    on_it.set("images", &[("/there", Some("1"))]);
    let ahead = mirror(&test.store, &url).unwrap_err();
    assert_eq!(ahead.kind(), specs::ErrorKind::Conflict, "{ahead}");
    test.set("images", &[("/here", Some("1"))]);
    let apart = mirror(&test.store, &url).unwrap_err();
    assert_eq!(apart.kind(), specs::ErrorKind::Conflict, "{apart}");
    let other = mirror(&TestStore::new().store, &url).unwrap_err();
    assert_eq!(other.kind(), specs::ErrorKind::Conflict, "{other}");
    on_it.store.refresh().unwrap();
    assert_sound(&on_it.store);
}

#[test]
fn a_mirror_that_was_broken_off_goes_on() {
    let (folder, url) = mirror_folder();
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    mirror(&test.store, &url).unwrap();
    test.set("images", &[("/a", Some("2"))]);
    test.set("images", &[("/a", Some("3"))]);
    let before = mirror(&test.store, &url).unwrap();
    let place = folder.path().join("mirror");
    std::fs::remove_file(place.join("journal/00000000000000000004")).unwrap();
    let mut lost = 0;
    for pack in std::fs::read_dir(place.join("packs")).unwrap().map(|pack| pack.unwrap().path()).take(2) {
        std::fs::remove_file(pack).unwrap();
        lost += 1;
    }
    std::fs::remove_file(place.join("format")).unwrap();
    let back = tempfile::tempdir().unwrap();
    let none = OpenOptions::default().init_from(back.path(), &url, &|_, _, _| {}).unwrap_err();
    assert_eq!(none.kind(), specs::ErrorKind::NotFound, "{none}");
    let done = mirror(&test.store, &url).unwrap();
    assert_eq!((done.new_packs, done.packs), (lost, before.packs));
    let alone = OpenOptions::default().init_from(back.path(), &url, &|_, _, _| {}).unwrap();
    assert_sound(&alone);
    assert_eq!(alone.position(), test.store.position());
}

#[test]
fn a_pack_that_is_lost_here_stays_in_the_mirror_unless_it_is_pruned() {
    let (_folder, url) = mirror_folder();
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    mirror(&test.store, &url).unwrap();
    let packs = test.store.folder().join("packs");
    let lost = std::fs::read_dir(&packs).unwrap().next().unwrap().unwrap();
    let bytes = std::fs::read(lost.path()).unwrap();
    std::fs::remove_file(lost.path()).unwrap();
    let store = Store::open(test.store.dir()).unwrap();
    mirror(&store, &url).unwrap();
    let there = repos::packs::open_url(&url, &Access::default()).unwrap();
    let name = lost.file_name().to_string_lossy().parse().unwrap();
    assert_eq!(there.read(&name, 0..1 << 20).unwrap(), bytes);
    let done = store.mirror(&url, &Access::default(), true, &|_, _, _| {}).unwrap();
    assert_eq!(done.removed_packs, 1);
    there.read(&name, 0..1).unwrap_err();
}
