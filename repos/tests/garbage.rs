//! Random histories with garbage collections: what is reachable stays readable and the rest is removed, as in a simple model.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{edits, name, path};
use proptest::prelude::*;
use repos::documents::Source;
use repos::fsck::check;
use repos::gc::{self, Plan, Selection};
use repos::hash::digest_of;
use repos::journal::{Entry, Move, PruneWhy, RepoKind};
use repos::store::Swept;
use repos::time::Clock;
use repos::tree::{KeyRange, Tree};
use repos::{Change, OpenOptions, RepoError, Store, Timestamp};
use specs::{BranchName, CommitId, ErrorKind, RunId};

const HOUR: i64 = 3_600_000_000;
const REPOS: [&str; 2] = ["images", "other"];
const BRANCHES: [&str; 3] = ["main", "left", "right"];
/// Each of these words stands for content of several chunks.
const LARGE: [&str; 2] = ["large", "larger"];

type Files = BTreeMap<String, String>;

/// Advances by a millisecond on each call, and by hours on request.
#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Sets files, or removes them.
    Change(usize, usize, Vec<(String, Option<String>)>),
    /// Copies all files of some commit to its own folder.
    Copy(usize, usize, usize),
    CreateBranch(usize, usize, usize),
    MoveBranch(usize, usize, usize),
    DeleteBranch(usize, usize),
    Tag(usize, usize),
    DeleteTag(usize),
    DeleteRepo(usize),
    Prune(usize, usize, usize),
    DeleteCommit(usize, usize),
    /// Written, but never named.
    Abandon(String),
    Wait(i64),
    Grace(bool),
    Retention(bool),
    Rebuild,
    Collect,
}

fn any_content() -> impl Strategy<Value = String> {
    prop_oneof![20 => "[a-f]{1,2}", 1 => prop::sample::select(&LARGE).prop_map(str::to_owned)]
}

fn any_step() -> impl Strategy<Value = Step> {
    let (repo, branch, number) = (|| 0..REPOS.len(), || 0..BRANCHES.len(), || 0..1_usize << 16);
    let file = ("/[a-d]", proptest::option::weighted(0.7, any_content()));
    prop_oneof![
        10 => (repo(), branch(), proptest::collection::vec(file, 1..4)).prop_map(|(r, b, f)| Step::Change(r, b, f)),
        2 => (repo(), branch(), number()).prop_map(|(r, b, from)| Step::Copy(r, b, from)),
        2 => (repo(), branch(), number()).prop_map(|(r, b, at)| Step::CreateBranch(r, b, at)),
        3 => (repo(), branch(), number()).prop_map(|(r, b, to)| Step::MoveBranch(r, b, to)),
        2 => (repo(), branch()).prop_map(|(r, b)| Step::DeleteBranch(r, b)),
        2 => (0..3_usize, number()).prop_map(|(tag, at)| Step::Tag(tag, at)),
        1 => (0..3_usize).prop_map(Step::DeleteTag),
        1 => repo().prop_map(Step::DeleteRepo),
        2 => (repo(), branch(), 1..3_usize).prop_map(|(r, b, keep)| Step::Prune(r, b, keep)),
        2 => (repo(), branch()).prop_map(|(r, b)| Step::DeleteCommit(r, b)),
        1 => any_content().prop_map(Step::Abandon),
        3 => (1..4_i64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Grace),
        1 => any::<bool>().prop_map(Step::Retention),
        1 => Just(Step::Rebuild),
        3 => Just(Step::Collect),
    ]
}

/// The content that a word stands for.
fn bytes(word: &str) -> Vec<u8> {
    let Some(number) = LARGE.iter().position(|large| *large == word) else { return word.as_bytes().to_vec() };
    let blocks = (0..30_000_u32).flat_map(|block| *digest_of(&block.to_be_bytes()).as_bytes());
    blocks.take(400_000 * (number + 1)).collect()
}

