//! Every kind of entry × role × globs: allowed, or refused with the error that the table names.

use repos::access::Role;
use repos::documents::{ExecutorKind, SpecDocument, Transform, VersionDocument};
use repos::journal::{Cause, CauseKind, Entry, JobSeed, Move, PruneWhy, RepoKind, SealedState};
use repos::{Change, RepoError, Store, Timestamp};
use serde_json::json;
use specs::{CommitId, Digest, ErrorKind, RunId};

use super::access;
use super::common::{START, TestStore, name};

/// What happens to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Allowed,
    /// Exit code 7, with the right that is missing.
    Refused,
    /// The error of a missing name.
    NotFound,
}
use Is::{Allowed, NotFound, Refused};

/// The repositories `mine`, `other`; the pipelines `mine-out` on `mine`, `mine-mixed` on `other`, `other-out` on `mine`.
struct World {
    test: TestStore,
    mine: CommitId,
    other: CommitId,
}

fn version(store: &Store, pipeline: &str, input: &str) -> Digest {
    let spec =
        json!({ "pipeline": { "name": pipeline }, "input": { "cross": [{ "pfs": { "repo": input, "glob": "/*" } }] } });
    let spec = store.put_document(&SpecDocument(spec)).unwrap();
    let transform: Transform = serde_json::from_value(json!({ "cmd": ["true"] })).unwrap();
    let transform = store.put_document(&transform).unwrap();
    let document = VersionDocument {
        name: pipeline.parse().unwrap(),
        version: 1,
        spec,
        transform,
        executor: ExecutorKind::Process,
        default_branch: "main".parse().unwrap(),
        image: None,
        code: None,
        entrypoint: Vec::new(),
    };
    store.put_document(&document).unwrap()
}

fn world() -> World {
    let test = TestStore::new();
    test.create("mine");
    test.create("other");
    for (pipeline, input) in [("mine-out", "mine"), ("mine-mixed", "other"), ("other-out", "mine")] {
        let document = version(&test.store, pipeline, input);
        let create = Entry::RepoCreate { repo: name(pipeline), repo_kind: RepoKind::Output };
        let apply = Entry::PipelineApply { pipeline: pipeline.parse().unwrap(), version: 1, document };
        test.store.publish(&Change::of(vec![create, apply])).unwrap();
    }
    let mine = test.set("mine", &[("/a", Some("1"))]);
    let other = test.set("other", &[("/b", Some("2"))]);
    World { test, mine, other }
}

fn cause(kind: CauseKind, refs: &[&str]) -> Cause {
    let refs = refs.iter().map(|text| (*text).to_owned()).collect();
    let at = Timestamp::from_micros(START);
    Cause { kind, author: None, committer: "ci".to_owned(), at, refs, message: None }
}

fn run(kind: CauseKind, refs: &[&str], moves: Vec<Move>, jobs: &[&str]) -> Entry {
    let jobs = jobs.iter().map(|job| JobSeed { pipeline: job.parse().unwrap(), version: 1 }).collect();
    Entry::Run { run: RunId::from_bytes(repos::random_bytes()), cause: cause(kind, refs), moves, jobs }
}

fn moved(repo: &str, to: Option<CommitId>) -> Move {
    Move { repo: name(repo), branch: "side".parse().unwrap(), from: None, to }
}

fn job(pipeline: &str, state: SealedState) -> Entry {
    let run = RunId::from_bytes([1; 16]);
    Entry::Job { pipeline: pipeline.parse().unwrap(), run, state, commit: None, document: None, moved: None }
}

