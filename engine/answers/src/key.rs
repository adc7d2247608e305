//! The keys that sign a store's commits.

use engine::Result;
use repos::keys::PublicKey;
use repos::log::checkpoint::verifier_key;
use repos::{KeyRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::Digest;

/// A key that commits are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// SHA-256 of the key in DER form.
    pub fingerprint: Digest,
    /// As PEM.
    pub public_key: String,
    /// The form that readers of signed notes take.
    pub verifier_key: String,
    /// Whether it is the one of this place.
    pub own: bool,
    /// When it was added to the journal.
    pub since: Timestamp,
    /// When it was replaced by another key.
    pub replaced_at: Option<Timestamp>,
    /// The key that it replaced.
    pub previous: Option<Digest>,
    /// Whether it counts: the store's first key, or one that a key that counts vouches for.
    pub vouched: bool,
}

/// The key that signs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// As PEM.
    pub pem: String,
    /// The form that readers of signed notes take.
    pub verifier_key: String,
}

/// All keys in a store's journal, oldest first.
pub fn keys(store: &Store) -> Result<Vec<KeyView>> {
    let own = store.public_key()?.as_ref().map(PublicKey::fingerprint);
    let id = store.id()?;
    let mut keys = store.signing_keys()?;
    keys.sort_by_key(|(_, row)| row.at);
    let views = keys.into_iter().map(|(fingerprint, row)| {
        let KeyRow { public_key, previous, at, replaced_at, vouched, .. } = row;
        KeyView {
            fingerprint,
            verifier_key: verifier_key(&id, &public_key),
            public_key: public_key.to_pem(),
            own: Some(fingerprint) == own,
            since: at,
            replaced_at,
            previous,
            vouched,
        }
    });
    Ok(views.collect())
}

/// The key that signs on this machine, if there is one.
pub fn own_key(store: &Store) -> Result<Option<OwnKey>> {
    let id = store.id()?;
    Ok(store.public_key()?.map(|key| OwnKey { pem: key.to_pem(), verifier_key: verifier_key(&id, &key) }))
}
