//! Compares any two files as bytes: where they first differ, and how much they share.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom};

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::{Piece, Watched, read_full};
use crate::error::Fit;

/// How two files differ as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BytesDiff {
    /// Why they are not compared by their content; empty if they have no better kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Length of the old side.
    pub old_bytes: u64,
    /// Length of the new side.
    pub new_bytes: u64,
    /// Offset of the first byte that differs; absent if the sides are equal.
    pub first_difference: Option<u64>,
    /// Number of equal bytes at the start.
    pub common_prefix: u64,
    /// Number of equal bytes at the end, not counting those at the start.
    pub common_suffix: u64,
    /// Bytes of the new side that the old side also has: start and end, or equal pieces if these are more.
    pub shared_bytes: u64,
}

const BLOCK: usize = 1 << 18;

pub(crate) fn compare(old: &mut Watched<'_>, new: &mut Watched<'_>) -> Fit<BytesDiff> {
    let (old_bytes, new_bytes) = (old.size_bytes(), new.size_bytes());
    let shorter = old_bytes.min(new_bytes);
    let known = equal_start(old.pieces().iter(), new.pieces().iter());
    let common_prefix = prefix(old, new, known.min(shorter))?;
    let known = equal_start(old.pieces().iter().rev(), new.pieces().iter().rev());
    let common_suffix = suffix(old, new, known.min(shorter - common_prefix), shorter - common_prefix)?;
    let equal = common_prefix == old_bytes && common_prefix == new_bytes;
    Ok(BytesDiff {
        why: String::new(),
        old_bytes,
        new_bytes,
        first_difference: (!equal).then_some(common_prefix),
        common_prefix,
        common_suffix,
        shared_bytes: (common_prefix + common_suffix).max(shared(old.pieces(), new.pieces())),
    })
}

/// Total size of the equal pieces at the start of both lists.
fn equal_start<'p>(old: impl Iterator<Item = &'p Piece>, new: impl Iterator<Item = &'p Piece>) -> u64 {
    old.zip(new).take_while(|(old, new)| old == new).map(|(old, _)| old.size_bytes).sum()
}

/// Total size of new pieces that are also among the old ones, each counted as often as it occurs there.
fn shared(old: &[Piece], new: &[Piece]) -> u64 {
    let mut left: HashMap<&Piece, usize> = HashMap::new();
    for piece in old {
        *left.entry(piece).or_default() += 1;
    }
    let mut bytes = 0;
    for piece in new {
        if let Some(count) = left.get_mut(piece).filter(|count| **count > 0) {
            *count -= 1;
            bytes += piece.size_bytes;
        }
    }
    bytes
}

fn prefix(old: &mut Watched<'_>, new: &mut Watched<'_>, known: u64) -> Fit<u64> {
    old.seek(SeekFrom::Start(known))?;
    new.seek(SeekFrom::Start(known))?;
    let (mut one, mut other) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut at = known;
    loop {
        let length = read_full(old, &mut one)?.min(read_full(new, &mut other)?);
        let equal = one[..length].iter().zip(&other[..length]).take_while(|(one, other)| one == other).count();
        at += equal as u64;
        if equal < length || length < BLOCK {
            return Ok(at);
        }
    }
}

/// Number of equal bytes at the end, at most `most`; `known` of them are already known to be equal.
pub(crate) fn suffix(old: &mut Watched<'_>, new: &mut Watched<'_>, known: u64, most: u64) -> Fit<u64> {
    let (mut one, mut other) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut found = known;
    while found < most {
        let length = (most - found).min(BLOCK as u64);
        old.seek(SeekFrom::Start(old.size_bytes() - found - length))?;
        new.seek(SeekFrom::Start(new.size_bytes() - found - length))?;
        let read = read_full(old, &mut one[..length as usize])?.min(read_full(new, &mut other[..length as usize])?);
        if (read as u64) < length {
            break;
        }
        let pairs = one[..read].iter().rev().zip(other[..read].iter().rev());
        let equal = pairs.take_while(|(one, other)| one == other).count();
        found += equal as u64;
        if equal < read {
            break;
        }
    }
    Ok(found)
}
