//! Writes to the journal or the packs by someone without a key are reported, and not followed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{TestStore, name, options, run_entry};
use repos::documents::{Commit, canonical};
use repos::fsck::{Subject, check};
use repos::hash::digest_of;
use repos::journal::{Entry, Journal, Move, Position, Record, RepoKind, SealedState};
use repos::{Change, DoubtWhy, RepoError, Store};
use serde_json::{Value, json};
use specs::{BranchName, CommitId, Digest, ErrorKind, RunId};

/// A store with a commit in each of two repositories.
fn example() -> (TestStore, CommitId, CommitId) {
    let test = TestStore::new();
    let images = test.set("images", &[("/a", Some("1"))]);
    test.store
        .publish(&Change::of(vec![Entry::RepoCreate { repo: name("rules"), repo_kind: RepoKind::User }]))
        .unwrap();
    let rules = test.set("rules", &[("/rule", Some("1"))]);
    (test, images, rules)
}

/// Changes the records of a journal and recomputes all digests. Deletes the index and the note of the journal's end.
fn rewrite(dir: &Path, change: impl FnOnce(&mut Vec<Value>)) {
    let path = dir.join(".pv/journal");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut records: Vec<Value> = text.lines().map(|line| serde_json::from_str(&line[65..]).unwrap()).collect();
    change(&mut records);
    let (mut text, mut previous) = (String::new(), None::<Digest>);
    for record in &mut records {
        if let Some(previous) = previous {
            record["previous"] = json!(previous);
        }
        let json = canonical(record);
        previous = Some(digest_of(&json));
        text.push_str(&format!("{} {}\n", digest_of(&json), String::from_utf8(json).unwrap()));
    }
    std::fs::write(path, text).unwrap();
    std::fs::remove_dir_all(dir.join(".pv/index")).ok();
    std::fs::remove_file(dir.join(".pv/position")).ok();
}

fn unsign(records: &mut [Value]) {
    for record in records {
        record["format"] = json!(1);
        record.as_object_mut().unwrap().remove("signature");
    }
}

/// A record of an older version.
fn record(entries: &[Entry]) -> Value {
    json!({"format": 1, "at": "2026-07-01T12:14:43.000123Z", "entries": entries})
}

fn moved(repo: &str, from: Option<CommitId>, to: CommitId) -> Move {
    Move { repo: name(repo), branch: BranchName::main(), from, to: Some(to) }
}

fn moves(number: u8, moved: Move) -> Entry {
    run_entry(RunId::from_bytes([number; 16]), vec![moved], repos::Timestamp::from_micros(0))
}

fn copy(test: &TestStore) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(test.store.folder()).arg(folder.path()).status();
    assert!(status.unwrap().success());
    let dir = folder.path().to_owned();
    (folder, dir)
}

fn why(error: &RepoError) -> (u64, String) {
    let RepoError::DamagedJournal { record, why } = error else { panic!("{error}") };
    (*record, why.clone())
}

#[test]
fn a_move_to_a_commit_of_another_repository_is_refused_and_in_an_old_journal_damage() {
    let (test, images, rules) = example();
    let forged = moves(7, moved("rules", Some(rules), images));
    let error = test.store.publish(&Change::of(vec![forged.clone()])).unwrap_err();
    assert!(error.to_string().contains("belongs to repository `images`, not to `rules`"), "{error}");
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| {
        unsign(records);
        records.push(record(&[forged]));
    });
    let (record, said) = why(&Store::open(&dir).unwrap_err());
    assert_eq!(record, 6);
    assert!(said.contains("belongs to repository `images`"), "{said}");
    let report = check(&options().open_damaged(&dir).unwrap(), &|_, _, _| {}).unwrap();
    assert!(report.problems.iter().any(|problem| problem.why.contains("belongs to repository `images`")), "{report:?}");
}

