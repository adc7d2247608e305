//! Where a claim's documents come from.

use std::collections::HashMap;

use bytes::Bytes;
use repos::history::introduced;
use repos::keys::PublicKey;
use repos::object::Kind;
use repos::store::Examiner;
use repos::tree::FileEntry;
use repos::{KeyRow, RepoError, Store};
use specs::{CommitId, Digest, FilePath};

use super::journal::Standing;

/// What a claim is checked against. Whatever it gives has the digest that it was asked for.
pub(in crate::proof) trait Evidence {
    /// The bytes of a document, node or log.
    fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes, RepoError>;

    /// Whether the bytes of a file are there, and are those that its entry says; else why they are not there by right.
    fn content(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError>;

    /// Whether a log is there and whole; else why it is not there by right.
    fn log(&self, log: &Digest, commit: &CommitId) -> Result<Result<(), String>, RepoError>;

    /// The digests of a commit's signatures.
    fn signatures(&self, commit: &CommitId) -> Result<Vec<Digest>, RepoError>;

    /// What is known of a key.
    fn key(&self, fingerprint: &Digest) -> Result<Key, RepoError>;

    /// Why a commit may be without a signature; `None` when it has to have one.
    fn may_be_unsigned(&self, commit: &CommitId) -> Result<Option<String>, RepoError>;

    /// The commit that brought a file in, which `at` still has as it came: the oldest of an unbroken row back from there.
    fn introduced(&self, at: &CommitId, path: &FilePath) -> Result<CommitId, RepoError>;
}

/// What is known of a key.
pub(in crate::proof) enum Key {
    /// It counts.
    Known(PublicKey),
    /// Nothing says whose it is.
    Unchecked(PublicKey),
    /// It does not count: why.
    Refused(String),
}

/// A store, past its caches.
pub(in crate::proof) struct StoreEvidence {
    store: Store,
    examiner: Examiner,
    keys: HashMap<Digest, KeyRow>,
    signed_after: Option<u64>,
    /// What there is to say of the journal.
    pub(in crate::proof) journal: Standing,
}

impl StoreEvidence {
    pub(in crate::proof) fn new(store: &Store) -> Result<Self, RepoError> {
        Ok(Self {
            journal: Standing::of(store)?,
            store: store.clone(),
            examiner: Examiner::new(store.clone()),
            keys: store.signing_keys()?.into_iter().collect(),
            signed_after: store.signed_after()?,
        })
    }

    /// What is wrong with the packs that something was found in.
    pub(in crate::proof) fn pack_faults(&self) -> Result<Vec<RepoError>, RepoError> {
        self.examiner.pack_faults()
    }

    /// What is missing by right, because its commit gave it up.
    fn unless_pruned(&self, read: Result<(), RepoError>, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        match read {
            Err(error @ RepoError::MissingObject { .. }) => match self.store.is_pruned(commit)? {
                Some(pruned) if self.journal.faults.is_empty() => Ok(Err(format!("not kept any more: {pruned}"))),
                // Who can write to the journal can say so of what was taken away.
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
        let Some(row) = self.keys.get(fingerprint) else {
            return Ok(Key::Refused("the store does not know its key".to_owned()));
        };
        Ok(if row.vouched {
            Key::Known(row.public_key.clone())
        } else {
            Key::Refused("no key of the store vouches for its key".to_owned())
        })
    }

    fn may_be_unsigned(&self, commit: &CommitId) -> Result<Option<String>, RepoError> {
        let (Some(first), true) = (self.signed_after, self.journal.is_vouched_for) else { return Ok(None) };
        let order = self.store.commit_row(commit)?.map_or(u64::MAX, |row| row.order);
        Ok((order <= first).then(|| "made before the store had a key".to_owned()))
    }

    fn introduced(&self, at: &CommitId, path: &FilePath) -> Result<CommitId, RepoError> {
        let repo = self.store.commit(at)?.repo;
        Ok(introduced(&self.store, &repo, *at, path)?.unwrap_or(*at))
    }
}
