//! A journal with a torn end can be continued; damage is reported; the index can be rebuilt from it at any time.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::{TestStore, name, run_entry};
use repos::documents::TagDocument;
use repos::fsck::check;
use repos::journal::{Entry, JobSeed, Journal, Position, SealedState};
use repos::{Change, RepoError, Store};
use specs::RunId;

fn example() -> TestStore {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    test.set("images", &[("/a", Some("2"))]);
    test
}

fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join(".pv/packs")).unwrap();
    for file in ["format", "journal"] {
        std::fs::copy(from.join(".pv").join(file), to.join(".pv").join(file)).unwrap();
    }
    for entry in std::fs::read_dir(from.join(".pv/packs")).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(".pv/packs").join(entry.file_name())).unwrap();
    }
}

/// The journal's bytes, and the offset of its last line.
fn journal(dir: &Path) -> (Vec<u8>, usize) {
    let bytes = std::fs::read(dir.join(".pv/journal")).unwrap();
    let start = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    (bytes, start)
}

#[test]
fn a_torn_last_record_never_happened_wherever_it_is_cut() {
    let test = example();
    let (bytes, start) = journal(test.store.dir());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    for length in start..bytes.len() {
        let mut zeros = bytes[..length].to_vec();
        zeros.resize(bytes.len() - 1, 0);
        zeros.push(b'\n');
        for torn in [bytes[..length].to_vec(), zeros] {
            if torn == bytes {
                continue; // all but the newline came, and then the newline
            }
            std::fs::write(&path, torn).unwrap();
            let read = Journal::new(path.clone()).read_after(Position::default()).unwrap();
            assert_eq!((read.end.bytes, read.end.records), (start as u64, 3), "cut at {length}");
        }
    }
}

#[test]
fn the_next_writer_overwrites_a_torn_record() {
    let test = example();
    let (bytes, start) = journal(test.store.dir());
    for length in [start, start + 1, usize::midpoint(start, bytes.len()), bytes.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        copy_store(test.store.dir(), folder.path());
        std::fs::write(folder.path().join(".pv/journal"), &bytes[..length]).unwrap();
        let copy = TestStore { store: common::options().open(folder.path()).unwrap(), folder };
        assert_eq!(copy.contents("images"), [("/a".to_owned(), "1".to_owned())]);
        copy.set("images", &[("/b", Some("3"))]);
        let reopened = Store::open(copy.store.dir()).unwrap();
        assert_eq!(check(&reopened, &|_, _, _| {}).unwrap().problems, []);
        assert_eq!(reopened.position().records, 4);
    }
}

#[test]
fn a_flipped_byte_anywhere_else_is_damage() {
    let test = example();
    let (bytes, _) = journal(test.store.dir());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    // The last byte is the newline: without it the record looks torn.
    for at in 0..bytes.len() - 1 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let error = Journal::new(path.clone()).read_after(Position::default()).unwrap_err();
        assert!(matches!(error, RepoError::DamagedJournal { .. }), "byte {at}: {error}");
    }
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for taken in 0..lines.len() - 1 {
        let without: Vec<u8> =
            lines.iter().enumerate().filter(|(at, _)| *at != taken).flat_map(|(_, line)| line.to_vec()).collect();
        std::fs::write(&path, without).unwrap();
        Journal::new(path.clone()).read_after(Position::default()).unwrap_err();
    }
}

/// Everything that the index knows of names, runs, jobs and pipelines.
fn snapshot(store: &Store) -> String {
    let (id, branch, settings) = (store.id().unwrap(), store.default_branch().unwrap(), store.settings().unwrap());
    let mut lines = vec![format!("{id} {branch} {settings:?}")];
    for (repo, row) in store.repos().unwrap() {
        let (branches, tags) = (store.branches(&repo).unwrap(), store.tags(&repo).unwrap());
        lines.push(format!("{repo} {row:?} {branches:?} {tags:?}"));
    }
    for order in 1..=store.runs_count().unwrap() {
        lines.push(format!("{:?} {:?}", store.run_at(order).unwrap(), store.jobs_of_run(order).unwrap()));
    }
    let (pipelines, open) = (store.pipelines().unwrap(), store.open_jobs().unwrap());
    lines.push(format!("{pipelines:?} {open:?} {}", store.graph().unwrap()));
    lines.push(format!("{:?}", store.commits_by_prefix("", 100).unwrap()));
    lines.join("\n")
}