#[test]
fn what_commands_refuse_is_refused_where_it_takes_effect() {
    let (test, images, rules) = example();
    let (store, run) = (&test.store, RunId::from_bytes([1; 16]));
    let entries = |cause: &str, moves: &[Move]| {
        let mut entry = serde_json::to_value(run_entry(run, moves.to_vec(), store.clock().now())).unwrap();
        entry["cause"]["cause"] = json!(cause);
        vec![serde_json::from_value::<Entry>(entry).unwrap()]
    };
    let job = |repo: &str, state, commit, moved| {
        let pipeline = repo.parse().unwrap();
        let seeds = json!([{"pipeline": repo, "version": 1}]);
        let mut run = serde_json::to_value(run_entry(run, Vec::new(), store.clock().now())).unwrap();
        run["jobs"] = seeds;
        vec![
            serde_json::from_value(run).unwrap(),
            Entry::Job { pipeline, run: RunId::from_bytes([1; 16]), state, commit, document: None, moved },
        ]
    };
    let version = |version, byte| {
        let document = Digest::from_bytes([byte; 32]);
        vec![Entry::PipelineApply { pipeline: "detect".parse().unwrap(), version, document }]
    };
    store.publish(&Change::of([version(1, 1), version(2, 2)].concat())).unwrap();
    let failed = Commit {
        error: Some(repos::documents::CommitError { state: "failure".to_owned(), message: String::new() }),
        ..store.commit(&images).unwrap()
    };
    let failed = store.put_commit(&failed).unwrap();
    let other =
        store.put_commit(&Commit { run: RunId::from_bytes([9; 16]), ..store.commit(&images).unwrap() }).unwrap();
    let to = |to| moved("images", Some(images), to);
    let refused: [(&str, Vec<Entry>); 12] = [
        ("a commit of a failed job", entries("commit", &[to(failed)])),
        ("a commit of another run", entries("commit", &[to(other)])),
        ("a try that moves", entries("try", &[to(images)])),
        ("a rerun that moves", entries("rerun", &[to(images)])),
        ("a clock in a user's repository", entries("cron", &[to(images)])),
        ("a job that moves another's branch", job("detect", SealedState::Success, Some(images), Some(to(images)))),
        ("a job that failed and moves", job("images", SealedState::Failure, Some(images), Some(to(images)))),
        ("a job that moves to what it did not make", job("images", SealedState::Success, None, Some(to(images)))),
        ("a version once more", version(2, 3)),
        ("an older version", version(1, 1)),
        (
            "a tag on another's commit",
            vec![Entry::TagCreate { repo: name("images"), tag: "t".parse().unwrap(), commit: rules, document: None }],
        ),
        ("a key that nobody vouches for", vec![Entry::KeyTrust { key: Digest::from_bytes([1; 32]) }]),
    ];
    let before = store.position();
    for (what, entries) in refused {
        assert!(store.publish(&Change::of(entries)).is_err(), "{what}");
    }
    assert_eq!(store.position(), before);
    // A run id can be used only once.
    store.publish(&Change::of(entries("move", &[to(images)]))).unwrap();
    assert!(store.publish(&Change::of(entries("move", &[to(images)]))).is_err());
}

#[test]
fn a_record_without_signature_is_in_doubt_and_no_engine_works_on_it() {
    let (test, images, _) = example();
    let second = test.set("images", &[("/a", Some("2"))]);
    assert_eq!(test.store.doubts().unwrap(), []);
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| records.push(record(&[moves(7, moved("images", Some(second), images))])));
    for reopened in [false, true] {
        let store = Store::open(&dir).unwrap();
        assert_eq!(store.head(&name("images"), &BranchName::main()).unwrap(), images, "readers see what is written");
        let doubts = store.doubts().unwrap();
        assert_eq!((doubts.len(), doubts[0].record, doubts[0].why), (1, 7, DoubtWhy::Unsigned), "{reopened}");
        assert_eq!(doubts[0].does, "moves images@main");
        let report = check(&store, &|_, _, _| {}).unwrap();
        assert!(report.problems.iter().any(|problem| problem.subject == Subject::Record(7)), "{report:?}");
        assert_eq!(why(&store.own().unwrap_err()).0, 7);
    }
}

#[test]
fn a_record_that_was_changed_or_signed_by_another_key_is_in_doubt() {
    let (test, ..) = example();
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| records[1]["entries"][0]["repo"] = json!("images2"));
    // The following records no longer match.
    assert_eq!(Store::open(&dir).unwrap_err().kind(), ErrorKind::Damaged);
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| {
        let signature = records[1]["signature"].clone();
        records.push(json!({"format": 2, "at": records[0]["at"], "signature": signature,
            "entries": [{"kind": "setting", "key": "jobs", "value": "9"}]}));
    });
    assert_eq!(Store::open(&dir).unwrap().doubts().unwrap()[0].why, DoubtWhy::Bad);
    let (_folder, dir) = copy(&test);
    let mallory = options().key(dir.join("own")).open(&dir).unwrap();
    let key = {
        mallory.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
        mallory.public_key().unwrap().unwrap().fingerprint()
    };
    mallory.publish(&Change::of(vec![Entry::KeyTrust { key }])).unwrap();
    let whys: Vec<_> = Store::open(&dir).unwrap().doubts().unwrap().iter().map(|doubt| doubt.why).collect();
    assert_eq!(whys, [DoubtWhy::Unvouched; 2], "its own word is none");
}

