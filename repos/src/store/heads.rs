//! States of the journal as Merkle roots, with signatures and proofs (`log`).

use specs::{CommitId, Digest};

use super::{Result, Store};
use crate::access::Right;
use crate::base::error::RepoError;
use crate::index::keys;
use crate::index::log::KeySpan;
use crate::index::rows::decode;
use crate::journal::{Entry, Record};
use crate::log::Head;
use crate::log::checkpoint::Checkpoint;
use crate::log::tree::{Growing, consistency, inclusion, leaf_hash, root};

/// Proof that a record is in the journal.
#[derive(Debug, Clone)]
pub struct Included {
    /// Its position, from 0.
    pub index: u64,
    /// The JSON of its line.
    pub record: Vec<u8>,
    /// The hashes on the path from it to the root.
    pub path: Vec<Digest>,
}

impl Store {
    /// The journal's state as the index knows it.
    pub fn log_head(&self) -> Result<Head> {
        let size = self.position().records;
        Ok(Head { size, root: root(&*self.index(), size)? })
    }

    /// The root over the first `size` records, in O(log n); `None` if there are fewer records.
    pub fn root_at(&self, size: u64) -> Result<Option<Digest>> {
        (size <= self.position().records).then(|| root(&*self.index(), size)).transpose()
    }

    /// The root over the first records for each of `sizes`, and the current state, computed from the journal file itself without the index.
    ///
    /// A root is `None` if there are fewer records. `DamagedJournal` if a line is damaged.
    pub fn read_roots(&self, sizes: &[u64]) -> Result<(Vec<Option<Digest>>, Head)> {
        let mut growing = Growing::default();
        let mut roots: Vec<Option<Digest>> = vec![None; sizes.len()];
        let mut note = |growing: &Growing| {
            let due = roots.iter_mut().zip(sizes).filter(|(_, size)| **size == growing.size());
            due.for_each(|(found, _)| *found = Some(growing.root()));
        };
        note(&growing);
        self.journal().visit_bytes(|record| {
            growing.push(leaf_hash(record));
            note(&growing);
        })?;
        Ok((roots, Head { size: growing.size(), root: growing.root() }))
    }

    /// The current state, signed with the key of this place.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new(self.id()?, self.log_head()?);
        let (fingerprint, signature) = self.sign_bytes(checkpoint.text().as_bytes())?;
        // A verifier does not trust a key that had been replaced by then.
        if !self.key_span(&fingerprint)?.is_some_and(|span| span.holds_at(checkpoint.head.size)) {
            let what = format!("key {} was replaced by another one", fingerprint.short(12));
            let hint = "restore the newest key; pv key show lists all keys".to_owned();
            return Err(RepoError::Conflict { what, hint: Some(hint) });
        }
        if let Some(row) = self.signing_key(&fingerprint)? {
            checkpoint.add(&row.public_key, &signature);
        }
        Ok(checkpoint)
    }

    /// Proves that the first `old` records are a prefix of the first `size` records.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Digest>> {
        if old > size || size > self.position().records {
            let what = format!("the journal has {size} records, not {old}");
            return Err(RepoError::NotFound {
                what,
                hint: Some("pv checkpoint shows the number of records".to_owned()),
            });
        }
        consistency(&*self.index(), old, size)
    }

    /// Proves that the record that introduced a commit is among the first `size` records. Reads the journal up to that record.
    pub fn included(&self, commit: &CommitId, size: u64) -> Result<Included> {
        // A record also has what others changed at the same time.
        self.ensure_may(Right::Check)?;
        let name = commit.to_string();
        let (mut number, mut found) = (0_u64, None);
        self.journal().visit_bytes(|json| {
            let mentions = || std::str::from_utf8(json).is_ok_and(|text| text.contains(&name));
            if found.is_none() && mentions() && names(json, commit) {
                found = Some((number, json.to_vec()));
            }
            number += 1;
        })?;
        let Some((index, record)) = found.filter(|(index, _)| *index < size) else {
            let what = format!("no record of the journal refers to commit {}", commit.short(12));
            return Err(RepoError::NotFound { what, hint: None });
        };
        Ok(Included { index, record, path: inclusion(&*self.index(), index, size)? })
    }

    /// Calls `visit` with each entry of the records after the first `size`.
    pub fn visit_entries_after(&self, size: u64, mut visit: impl FnMut(&Entry)) -> Result<()> {
        let mut number = 0;
        self.journal().visit_bytes(|json| {
            number += 1;
            if number > size
                && let Ok(mut record) = serde_json::from_slice::<Record>(json)
            {
                record.entries.retain_mut(|entry| self.is_seen_entry(entry));
                record.entries.iter().for_each(&mut visit);
            }
        })
    }

    /// The range of records in which a key was in use; `None` if the journal does not know it.
    pub fn key_span(&self, fingerprint: &Digest) -> Result<Option<KeySpan>> {
        Ok(self.index().get(&keys::key_span(fingerprint))?.as_deref().and_then(decode))
    }

    /// The first key in the journal; `None` if it has none.
    pub fn first_key(&self) -> Result<Option<Digest>> {
        let mut first = None;
        for (fingerprint, _) in self.signing_keys()? {
            let from = self.key_span(&fingerprint)?.map_or(u64::MAX, |span| span.from);
            first = first.into_iter().chain([(from, fingerprint)]).min();
        }
        Ok(first.map(|(_, fingerprint)| fingerprint))
    }
}

/// Whether a record makes a commit part of the store: as the target of a branch move, or as the output of a job.
fn names(json: &[u8], commit: &CommitId) -> bool {
    let Ok(record) = serde_json::from_slice::<Record>(json) else { return false };
    record.entries.iter().any(|entry| match entry {
        Entry::Run { moves, .. } => moves.iter().any(|moved| moved.to == Some(*commit)),
        Entry::Job { commit: made, .. } => *made == Some(*commit),
        _ => false,
    })
}
