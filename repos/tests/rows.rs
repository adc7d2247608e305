//! An unreadable row of the index is damage. It never counts as a missing row.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::ops::ControlFlow;
use std::path::Path;

use common::{TestStore, name, options, path};
use repos::files;
use repos::history::What;
use repos::journal::{Cause, CauseKind, Entry, JobSeed, Move, RepoKind, SealedState};
use repos::store::Then;
use repos::tree::Tree;
use repos::{Change, RepoError, Store};
use specs::{Digest, ErrorKind, RunId};

type Answer = Result<String, RepoError>;

/// A store with a row of almost every kind on disk.
fn example() -> TestStore {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("one")), ("/b", Some("two"))]);
    let second = test.set("images", &[("/a", Some("three"))]);
    let run = RunId::from_bytes([7; 16]);
    let at = test.store.clock().now();
    let cause = |kind| Cause { kind, author: None, committer: "x".into(), at, refs: Vec::new(), message: None };
    let pipeline: specs::PipelineName = "detect".parse().unwrap();
    let document = test.store.put_bytes(b"any").unwrap().digest;
    let job = |pipeline: &specs::PipelineName| JobSeed { pipeline: pipeline.clone(), version: 1 };
    let ended = RunId::from_bytes([8; 16]);
    let moves = vec![Move { repo: name("images"), branch: "next".parse().unwrap(), from: None, to: Some(second) }];
    let entries = vec![
        Entry::RepoCreate { repo: name("detect"), repo_kind: RepoKind::Output },
        Entry::TagCreate { repo: name("images"), tag: "v1".parse().unwrap(), commit: second, document: None },
        Entry::Setting { key: "jobs".into(), value: Some("3".into()) },
        Entry::PipelineApply { pipeline: pipeline.clone(), version: 1, document },
        Entry::Run { run: ended, cause: cause(CauseKind::Apply), moves, jobs: vec![job(&pipeline)] },
        Entry::Job {
            pipeline: pipeline.clone(),
            run: ended,
            state: SealedState::Killed,
            commit: None,
            document: None,
            moved: None,
        },
        Entry::Run { run, cause: cause(CauseKind::Rerun), moves: Vec::new(), jobs: vec![job(&pipeline)] },
        Entry::RepoCreate { repo: name("gone"), repo_kind: RepoKind::User },
        Entry::RepoDelete { repo: name("gone") },
        Entry::PipelineApply { pipeline: "gone".parse().unwrap(), version: 1, document },
        Entry::PipelineDelete { pipeline: "gone".parse().unwrap() },
    ];
    test.store.publish(&Change::of(entries)).unwrap();
    test.store.rebuild_index().unwrap();
    test
}

