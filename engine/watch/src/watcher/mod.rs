//! A watch, a step at a time.
//!
//! ```text
//! hints  → paths to look at                            lost hints, the start, every ten minutes → the whole folder
//! a look → what differs from what this watch committed waits to settle                                      (`look`)
//! settled → looked at once more, and asked whether anybody has it open for writing; then one commit       (`commit`)
//! commit → durable; then files are moved or deleted, if that is wanted                                    (`commit`)
//! ```
//! What this watch committed is kept in memory only: after a restart everything settles once more, and the commit of what the branch already
//! has is none.
//!
//! Not seen: a write through another name of the file (a hard link) outside of the folder, before the next look at everything; a writer
//! of another user or machine who pauses longer than the settle time, if the watch began after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::{EngineError, Result};
use repos::Store;
use repos::files::Stamp;
use specs::FilePath;

use crate::branch::{Branch, StoreBranch};
use crate::folder::{Folder, Identity};
use crate::hints::{Hint, Hints};
use crate::plan::Plan;
use crate::settle::{Settling, Writing};
use crate::trouble::{Of, Trouble, Troubles};
use crate::world::{Machine, World};

mod commit;
mod look;
#[cfg(test)]
mod schedules;

pub use commit::Batch;

/// The whole folder is looked at this often, whatever the hints say.
const RESCAN: Duration = Duration::from_mins(10);
/// The least wait after something failed that does not concern a single file.
const RETRY: Duration = Duration::from_secs(5);
/// How long a watch that may not commit waits until it asks again.
const ASK: Duration = Duration::from_millis(500);
/// How long a file that could not be committed, moved or deleted is left alone.
const HOLD: Duration = Duration::from_mins(1);

/// A folder that is being watched.
#[derive(Debug)]
pub struct Watcher<'a> {
    plan: &'a Plan,
    branch: Box<dyn Branch + 'a>,
    world: Box<dyn World + 'a>,
    folder: Folder<'a>,
    /// The folder as it was at the last look at everything; `None` if it was not there.
    identity: Option<Identity>,
    hints: Hints,
    /// Why the folder is looked at again and again; `None` while hints come.
    polls: Option<String>,
    settling: Settling<Stamp>,
    /// Files as this watch committed them, or found them in the branch.
    done: BTreeMap<FilePath, Stamp>,
    /// Files that could not be committed, moved or deleted as they are.
    held: BTreeMap<FilePath, Stamp>,
    /// When those in `held` are tried again.
    release: Instant,
    /// New folders, to be looked at once more: files may be created in them before hints come from there.
    again: BTreeMap<PathBuf, Instant>,
    looks: look::Looks,
    /// No commit before this time.
    next_commit: Instant,
    /// Most files of a commit while the store's disk is full; `None` while it is not.
    fits: Option<usize>,
    /// Single files that it refused since the last commit.
    refused: u32,
    /// Failures since the last commit that did not concern single files.
    failures: u32,
    troubles: Troubles,
    may_commit: Gate<'a>,
}

/// Asked before each commit.
struct Gate<'a>(Box<dyn Fn() -> bool + 'a>);

impl std::fmt::Debug for Gate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

/// What a step has to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Files were committed, moved or deleted.
    Batch(Box<Batch>),
    /// Something does not work; said once.
    Trouble(Trouble),
    /// The kernel does not tell of changes, so the folder is looked at again and again; why.
    Polls(String),
}

impl<'a> Watcher<'a> {
    /// Begins to watch for a store on this machine. Errors are those of a branch that cannot get commits.
    pub fn new(store: &Store, plan: &'a Plan) -> Result<Self> {
        Ok(Self::of(plan, Box::new(StoreBranch::of(store, &plan.target)?)))
    }

    /// The same watch, which asks before each commit whether it still may.
    #[must_use]
    pub fn while_it_may(self, may_commit: impl Fn() -> bool + 'a) -> Self {
        Self { may_commit: Gate(Box::new(may_commit)), ..self }
    }

    /// Begins to watch for any branch.
    pub fn of(plan: &'a Plan, branch: Box<dyn Branch + 'a>) -> Self {
        Self::in_world(plan, branch, Box::new(Machine), Hints::none())
    }

