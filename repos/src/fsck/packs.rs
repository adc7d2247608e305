//! Checks the packs, entry by entry, and that the index agrees.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::Direction;
use specs::Digest;

use super::{Findings, Progress, Subject};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;
use crate::base::parallel;
use crate::index::keys;
use crate::index::rows::Location;
use crate::objects::packs::codec::unpack;
use crate::objects::packs::format::{ENTRY_BYTES, HEADER_BYTES, Row, header};
use crate::objects::packs::scan::scan;
use crate::objects::packs::writer::read_index;
use crate::store::{ObjectLocation, Result, Store, is_gone, rows_about};

/// Number of objects between two progress reports.
const TOLD_EACH: u64 = 4096;

/// `packs` were listed before the store was refreshed.
pub(super) fn check(
    store: &Store,
    packs: &[(PackName, u64)],
    progress: Progress<'_>,
    findings: &mut Findings,
) -> Result<()> {
    let seen = AtomicU64::new(0);
    for (done, (name, length)) in packs.iter().enumerate() {
        progress("packs", done as u64, packs.len() as u64);
        findings.counts.packs += 1;
        let rows = match read_index(store.packs(), name, *length) {
            Err(RepoError::DamagedPack { why, .. }) => {
                let scan = scan(store.packs(), name, *length)?;
                let all = if scan.is_complete { "all of" } else { "what is left of" };
                let why = format!("{why}; {all} its {} objects can be read", scan.rows.len());
                add_pack(findings, name, why);
                scan.rows
            }
            // Removed meanwhile: the objects in it that count are elsewhere.
            Err(error) if is_gone(&error) => continue,
            rows => rows?,
        };
        check_pack(store, name, rows, &|| tell(&seen, progress), findings)?;
    }
    progress("packs", packs.len() as u64, packs.len() as u64);
    check_locations(store, packs, findings)
}

fn tell(seen: &AtomicU64, progress: Progress<'_>) {
    let seen = seen.fetch_add(1, Ordering::Relaxed) + 1;
    if seen.is_multiple_of(TOLD_EACH) {
        progress("objects", seen, 0);
    }
}

fn add_pack(findings: &mut Findings, name: &PackName, why: impl Into<String>) {
    findings.damaged_packs.insert(*name);
    findings.add(Subject::Pack(*name), why);
}

/// What is wrong with one entry of a pack.
enum Fault {
    /// Only the header before its bytes.
    Header,
    Damaged,
    NotInIndex,
}

fn check_pack(
    store: &Store,
    name: &PackName,
    mut rows: Vec<Row>,
    tell: &(dyn Fn() + Sync),
    findings: &mut Findings,
) -> Result<()> {
    match store.packs().read(name, 0..HEADER_BYTES) {
        Ok(bytes) if *bytes == header(name.class) => {}
        // Removed meanwhile: the objects in it that count are elsewhere.
        Err(error) if is_gone(&error) => return Ok(()),
        _ => add_pack(findings, name, "its header is damaged"),
    }
    rows.sort_unstable_by_key(|row| row.offset);
    let check = |(): &mut (), at: usize| {
        tell();
        check_entry(store, name, &rows[at])
    };
    let faults = parallel::map(rows.len(), || (), check)?;
    for (row, fault) in rows.iter().zip(faults) {
        findings.counts.objects += 1;
        findings.counts.size_bytes += u64::from(row.raw_bytes);
        match (fault, Kind::from_number(row.kind)) {
            (None, _) => {}
            (Some(Fault::NotInIndex), _) => {
                let why = format!("it lacks objects of pack {name}; pv fsck --rebuild-index rebuilds it");
                findings.add(Subject::Index, why);
            }
            (Some(Fault::Damaged), Some(kind)) => {
                findings.damaged_packs.insert(*name);
                let why = format!("content at offset {} of pack {name} does not match its digest", row.offset);
                findings.add(Subject::Object(kind, row.digest), why);
            }
            (Some(Fault::Damaged), None) => {
                add_pack(findings, name, format!("the entry at {} is damaged", row.offset));
            }
            (Some(Fault::Header), _) => {
                let why = format!("the header of the entry at {} is damaged; its content is intact", row.offset);
                add_pack(findings, name, why);
            }
        }
    }
    Ok(())
}

