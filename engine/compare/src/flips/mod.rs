//! Which decisions changed: one field of the records of JSON and CSV.
//!
//! A JSON file is one record if it has the field, else the list or mapping of records that it is or holds; `records` finds them. A row of a
//! table is a record (`rows`). Records are found again by their file, and in it as `diff` does it; the field itself is not a key.

mod records;
mod rows;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::content::{Side, Watched};
use crate::error::{CompareError, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::options::{KeyUse, Options};
use crate::table::CellChange;
use crate::value;

/// Bytes by which the kind of a file is told.
const LOOKED_AT: u64 = 8000;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The field; with dots for one inside others.
    pub field: String,
    /// Fields or columns by which records of a file are found again; empty to find them.
    pub key: Vec<String>,
    /// Records with another value that are told one by one, of each file.
    pub listed: usize,
}

/// What became of the field in the records of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFlips {
    /// Records with the same value on both sides, by value.
    pub unchanged: BTreeMap<String, u64>,
    /// Records of the old side alone, by value.
    pub old_only: BTreeMap<String, u64>,
    /// Records of the new side alone, by value.
    pub new_only: BTreeMap<String, u64>,
    /// Records with another value, by old and new value.
    pub moves: BTreeMap<(String, String), u64>,
    /// The first of these.
    pub flipped: Vec<Flip>,
    /// What became of the key that was asked for; nothing where no records had to be found again.
    pub key_use: Option<KeyUse>,
}

impl FileFlips {
    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.unchanged.is_empty() && self.old_only.is_empty() && self.new_only.is_empty() && self.moves.is_empty()
    }
}

/// A record with another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// What tells it from the other records of its file; empty when it is the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The value before.
    pub old: String,
    /// The value now.
    pub new: String,
    /// Other fields that differ.
    pub fields: Vec<CellChange>,
    /// How many more of them there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub fields_left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Why a file has no records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoRecords {
    /// In words.
    pub why: String,
    /// Fields or columns that there are; some of very many.
    pub fields: Vec<String>,
}

impl From<Unfit> for NoRecords {
    fn from(unfit: Unfit) -> Self {
        Self { why: unfit.0, fields: Vec::new() }
    }
}

/// Compares a field of the records of two versions of a file, or counts those of one. The inner error says why a file has no records.
pub fn flips<'c>(
    old: Option<Side<'c>>,
    new: Option<Side<'c>>,
    query: &Query,
    limits: &Limits,
) -> Result<Result<FileFlips, NoRecords>, CompareError> {
    let (mut old, mut new) = (old.map(Watched::new), new.map(Watched::new));
    let found = find(old.as_mut(), new.as_mut(), query, limits);
    for side in [&mut old, &mut new].into_iter().flatten() {
        side.check()?;
    }
    Ok(found)
}

fn find<'c>(
    old: Option<&mut Watched<'c>>,
    new: Option<&mut Watched<'c>>,
    query: &Query,
    limits: &Limits,
) -> Result<FileFlips, NoRecords> {
    let mut sides = [old, new];
    let mut kinds = Vec::new();
    for side in sides.iter_mut().flatten() {
        let start = side.start(LOOKED_AT)?;
        kinds.push(Kind::of(side.name(), &start));
    }
    let kind = kinds.first().copied().filter(|kind| kinds.iter().all(|other| other == kind));
    let found = match (kind, sides) {
        (Some(kind @ (Kind::Json | Kind::JsonLines | Kind::Yaml)), [old, new]) => {
            let read = |side: Option<&mut Watched<'c>>| side.map(|side| value::read(kind, side, limits)).transpose();
            let (old, new) = (read(old)?, read(new)?);
            records::flips(old.as_ref(), new.as_ref(), query, limits)?
        }
        (Some(kind @ (Kind::Csv | Kind::Tsv)), [Some(old), Some(new)]) => {
            let limits = Limits { listed: query.listed, ..limits.clone() };
            let options = Options { limits, key: query.key.clone(), picture: false };
            let (found, key_use) = rows::flips(kind, old, new, &query.field, &options)?;
            return Ok(FileFlips { key_use: Some(key_use), ..found });
        }
        (Some(kind @ (Kind::Csv | Kind::Tsv)), [Some(old), None]) => {
            return Ok(FileFlips { old_only: rows::values(kind, old, &query.field, limits)?, ..FileFlips::default() });
        }
        (Some(kind @ (Kind::Csv | Kind::Tsv)), [None, Some(new)]) => {
            return Ok(FileFlips { new_only: rows::values(kind, new, &query.field, limits)?, ..FileFlips::default() });
        }
        _ => return Err(Unfit("neither JSON, YAML nor a table".to_owned()).into()),
    };
    Ok(found)
}
