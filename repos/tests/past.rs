//! What was there at an earlier moment, whatever was deleted later.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{TestStore, name};
use repos::access::{Access, RepoGlobs, Role};
use repos::journal::{Entry, Move};
use repos::store::Then;
use repos::{Change, RepoError, Store};
use specs::{BranchName, CommitId, RunId};

fn publish(test: &TestStore, entry: Entry) {
    test.store.publish(&Change::of(vec![entry])).unwrap();
}

/// Creates the branch `draft` of `images`.
fn draft(test: &TestStore, at: Option<CommitId>) {
    let moved = Move { repo: name("images"), branch: "draft".parse().unwrap(), from: None, to: at };
    let run = RunId::from_bytes(repos::random_bytes());
    publish(test, common::run_entry(run, vec![moved], test.store.clock().now()));
}

/// This moment: after the last run, and as a time.
fn moments(test: &TestStore) -> [Then; 2] {
    [Then::Run(test.store.runs_count().unwrap()), Then::Time(test.store.clock().now())]
}

/// The branches of `images` with their heads.
fn branches(store: &Store, then: Then) -> Vec<(String, Option<CommitId>)> {
    let rows = store.branches_then(&name("images"), then).unwrap();
    for (branch, row) in &rows {
        assert_eq!(store.branch_then(&name("images"), branch, then).unwrap().as_ref(), Some(row));
    }
    rows.into_iter().map(|(branch, row)| (branch.to_string(), row.commit)).collect()
}

/// Branches by name, with their heads.
type Heads<'a> = Vec<(&'a str, Option<CommitId>)>;

fn repos_at(store: &Store, then: Then) -> Vec<String> {
    store.repos_then(then).unwrap().into_iter().map(|(repo, _)| repo.to_string()).collect()
}

#[test]
fn branches_are_as_they_were_whatever_was_deleted_later() {
    let test = TestStore::new();
    let deleted = || Entry::BranchDelete { repo: name("images"), branch: "draft".parse().unwrap() };
    let mut expected: Vec<(Then, Heads<'_>)> = Vec::new();
    let mut note = |moments: &[Then], branches: &[(&'static str, Option<CommitId>)]| {
        expected.extend(moments.iter().map(|then| (*then, branches.to_vec())));
    };
    note(&moments(&test), &[]);
    let first = test.set("images", &[("/a", Some("1"))]);
    note(&moments(&test), &[("main", Some(first))]);
    draft(&test, Some(first));
    note(&moments(&test), &[("draft", Some(first)), ("main", Some(first))]);
    let second = test.set("images", &[("/a", Some("2"))]);
    note(&moments(&test), &[("draft", Some(first)), ("main", Some(second))]);
    // As of the run before it, a deletion has not come yet.
    publish(&test, deleted());
    note(&moments(&test)[1..], &[("main", Some(second))]);
    draft(&test, Some(second));
    note(&moments(&test), &[("draft", Some(second)), ("main", Some(second))]);
    publish(&test, deleted());
    draft(&test, None);
    note(&moments(&test), &[("draft", None), ("main", Some(second))]);
    publish(&test, Entry::RepoDelete { repo: name("images") });
    note(&moments(&test)[1..], &[]);
    test.create("images");
    let third = test.set("images", &[("/b", Some("3"))]);
    note(&moments(&test), &[("main", Some(third))]);
    for attempt in ["as they were made", "after the index is made anew"] {
        for (then, branches_then) in &expected {
            let found = branches(&test.store, *then);
            let found: Vec<(&str, Option<CommitId>)> =
                found.iter().map(|(branch, head)| (branch.as_str(), *head)).collect();
            assert_eq!(found, *branches_then, "{then:?} {attempt}");
        }
        test.store.rebuild_index().unwrap();
    }
}

#[test]
fn a_time_in_a_reference_finds_a_branch_that_was_deleted_later() {
    let test = TestStore::new();
    let first = test.set("images", &[("/a", Some("1"))]);
    draft(&test, Some(first));
    let then = test.store.clock().now();
    publish(&test, Entry::BranchDelete { repo: name("images"), branch: "draft".parse().unwrap() });
    let after = test.store.clock().now();
    assert_eq!(test.resolve(&format!("images@draft@{{{then}}}")).id, first);
    let gone = test.store.resolve(&format!("images@draft@{{{after}}}").parse().unwrap()).unwrap_err();
    assert!(gone.to_string().contains("it was deleted at"), "{gone}");
}

#[test]
fn a_deleted_repository_was_there_and_its_commits_still_are() {
    let test = TestStore::new();
    let first = test.set("images", &[("/a", Some("1"))]);
    let [run, time] = moments(&test);
    publish(&test, Entry::RepoDelete { repo: name("images") });
    let after = Then::Time(test.store.clock().now());
    for then in [run, time] {
        assert_eq!(repos_at(&test.store, then), ["images"]);
        assert!(test.store.repo_then(&name("images"), then).unwrap().is_some());
        assert_eq!(branches(&test.store, then), [("main".to_owned(), Some(first))]);
    }
    assert_eq!(repos_at(&test.store, after), Vec::<String>::new());
    assert_eq!(test.store.repo_then(&name("images"), after).unwrap(), None);
    assert_eq!(test.resolve(&format!("images@{first}")).id, first);
    let by_name = test.store.resolve(&"images@main".parse().unwrap()).unwrap_err();
    assert!(matches!(by_name, RepoError::RepoNotFound { .. }), "{by_name}");
}

#[test]
fn who_may_not_see_a_repository_sees_nothing_of_its_past() {
    let test = TestStore::new();
    let first = test.set("images", &[("/a", Some("1"))]);
    let [run, time] = moments(&test);
    publish(&test, Entry::RepoDelete { repo: name("images") });
    let repos = RepoGlobs::parse(&["other*"]).unwrap();
    let access = Access { who: "rolf".to_owned(), role: Role::Reader, repos, client: "rolf".to_owned() };
    let store = test.store.seen_by(access);
    for then in [run, time] {
        assert!(branches(&store, then).is_empty());
        assert_eq!(store.branch_then(&name("images"), &BranchName::main(), then).unwrap(), None);
        assert_eq!(store.repo_then(&name("images"), then).unwrap(), None);
        assert_eq!(repos_at(&store, then), Vec::<String>::new());
    }
    let hidden = store.resolve(&format!("images@{first}").parse().unwrap()).unwrap_err();
    assert!(matches!(hidden, RepoError::RepoNotFound { .. }), "{hidden}");
}
