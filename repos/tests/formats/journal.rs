//! The journal: its lines, and the entries of records.

use repos::documents::canonical;
use repos::journal::{
    Cause, CauseKind, Entry, JobSeed, Journal, Move, Position, PruneWhy, Record, RepoKind, SealedState,
};
use specs::BranchName;

use super::{at, commit_id, digest, is, joined, run};
use crate::common::{self, name};

#[test]
fn the_entries_that_stop_and_start_a_pipeline() {
    let pipeline = || "detect".parse().unwrap();
    let text = |entry: &Entry| String::from_utf8(canonical(entry)).unwrap();
    assert_eq!(text(&Entry::PipelineStop { pipeline: pipeline() }), r#"{"kind":"pipeline_stop","pipeline":"detect"}"#);
    assert_eq!(
        text(&Entry::PipelineStart { pipeline: pipeline() }),
        r#"{"kind":"pipeline_start","pipeline":"detect"}"#
    );
}

#[test]
fn a_version_that_was_tried_and_a_cause_in_words() {
    let text = |entry: &Entry| String::from_utf8(canonical(entry)).unwrap();
    let document = digest(3);
    assert_eq!(
        text(&Entry::PipelineTry { pipeline: "detect".parse().unwrap(), version: 4, document }),
        format!(r#"{{"document":"{document}","kind":"pipeline_try","pipeline":"detect","version":4}}"#)
    );
    let Entry::Run { run, cause, moves, jobs } = common::run_entry(run(), Vec::new(), at()) else { unreachable!() };
    let cause = Cause { message: Some("empty file".to_owned()), kind: CauseKind::Retry, ..cause };
    assert_eq!(
        text(&Entry::Run { run, cause, moves, jobs }),
        joined(
            r#"
            {"cause":{"at":"2026-07-01T12:14:43.000123Z","cause":"retry","committer":"uid:1@edge","message":"empty file"},
            "kind":"run","run":"abababababababababababababababab"}"#
        )
    );
}

#[test]
fn the_lines_of_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal");
    let journal = Journal::create(&file).unwrap();
    let moved = Move { repo: name("images"), branch: BranchName::main(), from: None, to: Some(commit_id(1)) };
    let Entry::Run { cause, .. } = common::run_entry(run(), Vec::new(), at()) else { unreachable!() };
    let jobs = vec![JobSeed { pipeline: "detect".parse().unwrap(), version: 7 }];
    let job = Entry::Job {
        pipeline: "detect".parse().unwrap(),
        run: run(),
        state: SealedState::Failure,
        commit: Some(commit_id(2)),
        document: None,
        moved: None,
    };
    let mut position = Position::default();
    for entries in [
        vec![
            Entry::Init { store: "0".repeat(32), default_branch: BranchName::main() },
            Entry::RepoCreate { repo: name("images"), repo_kind: RepoKind::User },
        ],
        vec![Entry::Run { run: run(), cause, moves: vec![moved], jobs }],
        vec![job, Entry::Setting { key: "jobs".to_owned(), value: None }],
    ] {
        let record = Record::new(position.last, at(), entries);
        position = journal.append(position, &record).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let expected = r#"
        815c6baadba9f6c1ae003b27a8035320e6fea29cdb82cc642217378c5791cb95 {"at":"2026-07-01T12:14:43.000123Z",
        "entries":[{"default_branch":"main","kind":"init","store":"00000000000000000000000000000000"},
        {"kind":"repo_create","repo":"images","repo_kind":"user"}],"format":1}

        00a0a631b9d9b3d80fbf0a29e23793af4e58e15fcb824a733f6f917829d3de18 {"at":"2026-07-01T12:14:43.000123Z",
        "entries":[{"cause":{"at":"2026-07-01T12:14:43.000123Z","cause":"commit","committer":"uid:1@edge"},
        "jobs":[{"pipeline":"detect","version":7}],"kind":"run","moves":[{"branch":"main","repo":"images",
        "to":"0101010101010101010101010101010101010101010101010101010101010101"}],
        "run":"abababababababababababababababab"}],"format":1,
        "previous":"815c6baadba9f6c1ae003b27a8035320e6fea29cdb82cc642217378c5791cb95"}

        c5d2cac2453b095a12c2150d0e9a89cd5bd093af9bc56afbc896e16d5b07da36 {"at":"2026-07-01T12:14:43.000123Z",
        "entries":[{"commit":"0202020202020202020202020202020202020202020202020202020202020202",
        "kind":"job","pipeline":"detect","run":"abababababababababababababababab","state":"failure"},
        {"key":"jobs","kind":"setting"}],"format":1,
        "previous":"00a0a631b9d9b3d80fbf0a29e23793af4e58e15fcb824a733f6f917829d3de18"}
"#;
    let expected: String = expected.trim_end().split("\n\n").map(|line| joined(line) + "\n").collect();
    assert_eq!(text, expected);
}

#[test]
fn the_line_of_collected_garbage() {
    let pack = "ab".repeat(32) + ".data.pack";
    let removed = vec![pack.clone().try_into().unwrap()];
    let record = Record::new(None, at(), vec![Entry::Gc { removed }]);
    let expected = format!(
        r#"{{"at":"2026-07-01T12:14:43.000123Z","entries":[{{"kind":"gc","removed":["{pack}"]}}],"format":1}}"#
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal");
    Journal::create(&file).unwrap().append(Position::default(), &record).unwrap();
    let digest = repos::hash::digest_of(expected.as_bytes());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{digest} {expected}\n"));
}

#[test]
fn entries_of_commits_that_are_given_up() {
    let prune = |why| Entry::CommitPrune { commits: vec![commit_id(1)], why, committer: "uid:1@edge".to_owned() };
    for (why, word) in [(PruneWhy::Asked, "asked"), (PruneWhy::Retention, "retention"), (PruneWhy::Expired, "expired")]
    {
        let text = String::from_utf8(canonical(&prune(why))).unwrap();
        let id = "01".repeat(32);
        assert_eq!(
            text,
            format!(r#"{{"commits":["{id}"],"committer":"uid:1@edge","kind":"commit_prune","why":"{word}"}}"#)
        );
    }
    is(
        &Entry::CommitDelete { commit: commit_id(2), committer: "uid:1@edge".to_owned() },
        r#"{"commit":"0202020202020202020202020202020202020202020202020202020202020202",
        "committer":"uid:1@edge","kind":"commit_delete"}"#,
        "8e109c60ec88952ad3ea185d1052c4bd484f11115ebe8bc8ba15929fa81ff38a",
    );
}
