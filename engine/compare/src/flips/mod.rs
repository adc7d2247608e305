//! Which decisions changed: compares one field of the records of JSON and CSV.
//!
//! A JSON file is one record if it has the field, otherwise the list or mapping of records that it is or contains; `records` finds them.
//! Each row of a table is a record (`rows`). Records are paired within one file, as `diff` pairs them; the field itself is never a key.

mod records;
mod rows;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::{Side, Watched};
use crate::error::{CompareError, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::options::{KeyUse, Options};
use crate::table::CellChange;
use crate::value;

/// Number of bytes used to detect the kind of a file.
const LOOKED_AT: u64 = 8000;

/// A query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The field; with dots for a nested one.
    pub field: String,
    /// Fields or columns that identify the records of a file; empty to detect them.
    pub key: Vec<String>,
    /// Maximum number of changed records listed for each file.
    pub listed: usize,
}

/// How the field changed in the records of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFlips {
    /// Number of records with the same value on both sides, by value.
    pub unchanged: BTreeMap<String, u64>,
    /// Number of records only on the old side, by value.
    pub old_only: BTreeMap<String, u64>,
    /// Number of records only on the new side, by value.
    pub new_only: BTreeMap<String, u64>,
    /// Number of records whose value changed, by old and new value.
    pub moves: BTreeMap<(String, String), u64>,
    /// The first of these.
    pub flipped: Vec<Flip>,
    /// How the requested key was used; absent if no records had to be paired.
    pub key_use: Option<KeyUse>,
}

impl FileFlips {
    /// Whether there are no records at all.
    pub fn is_empty(&self) -> bool {
        self.unchanged.is_empty() && self.old_only.is_empty() && self.new_only.is_empty() && self.moves.is_empty()
    }
}

/// A record whose value changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Flip {
    /// What identifies it among the records of its file; empty if it is the whole file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The old value.
    pub old: String,
    /// The new value.
    pub new: String,
    /// Other fields that differ.
    pub fields: Vec<CellChange>,
    /// Number of further differing fields.
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
    /// The reason, as text.
    pub why: String,
    /// The existing fields or columns; only some if there are very many.
    pub fields: Vec<String>,
}

impl From<Unfit> for NoRecords {
    fn from(unfit: Unfit) -> Self {
        Self { why: unfit.0, fields: Vec::new() }
    }
}

/// Compares a field of the records in two versions of a file, or counts its values in one version. The inner error says why a file has no
/// records.
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
        (Some(kind), [old, new]) if kind.has_values() => {
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
