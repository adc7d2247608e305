//! Turns at a branch: of those in this process who commit to it, one at a time builds on its head, in the order in which they came.
//!
//! Without turns, each of many who commit at once would undo the work of all others, and some would never come first. A turn is only an
//! arrangement: who has waited for long goes on without one, and `publish` decides as always.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, mpsc};
use std::time::Duration;

use specs::{BranchName, RepoName};

use super::Store;

/// How long to wait for a turn.
const WAIT: Duration = Duration::from_secs(10);

type Branch = (RepoName, BranchName);

/// The branches that somebody commits to, with those who wait for a turn there.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<Branch, Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// How many have come.
    come: u64,
    waiting: VecDeque<(u64, mpsc::Sender<()>)>,
}

/// A turn at a branch. When it is dropped, the next one has theirs.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    store: Store,
    /// `None` if waiting for it took too long.
    at: Option<Branch>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(at) = &self.at {
            self.store.inner.turns.pass_on(at);
        }
    }
}

impl Store {
    /// Waits for a turn to commit to a branch, for a bounded time. One thread must not take two.
    pub fn turn(&self, repo: &RepoName, branch: &BranchName) -> Turn {
        let at = (repo.clone(), branch.clone());
        let has_it = self.inner.turns.take(&at, WAIT);
        Turn { store: self.clone(), at: has_it.then_some(at) }
    }
}

impl Turns {
    fn queues(&self) -> MutexGuard<'_, BTreeMap<Branch, Queue>> {
        self.0.lock().expect("no panic under this lock")
    }

    /// Waits for a turn; false if it took too long.
    fn take(&self, at: &Branch, wait: Duration) -> bool {
        let Some((number, turn)) = self.queue_up(at) else { return true };
        if turn.recv_timeout(wait).is_ok() {
            return true;
        }
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(at) else { return true };
        let before = queue.waiting.len();
        queue.waiting.retain(|(waits, _)| *waits != number);
        // Who is in the queue no more was given the turn just now.
        queue.waiting.len() == before
    }

    /// Joins the queue; `None` if the turn is free.
    fn queue_up(&self, at: &Branch) -> Option<(u64, mpsc::Receiver<()>)> {
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(at) else {
            queues.insert(at.clone(), Queue::default());
            return None;
        };
        let (give, turn) = mpsc::channel();
        queue.come += 1;
        queue.waiting.push_back((queue.come, give));
        Some((queue.come, turn))
    }

    fn pass_on(&self, at: &Branch) {
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(at) else { return };
        while let Some((_, next)) = queue.waiting.pop_front() {
            if next.send(()).is_ok() {
                return;
            }
        }
        queues.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(name: &str) -> Branch {
        ("images".parse().unwrap(), name.parse().unwrap())
    }

    #[test]
    fn turns_are_given_in_order_and_each_branch_has_its_own() {
        let turns = Turns::default();
        let (main, other) = (branch("main"), branch("other"));
        assert!(turns.take(&main, Duration::ZERO) && turns.take(&other, Duration::ZERO));
        let (_, first) = turns.queue_up(&main).unwrap();
        let (_, second) = turns.queue_up(&main).unwrap();
        turns.pass_on(&main);
        assert!(first.try_recv().is_ok() && second.try_recv().is_err());
        turns.pass_on(&main);
        assert!(second.try_recv().is_ok());
        turns.pass_on(&main);
        turns.pass_on(&other);
        assert!(turns.queues().is_empty());
    }

    #[test]
    fn who_waits_too_long_is_passed_over() {
        let (turns, main) = (Turns::default(), branch("main"));
        assert!(turns.take(&main, Duration::ZERO));
        assert!(!turns.take(&main, Duration::ZERO));
        let (_, next) = turns.queue_up(&main).unwrap();
        turns.pass_on(&main);
        assert!(next.try_recv().is_ok());
        let (_, gone) = turns.queue_up(&main).unwrap();
        drop(gone);
        turns.pass_on(&main);
        assert!(turns.take(&main, Duration::ZERO));
    }
}