/// What happens to each entry, for: reader, writer and admin of everything; reader, writer and admin of `mine*`.
fn table(world: &World) -> Vec<(Entry, [Is; 6])> {
    let World { test, mine, other } = world;
    let repo = |text: &str| name(text);
    let pipeline = |text: &str| text.parse().unwrap();
    let of = |pipeline: &str, input: &str| version(&test.store, pipeline, input);
    let key = || serde_json::from_value(json!(test.store.public_key().unwrap().unwrap())).unwrap();
    let admin_of_all = [Refused, Refused, Allowed, Refused, Refused, Refused];
    let admin_of_it = [Refused, Refused, Allowed, Refused, Refused, Allowed];
    let admin_of_hidden = [Refused, Refused, Allowed, NotFound, NotFound, NotFound];
    let writer_of_it = [Refused, Allowed, Allowed, Refused, Allowed, Allowed];
    let writer_of_hidden = [Refused, Allowed, Allowed, NotFound, NotFound, NotFound];
    // The visible part is checked first, so a role that is too small says so.
    let writer_of_both = [Refused, Allowed, Allowed, Refused, NotFound, NotFound];
    let admin_of_both = [Refused, Refused, Allowed, Refused, Refused, NotFound];
    let never = [Refused, Refused, Allowed, Refused, Refused, Refused];
    let tag = |text: &str, commit: &CommitId| Entry::TagCreate {
        repo: repo(text),
        tag: "v1".parse().unwrap(),
        commit: *commit,
        document: None,
    };
    let prune = |commits: &[&CommitId]| Entry::CommitPrune {
        commits: commits.iter().map(|commit| **commit).collect(),
        why: PruneWhy::Asked,
        committer: "ci".to_owned(),
    };
    let delete = |commit: &CommitId| Entry::CommitDelete { commit: *commit, committer: "ci".to_owned() };
    let create = |text: &str, repo_kind| Entry::RepoCreate { repo: repo(text), repo_kind };
    vec![
        (Entry::Init { store: "0".repeat(32), default_branch: "main".parse().unwrap() }, never),
        (create("mine-new", RepoKind::User), admin_of_it),
        (create("mine-new", RepoKind::Output), admin_of_it),
        (create("mine-new", RepoKind::Cron), admin_of_it),
        (create("new", RepoKind::User), admin_of_all),
        // Whether a name that is not covered exists cannot be found out by creating it.
        (create("other", RepoKind::User), admin_of_all),
        (Entry::RepoDelete { repo: repo("mine") }, admin_of_it),
        (Entry::RepoDelete { repo: repo("other") }, admin_of_hidden),
        (Entry::BranchDelete { repo: repo("mine"), branch: "main".parse().unwrap() }, writer_of_it),
        (Entry::BranchDelete { repo: repo("other"), branch: "main".parse().unwrap() }, writer_of_hidden),
        (tag("mine", mine), writer_of_it),
        (tag("other", other), writer_of_hidden),
        (tag("mine", other), writer_of_both),
        (Entry::TagDelete { repo: repo("mine"), tag: "v1".parse().unwrap() }, writer_of_it),
        (Entry::TagDelete { repo: repo("other"), tag: "v1".parse().unwrap() }, writer_of_hidden),
        (Entry::Setting { key: "jobs".to_owned(), value: None }, admin_of_all),
        (
            Entry::PipelineApply { pipeline: pipeline("mine-out"), version: 2, document: of("mine-out", "mine") },
            admin_of_it,
        ),
        (
            Entry::PipelineApply { pipeline: pipeline("mine-out"), version: 2, document: of("mine-out", "other") },
            admin_of_all,
        ),
        (
            Entry::PipelineApply { pipeline: pipeline("other-out"), version: 2, document: of("other-out", "mine") },
            admin_of_all,
        ),
        (
            Entry::PipelineTry { pipeline: pipeline("mine-out"), version: 2, document: of("mine-out", "mine") },
            admin_of_it,
        ),
        (
            Entry::PipelineTry { pipeline: pipeline("mine-new"), version: 1, document: of("mine-new", "other") },
            admin_of_all,
        ),
        (Entry::PipelineDelete { pipeline: pipeline("mine-out") }, admin_of_it),
        (Entry::PipelineDelete { pipeline: pipeline("mine-mixed") }, admin_of_all),
        (Entry::PipelineDelete { pipeline: pipeline("other-out") }, admin_of_hidden),
        (Entry::PipelineStop { pipeline: pipeline("mine-out") }, admin_of_it),
        (Entry::PipelineStop { pipeline: pipeline("other-out") }, admin_of_hidden),
        (Entry::PipelineStart { pipeline: pipeline("mine-out") }, admin_of_it),
        (Entry::PipelineStart { pipeline: pipeline("other-out") }, admin_of_hidden),
        (Entry::Gc { removed: Vec::new() }, admin_of_all),
        (
            run(CauseKind::Commit, &["mine@main"], vec![moved("mine", Some(*mine))], &["mine-out", "other-out"]),
            writer_of_it,
        ),
        (run(CauseKind::Commit, &["other@main"], vec![moved("other", Some(*other))], &[]), writer_of_hidden),
        (run(CauseKind::Move, &["mine@main"], vec![moved("mine", Some(*other))], &[]), writer_of_both),
        (run(CauseKind::Txn, &[], vec![moved("mine", Some(*mine)), moved("other", Some(*other))], &[]), writer_of_both),
        (run(CauseKind::Cron, &[], vec![moved("mine", None)], &[]), writer_of_it),
        (run(CauseKind::Trigger, &[], vec![moved("other", None)], &[]), writer_of_hidden),
        (run(CauseKind::Rerun, &["mine-out"], Vec::new(), &["mine-out", "other-out"]), writer_of_it),
        (run(CauseKind::Rerun, &["mine-out:/*", "@00"], Vec::new(), &["mine-out"]), writer_of_it),
        (run(CauseKind::Retry, &["other-out"], Vec::new(), &["other-out", "mine-mixed"]), writer_of_hidden),
        // Nothing says that a job is a consequence: each needs the right.
        (run(CauseKind::Try, &["mine@main"], Vec::new(), &["mine-out", "other-out"]), writer_of_both),
        (run(CauseKind::Try, &["mine-out"], Vec::new(), &["mine-out"]), writer_of_it),
        (run(CauseKind::Apply, &["mine-out"], Vec::new(), &["mine-out", "other-out"]), writer_of_it),
        (run(CauseKind::Start, &["other-out"], Vec::new(), &["other-out"]), writer_of_hidden),
        (run(CauseKind::Rollback, &["mine-out"], Vec::new(), &["mine-out"]), writer_of_it),
        (job("mine-out", SealedState::Killed), writer_of_it),
        (job("other-out", SealedState::Killed), writer_of_hidden),
        (job("mine-out", SealedState::Success), never),
        (job("mine-out", SealedState::Failure), never),
        (job("mine-out", SealedState::Unrunnable), never),
        (prune(&[mine]), admin_of_it),
        (prune(&[mine, other]), admin_of_both),
        (Entry::Key { public_key: key(), previous: None, signature: None }, admin_of_all),
        (Entry::KeyTrust { key: Digest::from_bytes([1; 32]) }, admin_of_all),
        (delete(mine), admin_of_it),
        (delete(other), admin_of_hidden),
    ]
}