fn rich_example() -> TestStore {
    let test = example();
    let head = test.resolve("images").id;
    let document =
        test.store.put_document(&TagDocument { author: "anna".to_owned(), message: "good".to_owned() }).unwrap();
    let pipeline: specs::PipelineName = "detect".parse().unwrap();
    let run = |number| RunId::from_bytes([number; 16]);
    let at = test.store.clock().now();
    let jobs = |entry| {
        let Entry::Run { run, cause, moves, .. } = entry else { unreachable!() };
        Entry::Run { run, cause, moves, jobs: vec![JobSeed { pipeline: "detect".parse().unwrap(), version: 1 }] }
    };
    let sealed =
        |run, state| Entry::Job { pipeline: pipeline.clone(), run, state, commit: None, document: None, moved: None };
    for entries in [
        vec![Entry::TagCreate {
            repo: name("images"),
            tag: "v1".parse().unwrap(),
            commit: head,
            document: Some(document),
        }],
        vec![Entry::Setting { key: "jobs".to_owned(), value: Some("3".to_owned()) }],
        vec![Entry::PipelineApply { pipeline: pipeline.clone(), version: 1, document }],
        vec![jobs(run_entry(run(1), Vec::new(), at)), jobs(run_entry(run(2), Vec::new(), at))],
        vec![sealed(run(1), SealedState::Failure)],
    ] {
        test.store.publish(&Change::of(entries)).unwrap();
    }
    test
}

#[test]
fn the_index_is_made_anew_when_it_is_gone_or_garbage() {
    let test = rich_example();
    let dir = test.store.dir().to_owned();
    let expected = snapshot(&test.store);
    assert!(expected.contains("detect") && expected.contains("v1"));
    assert_eq!(snapshot(&Store::open(&dir).unwrap()), expected);
    test.store.rebuild_index().unwrap();
    assert_eq!(snapshot(&test.store), expected);
    let index = dir.join(".pv/index");
    assert!(index.join("CURRENT").exists());
    assert_eq!(snapshot(&Store::open(&dir).unwrap()), expected, "read from disk");
    for (number, file) in std::fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path()).enumerate() {
        let bytes = std::fs::read(&file).unwrap();
        for garbage in [vec![0xa5; bytes.len().max(64)], bytes[..bytes.len() / 2].to_vec(), Vec::new()] {
            if file.file_name().is_some_and(|name| name != "LOCK") {
                std::fs::write(&file, garbage).unwrap();
                assert_eq!(snapshot(&Store::open(&dir).unwrap()), expected, "{number} {}", file.display());
            }
        }
        std::fs::write(&file, bytes).unwrap();
    }
    std::fs::remove_dir_all(&index).unwrap();
    assert_eq!(snapshot(&Store::open(&dir).unwrap()), expected);
    std::fs::create_dir(&index).unwrap();
    std::fs::write(index.join("CURRENT"), "garbage").unwrap();
    let owner = Store::open(&dir).unwrap();
    owner.own().unwrap();
    assert_eq!(snapshot(&owner), expected);
    assert_eq!(
        check(&owner, &|_, _, _| {})
            .unwrap()
            .problems
            .iter()
            .filter(|problem| problem.subject == repos::fsck::Subject::Index)
            .count(),
        0
    );
}

/// The journal is longer than what is read backwards at first.
#[test]
fn the_position_after_each_record_is_the_same_from_either_end() {
    let test = TestStore::new();
    for number in 0..150 {
        test.set("images", &[("/a", Some(number.to_string().as_str()))]);
    }
    let (bytes, _) = journal(test.store.dir());
    assert!(bytes.len() > 1 << 16, "{}", bytes.len());
    let records = test.store.records_after(Position::default(), usize::MAX).unwrap();
    assert_eq!(test.store.position_after(0).unwrap(), Position::default());
    for (after, _) in &records {
        assert_eq!(test.store.position_after(after.records).unwrap(), *after);
    }
    let end = test.store.position();
    assert_eq!(records.last().unwrap().0, end);
    assert_eq!(test.store.position_after(end.records + 1).unwrap(), end);
}
