//! A store and a few maps do the same random things; they must stay alike, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::{TestStore, contents, edits, name, path};
use proptest::prelude::*;
use repos::files::{Edits, apply, cp, diff, mv, rm};
use repos::fsck::check;
use repos::journal::{Entry, Move};
use repos::tree::Tree;
use repos::{Change, RepoError};
use specs::{BranchName, CommitId, ErrorKind, RunId};

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
    Reopen,
    Rebuild,
}

fn any_path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-c]|a-b", 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((any_path(), "[xyz]{0,2}"), 1..5).prop_map(Step::Put),
        2 => any_path().prop_map(Step::Rm),
        2 => (any_path(), any_path()).prop_map(|(from, to)| Step::Mv(from, to)),
        2 => (0..4_usize, any_path(), any_path()).prop_map(|(branch, from, to)| Step::Cp(branch, from, to)),
        1 => Just(Step::Branch),
        1 => Just(Step::Tag),
        2 => (0..4_usize).prop_map(Step::Switch),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
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

/// What `mv` (with `remove`) or `cp` makes of `onto`; `None` where it must refuse.
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

/// The store and what it should hold.
struct World {
    test: TestStore,
    branches: Vec<(BranchName, Files)>,
    tags: Vec<(CommitId, Files)>,
    current: usize,
}

impl World {
    fn tree_of(&self, branch: usize) -> Tree {
        let row = self.test.store.find_branch(&name("images"), &self.branches[branch].0).unwrap();
        let commit = row.and_then(|row| row.commit).map(|id| self.test.store.commit(&id).unwrap());
        commit.map_or(Tree::empty(), |commit| Tree::at(commit.tree))
    }

    fn change(&mut self, edits: Result<Edits, RepoError>, expected: Option<Files>) {
        let branch = self.branches[self.current].0.clone();
        let done = edits.and_then(|edits| common::commit(&self.test.store, &name("images"), &branch, &edits));
        match (done, expected) {
            (Ok(_), Some(files)) => self.branches[self.current].1 = files,
            (Err(error), None) => {
                assert!(matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound), "{error}");
            }
            (done, expected) => panic!("{done:?} but expected {expected:?}"),
        }
    }

    fn step(&mut self, step: Step) {
        let (tree, files) = (self.tree_of(self.current), self.branches[self.current].1.clone());
        let store = self.test.store.clone();
        match step {
            Step::Put(put) => {
                let put: Files = put.into_iter().collect();
                let listed: Vec<_> =
                    put.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))).collect();
                let mut after = files;
                after.extend(put.clone());
                self.change(Ok(edits(&store, &listed)), is_legal(&after).then_some(after));
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
            Step::Cp(branch, from, to) => self.copy(branch % self.branches.len(), &from, &to),
            Step::Branch if self.branches.len() < 4 => self.branch(),
            Step::Tag => self.tag(),
            Step::Switch(branch) => self.current = branch % self.branches.len(),
            Step::Reopen => self.test.store = common::options().open(store.dir()).unwrap(),
            Step::Rebuild => store.rebuild_index().unwrap(),
            Step::Branch => {}
        }
    }

    fn copy(&mut self, branch: usize, from: &str, to: &str) {
        let reference = format!("images@{}:{from}", self.branches[branch].0);
        let Ok(source) = self.test.store.resolve(&reference.parse().unwrap()) else { return };
        let (tree, files) = (self.tree_of(self.current), self.branches[self.current].1.clone());
        let same = source.tree() == tree;
        let expected = moved(&self.branches[branch].1, &files, from, to, same, false);
        self.change(cp(&self.test.store, &source, &name("images"), tree, &path(to)), expected);
    }

    fn head(&self) -> Option<CommitId> {
        let row = self.test.store.find_branch(&name("images"), &self.branches[self.current].0).unwrap();
        row.and_then(|row| row.commit)
    }

    fn branch(&mut self) {
        let Some(head) = self.head() else { return };
        let branch: BranchName = format!("b{}", self.branches.len()).parse().unwrap();
        let moved = Move { repo: name("images"), branch: branch.clone(), from: None, to: Some(head) };
        let run = RunId::from_bytes(repos::random_bytes());
        let entry = common::run_entry(run, vec![moved], self.test.store.clock().now());
        self.test.store.publish(&Change::of(vec![entry])).unwrap();
        self.branches.push((branch, self.branches[self.current].1.clone()));
    }

    fn tag(&mut self) {
        let Some(commit) = self.head() else { return };
        let tag = format!("t{}", self.tags.len()).parse().unwrap();
        let entry = Entry::TagCreate { repo: name("images"), tag, commit, document: None };
        self.test.store.publish(&Change::of(vec![entry])).unwrap();
        self.tags.push((commit, self.branches[self.current].1.clone()));
    }

    fn compare(&self) {
        for (at, (branch, files)) in self.branches.iter().enumerate() {
            let tree = self.tree_of(at);
            let found: Files = contents(&self.test.store, tree).into_iter().collect();
            assert_eq!(&found, files, "{branch}");
            tree.check(&self.test.store).unwrap();
        }
        for (number, (commit, files)) in self.tags.iter().enumerate() {
            let tag = self.test.resolve(&format!("images@t{number}"));
            assert_eq!(tag.id, *commit);
            assert_eq!(&contents(&self.test.store, tag.tree()).into_iter().collect::<Files>(), files);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_store_does_what_maps_do(steps in proptest::collection::vec(any_step(), 1..30)) {
        let mut world = World {
            test: TestStore::new(),
            branches: vec![(BranchName::main(), Files::new())],
            tags: Vec::new(),
            current: 0,
        };
        for step in steps {
            world.step(step);
            world.compare();
        }
        assert_eq!(check(&world.test.store, &|_, _, _| {}).unwrap().problems, []);
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
