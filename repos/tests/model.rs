//! A store and a model made of maps do the same random operations and must stay equal, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{TestStore, contents, edits, name, path};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use repos::files::{Edits, apply, cp, diff, mv, rm};
use repos::fsck::check;
use repos::gc::{Plan, Selection, collect, give_up};
use repos::hash::digest_of;
use repos::journal::{Entry, Move};
use repos::place::{Access, Place};
use repos::store::Then;
use repos::tree::{FileEntry, NodeSink, Tree};
use repos::{Change, OpenOptions, RepoError, Store};
use serde_json::json;
use specs::{BranchName, CommitId, Digest, ErrorKind, RunId};
use tests::s3::S3Server;

type Files = BTreeMap<String, String>;

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<(String, String)>),
    Rm(String),
    Mv(String, String),
    Cp(usize, String, String),
    Branch,
    Tag,
    Switch(usize),
    Move(usize),
    Txn(Vec<(usize, Vec<(String, String)>)>, bool),
    DeleteBranch,
    DeleteTag(usize),
    DeleteCommit,
    Prune(usize),
    Gc(bool),
    Reopen,
    Rebuild,
    LoseFolder,
}

fn any_path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-c]|a-b", 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn any_put() -> impl Strategy<Value = Vec<(String, String)>> {
    let content = prop_oneof![4 => "[xyz]{0,2}", 1 => "[xy]{300,600}"];
    proptest::collection::btree_map(any_path(), content, 1..5).prop_map(|put| put.into_iter().collect())
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_put().prop_map(Step::Put),
        2 => any_path().prop_map(Step::Rm),
        2 => (any_path(), any_path()).prop_map(|(from, to)| Step::Mv(from, to)),
        2 => (0..4_usize, any_path(), any_path()).prop_map(|(branch, from, to)| Step::Cp(branch, from, to)),
        1 => Just(Step::Branch),
        1 => Just(Step::Tag),
        2 => (0..4_usize).prop_map(Step::Switch),
        2 => (0..4_usize).prop_map(Step::Move),
        2 => (proptest::collection::vec((0..4_usize, any_put()), 1..4), any::<bool>())
            .prop_map(|(parts, stale)| Step::Txn(parts, stale)),
        1 => Just(Step::DeleteBranch),
        1 => (0..4_usize).prop_map(Step::DeleteTag),
        1 => Just(Step::DeleteCommit),
        1 => (1..4_usize).prop_map(Step::Prune),
        2 => any::<bool>().prop_map(Step::Gc),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
        1 => Just(Step::LoseFolder),
    ]
}

fn below(files: &Files, at: &str) -> Vec<(String, String)> {
    let own = |path: &str| path == at || path.starts_with(&format!("{at}/"));
    files.iter().filter(|(path, _)| own(path)).map(|(path, content)| (path.clone(), content.clone())).collect()
}

fn is_directory(files: &Files, at: &str) -> bool {
    files.keys().any(|path| path.starts_with(&format!("{at}/")))
}

fn is_legal(files: &Files) -> bool {
    !files.keys().any(|path| is_directory(files, path))
}

/// The result of `mv` (with `remove`) or `cp` on `onto`; `None` if it must be refused.
fn moved(from_files: &Files, onto: &Files, from: &str, to: &str, same: bool, remove: bool) -> Option<Files> {
    let taken = below(from_files, from);
    let into_itself = same && (from == to || to.starts_with(&format!("{from}/")));
    let is_file = from_files.contains_key(from);
    let in_the_way = if is_file { is_directory(onto, to) } else { onto.contains_key(to) };
    if taken.is_empty() || into_itself || in_the_way {
        return None;
    }
    let mut files = onto.clone();
    if remove {
        files.retain(|path, _| !taken.iter().any(|(gone, _)| gone == path));
    }
    files.extend(taken.into_iter().map(|(path, content)| (format!("{to}{}", &path[from.len()..]), content)));
    is_legal(&files).then_some(files)
}

