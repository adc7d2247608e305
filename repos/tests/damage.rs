//! Damage anywhere in a store is found and named, never served as data, and repaired if there is an intact source.
//!
//! `PV_DAMAGES` sets the number of damages to try; `PV_SEED` selects them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common::{TestStore, name, options};
use repos::documents::VersionDocument;
use repos::documents::{Commit, Document, JobDocument, Recipe, ResultDocument, SpecDocument, TagDocument, Transform};
use repos::fsck::mirror::Mirror;
use repos::fsck::repair::Repair;
use repos::fsck::{Report, Subject, check};
use repos::hash::digest_of;
use repos::journal::{Entry, JobSeed, Move, RepoKind, SealedState};
use repos::tree::{KeyRange, Map, Tree};
use repos::{Change, RepoError, Store};
use serde_json::json;
use specs::{BranchName, CommitId, Digest, ErrorKind, RunId};

/// Pseudorandom numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end.max(1)
    }
}

fn document<D: Document + serde::de::DeserializeOwned>(store: &Store, json: serde_json::Value) -> Digest {
    store.put_document(&serde_json::from_value::<D>(json).unwrap()).unwrap()
}

fn set(key: &str) -> Entry {
    Entry::Setting { key: key.to_owned(), value: Some("3".to_owned()) }
}

/// A pipeline with a version, a successful job and a failed one, their documents, results, logs, lineage and output commit.
fn run_pipeline(test: &TestStore) {
    let store = &test.store;
    let at = store.clock().now();
    let input = test.resolve("images").id;
    let code = Tree::build([("/main.py", common::entry(store, b"print('some code')"))], &mut &*store).unwrap();
    let spec = document::<SpecDocument>(store, json!({"pipeline": {"name": "detect"}}));
    let transform = document::<Transform>(store, json!({"cmd": ["sh"], "code": code.root()}));
    let version = json!({"name": "detect", "version": 1, "spec": spec, "transform": transform, "executor": "process",
        "default_branch": "main"});
    let version = document::<VersionDocument>(store, version);
    let picture = digest_of(b"content of b");
    let inputs = json!([{"name": "images", "path": "/cam/b", "digest": picture}]);
    let recipe = document::<Recipe>(store, json!({"transform": transform, "inputs": inputs}));
    let output = common::entry(store, b"what was detected in b");
    let tree = Tree::build([("/b.json", output)], &mut &*store).unwrap();
    let log = store.put_log(b"the log of one try").unwrap();
    let run = RunId::from_bytes([7; 16]);
    let tries = json!([{"exit_code": 0, "log": log, "started_at": at, "finished_at": at}]);
    let result: ResultDocument = serde_json::from_value(json!({"recipe": recipe, "state": "success", "run": run,
        "outputs": tree.root(), "outputs_count": 1, "pipeline": "detect", "version": 1, "tries": tries,
        "executor": {"kind": "process"}}))
    .unwrap();
    let result = store.put_result(&result).unwrap();
    let lineage = Map::<Digest>::build([(&b"/b.json"[..], result)], &mut &*store).unwrap();
    let datums =
        Map::<Vec<u8>>::build([(&b"d\0\0\0\x06/cam/b"[..], result.as_bytes().to_vec())], &mut &*store).unwrap();
    let commit: Commit = serde_json::from_value(json!({"repo": "detect", "branch": "main", "tree": tree.root(),
        "lineage": lineage.root(), "datums": datums.root(), "run": run, "kind": "output", "committer": "engine",
        "created_at": at, "provenance": [{"repo": "images", "branch": "main", "commit": input}],
        "pipeline": {"name": "detect", "version": 1, "spec": spec, "transform": transform}, "job": format!("detect@{run}")}))
    .unwrap();
    let commit = store.put_commit(&commit).unwrap();
    let job = |run, number: u64| {
        document::<JobDocument>(
            store,
            json!({"pipeline": "detect", "run": run, "version": 1, "datums_total": number,
            "executor": {"kind": "process"}, "created_at": at, "finished_at": at}),
        )
    };
    let pipeline: specs::PipelineName = "detect".parse().unwrap();
    let caused = |run| match common::run_entry(run, Vec::new(), at) {
        Entry::Run { run, cause, moves, .. } => {
            Entry::Run { run, cause, moves, jobs: vec![JobSeed { pipeline: pipeline.clone(), version: 1 }] }
        }
        other => other,
    };
    let failed = RunId::from_bytes([8; 16]);
    let moved = Move { repo: name("detect"), branch: BranchName::main(), from: None, to: Some(commit) };
    let (state, document) = (SealedState::Success, Some(job(run, 1)));
    let good =
        Entry::Job { pipeline: pipeline.clone(), run, state, commit: Some(commit), document, moved: Some(moved) };
    let (state, document) = (SealedState::Failure, Some(job(failed, 2)));
    let bad = Entry::Job { pipeline: pipeline.clone(), run: failed, state, commit: None, document, moved: None };
    for entries in [
        vec![Entry::RepoCreate { repo: name("detect"), repo_kind: RepoKind::Output }],
        vec![Entry::PipelineApply { pipeline: pipeline.clone(), version: 1, document: version }],
        vec![caused(run), caused(failed)],
        vec![good],
        vec![bad],
        vec![set("jobs")],
    ] {
        store.publish(&Change::of(entries)).unwrap();
    }
}

