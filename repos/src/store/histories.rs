//! When the history index is updated, and by which process: a writer does so after its own change, while no other process wants the lock.
//!
//! A store of an earlier version, which has no history index, gets one from its writers in bounded steps, or at once from `pv fsck
//! --rebuild-index`.

use std::sync::atomic::Ordering;

use specs::CommitId;

use super::{Lock, Result, Store};
use crate::base::error::RepoError;
use crate::documents::Commit;
use crate::index::history::{Batch, Commits};
use crate::index::rows::CommitRow;

/// Maximum number of rows in memory before a writer that does not own the store updates the index on disk: few, because every reader has to
/// compute the same rows; not fewer, because `RocksDB` syncs nine times for an update.
const OVERLAY_ROWS: usize = 512;
/// Number of changes in a step. The lock is held for a fraction of a second, the rows take some 20 MB of memory, and the index on disk is
/// synced after each step.
const STEP: usize = 65_536;
/// Number of changes that a writer also does for others, which left them.
const OF_OTHERS: u64 = 65_536;

impl Commits for Store {
    fn commit(&self, id: &CommitId) -> Result<Commit> {
        Self::commit(self, id)
    }

    fn commit_row(&self, id: &CommitId) -> Result<Option<CommitRow>> {
        Self::commit_row(self, id)
    }
}

impl Store {
    /// Updates the index on disk, and the history index by as much as this process wrote and a little more, if there is enough to do and no
    /// process holds the lock.
    pub(super) fn relieve_index(&self) -> Result<()> {
        let written = self.inner.written.load(Ordering::Relaxed);
        if self.index().overlay_rows() <= OVERLAY_ROWS && written <= OVERLAY_ROWS as u64 {
            return Ok(());
        }
        self.inner.written.store(0, Ordering::Relaxed);
        self.follow_histories(OF_OTHERS.saturating_add(written.saturating_mul(2)), &|| {
            Lock::try_take(&self.lock_path())
        })
    }

    /// Updates the history index completely, letting other processes in between steps; `InUse` if an owner appears.
    pub(super) fn follow_all_histories(&self) -> Result<()> {
        self.follow_histories(u64::MAX, &|| self.take_lock_without_owner().map(Some))
    }

    fn follow_histories(&self, most: u64, lock: &dyn Fn() -> Result<Option<Lock>>) -> Result<()> {
        let Ok(_following) = self.inner.following.try_lock() else { return Ok(()) };
        let mut left = most;
        loop {
            let Some(_lock) = lock()? else { return Ok(()) };
            // Without the position lock: reading may require another look at the packs, which takes it.
            let step = Batch::next(self, &self.index(), STEP)?;
            let (is_last, cost) = (step.is_last, step.cost as u64);
            self.catch_up_disk_with(&mut self.locked_position(), Some(step))?;
            left = left.saturating_sub(cost);
            if is_last || left == 0 {
                return Ok(());
            }
        }
    }

    /// One step, done by the owner, whose index is open for writing.
    pub(super) fn follow_as_owner(&self) {
        if let Err(error) = self.take_step(STEP) {
            tracing::warn!("the history index is not updated: {error}");
        }
    }

    /// Updates the history index by as much as this process wrote and a little more, if it owns the store. For an owner shutting down.
    pub fn follow_histories_as_owner(&self) {
        let written = self.inner.written.swap(0, Ordering::Relaxed);
        let steps = OF_OTHERS.saturating_add(written.saturating_mul(2)) / STEP as u64;
        for _ in 0..=steps {
            match self.is_owner().then(|| self.take_step(STEP)) {
                Some(Ok(true)) => {}
                Some(Err(error)) => return tracing::warn!("the history index is not updated: {error}"),
                Some(Ok(false)) | None => return,
            }
        }
    }

    /// Does one step of about this many changes, if this process owns the store.
    #[cfg(any(test, feature = "testing"))]
    pub fn follow_histories_a_little(&self, changes: usize) -> Result<()> {
        if self.is_owner() { self.take_step(changes).map(drop) } else { Ok(()) }
    }

    /// Whether the history index has the changes of a commit.
    #[cfg(any(test, feature = "testing"))]
    pub fn has_followed(&self, commit: &CommitId) -> Result<bool> {
        crate::index::history::Links::new(self.index()).has(commit)
    }

    /// Returns whether more remains to do.
    fn take_step(&self, changes: usize) -> Result<bool, RepoError> {
        let Ok(_following) = self.inner.following.try_lock() else { return Ok(false) };
        let step = Batch::next(self, &self.index(), changes)?;
        let is_last = step.is_last;
        step.take(&self.index())?;
        Ok(!is_last)
    }
}
