//! Committing what has settled, and what happens to the files afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use engine::target::CommitOutcome;
use engine::{EngineError, Result};
use repos::RepoError;
use repos::files::{Gathered, Stamp};
use specs::FilePath;

use super::{ASK, Watcher};
use crate::after::put_away;
use crate::branch::{NewBatch, Taken};
use crate::plan::{After, MAX_BYTES, MAX_FILES};
use crate::settle::{Settled, Writing};
use crate::writers::FileId;

/// Single files that the full disk of the store may refuse, one after another, before all wait.
const REFUSED: u32 = 3;

/// One commit of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The commit, and what it changed; `None` if that was said elsewhere.
    pub outcome: Option<CommitOutcome>,
    /// Number of files that were read for it.
    pub files: u64,
    /// Files that were moved or deleted afterwards.
    pub put_away: u64,
}

impl Batch {
    /// Whether it changed the branch, as far as that is known here.
    pub fn is_change(&self) -> bool {
        self.outcome.as_ref().is_none_or(|outcome| outcome.run().is_some())
    }
}

impl Watcher<'_> {
    /// Commits what has settled, if there is anything; `None` if nothing was to do.
    pub(super) fn commit(&mut self, now: Instant) -> Result<Option<Batch>> {
        let settled = self.settling.settled(now);
        if settled.is_empty() {
            // Nothing is held up any more.
            self.troubles.over(None);
            return Ok(None);
        }
        if !(self.may_commit.0)() {
            self.next_commit = now + ASK;
            return Ok(None);
        }
        let settled = self.bounded(settled, now);
        let ready = Arc::new(self.ready(&settled, now)?);
        let removed = self.removed(&settled, now);
        if ready.is_empty() && removed.is_empty() {
            return Ok(None);
        }
        let message = self.message(&ready, &removed);
        let batch = NewBatch { files: &ready, removed: &removed, by: &self.plan.by, message: &message };
        let taken = match self.branch.commit(&batch) {
            Err(error) if is_full(&error) => {
                self.try_less(&ready, &error, now);
                return Ok(None);
            }
            taken => taken?,
        };
        self.is_taken();
        self.finish_removed(removed);
        let put_away = self.finish(&ready, &taken, now);
        let batch = Batch { outcome: taken.outcome, files: ready.len() as u64, put_away };
        if batch.is_change() {
            self.next_commit = self.world.now() + self.plan.every.unwrap_or(self.plan.settle);
        }
        Ok((batch.is_change() || put_away > 0).then_some(batch))
    }

    /// The branch took a batch: what concerned the watch as a whole is over.
    fn is_taken(&mut self) {
        self.troubles.over(None);
        self.next_commit = self.world.now();
        self.fits = self.fits.map(|most| most * 2).filter(|most| *most < MAX_FILES);
        (self.refused, self.failures) = (0, 0);
    }

    /// As much as one commit may hold, and the disk of the store has room for.
    fn bounded(
        &mut self,
        settled: BTreeMap<FilePath, Settled<Stamp>>,
        now: Instant,
    ) -> BTreeMap<FilePath, Settled<Stamp>> {
        let most = self.plan.batch.unwrap_or(MAX_FILES).min(self.fits.unwrap_or(MAX_FILES));
        let room = self.branch.room().unwrap_or(u64::MAX);
        let (mut bytes, mut bounded) = (0, BTreeMap::new());
        for (path, settled) in settled {
            let size = settled.stamp.map_or(0, |stamp| stamp.size_bytes());
            match settled.stamp {
                Some(stamp) if size > room => {
                    let why = format!("does not fit on the disk of the store: it has {size} bytes");
                    self.hold(&path, stamp, why, now);
                    continue;
                }
                _ if bounded.len() == most || bytes >= MAX_BYTES || bytes + size > room => break,
                _ => {}
            }
            bytes += size;
            bounded.insert(path, settled);
        }
        bounded
    }

    /// The settled files that still are as they were seen, and that nobody has open for writing. The others wait again.
    fn ready(&mut self, settled: &BTreeMap<FilePath, Settled<Stamp>>, now: Instant) -> Result<Gathered> {
        let there = settled.iter().filter(|(_, settled)| settled.stamp.is_some());
        let paths: BTreeSet<PathBuf> = there.map(|(path, _)| self.folder.relative(path)).collect();
        let mut ready = self.folder.some(&paths)?.files;
        // The close that the kernel reported may be that of an earlier file with this name; and a file may have two writers.
        let stamps = settled.values().filter_map(|settled| settled.stamp);
        let open = self.world.open_for_writing(&stamps.map(|stamp| stamp.file_id()).collect());
        let mut there = HashSet::new();
        ready.retain(|path, stamp| {
            there.insert(path.clone());
            let is_same = settled.get(path).is_some_and(|settled| settled.stamp == Some(*stamp));
            if !is_same {
                self.see(path.clone(), *stamp, now);
            } else if open.contains(&stamp.file_id()) {
                self.is_open(path, now);
            }
            is_same && !open.contains(&stamp.file_id())
        });
        self.see_skipped(&ready);
        for (path, settled) in settled {
            if settled.stamp.is_some() && !there.contains(path) {
                self.see_gone_or_bad(path, now);
            }
        }
        Ok(ready)
    }

    /// Somebody has a file open for writing. The kernel tells when it is closed, if it tells of this folder at all.
    fn is_open(&mut self, path: &FilePath, now: Instant) {
        if self.polls.is_none() {
            self.settling.hear(path, Writing::Open, now);
        } else {
            self.settling.put_off(path, now);
        }
    }

    /// A file that settled and cannot be read, or is gone.
    fn see_gone_or_bad(&mut self, path: &FilePath, now: Instant) {
        if self.folder.place(path).symlink_metadata().is_ok() {
            // In trouble: until it changes, or the next look at everything.
            self.settling.remove(path);
        } else {
            self.see_gone(path.clone(), now);
        }
    }

    /// The settled paths that still are gone, if the folder itself still is what it was.
    fn removed(&mut self, settled: &BTreeMap<FilePath, Settled<Stamp>>, now: Instant) -> Vec<FilePath> {
        let mut removed = Vec::new();
        for path in settled.iter().filter(|(_, settled)| settled.stamp.is_none()).map(|(path, _)| path) {
            match self.folder.place(path).symlink_metadata() {
                Err(error) if is_absent(&error) => removed.push(path.clone()),
                // A folder has its place.
                Ok(data) if data.is_dir() => removed.push(path.clone()),
                Err(_) => self.settling.put_off(path, now),
                // It is back, or was left out: the next look tells.
                Ok(_) => {
                    self.settling.remove(path);
                    self.done.remove(path);
                    self.again.insert(self.folder.relative(path), now);
                }
            }
        }
        // The folder last: it may have gone while its files were looked for.
        if removed.is_empty() || self.folder.identity().ok() == self.identity {
            return removed;
        }
        for path in &removed {
            self.settling.put_off(path, now);
        }
        self.look_if_another_folder(now);
        Vec::new()
    }

    fn message(&self, ready: &Gathered, removed: &[FilePath]) -> String {
        let first = ready.stamps().map(|(path, _)| path).next().or_else(|| removed.first().cloned());
        let first = first.map_or_else(String::new, |path| path.to_string());
        self.plan.message.message((ready.len() + removed.len()) as u64, &first, self.folder.path())
    }

    /// The store's disk is full. Less may fit: files are refused one by one only if they do not fit alone.
    fn try_less(&mut self, ready: &Gathered, error: &EngineError, now: Instant) {
        self.next_commit = now;
        if ready.len() > 1 {
            self.fits = Some(ready.len() / 2);
            return;
        }
        for (path, stamp) in ready.stamps() {
            self.hold(&path, stamp, format!("does not fit on the disk of the store: {}", engine::in_full(error)), now);
        }
        self.refused += 1;
        if self.refused >= REFUSED || ready.is_empty() {
            self.refused = 0;
            self.postpone(error, now);
        }
    }

    fn finish_removed(&mut self, removed: Vec<FilePath>) {
        for path in removed {
            self.settling.remove(&path);
            self.done.remove(&path);
        }
    }

    /// After the commit is durable: files that were taken are done, and are moved or deleted if that is wanted. Returns how many were.
    fn finish(&mut self, ready: &Gathered, taken: &Taken, now: Instant) -> u64 {
        let skipped: HashMap<&PathBuf, &String> = taken.skipped.iter().map(|(path, why)| (path, why)).collect();
        // Somebody may have begun to write since.
        let in_use = self.in_use(ready);
        let mut put_away_files = 0;
        for ((path, stamp), is_taken) in ready.stamps().zip(&taken.files) {
            if !is_taken {
                let why = skipped.get(&self.folder.place(&path)).map(|why| why.as_str());
                self.is_refused(&path, stamp, taken.clashing.contains(&path), why, now);
                continue;
            }
            self.troubles.over(Some(&self.folder.place(&path)));
            if self.plan.after == After::Keep {
                self.settling.remove(&path);
                self.done.insert(path, stamp);
            } else if in_use.contains(&stamp.file_id()) {
                self.is_open(&path, now);
            } else {
                put_away_files += u64::from(self.put_away(&path, stamp, now));
            }
        }
        put_away_files
    }

    /// The files that are to be moved or deleted, and that somebody has open for writing.
    fn in_use(&self, ready: &Gathered) -> HashSet<FileId> {
        match self.plan.after {
            After::Keep => HashSet::new(),
            _ => self.world.open_for_writing(&ready.stamps().map(|(_, stamp)| stamp.file_id()).collect()),
        }
    }

    /// Moves or deletes a file, if it is as it was committed; otherwise it waits again.
    fn put_away(&mut self, path: &FilePath, stamp: Stamp, now: Instant) -> bool {
        match put_away(&self.plan.after, self.folder.path(), &self.folder.relative(path), &stamp) {
            Ok(true) => {
                self.settling.remove(path);
                self.done.remove(path);
                true
            }
            Ok(false) => {
                self.settling.put_off(path, now);
                false
            }
            Err(error) => {
                let verb = if self.plan.after == After::Delete { "deleted" } else { "moved" };
                self.hold(path, stamp, format!("is committed, and cannot be {verb}: {error}"), now);
                false
            }
        }
    }

    /// A file that changed while it was read waits again; one that cannot be read or stored is reported.
    fn is_refused(&mut self, path: &FilePath, stamp: Stamp, clashes: bool, why: Option<&str>, now: Instant) {
        let place = self.folder.place(path);
        let is_same = std::fs::metadata(&place).is_ok_and(|data| Stamp::of_metadata(&data) == stamp);
        let is_about_to_fit = clashes && self.settles_with_a_removal(path);
        if !is_same || is_about_to_fit {
            self.settling.put_off(path, now);
        } else if clashes {
            let why = format!("would be both a file and a directory in {}", self.branch.place());
            self.hold(path, stamp, why, now);
        } else {
            self.hold(path, stamp, why.unwrap_or("changed while it was read").to_owned(), now);
        }
    }

    /// Whether what a file clashes with is about to be removed: a file above it, or files below it.
    fn settles_with_a_removal(&self, path: &FilePath) -> bool {
        let below = || self.settling.waiting().any(|(other, stamp)| stamp.is_none() && path.contains(other));
        std::iter::successors(path.parent(), FilePath::parent).any(|above| self.settling.is_going(&above)) || below()
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Whether the disk of the store is full.
fn is_full(error: &EngineError) -> bool {
    if matches!(error, EngineError::Store(RepoError::NoSpace { .. })) {
        return true;
    }
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    let kinds = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    kinds.into_iter().any(|kind| matches!(kind, std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_its_causes() {
        let io = |kind: std::io::ErrorKind| RepoError::Io { doing: "write", path: PathBuf::new(), source: kind.into() };
        assert!(is_full(&io(std::io::ErrorKind::StorageFull).into()));
        assert!(is_full(&RepoError::NoSpace { folder: PathBuf::new(), needed: 2, free: 1 }.into()));
        let hidden = std::io::Error::other(io(std::io::ErrorKind::QuotaExceeded));
        assert!(is_full(&EngineError::Io { doing: "write".to_owned(), source: hidden }));
        assert!(!is_full(&io(std::io::ErrorKind::PermissionDenied).into()));
    }
}
