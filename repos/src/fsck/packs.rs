//! The truth of a store, journal and packs, entry by entry; and whether the index says the same.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use rocksdb::Direction;
use specs::Digest;

use super::{Findings, Progress};
use crate::documents::ResultDocument;
use crate::error::RepoError;
use crate::index::apply::{apply, meta};
use crate::index::rows::{Location, encode};
use crate::index::{Index, View, keys};
use crate::journal::Position;
use crate::object::Kind;
use crate::packs::PackName;
use crate::packs::codec::unpack;
use crate::packs::format::{ENTRY_BYTES, HEADER_BYTES, Row, header};
use crate::packs::writer::read_index;
use crate::parallel;
use crate::store::{Place, Result, Store, result_row};

const INDEX: &str = "index";

pub(super) fn check(store: &Store, progress: Progress<'_>, findings: &mut Findings) -> Result<()> {
    // In this order: a pack that is listed now is in the index after the refresh.
    let packs = store.packs().list()?;
    match store.refresh() {
        Err(error @ RepoError::DamagedJournal { .. }) => findings.add("journal", error.to_string()),
        refreshed => refreshed?,
    }
    check_journal(store, findings)?;
    for (done, (name, length)) in packs.iter().enumerate() {
        progress("packs", done as u64, packs.len() as u64);
        findings.counts.packs += 1;
        match read_index(store.packs(), name, *length) {
            Ok(rows) => check_pack(store, name, rows, findings)?,
            Err(error) => findings.add(&format!("pack {name}"), error.to_string()),
        }
    }
    progress("packs", packs.len() as u64, packs.len() as u64);
    check_locations(store, &packs, findings)
}

/// The chain of records, and whether an index made from it alone is like the one there is.
fn check_journal(store: &Store, findings: &mut Findings) -> Result<()> {
    let read = match store.journal().read_after(Position::default()) {
        Ok(read) => read,
        Err(error @ RepoError::MadeByNewer { .. }) => return Err(error),
        Err(error) => {
            findings.add("journal", error.to_string());
            return Ok(());
        }
    };
    let known = store.position();
    let fresh = Index::in_memory();
    for (record, after) in &read.records {
        findings.counts.records += 1;
        if after.bytes > known.bytes {
            continue;
        }
        let mut view = View::new(&fresh);
        if let Err(error) = apply(&mut view, record) {
            findings.add("journal", format!("record {} cannot have happened: {error}", after.records));
            return Ok(());
        }
        view.put(keys::meta(meta::POSITION), encode(after));
        fresh.commit(view.into_changes())?;
    }
    compare_with_journal(&store.index(), &fresh, findings)
}

/// Compares all rows but those that come from packs.
fn compare_with_journal(index: &Index, fresh: &Index, findings: &mut Findings) -> Result<()> {
    let mut expected = BTreeMap::new();
    fresh.visit(&[], &[], Direction::Forward, |key, value| {
        expected.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    let mut others = 0;
    index.visit(&[], &[], Direction::Forward, |key, value| {
        if !keys::is_from_packs(key) && expected.remove(key).as_deref() != Some(value) {
            others += 1;
        }
        ControlFlow::Continue(())
    })?;
    let differing = others.max(expected.len());
    if differing > 0 {
        findings.add(
            INDEX,
            format!("{differing} rows are not what the journal says; pv fsck --rebuild-index makes it anew"),
        );
    }
    Ok(())
}

/// What is wrong with one entry of a pack.
enum Fault {
    Damaged,
    NotInIndex,
}

fn check_pack(store: &Store, name: &PackName, mut rows: Vec<Row>, findings: &mut Findings) -> Result<()> {
    if !store.packs().read(name, 0..HEADER_BYTES).is_ok_and(|bytes| *bytes == header(name.class)) {
        findings.add(&format!("pack {name}"), "its header is damaged");
    }
    rows.sort_unstable_by_key(|row| row.offset);
    let faults = parallel::map(rows.len(), || (), |(), at| check_entry(store, name, &rows[at]))?;
    for (row, fault) in rows.iter().zip(faults) {
        findings.counts.objects += 1;
        findings.counts.size_bytes += u64::from(row.raw_bytes);
        match (fault, Kind::from_number(row.kind)) {
            (None, _) => {}
            (Some(Fault::NotInIndex), _) => {
                findings
                    .add(INDEX, format!("objects of pack {name} are not in it; pv fsck --rebuild-index makes it anew"));
            }
            (Some(Fault::Damaged), Some(kind)) => {
                findings.add_object(kind, row.digest, format!("its bytes at {} in pack {name} are others", row.offset));
            }
            (Some(Fault::Damaged), None) => {
                findings.add(&format!("pack {name}"), format!("the entry at {} is damaged", row.offset));
            }
        }
    }
    Ok(())
}

fn check_entry(store: &Store, name: &PackName, row: &Row) -> Result<Option<Fault>> {
    let entry = row.offset..row.stored_range().end;
    let Ok(bytes) = store.packs().read(name, entry) else { return Ok(Some(Fault::Damaged)) };
    let header = ENTRY_BYTES as usize;
    if bytes.get(..header) != Some(&row.entry_header()) {
        return Ok(Some(Fault::Damaged));
    }
    let Some(object) = unpack(row, bytes.slice(header..)) else { return Ok(Some(Fault::Damaged)) };
    let index = store.index();
    let mut known = index.get(&keys::object(row.kind, &row.digest))?.is_some();
    if row.kind == Kind::Result as u8
        && let Ok(result) = serde_json::from_slice::<ResultDocument>(&object)
    {
        let (key, value) = result_row(&row.digest, &result);
        known &= index.get(&key)?.is_some_and(|found| found == value);
    }
    Ok((!known).then_some(Fault::NotInIndex))
}

/// Whether each object of the index begins where that says, and the pack is there.
fn check_locations(store: &Store, packs: &[(PackName, u64)], findings: &mut Findings) -> Result<()> {
    let index = store.index();
    let listed: HashSet<&PackName> = packs.iter().map(|(name, _)| name).collect();
    let mut wrong = 0_u64;
    // Of each pack that is gone, one object that it held.
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
            // A pack that came after the list was made is left for the next time.
            Some((_, Some(name), row)) => wrong += u64::from(listed.contains(&name) && !begins(store, &name, &row)),
        }
        ControlFlow::Continue(())
    })?;
    if wrong > 0 {
        findings.add(INDEX, format!("{wrong} objects do not lie where it says; pv fsck --rebuild-index makes it anew"));
    }
    check_gone(store, &gone, findings)
}

/// Packs that are gone though the index still finds objects in them. Folding and collecting garbage leave none such: it is lost.
fn check_gone(store: &Store, gone: &BTreeMap<u32, (u8, Digest)>, findings: &mut Findings) -> Result<()> {
    let names: Vec<_> = gone.iter().map(|(number, object)| (store.pack_name(*number), object)).collect();
    if !names.is_empty() {
        // The index may have been read before garbage was collected and the list of packs after it.
        store.refresh()?;
    }
    for (name, (kind, digest)) in names {
        if store.place(*kind, digest)? == Place::Gone {
            match name {
                Ok(name) => findings.add(&format!("pack {name}"), "it is missing"),
                Err(error) => findings.add(INDEX, error.to_string()),
            }
        }
    }
    Ok(())
}

fn begins(store: &Store, name: &PackName, row: &Row) -> bool {
    let header = store.packs().read(name, row.offset..row.offset.saturating_add(ENTRY_BYTES));
    header.is_ok_and(|header| *header == row.entry_header())
}
