//! Which decisions changed: compares one field of all records in two trees.
//!
//! For the counts by value, up to 200,000 unchanged files are read; beyond that, only files are counted.

use std::collections::BTreeMap;

use compare::{CompareError, FileFlips, Flip, KeyUse, Limits, Query, is_same_value};
use repos::tree::{Tree, directory_range, path_of};
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::FilePath;

use super::content::{side, store_error};
use super::entries::Entries;
use super::{Entry, Named};

/// Maximum number of unchanged files read to count their records by value. Beyond that only the files are counted.
const READ: u64 = 200_000;
/// Maximum number of changed records listed, for each file and in total.
const LISTED: usize = 100_000;
/// Maximum number of field names collected if the requested field does not exist.
const NAMES: usize = 500;

/// How a field changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Flips {
    /// The field.
    pub field: String,
    /// The value of interest.
    pub value: String,
    /// Number of records that had the value and now have another.
    pub lost: u64,
    /// Number of records that have the value and had another.
    pub gained: u64,
    /// Number of records that changed between other values.
    pub other: u64,
    /// Number of records with the same value on both sides.
    pub unchanged: u64,
    /// The unchanged records by value; records in files that were only counted are missing here.
    pub unchanged_by_value: BTreeMap<String, u64>,
    /// Records only on the older side, by value.
    pub old_only: BTreeMap<String, u64>,
    /// Records only on the newer side, by value.
    pub new_only: BTreeMap<String, u64>,
    /// How many records moved from which value to which.
    pub moves: Vec<Move>,
    /// Number of differing files without such records, or that could not be read as records.
    pub files_without: u64,
    /// The reason for the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_because: Option<String>,
    /// The records whose value changed: lost ones first, then gained ones.
    pub records: Vec<Record>,
    /// Number of changed records that are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub records_left_out: u64,
    /// What the files read as records have.
    #[serde(skip)]
    pub seen: Seen,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What the files read have, so that a misspelt field or key is noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether a record has the field.
    pub has_field: bool,
    /// Number of files read that do not have it.
    pub files_without: u64,
    /// The fields of their records.
    pub fields: Vec<String>,
    /// How the key was used in the first file that lacks it; absent if some file has it.
    pub key: Option<KeyUse>,
    has_key: bool,
}

impl Seen {
    fn add(&mut self, found: &FileFlips) {
        self.has_field = true;
        if let Some(key) = &found.key_use {
            self.has_key |= key.lacking.is_empty();
            self.key = if self.has_key { None } else { self.key.take().or_else(|| Some(key.clone())) };
        }
    }
}

/// How many records moved from one value to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct Move {
    pub old: String,
    pub new: String,
    pub records: u64,
    pub verdict: Verdict,
}

/// The meaning of a change of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields of `Flips` say what they mean")]
pub enum Verdict {
    Lost,
    Gained,
    Other,
}

/// A record whose value changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct Record {
    pub path: FilePath,
    pub verdict: Verdict,
    #[serde(flatten)]
    pub flip: Flip,
}

/// A query.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The field; with dots for a nested one.
    pub field: String,
    /// The value of interest.
    pub value: String,
    /// Key fields of the records in one file.
    pub key: Vec<String>,
}

impl Decision {
    /// Whether this is the value of interest: `True` equals `true`, `1.0` equals `1`, and a quoted text equals what is between its quotes.
    fn is(&self, value: &str) -> bool {
        let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
        is_same_value(value, &self.value) || text == self.value
    }

    fn verdict(&self, old: &str, new: &str) -> Verdict {
        match (self.is(old), self.is(new)) {
            (true, false) => Verdict::Lost,
            (false, true) => Verdict::Gained,
            _ => Verdict::Other,
        }
    }
}

/// Compares a field of the records in `entries`, and in all other files at and below the given path of the older tree.
///
/// Files that differ are read on both sides. Unchanged files are read once to count their records by value, unless there are more than
/// 200,000: then each counts as one record, and their number comes from the trees.
pub fn flips(
    store: &Store,
    older: Option<(Tree, &FilePath)>,
    entries: Entries<'_>,
    decision: &Decision,
) -> Result<Flips, RepoError> {
    let query = Query { field: decision.field.clone(), key: decision.key.clone(), listed: LISTED };
    let mut reading =
        Reading { store, query, limits: Limits::default(), moves: BTreeMap::new(), found: Flips::default() };
    let mut differing = Vec::new();
    for entry in entries {
        let entry = entry?;
        reading.entry(&entry, decision)?;
        differing.extend(entry.old.map(|old| old.path));
    }
    if let Some((older, path)) = older {
        let below = older.range_totals(store, &directory_range(path))?.entries;
        let same = (below + u64::from(older.file(store, path)?.is_some())).saturating_sub(differing.len() as u64);
        if same > READ {
            reading.found.unchanged += same;
        } else if same > 0 {
            differing.sort();
            reading.unchanged(older, path, &differing)?;
        }
    }
    Ok(reading.finish(decision))
}