/// The kind of an entry, as in the journal.
fn kind(entry: &Entry) -> String {
    serde_json::to_value(entry).unwrap()["kind"].as_str().unwrap().to_owned()
}

#[test]
fn every_entry_needs_its_role_on_what_it_changes() {
    let world = world();
    let roles = [Role::Reader, Role::Writer, Role::Admin];
    let handles = [["*"], ["mine*"]].into_iter().flat_map(|globs| roles.map(|role| (role, globs)));
    let handles: Vec<_> = handles.collect();
    for (entry, expected) in table(&world) {
        for ((role, globs), expected) in handles.iter().zip(expected) {
            let store = world.test.store.seen_by(access(*role, globs));
            let change = Change::of(vec![entry.clone()]);
            let checked = store.ensure_may_publish(&change);
            let is = match &checked {
                Ok(()) => Allowed,
                Err(error) if error.kind() == ErrorKind::Refused => Refused,
                Err(error) if error.kind() == ErrorKind::NotFound => NotFound,
                Err(error) => panic!("{entry:?} as {role} of {globs:?}: {error}"),
            };
            assert_eq!(is, expected, "{entry:?} as {role} of {globs:?}: {checked:?}");
            if let Err(error) = checked {
                check_words(&error, &entry);
                let published = store.publish(&change).unwrap_err();
                assert_eq!(published.to_string(), error.to_string(), "publish refuses it too");
            }
        }
    }
}

