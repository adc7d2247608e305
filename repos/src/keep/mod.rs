//! What a store keeps, and what is garbage.

use specs::Digest;

use crate::object::Kind;
use crate::store::{Result, Store};

/// What is live: all else may go.
pub trait Marks {
    /// Whether an object is needed.
    fn is_live(&self, kind: Kind, digest: &Digest) -> bool;
    /// Adds what has come to be needed since this was made or last caught up. The store's lock is held, so nothing comes meanwhile.
    fn catch_up(&mut self, store: &Store) -> Result<()>;
}
