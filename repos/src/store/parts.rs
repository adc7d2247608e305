//! Objects in packs that are still being written.
//!
//! An owner's records may name what is in its open packs, which are synced and not finished: only it has an index of them. Anyone who
//! reads beside it (a process that opened the store before the owner came, or while it ends, or after it was killed) finds such an object
//! by going through the entries of the unfinished packs. That happens only for an object that has to be there and is in no finished
//! pack, so a look into the folder tells most often that nothing has changed since the last time.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use specs::Digest;

use super::objects::{Unpack, rows_about};
use super::{Result, Store};
use crate::base::kind::{Kind, PackClass};
use crate::objects::packs::UnfinishedPack;
use crate::objects::packs::codec;
use crate::objects::packs::format::{ENTRY_BYTES, HEADER_BYTES, Row};

/// How often it is looked again while others write; a store that stands still needs two looks.
const LOOKS: u32 = 20;

/// What changes whenever something that a record names may have come into a pack, or a pack was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    journal_bytes: u64,
    parts: BTreeSet<String>,
}

/// The unfinished packs of all writers, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    known: HashMap<String, Part>,
    /// The state in which something was looked for everywhere and not found.
    missed: Option<State>,
}

#[derive(Debug)]
struct Part {
    pack: UnfinishedPack,
    /// Where the next entry begins.
    end: u64,
    rows: HashMap<(u8, Digest), Row>,
    /// The keys that an index has for the signatures among them.
    signatures: BTreeSet<Vec<u8>>,
}

impl Part {
    fn new(pack: UnfinishedPack) -> Self {
        Self { pack, end: HEADER_BYTES, rows: HashMap::new(), signatures: BTreeSet::new() }
    }

    /// Reads the headers of entries that came since the last time, up to the first that is not whole.
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

    /// An object, if it is here and whole.
    fn object(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<Option<Bytes>> {
        let Some(row) = self.rows.get(&(kind as u8, *digest)) else { return Ok(None) };
        Ok(unpack(row, self.pack.read(row.stored_range())?))
    }
}

impl Store {
    /// An object that has to be there and is in no finished pack that this process knows: from a pack that is being written, or from one
    /// that was finished meanwhile. `None` when it is in neither.
    pub(super) fn find_beside_writers(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<Option<Bytes>> {
        for _ in 0..LOOKS {
            let (state, found) = self.look_in_parts(kind, digest, unpack)?;
            if found.is_some() || self.parts().missed.as_ref() == Some(&state) {
                return Ok(found);
            }
            // Something came or went since this process last looked everywhere: it may be in a pack that is finished by now.
            self.refresh()?;
            if let Some(found) = self.unpacked(kind, digest, unpack)? {
                return Ok(Some(found));
            }
            self.parts().missed = Some(state);
        }
        Ok(None)
    }

    /// The digests of signatures whose keys begin with `prefix`, which no finished pack that this process knows has: the same for them.
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

    fn parts(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.inner.parts.lock().expect("no panic under this lock")
    }

    /// Looks through all unfinished packs, and says in which state the store was before.
    fn look_in_parts(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<(State, Option<Bytes>)> {
        self.each_part(kind.class(), |part| part.object(kind, digest, unpack))
    }

    /// Brings what is known of the unfinished packs of a class up, and asks each until one answers; says in which state the store was
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

    /// What packs and journal there are: as long as this is the same, nobody has written.
    pub fn outline(&self) -> Result<Outline> {
        let journal_bytes = self.journal().length()?;
        let (packs, _) = self.packs().known()?;
        let parts = self.packs().unfinished()?.into_iter().map(|pack| pack.name);
        Ok(Outline { journal_bytes, packs: packs.into_iter().map(|(name, _)| name.to_string()).chain(parts).collect() })
    }
}

/// What packs and journal a store has at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    journal_bytes: u64,
    packs: BTreeSet<String>,
}