#[test]
fn a_worker_changes_nothing() {
    let world = world();
    for globs in [&["*"][..], &[]] {
        let store = world.test.store.seen_by(access(Role::Worker, globs));
        for (entry, _) in table(&world) {
            let error = store.ensure_may_publish(&Change::of(vec![entry.clone()])).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::NotFound), "{entry:?}: {error}");
        }
    }
}

/// A refusal says who and what; an error of a missing name suggests nothing hidden.
fn check_words(error: &RepoError, entry: &Entry) {
    let text = format!("{error} {}", error.hint().unwrap_or_default());
    match error.kind() {
        ErrorKind::Refused => assert!(text.starts_with("the token `ci` may not "), "{text}"),
        _ => assert!(text.contains("not found") && !text.contains("did you mean `other"), "{entry:?}: {text}"),
    }
}

#[test]
fn the_table_has_every_kind_of_entry() {
    let world = world();
    let mut tested: Vec<String> = table(&world).iter().map(|(entry, _)| kind(entry)).collect();
    tested.sort();
    tested.dedup();
    let source = include_str!("../../src/store/vouching.rs");
    // The words that describe an entry name each kind once more.
    let mut known: Vec<String> = source
        .split("Entry::")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next())
        .filter(|word| !word.is_empty())
        .map(snake)
        .collect();
    known.sort();
    known.dedup();
    assert_eq!(tested, known);
}

fn snake(word: &str) -> String {
    let mut text = String::new();
    for (at, letter) in word.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[test]
fn the_words_say_what_is_missing() {
    let world = world();
    let refused = |role, globs: &[&str], entry: Entry| {
        let store = world.test.store.seen_by(access(role, globs));
        store.publish(&Change::of(vec![entry])).unwrap_err().to_string()
    };
    let write = || run(CauseKind::Commit, &[], vec![moved("mine", None)], &[]);
    let setting = || Entry::Setting { key: "jobs".to_owned(), value: None };
    assert_eq!(
        refused(Role::Reader, &["*"], write()),
        "the token `ci` may not write to `mine`: it is a reader, and that needs a writer"
    );
    assert_eq!(
        refused(Role::Admin, &["other*"], write()),
        "repository `mine` not found",
        "the same as for a name that does not exist"
    );
    assert_eq!(
        refused(Role::Writer, &["*"], setting()),
        "the token `ci` may not change settings: it is a writer, and that needs an admin"
    );
    assert_eq!(
        refused(Role::Admin, &["mine*"], setting()),
        "the token `ci` may not change settings: it does not cover all repositories"
    );
    let document = version(&world.test.store, "mine-out", "other");
    assert_eq!(
        refused(
            Role::Admin,
            &["mine*"],
            Entry::PipelineApply { pipeline: "mine-out".parse().unwrap(), version: 2, document }
        ),
        "the token `ci` may not apply pipeline `mine-out`: one of its inputs is not visible to it"
    );
    let create = Entry::RepoCreate { repo: name("else"), repo_kind: RepoKind::User };
    assert_eq!(
        refused(Role::Admin, &["mine*"], create),
        "the token `ci` may not create repository `else`: it covers only `mine*`"
    );
}

#[test]
fn what_is_allowed_happens_and_keeps_its_consequences() {
    let world = world();
    let store = world.test.store.seen_by(access(Role::Writer, &["mine*"]));
    let jobs = ["mine-out", "other-out"];
    let entry = run(CauseKind::Commit, &["mine@side"], vec![moved("mine", Some(world.mine))], &jobs);
    store.publish(&Change::of(vec![entry])).unwrap();
    assert_eq!(store.open_jobs().unwrap().len(), 1, "the other job exists, but is not visible");
    assert_eq!(world.test.store.open_jobs().unwrap().len(), 2);
}