/// A store with at least one object of every kind.
fn example() -> TestStore {
    let test = TestStore::new();
    test.set("images", &[("/cam/a", Some("content of a")), ("/cam/b", Some("content of b")), ("/c", Some(""))]);
    let many: Vec<(String, String)> =
        (0..300).map(|n| (format!("/many/{n}"), format!("file {n} {}", "x".repeat(n)))).collect();
    let many: Vec<(&str, Option<&str>)> =
        many.iter().map(|(at, content)| (at.as_str(), Some(content.as_str()))).collect();
    test.set("images", &many);
    test.set("images", &[("/cam/a", Some("newer content of a")), ("/many/7", None)]);
    let mut numbers = Numbers(1);
    test.write("large", (0..1_500_000).map(|_| numbers.below(256) as u8).collect::<Vec<_>>());
    test.put("images", "/", &["large"]).unwrap();
    test.create("notes");
    test.set("notes", &[("/readme", Some("some words"))]);
    let commit = test.resolve("images").id;
    let document = Some(document::<TagDocument>(&test.store, json!({"author": "anna", "message": "good"})));
    let tag = Entry::TagCreate { repo: name("images"), tag: "v1".parse().unwrap(), commit, document };
    test.store.publish(&Change::of(vec![tag])).unwrap();
    run_pipeline(&test);
    test.store.rebuild_index().unwrap();
    test
}

/// The files of all commits, with the result of reading each.
type Read = BTreeMap<(CommitId, String), Result<Digest, ErrorKind>>;

/// Everything readable in a store: names and states as one text, and every file of every commit.
fn read_all(store: &Store, commits: &[CommitId]) -> Result<(String, Read), RepoError> {
    let mut names = format!("{:?}{:?}{:?}", store.settings()?, store.pipelines()?, store.open_jobs()?);
    for (repo, row) in store.repos()? {
        names += &format!("{repo}{row:?}{:?}{:?}", store.branches(&repo)?, store.tags(&repo)?);
    }
    for order in 1..=store.runs_count()? {
        names += &format!("{:?}{:?}", store.run_at(order)?, store.jobs_of_run(order)?);
    }
    let mut read = Read::new();
    for id in commits {
        match store.commit(id).and_then(|commit| read_tree(store, *id, Tree::at(commit.tree), &mut read)) {
            Ok(()) => {}
            Err(error) => drop(read.insert((*id, String::new()), Err(error.kind()))),
        }
    }
    Ok((names, read))
}

fn read_tree(store: &Store, id: CommitId, tree: Tree, read: &mut Read) -> Result<(), RepoError> {
    for entry in tree.range(store, KeyRange::all())? {
        let (key, file) = entry?;
        let bytes = store.read_file(&file, 0..file.size).map(|bytes| digest_of(&bytes));
        read.insert((id, String::from_utf8(key).unwrap()), bytes.map_err(|error| error.kind()));
    }
    Ok(())
}

