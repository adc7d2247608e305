//! The validity of the signatures of journal records, and which keys count.
//!
//! The first key of a journal is trusted (to be sure, compare its fingerprint with one kept elsewhere); another key counts if a key that
//! counts signed it as a replacement, or vouched for it in a record (`key_trust`). A record is *in doubt* if it is unsigned although an
//! earlier record is signed, if its signature is invalid, or if its key does not count. Without a key that counts, nobody can add a record
//! that is not in doubt, nor remove one, since each contains the digest of the previous record. Records before the first signed one come
//! from earlier versions: the first signed record vouches for them as its signer saw them.
//!
//! Verifying a signature takes longer than everything else about a record. So each is verified once, by the process that writes the index;
//! newer records are verified by readers when they are asked for proof.

use rocksdb::Direction;
use serde_json::Value;
use specs::Digest;

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::parallel;
use crate::base::time::Timestamp;
use crate::index::apply::meta;
use crate::index::rows::{Doubt, DoubtWhy, KeyRow, decode, encode};
use crate::index::{Changes, Index, keys};
use crate::journal::{Entry, Move, Position, Record, RecordSignature, signed_bytes};
use crate::keys::PublicKey;

/// Number of records read at a time.
const AT_A_TIME: usize = 4096;

/// The standing of this place's key in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStanding {
    /// There is none here, or none that this process may read.
    None,
    /// It counts.
    Vouched(Digest),
    /// The journal knows it, and no key that counts vouches for it.
    Unvouched(Digest),
    /// The journal does not know it.
    Unknown(Digest),
}

/// The position up to which record signatures were verified.
pub(super) fn checked_until(index: &Index) -> Result<Position> {
    Ok(index.get(&keys::meta(meta::CHECKED))?.as_deref().and_then(decode).unwrap_or_default())
}

impl Store {
    /// Verifies the signatures of records up to `end` that were not verified yet, and saves what it finds in the index.
    pub(super) fn check_records(&self, index: &Index, end: &Position) -> Result<()> {
        if checked_until(index)? == *end {
            return Ok(());
        }
        let mut changes = Changes::new();
        for doubt in self.unchecked(index, end)? {
            changes.insert(keys::doubt(doubt.record), Some(encode(&doubt)));
        }
        changes.insert(keys::meta(meta::CHECKED), Some(encode(end)));
        index.commit(changes);
        Ok(())
    }

    /// The records in doubt, in order.
    pub fn doubts(&self) -> Result<Vec<Doubt>> {
        let index = self.index();
        let mut found = known_doubts(&index)?;
        found.extend(self.unchecked(&index, &self.position())?);
        let mut doubts = still_in_doubt(&index, found)?;
        for doubt in &mut doubts {
            doubt.does = self.without_hidden(&doubt.does)?;
        }
        Ok(doubts)
    }

    /// Number of records before the first signed one; `None` if none is signed.
    pub fn unsigned_before(&self) -> Result<Option<u64>> {
        let from = self.index().get(&keys::meta(meta::SIGNED_FROM))?.as_deref().and_then(decode::<u64>);
        Ok(from.map(|from| from.saturating_sub(1)))
    }

    /// The standing of this place's key in the store.
    pub fn key_standing(&self) -> Result<KeyStanding> {
        let Ok(Some(key)) = self.public_key() else { return Ok(KeyStanding::None) };
        let name = key.fingerprint();
        Ok(match self.signing_key(&name)? {
            Some(row) if row.vouched => KeyStanding::Vouched(name),
            Some(_) => KeyStanding::Unvouched(name),
            None => KeyStanding::Unknown(name),
        })
    }