/// A commit's expected content.
#[derive(Debug, Clone)]
struct Made {
    parent: Option<CommitId>,
    sources: Vec<CommitId>,
    files: Files,
    has_given_up: bool,
}

/// The store and its expected content.
struct World {
    test: TestStore,
    options: OpenOptions,
    place: Option<Place>,
    commits: BTreeMap<CommitId, Made>,
    branches: BTreeMap<String, CommitId>,
    tags: BTreeMap<String, CommitId>,
    current: String,
    names_given: usize,
    /// The branches as they were at each time, and when each run had come first.
    then: Vec<(Then, BTreeMap<String, CommitId>)>,
}

/// Discards the nodes of a tree of which only the root matters.
struct Nowhere;

impl NodeSink for Nowhere {
    type Error = RepoError;

    fn write(&mut self, _: Digest, _: Vec<u8>) -> Result<(), RepoError> {
        Ok(())
    }
}

fn root_of(files: &Files) -> Tree {
    let entry =
        |text: &String| FileEntry { digest: digest_of(text.as_bytes()), size: text.len() as u64, executable: false };
    Tree::build(files.iter().map(|(path, text)| (path, entry(text))), &mut Nowhere).unwrap()
}

impl World {
    fn new(place: Option<Place>) -> Self {
        let options = place.iter().fold(common::options(), |options, place| options.place(place.clone()));
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("store");
        std::fs::create_dir(&dir).unwrap();
        let store = match &place {
            Some(place) => options.init_shared(&dir, place.url(), BranchName::main()),
            None => options.init(&dir, BranchName::main()),
        };
        let test = TestStore { folder, store: store.unwrap() };
        test.create("images");
        let (commits, branches, tags) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (current, then) = ("main".to_owned(), Vec::new());
        Self { test, options, place, commits, branches, tags, current, names_given: 0, then }
    }

    fn publish(&self, entries: Vec<Entry>) -> Result<(), RepoError> {
        self.test.store.publish(&Change::of(entries))
    }

    fn files(&self, branch: &str) -> Files {
        self.branches.get(branch).map_or_else(Files::new, |head| self.commits[head].files.clone())
    }

    fn tree_of(&self, branch: &str) -> Tree {
        self.branches.get(branch).map_or(Tree::empty(), |head| Tree::at(self.test.store.commit(head).unwrap().tree))
    }

    fn branch_at(&self, number: usize) -> String {
        self.branches.keys().nth(number % self.branches.len().max(1)).cloned().unwrap_or_else(|| "main".to_owned())
    }

    fn new_name(&mut self, letter: char) -> String {
        self.names_given += 1;
        format!("{letter}{}", self.names_given)
    }

    fn note(&mut self, branch: &str, id: CommitId, files: Files, sources: Vec<CommitId>) {
        let parent = self.branches.insert(branch.to_owned(), id);
        self.commits.insert(id, Made { parent, sources, files, has_given_up: false });
    }

