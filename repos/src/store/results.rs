//! Which results of executions count: those that this place executed itself, and those that a signed commit names.
//!
//! A result is taken in place of an execution, and what it wrote is signed with the output commit. So that nobody can slip one in who can
//! write to the packs, each carries a code (`mac`) that only the holder of this place's private key can make and check: at once, in
//! one or two microseconds, so that a process that dies loses no finished datum. Results of other machines, of a key that was replaced and of
//! earlier versions have no such code, or another; they count when the commit of their job is signed and names them. All others are as if
//! they were not there: the datum is executed again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use specs::{CommitId, Digest};

use super::signing::Vouched;
use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::documents::{Commit, ResultDocument, canonical, datums};
use crate::tree::{KeyRange, Map, Tree, path_of};

/// What stands before a code in a result.
const BEFORE_CODE: &[u8] = b"\"mac\":\"";
/// Hex digits of a code.
const CODE_DIGITS: usize = 64;
/// Commits whose named results are kept in memory.
const KEPT: usize = 4;

/// What is known of the commits that name results.
#[derive(Debug)]
pub(super) struct Naming {
    /// Whether a commit is one whose word counts.
    counts: quick_cache::sync::Cache<CommitId, bool>,
    /// The results in datums maps that were read through, newest last.
    named: Mutex<Vec<(CommitId, Arc<HashSet<Digest>>)>>,
}

impl Default for Naming {
    fn default() -> Self {
        Self { counts: quick_cache::sync::Cache::new(1000), named: Mutex::default() }
    }
}

/// The bytes before and after the digits of the code.
fn around_code(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let at = bytes.windows(BEFORE_CODE.len()).position(|part| part == BEFORE_CODE)? + BEFORE_CODE.len();
    let (before, rest) = bytes.split_at(at);
    let (digits, after) = rest.split_at_checked(CODE_DIGITS)?;
    Some((before, digits, after))
}

/// What the code of a result is taken of.
fn pieces<'a>(before: &'a [u8], after: &'a [u8]) -> [&'a [u8]; 4] {
    [b"pv result\n", before, &[b'0'; CODE_DIGITS], after]
}

impl Store {
    /// Keeps a result with the code of this place, and makes it the newest of its recipe at once. It and all that was written before
    /// survive the death of this process.
    pub fn put_result(&self, result: &ResultDocument) -> Result<Digest> {
        let Some(key) = self.own_key_if_there() else { return self.write_result(result, &canonical(result)) };
        let zeros = Digest::from_bytes([0; 32]);
        let mut bytes = canonical(&ResultDocument { mac: Some(zeros), ..result.clone() });
        if let Some((before, _, after)) = around_code(&bytes) {
            let (code, at) = (key.code(&pieces(before, after)), before.len());
            bytes[at..at + CODE_DIGITS].copy_from_slice(code.to_string().as_bytes());
        }
        self.write_result(result, &bytes)
    }

    /// A result, if it counts: this place executed it, or a signed commit names it.
    pub fn vouched_result(&self, digest: &Digest) -> Result<Option<ResultDocument>> {
        let bytes = self.object(Kind::Result, digest)?;
        let result: ResultDocument = serde_json::from_slice(&bytes).map_err(|error| RepoError::DamagedObject {
            kind: Kind::Result,
            digest: *digest,
            why: error.to_string(),
        })?;
        Ok((self.has_own_code(&bytes, &result) || self.is_named(digest, &result)?).then_some(result))
    }

    fn has_own_code(&self, bytes: &Bytes, result: &ResultDocument) -> bool {
        let (Some(key), Some(code)) = (self.own_key_if_there(), result.mac) else { return false };
        around_code(bytes).is_some_and(|(before, digits, after)| {
            digits == code.to_string().as_bytes() && key.is_code(&pieces(before, after), &code)
        })
    }

    /// Whether the commit of the result's job names it, and counts.
    fn is_named(&self, digest: &Digest, result: &ResultDocument) -> Result<bool> {
        let Some(order) = self.run_order(&result.run)? else { return Ok(false) };
        let Some(id) = self.job(order, &result.pipeline)?.and_then(|job| job.commit) else { return Ok(false) };
        if !self.commit_counts(&id)? {
            return Ok(false);
        }
        let commit = self.commit(&id)?;
        match self.wrote_for(&commit, digest, result)? {
            Some(is_named) => Ok(is_named),
            None => Ok(self.named_results(id, &commit)?.contains(digest)),
        }
    }

    /// Whether a commit is signed by a key that counts, or from before there was one.
    fn commit_counts(&self, id: &CommitId) -> Result<bool> {
        if let Some(counts) = self.inner.naming.counts.get(id) {
            return Ok(counts);
        }
        let signed = self.signatures(id)?;
        let is_older = || -> Result<bool> {
            let order = self.commit_row(id)?.map_or(u64::MAX, |row| row.order);
            Ok(signed.is_empty() && self.signed_after()?.is_none_or(|first| order <= first))
        };
        let counts = signed.iter().any(|signed| signed.vouched == Vouched::Good) || is_older()?;
        if counts {
            self.inner.naming.counts.insert(*id, counts);
        }
        Ok(counts)
    }

    /// Whether a commit records that a result wrote its first file; `None` if it records another result, or there is no file.
    fn wrote_for(&self, commit: &Commit, digest: &Digest, result: &ResultDocument) -> Result<Option<bool>> {
        let (Some(outputs), Some(lineage)) = (result.outputs, commit.lineage) else { return Ok(None) };
        let Some(first) = Tree::at(outputs).range(self, KeyRange::all())?.next() else { return Ok(None) };
        let path = path_of(&first?.0)?;
        let writer = Map::<Digest>::at(lineage).get(self, path.as_str().as_bytes())?;
        Ok((writer == Some(*digest)).then_some(true))
    }

    /// All results that a commit's datums map names.
    fn named_results(&self, id: CommitId, commit: &Commit) -> Result<Arc<HashSet<Digest>>> {
        let mut kept = self.inner.naming.named.lock().expect("no panic under this lock");
        if let Some((_, named)) = kept.iter().find(|(known, _)| *known == id) {
            return Ok(named.clone());
        }
        let mut named = HashSet::new();
        for entry in
            commit.datums.map_or(Map::<Vec<u8>>::empty(), Map::at).range(self, KeyRange::prefix([datums::DATUM]))?
        {
            named.extend(datums::result_in(&entry?.1));
        }
        let named = Arc::new(named);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((id, named.clone()));
        Ok(named)
    }
}
