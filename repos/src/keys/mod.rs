//! Keys: signatures let a sceptic verify commits without trusting the operator of the store.
//!
//! A store signs its commits with its own Ed25519 key. The private half is one file (`file`), mode 0600; it is in no pack, journal or
//! mirror. The public half is in the journal (entry `key`), and so on every machine that joined the store.
//! The signed bytes are those of a commit's document, unchanged, so any tool can verify a signature.
//!
//! - `public`: public keys and signatures as values
//! - `file`: the private key in its file
//!
//! A machine that joins a store creates its own key. That key counts after `pv key trust` on a machine with the store's key; until then,
//! the changes of the new machine are NOT PROVEN. If the store's key is copied to the new machine instead (`.pv/key`, mode 0600, or
//! `PV_KEY`), nothing needs to be trusted. If the store's only key is lost, nothing vouches for the next one.
//!
//! Not here: when commits are signed and when keys enter the journal (`store::signing`).

mod file;
mod public;

pub(crate) use file::{KeyFile, OwnKey};
pub use public::{KeyError, PublicKey, Signature};

use specs::Digest;

/// The bytes that the key `previous` signs when `next` replaces it in the store with this id.
///
/// No document starts with these bytes, so such a signature can never pass as that of a commit.
pub fn replacement(store: &str, previous: &Digest, next: &PublicKey) -> Vec<u8> {
    format!("pv key replaced\nstore {store}\nfrom {previous}\nto {}\n", next.fingerprint()).into_bytes()
}

#[cfg(test)]
mod tests;
