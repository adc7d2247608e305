//! The last step of every change: its record is written atomically, after the data it names.
//!
//! A change whose record can neither be synced nor taken back is reported as unsure (exit code 6): it may have happened. So is a record
//! that was sent to a bucket if the answer was lost and the bucket does not have it, because the request may still arrive. If an owner dies
//! while it publishes for another process, that process looks for its change in the journal.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use specs::CommitId;

use super::signing::with_key;
use super::vouching::checked_until;
use super::{Lock, Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;
use crate::base::stop::stop_at;
use crate::index::apply::{apply, meta};
use crate::index::log::advance;
use crate::index::rows::encode;
use crate::index::{View, keys};
use crate::journal::{Entry, Line, Position, Record};

/// How often to look in the journal for a change whose answer was lost, and the pause between.
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A change to make, with its precondition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// The number of pipeline changes on which the change was planned; `None` if pipelines do not matter for it.
    pub graph: Option<u64>,
}

impl Change {
    /// A change for which pipelines do not matter.
    pub fn of(entries: Vec<Entry>) -> Self {
        Self { entries, graph: None }
    }

    /// The commits that a branch or tag will point to, or that a job made.
    pub(super) fn commits(&self) -> impl Iterator<Item = CommitId> {
        self.entries.iter().flat_map(|entry| match entry {
            Entry::Run { moves, .. } => moves.iter().filter_map(|moved| moved.to).collect(),
            Entry::Job { commit, .. } => commit.iter().copied().collect(),
            Entry::TagCreate { commit, .. } => vec![*commit],
            _ => Vec::new(),
        })
    }
}

/// Hands the last step of a change to the process that owns the store.
pub trait Publisher: Send + Sync {
    /// Whether a process owns the store and responds.
    fn is_there(&self) -> bool;

    /// Publishes through the owner. `Ok(None)` if no owner responds (any more); otherwise the owner's answer, or `AnswerLost` if none
    /// arrived. `relied`: the packs in which the sender may have found what its change builds on.
    fn publish(&self, change: &Change, relied: &[PackName]) -> Result<Option<()>>;
}

impl Store {
    /// Sets how to reach the process that owns the store, if there is one.
    pub fn set_publisher(&self, publisher: Arc<dyn Publisher>) {
        // Only the first call counts.
        self.inner.publisher.set(publisher).ok();
    }

    /// Publishes a change: on return it is durable, or has not happened at all.
    ///
    /// `BranchMoved` and `GraphMoved` mean that another change came first: the caller reads the new state and retries. `Collected`: what
    /// the change builds on was collected meanwhile; the caller writes it again. `Refused`, or the error of a missing name: this handle may
    /// not make the change.
    pub fn publish(&self, change: &Change) -> Result<()> {
        if self.access().is_some() {
            self.ensure_may_publish(change)?;
            return self.whole().publish(change).map_err(|error| self.seen_error(error));
        }
        stop_at("publish.begin");
        let start = Instant::now();
        self.publish_now(change)?;
        self.inner.meter.published(start);
        Ok(())
    }