    fn change(&mut self, edits: Result<Edits, RepoError>, expected: Option<Files>) {
        let branch = self.current.clone();
        let sources =
            edits.as_ref().map_or(Vec::new(), |edits| edits.sources.iter().map(|source| source.commit).collect());
        let done =
            edits.and_then(|edits| common::commit(&self.test.store, &name("images"), &branch.parse().unwrap(), &edits));
        match (done, expected) {
            (Ok((Some(id), _)), Some(files)) => {
                assert_ne!(files, self.files(&branch));
                self.note(&branch, id, files, sources);
            }
            (Ok((None, _)), Some(files)) => assert_eq!(files, self.files(&branch), "nothing changes"),
            (Err(error), None) => {
                assert!(matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound), "{error}");
            }
            (done, expected) => panic!("{done:?} but expected {expected:?}"),
        }
    }

    fn step(&mut self, step: Step) {
        let branch = self.current.clone();
        let (tree, files) = (self.tree_of(&branch), self.files(&branch));
        let store = self.test.store.clone();
        match step {
            Step::Put(put) => {
                let after = with(&files, &put);
                self.change(Ok(edits_of(&store, &put)), is_legal(&after).then_some(after));
            }
            Step::Rm(at) => {
                let gone = below(&files, &at);
                let expected = (!gone.is_empty()).then(|| {
                    let mut after = files;
                    after.retain(|path, _| !gone.iter().any(|(removed, _)| removed == path));
                    after
                });
                self.change(rm(&store, tree, "images", &[path(&at)], true), expected);
            }
            Step::Mv(from, to) => {
                let expected = moved(&files, &files, &from, &to, true, true);
                self.change(mv(&store, tree, "images", &path(&from), &path(&to)), expected);
            }
            Step::Cp(number, from, to) => self.copy(&self.branch_at(number), &from, &to),
            Step::Branch if self.branches.len() < 4 => self.branch(),
            Step::Branch => {}
            Step::Tag => self.tag(),
            Step::Switch(number) => self.current = self.branch_at(number),
            Step::Move(number) => self.move_branch(&self.branch_at(number)),
            Step::Txn(parts, stale) => self.txn(&parts, stale),
            Step::DeleteBranch => self.delete_branch(),
            Step::DeleteTag(number) => self.delete_tag(number),
            Step::DeleteCommit => self.delete_commit(),
            Step::Prune(keep) => self.prune(keep),
            Step::Gc(at_once) => self.gc(at_once),
            Step::Reopen => self.test.store = self.options.open(store.dir()).unwrap(),
            Step::Rebuild => store.rebuild_index().unwrap(),
            Step::LoseFolder => self.lose_folder(),
        }
    }

    fn copy(&mut self, branch: &str, from: &str, to: &str) {
        let Ok(source) = self.test.store.resolve(&format!("images@{branch}:{from}").parse().unwrap()) else { return };
        let (tree, files) = (self.tree_of(&self.current), self.files(&self.current));
        let same = source.tree() == tree;
        let expected = moved(&self.files(branch), &files, from, to, same, false);
        self.change(cp(&self.test.store, &source, &name("images"), tree, &path(to)), expected);
    }

    fn moved(&self, branch: &str, to: Option<CommitId>) -> Move {
        Move { repo: name("images"), branch: branch.parse().unwrap(), from: self.branches.get(branch).copied(), to }
    }

    fn run(&self, moves: Vec<Move>) -> Entry {
        common::run_entry(RunId::from_bytes(repos::random_bytes()), moves, self.test.store.clock().now())
    }

    fn branch(&mut self) {
        let Some(head) = self.branches.get(&self.current).copied() else { return };
        let branch = self.new_name('b');
        self.publish(vec![self.run(vec![self.moved(&branch, Some(head))])]).unwrap();
        self.branches.insert(branch, head);
    }

    fn tag(&mut self) {
        let Some(commit) = self.branches.get(&self.current).copied() else { return };
        let tag = self.new_name('t');
        let entry = Entry::TagCreate { repo: name("images"), tag: tag.parse().unwrap(), commit, document: None };
        self.publish(vec![entry]).unwrap();
        self.tags.insert(tag, commit);
    }

    /// Moves the current branch to its parent, or to the head of another branch.
    fn move_branch(&mut self, other: &str) {
        let Some(head) = self.branches.get(&self.current).copied() else { return };
        let to = if other == self.current { self.commits[&head].parent } else { self.branches.get(other).copied() };
        let Some(to) = to else { return };
        let done = self.publish(vec![self.run(vec![self.moved(&self.current, Some(to))])]);
        assert_eq!(done.is_err(), self.commits[&to].has_given_up, "{done:?}");
        if done.is_ok() {
            self.branches.insert(self.current.clone(), to);
        }
    }

    /// Changes several branches atomically; if one is stale, none changes.
    fn txn(&mut self, parts: &[(usize, Vec<(String, String)>)], stale: bool) {
        let mut changes: BTreeMap<String, (CommitId, Files)> = BTreeMap::new();
        let mut moves = Vec::new();
        let run = RunId::from_bytes(repos::random_bytes());
        for (number, put) in parts {
            let branch = self.branch_at(*number);
            let after = with(&self.files(&branch), put);
            if changes.contains_key(&branch) || !is_legal(&after) || after == self.files(&branch) {
                continue;
            }
            let (tree, _) = apply(&self.test.store, self.tree_of(&branch), &edits_of(&self.test.store, put)).unwrap();
            let id = self.put_commit(&branch, tree, run);
            moves.push(self.moved(&branch, Some(id)));
            changes.insert(branch, (id, after));
        }
        if stale && let Some(last) = moves.last_mut() {
            last.from = last.to;
        }
        if moves.is_empty() {
            return;
        }
        let done = self.publish(vec![common::run_entry(run, moves, self.test.store.clock().now())]);
        assert_eq!(done.is_err(), stale, "{done:?}");
        for (branch, (id, files)) in changes.into_iter().filter(|_| !stale) {
            self.note(&branch, id, files, Vec::new());
        }
    }

    fn put_commit(&self, branch: &str, tree: Tree, run: RunId) -> CommitId {
        let parents = self.branches.get(branch).map(ToString::to_string).into_iter().collect::<Vec<_>>();
        let commit = json!({"repo": "images", "branch": branch, "parents": parents, "tree": tree.root(), "kind": "user",
            "run": run, "committer": "uid:1@edge",
            "created_at": self.test.store.clock().now()});
        self.test.store.put_commit(&serde_json::from_value(commit).unwrap()).unwrap()
    }

    fn delete_branch(&mut self) {
        let branch = self.current.clone();
        let entry = Entry::BranchDelete { repo: name("images"), branch: branch.parse().unwrap() };
        let done = self.publish(vec![entry]);
        assert_eq!(done.is_ok(), self.branches.remove(&branch).is_some(), "{done:?}");
        self.current = self.branch_at(0);
    }

    fn delete_tag(&mut self, number: usize) {
        let Some(tag) = self.tags.keys().nth(number % self.tags.len().max(1)).cloned() else { return };
        self.publish(vec![Entry::TagDelete { repo: name("images"), tag: tag.parse().unwrap() }]).unwrap();
        self.tags.remove(&tag);
    }

    /// The commits reachable from branches and tags other than `but`.
    fn reached(&self, but: Option<&str>) -> BTreeSet<CommitId> {
        let heads = self.branches.iter().filter(|(branch, _)| Some(branch.as_str()) != but).map(|(_, head)| *head);
        let mut open: Vec<CommitId> = heads.chain(self.tags.values().copied()).collect();
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(self.commits[&id].parent.into_iter().chain(self.commits[&id].sources.clone()));
            }
        }
        reached
    }

    /// Deletes the head if nothing else names it; its branch moves to the parent.
    fn delete_commit(&mut self) {
        let Some(head) = self.branches.get(&self.current).copied() else { return };
        let parent = self.commits[&head].parent;
        let Some(parent) = parent.filter(|_| !self.reached(Some(&self.current)).contains(&head)) else { return };
        let deleted = Entry::CommitDelete { commit: head, committer: "uid:1@edge".to_owned() };
        let done = self.publish(vec![self.run(vec![self.moved(&self.current, Some(parent))]), deleted]);
        assert_eq!(done.is_err(), self.commits[&parent].has_given_up, "{done:?}");
        if done.is_ok() {
            self.commits.get_mut(&head).unwrap().has_given_up = true;
            self.branches.insert(self.current.clone(), parent);
        }
    }

    fn history(&self, branch: &str) -> Vec<CommitId> {
        let head = self.branches.get(branch).copied();
        std::iter::successors(head, |id| self.commits[id].parent).collect()
    }

    /// Older commits of the current branch give up their files.
    fn prune(&mut self, keep: usize) {
        let Some(_) = self.branches.get(&self.current) else { return };
        let store = &self.test.store;
        let branch = self.current.parse().unwrap();
        let plan = Plan::of_selection(store, &name("images"), Some(&branch), Selection::AllBut(keep)).unwrap();
        let others = self.branches.keys().filter(|branch| **branch != self.current);
        let kept: BTreeSet<CommitId> =
            others.flat_map(|branch| self.history(branch)).chain(self.tags.values().copied()).collect();
        let old = self.history(&self.current).into_iter().skip(keep.max(1));
        let expected: BTreeSet<CommitId> =
            old.filter(|id| !kept.contains(id) && !self.commits[id].has_given_up).collect();
        assert_eq!(plan.commits.keys().copied().collect::<BTreeSet<_>>(), expected);
        give_up(store, &plan, "uid:1@edge").unwrap();
        for id in expected {
            self.commits.get_mut(&id).unwrap().has_given_up = true;
        }
    }

    fn gc(&mut self, at_once: bool) {
        let value = if at_once { "0s" } else { "14d" };
        let setting = Entry::Setting { key: "gc_grace".to_owned(), value: Some(value.to_owned()) };
        self.publish(vec![setting]).unwrap();
        collect(&self.test.store, "uid:1@edge", false, &|_, _, _| {}).unwrap();
        if at_once {
            let reached = self.reached(None);
            for (_, made) in self.commits.iter_mut().filter(|(id, _)| !reached.contains(*id)) {
                made.has_given_up = true;
            }
        }
        self.compare_all();
    }

    /// For a store in a place: the local folder is lost, and another machine continues.
    fn lose_folder(&mut self) {
        let Some(place) = &self.place else { return };
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("store");
        std::fs::create_dir(&dir).unwrap();
        let store = self.options.init_shared(&dir, place.url(), BranchName::main()).unwrap();
        self.test = TestStore { folder, store };
    }

    fn compare_commit(&self, id: &CommitId, what: &str) {
        let files = &self.commits[id].files;
        let tree = Tree::at(self.test.store.commit(id).unwrap().tree);
        assert_eq!(tree, root_of(files), "{what}");
        assert_eq!(&contents(&self.test.store, tree).into_iter().collect::<Files>(), files, "{what}");
    }

    fn compare(&self) {
        let rows = self.test.store.branches(&name("images")).unwrap();
        let branches = rows.into_iter().filter_map(|(branch, row)| Some((branch.to_string(), row.commit?)));
        assert_eq!(branches.collect::<BTreeMap<_, _>>(), self.branches);
        let tags = self.test.store.tags(&name("images")).unwrap();
        let tags: BTreeMap<_, _> = tags.into_iter().map(|(tag, row)| (tag.to_string(), row.commit)).collect();
        assert_eq!(tags, self.tags);
        for (what, id) in self.branches.iter().chain(&self.tags) {
            self.compare_commit(id, what);
            Tree::at(self.test.store.commit(id).unwrap().tree).check(&self.test.store).unwrap();
        }
    }

    /// Compares every commit that is kept, whatever reaches it.
    fn compare_all(&self) {
        for (id, made) in &self.commits {
            assert_eq!(self.test.store.is_pruned(id).unwrap().is_some(), made.has_given_up, "{id}");
            if !made.has_given_up {
                self.compare_commit(id, &id.to_string());
            }
            assert_eq!(self.test.store.commit(id).unwrap().parents, made.parent.into_iter().collect::<Vec<_>>());
        }
    }

    fn note_moment(&mut self) {
        let store = &self.test.store;
        let (run, time) = (Then::Run(store.runs_count().unwrap()), Then::Time(store.clock().now()));
        let is_new = self.then.iter().all(|(then, _)| *then != run);
        self.then.extend(is_new.then(|| (run, self.branches.clone())));
        self.then.push((time, self.branches.clone()));
    }

    /// Compares the branches of each moment, whatever became of them.
    fn compare_past(&self) {
        for (then, expected) in &self.then {
            let rows = self.test.store.branches_then(&name("images"), *then).unwrap();
            let found = rows.into_iter().filter_map(|(branch, row)| Some((branch.to_string(), row.commit?)));
            assert_eq!(found.collect::<BTreeMap<_, _>>(), *expected, "{then:?}");
        }
    }

    /// Executes these steps and checks everything after each.
    fn live(mut self, steps: Vec<Step>) {
        for step in steps {
            self.note_moment();
            self.step(step);
            self.compare();
        }
        self.compare_all();
        self.compare_past();
        assert_eq!(check(&self.test.store, &|_, _, _| {}).unwrap().problems, []);
    }
}

