//! Copies of a whole store, packs and journal, at another place; and stores made from such copies.
//!
//! A mirror has the same layout as any place, so a store can be opened directly on it (`init_shared`), or made from it (`init_from`). Packs
//! are copied first, then records in order, then the mark that makes it a store: an interrupted copy is merely behind, or not a store yet.
//! What already exists is not sent again.

use std::path::Path;

use specs::ErrorKind;

use super::open::FOLDER;
use super::options::OpenOptions;
use super::shared::{is_marked, mark};
use super::{Result, Store};
use crate::access::Right;
use crate::base::error::{IoContext, RepoError};
use crate::base::progress::Progress;
use crate::journal::{Journal, Position, SharedJournal};
use crate::objects::packs::writer::read_index;
use crate::objects::packs::{LocalPacks, PACKS, PackName, PackStore, PlacePacks};
use crate::objects::place::{Access, Place};

/// Number of bytes of a pack read at a time when it is copied to a folder.
const PIECE_BYTES: u64 = 8 << 20;
/// How often a copy is restarted because packs were folded or collected meanwhile.
const TRIES: usize = 3;
/// Maximum number of records held in memory.
const RECORDS: u64 = 4096;

/// The content of a mirror, and what was copied to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// Number of packs in it, which is all packs of the store.
    pub packs: u64,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// Number of journal records in it.
    pub records: u64,
    /// Number of packs sent.
    pub new_packs: u64,
    /// Their size in bytes.
    pub new_bytes: u64,
    /// Number of records sent.
    pub new_records: u64,
    /// Number of packs removed because the store no longer has them.
    pub removed_packs: u64,
}

/// What to copy, at one consistent moment.
struct Snapshot {
    packs: Vec<(PackName, u64)>,
    position: Position,
}

/// The journal at `url`, such as that of a mirror, in the format of a journal file; empty if there is none. It is not verified.
pub fn journal_at(url: &str, access: &Access) -> Result<Vec<u8>> {
    Ok(SharedJournal::new(Place::open(url, access)?).lines()?.concat())
}

impl Store {
    /// Copies packs and journal to `url`, skipping what is already there. With `prune`, packs that this store no longer has are removed
    /// there after all new ones are copied; otherwise they stay, and a pack lost here can be restored from there.
    ///
    /// `Conflict` if the place contains another store, or a diverged history of this one.
    pub fn mirror(&self, url: &str, access: &Access, prune: bool, progress: Progress<'_>) -> Result<Mirrored> {
        self.ensure_may(Right::Mirror)?;
        let place = Place::open(url, access)?;
        if self.objects_url()?.as_deref() == Some(place.url()) {
            let what = format!("`{}` is the location of this store", place.url());
            return Err(RepoError::Usage { what, hint: Some("use another URL for the mirror".to_owned()) });
        }
        let was_marked = is_marked(&place)?;
        let (packs, journal) = (PlacePacks { place: place.clone() }, SharedJournal::new(place));
        let mirror = Mirror { store: self, packs, journal, was_marked };
        for again in (0..TRIES).rev() {
            match mirror.run(prune, progress) {
                Err(error) if again > 0 && error.kind() == ErrorKind::NotFound => tracing::debug!("again: {error}"),
                done => {
                    let done = done?;
                    if !was_marked {
                        mark(&mirror.packs.place)?;
                    }
                    return Ok(done);
                }
            }
        }
        unreachable!("the last try returns")
    }

    /// Packs with everything that the journal names up to a position. `InUse` if an owner appeared, which can do this instead.
    fn snapshot(&self) -> Result<Snapshot> {
        // An owner may seal jobs whose objects are in packs that it still has open.
        let _lock = if self.is_owner() { None } else { Some(self.take_lock_without_owner()?) };
        self.refresh()?;
        let position = self.position();
        self.finish_packs()?;
        Ok(Snapshot { packs: self.packs().list()?, position })
    }
}

struct Mirror<'a> {
    store: &'a Store,
    packs: PlacePacks,
    journal: SharedJournal,
    /// Whether it was already a store: then others may be reading it.
    was_marked: bool,
}