fn check_entry(store: &Store, name: &PackName, row: &Row) -> Result<Option<Fault>> {
    let entry = row.offset..row.stored_range().end;
    let mut header = match store.packs().read(name, entry) {
        Ok(bytes) => bytes,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(_) => return Ok(Some(Fault::Damaged)),
    };
    let stored = header.split_off(header.len().min(ENTRY_BYTES as usize));
    let Some(object) = unpack(row, stored) else { return Ok(Some(Fault::Damaged)) };
    if *header != row.entry_header() {
        return Ok(Some(Fault::Header));
    }
    let index = store.index();
    let mut known = index.get(&keys::object(row.kind, &row.digest))?.is_some();
    for (key, value) in rows_about(row.kind, &row.digest, &object) {
        known &= index.get(&key)?.is_some_and(|found| found == value);
    }
    Ok((!known).then_some(Fault::NotInIndex))
}

/// Checks that each object is where the index says, and that its pack exists.
fn check_locations(store: &Store, packs: &[(PackName, u64)], findings: &mut Findings) -> Result<()> {
    let index = store.index();
    let listed: HashSet<&PackName> = packs.iter().map(|(name, _)| name).collect();
    let mut wrong = 0_u64;
    // For each missing pack, one object that it contained.
    let mut gone: BTreeMap<u32, (u8, Digest)> = BTreeMap::new();
    index.visit(&keys::objects(), &keys::objects(), Direction::Forward, |key, value| {
        let object = key
            .split_last_chunk::<32>()
            .and_then(|(rest, digest)| Some((Location::decode(value)?, *rest.last()?, Digest::from_bytes(*digest))));
        match object.map(|(at, kind, digest)| (at.pack, index.pack(at.pack), at.row(kind, digest))) {
            None => wrong += 1,
            Some((number, None, row)) => {
                gone.entry(number).or_insert((row.kind, row.digest));
            }
            // A pack newer than the list is left for the next check.
            Some((_, Some(name), row)) => {
                // A damaged pack was already reported.
                let counts = listed.contains(&name) && !findings.damaged_packs.contains(&name);
                wrong += u64::from(counts && !begins(store, &name, &row));
            }
        }
        ControlFlow::Continue(())
    })?;
    if wrong > 0 {
        let why = format!("{wrong} objects are not at the places that it lists; pv fsck --rebuild-index rebuilds it");
        findings.add(Subject::Index, why);
    }
    check_gone(store, &gone, findings)
}

/// Reports missing packs in which the index still finds objects. Folding and garbage collection leave none: such a pack is lost.
fn check_gone(store: &Store, gone: &BTreeMap<u32, (u8, Digest)>, findings: &mut Findings) -> Result<()> {
    let names: Vec<_> = gone.iter().map(|(number, object)| (store.pack_name(*number), object)).collect();
    if !names.is_empty() {
        // The index may have been read before a garbage collection, and the list of packs after it.
        store.refresh()?;
        // Another machine folds packs without writing a record.
        store.register_listed(&store.packs().list()?)?;
    }
    for (name, (kind, digest)) in names {
        if store.place(*kind, digest)? == ObjectLocation::Gone {
            match name {
                Ok(name) => findings.add(Subject::Pack(name), "it is missing"),
                Err(error) => findings.add(Subject::Index, error.to_string()),
            };
        }
    }
    Ok(())
}

fn begins(store: &Store, name: &PackName, row: &Row) -> bool {
    let header = store.packs().read(name, row.offset..row.offset.saturating_add(ENTRY_BYTES));
    match header {
        Ok(header) => *header == row.entry_header(),
        Err(error) => is_gone(&error),
    }
}