#[derive(Debug)]
struct Made {
    repo: usize,
    files: Files,
    rests_on: Vec<CommitId>,
    parent: Option<CommitId>,
    at: i64,
    named_at: i64,
    pruned: Option<PruneWhy>,
}

/// The store and its expected content.
struct World {
    store: Option<Store>,
    dir: PathBuf,
    clock: Arc<HandClock>,
    commits: BTreeMap<CommitId, Made>,
    branches: BTreeMap<(usize, usize), CommitId>,
    tags: BTreeMap<usize, CommitId>,
    words: BTreeSet<String>,
    grace: i64,
    retention: Option<i64>,
    _folder: tempfile::TempDir,
}

fn branch_name(branch: usize) -> BranchName {
    BRANCHES[branch].parse().unwrap()
}

fn silent(_: &str, _: u64, _: u64) {}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock(AtomicI64::new(common::START)));
        let dir = folder.path().to_owned();
        let store = OpenOptions::default().clock(clock.clone()).init(&dir, BranchName::main()).unwrap();
        let world = Self {
            store: Some(store),
            dir,
            clock,
            commits: BTreeMap::new(),
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            words: BTreeSet::new(),
            grace: HOUR,
            retention: None,
            _folder: folder,
        };
        (0..REPOS.len()).for_each(|repo| world.create_repo(repo));
        world.set("gc_grace", Some("1h"));
        world
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// One process ends, another starts.
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(OpenOptions::default().clock(self.clock.clone()).open(&self.dir).unwrap());
    }

    fn now(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed)
    }

    fn publish(&self, entries: Vec<Entry>) -> Result<(), RepoError> {
        self.store().publish(&Change::of(entries))
    }

    fn set(&self, key: &str, value: Option<&str>) {
        self.publish(vec![Entry::Setting { key: key.to_owned(), value: value.map(str::to_owned) }]).unwrap();
    }

    fn create_repo(&self, repo: usize) {
        self.publish(vec![Entry::RepoCreate { repo: name(REPOS[repo]), repo_kind: RepoKind::User }]).unwrap();
    }

    fn touch(&mut self, commits: impl IntoIterator<Item = CommitId>) {
        let now = self.now();
        for id in commits {
            self.commits.get_mut(&id).unwrap().named_at = now;
        }
    }

    fn any_commit(&self, at: usize) -> Option<CommitId> {
        (!self.commits.is_empty()).then(|| *self.commits.keys().nth(at % self.commits.len()).unwrap())
    }

    fn move_entry(&self, repo: usize, branch: usize, to: Option<CommitId>) -> Entry {
        let from = self.branches.get(&(repo, branch)).copied();
        let moved = Move { repo: name(REPOS[repo]), branch: branch_name(branch), from, to };
        common::run_entry(RunId::from_bytes(repos::random_bytes()), vec![moved], self.store().clock().now())
    }

    fn change(&mut self, repo: usize, branch: usize, files: &[(String, Option<String>)], source: Option<CommitId>) {
        let files: BTreeMap<&str, Option<&str>> =
            files.iter().map(|(path, word)| (path.as_str(), word.as_deref())).collect();
        let mut made = edits(self.store(), &[]);
        for (at, word) in &files {
            made.files.insert(path(at), word.map(|word| common::entry(self.store(), &bytes(word))));
            self.words.extend(word.map(str::to_owned));
        }
        let source_of = |commit| Source { repo: name(REPOS[self.commits[&commit].repo]), commit, path: path("/") };
        made.sources = source.map(source_of).into_iter().collect();
        let (id, _) = common::commit(self.store(), &name(REPOS[repo]), &branch_name(branch), &made).unwrap();
        let Some(id) = id else { return };
        let parent = self.branches.insert((repo, branch), id);
        let mut after = parent.map(|parent| self.commits[&parent].files.clone()).unwrap_or_default();
        for (at, word) in files {
            match word {
                Some(word) => after.insert(at.to_owned(), word.to_owned()),
                None => after.remove(at),
            };
        }
        let now = self.now();
        let rests_on = parent.into_iter().chain(source).collect();
        let made = Made { repo, files: after, rests_on, parent, at: now, named_at: now, pruned: None };
        self.commits.insert(id, made);
        self.touch(parent);
    }

    fn copy(&mut self, repo: usize, branch: usize, from: usize) {
        let Some(id) = self.any_commit(from) else { return };
        let words: BTreeSet<String> = self.commits[&id].files.values().cloned().collect();
        // Content that is gone cannot be copied.
        if words.iter().all(|word| self.store().has_content(&digest_of(&bytes(word))).unwrap()) {
            let files: Vec<_> = words.into_iter().map(|word| (format!("/copied/{word}"), Some(word))).collect();
            self.change(repo, branch, &files, Some(id));
        }
    }

    fn move_branch(&mut self, repo: usize, branch: usize, to: usize, create: bool) {
        let from = self.branches.get(&(repo, branch)).copied();
        let Some(to) = self.any_commit(to).filter(|to| self.commits[to].repo == repo && from != Some(*to)) else {
            return;
        };
        if from.is_none() != create {
            return;
        }
        self.name(vec![self.move_entry(repo, branch, Some(to))], to, |world| {
            world.branches.insert((repo, branch), to);
            world.touch(from);
        });
    }

    /// Pointing a branch or tag to a commit is refused if it gave up its files.
    fn name(&mut self, entries: Vec<Entry>, to: CommitId, then: impl FnOnce(&mut Self)) {
        match self.publish(entries) {
            Ok(()) => {
                assert_eq!(self.commits[&to].pruned, None);
                self.touch([to]);
                then(self);
            }
            Err(error) => {
                assert!(matches!(error, RepoError::PrunedCommit { .. }), "{error}");
                assert!(self.commits[&to].pruned.is_some());
            }
        }
    }

    fn tag(&mut self, tag: usize, at: usize) {
        let Some(commit) = self.any_commit(at) else { return };
        if self.tags.contains_key(&tag) {
            return;
        }
        let repo = name(REPOS[self.commits[&commit].repo]);
        let entry = Entry::TagCreate { repo, tag: format!("t{tag}").parse().unwrap(), commit, document: None };
        self.name(vec![entry], commit, |world| {
            world.tags.insert(tag, commit);
        });
    }

    fn delete_tag(&mut self, tag: usize) {
        let Some(commit) = self.tags.remove(&tag) else { return };
        let repo = name(REPOS[self.commits[&commit].repo]);
        self.publish(vec![Entry::TagDelete { repo, tag: format!("t{tag}").parse().unwrap() }]).unwrap();
        self.touch([commit]);
    }

    fn delete_branch(&mut self, repo: usize, branch: usize) {
        let Some(head) = self.branches.remove(&(repo, branch)) else { return };
        let entry = Entry::BranchDelete { repo: name(REPOS[repo]), branch: branch_name(branch) };
        self.publish(vec![entry]).unwrap();
        self.touch([head]);
    }

    fn delete_repo(&mut self, repo: usize) {
        self.publish(vec![Entry::RepoDelete { repo: name(REPOS[repo]) }]).unwrap();
        let own = |commits: &BTreeMap<CommitId, Made>, id: &CommitId| commits[id].repo == repo;
        let named: Vec<CommitId> =
            self.branches.values().chain(self.tags.values()).copied().filter(|id| own(&self.commits, id)).collect();
        self.branches.retain(|(of, _), _| *of != repo);
        let Self { tags, commits, .. } = self;
        tags.retain(|_, id| !own(commits, id));
        self.touch(named);
        self.create_repo(repo);
    }

    fn pointed_to(&self) -> BTreeSet<CommitId> {
        self.branches.values().chain(self.tags.values()).copied().collect()
    }

    fn history(&self, head: CommitId) -> Vec<CommitId> {
        std::iter::successors(Some(head), |id| self.commits[id].parent).collect()
    }

    fn prune(&mut self, repo: usize, branch: usize, keep: usize) {
        let Some(head) = self.branches.get(&(repo, branch)).copied() else { return };
        let others = self.branches.iter().filter(|((of, other), _)| *of == repo && *other != branch);
        let kept: BTreeSet<CommitId> = others.flat_map(|(_, head)| self.history(*head)).collect();
        let pointed_to = self.pointed_to();
        let goes = |id: &CommitId| !kept.contains(id) && !pointed_to.contains(id) && self.commits[id].pruned.is_none();
        let expected: BTreeSet<CommitId> = self.history(head).into_iter().skip(keep).filter(goes).collect();
        let (repo, branch) = (name(REPOS[repo]), branch_name(branch));
        let plan = Plan::of_selection(self.store(), &repo, Some(&branch), Selection::AllBut(keep)).unwrap();
        assert_eq!(plan.commits.keys().copied().collect::<BTreeSet<_>>(), expected);
        gc::give_up(self.store(), &plan, "anna").unwrap();
        for id in expected {
            self.commits.get_mut(&id).unwrap().pruned = Some(PruneWhy::Asked);
        }
    }

    fn delete_commit(&mut self, repo: usize, branch: usize) {
        let Some(id) = self.branches.get(&(repo, branch)).copied() else { return };
        let pointers = self.branches.values().chain(self.tags.values()).filter(|at| **at == id).count();
        let live = self.commits.values().filter(|made| made.pruned != Some(PruneWhy::Deleted));
        let is_named = pointers > 1 || live.into_iter().any(|made| made.rests_on.contains(&id));
        let holder = format!("branch {}@{}", REPOS[repo], BRANCHES[branch]);
        assert_eq!(!gc::named_by(self.store(), &id, &holder).unwrap().is_empty(), is_named);
        if is_named {
            return;
        }
        let parent = self.commits[&id].parent;
        let delete = Entry::CommitDelete { commit: id, committer: "anna".to_owned() };
        match self.publish(vec![self.move_entry(repo, branch, parent), delete]) {
            Ok(()) => {
                match parent {
                    Some(parent) => self.branches.insert((repo, branch), parent),
                    // The branch exists, without a commit.
                    None => self.branches.remove(&(repo, branch)),
                };
                if parent.is_none() {
                    let entry = Entry::BranchDelete { repo: name(REPOS[repo]), branch: branch_name(branch) };
                    self.publish(vec![entry]).unwrap();
                }
                self.touch([id].into_iter().chain(parent));
                self.commits.get_mut(&id).unwrap().pruned = Some(PruneWhy::Deleted);
            }
            Err(error) => {
                assert!(matches!(error, RepoError::PrunedCommit { .. }), "{error}");
                assert!(self.commits[&parent.unwrap()].pruned.is_some());
            }
        }
    }

    fn reached(&self, from: impl IntoIterator<Item = CommitId>) -> BTreeSet<CommitId> {
        let mut open: Vec<CommitId> = from.into_iter().collect();
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(&self.commits[&id].rests_on);
            }
        }
        reached
    }

    /// The commits that a collection is expected to prune.
    fn expected(&self) -> BTreeMap<CommitId, PruneWhy> {
        let now = self.now();
        let pointed_to = self.pointed_to();
        let young = self.commits.iter().filter(|(_, made)| made.named_at > now - self.grace).map(|(id, _)| *id);
        let reached = self.reached(pointed_to.iter().copied().chain(young));
        let mut expected = BTreeMap::new();
        for (id, made) in &self.commits {
            if !reached.contains(id) {
                if made.pruned.is_none_or(|why| why < PruneWhy::Expired) {
                    expected.insert(*id, PruneWhy::Expired);
                }
            } else if self.retention.is_some_and(|age| made.at < now - age)
                && made.pruned.is_none()
                && !pointed_to.contains(id)
            {
                expected.insert(*id, PruneWhy::Retention);
            }
        }
        expected
    }

    fn collect(&mut self) {
        self.reopen();
        let expected = self.expected();
        let said = gc::collect(self.store(), "anna", true, &silent).unwrap();
        let done = gc::collect(self.store(), "anna", false, &silent).unwrap();
        assert_eq!(done.plan.commits, expected);
        // Recording what is given up may fold packs, so less overhead of packs is removed.
        let objects = |collected: &gc::Collected| {
            let mut gone = collected.account.gone.clone();
            gone.retain(|(reason, _), _| *reason != gc::Reason::Packs);
            (gone, collected.swept.objects_removed)
        };
        assert_eq!(objects(&said), objects(&done));
        assert_eq!(said.account.left_bytes, 0);
        for (id, why) in expected {
            self.commits.get_mut(&id).unwrap().pruned = Some(why);
        }
        self.compare();
        assert_eq!(gc::collect(self.store(), "anna", false, &silent).unwrap().swept, Swept::default());
    }

    fn compare(&self) {
        let store = self.store();
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        for (id, made) in &self.commits {
            assert_eq!(store.is_pruned(id).unwrap().map(|pruned| pruned.why), made.pruned);
            let tree = Tree::at(store.commit(id).unwrap().tree);
            let listed: Vec<_> = tree.range(store, KeyRange::all()).unwrap().map(Result::unwrap).collect();
            assert_eq!(listed.len(), made.files.len());
            for ((key, file), (at, word)) in listed.into_iter().zip(&made.files) {
                let expected = bytes(word);
                assert_eq!((key.as_slice(), file.digest), (at.as_bytes(), digest_of(&expected)));
                if made.pruned.is_none() {
                    needed.insert(word);
                    assert_eq!(store.read_file(&file, 0..file.size).unwrap(), expected);
                } else if let Err(error) = store.ensure_not_pruned(id, &path(at), &file) {
                    assert_eq!(error.kind(), ErrorKind::NotFound);
                }
            }
        }
        for word in &self.words {
            let is_there = store.has_content(&digest_of(&bytes(word))).unwrap();
            assert_eq!(is_there, needed.contains(word.as_str()), "{word}");
        }
        assert_eq!(check(store, &silent).unwrap().problems, []);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change(repo, branch, files) => self.change(repo, branch, &files, None),
            Step::Copy(repo, branch, from) => self.copy(repo, branch, from),
            Step::CreateBranch(repo, branch, at) => self.move_branch(repo, branch, at, true),
            Step::MoveBranch(repo, branch, to) => self.move_branch(repo, branch, to, false),
            Step::DeleteBranch(repo, branch) => self.delete_branch(repo, branch),
            Step::Tag(tag, at) => self.tag(tag, at),
            Step::DeleteTag(tag) => self.delete_tag(tag),
            Step::DeleteRepo(repo) => self.delete_repo(repo),
            Step::Prune(repo, branch, keep) => self.prune(repo, branch, keep),
            Step::DeleteCommit(repo, branch) => self.delete_commit(repo, branch),
            Step::Abandon(word) => {
                common::entry(self.store(), &bytes(&word));
                self.store().finish_packs().unwrap();
                self.words.insert(word);
            }
            Step::Wait(hours) => {
                self.clock.0.fetch_add(hours * HOUR, Ordering::Relaxed);
            }
            Step::Grace(some) => {
                self.grace = if some { HOUR } else { 0 };
                self.set("gc_grace", Some(if some { "1h" } else { "0s" }));
            }
            Step::Retention(some) => {
                self.retention = some.then_some(3 * HOUR - HOUR / 2);
                self.set("retention", some.then_some("150m"));
            }
            Step::Rebuild => self.store().rebuild_index().unwrap(),
            Step::Collect => self.collect(),
        }
    }
}

fn cases() -> u32 {
    std::env::var("PV_CASES").map_or(24, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 300, ..ProptestConfig::default() })]

    /// `PV_CASES` sets the number of cases.
    #[test]
    fn what_is_reached_stays_and_the_rest_goes(steps in proptest::collection::vec(any_step(), 5..40)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.collect();
        world.set("gc_grace", Some("0s"));
        world.grace = 0;
        world.collect();
        world.store().rebuild_index().unwrap();
        world.compare();
    }
}
