//! Random schedules of writers, hints, failures and time, against a real folder and a real store. No real time passes: the world's clock is
//! set, and hints are those that the kernel would give, late or lost.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::changes;
use engine::run::Actor;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use repos::files::{Gathered, Stamp, list_tree};
use repos::tree::{FileEntry, PathKind, Tree};
use repos::{RepoError, Store};
use specs::{BranchName, FilePath, RepoName};

use super::{RESCAN, Seen, Watcher};
use crate::branch::{Branch, NewBatch, StoreBranch, Taken};
use crate::hints::{Hint, Hints};
use crate::plan::{After, Plan, Template};
use crate::world::World;
use crate::writers::FileId;

const SETTLE: Duration = Duration::from_secs(2);
/// Every file ends with this when its writer is done, and has it nowhere else.
const END: &str = "end";

/// A world whose clock is set.
#[derive(Debug, Clone)]
struct Set(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Instant,
    changed: HashMap<FileId, Instant>,
    open: HashMap<FileId, usize>,
}

impl Set {
    fn new() -> Self {
        let state = State { now: Instant::now(), changed: HashMap::new(), open: HashMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

impl World for Set {
    fn now(&self) -> Instant {
        self.with(|state| state.now)
    }

    fn age(&self, stamp: &Stamp) -> Duration {
        self.with(|state| state.changed.get(&stamp.file_id()).map_or(Duration::ZERO, |at| state.now - *at))
    }

    fn open_for_writing(&self, of: &HashSet<FileId>) -> HashSet<FileId> {
        self.with(|state| of.iter().filter(|file| state.open.contains_key(file)).copied().collect())
    }
}

/// A branch that sometimes fails: before it has done anything, or when all is done and only the answer is lost.
#[derive(Debug)]
struct Unreliable {
    branch: StoreBranch,
    /// For each commit in turn; further ones succeed.
    fails: Mutex<Vec<Fails>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    Never,
    Before,
    After,
    Full,
}

impl Branch for Unreliable {
    fn place(&self) -> String {
        self.branch.place()
    }

    fn room(&self) -> Option<u64> {
        None
    }

    fn lacking(&self, directory: &FilePath, found: &Gathered) -> engine::Result<Vec<FilePath>> {
        self.branch.lacking(directory, found)
    }

    fn below(&self, path: &FilePath) -> engine::Result<Vec<FilePath>> {
        self.branch.below(path)
    }

    fn commit(&self, batch: &NewBatch<'_>) -> engine::Result<Taken> {
        let failed =
            || RepoError::Io { doing: "write", path: PathBuf::from("journal"), source: std::io::Error::other("no") };
        let full = RepoError::NoSpace { folder: PathBuf::from("store"), needed: 1, free: 0 };
        match self.fails.lock().unwrap().pop().unwrap_or(Fails::Never) {
            Fails::Never => self.branch.commit(batch),
            Fails::Before => Err(failed().into()),
            Fails::After => self.branch.commit(batch).and_then(|_| Err(failed().into())),
            Fails::Full => Err(full.into()),
        }
    }
}

/// What happens next.
#[derive(Debug, Clone)]
struct Step {
    what: What,
    /// Then the watch has this long, in milliseconds.
    wait: u64,
    /// What the kernel tells of it comes this late, in milliseconds; `None` if it is lost.
    delay: Option<u64>,
}

#[derive(Debug, Clone)]
enum What {
    /// Somebody begins to write a file, under its own name or another one first.
    Begin(usize, Under),
    /// The writer of this number writes more.
    Grow(usize),
    /// The writer of this number ends.
    End(usize),
    Remove(usize),
    Rename(usize, usize),
    /// Under another name too; the first name may go at once.
    Link(usize, usize, bool),
    RenameFolder(usize, usize),
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Under {
    Name,
    /// `NAME.part`, renamed in the end.
    Part,
    /// A file elsewhere, linked in the end.
    Elsewhere,
}

const NAMES: [&str; 10] = ["a", "b", "c", "d/a", "d/b", "d/e/a", "e/a", "e/b", "e/d/b", "n"];
const FOLDERS: [&str; 4] = ["d", "e", "d/e", "g"];

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let folder = || 0..FOLDERS.len();
    let under = prop_oneof![3 => Just(Under::Name), 2 => Just(Under::Part), 1 => Just(Under::Elsewhere)];
    let what = prop_oneof![
        6 => (name(), under).prop_map(|(name, under)| What::Begin(name, under)),
        6 => (0..4_usize).prop_map(What::Grow),
        6 => (0..4_usize).prop_map(What::End),
        2 => name().prop_map(What::Remove),
        2 => (name(), name()).prop_map(|(from, to)| What::Rename(from, to)),
        1 => (name(), name(), any::<bool>()).prop_map(|(from, to, moves)| What::Link(from, to, moves)),
        1 => (folder(), folder()).prop_map(|(from, to)| What::RenameFolder(from, to)),
        1 => Just(What::Restart),
    ];
    let wait = prop_oneof![4 => 0..200_u64, 3 => 200..3_000_u64, 1 => 3_000..20_000_u64];
    let delay = prop_oneof![12 => (0..50_u64).prop_map(Some), 3 => (50..5_000_u64).prop_map(Some), 1 => Just(None)];
    (what, wait, delay).prop_map(|(what, wait, delay)| Step { what, wait, delay })
}

fn fails() -> impl Strategy<Value = Vec<Fails>> {
    vec(
        prop_oneof![6 => Just(Fails::Never), 1 => Just(Fails::Before), 1 => Just(Fails::After), 1 => Just(Fails::Full)],
        0..8,
    )
}

/// How a schedule is watched.
#[derive(Debug, Clone)]
struct Kind {
    mirror: bool,
    deletes: bool,
    watchers: usize,
    /// Whether the kernel tells nothing.
    is_blind: bool,
    batch: Option<usize>,
}

fn kind() -> impl Strategy<Value = Kind> {
    let batch = prop_oneof![3 => Just(None), 1 => (1..4_usize).prop_map(Some)];
    (0..3_u8, 1..3_usize, prop::bool::weighted(0.2), batch).prop_map(|(after, watchers, is_blind, batch)| Kind {
        mirror: after == 0,
        deletes: after == 1,
        watchers,
        is_blind,
        batch,
    })
}

struct Writer {
    file: File,
    id: FileId,
    /// Where the file is while it is written; `None` if it was deleted.
    written: PathBuf,
    name: PathBuf,
    under: Under,
}

/// A folder, who writes in it, and who watches.
struct Schedule<'a> {
    root: tempfile::TempDir,
    store: &'a Store,
    repo: RepoName,
    kind: Kind,
    world: Set,
    writers: Vec<Writer>,
    /// Sizes are unique, so that a file that is written to always shows it: real time hardly passes.
    size: usize,
    /// Contents of which the writer was done.
    complete: HashSet<String>,
    told: Vec<(Instant, Hint)>,
}

impl<'a> Schedule<'a> {
    fn new(store: &'a Store, number: usize, kind: Kind) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        let repo: RepoName = format!("r{number}").parse().unwrap();
        changes::create_repo(store, &repo).unwrap();
        let (world, complete) = (Set::new(), HashSet::new());
        Self { root, store, repo, kind, world, writers: Vec::new(), size: 0, complete, told: Vec::new() }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("in")
    }

    fn plan(&self) -> Plan {
        Plan {
            folder: self.folder(),
            target: self.repo.as_str().parse().unwrap(),
            settle: SETTLE,
            every: None,
            batch: self.kind.batch,
            mirror: self.kind.mirror,
            exclude: Vec::new(),
            after: if self.kind.deletes { After::Delete } else { After::Keep },
            message: Template::default(),
            by: Actor { author: "Anna".to_owned(), committer: "uid:1@host".to_owned() },
        }
    }

    fn watcher<'p>(&self, plan: &'p Plan, fails: Vec<Fails>) -> Watcher<'p> {
        let branch = StoreBranch::of(self.store, &plan.target).unwrap();
        let branch = Unreliable { branch, fails: Mutex::new(fails) };
        let hints = if self.kind.is_blind { Hints::blind() } else { Hints::from_elsewhere() };
        Watcher::in_world(plan, Box::new(branch), Box::new(self.world.clone()), hints)
    }

