//! Detects whether the journal has lost its end, as far as commits can tell.
//!
//! Each commit's document states the length of the journal when it was made, and its signature covers that. So a journal that is shorter
//! than a signed commit states, or has other records there, was truncated, replaced, or is an incomplete copy. A commit signed at the
//! current end of the journal and named by no record was either never published, because its writer stopped, or is all that is left of a
//! removed last record (`noted` tells these apart).

use std::ops::ControlFlow;

use rocksdb::Direction;
use specs::{CommitId, Digest};

use super::signing::Vouched;
use super::{Result, Store};
use crate::index::keys;
use crate::index::rows::decode;

/// Maximum number of witnesses searched for a signed one: anybody can write unsigned ones.
const LOOKED_AT: usize = 10_000;

/// The journal lacks records that a signed commit knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutBack {
    /// The newest signed commit that states this.
    pub commit: CommitId,
    /// Number of records when it was made.
    pub had: u64,
    /// Number of records now.
    pub has: u64,
    /// Number of commits in the packs that are newer than the journal.
    pub newer: u64,
}

impl std::fmt::Display for CutBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { commit, had, has, newer } = self;
        let commit = commit.short(12);
        if had > has {
            let commits = if *newer == 1 { "commit is" } else { "commits are" };
            write!(
                f,
                "it has {has} records, and had at least {had} when commit {commit} was signed: it was cut back, or is an unfinished copy \
                 ({newer} signed {commits} newer)"
            )
        } else {
            write!(
                f,
                "record {had} differs from the record at the time when commit {commit} was signed: the journal was replaced, or it forked"
            )
        }
    }
}

/// What a commit states about the journal.
struct Witness {
    records: u64,
    last: Digest,
    commit: CommitId,
}

impl Store {
    /// Whether the journal lacks records that the newest signed commit knew.
    pub fn cut_back(&self) -> Result<Option<CutBack>> {
        if self.is_limited() {
            // Of a commit that is not visible, zeros take the place of the id.
            let Some(cut) = self.whole().cut_back()? else { return Ok(None) };
            let commit =
                if self.sees_commit(&cut.commit)? { cut.commit } else { CommitId::new(Digest::from_bytes([0; 32])) };
            return Ok(Some(CutBack { commit, ..cut }));
        }
        let position = self.position();
        let Some(Witness { records: had, last, commit }) = self.newest_signed_witness()? else { return Ok(None) };
        let has = position.records;
        if had <= has {
            let there = if had == has { position.last } else { self.journal().digest_at(had, &position)? };
            return Ok((there != Some(last)).then_some(CutBack { commit, had, has, newer: 0 }));
        }
        let mut newer = 0;
        for other in self.witnesses(has, usize::MAX)? {
            newer += u64::from(self.commit_row(&other.commit)?.is_none() && self.is_signed(&other.commit)?);
        }
        Ok(Some(CutBack { commit, had, has, newer }))
    }

    /// Whether any commit was made, by a version that signs records, when the journal had fewer records than this.
    pub fn has_witness_below(&self, records: u64) -> Result<bool> {
        let (prefix, mut first) = (keys::witnesses(), None);
        self.index().visit(&prefix, &prefix, Direction::Forward, |key, _| {
            first = keys::in_witness(key).map(|(had, _)| had);
            ControlFlow::Break(())
        })?;
        Ok(first.is_some_and(|had| had < records))
    }

    fn newest_signed_witness(&self) -> Result<Option<Witness>> {
        // Usually the first one is signed.
        for most in [8, LOOKED_AT] {
            let found = self.witnesses(0, most)?;
            let is_all = found.len() < most;
            for witness in found {
                if self.is_signed(&witness.commit)? {
                    return Ok(Some(witness));
                }
            }
            if is_all {
                break;
            }
        }
        Ok(None)
    }

    /// Signed commits made at the current end of the journal that no record names, except those being published: their writer stopped
    /// before the record, or the record was removed.
    pub fn unnamed_at_end(&self) -> Result<Vec<CommitId>> {
        if self.is_limited() {
            let mut found = self.whole().unnamed_at_end()?;
            found.retain(|commit| self.sees_commit(commit).unwrap_or(false));
            return Ok(found);
        }
        let position = self.position();
        let mut found = Vec::new();
        for Witness { commit, .. } in self.witnesses(position.records, usize::MAX)? {
            if self.commit_row(&commit)?.is_none() && self.is_signed(&commit)? && !self.is_being_published(&commit)? {
                found.push(commit);
            }
        }
        Ok(found)
    }

    fn is_signed(&self, commit: &CommitId) -> Result<bool> {
        match self.signatures(commit) {
            Ok(signed) => Ok(signed.iter().any(|signed| signed.vouched == Vouched::Good)),
            Err(error) if error.kind() == specs::ErrorKind::Damaged => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the writer of a commit's pack still holds it.
    fn is_being_published(&self, commit: &CommitId) -> Result<bool> {
        use super::objects::ObjectLocation;
        match self.place(crate::base::kind::Kind::Commit as u8, &commit.digest())? {
            ObjectLocation::At(pack, _) => match self.packs().is_held(&pack) {
                // Folded or collected since it was looked up: its writer has released it.
                Err(error) if super::objects::is_gone(&error) => Ok(true),
                is_held => is_held,
            },
            ObjectLocation::Gone | ObjectLocation::Nowhere => Ok(true),
        }
    }

    /// What commits state about the journal, from the highest number of records down to `least`; at most `most` of them.
    fn witnesses(&self, least: u64, most: usize) -> Result<Vec<Witness>> {
        let prefix = keys::witnesses();
        let mut found = Vec::new();
        self.index().visit(&prefix, &keys::after(&prefix), Direction::Reverse, |key, value| {
            let Some((records, commit)) = keys::in_witness(key) else { return ControlFlow::Continue(()) };
            found.extend(decode(value).filter(|_| records >= least).map(|last| Witness { records, last, commit }));
            if records < least || found.len() >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }
}
