//! The start of every change that can cause jobs: who makes it, why, its run, and a retry if another change came first.

use repos::Store;
use repos::journal::{Cause, CauseKind};
use specs::{Glob, PipelineName, RunId};

use crate::error::{EngineError, Result};

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The claimed author.
    pub author: String,
    /// The identity that the store authenticated: `uid:N@host`, or a token's name.
    pub committer: String,
}

/// The id of a new run.
pub fn new_run() -> RunId {
    RunId::from_bytes(repos::random_bytes())
}

/// The cause of a run.
pub fn cause(store: &Store, kind: CauseKind, by: &Actor, refs: Vec<String>) -> Cause {
    let (author, committer) = (Some(by.author.clone()), by.committer.clone());
    Cause { kind, author, committer, at: store.clock().now(), refs, message: None }
}

/// The glob in a cause that is about the datums of a pipeline that read certain paths: `PIPELINE:GLOB`.
pub fn paths_named(cause: &Cause, pipeline: &PipelineName) -> Option<Glob> {
    let glob = cause.refs.iter().find_map(|text| text.strip_prefix(pipeline.as_str())?.strip_prefix(':'))?;
    Glob::parse(glob).ok()
}

/// Maximum number of attempts of a change if garbage collection interferes each time.
pub const COLLECTED_TRIES: u32 = 5;

/// Retries `attempt` until no other change comes first. It must write again what it builds on, or garbage collection may interfere each
/// time.
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
