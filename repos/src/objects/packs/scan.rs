//! Reads a pack entry by entry, without its index: a damaged index loses nothing while the entries are intact.

use super::codec::unpack;
use super::format::{ENTRY_BYTES, HEADER_BYTES, Row, index_and_footer};
use super::{PackName, PackStore};
use crate::base::error::RepoError;
use crate::base::kind::Kind;

/// The content of a pack according to its entries alone.
#[derive(Debug)]
pub struct Scan {
    /// All intact entries, in pack order.
    pub rows: Vec<Row>,
    /// Whether these are all entries of the finished pack: their index matches the pack's name.
    pub is_complete: bool,
}

/// Reads all entries of a finished pack of `length` bytes.
pub fn scan(store: &dyn PackStore, name: &PackName, length: u64) -> Result<Scan, RepoError> {
    let mut rows = Vec::new();
    let mut offset = HEADER_BYTES;
    let mut is_damaged = false;
    while offset.saturating_add(ENTRY_BYTES) <= length {
        let Some(row) = Row::from_entry_header(&store.read(name, offset..offset + ENTRY_BYTES)?, offset) else { break };
        let range = row.stored_range();
        if range.end > length {
            break;
        }
        // An entry of an unknown kind cannot be verified: after damage it may be other bytes that look like one.
        let may_be_whole = !is_damaged || Kind::from_number(row.kind).is_some();
        if may_be_whole && unpack(&row, store.read(name, range.clone())?).is_some() {
            rows.push(row);
        } else if !is_damaged {
            // The index looks like damaged entries. Nothing after it needs to be searched.
            is_damaged = true;
            if is_complete(&rows, name) {
                return Ok(Scan { rows, is_complete: true });
            }
        }
        offset = range.end;
    }
    let is_complete = is_complete(&rows, name);
    Ok(Scan { rows, is_complete })
}

fn is_complete(rows: &[Row], name: &PackName) -> bool {
    index_and_footer(&mut rows.to_vec(), 0).1 == name.digest
}
