//! Keys: who vouches for commits, so that a sceptic need not trust the holder of the store.
//!
//! A store signs what it commits with an Ed25519 key of its own. The private half is one file (`file`), mode 0600, and in no pack,
//! journal or mirror. The public half is in the journal (entry `key`), and so on every machine that joined the store; all of them count.
//! What is signed are the bytes of a commit's document, as they are: any tool can check that.
//!
//! - `public` public keys and signatures as values
//! - `file` the private key in its file
//!
//! Not here: when commits are signed and keys come into the journal (`store::signing`).

mod file;
mod public;

pub(crate) use file::{KeyFile, OwnKey};
pub use public::{KeyError, PublicKey, Signature};

use specs::Digest;

/// The bytes that the key `previous` signs when `next` takes its place in the store of this id.
///
/// No document begins like this, so such a signature is never that of a commit.
pub fn replacement(store: &str, previous: &Digest, next: &PublicKey) -> Vec<u8> {
    format!("pv key replaced\nstore {store}\nfrom {previous}\nto {}\n", next.fingerprint()).into_bytes()
}

#[cfg(test)]
mod tests;
