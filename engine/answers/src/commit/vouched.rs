//! Signatures and rerun certificates of a commit.

use engine::Result;
use repos::Store;
use repos::documents::{Certificate, Commit};
use repos::store::Vouched;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest};

use super::view::{CommitView, commit_view};
use crate::sorted::Sorted;

/// Whether a signature is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// It is valid, and its key counts.
    Good,
    /// The journal does not know its key.
    UnknownKey,
    /// It is valid, but no key that counts vouches for its key.
    UnvouchedKey,
    /// It does not match the commit.
    Bad,
    /// It is unreadable.
    Damaged,
}

/// A signature of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureView {
    /// The signature's own digest.
    pub id: Digest,
    /// Fingerprint of the key; `null` if the signature is unreadable.
    pub key: Option<Digest>,
    /// Whether it is valid.
    pub state: SignatureState,
    /// Why it is unreadable.
    #[serde(skip)]
    pub why: Option<String>,
}

/// The outcome of executing a commit's datums again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateView {
    /// The certificate's digest.
    pub id: Digest,
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
}

/// A commit with its signatures and certificates.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommitDetails {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitView,
    /// Its signatures.
    pub signatures: Vec<SignatureView>,
    /// The results of executing its datums again.
    pub certificates: Vec<Sorted<CertificateView>>,
}

/// A commit with its signatures and certificates.
pub fn commit_details(store: &Store, id: CommitId, document: Commit) -> Result<CommitDetails> {
    let (signatures, certificates) = (signatures(store, &id)?, certificates(store, &id)?);
    Ok(CommitDetails { commit: commit_view(store, id, document)?, signatures, certificates })
}

/// The signatures of a commit. Only these are checked; `proof::verify` checks everything that the commit references.
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

/// The outcome of executing a commit's datums again.
pub fn certificates(store: &Store, commit: &CommitId) -> Result<Vec<Sorted<CertificateView>>> {
    let all = store.certificates(commit)?.into_iter();
    Ok(all.map(|(id, certificate)| Sorted(CertificateView { id, certificate })).collect())
}
