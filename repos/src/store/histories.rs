//! When the history index is brought up, and by whom: a writer, after its own change, for as long as nobody else wants the lock.

use std::sync::atomic::Ordering;

use specs::CommitId;

use super::{Lock, Result, Store};
use crate::base::error::RepoError;
use crate::documents::Commit;
use crate::index::history::{Commits, Step};
use crate::index::rows::CommitRow;

/// Rows in memory above which a writer that does not own the store catches up the index on disk: few, because every reader has to make
/// the same rows; not fewer, because `RocksDB` syncs nine times for them.
const OVERLAY_ROWS: usize = 512;
/// Changes of a step, for which the lock is held, a fraction of a second, and whose rows are in memory, some 20 MB; the index on disk is
/// synced after each.
const STEP: usize = 65_536;
/// Changes that a writer takes over from others, who left them.
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
    /// Brings the index on disk up, and the history index by as much as this process wrote and a little more, if there is enough to do
    /// and nobody holds the lock just now.
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

    /// Brings the history index up as far as it goes, waiting for others in between; `InUse` when an owner comes.
    pub(super) fn follow_all_histories(&self) -> Result<()> {
        self.follow_histories(u64::MAX, &|| self.take_lock_without_owner().map(Some))
    }

    fn follow_histories(&self, most: u64, lock: &dyn Fn() -> Result<Option<Lock>>) -> Result<()> {
        let Ok(_following) = self.inner.following.try_lock() else { return Ok(()) };
        let mut left = most;
        loop {
            let Some(_lock) = lock()? else { return Ok(()) };
            // Without the position: what is read may turn out to need a look at packs, which takes it.
            let step = Step::next(self, &self.index(), STEP)?;
            let (is_last, cost) = (step.is_last, step.cost as u64);
            self.catch_up_disk_with(&mut self.locked_position(), Some(step))?;
            left = left.saturating_sub(cost);
            if is_last || left == 0 {
                return Ok(());
            }
        }
    }

    /// One step, by the owner: its index is open for writing.
    pub(super) fn follow_as_owner(&self) {
        if let Err(error) = self.take_step(STEP) {
            tracing::warn!("the history index is not updated: {error}");
        }
    }

    /// Brings the history index up by as much as this process wrote and a little more, if it owns the store. For an owner shutting down.
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

    /// Takes one step of about this many changes, if this process owns the store.
    #[cfg(any(test, feature = "testing"))]
    pub fn follow_histories_a_little(&self, changes: usize) -> Result<()> {
        if self.is_owner() { self.take_step(changes).map(drop) } else { Ok(()) }
    }

    /// Whether the history index has what a commit changed.
    #[cfg(any(test, feature = "testing"))]
    pub fn has_followed(&self, commit: &CommitId) -> Result<bool> {
        crate::index::history::Links::new(self.index()).has(commit)
    }

    /// Whether there is more to do.
    fn take_step(&self, changes: usize) -> Result<bool, RepoError> {
        let Ok(_following) = self.inner.following.try_lock() else { return Ok(false) };
        let step = Step::next(self, &self.index(), changes)?;
        let is_last = step.is_last;
        step.take(&self.index())?;
        Ok(!is_last)
    }
}