    fn in_world(plan: &'a Plan, branch: Box<dyn Branch + 'a>, world: Box<dyn World + 'a>, hints: Hints) -> Self {
        let now = world.now();
        Self {
            plan,
            branch,
            world,
            folder: Folder::new(plan),
            identity: None,
            hints,
            polls: None,
            settling: Settling::new(plan.settle),
            done: BTreeMap::new(),
            held: BTreeMap::new(),
            release: now,
            again: BTreeMap::new(),
            looks: look::Looks::new(now),
            next_commit: now,
            fits: None,
            refused: 0,
            failures: 0,
            troubles: Troubles::default(),
            may_commit: Gate(Box::new(|| true)),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether nothing waits to be committed.
    pub fn is_idle(&self) -> bool {
        self.looks.has_looked() && self.settling.is_empty()
    }

    /// Number of files that wait to be committed.
    pub fn waiting(&self) -> usize {
        self.settling.len()
    }

    /// Everything that does not work now.
    pub fn troubles(&self) -> impl Iterator<Item = Trouble> {
        self.troubles.all()
    }

    /// Number of things that do not work now.
    pub fn troubles_count(&self) -> usize {
        self.troubles.len()
    }

    /// Whether something fails that does not concern single files, so that nothing is committed until it is over.
    pub fn is_held_up(&self) -> bool {
        self.troubles.are_of_all()
    }

    /// Why the folder is looked at again and again, if the kernel does not tell of changes.
    pub fn polls(&self) -> Option<&str> {
        self.polls.as_deref()
    }

    /// Waits for something to do, until `until` at the latest, and does it.
    pub fn step(&mut self, until: Instant) -> Vec<Seen> {
        let hints = self.hints.take(until.min(self.next()));
        self.act(hints)
    }

    /// Does what there is to do now.
    fn act(&mut self, hints: Vec<(Hint, Instant)>) -> Vec<Seen> {
        let now = self.world.now();
        let mut seen = Vec::new();
        self.look_if_another_folder(now);
        let heard = self.hear(hints, now, &mut seen);
        self.release_held(now);
        let looked = if now >= self.looks.next {
            self.look_at_everything(now, &mut seen)
        } else {
            self.look_at(&heard.paths, now)
        };
        for (path, writing, at) in heard.writing {
            self.settling.hear(&path, writing, at);
        }
        if looked.is_err() {
            self.looks.next = self.looks.next.min(now + RETRY);
        }
        match looked.and_then(|()| self.commit_if_due(now)) {
            Ok(batch) => seen.extend(batch.map(|batch| Seen::Batch(Box::new(batch)))),
            // Such as a folder that goes while it is looked at.
            Err(_) if self.look_if_another_folder(now) => {}
            Err(error) => self.postpone(&error, now),
        }
        seen.extend(self.troubles.take_new().into_iter().map(Seen::Trouble));
        seen
    }

    fn commit_if_due(&mut self, now: Instant) -> Result<Option<Batch>> {
        if now < self.next_commit || self.identity.is_none() {
            return Ok(None);
        }
        self.commit(now)
    }

    /// When there is something to do without a hint.
    fn next(&self) -> Instant {
        let again = self.again.values().min().copied();
        let commit = self.settling.next().filter(|_| self.identity.is_some());
        let commit = commit.map(|settled| settled.max(self.next_commit));
        let release = (!self.held.is_empty()).then_some(self.release);
        [again, commit, release].into_iter().flatten().fold(self.looks.next, Instant::min)
    }

    /// After a failure that does not concern single files: everything stays as it is, and is tried again, ever less often.
    fn postpone(&mut self, error: &EngineError, now: Instant) {
        self.troubles.add(Of::Commit, None, engine::in_full(error));
        self.failures += 1;
        let pause = RETRY * (1 << (self.failures - 1).min(4));
        self.next_commit = now + pause.min(HOLD).max(self.plan.settle);
    }

    /// Leaves a file alone for a while, as long as it does not change.
    fn hold(&mut self, path: &FilePath, stamp: Stamp, why: String, now: Instant) {
        self.troubles.add(Of::Commit, Some(self.folder.place(path)), why);
        self.settling.remove(path);
        self.done.remove(path);
        if self.held.is_empty() {
            self.release = now + HOLD;
        }
        self.held.insert(path.clone(), stamp);
    }

    fn release_held(&mut self, now: Instant) {
        if now < self.release {
            return;
        }
        let settled = now.checked_sub(self.plan.settle).unwrap_or(now);
        for (path, stamp) in std::mem::take(&mut self.held) {
            self.settling.see(path, Some(stamp), settled);
        }
    }
}

/// What hints say.
#[derive(Debug, Default)]
struct Heard {
    /// Paths to look at, relative to the folder.
    paths: BTreeSet<PathBuf>,
    /// What was heard of writers, in order, and when.
    writing: Vec<(FilePath, Writing, Instant)>,
}