    /// Does what a step says, if that is possible now; returns what the kernel would tell.
    fn act(&mut self, what: &What) -> Vec<Hint> {
        let folder = self.folder();
        let name = |name: usize| folder.join(NAMES[name]);
        match what {
            What::Begin(to, under) => self.begin(name(*to), *under),
            What::Grow(writer) => self.grow(*writer, "…"),
            What::End(writer) => self.end(*writer),
            What::Remove(of) => match fs::remove_file(name(*of)) {
                Ok(()) => vec![Hint::Changed(name(*of))],
                Err(_) => Vec::new(),
            },
            What::Rename(from, to) => self.rename(&name(*from), &name(*to)),
            What::RenameFolder(from, to) => self.rename(&folder.join(FOLDERS[*from]), &folder.join(FOLDERS[*to])),
            What::Link(from, to, moves) => self.link(&name(*from), &name(*to), *moves),
            What::Restart => Vec::new(),
        }
    }

    fn begin(&mut self, name: PathBuf, under: Under) -> Vec<Hint> {
        let written = match under {
            Under::Name => name.clone(),
            Under::Part => name.with_extension("part"),
            Under::Elsewhere => self.root.path().join("elsewhere").join(name.file_name().unwrap()),
        };
        let is_in_use = id_of(&written).is_some_and(|id| self.writers.iter().any(|writer| writer.id == id));
        if is_in_use || self.writers.len() == 4 || fs::create_dir_all(written.parent().unwrap()).is_err() {
            return Vec::new();
        }
        let Ok(file) = File::create(&written) else { return Vec::new() };
        let id = id_of(&written).unwrap();
        self.touch(id);
        self.world.with(|state| *state.open.entry(id).or_default() += 1);
        self.writers.push(Writer { file, id, written: written.clone(), name, under });
        let folders = written.strip_prefix(self.folder()).map(|below| below.ancestors().skip(1).collect::<Vec<_>>());
        let folders = folders.unwrap_or_default().into_iter().map(|below| Hint::Changed(self.folder().join(below)));
        let folders: Vec<Hint> = folders.collect();
        folders.into_iter().rev().skip(1).chain([Hint::Changed(written.clone()), Hint::Wrote(written)]).collect()
    }

