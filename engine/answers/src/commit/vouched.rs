//! What vouches for a commit: signatures, and certificates that it was made again.

use engine::Result;
use repos::Store;
use repos::documents::{Certificate, Commit};
use repos::store::Vouched;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest};

use super::view::{CommitView, commit_view};
use crate::sorted::Sorted;

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// It fits the commit, and its key counts.
    Good,
    /// The journal knows no such key.
    UnknownKey,
    /// It fits the commit, and no key that counts vouches for its key.
    UnvouchedKey,
    /// It does not fit the commit.
    Bad,
    /// It cannot be read.
    Damaged,
}

/// A signature of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureView {
    /// The signature's own digest.
    pub id: Digest,
    /// Fingerprint of the key; `null` when the signature cannot be read.
    pub key: Option<Digest>,
    /// What it is worth.
    pub state: SignatureState,
    /// Why it cannot be read.
    #[serde(skip)]
    pub why: Option<String>,
}

/// What executing a commit's datums again has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateView {
    /// The certificate's digest.
    pub id: Digest,
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
}

/// A commit with what vouches for it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommitDetails {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitView,
    /// Its signatures.
    pub signatures: Vec<SignatureView>,
    /// What executing its datums again has shown.
    pub certificates: Vec<Sorted<CertificateView>>,
}

/// All about a commit.
pub fn commit_details(store: &Store, id: CommitId, document: Commit) -> Result<CommitDetails> {
    let (signatures, certificates) = (signatures(store, &id)?, certificates(store, &id)?);
    Ok(CommitDetails { commit: commit_view(store, id, document)?, signatures, certificates })
}

/// The signatures of a commit. Only these are looked at; `proof::verify` checks all that the commit names.
pub fn signatures(store: &Store, commit: &CommitId) -> Result<Vec<SignatureView>> {
    let signed = store.signatures(commit)?.into_iter().map(|signed| {
        let (state, why) = match signed.vouched {
            Vouched::Good => (SignatureState::Good, None),
            Vouched::UnknownKey => (SignatureState::UnknownKey, None),
            Vouched::UnvouchedKey => (SignatureState::UnvouchedKey, None),
            Vouched::Bad => (SignatureState::Bad, None),
            Vouched::Damaged(why) => (SignatureState::Damaged, Some(why)),
        };
        SignatureView { id: signed.signature, key: signed.key, state, why }
    });
    Ok(signed.collect())
}

/// What executing a commit's datums again has shown.
pub fn certificates(store: &Store, commit: &CommitId) -> Result<Vec<Sorted<CertificateView>>> {
    let all = store.certificates(commit)?.into_iter();
    Ok(all.map(|(id, certificate)| Sorted(CertificateView { id, certificate })).collect())
}