impl Mirror<'_> {
    fn run(&self, prune: bool, progress: Progress<'_>) -> Result<Mirrored> {
        let source = self.store.snapshot()?;
        let known = self.known_records(&source)?;
        let there = self.packs.list()?;
        let mut done = Mirrored {
            packs: source.packs.len() as u64,
            size_bytes: source.packs.iter().map(|(_, length)| length).sum(),
            records: source.position.records,
            new_records: source.position.records - known,
            ..Mirrored::default()
        };
        let new: Vec<&(PackName, u64)> =
            source.packs.iter().filter(|pack| there.binary_search(pack).is_err()).collect();
        for (number, (name, length)) in new.iter().enumerate() {
            progress("packs", number as u64, new.len() as u64);
            self.send(name, *length)?;
            done.new_packs += 1;
            done.new_bytes += length;
        }
        progress("packs", new.len() as u64, new.len() as u64);
        self.send_records(known, &source, progress)?;
        if prune {
            let is_gone =
                |(name, _): &&(PackName, u64)| source.packs.binary_search_by_key(name, |(kept, _)| *kept).is_err();
            for (name, _) in there.iter().filter(is_gone) {
                self.packs.remove(name)?;
                done.removed_packs += 1;
            }
        }
        Ok(done)
    }

    /// Number of this store's records at the mirror; fails if others are there.
    fn known_records(&self, source: &Snapshot) -> Result<u64> {
        let last = source.position.records;
        // A place that is a store receives records in order; one that is not a store yet, in any order.
        let has_last = self.was_marked && self.journal.line(last)?.is_some() && self.journal.line(last + 1)?.is_none();
        let known = if has_last { last } else { self.journal.count()? };
        let is_own = |record: u64| Ok::<_, RepoError>(self.journal.line(record)? == self.own_line(record)?);
        if known > 0 && !is_own(1)? {
            return Err(self.conflict("contains another store"));
        }
        if known > last {
            return Err(self.conflict("contains changes that this store does not have"));
        }
        if known > 0 && !is_own(known)? {
            return Err(self.conflict(
                "contains another history of this store: either someone wrote to the mirror, or this store is not the newest",
            ));
        }
        Ok(known)
    }

    fn conflict(&self, why: &str) -> RepoError {
        RepoError::Conflict {
            what: format!("`{}` {why}", self.packs.place.url()),
            hint: Some("use a separate URL for each store's mirror, such as a prefix".to_owned()),
        }
    }

    fn own_line(&self, record: u64) -> Result<Option<bytes::Bytes>> {
        Ok(self.store.journal().lines(record..=record)?.pop())
    }

    /// Sends a pack whose index matches its name, and verifies that on arrival.
    fn send(&self, name: &PackName, length: u64) -> Result<()> {
        let packs = self.store.packs();
        read_index(packs, name, length)?;
        let pack = format!("{PACKS}/{name}");
        self.packs.place.upload(&pack, length, |range| packs.read(name, range))?;
        read_index(&self.packs, name, length).map(|_| ())
    }

    fn send_records(&self, known: u64, source: &Snapshot, progress: Progress<'_>) -> Result<()> {
        let last = source.position.records;
        for start in (known + 1..=last).step_by(RECORDS as usize) {
            let lines = self.store.journal().lines(start..=last.min(start + RECORDS - 1))?;
            progress("records", start - known - 1, last - known);
            let mut sent = true;
            if self.was_marked {
                for (number, line) in (start..).zip(&lines) {
                    sent = sent && self.journal.create(number, line)?;
                }
            } else {
                sent = self.journal.create_all(start, lines)?;
            }
            if !sent {
                return Err(self.conflict("is being changed by another process"));
            }
        }
        progress("records", last - known, last - known);
        Ok(())
    }
}

impl OpenOptions {
    /// Makes a store in `dir/.pv` from the packs and the journal at `url`, such as those of a mirror; afterwards it is independent of that
    /// place.
    pub fn init_from(&self, dir: &Path, url: &str, progress: Progress<'_>) -> Result<Store> {
        let folder = dir.join(FOLDER);
        if Store::is_at(dir) {
            return Err(RepoError::StoreExists { dir: dir.to_owned() });
        }
        Self::ensure_not_shared(&folder)?;
        let place = self.place_at(url)?;
        if !is_marked(&place)? {
            return Err(RepoError::NotFound {
                what: format!("no store at `{}`", place.url()),
                hint: Some("pv mirror --to URL creates one there".to_owned()),
            });
        }
        let packs = folder.join(PACKS);
        std::fs::create_dir_all(&packs).doing("create", &packs)?;
        // The records first: what they name is in packs that existed earlier, and so are in the list read later.
        let journal = Journal::shared(folder.join("journal"), SharedJournal::new(place.clone()));
        journal.fetch(Position::default())?;
        journal.sync()?;
        let (from, to) = (PlacePacks { place }, LocalPacks::new(packs));
        let (listed, here) = (from.list()?, to.list()?);
        let new: Vec<&(PackName, u64)> = listed.iter().filter(|pack| here.binary_search(pack).is_err()).collect();
        for (number, (name, length)) in new.iter().enumerate() {
            progress("packs", number as u64, new.len() as u64);
            fetch(&from, &to, name, *length)?;
        }
        progress("packs", new.len() as u64, new.len() as u64);
        self.make(dir, specs::BranchName::main())
    }
}

/// Copies a pack whose index matches its name.
fn fetch(from: &PlacePacks, to: &LocalPacks, name: &PackName, length: u64) -> Result<()> {
    read_index(from, name, length)?;
    let mut file = to.create(name.class)?;
    file.truncate(0)?;
    for start in (0..length).step_by(PIECE_BYTES as usize) {
        file.append(&[&from.read(name, start..length.min(start + PIECE_BYTES))?])?;
    }
    file.finish(*name)?;
    drop(file);
    read_index(to, name, length).map(|_| ())
}
