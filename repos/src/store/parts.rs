//! Objects in packs that are still being written.
//!
//! An owner's records may name objects in its open packs, which are synced but not finished; only the owner has an index of them. Another
//! reader (a process that opened the store before the owner started, or while it shuts down, or after it was killed) finds such an object
//! by scanning the unfinished packs. This happens only for an object that must exist and is in no finished pack, so a look at the folder
//! usually shows that nothing has changed since the last scan.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use specs::Digest;

use super::objects::{Unpack, rows_about};
use super::{Result, Store};
use crate::base::kind::{Kind, PackClass};
use crate::objects::packs::UnfinishedPack;
use crate::objects::packs::codec;
use crate::objects::packs::format::{ENTRY_BYTES, HEADER_BYTES, Row};
use crate::objects::packs::writer::digests_with;

/// Maximum number of attempts while others write; without concurrent writes two are enough.
const LOOKS: u32 = 20;

/// Changes whenever something that a record names may have been added to a pack, or a pack was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    journal_bytes: u64,
    parts: BTreeSet<String>,
}

/// The unfinished packs of all writers, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    known: HashMap<String, Part>,
    /// The state in which an object was searched for everywhere and not found.
    missed: Option<State>,
}

#[derive(Debug)]
struct Part {
    pack: UnfinishedPack,
    /// Offset of the next entry.
    end: u64,
    rows: HashMap<(u8, Digest), Row>,
    /// The index keys of the signatures among the rows.
    signatures: BTreeSet<Vec<u8>>,
}

impl Part {
    fn new(pack: UnfinishedPack) -> Self {
        Self { pack, end: HEADER_BYTES, rows: HashMap::new(), signatures: BTreeSet::new() }
    }

    /// Reads the headers of entries added since the last time, up to the first incomplete one.
    fn go_on(&mut self) -> Result<()> {
        let length = self.pack.length()?;
        while self.end + ENTRY_BYTES <= length {
            let header = self.pack.read(self.end..self.end + ENTRY_BYTES)?;
            let Some(row) = Row::from_entry_header(&header, self.end) else { break };
            let range = row.stored_range();
            if range.end > length {
                break;
            }
            if row.kind == Kind::Signature as u8
                && let Some(bytes) = codec::unpack(&row, self.pack.read(range.clone())?)
            {
                self.signatures.extend(rows_about(row.kind, &row.digest, &bytes).into_iter().map(|(key, _)| key));
            }
            self.end = range.end;
            self.rows.insert((row.kind, row.digest), row);
        }
        Ok(())
    }

    /// An object, if it is here and intact.
    fn object(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<Option<Bytes>> {
        let Some(row) = self.rows.get(&(kind as u8, *digest)) else { return Ok(None) };
        Ok(unpack(row, self.pack.read(row.stored_range())?))
    }
}

impl Store {
    /// Finds an object that must exist but is in no finished pack known to this process: in a pack being written, or in one finished
    /// meanwhile. `None` if it is in neither.
    pub(super) fn find_beside_writers(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<Option<Bytes>> {
        for _ in 0..LOOKS {
            let (state, found) = self.look_in_parts(kind, digest, unpack)?;
            if found.is_some() || self.parts().missed.as_ref() == Some(&state) {
                return Ok(found);
            }
            // The packs or the journal changed since this process last searched: the object may be in a finished pack by now.
            self.refresh()?;
            if let Some(found) = self.unpacked(kind, digest, unpack)? {
                return Ok(Some(found));
            }
            self.parts().missed = Some(state);
        }
        Ok(None)
    }

    /// Like [`Self::find_beside_writers`], for the digests of signatures whose keys begin with `prefix`.
    pub(super) fn signatures_beside_writers(&self, prefix: &[u8]) -> Result<Vec<Digest>> {
        for _ in 0..LOOKS {
            let (state, found) = self.each_part(PackClass::Meta, |part| {
                let keys = part.signatures.range(prefix.to_vec()..).take_while(|key| key.starts_with(prefix));
                let found: Vec<Digest> =
                    keys.filter_map(|key| Some(Digest::from_bytes(*key.last_chunk::<32>()?))).collect();
                Ok((!found.is_empty()).then_some(found))
            })?;
            if found.is_some() || self.parts().missed.as_ref() == Some(&state) {
                return Ok(found.unwrap_or_default());
            }
            self.refresh()?;
            let found = self.about(prefix)?;
            if !found.is_empty() {
                return Ok(found);
            }
            self.parts().missed = Some(state);
        }
        Ok(Vec::new())
    }

    /// Like [`Self::find_beside_writers`], for the digests of objects that begin with these hex digits.
    pub(super) fn objects_beside_writers(&self, kind: Kind, prefix: &str) -> Result<Vec<Digest>> {
        let (_, found) = self.each_part(kind.class(), |part| {
            let found = digests_with(part.rows.keys(), kind, prefix);
            Ok((!found.is_empty()).then_some(found))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.inner.parts.lock().expect("no panic under this lock")
    }

    /// Searches all unfinished packs; also returns the state of the store before the search.
    fn look_in_parts(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<(State, Option<Bytes>)> {
        self.each_part(kind.class(), |part| part.object(kind, digest, unpack))
    }

    /// Updates what is known of the unfinished packs of a class, and asks each until one answers; also returns the state of the store
    /// before.
    fn each_part<T>(&self, class: PackClass, ask: impl Fn(&Part) -> Result<Option<T>>) -> Result<(State, Option<T>)> {
        let journal_bytes = self.journal().length()?;
        let listed = self.packs().unfinished()?;
        let state = State { journal_bytes, parts: listed.iter().map(|pack| pack.name.clone()).collect() };
        let mut parts = self.parts();
        parts.known.retain(|name, _| state.parts.contains(name));
        for pack in listed.into_iter().filter(|pack| pack.class == class) {
            let part = parts.known.entry(pack.name.clone()).or_insert_with(|| Part::new(pack));
            part.go_on()?;
            if let Some(found) = ask(part)? {
                return Ok((state, Some(found)));
            }
        }
        Ok((state, None))
    }

    /// The existing packs and the journal's length: while this stays the same, nobody has written.
    pub fn outline(&self) -> Result<Outline> {
        let journal_bytes = self.journal().length()?;
        let (packs, _) = self.packs().known()?;
        let parts = self.packs().unfinished()?.into_iter().map(|pack| pack.name);
        Ok(Outline { journal_bytes, packs: packs.into_iter().map(|(name, _)| name.to_string()).chain(parts).collect() })
    }
}

/// The packs and the journal's length at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    journal_bytes: u64,
    packs: BTreeSet<String>,
}
