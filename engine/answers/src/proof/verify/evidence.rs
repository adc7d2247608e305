//! The source of a claim's documents.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use repos::history::introduced;
use repos::keys::PublicKey;
use repos::object::Kind;
use repos::store::Examiner;
use repos::tree::FileEntry;
use repos::{KeyRow, RepoError, Store};
use specs::{CommitId, Digest, FilePath};

use super::journal::Standing;

/// The evidence for a claim. Everything it returns has the requested digest.
pub(in crate::proof) trait Evidence {
    /// The content of a document, node or log.
    fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes, RepoError>;

    /// Checks that the content of a file exists and matches its entry; the inner error says why it is legitimately missing.
    fn content(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError>;

    /// Checks that a log exists and is intact; the inner error says why it is legitimately missing.
    fn log(&self, log: &Digest, commit: &CommitId) -> Result<Result<(), String>, RepoError>;

    /// The digests of a commit's signatures.
    fn signatures(&self, commit: &CommitId) -> Result<Vec<Digest>, RepoError>;

    /// What is known of a key.
    fn key(&self, fingerprint: &Digest) -> Result<Key, RepoError>;

    /// Why a commit may be unsigned; `None` if it must have a signature.
    fn may_be_unsigned(&self, commit: &CommitId) -> Result<Option<String>, RepoError>;

    /// Whether a key that counts vouches for everything together.
    fn is_vouched_for(&self) -> bool {
        false
    }

    /// Whether only certain keys count, so that nothing is proven without one of them.
    fn wants_signer(&self) -> bool;

    /// Why the code of this tree is legitimately missing; `None` if it must exist.
    fn code_left_out(&self, tree: &Digest) -> Option<String>;

    /// Checks a file of code, which must exist; like [`Self::content`] by default.
    fn code_file(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        self.content(file, commit)
    }

    /// The commit that introduced a file which is unchanged up to `at`: the oldest of an unbroken sequence.
    fn introduced(&self, at: &CommitId, path: &FilePath) -> Result<CommitId, RepoError>;
}

/// What is known of a key.
pub(in crate::proof) enum Key {
    /// It counts.
    Known(PublicKey),
    /// Nothing proves whose it is.
    Unchecked(PublicKey),
    /// It does not count, for this reason.
    Refused(String),
}

/// A trusted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedKey {
    /// The key itself.
    Key(PublicKey),
    /// Its fingerprint.
    Fingerprint(Digest),
}

impl TrustedKey {
    /// The key's fingerprint.
    pub fn fingerprint(&self) -> Digest {
        match self {
            Self::Key(key) => key.fingerprint(),
            Self::Fingerprint(fingerprint) => *fingerprint,
        }
    }
}

/// A store, without its caches.
pub(in crate::proof) struct StoreEvidence {
    store: Store,
    examiner: Examiner,
    keys: HashMap<Digest, KeyRow>,
    signed_after: Option<u64>,
    /// What is wrong with the journal, if anything.
    pub(in crate::proof) journal: Standing,
    /// The keys that count: the given ones, and their replacements. `None` for all keys that the store knows.
    trusted: Option<HashSet<Digest>>,
}

impl StoreEvidence {
    /// Everything in a store. If keys are given, only these count, and their replacements, each signed by the previous key.
    pub(in crate::proof) fn new(store: &Store, given: &[TrustedKey]) -> Result<Self, RepoError> {
        let mut evidence = Self {
            journal: Standing::of(store)?,
            store: store.clone(),
            examiner: Examiner::new(store.clone()),
            keys: store.signing_keys()?.into_iter().collect(),
            signed_after: store.signed_after()?,
            trusted: None,
        };
        if !given.is_empty() {
            evidence.trusted = Some(evidence.successors(given));
        }
        Ok(evidence)
    }

    /// The keys with their replacements, as far as each was signed by the previous key.
    fn successors(&self, given: &[TrustedKey]) -> HashSet<Digest> {
        let mut trusted: HashSet<Digest> = given.iter().map(TrustedKey::fingerprint).collect();
        let mut open: Vec<Digest> = trusted.iter().copied().collect();
        while let Some(previous) = open.pop() {
            for (next, _) in self.keys.iter().filter(|(_, row)| row.previous == Some(previous)) {
                if matches!(self.store_says(next), Key::Known(_)) && trusted.insert(*next) {
                    open.push(*next);
                }
            }
        }
        trusted
    }

    /// The store itself.
    pub(in crate::proof) fn store(&self) -> &Store {
        &self.store
    }

    /// What is wrong with the packs that were read.
    pub(in crate::proof) fn pack_faults(&self) -> Result<Vec<RepoError>, RepoError> {
        self.examiner.pack_faults()
    }

    /// Whether something is legitimately missing because its commit gave it up.
    fn unless_pruned(&self, read: Result<(), RepoError>, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        match read {
            Err(error @ RepoError::MissingObject { .. }) => match self.store.is_pruned(commit)? {
                Some(pruned) if self.journal.faults.is_empty() => Ok(Err(format!("no longer stored: {pruned}"))),
                // Anyone who can write to the journal could claim that about removed content.
                Some(_) => Err(error),
                None => Err(error),
            },
            read => read.map(Ok),
        }
    }
}

impl Evidence for StoreEvidence {
    fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes, RepoError> {
        self.examiner.object(kind, digest)
    }

    fn content(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        self.unless_pruned(self.examiner.content(file), commit)
    }

    fn log(&self, log: &Digest, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        self.unless_pruned(self.examiner.object(Kind::Log, log).map(drop), commit)
    }

    fn signatures(&self, commit: &CommitId) -> Result<Vec<Digest>, RepoError> {
        self.store.signature_digests(commit)
    }

    fn key(&self, fingerprint: &Digest) -> Result<Key, RepoError> {
        let counts = self.trusted.as_ref().is_none_or(|trusted| trusted.contains(fingerprint));
        Ok(match self.store_says(fingerprint) {
            Key::Known(_) if !counts => {
                Key::Refused("its key is neither the given key nor one that replaced it".to_owned())
            }
            key => key,
        })
    }

    fn may_be_unsigned(&self, commit: &CommitId) -> Result<Option<String>, RepoError> {
        let Some(first) = self.signed_after else { return Ok(Some("the store has no key yet".to_owned())) };
        if !self.journal.is_vouched_for {
            return Ok(None);
        }
        let order = self.store.commit_row(commit)?.map_or(u64::MAX, |row| row.order);
        Ok((order <= first).then(|| "made before the store had a key".to_owned()))
    }

    fn wants_signer(&self) -> bool {
        self.trusted.is_some()
    }

    fn code_left_out(&self, _: &Digest) -> Option<String> {
        None
    }

    fn introduced(&self, at: &CommitId, path: &FilePath) -> Result<CommitId, RepoError> {
        let repo = self.store.commit(at)?.repo;
        Ok(introduced(&self.store, &repo, *at, path)?.unwrap_or(*at))
    }
}

impl StoreEvidence {
    /// The standing of a key in the store's own records.
    fn store_says(&self, fingerprint: &Digest) -> Key {
        match self.keys.get(fingerprint) {
            None => Key::Refused("its key is unknown to the store".to_owned()),
            Some(row) if row.vouched => Key::Known(row.public_key.clone()),
            Some(_) => Key::Refused("its key is not trusted".to_owned()),
        }
    }
}