struct Reading<'s> {
    store: &'s Store,
    query: Query,
    limits: Limits,
    moves: BTreeMap<(String, String), u64>,
    found: Flips,
}

impl Reading<'_> {
    fn entry(&mut self, entry: &Entry, decision: &Decision) -> Result<(), RepoError> {
        match (&entry.old, &entry.new) {
            // The same content under another path, or with another executable bit: the records are the same.
            (Some(old), Some(new)) if old.file.digest == new.file.digest => self.same_file(new),
            (old, new) => {
                let files = [old.as_ref(), new.as_ref()];
                if let Some(file) = self.read(files)? {
                    self.add(entry, file, decision);
                }
                Ok(())
            }
        }
    }

    fn same_file(&mut self, file: &Named) -> Result<(), RepoError> {
        let Some(read) = self.read([Some(file), None])? else { return Ok(()) };
        for (value, count) in read.old_only {
            self.found.unchanged += count;
            *self.found.unchanged_by_value.entry(value).or_default() += count;
        }
        Ok(())
    }

    /// Unchanged files of a tree: all except the sorted `differing` ones.
    fn unchanged(&mut self, tree: Tree, path: &FilePath, differing: &[FilePath]) -> Result<(), RepoError> {
        let mut files = Vec::new();
        if let Some(file) = tree.file(self.store, path)? {
            files.push(Named { path: path.clone(), file });
        }
        for entry in tree.range(self.store, directory_range(path))? {
            let (key, file) = entry?;
            files.push(Named { path: path_of(&key)?, file });
        }
        let without = (self.found.files_without, self.found.without_because.clone());
        for file in files.iter().filter(|file| differing.binary_search(&file.path).is_err()) {
            self.same_file(file)?;
        }
        // Unchanged files without the field are not reported.
        (self.found.files_without, self.found.without_because) = without;
        Ok(())
    }

    fn read(&mut self, [old, new]: [Option<&Named>; 2]) -> Result<Option<FileFlips>, RepoError> {
        let open = |named: Option<&Named>| named.map(|named| self.store.open_file(&named.file)).transpose();
        let (mut old_reader, mut new_reader) = (open(old)?, open(new)?);
        let old_side = old.zip(old_reader.as_mut()).map(|(named, reader)| side(named, reader));
        let new_side = new.zip(new_reader.as_mut()).map(|(named, reader)| side(named, reader));
        let Some(of) = new.or(old) else { return Ok(None) };
        let found = compare::flips(old_side, new_side, &self.query, &self.limits);
        match found.map_err(|CompareError::Read(error)| store_error(error, of))? {
            Ok(found) => {
                self.found.seen.add(&found);
                Ok(Some(found))
            }
            Err(none) => {
                self.found.files_without += 1;
                self.found.without_because.get_or_insert_with(|| format!("{}: {}", of.path, none.why));
                let seen = &mut self.found.seen;
                seen.files_without += 1;
                if seen.fields.len() < NAMES {
                    seen.fields.extend(none.fields);
                }
                Ok(None)
            }
        }
    }

    fn add(&mut self, entry: &Entry, file: FileFlips, decision: &Decision) {
        let found = &mut self.found;
        let add = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            for (value, count) in from {
                *into.entry(value).or_default() += count;
            }
        };
        found.unchanged += file.unchanged.values().sum::<u64>();
        add(&mut found.unchanged_by_value, file.unchanged);
        add(&mut found.old_only, file.old_only);
        add(&mut found.new_only, file.new_only);
        for (values, count) in file.moves {
            *self.moves.entry(values).or_default() += count;
        }
        let room = LISTED.saturating_sub(found.records.len());
        found.records.extend(file.flipped.into_iter().take(room).map(|flip| Record {
            path: entry.path.clone(),
            verdict: decision.verdict(&flip.old, &flip.new),
            flip,
        }));
    }

    fn finish(self, decision: &Decision) -> Flips {
        let mut found = self.found;
        (found.field, found.value) = (decision.field.clone(), decision.value.clone());
        for ((old, new), records) in self.moves {
            let verdict = decision.verdict(&old, &new);
            *match verdict {
                Verdict::Lost => &mut found.lost,
                Verdict::Gained => &mut found.gained,
                Verdict::Other => &mut found.other,
            } += records;
            found.moves.push(Move { old, new, records, verdict });
        }
        found.moves.sort_by_key(|group| (group.verdict, std::cmp::Reverse(group.records)));
        found.records.sort_by_key(|record| record.verdict);
        let turned = found.lost + found.gained + found.other;
        found.records_left_out = turned.saturating_sub(found.records.len() as u64);
        found.seen.fields.sort_unstable();
        found.seen.fields.dedup();
        found
    }
}