    /// Refuses, for a process that executes pipelines, a journal in which a key that does not count determines what is executed, or with
    /// invalid signatures. `index` is open for writing, and its records are verified.
    pub(super) fn ensure_not_forged(&self, index: &Index) -> Result<()> {
        let is_unsigned = checked_until(index)?.records > 0 && !has_keys(index)?;
        if is_unsigned && self.public_key().is_ok_and(|key| key.is_some()) {
            let why = "it records no key, but this machine has one: this is not the original journal".to_owned();
            return Err(RepoError::DamagedJournal { record: 1, why });
        }
        let doubts = known_doubts(index)?;
        if doubts.is_empty() {
            return Ok(());
        }
        // This place may follow its own records, even if nobody else trusts its key.
        let own = self.own_key_if_there().map(|key| key.public().fingerprint());
        let is_bad = |doubt: &Doubt| doubt.why != DoubtWhy::Unvouched || (doubt.commands && doubt.key != own);
        let Some(doubt) = still_in_doubt(index, doubts)?.into_iter().find(is_bad) else { return Ok(()) };
        let (record, words, does) = (doubt.record, doubt.words(), &doubt.does);
        match doubt.key.filter(|_| doubt.why == DoubtWhy::Unvouched) {
            None => Err(RepoError::DamagedJournal { record, why: format!("{words} ({does})") }),
            Some(key) => Err(RepoError::Conflict {
                what: format!("record {record} of the journal ({does}) is not applied: {words}"),
                hint: Some(format!("pv key trust {}, if you know the owner of the key", key.short(12))),
            }),
        }
    }

    fn unchecked(&self, index: &Index, end: &Position) -> Result<Vec<Doubt>> {
        let signed_from: Option<u64> = index.get(&keys::meta(meta::SIGNED_FROM))?.as_deref().and_then(decode);
        let mut found = Vec::new();
        let mut from = checked_until(index)?;
        while from.records < end.records {
            let (values, next) = self.journal().values_after(from, AT_A_TIME)?;
            let judged = parallel::map(
                values.len(),
                || (),
                |(), at| {
                    let (value, position) = &values[at];
                    judge(index, value, position, signed_from)
                },
            )?;
            found.extend(judged.into_iter().flatten().filter(|doubt| doubt.record <= end.records));
            if next == from {
                break;
            }
            from = next;
        }
        Ok(found)
    }
}

