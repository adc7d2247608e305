//! Signs commits as they are published, and reports their signatures.
//!
//! `publish` signs each commit that the journal does not know yet, with the key of this store (`keys`), before its packs are finished; it
//! also signs each record of the journal. A key that is not in the journal is added by the first record that it signs, so a commit is never
//! known before the key that verifies it. Commits that predate the first key have no signature; signed commits that build on them name
//! their digests, and so vouch for them.
//!
//! A process may sign with a key that is just being replaced: it is enough that the journal knows the key.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::Direction;
use specs::{CommitId, Digest};

use super::{Change, Result, Store};
use crate::access::Right;
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::documents::{Certificate, SignatureDocument};
use crate::index::keys;
use crate::index::rows::{KeyRow, read};
use crate::journal::Entry;
use crate::keys::{OwnKey, PublicKey, Signature, replacement};

/// The change with an entry for the key that signs its record, if the journal does not know that key.
pub(super) fn with_key(change: &Change, key: &OwnKey, is_known: bool) -> Vec<Entry> {
    let has = |entry: &Entry| matches!(entry, Entry::Key { public_key, .. } if public_key == key.public());
    let missing = !is_known && !change.entries.iter().any(has);
    missing.then(|| Store::key_entry(key)).into_iter().chain(change.entries.iter().cloned()).collect()
}

/// A signature of a commit, and its validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signature's own digest.
    pub signature: Digest,
    /// Fingerprint of the key; absent if the signature cannot be read.
    pub key: Option<Digest>,
    /// Its validity.
    pub vouched: Vouched,
}

/// The validity of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vouched {
    /// It is valid, and its key counts.
    Good,
    /// The journal does not know its key.
    UnknownKey,
    /// It is valid, but no key that counts vouches for its key.
    UnvouchedKey,
    /// It does not match the commit.
    Bad,
    /// It cannot be read, for this reason.
    Damaged(String),
}

