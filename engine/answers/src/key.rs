//! The keys that sign a store's commits.

use engine::{EngineError, Result};
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

/// A key that replaced another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotatedView {
    /// Its fingerprint.
    pub fingerprint: Digest,
    /// The fingerprint of the key that it replaced.
    pub previous: Digest,
    /// As PEM.
    pub public_key: String,
}

/// A key that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustedView {
    /// Whether it did not count before.
    pub changed: bool,
    /// Its fingerprint.
    pub fingerprint: Digest,
    /// Whether it counts.
    pub vouched: bool,
}

/// What a replacement of the store's key by `new` did.
pub fn rotated_view(previous: Digest, new: &PublicKey) -> RotatedView {
    RotatedView { fingerprint: new.fingerprint(), previous, public_key: new.to_pem() }
}

/// Minimum number of hex digits of a prefix.
const LEAST_DIGITS: usize = 8;

/// The key whose fingerprint begins with these digits, and whether it counts already.
pub fn key_by_prefix(store: &Store, digits: &str) -> Result<(Digest, bool)> {
    let wanted = digits.to_ascii_lowercase();
    let hint = "pv key show lists the keys";
    if wanted.len() < LEAST_DIGITS {
        let what = "a fingerprint needs at least 8 digits".to_owned();
        return Err(EngineError::Usage { what, hint: Some(hint.to_owned()) });
    }
    let mut fits = store.signing_keys()?;
    fits.retain(|(key, _)| key.to_string().starts_with(&wanted));
    match fits.as_slice() {
        [(key, row)] => Ok((*key, row.vouched)),
        [] => {
            let what = format!("the journal has no key that begins with {wanted}");
            Err(EngineError::NotFound { what, hint: Some(hint.to_owned()) })
        }
        _ => {
            let what = format!("several keys begin with {wanted}");
            Err(EngineError::Usage { what, hint: Some(hint.to_owned()) })
        }
    }
}