    fn publish_now(&self, change: &Change) -> Result<()> {
        self.ensure_present(change)?;
        let change = &*self.signed(change)?;
        if self.is_owner() {
            return self.publish_as_owner(change, &[]);
        }
        self.finish_packs()?;
        let path = self.lock_path();
        for waited in 0_u32.. {
            if let Some(lock) = Lock::try_take(&path)? {
                let mut position = self.locked_position();
                let done = self.catch_up_and_record(change, &mut position);
                drop((position, lock));
                if done.is_ok() {
                    self.tidy();
                }
                return done;
            }
            if let Some(publisher) = self.inner.publisher.get()
                && self.hand_over(publisher.as_ref(), change)?
            {
                self.release_held();
                // The change has happened, whether it is visible here or not.
                if let Err(error) = self.refresh() {
                    tracing::warn!("changes of the store's owner are not visible yet: {error}");
                }
                return Ok(());
            }
            if waited == 200 {
                (self.inner.notify)(&format!("waiting for {}", Lock::holder(&path)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        unreachable!("the loop has no end")
    }

    /// Asks the owner to publish a change; false if it did not happen and this process may publish it itself.
    fn hand_over(&self, publisher: &dyn Publisher, change: &Change) -> Result<bool> {
        let before = self.position();
        match publisher.publish(change, &self.relied()) {
            // The owner may have died before or after the record: the journal tells.
            Err(lost @ RepoError::AnswerLost) => match self.has_happened(change, before) {
                Ok(Some(happened)) => Ok(happened),
                Ok(None) | Err(_) => Err(RepoError::Unsure { why: lost.to_string(), source: None }),
            },
            handed_over => Ok(handed_over?.is_some()),
        }
    }

    /// Whether the journal has a change after a position; `None` if it may still appear.
    fn has_happened(&self, change: &Change, before: Position) -> Result<Option<bool>> {
        // A write to another place may outlive the process that sent it, so there only its presence proves anything.
        let is_elsewhere = self.objects_url()?.is_some();
        for _ in 0..if is_elsewhere { 1 } else { LOOKS } {
            // While we hold the lock, no other process writes.
            let lock = Lock::try_take(&self.lock_path())?;
            self.journal().fetch(before)?;
            let records = self.journal().read_after(before)?.records;
            let entries = change.entries.as_slice();
            if records
                .iter()
                .any(|(record, _)| record.entries.windows(entries.len().max(1)).any(|there| there == entries))
            {
                self.journal().sync()?;
                return Ok(Some(true));
            }
            if lock.is_some() && !is_elsewhere {
                return Ok(Some(false));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(None)
    }

    fn publish_as_owner(&self, change: &Change, relied: &[PackName]) -> Result<()> {
        // A writer that started before this owner builds on the commits of others since: it must find those in finished packs.
        let is_own_work = change.entries.iter().all(|entry| matches!(entry, Entry::Job { .. }));
        let ends = self.inner.ends.load(Ordering::Relaxed);
        let mut in_finished = ends || !(is_own_work && self.packs().sync_is_enough());
        loop {
            if in_finished {
                self.finish_packs()?;
            } else {
                self.sync()?;
            }
            let mut position = self.locked_position();
            if self.was_swept(relied) {
                if !in_finished {
                    // For a recheck everything must be readable without a writer's lock.
                    in_finished = true;
                    continue;
                }
                self.ensure_not_collected(change)?;
            }
            match self.record_as_is(change, &mut position) {
                // Another machine appended first: apply its change before the retry.
                Err(RepoError::JournalMoved { .. }) => {
                    self.catch_up(&self.index(), &mut position)?;
                    continue;
                }
                recorded => recorded?,
            }
            drop(position);
            if in_finished {
                self.tidy();
            }
            self.follow_as_owner();
            return Ok(());
        }
    }

    /// Records a change on top of the current state, even while other machines record theirs.
    fn catch_up_and_record(&self, change: &Change, position: &mut Position) -> Result<()> {
        loop {
            self.catch_up(&self.index(), position)?;
            match self.record(change, position) {
                Err(RepoError::JournalMoved { .. }) => {}
                done => return done,
            }
        }
    }

    /// Cleans up after a change that has happened: failures do not undo it.
    fn tidy(&self) {
        self.release_held();
        self.fold_small();
        if !self.is_owner()
            && let Err(error) = self.relieve_index()
        {
            tracing::warn!("the index on disk cannot be updated: {error}");
        }
    }

    /// Publishes a change for another process, whose packs are finished and held. For owners.
    pub fn publish_for_other(&self, change: &Change, relied: &[PackName]) -> Result<()> {
        self.ensure_may_publish(change)?;
        let start = Instant::now();
        self.catch_up(&self.index(), &mut self.locked_position())?;
        self.ensure_present(change)?;
        self.publish_as_owner(change, relied)?;
        self.inner.meter.published(start);
        Ok(())
    }

    /// Records a change, unless what it builds on is gone.
    fn record(&self, change: &Change, position: &mut Position) -> Result<()> {
        if self.was_swept(&[]) {
            self.ensure_not_collected(change)?;
        }
        self.record_as_is(change, position)
    }

    pub(super) fn record_as_is(&self, change: &Change, position: &mut Position) -> Result<()> {
        let index = self.index();
        let mut view = View::new(&index);
        if change.graph.is_some_and(|graph| self.graph().is_ok_and(|now| now != graph)) {
            return Err(RepoError::GraphMoved);
        }
        let is_trust = change.entries.iter().all(|entry| matches!(entry, Entry::KeyTrust { .. }));
        if self.is_owner() && !is_trust {
            self.ensure_not_forged(&index)?;
        }
        let key = self.own_key()?;
        self.tell_of_standing(key.public())?;
        let is_known = self.signing_key(&key.public().fingerprint())?.is_some();
        let entries = with_key(change, &key, is_known);
        let record = Record::new(position.last, self.clock().now(), entries).signed(&key);
        apply(&mut view, &record)?;
        // Everything that can fail comes before the record.
        let line = Line::of(&record, *position);
        let after = line.end;
        advance(&mut view, &record, &after, line.leaf)?;
        stop_at("publish.before_record");
        self.journal().append_line(*position, &line)?;
        stop_at("publish.after_record");
        if index.is_writable() && checked_until(&index)? == *position {
            view.put(keys::meta(meta::CHECKED), encode(&after));
        }
        self.note_position(&after);
        *position = after;
        // The caller still holds the lock on the position, so the next change sees this one.
        index.commit(view.into_changes());
        Ok(())
    }

    /// A record names only existing commits: a caller that retries a failed change may have lost what it wrote before.
    fn ensure_present(&self, change: &Change) -> Result<()> {
        for commit in change.commits() {
            let digest = commit.digest();
            if !self.contains(Kind::Commit, &digest)? {
                return Err(RepoError::MissingObject { kind: Kind::Commit, digest });
            }
        }
        Ok(())
    }

    /// Number of changes to pipelines; a change planned on another number is refused.
    pub fn graph(&self) -> Result<u64> {
        Ok(self.index().row(&keys::meta(meta::GRAPH))?.unwrap_or(0))
    }

    /// The result of `make` for the current pipelines, cached until they change; one value per type.
    pub fn of_pipelines<T: Any + Send + Sync, E: From<RepoError>>(
        &self,
        make: impl FnOnce(u64) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let index = self.index();
        // Read first: so a value from newer rows under this number is never taken for that of a later number.
        let number = self.graph()?;
        if self.is_limited() {
            // Others would see what this handle does not, or the reverse.
            return make(number).map(Arc::new);
        }
        index.derived.get(number, || make(number))
    }

    /// The journal's position as this process knows it.
    pub fn position(&self) -> Position {
        *self.locked_position()
    }

    /// Number of garbage collections: while it stays the same, nothing that existed is gone.
    pub fn gc_epoch(&self) -> Result<u64> {
        Ok(self.index().row(&keys::meta(meta::EPOCH))?.unwrap_or(0))
    }

    /// Whether an error means that garbage collection removed what a change builds on: the caller writes that again.
    pub fn is_collected(error: &RepoError) -> bool {
        matches!(error, RepoError::Collected { .. } | RepoError::Remote { collected: true, .. })
    }

    /// Whether an error means that another change came first, so that a retry may succeed.
    pub fn is_race(error: &RepoError) -> bool {
        matches!(
            error,
            RepoError::BranchMoved { .. }
                | RepoError::GraphMoved
                | RepoError::StillNamed { .. }
                | RepoError::JobEnded { .. }
        ) || matches!(error, RepoError::Remote { race: true, .. })
    }
}