fn with(files: &Files, put: &[(String, String)]) -> Files {
    let mut after = files.clone();
    after.extend(put.iter().cloned());
    after
}

fn edits_of(store: &Store, put: &[(String, String)]) -> Edits {
    let put: Files = put.iter().cloned().collect();
    let listed: Vec<_> = put.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))).collect();
    edits(store, &listed)
}

/// Number of cases; thousands are tried from time to time.
fn cases(default: u32) -> u32 {
    std::env::var("PV_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn a_store_in_s3_does_what_maps_do() {
    let Some(server) = S3Server::start() else { return };
    let access = Access::new(server.variables());
    let number = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(config(cases(12).div_ceil(6)));
    let steps = proptest::collection::vec(any_step(), 1..15);
    let done = runner.run(&steps, |steps| {
        number.set(number.get() + 1);
        let place = Place::open(&S3Server::url(&format!("model/{}", number.get())), &access).unwrap();
        World::new(Some(place)).live(steps);
        Ok(())
    });
    done.unwrap();
}

proptest! {
    #![proptest_config(config(cases(24)))]

    #[test]
    fn a_store_does_what_maps_do(steps in proptest::collection::vec(any_step(), 1..30)) {
        World::new(None).live(steps);
    }

    #[test]
    fn a_store_in_an_object_store_does_what_maps_do(steps in proptest::collection::vec(any_step(), 1..20)) {
        World::new(Some(Place::open("memory://model", &Access::default()).unwrap())).live(steps);
    }

    #[test]
    fn the_order_of_edits_leaves_no_trace(
        files in proptest::collection::btree_map("/[a-z]{1,3}", "[a-z]{0,3}", 1..60),
        order in any::<u64>(),
        parts in 1..5_usize,
    ) {
        let test = TestStore::new();
        let at_once: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))).collect();
        let (expected, _) = apply(&test.store, Tree::empty(), &edits(&test.store, &at_once)).unwrap();
        let mut shuffled = at_once.clone();
        shuffled.sort_by_key(|(path, _)| repos::hash::digest_of(format!("{order}{path}").as_bytes()));
        let mut tree = Tree::empty();
        for part in shuffled.chunks(shuffled.len().div_ceil(parts)) {
            tree = apply(&test.store, tree, &edits(&test.store, part)).unwrap().0;
            let (more, _) = apply(&test.store, tree, &edits(&test.store, &[("/passing", Some("by"))])).unwrap();
            tree = apply(&test.store, more, &edits(&test.store, &[("/passing", None)])).unwrap().0;
        }
        prop_assert_eq!(tree, expected);
    }

    #[test]
    fn the_differences_make_the_one_of_the_other(
        old in proptest::collection::btree_map("/[a-d]{1,3}", "[a-c]", 0..40),
        new in proptest::collection::btree_map("/[a-d]{1,3}", "[a-c]", 0..40),
    ) {
        let test = TestStore::new();
        let tree_of = |files: &Files| {
            let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))).collect();
            apply(&test.store, Tree::empty(), &edits(&test.store, &files)).unwrap().0
        };
        let (from, to) = (tree_of(&old), tree_of(&new));
        let changes: Vec<_> = diff(&test.store, from, to, None).unwrap().map(Result::unwrap).collect();
        let expected = old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>();
        let expected = expected.into_iter().filter(|path| old.get(*path) != new.get(*path)).count();
        prop_assert_eq!(changes.len(), expected);
        let edits = Edits { files: changes.into_iter().map(|change| (change.path, change.new)).collect(), ..Edits::default() };
        prop_assert_eq!(apply(&test.store, from, &edits).unwrap().0, to);
    }
}
