//! Looking: what differs from what this watch committed begins to wait.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::Result;
use repos::files::{Gathered, PATTERN_FILE, Stamp, is_shared};
use specs::FilePath;

use super::{Heard, RESCAN, RETRY, Seen, Watcher};
use crate::folder::Identity;
use crate::hints::Hint;
use crate::settle::{Writing, below};
use crate::trouble::Of;
use crate::writers::FileId;

/// Without hints, looks take at most one part in this many of the time while something changes…
const SHARE: u32 = 20;
/// … and while nothing does.
const SHARE_AT_REST: u32 = 400;
/// After lost hints, looks take at most one part in this many of the time.
const SHARE_IF_LOST: u32 = 4;

/// Looks at everything.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) next: Instant,
    /// When the last one ended, and how long it took.
    last: Option<(Instant, Duration)>,
    /// Whether nothing waited after the last one.
    is_at_rest: bool,
    /// When the kernel was asked for hints.
    listened: Option<Instant>,
    /// When all files were compared with the branch.
    compared: Option<Instant>,
}

impl Looks {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, last: None, is_at_rest: false, listened: None, compared: None }
    }

    /// Whether there was one.
    pub(super) fn has_looked(&self) -> bool {
        self.last.is_some()
    }
}

impl Watcher<'_> {
    /// What hints say of the folder.
    pub(super) fn hear(&mut self, hints: Vec<(Hint, Instant)>, now: Instant, seen: &mut Vec<Seen>) -> Heard {
        let mut heard = Heard::default();
        let mut shared = HashSet::new();
        for (hint, at) in hints {
            let (path, writing) = match hint {
                Hint::Wrote(path) => (path, Some(Writing::Open)),
                Hint::Closed(path) => (path, Some(Writing::Closed)),
                Hint::Changed(path) => (path, None),
                Hint::Lost => {
                    self.look_soon(now);
                    continue;
                }
                Hint::Blind(why) => {
                    self.poll(why, seen);
                    self.look_soon(now);
                    continue;
                }
            };
            let Ok(relative) = path.strip_prefix(self.folder.path()) else { continue };
            let is_rule = relative.file_name().is_some_and(|name| name == PATTERN_FILE);
            if relative.as_os_str().is_empty() || is_rule {
                self.look_soon(now);
                continue;
            }
            match writing {
                None if path.is_dir() => drop(self.again.insert(relative.to_owned(), now + self.plan.settle)),
                None => {}
                Some(writing) => {
                    shared.extend(shared_file(&path));
                    heard.writing.extend(self.folder.target(relative).map(|target| (target, writing, at)));
                }
            }
            heard.paths.insert(relative.to_owned());
        }
        self.hear_of_other_names(&shared, &mut heard);
        self.take_due(now, &mut heard);
        heard
    }

    /// Of a file with several names, the kernel reports changes under one of them.
    fn hear_of_other_names(&self, shared: &HashSet<FileId>, heard: &mut Heard) {
        if shared.is_empty() {
            return;
        }
        let done = self.done.iter().map(|(path, stamp)| (path, Some(stamp)));
        for (path, stamp) in self.settling.waiting().chain(done) {
            if stamp.is_some_and(|stamp| shared.contains(&stamp.file_id())) {
                heard.paths.insert(self.folder.relative(path));
            }
        }
    }

    fn take_due(&mut self, now: Instant, heard: &mut Heard) {
        let due = self.again.iter().filter(|(_, at)| now >= **at);
        let due: Vec<PathBuf> = due.map(|(path, _)| path.clone()).collect();
        for path in due {
            self.again.remove(&path);
            heard.paths.insert(path);
        }
    }

    /// Hints cannot be relied upon: what was heard of writers counts no more, and everything is looked at.
    fn look_soon(&mut self, now: Instant) {
        self.settling.forget_writers(Some(now));
        let rested = self.looks.last.map_or(now, |(end, took)| end + took * SHARE_IF_LOST);
        self.looks.next = self.looks.next.min(now.max(rested));
    }

    /// Looks at everything if the folder went away, or is another one; whether it is so.
    pub(super) fn look_if_another_folder(&mut self, now: Instant) -> bool {
        let is_another = self.identity.is_some() && self.folder.identity().ok() != self.identity;
        if is_another {
            self.looks.next = now;
        }
        is_another
    }

    fn poll(&mut self, why: String, seen: &mut Vec<Seen>) {
        if self.polls.as_ref() != Some(&why) {
            self.polls = Some(why.clone());
            seen.push(Seen::Polls(why));
        }
    }

    pub(super) fn look_at_everything(&mut self, now: Instant, seen: &mut Vec<Seen>) -> Result<()> {
        let started = Instant::now();
        let looked = match self.folder.identity() {
            Ok(identity) => self.look_at_folder(identity, now, seen),
            Err(why) => {
                self.hints.stop();
                self.identity = None;
                self.troubles.add(Of::Commit, Some(self.plan.folder.clone()), why);
                Ok(())
            }
        };
        let (now, took) = (self.world.now(), started.elapsed());
        self.looks.last = Some((now, took));
        self.looks.is_at_rest = self.settling.is_empty();
        self.looks.next = now + self.pause(took);
        looked
    }

    fn look_at_folder(&mut self, identity: Identity, now: Instant, seen: &mut Vec<Seen>) -> Result<()> {
        let is_new = self.identity != Some(identity);
        self.listen_if_due(is_new, now, seen);
        self.identity = Some(identity);
        self.settling.forget_writers(now.checked_sub(RESCAN));
        if self.look_whole(is_new, now)? {
            self.troubles.over(Some(&self.plan.folder));
        }
        Ok(())
    }

    /// The time until everything is looked at again.
    fn pause(&self, took: Duration) -> Duration {
        let share = if self.looks.is_at_rest { SHARE_AT_REST } else { SHARE };
        match (&self.identity, &self.polls) {
            (None, _) => RETRY,
            (_, Some(_)) => self.plan.settle.max(took * share).min(RESCAN),
            (_, None) => RESCAN,
        }
    }

    /// Listens to another folder at once, and anew from time to time: the kernel's limits may have changed, and a folder that was moved
    /// while it was added may not be watched.
    fn listen_if_due(&mut self, is_new: bool, now: Instant, seen: &mut Vec<Seen>) {
        let is_due = self.looks.listened.is_none_or(|at| now >= at + RESCAN);
        if is_new || is_due {
            self.looks.listened = Some(now);
            self.listen(seen);
        }
    }

    fn listen(&mut self, seen: &mut Vec<Seen>) {
        if is_shared(self.folder.path()) {
            self.hints.stop();
            self.poll("it is on a file system where others may change files unnoticed".to_owned(), seen);
        } else if let Err(why) = self.hints.listen(self.folder.path()) {
            self.poll(why, seen);
        } else {
            self.polls = None;
        }
    }

    /// Returns whether the folder may be what it should be.
    fn look_whole(&mut self, is_new: bool, now: Instant) -> Result<bool> {
        let found = self.folder.whole()?;
        let in_trouble: HashSet<PathBuf> = found.skipped.iter().map(|(path, _)| path.clone()).collect();
        self.troubles.keep_of_looks(|path| in_trouble.contains(path));
        let waiting = self.settling.waiting().map(|(path, _)| path);
        let mut absent: HashSet<FilePath> = self.done.keys().chain(waiting).chain(self.held.keys()).cloned().collect();
        for (path, stamp) in found.stamps() {
            absent.remove(&path);
            self.see(path, stamp, now);
        }
        // What cannot be read is not gone.
        absent.retain(|path| !found.left_out.is_skipped(path));
        self.see_skipped(&found);
        let lacking = self.lacking(&found, is_new, now)?;
        if found.is_empty() && is_new && !lacking.is_empty() {
            // Such as a folder whose file system is not mounted.
            let why = format!("is empty, and {} has files: nothing is removed", self.branch.place());
            self.troubles.add(Of::Commit, Some(self.plan.folder.clone()), why);
            self.identity = None;
            return Ok(false);
        }
        absent.into_iter().chain(lacking).for_each(|path| self.see_gone(path, now));
        Ok(true)
    }

    /// For a mirror: what the branch has and the folder lacks. What was committed from here is known without asking the branch.
    fn lacking(&mut self, found: &Gathered, is_new: bool, now: Instant) -> Result<Vec<FilePath>> {
        let is_due = is_new || self.looks.compared.is_none_or(|at| now >= at + RESCAN);
        if !(self.plan.mirror && is_due) {
            return Ok(Vec::new());
        }
        let lacking = self.branch.lacking(self.folder.directory(), found)?;
        self.looks.compared = Some(now);
        Ok(lacking)
    }

    pub(super) fn look_at(&mut self, paths: &BTreeSet<PathBuf>, now: Instant) -> Result<()> {
        if paths.is_empty() || self.identity.is_none() {
            return Ok(());
        }
        let look = self.folder.some(paths)?;
        for (path, stamp) in look.files.stamps() {
            self.see(path, stamp, now);
        }
        self.forget_troubles_at(paths, &look.files);
        self.see_skipped(&look.files);
        let mut gone: BTreeSet<FilePath> = BTreeSet::new();
        // A folder or a file may be where the other was.
        gone.extend(look.folders.into_iter().filter(|path| self.is_known(path)));
        for path in look.gone.iter().filter(|path| !self.is_known(path)).chain(&look.others) {
            gone.extend(self.known_below(path));
        }
        if self.plan.mirror {
            for path in look.gone.iter().filter(|path| !self.is_known(path)) {
                gone.extend(self.branch.below(path)?);
            }
        }
        gone.extend(look.gone);
        for path in gone {
            self.see_gone(path, now);
        }
        Ok(())
    }

    /// Whether a path is that of a file that was there.
    fn is_known(&self, path: &FilePath) -> bool {
        self.done.contains_key(path) || self.settling.has(path) || self.held.contains_key(path)
    }

    /// Files that were there below a path.
    fn known_below(&self, path: &FilePath) -> Vec<FilePath> {
        below(&self.done, path).chain(below(&self.held, path)).chain(self.settling.below(path)).cloned().collect()
    }

    /// What an earlier look found at these paths, and this one did not, is over.
    fn forget_troubles_at(&mut self, paths: &BTreeSet<PathBuf>, found: &Gathered) {
        if self.troubles.len() == 0 {
            return;
        }
        let still: HashSet<&PathBuf> = found.skipped.iter().map(|(path, _)| path).collect();
        let folder = self.folder.path();
        self.troubles.keep_of_looks(|path| {
            let relative = path.strip_prefix(folder).unwrap_or(path);
            still.contains(path) || !relative.ancestors().any(|above| paths.contains(above))
        });
    }

    /// A look found a file.
    pub(super) fn see(&mut self, path: FilePath, stamp: Stamp, now: Instant) {
        if self.done.get(&path) == Some(&stamp) || self.held.get(&path) == Some(&stamp) {
            // It may have been gone for a moment.
            if self.settling.has(&path) {
                self.settling.remove(&path);
            }
            return;
        }
        self.held.remove(&path);
        let since = self.unchanged_since(&stamp, now);
        self.settling.see(path, Some(stamp), since);
    }

    /// A look did not find a file that was there, or that the branch has.
    pub(super) fn see_gone(&mut self, path: FilePath, now: Instant) {
        self.troubles.over(Some(&self.folder.place(&path)));
        self.held.remove(&path);
        if self.plan.mirror {
            self.settling.see(path, None, now);
        } else {
            self.done.remove(&path);
            self.settling.remove(&path);
        }
    }

    pub(super) fn see_skipped(&mut self, found: &Gathered) {
        for (path, why) in &found.skipped {
            self.troubles.add(Of::Look, Some(path.clone()), why.clone());
        }
    }

    /// Since when a file has not changed: by its times if this machine's clock made them, else since it is looked at.
    fn unchanged_since(&self, stamp: &Stamp, now: Instant) -> Instant {
        if self.polls.is_some() {
            return now;
        }
        now.checked_sub(self.world.age(stamp).min(self.plan.settle)).unwrap_or(now)
    }
}

/// The identity of a file that has several names.
fn shared_file(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let data = path.symlink_metadata().ok()?;
    (data.is_file() && data.nlink() > 1).then(|| (data.dev(), data.ino()))
}