#[test]
fn a_key_takes_the_place_of_another_only_with_its_word() {
    let (test, ..) = example();
    let own = test.store.public_key().unwrap().unwrap();
    let other = TestStore::new().store.public_key().unwrap().unwrap();
    let (previous, signature) = (Some(own.fingerprint()), Some(repos::keys::Signature::from_bytes(&[5; 64]).unwrap()));
    for signature in [None, signature] {
        let entry = Entry::Key { public_key: other.clone(), previous, signature };
        let error = test.store.publish(&Change::of(vec![entry])).unwrap_err();
        assert!(error.to_string().contains("did not sign"), "{error}");
    }
    // A record signed by a replaced key is in doubt, whoever has the key: here it was signed before the replacement and written after it.
    let (_folder, dir) = copy(&test);
    let store = Store::open(&dir).unwrap();
    store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    assert_eq!(store.doubts().unwrap(), []);
    test.store.replace_key().unwrap();
    test.store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    assert_eq!(test.store.doubts().unwrap(), []);
}

#[test]
fn a_journal_that_was_cut_back_or_replaced_is_told_from_signed_commits() {
    let (test, images, _) = example();
    let [.., last] = [2, 3, 4, 5].map(|n| test.set("images", &[("/a", Some(&format!("{n}")))]));
    assert_eq!(test.store.cut_back().unwrap(), None);
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| records.truncate(5));
    let store = Store::open(&dir).unwrap();
    assert_eq!(store.head(&name("images"), &BranchName::main()).unwrap(), images);
    let cut_back = store.cut_back().unwrap().unwrap();
    assert_eq!((cut_back.commit, cut_back.had, cut_back.has, cut_back.newer), (last, 8, 5, 4));
    let report = check(&store, &|_, _, _| {}).unwrap();
    assert!(report.problems.iter().any(|problem| problem.why.contains("it was cut back")), "{report:?}");
    // Replacing them with other records does not hide it.
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| {
        records.truncate(5);
        for n in 0..6 {
            records.push(record(&[Entry::Setting { key: "jobs".to_owned(), value: Some(n.to_string()) }]));
        }
    });
    let cut_back = Store::open(&dir).unwrap().cut_back().unwrap().unwrap();
    assert!(cut_back.to_string().contains("record 8 differs from the record"), "{cut_back}");
}

#[test]
fn a_last_record_that_went_is_told_from_a_writer_that_died_before_it() {
    let (test, ..) = example();
    test.set("images", &[("/a", Some("2"))]);
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| records.truncate(records.len() - 1));
    let store = Store::open(&dir).unwrap();
    assert_eq!((store.unnamed_at_end().unwrap().len(), store.has_lost_its_end().unwrap()), (1, true));
    // A commit is signed, but its writer dies before the record is written.
    let images = test.resolve("images");
    let other = Commit { run: RunId::from_bytes([9; 16]), ..images.commit };
    let other = test.store.put_commit(&other).unwrap();
    let refused = moves(7, moved("images", Some(images.id), other));
    test.store.publish(&Change::of(vec![refused])).unwrap_err();
    test.store.finish_packs().unwrap();
    assert_eq!(test.store.unnamed_at_end().unwrap(), [], "a living writer may still come to it");
    let (_folder, dir) = copy(&test);
    let store = Store::open(&dir).unwrap();
    assert_eq!((store.unnamed_at_end().unwrap(), store.has_lost_its_end().unwrap()), (vec![other], false));
    assert_eq!(store.cut_back().unwrap(), None);
    assert!(check(&store, &|_, _, _| {}).unwrap().problems.is_empty());
}

#[test]
fn records_of_before_are_read_and_said_to_be_unsigned() {
    let (test, ..) = example();
    let (_folder, dir) = copy(&test);
    rewrite(&dir, |records| unsign(records));
    let store = Store::open(&dir).unwrap();
    assert_eq!((store.unsigned_before().unwrap(), store.doubts().unwrap()), (None, vec![]));
    store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    let report = check(&store, &|_, _, _| {}).unwrap();
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.starts_with("records 1 to 5 of the journal were made before records were signed")),
        "{report:?}"
    );
    let read = Journal::new(dir.join(".pv/journal")).read_after(Position::default()).unwrap();
    let formats: Vec<u32> = read.records.iter().map(|(record, _): &(Record, Position)| record.format).collect();
    assert_eq!(formats, [1, 1, 1, 1, 1, 2]);
}
