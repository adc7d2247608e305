//! Checks the chain of records, whether the journal lost its end, and whether an index built from it alone equals the existing one.

use std::ops::ControlFlow;

use rocksdb::Direction;

use super::{Findings, Subject};
use crate::base::error::RepoError;
use crate::base::faults::Faults;
use crate::index::apply::{apply, cannot_have_happened};
use crate::index::log::advance;
use crate::index::rows::DoubtWhy;
use crate::index::{Index, View, keys};
use crate::journal::Position;
use crate::store::{Result, Store};

/// For a longer journal the new index is built on disk.
const IN_MEMORY_BYTES: u64 = 32 << 20;

pub(super) fn check(store: &Store, findings: &mut Findings) -> Result<()> {
    // One consistent moment: records written from here on are left for the next check.
    let (index, known) = store.index_at();
    let length = match store.journal().length() {
        Err(error) if error.kind() == specs::ErrorKind::Damaged => {
            findings.add(Subject::Journal, error.to_string());
            return Ok(());
        }
        length => length?,
    };
    let (fresh, packs) = (Fresh::new(store, length), store.index());
    let noted = store.noted_position();
    let mut noted_fits = true;
    let read = store.journal().visit(Position::default(), |record, after, leaf| {
        findings.counts.records += 1;
        noted_fits &= noted.is_none_or(|noted| noted.records != after.records || noted == after);
        if after.bytes > known.bytes {
            return Ok(()); // written meanwhile
        }
        let mut view = View::beside(&fresh.index, &packs);
        apply(&mut view, &record).map_err(|error| cannot_have_happened(after.records, error))?;
        advance(&mut view, &record, &after, leaf)?;
        fresh.index.commit(view.into_changes());
        Ok(())
    });
    let end = match read {
        Ok(end) => end,
        Err(error) if error.kind() == specs::ErrorKind::Damaged => {
            findings.add(Subject::Journal, error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let longest = [Some(known), noted].into_iter().flatten().max_by_key(|position| position.bytes).unwrap_or_default();
    if end.bytes < longest.bytes {
        let (records, bytes) = (longest.records, longest.bytes);
        let error = RepoError::ShortJournal { records, bytes, found: end.bytes };
        findings.add(Subject::Journal, error.to_string());
    } else if !noted_fits {
        findings.add(Subject::Journal, "its last records were replaced".to_owned());
    }
    if store.has_lost_its_end()? {
        let note = "the end of the journal is not noted in `.pv/position` by this place's key: records may have been taken away there; \
                    the next change notes it anew";
        findings.notes.push(note.to_owned());
    } else if noted.is_none() && store.noted_path().exists() {
        findings.notes.push("the saved position is incomplete: the next change writes it again".to_owned());
    }
    // Compare with the earlier length: a newer record is not an incomplete one.
    let left = length.saturating_sub(store.journal().visit(end, |_, _, _| Ok(()))?.bytes);
    if left > 0 && end.bytes >= longest.bytes {
        let what = "an incomplete record";
        findings.notes.push(format!("the journal ends in {left} bytes of {what}: the next change cuts them off"));
    }
    compare(&index, &fresh.index, findings)
}

/// Checks that all records are signed by keys that count, and that the journal has not lost its end, as far as commits can tell.
pub(super) fn check_proof(store: &Store, findings: &mut Findings) -> Result<()> {
    for doubt in store.doubts()? {
        let (words, does) = (doubt.words(), &doubt.does);
        if doubt.why == DoubtWhy::Unvouched {
            findings.notes.push(format!("record {} of the journal ({does}) is not proven: {words}", doubt.record));
        } else {
            findings.add(Subject::Record(doubt.record), format!("{words} ({does})"));
        }
    }
    if let Some(fork) = store.journal().fork()? {
        findings.add(Subject::Journal, fork.words());
    }
    if let Some(cut_back) = store.cut_back()? {
        findings.add(Subject::Journal, cut_back.to_string());
    }
    let unnamed = store.unnamed_at_end()?;
    findings.notes.extend(unnamed.iter().map(|commit| {
        format!("commit {} was signed but not recorded: its writer ended before that", commit.short(12))
    }));
    findings.notes.extend(store.unsigned_before()?.filter(|before| *before > 0).map(|before| {
        format!("records 1 to {before} of the journal were made before records were signed; the next record covers them as they were then")
    }));
    Ok(())
}

/// An index built from the journal alone.
struct Fresh {
    index: Index,
    folder: Option<std::path::PathBuf>,
}

impl Fresh {
    fn new(store: &Store, length: u64) -> Self {
        if length > IN_MEMORY_BYTES {
            let folder = store.folder().join(format!("check-{}", crate::base::random::hex()));
            if let Ok(index) = Index::open_writable(&folder, &Faults::default()) {
                return Self { index, folder: Some(folder) };
            }
        }
        Self { index: Index::in_memory(), folder: None }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // Files may be deleted while they are open.
            std::fs::remove_dir_all(folder).ok();
        }
    }
}

/// Compares all rows except those that come from packs.
fn compare(index: &Index, fresh: &Index, findings: &mut Findings) -> Result<()> {
    let (others, missing) = (differing(index, fresh)?, differing(fresh, index)?);
    let rows = others.max(missing);
    if rows > 0 {
        let why = format!("{rows} rows differ from the journal; pv fsck --rebuild-index rebuilds it");
        findings.add(Subject::Index, why);
    }
    Ok(())
}

/// Number of rows of one index that the other lacks.
fn differing(index: &Index, other: &Index) -> Result<u64> {
    let mut rows = 0;
    let mut failed = None;
    index.visit(&[], &[], Direction::Forward, |key, value| {
        if keys::is_from_packs(key) {
            return ControlFlow::Continue(());
        }
        match other.get(key) {
            Ok(found) => rows += u64::from(found.as_deref() != Some(value)),
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(rows), Err)
}