fn known_doubts(index: &Index) -> Result<Vec<Doubt>> {
    let prefix = keys::doubts();
    let mut found = Vec::new();
    index.visit(&prefix, &prefix, Direction::Forward, |_, value| {
        found.extend(decode::<Doubt>(value));
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The doubts whose key nobody has vouched for since.
fn still_in_doubt(index: &Index, doubts: Vec<Doubt>) -> Result<Vec<Doubt>> {
    let mut kept = Vec::new();
    for doubt in doubts {
        let key = doubt.key.filter(|_| doubt.why == DoubtWhy::Unvouched).map(|key| key_row(index, &key)).transpose()?;
        if !key.flatten().is_some_and(|row| row.vouched) {
            kept.push(doubt);
        }
    }
    Ok(kept)
}

fn has_keys(index: &Index) -> Result<bool> {
    let (prefix, mut any) = (keys::signing_keys(), false);
    index.visit(&prefix, &prefix, Direction::Forward, |_, _| {
        any = true;
        std::ops::ControlFlow::Break(())
    })?;
    Ok(any)
}

fn key_row(index: &Index, key: &Digest) -> Result<Option<KeyRow>> {
    Ok(index.get(&keys::signing_key(key))?.as_deref().and_then(decode))
}

/// What is wrong with the record before a position.
fn judge(index: &Index, value: &Value, after: &Position, signed_from: Option<u64>) -> Result<Option<Doubt>> {
    let signature = value.get("signature").and_then(|it| serde_json::from_value::<RecordSignature>(it.clone()).ok());
    let why = match &signature {
        None if signed_from.is_none_or(|from| after.records < from) => return Ok(None),
        None => DoubtWhy::Unsigned,
        Some(signature) => match signer(index, signature, value, after.records)? {
            None => return Ok(None),
            Some(why) => why,
        },
    };
    let record: Option<Record> = serde_json::from_value(value.clone()).ok();
    let at = record.as_ref().map_or(Timestamp::from_micros(0), |record| record.at);
    // An unreadable record could contain any command.
    let commands = record.as_ref().is_none_or(|record| record.entries.iter().any(is_command));
    let does = record.map(|record| words_of(&record)).unwrap_or_default();
    let (digest, key) = (after.last.unwrap_or(Digest::from_bytes([0; 32])), signature.map(|it| it.key));
    Ok(Some(Doubt { record: after.records, digest, at, does, why, key, commands }))
}

/// What is wrong with a record's signature.
fn signer(index: &Index, by: &RecordSignature, value: &Value, number: u64) -> Result<Option<DoubtWhy>> {
    Ok(match key_row(index, &by.key)? {
        None => Some(DoubtWhy::UnknownKey),
        Some(row) if !has_signed(&row.public_key, value, by) => Some(DoubtWhy::Bad),
        Some(row) if row.replaced_in.is_some_and(|replaced| replaced < number) => Some(DoubtWhy::Replaced),
        Some(row) => (!row.vouched).then_some(DoubtWhy::Unvouched),
    })
}

fn has_signed(key: &PublicKey, value: &Value, by: &RecordSignature) -> bool {
    key.has_signed(&signed_bytes(value), &by.signature)
}

/// Whether an entry determines what is executed, and how.
fn is_command(entry: &Entry) -> bool {
    matches!(
        entry,
        Entry::PipelineApply { .. } | Entry::PipelineTry { .. } | Entry::Setting { .. } | Entry::Init { .. }
    )
}

/// Describes what a record does; only the first few of many entries.
fn words_of(record: &Record) -> String {
    let mut words: Vec<String> = record.entries.iter().map(entry_words).collect();
    let more = words.len().saturating_sub(3);
    words.truncate(3);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", words.join(", "))
}

fn moves(moved: &Move) -> String {
    format!("moves {}@{}", moved.repo, moved.branch)
}

fn entry_words(entry: &Entry) -> String {
    match entry {
        Entry::Init { .. } => "creates the store".to_owned(),
        Entry::RepoCreate { repo, .. } => format!("creates repository {repo}"),
        Entry::RepoDelete { repo } => format!("deletes repository {repo}"),
        Entry::BranchDelete { repo, branch } => format!("deletes branch {repo}@{branch}"),
        Entry::TagCreate { repo, tag, .. } => format!("creates tag {repo}@{tag}"),
        Entry::TagDelete { repo, tag } => format!("deletes tag {repo}@{tag}"),
        Entry::Setting { key, .. } => format!("changes setting {key}"),
        Entry::PipelineApply { pipeline, version, .. } => format!("applies pipeline {pipeline} version {version}"),
        Entry::PipelineTry { pipeline, version, .. } => format!("tries pipeline {pipeline} version {version}"),
        Entry::PipelineDelete { pipeline } => format!("deletes pipeline {pipeline}"),
        Entry::PipelineStop { pipeline } => format!("stops pipeline {pipeline}"),
        Entry::PipelineStart { pipeline } => format!("starts pipeline {pipeline}"),
        Entry::Gc { removed } => format!("removes {} packs", removed.len()),
        Entry::Run { run, moves: moved, .. } => {
            moved.first().map_or_else(|| format!("creates run {}", run.short(8)), moves)
        }
        Entry::Job { moved: Some(moved), .. } => moves(moved),
        Entry::Job { pipeline, run, .. } => format!("ends job {pipeline}@{}", run.short(8)),
        Entry::CommitPrune { commits, .. } => format!("prunes {} commits", commits.len()),
        Entry::Key { public_key, .. } => format!("adds key {}", public_key.fingerprint().short(12)),
        Entry::KeyTrust { key } => format!("trusts key {}", key.short(12)),
        Entry::CommitDelete { commit, .. } => format!("deletes commit {}", commit.short(12)),
    }
}