    fn touch(&self, id: FileId) {
        self.world.with(|state| {
            state.changed.insert(id, state.now);
        });
    }

    fn grow(&mut self, writer: usize, last: &str) -> Vec<Hint> {
        let Some(writer) = self.writers.get_mut(writer) else { return Vec::new() };
        let length = writer.file.metadata().unwrap().len() as usize;
        self.size = self.size.max(length + last.len()) + 1;
        let padding = "x".repeat(self.size - length - last.len());
        writer.file.write_all((padding + last).as_bytes()).unwrap();
        let (id, written) = (writer.id, writer.written.clone());
        self.touch(id);
        vec![Hint::Wrote(written)]
    }

    fn end(&mut self, number: usize) -> Vec<Hint> {
        let mut hints = self.grow(number, END);
        if number >= self.writers.len() {
            return hints;
        }
        let Writer { file, id, written, name, under } = self.writers.remove(number);
        let content =
            std::io::read_to_string(File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()).unwrap();
        self.complete.insert(content);
        drop(file);
        self.world.with(|state| {
            state.open.remove(&id);
        });
        hints.push(Hint::Closed(written.clone()));
        let is_there = id_of(&written) == Some(id);
        match under {
            Under::Part if is_there => hints.extend(self.rename(&written, &name)),
            Under::Elsewhere if is_there => {
                let linked = fs::create_dir_all(name.parent().unwrap()).and_then(|()| {
                    fs::remove_file(&name).ok();
                    fs::hard_link(&written, &name)
                });
                self.touch(id);
                fs::remove_file(&written).unwrap();
                hints.extend(linked.is_ok().then_some(Hint::Changed(name)));
            }
            _ => {}
        }
        hints
    }

    /// Renames a file or a folder, and what is written there meanwhile.
    fn rename(&mut self, from: &Path, to: &Path) -> Vec<Hint> {
        let into = to.parent().unwrap();
        let before = files_at(from);
        if from == to || !from.exists() || fs::create_dir_all(into).is_err() || fs::rename(from, to).is_err() {
            return Vec::new();
        }
        for id in before.into_iter().filter_map(|file| id_of(&to.join(file))).chain(id_of(to)) {
            self.touch(id);
        }
        for writer in &mut self.writers {
            if let Ok(below) = writer.written.strip_prefix(from) {
                writer.written = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
            }
        }
        vec![Hint::Changed(into.to_owned()), Hint::Changed(from.to_owned()), Hint::Changed(to.to_owned())]
    }

