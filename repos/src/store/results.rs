//! Which results of executions count: those executed at this place, and those named by a signed commit.
//!
//! A result replaces an execution, and its outputs are signed with the output commit. To prevent anyone with write access to the packs from
//! injecting a result, each has a code (`mac`) that only the holder of this place's private key can make and check. Making it takes one or
//! two microseconds and happens at once, so a process that dies loses no finished datum. Results of other machines, of a replaced key and
//! of earlier versions have no such code, or another; they count if the commit of their job is signed and names them. All other results are
//! ignored: the datum is executed again.

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

/// The bytes before the code in a result.
const BEFORE_CODE: &[u8] = b"\"mac\":\"";
/// Number of hex digits of a code.
const CODE_DIGITS: usize = 64;
/// Number of commits whose named results are cached.
const KEPT: usize = 4;

/// Cached knowledge of the commits that name results.
#[derive(Debug)]
pub(super) struct Naming {
    /// Whether a commit counts.
    counts: quick_cache::sync::Cache<CommitId, bool>,
    /// The results in the datums maps read so far, newest last.
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

/// The input of a result's code.
fn pieces<'a>(before: &'a [u8], after: &'a [u8]) -> [&'a [u8]; 4] {
    [b"pv result\n", before, &[b'0'; CODE_DIGITS], after]
}

impl Store {
    /// Stores a result with the code of this place, and makes it the newest of its recipe immediately. It and everything written earlier
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

    /// A result, if it counts: it was executed at this place, or a signed commit names it.
    pub fn vouched_result(&self, digest: &Digest) -> Result<Option<ResultDocument>> {
        let bytes = self.object(Kind::Result, digest)?;
        let result: ResultDocument = serde_json::from_slice(&bytes).map_err(|error| RepoError::DamagedObject {
            kind: Kind::Result,
            digest: *digest,
            why: error.to_string(),
        })?;
        // What vouches for it may be hidden.
        let counts = self.has_own_code(&bytes, &result) || self.whole().is_named(digest, &result)?;
        counts.then(|| self.seen_document(result)).transpose()
    }

    fn has_own_code(&self, bytes: &Bytes, result: &ResultDocument) -> bool {
        let (Some(key), Some(code)) = (self.own_key_if_there(), result.mac) else { return false };
        around_code(bytes).is_some_and(|(before, digits, after)| {
            digits == code.to_string().as_bytes() && key.is_code(&pieces(before, after), &code)
        })
    }

    /// Whether the commit of the result's job counts and names it.
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

    /// Whether a commit is signed by a key that counts, or predates the first key.
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

    /// Whether a commit's lineage says that this result wrote its first file; `None` if it says another result did, or there is no file.
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
