//! Whether a store contains an earlier state that was signed.
//!
//! The roots are computed from the journal's own bytes, without the index. Any record that was changed, removed, inserted or truncated
//! among those covered by the checkpoint gives a different root.

use std::collections::BTreeMap;

use repos::log::checkpoint::Checkpoint;
use repos::{RepoError, Store};
use specs::{Digest, ErrorKind};

use super::evidence::{Evidence, Key, StoreEvidence, TrustedKey};
use super::links::{LinkKind, Report, State};
use engine::Result;

/// What was added to a journal since a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// Number of records in the journal now.
    pub records: u64,
    /// Entries in the records after the checkpoint, counted by kind.
    pub entries: BTreeMap<String, u64>,
}

/// Checks a checkpoint against the current journal: which store it is from, who signed it, and whether the journal still begins as it did
/// then. Returns what was added since, if so.
///
/// If `keys` are given, only their signatures count, and those of their replacements.
pub fn verify_checkpoint(
    store: &Store,
    checkpoint: &Checkpoint,
    keys: &[TrustedKey],
    report: &mut Report,
) -> Result<Option<Since>> {
    let size = checkpoint.head.size;
    let subject = format!("of {size} records");
    let mut fail = |why: String| report.add(LinkKind::Checkpoint, &subject, State::Fails(why));
    let id = store.id()?;
    if checkpoint.origin != id {
        fail(format!("it belongs to another store, `{}`; this store is `{id}`", checkpoint.origin));
        return Ok(None);
    }
    match signer(store, checkpoint, keys)? {
        Err(why) => fail(why),
        Ok(key) => {
            report.add(LinkKind::Signature, format!("checkpoint {subject} by key {}", key.short(12)), State::Holds);
        }
    }
    let (roots, now) = match store.read_roots(&[size]) {
        Err(error) if error.kind() == ErrorKind::Damaged => {
            report.add(LinkKind::Checkpoint, subject, State::Damaged(error.to_string()));
            return Ok(None);
        }
        read => read?,
    };
    let state = match roots[0] {
        Some(root) if root == checkpoint.head.root => State::Holds,
        Some(_) => State::Fails(format!("the journal is a different one: it differs at record {size} or earlier")),
        None => State::Fails(format!("the journal was truncated: it has {} records", now.size)),
    };
    let holds = state == State::Holds;
    report.add(LinkKind::Checkpoint, subject, state);
    Ok(if holds { Some(Since { records: now.size, entries: entries_after(store, size)? }) } else { None })
}

/// The key whose signature counts; otherwise why none does.
fn signer(store: &Store, checkpoint: &Checkpoint, keys: &[TrustedKey]) -> Result<Result<Digest, String>> {
    let evidence = StoreEvidence::new(store, keys)?;
    let mut why = match checkpoint.own_signatures().count() {
        0 => "no key of the store has signed it".to_owned(),
        _ => "it is signed by a key that is unknown to the store".to_owned(),
    };
    for (fingerprint, row) in store.signing_keys()? {
        match checkpoint.is_signed_by(&row.public_key) {
            None => continue,
            Some(false) => return Ok(Err(format!("its signature by key {} is invalid", fingerprint.short(12)))),
            Some(true) => {}
        }
        if !store.key_span(&fingerprint)?.is_some_and(|span| span.holds_at(checkpoint.head.size)) {
            why = format!("key {}, which signed it, was not in use at that record", fingerprint.short(12));
            continue;
        }
        match evidence.key(&fingerprint)? {
            Key::Refused(refused) => why = refused,
            Key::Known(_) | Key::Unchecked(_) => return Ok(Ok(fingerprint)),
        }
    }
    Ok(Err(why))
}

fn entries_after(store: &Store, size: u64) -> Result<BTreeMap<String, u64>, RepoError> {
    let mut counts = BTreeMap::new();
    store.visit_entries_after(size, |entry| {
        let kind = serde_json::to_value(entry).ok().and_then(|value| Some(value["kind"].as_str()?.to_owned()));
        *counts.entry(kind.unwrap_or_default()).or_default() += 1;
    })?;
    Ok(counts)
}