    fn link(&mut self, from: &Path, to: &Path, moves: bool) -> Vec<Hint> {
        let made = fs::create_dir_all(to.parent().unwrap()).and_then(|()| fs::hard_link(from, to));
        if made.is_err() {
            return Vec::new();
        }
        if let Some(id) = id_of(to) {
            self.touch(id);
        }
        let mut hints = vec![Hint::Changed(to.parent().unwrap().to_owned()), Hint::Changed(to.to_owned())];
        if moves {
            fs::remove_file(from).unwrap();
            self.writers
                .iter_mut()
                .filter(|writer| writer.written == from)
                .for_each(|writer| writer.written = to.to_owned());
            hints.push(Hint::Changed(from.to_owned()));
        }
        hints
    }

    /// What the kernel tells, late or not at all.
    fn tell(&mut self, hints: Vec<Hint>, delay: Option<u64>) {
        if self.kind.is_blind || hints.is_empty() {
            return;
        }
        let (hints, delay) = if delay.is_none() { (vec![Hint::Lost], 100) } else { (hints, delay.unwrap_or_default()) };
        let last = self.told.last().map(|(at, _)| *at);
        let at = (self.world.now() + Duration::from_millis(delay)).max(last.unwrap_or_else(|| self.world.now()));
        self.told.extend(hints.into_iter().map(|hint| (at, hint)));
    }

    /// Lets the watchers work until this time.
    fn run(&mut self, watchers: &mut [Watcher<'_>], until: Instant) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            let now = self.world.now();
            let due = self.told.iter().take_while(|(at, _)| *at <= now).count();
            let hints: Vec<(Hint, Instant)> = self.told.drain(..due).map(|(_, hint)| (hint, now)).collect();
            for watcher in &mut *watchers {
                let before = on_disk(&self.folder());
                seen.extend(watcher.act(hints.clone()));
                self.ensure_nothing_lost(&before);
            }
            let next = watchers.iter().map(Watcher::next).chain(self.told.first().map(|(at, _)| *at)).min().unwrap();
            if next >= until {
                self.world.with(|state| state.now = until);
                return seen;
            }
            // A step takes a moment.
            self.world.with(|state| state.now = next.max(now + Duration::from_millis(1)));
        }
    }

    /// A file that a watcher deletes is in the branch as it was.
    fn ensure_nothing_lost(&self, before: &BTreeMap<String, String>) {
        if !self.kind.deletes {
            return;
        }
        let after = on_disk(&self.folder());
        let gone: Vec<_> = before.iter().filter(|(path, _)| !after.contains_key(*path)).collect();
        let branch = if gone.is_empty() { BTreeMap::new() } else { self.branch() };
        for (path, content) in gone {
            assert_eq!(branch.get(path), Some(content), "{path} was deleted, but not committed as it was");
        }
    }

    fn trees(&self) -> Vec<Tree> {
        let mut trees = Vec::new();
        let mut next = self.store.find_branch(&self.repo, &BranchName::main()).unwrap().and_then(|row| row.commit);
        while let Some(id) = next {
            let commit = self.store.commit(&id).unwrap();
            trees.push(Tree::at(commit.tree));
            next = commit.parents.first().copied();
        }
        trees
    }

    fn files(&self, tree: Tree) -> BTreeMap<String, FileEntry> {
        let listed = list_tree(self.store, tree, "r", &FilePath::root(), true).unwrap().map(Result::unwrap);
        let file = |kind| if let PathKind::File(file) = kind { Some(file) } else { None };
        listed.filter_map(|listed| Some((listed.path.to_string(), file(listed.kind)?))).collect()
    }

    fn content(&self, file: &FileEntry) -> String {
        std::io::read_to_string(self.store.open_file(file).unwrap()).unwrap()
    }

    fn branch(&self) -> BTreeMap<String, String> {
        let files = self.trees().first().map(|tree| self.files(*tree)).unwrap_or_default();
        files.into_iter().map(|(path, file)| (path, self.content(&file))).collect()
    }
}