fn runs(store: &Store) -> Answer {
    let mut found = Vec::new();
    store.visit_runs(|row| {
        found.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(format!("{found:?}"))
}

fn jobs(store: &Store) -> Answer {
    let mut found = Vec::new();
    store.visit_jobs(&"detect".parse().unwrap(), u64::MAX, |row| {
        found.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(format!("{found:?}"))
}

fn bytes_of(store: &Store, file: &str) -> Answer {
    let at = store.resolve(&format!("images:{file}").parse().unwrap())?;
    let entry = at.tree().file(store, &at.path)?.expect("the tree has it");
    Ok(format!("{:?}", store.read_file(&entry, 0..entry.size)?))
}

/// Queries everything that a store knows.
fn ask(store: &Store) -> Vec<(&'static str, Answer)> {
    let (images, main) = (name("images"), "main".parse().unwrap());
    let detect = "detect".parse().unwrap();
    let head = |revision: &str| Ok::<_, RepoError>(store.resolve(&format!("images@{revision}").parse().unwrap())?.id);
    let first_chunk: Digest = repos::hash::digest_of(b"three");
    let log = || {
        let at = store.resolve(&"images:/a".parse().unwrap())?;
        files::log(store, &at)?.map(|one| one.map(|one| one.id)).collect::<Result<Vec<_>, _>>()
    };
    let rows = |text: &dyn Fn() -> Answer| text();
    vec![
        ("id", store.id()),
        ("default_branch", store.default_branch().map(|branch| branch.to_string())),
        ("setting", rows(&|| Ok(format!("{:?}", store.setting(&repos::settings::JOBS)?)))),
        ("settings", rows(&|| Ok(format!("{:?}", store.settings()?)))),
        ("repos", rows(&|| Ok(format!("{:?}", store.repos()?)))),
        ("repo", rows(&|| Ok(format!("{:?}", store.repo(&images)?)))),
        ("branches", rows(&|| Ok(format!("{:?}", store.branches(&images)?)))),
        ("branch", rows(&|| Ok(format!("{:?}", store.branch(&images, &main)?)))),
        ("tags", rows(&|| Ok(format!("{:?}", store.tags(&images)?)))),
        ("tag", rows(&|| Ok(format!("{:?}", store.find_tag(&images, "v1")?)))),
        ("head_as_of", rows(&|| Ok(format!("{:?}", store.head_as_of(&images, &main, 2)?)))),
        ("branches_then", rows(&|| Ok(format!("{:?}", store.branches_then(&images, Then::Run(2))?)))),
        ("repos_then", rows(&|| Ok(format!("{:?}", store.repos_then(Then::Run(2))?)))),
        ("pipeline_then", rows(&|| Ok(format!("{:?}", store.pipeline_then(&"gone".parse().unwrap(), Then::Run(2))?)))),
        ("commit_row", rows(&|| Ok(format!("{:?}", store.commit_row(&head("main")?)?)))),
        ("pipelines", rows(&|| Ok(format!("{:?}", store.pipelines()?)))),
        ("pipelines_ever", rows(&|| Ok(format!("{:?}", store.pipelines_ever()?)))),
        ("pipeline", rows(&|| Ok(format!("{:?}", store.pipeline(&detect)?)))),
        ("version", rows(&|| Ok(format!("{:?}", store.pipeline_version(&detect, 1)?)))),
        ("versions", rows(&|| Ok(format!("{:?}", store.pipeline_versions(&detect)?)))),
        ("runs", runs(store)),
        ("run", rows(&|| Ok(format!("{:?}", store.run(&RunId::from_bytes([7; 16]))?)))),
        ("runs_count", rows(&|| Ok(store.runs_count()?.to_string()))),
        ("jobs", jobs(store)),
        ("jobs_of_run", rows(&|| Ok(format!("{:?}", store.jobs_of_run(4)?)))),
        ("job", rows(&|| Ok(format!("{:?}", store.job(4, &detect)?)))),
        ("open_jobs", rows(&|| Ok(format!("{:?}", store.open_jobs()?)))),
        ("graph", rows(&|| Ok(store.graph()?.to_string()))),
        ("gc_epoch", rows(&|| Ok(store.gc_epoch()?.to_string()))),
        ("signing_keys", rows(&|| Ok(format!("{:?}", store.signing_keys()?)))),
        ("signatures", rows(&|| Ok(format!("{:?}", store.signatures(&head("main")?)?)))),
        ("bytes of /a", bytes_of(store, "/a")),
        ("bytes of /b", bytes_of(store, "/b")),
        (
            "tree",
            rows(&|| Ok(format!("{:?}", Tree::at(store.commit(&head("main^")?)?.tree).file(store, &path("/a"))?))),
        ),
        ("log", rows(&|| Ok(format!("{:?}", log()?)))),
        ("find bytes", rows(&|| Ok(format!("{:?}", files::find(store, &What::Bytes(first_chunk))?)))),
        (
            "find name",
            rows(&|| Ok(format!("{:?}", files::find(store, &What::Path(specs::Glob::parse("/*").unwrap()))?))),
        ),
    ]
}

/// All rows of an index on disk.
fn rows_of(index: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let db = rocksdb::DB::open_for_read_only(&rocksdb::Options::default(), index, false).unwrap();
    db.iterator(rocksdb::IteratorMode::Start)
        .map(|row| row.unwrap())
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn set(index: &Path, key: &[u8], value: &[u8]) {
    let db = rocksdb::DB::open(&rocksdb::Options::default(), index).unwrap();
    db.put(key, value).unwrap();
    db.flush().unwrap();
}

#[test]
fn a_row_that_cannot_be_read_is_damage_and_never_an_absence() {
    let test = example();
    let dir = test.store.dir().to_owned();
    let index = dir.join(".pv/index");
    let sound: Vec<(&str, String)> =
        ask(&test.store).into_iter().map(|(what, answer)| (what, answer.unwrap())).collect();
    let mut noticed = 0;
    for (key, value) in rows_of(&index).into_iter().filter(|(_, value)| !value.is_empty()) {
        set(&index, &key, b"{\"");
        let row = key.escape_ascii().to_string();
        // Opening may detect it and ignore the index on disk; then all answers are right.
        let store = options().open(&dir).unwrap();
        for ((what, answer), (_, expected)) in ask(&store).into_iter().zip(&sound) {
            match answer {
                Ok(answer) => assert_eq!(answer, *expected, "{what} after damage to {row}"),
                Err(error) => {
                    noticed += 1;
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{what} after damage to {row}: {error}");
                    assert!(error.hint().unwrap().contains("pv fsck --rebuild-index"), "{what}, {row}: {error}");
                }
            }
        }
        set(&index, &key, &value);
    }
    assert!(noticed > 30, "{noticed} questions met a wrong row");
}

#[test]
fn a_check_reports_a_wrong_row_and_the_index_is_made_anew() {
    let test = example();
    let dir = test.store.dir().to_owned();
    let index = dir.join(".pv/index");
    // The example's documents are not real ones.
    let before = repos::fsck::check(&options().open(&dir).unwrap(), &|_, _, _| {}).unwrap().problems;
    for (key, value) in rows_of(&index).into_iter().filter(|(_, value)| value.first() == Some(&b'{')) {
        let row = key.escape_ascii().to_string();
        set(&index, &key, b"[]");
        let report = repos::fsck::check(&options().open(&dir).unwrap(), &|_, _, _| {}).unwrap();
        let mut others = report.problems.iter().filter(|problem| !before.contains(problem));
        assert!(others.all(|problem| problem.subject == repos::fsck::Subject::Index), "{row}: {report:?}");
        set(&index, &key, &value);
    }
    let branch =
        rows_of(&index).into_iter().find(|(_, value)| value.windows(8).any(|part| part == b"moved_at")).unwrap().0;
    set(&index, &branch, b"[]");
    options().open(&dir).unwrap().rebuild_index().unwrap();
    assert_eq!(repos::fsck::check(&options().open(&dir).unwrap(), &|_, _, _| {}).unwrap().problems, before);
}
