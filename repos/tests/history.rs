//! The history index gives the same answers as a walk over all commits, however far it is behind.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{START, TestStore, name, path};
use proptest::prelude::*;
use repos::documents::{Commit, CommitKind};
use repos::files::{self, find};
use repos::hash::digest_of;
use repos::history::{Did, PathHistory, What, introduced};
use repos::journal::Move;
use repos::tree::{FileEntry, Tree};
use repos::{Change, Store, Timestamp};
use specs::{CommitId, Glob, RunId};

type Files = BTreeMap<String, String>;
/// First and last commit of a period, what ended it, whether it contains a head, and the content in the last commit.
type PeriodOf = (CommitId, CommitId, Option<CommitId>, bool, specs::Digest);
/// First and last commit, whether a head has it, and the periods.
type Hit = (CommitId, CommitId, bool, BTreeSet<PeriodOf>);

/// What is known without the index: the parent and files of each commit, in the order of creation.
#[derive(Default)]
struct Model {
    commits: Vec<(CommitId, Option<usize>, Files)>,
    /// Branches and their heads.
    heads: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Step {
    /// On a branch: sets or removes paths.
    Commit(usize, Vec<(String, Option<String>)>),
    /// Creates a branch from any commit.
    Fork(prop::sample::Index),
    /// Moves a branch to any commit.
    Move(usize, prop::sample::Index),
    /// A writer updates the index on disk.
    Follow(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let path = "/[ab](/[ab])?";
    let edits = proptest::collection::btree_map(path, proptest::option::weighted(0.7, "[xyz]"), 1..4);
    prop_oneof![
        6 => (0..4_usize, edits).prop_map(|(branch, edits)| Step::Commit(branch, edits.into_iter().collect())),
        1 => any::<prop::sample::Index>().prop_map(Step::Fork),
        1 => (0..4_usize, any::<prop::sample::Index>()).prop_map(|(branch, to)| Step::Move(branch, to)),
        3 => (0..4_usize).prop_map(Step::Follow),
    ]
}

fn branch(number: usize) -> specs::BranchName {
    format!("b{number}").parse().unwrap()
}

fn entry(content: &str) -> FileEntry {
    FileEntry { digest: digest_of(content.as_bytes()), size: content.len() as u64, executable: false }
}

/// Moves a branch to a commit, which need not be new.
fn point(store: &Store, number: usize, from: Option<CommitId>, to: CommitId, run: RunId) {
    let moves = vec![Move { repo: name("images"), branch: branch(number), from, to: Some(to) }];
    store.publish(&Change::of(vec![common::run_entry(run, moves, Timestamp::from_micros(START))])).unwrap();
}

impl Model {
    fn head(&self, number: usize) -> Option<CommitId> {
        self.heads.get(number).map(|at| self.commits[*at].0)
    }

    fn step(&mut self, store: &Store, step: &Step) {
        let run = RunId::from_bytes(repos::random_bytes());
        match step {
            Step::Commit(number, edits) => {
                let number = *number % self.heads.len().max(1);
                let parent = self.heads.get(number).copied();
                let mut files = parent.map_or_else(Files::new, |at| self.commits[at].2.clone());
                for (path, content) in edits {
                    files.remove(path);
                    if let Some(content) = content {
                        // A path cannot be both a file and a directory.
                        files.retain(|other, _| {
                            !other.starts_with(&format!("{path}/")) && !path.starts_with(&format!("{other}/"))
                        });
                        files.insert(path.clone(), content.clone());
                    }
                }
                let id = commit(store, parent.map(|at| self.commits[at].0), &files, run, self.commits.len());
                point(store, number, self.head(number), id, run);
                self.commits.push((id, parent, files));
                if number == self.heads.len() {
                    self.heads.push(0);
                }
                self.heads[number] = self.commits.len() - 1;
            }
            Step::Fork(from) if !self.commits.is_empty() && self.heads.len() < 4 => {
                let at = from.index(self.commits.len());
                point(store, self.heads.len(), None, self.commits[at].0, run);
                self.heads.push(at);
            }
            Step::Move(number, to) if !self.heads.is_empty() => {
                let (number, at) = (number % self.heads.len(), to.index(self.commits.len()));
                point(store, number, self.head(number), self.commits[at].0, run);
                self.heads[number] = at;
            }
            Step::Follow(steps) => follow(store, Some(*steps)),
            Step::Fork(_) | Step::Move(..) => {}
        }
    }

    /// The commit and its ancestors, newest first.
    fn line(&self, at: usize) -> Vec<usize> {
        std::iter::successors(Some(at), |at| self.commits[*at].1).collect()
    }

    fn before(&self, at: usize) -> Files {
        self.commits[at].1.map_or_else(Files::new, |parent| self.commits[parent].2.clone())
    }

    fn did(&self, at: usize, path: &str) -> Option<Did> {
        let (old, new) = (self.before(at).get(path).cloned(), self.commits[at].2.get(path).cloned());
        let changed = old != new;
        let did = match (old, new) {
            (None, Some(new)) => Did::Added(entry(&new)),
            (Some(_), Some(new)) => Did::Modified(entry(&new)),
            _ => Did::Removed,
        };
        changed.then_some(did)
    }

    fn reached(&self) -> BTreeSet<usize> {
        self.heads.iter().flat_map(|head| self.line(*head)).collect()
    }

    /// First and last reachable commit, in the order of runs, in which a path matches; whether a head has it; and its periods.
    fn found(&self, fits: impl Fn(&str, &str) -> bool) -> BTreeMap<String, Hit> {
        let mut found: BTreeMap<String, Hit> = BTreeMap::new();
        for at in self.reached() {
            let (id, _, files) = &self.commits[at];
            for (path, _) in files.iter().filter(|(path, content)| fits(path, content)) {
                let is_head = self.heads.contains(&at);
                let hit = found.entry(path.clone()).or_insert((*id, *id, false, BTreeSet::new()));
                (hit.1, hit.2) = (*id, hit.2 || is_head);
            }
        }
        for (path, hit) in &mut found {
            hit.3 = self
                .periods(|at| self.commits[at].2.get(path).filter(|content| fits(path, content)).map(|it| entry(it)));
        }
        found
    }

    /// The periods of matching commits, over the histories of all heads that are not an ancestor of another head.
    fn periods(&self, file: impl Fn(usize) -> Option<FileEntry>) -> BTreeSet<PeriodOf> {
        let is_covered =
            |head: &usize| self.heads.iter().any(|other| other != head && self.line(*other).contains(head));
        let id = |at: usize| self.commits[at].0;
        let mut periods = BTreeSet::new();
        for head in self.heads.iter().filter(|head| !is_covered(head)) {
            let line: Vec<usize> = self.line(*head).into_iter().rev().collect();
            let mut start = None;
            for (number, at) in line.iter().enumerate() {
                start = file(*at).and(start.or(Some(number)));
                let next = line.get(number + 1).copied();
                if let (Some(start), Some(file), None) = (start, file(*at), next.and_then(&file)) {
                    let at_head = line[start..=number].iter().any(|at| self.heads.contains(at));
                    periods.insert((id(line[start]), id(*at), next.map(id), at_head, file.digest));
                }
            }
        }
        periods
    }
}

fn commit(store: &Store, parent: Option<CommitId>, contents: &Files, run: RunId, number: usize) -> CommitId {
    let files: Vec<(&str, Option<&str>)> =
        contents.iter().map(|(at, content)| (at.as_str(), Some(content.as_str()))).collect();
    let (tree, _) = files::apply(store, Tree::empty(), &common::edits(store, &files)).unwrap();
    let commit = Commit {
        repo: name("images"),
        branch: branch(0),
        parents: parent.into_iter().collect(),
        tree: tree.root(),
        lineage: None,
        datums: None,
        run,
        kind: CommitKind::User,
        author: "Anna".to_owned(),
        committer: "uid:1@h".to_owned(),
        message: number.to_string(),
        created_at: Timestamp::from_micros(START),
        provenance: Vec::new(),
        sources: Vec::new(),
        origins: Vec::new(),
        pipeline: None,
        job: None,
        error: None,
        journal: None,
    };
    store.put_commit(&commit).unwrap()
}

/// An owner does some steps, or all.
fn follow(store: &Store, steps: Option<usize>) {
    let owner = Store::open(store.dir()).unwrap();
    owner.own().unwrap();
    match steps {
        // A commit costs 32.
        Some(steps) => (0..steps).for_each(|_| owner.follow_histories_a_little(34).unwrap()),
        None => owner.follow_histories_as_owner(),
    }
    drop(owner);
    store.refresh().unwrap();
}

/// A commit whose tree does not exist.
fn commit_without_files(store: &Store, parent: CommitId, run: RunId) -> CommitId {
    let parent = store.commit(&parent).map(|commit| (parent, commit)).unwrap();
    let commit = Commit { parents: vec![parent.0], tree: digest_of(b"no node"), run, ..parent.1 };
    store.put_commit(&commit).unwrap()
}

/// Checks that all queries give the model's answers.
fn compare(store: &Store, model: &Model) {
    let paths = ["/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b"];
    for at in model.reached() {
        for asked in paths {
            let id = model.commits[at].0;
            let expected: Vec<(CommitId, Did)> = model
                .line(at)
                .into_iter()
                .filter_map(|at| model.did(at, asked).map(|did| (model.commits[at].0, did)))
                .collect();
            let history = PathHistory::new(store, &name("images"), id, &path(asked));
            let found: Vec<(CommitId, Did)> =
                history.map(|change| change.map(|(id, did)| (id, did.unwrap())).unwrap()).collect();
            assert_eq!(found, expected, "{asked} from commit {at}");
            let first = expected.first().filter(|(_, did)| did.file().is_some()).map(|(id, _)| *id);
            assert_eq!(introduced(store, &name("images"), id, &path(asked)).unwrap(), first);
            let below = format!("{asked}/");
            let touched = |at: &usize| {
                paths.iter().any(|path| (*path == asked || path.starts_with(&below)) && model.did(*at, path).is_some())
            };
            let expected: Vec<CommitId> =
                model.line(at).into_iter().filter(touched).map(|at| model.commits[at].0).collect();
            let from = store.resolve(&format!("images@{id}:{asked}").parse().unwrap()).unwrap();
            let found: Vec<CommitId> = files::log(store, &from).unwrap().map(|logged| logged.unwrap().id).collect();
            assert_eq!(found, expected, "at and below {asked} from commit {at}");
        }
    }
    for content in ["x", "y", "z"] {
        let what = What::Bytes(digest_of(content.as_bytes()));
        assert_eq!(all_found(store, &what), model.found(|_, has| has == content), "bytes {content}");
    }
    for glob in ["/**", "/a/*", "/*"] {
        let glob: Glob = Glob::parse(glob).unwrap();
        assert_eq!(all_found(store, &What::Path(glob.clone())), model.found(|path, _| glob.matches(path)), "{glob:?}");
    }
}

fn all_found(store: &Store, what: &What) -> BTreeMap<String, Hit> {
    let periods = |found: &files::Found| {
        assert_eq!(found.periods_before, 0);
        let of = |it: &files::Period| (it.first, it.last, it.ended_by, it.at_head, it.file.digest);
        found.periods.iter().map(of).collect()
    };
    let found = find(store, what).unwrap().into_iter();
    found.map(|found| (found.path.to_string(), (found.first, found.last, found.at_head, periods(&found)))).collect()
}

#[test]
fn of_very_many_periods_the_newest_are_told_and_the_others_counted() {
    let test = TestStore::new();
    let ids: Vec<CommitId> =
        (0..25).map(|number| test.set("images", &[("/a", Some(if number % 2 == 0 { "x" } else { "y" }))])).collect();
    for _ in 0..2 {
        let found = find(&test.store, &What::Bytes(digest_of(b"x"))).unwrap().remove(0);
        assert_eq!((found.first, found.last, found.at_head), (ids[0], ids[24], true));
        assert_eq!((found.periods.len(), found.periods_before), (10, 3));
        let last = found.periods.last().unwrap();
        assert_eq!((last.first, last.last, last.ended_by, last.at_head), (ids[24], ids[24], None, true));
        assert_eq!((found.periods[8].first, found.periods[8].ended_by), (ids[22], Some(ids[23])));
        test.store.rebuild_index().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_index_answers_as_a_walk_does(steps in proptest::collection::vec(any_step(), 1..24)) {
        let test = TestStore::new();
        let mut model = Model::default();
        for step in &steps {
            model.step(&test.store, step);
        }
        compare(&test.store, &model);
        follow(&test.store, None);
        for (commit, ..) in &model.commits {
            prop_assert!(test.store.has_followed(commit).unwrap());
        }
        compare(&test.store, &model);
        test.store.rebuild_index().unwrap();
        compare(&test.store, &model);
    }
}

#[test]
fn commits_whose_files_cannot_be_read_are_walked_and_hold_nobody_up() {
    let test = TestStore::new();
    let store = &test.store;
    let put = |parent: Option<CommitId>, content: &str, number| {
        let run = RunId::from_bytes(repos::random_bytes());
        let files = Files::from([("/a".to_owned(), content.to_owned()), ("/b".to_owned(), "same".to_owned())]);
        let id = commit(store, parent, &files, run, number);
        point(store, 0, parent, id, run);
        id
    };
    let first = put(None, "x", 0);
    let run = RunId::from_bytes(repos::random_bytes());
    let gone = commit_without_files(store, first, run);
    point(store, 0, Some(first), gone, run);
    let after = put(Some(gone), "y", 1);
    let newest = put(Some(after), "z", 2);
    follow(store, None);
    let followed = [first, gone, after, newest].map(|id| store.has_followed(&id).unwrap());
    assert_eq!(followed, [true, false, false, true], "what differs from files that are gone is not known");
    let changes =
        |path: &str| PathHistory::new(store, &name("images"), newest, &common::path(path)).collect::<Vec<_>>();
    let of_a = changes("/a");
    assert_eq!(of_a[0].as_ref().unwrap().0, newest);
    let damaged = |change: &Result<_, repos::RepoError>| {
        change.as_ref().err().map(repos::RepoError::kind) == Some(specs::ErrorKind::Damaged)
    };
    assert!(of_a.len() == 2 && damaged(&of_a[1]), "{of_a:?}");
    assert!(damaged(&changes("/b")[0]));
    // The next writer does not try again.
    let last = put(Some(newest), "x", 3);
    follow(store, None);
    assert!(store.has_followed(&last).unwrap());
}

#[test]
fn a_large_put_is_followed_by_its_own_writer_and_a_repository_that_is_gone_is_forgotten() {
    let test = TestStore::new();
    let store = &test.store;
    let contents: Vec<(String, String)> = (0..3_000).map(|n| (format!("/d{}/f{n}", n % 7), n.to_string())).collect();
    let contents: Vec<(&str, Option<&str>)> =
        contents.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))).collect();
    let edits = common::edits(store, &contents);
    let (id, _) = common::commit(store, &name("images"), &specs::BranchName::main(), &edits).unwrap();
    let id = id.unwrap();
    assert!(store.has_followed(&id).unwrap());
    let found = find(store, &What::Bytes(digest_of(b"2999"))).unwrap();
    assert_eq!(found.iter().map(|found| found.path.to_string()).collect::<Vec<_>>(), ["/d3/f2999"]);
    store.publish(&Change::of(vec![repos::journal::Entry::RepoDelete { repo: name("images") }])).unwrap();
    assert!(find(store, &What::Bytes(digest_of(b"2999"))).unwrap().is_empty());
    test.create("images");
    store.rebuild_index().unwrap();
    assert!(find(store, &What::Bytes(digest_of(b"2999"))).unwrap().is_empty());
}
