//! Keys: signatures let a sceptic verify commits without trusting the operator of the store.
//!
//! A store signs its commits with its own Ed25519 key. The private half is one file (`file`), mode 0600; it is in no pack, journal or
//! mirror. The public half is in the journal (entry `key`), and so on every machine that joined the store; all of these keys count.
//! The signed bytes are those of a commit's document, unchanged, so any tool can verify a signature.
//!
//! - `public`: public keys and signatures as values
//! - `file`: the private key in its file
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