impl Store {
    /// The change with everything needed to sign its new commits.
    pub(super) fn signed<'a>(&self, change: &'a Change) -> Result<Cow<'a, Change>> {
        let mut key: Option<Arc<OwnKey>> = None;
        for commit in change.commits() {
            // Commits that existed before the first key stay unsigned.
            if self.commit_row(&commit)?.is_none() {
                let key = match &key {
                    Some(key) => key,
                    None => key.insert(self.own_key()?),
                };
                self.sign(key, &commit)?;
            }
        }
        let Some(key) = key else { return Ok(Cow::Borrowed(change)) };
        if self.signing_key(&key.public().fingerprint())?.is_some() {
            return Ok(Cow::Borrowed(change));
        }
        // The owner that records it may use another key.
        Ok(Cow::Owned(Change { entries: with_key(change, &key, false), graph: change.graph }))
    }

    fn sign(&self, key: &OwnKey, commit: &CommitId) -> Result<()> {
        let bytes = self.object(Kind::Commit, &commit.digest())?;
        let (signature, key) = (key.sign(&bytes), key.public().fingerprint());
        self.put_about(&SignatureDocument { commit: *commit, key, signature }).map(drop)
    }

    /// The journal entry of a key that replaces no other.
    pub(super) fn key_entry(key: &OwnKey) -> Entry {
        Entry::Key { public_key: key.public().clone(), previous: None, signature: None }
    }

    /// The key that this process signs with: from the file, or a new one if there is none.
    pub(super) fn own_key(&self) -> Result<Arc<OwnKey>> {
        let mut own = self.inner.key.lock().expect("no panic under this lock");
        if let Some(key) = own.as_ref().filter(|key| self.is_in_use(key).unwrap_or(true)) {
            return Ok(key.clone());
        }
        let key = Arc::new(self.read_or_make_key()?);
        *own = Some(key.clone());
        Ok(key)
    }

    /// The key of this place, if there is one that this process may read.
    pub(super) fn own_key_if_there(&self) -> Option<Arc<OwnKey>> {
        let mut own = self.inner.key.lock().expect("no panic under this lock");
        if own.is_none() {
            *own = self.inner.key_file.read().ok().flatten().map(Arc::new);
        }
        own.clone()
    }

    /// Warns, once per process, if signatures made with this place's key do not count.
    pub(super) fn tell_of_standing(&self, key: &PublicKey) -> Result<()> {
        if self.inner.told_of_key.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let known = self.signing_keys()?;
        let name = key.fingerprint();
        if known.is_empty() || known.iter().any(|(known, row)| *known == name && row.vouched) {
            return Ok(());
        }
        let (path, trust) = (self.inner.key_file.path().display(), format!("pv key trust {}", name.short(12)));
        (self.inner.notify)(&format!(
            "no key of this store vouches for the key at `{path}`: what is changed with it is NOT PROVEN until somebody says `{trust}` \
             where the store's key is; or put that key there"
        ));
        Ok(())
    }

    /// Whether a key is new, or has not been replaced.
    fn is_in_use(&self, key: &OwnKey) -> Result<bool> {
        Ok(self.signing_key(&key.public().fingerprint())?.is_none_or(|row| row.replaced_at.is_none()))
    }

    fn read_or_make_key(&self) -> Result<OwnKey> {
        let file = &self.inner.key_file;
        let Some(key) = file.read()? else {
            let key = file.create(OwnKey::random())?;
            if !self.signing_keys()?.is_empty() {
                let (path, name) = (file.path().display(), key.public().fingerprint().short(12));
                (self.inner.notify)(&format!("there was no key at `{path}`: a new key was created, {name}"));
            }
            return Ok(key);
        };
        if self.is_in_use(&key)? {
            return Ok(key);
        }
        // The process that replaced it may have died before the new key was in place.
        if let Some(next) = file.next().read()?
            && self.signing_key(&next.public().fingerprint())?.is_some_and(|row| row.replaced_at.is_none())
        {
            file.next().become_file(file)?;
            return Ok(next);
        }
        Err(RepoError::Conflict {
            what: format!("key `{}` was replaced by another one", file.path().display()),
            hint: Some("restore the newest key, or move this one away: then a new key is created".to_owned()),
        })
    }

    /// Replaces this store's key with a new one, for which the old key vouches; returns the old one's fingerprint and the new key.
    pub fn replace_key(&self) -> Result<(Digest, PublicKey)> {
        self.ensure_may(Right::Keys)?;
        let old = self.own_key()?;
        let previous = old.public().fingerprint();
        if self.signing_key(&previous)?.is_none() {
            self.publish(&Change::of(vec![Self::key_entry(&old)]))?;
        }
        let (new, next) = (OwnKey::random(), self.inner.key_file.next());
        // Before the record: a key in the journal must not be lost.
        next.replace(&new)?;
        let public_key = new.public().clone();
        let signature = Some(old.sign(&replacement(&self.id()?, &previous, &public_key)));
        let entry = Entry::Key { public_key: public_key.clone(), previous: Some(previous), signature };
        self.publish(&Change::of(vec![entry]))?;
        let mut own = self.inner.key.lock().expect("no panic under this lock");
        next.become_file(&self.inner.key_file)?;
        *own = Some(Arc::new(new));
        drop(own);
        // The note of the journal's end must be made with the new key.
        self.note_position(&self.locked_position());
        Ok((previous, public_key))
    }

    /// Vouches for a key that the journal knows: everything it signed counts from now on, including earlier signatures.
    ///
    /// `Conflict` if the key of this place does not count itself.
    pub fn trust_key(&self, fingerprint: &Digest) -> Result<()> {
        self.ensure_may(Right::Keys)?;
        let own = self.own_key()?;
        let standing = self.signing_key(&own.public().fingerprint())?;
        if !standing.is_some_and(|row| row.vouched) {
            return Err(RepoError::Conflict {
                what: format!("key `{}` is not trusted by the store", self.inner.key_file.path().display()),
                hint: Some("run this command where the store's key is; pv key show lists the keys".to_owned()),
            });
        }
        self.publish(&Change::of(vec![Entry::KeyTrust { key: *fingerprint }]))
    }

    /// The public half of the key in this store's file, if there is one.
    pub fn public_key(&self) -> Result<Option<PublicKey>> {
        Ok(self.inner.key_file.read()?.map(|key| key.public().clone()))
    }

    /// Signs bytes other than a commit with the key of this place; returns its fingerprint and the signature.
    ///
    /// The journal must know the key, because verifiers look it up there.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Result<(Digest, Signature)> {
        let key = self.inner.key_file.read()?.ok_or_else(|| RepoError::Conflict {
            what: format!("there is no signing key at `{}`", self.inner.key_file.path().display()),
            hint: Some("the next commit made here creates one".to_owned()),
        })?;
        let fingerprint = key.public().fingerprint();
        if self.signing_key(&fingerprint)?.is_none() {
            return Err(RepoError::Conflict {
                what: format!("key `{}` is not in the journal", self.inner.key_file.path().display()),
                hint: Some("the next commit made here records it".to_owned()),
            });
        }
        Ok((fingerprint, key.sign(bytes)))
    }

    /// A problem with the key in this store's file; it is not damage, since a new key can be made at any time.
    pub(crate) fn key_fault(&self) -> Result<Option<String>> {
        let known = self.signing_keys()?;
        let path = self.inner.key_file.path().display();
        Ok(match self.public_key() {
            Err(error) => Some(error.to_string()),
            Ok(None) if known.is_empty() => None,
            Ok(None) => Some(format!("there is no key at `{path}`: the next commit creates one")),
            Ok(Some(key)) => (!known.iter().any(|(name, _)| *name == key.fingerprint()))
                .then(|| format!("key `{path}` is not in the journal: the next commit records it")),
        })
    }

    /// All keys that the journal knows, by fingerprint.
    pub fn signing_keys(&self) -> Result<Vec<(Digest, KeyRow)>> {
        let prefix = keys::signing_keys();
        let mut found = Vec::new();
        self.index().try_visit(&prefix, &prefix, Direction::Forward, |key, value| {
            let fingerprint = key.last_chunk::<32>().map(|bytes| Digest::from_bytes(*bytes));
            found.push((fingerprint.ok_or_else(|| RepoError::damaged_row(key))?, read(key, value)?));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// A key that the journal knows.
    pub fn signing_key(&self, fingerprint: &Digest) -> Result<Option<KeyRow>> {
        self.index().row(&keys::signing_key(fingerprint))
    }

    /// Number of runs before commits were signed by a key that counts; `None` if they are not signed yet.
    pub fn signed_after(&self) -> Result<Option<u64>> {
        Ok(self.signing_keys()?.into_iter().filter(|(_, row)| row.vouched).map(|(_, row)| row.after).min())
    }

    /// The signatures of a commit, each verified.
    pub fn signatures(&self, commit: &CommitId) -> Result<Vec<Signed>> {
        let bytes = self.object(Kind::Commit, &commit.digest())?;
        let digests = self.signature_digests(commit)?;
        digests.into_iter().map(|signature| self.check_signature(commit, &bytes, signature)).collect()
    }

    fn check_signature(&self, commit: &CommitId, bytes: &[u8], signature: Digest) -> Result<Signed> {
        let document = match self.document::<SignatureDocument>(&signature) {
            Ok(document) => document,
            Err(error @ (RepoError::DamagedObject { .. } | RepoError::MissingObject { .. })) => {
                return Ok(Signed { signature, key: None, vouched: Vouched::Damaged(error.to_string()) });
            }
            Err(error) => return Err(error),
        };
        let vouched = match self.signing_key(&document.key)? {
            None => Vouched::UnknownKey,
            Some(row) if document.commit != *commit || !row.public_key.has_signed(bytes, &document.signature) => {
                Vouched::Bad
            }
            Some(row) if row.vouched => Vouched::Good,
            Some(_) => Vouched::UnvouchedKey,
        };
        Ok(Signed { signature, key: Some(document.key), vouched })
    }

    /// The digests of a commit's signatures, without reading them.
    pub fn signature_digests(&self, commit: &CommitId) -> Result<Vec<Digest>> {
        let prefix = keys::signatures(commit);
        let found = self.about(&prefix)?;
        // An owner's index covers its open packs; any other process has to search them.
        if !found.is_empty() || self.index().is_writable() || !self.has_to_be_signed(commit)? {
            return Ok(found);
        }
        self.signatures_beside_writers(&prefix)
    }

    /// Whether a commit was made after the store had a key.
    fn has_to_be_signed(&self, commit: &CommitId) -> Result<bool> {
        let Some(first) = self.signed_after()? else { return Ok(false) };
        Ok(self.commit_row(commit)?.is_none_or(|row| row.order > first))
    }

    /// Stores a certificate and returns its digest.
    pub fn put_certificate(&self, certificate: &Certificate) -> Result<Digest> {
        let digest = self.put_about(certificate)?;
        self.finish_packs()?;
        Ok(digest)
    }

    /// The certificates of a commit, oldest first, with their digests.
    pub fn certificates(&self, commit: &CommitId) -> Result<Vec<(Digest, Certificate)>> {
        let mut found = Vec::new();
        for digest in self.about(&keys::certificates(commit))? {
            found.push((digest, self.document::<Certificate>(&digest)?));
        }
        found.sort_by_key(|(_, certificate)| certificate.at);
        Ok(found)
    }

    /// The digests at the end of the keys that begin with `prefix`.
    pub(super) fn about(&self, prefix: &[u8]) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        self.index().visit(prefix, prefix, Direction::Forward, |key, _| {
            found.extend(key.last_chunk::<32>().map(|bytes| Digest::from_bytes(*bytes)));
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}