fn id_of(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().ok().filter(fs::Metadata::is_file).map(|data| (data.dev(), data.ino()))
}

fn files_at(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    entries.filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_owned())).collect()
}

/// The files of a folder that count.
fn on_disk(folder: &Path) -> BTreeMap<String, String> {
    let files =
        files_at(folder).into_iter().filter(|path| path.extension().is_none_or(|extension| extension != "part"));
    files.map(|path| (format!("/{}", path.display()), fs::read_to_string(folder.join(path)).unwrap())).collect()
}

/// Runs a schedule, then checks what came of it.
fn check(store: &Store, number: usize, kind: &Kind, steps: &[Step], fails: &[Fails]) -> Result<(), TestCaseError> {
    let mut schedule = Schedule::new(store, number, kind.clone());
    let plan = schedule.plan();
    let mut watchers: Vec<Watcher<'_>> = (0..kind.watchers).map(|_| schedule.watcher(&plan, fails.to_vec())).collect();
    let (mut commits, start) = (0, schedule.world.now());
    let mut is_change = |seen: Vec<Seen>| {
        commits += seen.iter().filter(|seen| matches!(seen, Seen::Batch(batch) if batch.is_change())).count();
    };
    for step in steps {
        if matches!(step.what, What::Restart) {
            watchers[0] = schedule.watcher(&plan, Vec::new());
        }
        let hints = schedule.act(&step.what);
        schedule.tell(hints, step.delay);
        let until = schedule.world.now() + Duration::from_millis(step.wait);
        is_change(schedule.run(&mut watchers, until));
    }
    while !schedule.writers.is_empty() {
        let hints = schedule.end(0);
        schedule.tell(hints, Some(10));
    }
    let end = schedule.world.now() + RESCAN + 10 * SETTLE * NAMES.len() as u32;
    while schedule.world.now() < end {
        let until = schedule.world.now() + 5 * SETTLE;
        is_change(schedule.run(&mut watchers, until));
        if watchers.iter().all(|watcher| watcher.is_idle() && watcher.troubles_count() == 0) {
            break;
        }
    }

    let windows = (schedule.world.now() - start).as_secs() / SETTLE.as_secs() + 1;
    prop_assert!(commits as u64 <= windows * kind.watchers as u64, "{commits} commits in {windows} windows");
    for watcher in &watchers {
        prop_assert!(watcher.is_idle(), "{:?} wait", watcher.settling);
        prop_assert_eq!(watcher.troubles().collect::<Vec<_>>(), Vec::new());
    }
    let (disk, branch) = (on_disk(&schedule.folder()), schedule.branch());
    if kind.mirror {
        prop_assert_eq!(&disk, &branch);
    } else if kind.deletes {
        prop_assert_eq!(&disk, &BTreeMap::new());
    } else {
        let differs: Vec<_> = disk.iter().filter(|(path, content)| branch.get(*path) != Some(content)).collect();
        prop_assert_eq!(differs, Vec::<(&String, &String)>::new());
    }
    let trees = schedule.trees();
    let files: BTreeMap<specs::Digest, FileEntry> =
        trees.iter().flat_map(|tree| schedule.files(*tree).into_values()).map(|file| (file.digest, file)).collect();
    for file in files.values() {
        let content = schedule.content(file);
        prop_assert!(schedule.complete.contains(&content), "half a file was committed: {content}");
    }
    let roots: BTreeSet<_> = trees.windows(2).map(|pair| pair[0].root() == pair[1].root()).collect();
    prop_assert!(!roots.contains(&true), "a commit changed nothing");
    Ok(())
}

/// `PV_CASES` sets the number of schedules.
#[test]
fn no_half_file_is_committed_and_nothing_is_lost_or_doubled_in_any_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::init(folder.path(), BranchName::main()).unwrap();
    let cases = std::env::var("PV_CASES").map_or(200, |cases| cases.parse().unwrap());
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let number = std::cell::Cell::new(0);
    let tested = runner.run(&(kind(), vec(step(), 1..50), fails()), |(kind, steps, fails)| {
        number.set(number.get() + 1);
        check(&store, number.get(), &kind, &steps, &fails)
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}
