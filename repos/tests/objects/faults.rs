//! Failing requests, and lost answers.

use repos::journal::{Entry, RepoKind};
use repos::packs::{ObjectPacks, PackStore};
use repos::{Change, RepoError, Store};
use specs::BranchName;

use super::{URL, assert_sound, joined, large_content, made, memory, options};
use crate::common::{self, contents, name};
use crate::flaky::{Plan, flaky};

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

/// Fails one request after another until none is left; `stays`: all later ones fail too.
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
            // If all answers from the record's on are lost, nobody can know whether it exists: it is complete or absent.
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
            // Two attempts to write the record, and two lookups.
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