fn report(store: &Store) -> Report {
    check(store, &|_, _, _| {}).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// An offset in `0..length`, usually near an end, where headers, indexes and footers are.
fn offset(numbers: &mut Numbers, length: usize) -> usize {
    match numbers.below(4) {
        0 => numbers.below(length.min(64)),
        1 => length - 1 - numbers.below(length.min(200)),
        _ => numbers.below(length),
    }
}

fn swap_two_lines(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let at = numbers.below(lines.len() - 1);
    lines.swap(at, at + 1);
    lines.concat()
}

/// Damages a file and describes how. `None` if the file has nothing to damage.
fn damage(file: &Path, numbers: &mut Numbers) -> Option<String> {
    let mut bytes = std::fs::read(file).unwrap();
    let length = bytes.len();
    if length == 0 {
        return None;
    }
    let is_journal = file.file_name().unwrap() == "journal";
    let at = offset(numbers, length);
    let how = match numbers.below(12) {
        0 => {
            std::fs::remove_file(file).unwrap();
            return Some("removed".to_owned());
        }
        1 | 2 => {
            bytes.truncate(at);
            format!("cut to {at} of {length} bytes")
        }
        3 if is_journal => {
            bytes = swap_two_lines(&bytes, numbers);
            "two lines swapped".to_owned()
        }
        4 if is_journal => {
            bytes.extend_from_slice(b"a line that is no record\n");
            "a line added".to_owned()
        }
        5 => {
            bytes.extend_from_slice(&[0; 50]);
            "zeros added".to_owned()
        }
        6 => {
            bytes[at..length.min(at + 40)].fill(0);
            format!("zeros at {at} of {length}")
        }
        _ => {
            bytes[at] ^= 1 + numbers.below(255) as u8;
            format!("byte {at} of {length} flipped")
        }
    };
    let same = std::fs::read(file).unwrap() == bytes;
    // Not in place: the old file may be mapped or linked.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
    (!same).then_some(how)
}

/// Files that can be recreated: damage there is noticed where it matters, and loses nothing.
fn is_disposable(inner: &str) -> bool {
    inner.starts_with("index/") || ["lock", "removal.lock", "reserve", "position", "key"].contains(&inner)
}

/// Checks that reading returns what was written, or reports damage.
fn nothing_wrong_is_read(case: &str, (names, read): &(String, Read), expected: &(String, Read)) {
    assert_eq!(*names, expected.0, "{case}");
    for (file, right) in &expected.1 {
        match read.get(file) {
            Some(Ok(found)) => assert_eq!(Ok(*found), *right, "{case}: {file:?}"),
            Some(Err(kind)) => assert_eq!(*kind, ErrorKind::Damaged, "{case}: {file:?}"),
            // If it is not listed, the commit was reported as damaged.
            None => assert!(read.contains_key(&(file.0, String::new())), "{case}: {file:?} is not there"),
        }
    }
    assert!(read.keys().all(|file| file.1.is_empty() || expected.1.contains_key(file)), "{case}");
}

/// Checks that every unreadable file is reported: itself, its commit, or a reported commit that alone leads to it.
fn all_hurt_are_named(case: &str, read: &Read, report: &Report, sound: &Path, commits: &[CommitId]) {
    let dependents: Vec<_> = report.problems.iter().flat_map(|problem| &problem.needed_by).collect();
    let mut told = None;
    for (id, path) in read.iter().filter(|(_, read)| read.is_err()).map(|(file, _)| file) {
        let named = dependents.iter().any(|dependent| {
            dependent.commit == Some(*id)
                && dependent.path.as_ref().is_none_or(|named| path.is_empty() || named.as_str() == path)
        });
        let mut is_told = || told.get_or_insert_with(|| told_commits(report, sound, commits)).contains(id);
        assert!(named || is_told(), "{case}: {id} {path} is not named in {report:?}");
    }
}

/// The commits reported as damaged, and everything that only these lead to: what a missing document names is unknown until it is restored.
fn told_commits(report: &Report, sound: &Path, commits: &[CommitId]) -> BTreeSet<CommitId> {
    let is_told = |id: &CommitId| {
        report.problems.iter().any(|problem| {
            problem.subject == Subject::Object(repos::object::Kind::Commit, id.digest())
                && !problem.needed_by.is_empty()
        })
    };
    let sound = options().open(sound).unwrap();
    let mut told: BTreeSet<CommitId> = commits.iter().copied().filter(is_told).collect();
    let mut open: Vec<CommitId> = told.iter().copied().collect();
    while let Some(id) = open.pop() {
        let commit = sound.commit(&id).unwrap();
        let named = commit.provenance.iter().map(|origin| origin.commit);
        let named = named.chain(commit.sources.iter().map(|source| source.commit)).chain(commit.parents);
        open.extend(named.filter(|id| told.insert(*id)).collect::<Vec<_>>());
    }
    told
}

fn repaired(dir: &Path, mirror: Option<&Mirror>) -> Result<Report, RepoError> {
    let store = options().open_damaged(dir)?;
    let found = report(&store);
    let repair = Repair::begin(store, &found, mirror, || options().open_damaged(dir), &|_, _, _| {})?;
    repair.finish()?;
    let store = options().open_damaged(dir)?;
    Ok(report(&store))
}

/// Whether this kind of damage can be repaired without a mirror.
fn heals_alone(inner: &str, how: &str, found: &Report) -> bool {
    let one_byte = how.contains("flipped") && inner == "journal";
    let is_lost = found.problems.iter().any(|problem| problem.subject.object().is_some());
    one_byte || (!is_lost && inner != "journal" && !how.contains("cut") && how != "removed")
}

fn try_one(
    case: &str,
    inner: &str,
    how: &str,
    dir: &Path,
    mirror: &Path,
    commits: &[CommitId],
    expected: &(String, Read),
) {
    let opened = options().open(dir);
    let read = match &opened {
        Ok(store) => Some(read_all(store, commits).unwrap()),
        // A single flipped digit in the format file looks like another version.
        Err(error) => {
            let is_newer = matches!(error, RepoError::MadeByNewer { .. }) && inner == "format";
            assert!(error.kind() == ErrorKind::Damaged || is_newer, "{case}: {error}");
            assert!(!is_disposable(inner), "{case}: {error}");
            if is_newer {
                return;
            }
            None
        }
    };
    drop(opened);
    if let Some(read) = &read {
        nothing_wrong_is_read(case, read, expected);
    }
    let found = report(&options().open_damaged(dir).unwrap());
    let is_found = !found.problems.is_empty() || !found.notes.is_empty();
    assert!(is_found || is_disposable(inner), "{case} was not found");
    if let Some((_, read)) = &read {
        all_hurt_are_named(case, read, &found, mirror, commits);
    }
    if heals_alone(inner, how, &found) {
        let alone = tempfile::tempdir().unwrap();
        copy(dir, alone.path());
        let left = repaired(alone.path(), None).unwrap();
        assert_eq!(left.problems, [], "{case}");
    }
    let left = repaired(dir, Some(&Mirror::in_folder(mirror).unwrap())).unwrap();
    assert_eq!(left.problems, [], "{case}");
    let store = options().open(dir).unwrap();
    assert_eq!(read_all(&store, commits).unwrap(), *expected, "{case}");
    assert!(!dir.join(".pv/damaged").exists() || inner == "journal", "{case}");
}

fn all_of(test: &TestStore) -> (Vec<CommitId>, (String, Read)) {
    let commits = test.store.commits_by_prefix("", 100).unwrap();
    let expected = read_all(&test.store, &commits).unwrap();
    (commits, expected)
}

#[test]
fn damage_is_found_and_named_and_never_served_and_healed_from_a_mirror() {
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().unwrap());
    let (count, seed) = (number("PV_DAMAGES", 40), number("PV_SEED", 20));
    let test = example();
    let found = report(&test.store);
    assert_eq!(found.problems, []);
    assert_eq!(found.counts.results, 1);
    let (commits, expected) = all_of(&test);
    assert!(expected.1.values().all(Result::is_ok) && expected.1.len() > 900, "{}", expected.1.len());
    let mirror = test.store.dir().to_owned();
    drop(test.store);
    let files = files_below(&mirror.join(".pv"));
    let mut numbers = Numbers(seed);
    let mut done = 0;
    while done < count {
        let folder = tempfile::tempdir().unwrap();
        copy(&mirror, folder.path());
        let inner = files[numbers.below(files.len())].strip_prefix(mirror.join(".pv")).unwrap().to_str().unwrap();
        let Some(how) = damage(&folder.path().join(".pv").join(inner), &mut numbers) else { continue };
        let case = format!("damage {done} of seed {seed}: {inner}: {how}");
        try_one(&case, inner, &how, folder.path(), &mirror, &commits, &expected);
        done += 1;
    }
}

#[test]
fn a_damaged_index_changes_nothing() {
    let test = example();
    let (commits, expected) = all_of(&test);
    let dir = test.store.dir().to_owned();
    let index = files_below(&dir.join(".pv/index"));
    let table = index.iter().find(|file| file.extension().is_some_and(|end| end == "sst")).unwrap();
    let bytes = std::fs::read(table).unwrap();
    let mut found = 0;
    for number in 0..20 {
        let mut damaged = bytes.clone();
        damaged[number * bytes.len() / 20 + 7] ^= 0x10;
        std::fs::remove_file(table).unwrap();
        std::fs::write(table, damaged).unwrap();
        let store = options().open(&dir).unwrap();
        assert_eq!(read_all(&store, &commits).unwrap(), expected, "part {number}");
        let report = report(&store);
        assert!(report.problems.iter().all(|problem| problem.subject == Subject::Index), "{report:?}");
        found += usize::from(!report.problems.is_empty());
    }
    assert!(found > 10, "most of it is rows: {found}");
    options().open(&dir).unwrap().rebuild_index().unwrap();
    assert_eq!(report(&options().open(&dir).unwrap()).problems, []);
}
