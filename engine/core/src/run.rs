//! What every change that can cause jobs begins with: who makes it, why, its run, and another try when somebody was quicker.

use repos::Store;
use repos::journal::{Cause, CauseKind};
use specs::RunId;

use crate::error::{EngineError, Result};

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The claim.
    pub author: String,
    /// Whom the store authenticated: `uid:N@host`, or a token's name.
    pub committer: String,
}

/// A new run's id.
pub fn new_run() -> RunId {
    RunId::from_bytes(repos::random_bytes())
}

/// Why a run comes about.
pub fn cause(store: &Store, kind: CauseKind, by: &Actor, refs: Vec<String>) -> Cause {
    let (author, committer) = (Some(by.author.clone()), by.committer.clone());
    Cause { kind, author, committer, at: store.clock().now(), refs, message: None }
}

/// How often a change is tried that garbage collection took something from each time.
pub const COLLECTED_TRIES: u32 = 5;

/// Does `attempt` until nobody was quicker. It writes anew what it builds on, or garbage collection may be in its way each time.
pub fn retry_on_conflict<T>(store: &Store, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        match attempt() {
            Err(EngineError::Store(error)) if Store::is_collected(&error) && tries < COLLECTED_TRIES => {
                tries += 1;
                store.refresh()?;
            }
            Err(EngineError::Store(error)) if Store::is_race(&error) => store.refresh()?,
            done => return done,
        }
    }
}
