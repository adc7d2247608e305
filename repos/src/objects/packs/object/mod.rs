//! Packs in an object store, with local copies.
//!
//! ```text
//! <place>/packs/<name>           every finished pack: the truth
//! .pv/packs/<random>.part        being written here; uploaded when finished
//! .pv/packs/<name>               written here: a copy at no extra cost
//! .pv/cache/<meta pack>          other meta packs, whole and permanent: nodes and documents are read all the time
//! .pv/cache/<data pack>.<n>      block `n` of a data pack that was read
//! ```
//! All local files can be lost. Copies of data are limited in bytes; the oldest are evicted first. Copies are not trusted more than
//! anything else: whoever reads an object checks its digest, and [`PackStore::read_again`] bypasses the copies.
//!
//! - `cache`: local copies, safe with concurrent processes
//! - `part`: a pack being written
//!
//! **Held packs.** For a pack written on this machine, the lock on its file shows whether its writer lives. For other packs nothing does,
//! so they count as held for a day: a change that takes longer from its first full pack to its record must be repeated if another machine
//! collects garbage meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{LocalPacks, PackFile, PackName, PackStore};
use crate::base::error::RepoError;
use crate::base::kind::PackClass;
use crate::base::time::{Clock, SystemClock, Timestamp};
use crate::objects::place::{Access, Listed, Place};

mod cache;
mod part;

use cache::Cache;
use part::ObjectPart;

/// Data packs are read and cached in blocks of this many bytes.
const BLOCK_BYTES: u64 = 4 << 20;
/// Number of meta packs fetched in parallel.
const FETCHED_AT_ONCE: usize = 8;
/// How long a pack from another machine counts as held.
const HELD_SECONDS: f64 = 24.0 * 60.0 * 60.0;
/// The folder of packs in a place.
pub(crate) const PACKS: &str = "packs";

/// Packs in a place, with local copies.
#[derive(Debug)]
pub struct ObjectPacks {
    place: Place,
    /// Packs written here.
    own: LocalPacks,
    /// Copies of others.
    cache: Cache,
    /// When each pack was written, as of the last listing.
    written: Mutex<HashMap<PackName, Timestamp>>,
    /// Whether a listed pack was missing: another machine folded or removed it.
    is_outdated: AtomicBool,
}

impl ObjectPacks {
    /// Uses a place, and `folder` (an existing `.pv`) for local files.
    pub fn new(place: Place, folder: &Path) -> Self {
        let (own, cache) = (LocalPacks::new(folder.join("packs")), Cache::new(folder.join("cache")));
        Self { place, own, cache, written: Mutex::default(), is_outdated: AtomicBool::new(false) }
    }

    /// Limits local copies of data packs to about this many bytes.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache.limit(bytes);
        self
    }

    /// Reads a range of the pack from its place.
    fn fetch(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        let fetched = fetch(&self.place, pack, range);
        if fetched.as_ref().is_err_and(is_missing) {
            self.is_outdated.store(true, Ordering::Relaxed);
        }
        fetched
    }

    /// Reads a range of a pack written here, if its file still exists.
    fn read_own(&self, pack: &PackName, range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        match self.own.read(pack, range) {
            Err(error) if is_missing(&error) => Ok(None),
            read => read.map(Some),
        }
    }

    fn read_meta(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        let name = pack.to_string();
        if let Some(bytes) = self.cache.read(&name, range.clone())? {
            return Ok(bytes);
        }
        self.keep_meta(pack)?;
        match self.cache.read(&name, range.clone())? {
            Some(bytes) => Ok(bytes),
            None => self.fetch(pack, range),
        }
    }

    /// Downloads a whole meta pack.
    fn keep_meta(&self, pack: &PackName) -> Result<(), RepoError> {
        let name = pack.to_string();
        self.cache.once(
            &name,
            || self.cache.has(&name).then_some(Ok(())),
            || {
                let remote = format!("{PACKS}/{name}");
                let Some(found) = self.place.look(&remote)? else {
                    self.is_outdated.store(true, Ordering::Relaxed);
                    return Err(missing(&self.place, pack));
                };
                let size = found.size_bytes;
                self.cache.keep(&name, size, |range| self.fetch(pack, range))
            },
        )
    }

    /// Downloads several in parallel. A failed download is reported when that pack is read: the others must stay readable.
    fn keep_metas(&self, packs: &[&PackName]) {
        let next = AtomicUsize::new(0);
        let run = || {
            while let Some(pack) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.keep_meta(pack).inspect_err(|error| tracing::warn!("{error}")).ok();
            }
        };
        std::thread::scope(|scope| (0..packs.len().min(FETCHED_AT_ONCE)).for_each(|_| drop(scope.spawn(run))));
    }

    fn read_block(&self, pack: &PackName, number: u64, within: Range<u64>) -> Result<Bytes, RepoError> {
        let name = format!("{pack}.{number}");
        // A block shorter than the wanted range is the pack's last one, or was cut short by a crash.
        let kept = || match self.cache.read(&name, within.clone()) {
            Ok(Some(bytes)) if bytes.len() as u64 == within.end - within.start => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        if let Some(bytes) = kept() {
            return bytes;
        }
        self.cache.once(&name, kept, || {
            let block = self.fetch(pack, number * BLOCK_BYTES..(number + 1) * BLOCK_BYTES)?;
            if let Err(error) = self.cache.add(&name, &block, &self.own) {
                tracing::warn!("a local copy cannot be stored: {error}");
            }
            let length = block.len() as u64;
            Ok(block.slice(within.start.min(length) as usize..within.end.min(length) as usize))
        })
    }

    fn read_data(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (number, start) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let end = BLOCK_BYTES.min(start + (range.end - at));
            let piece = self.read_block(pack, number, start..end)?;
            at += end - start;
            let is_last = (piece.len() as u64) < end - start;
            pieces.push(piece);
            if is_last {
                break;
            }
        }
        Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
    }

    /// Packs that the place no longer has become mere copies; `own` was listed before `listed`.
    fn demote(&self, own: Vec<(PackName, u64)>, listed: &[(PackName, u64)]) -> Result<(), RepoError> {
        for (pack, _) in own {
            if listed.binary_search_by_key(&pack, |(name, _)| *name).is_err() {
                self.cache.take_over(&pack.to_string(), &self.own.path(&pack))?;
                self.own.remove(&pack)?;
            }
        }
        Ok(())
    }
}

/// The same error as for a missing file in a folder.
fn missing(place: &Place, pack: &PackName) -> RepoError {
    let path = format!("{}/{PACKS}/{pack}", place.url()).into();
    RepoError::Io { doing: "read", path, source: std::io::ErrorKind::NotFound.into() }
}

fn is_missing(error: &RepoError) -> bool {
    matches!(error, RepoError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

fn fetch(place: &Place, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
    place.get_range(&format!("{PACKS}/{pack}"), range)?.ok_or_else(|| missing(place, pack))
}

/// The packs of a place with their lengths, and when they were written.
fn list(place: &Place) -> Result<Vec<(PackName, u64, Timestamp)>, RepoError> {
    let listed = place.list(PACKS)?.into_iter();
    let pack = |found: Listed| Some((found.name.parse().ok()?, found.size_bytes, found.written_at));
    let mut packs: Vec<(PackName, u64, Timestamp)> = listed.filter_map(pack).collect();
    packs.sort_unstable_by_key(|(name, ..)| *name);
    Ok(packs)
}

fn without_times(listed: &[(PackName, u64, Timestamp)]) -> Vec<(PackName, u64)> {
    listed.iter().map(|(name, length, _)| (*name, *length)).collect()
}

fn written_at(place: &Place, pack: &PackName) -> Result<Timestamp, RepoError> {
    Ok(place.look(&format!("{PACKS}/{pack}"))?.ok_or_else(|| missing(place, pack))?.written_at)
}

fn is_young(written_at: Timestamp) -> bool {
    SystemClock.now().seconds_since(written_at) < HELD_SECONDS
}

impl PackStore for ObjectPacks {
    fn create(&self, class: PackClass) -> Result<Box<dyn PackFile>, RepoError> {
        Ok(Box::new(ObjectPart::new(self.place.clone(), self.own.create(class)?)))
    }

    fn list(&self) -> Result<Vec<(PackName, u64)>, RepoError> {
        let own = self.own.list()?;
        self.is_outdated.store(false, Ordering::Relaxed);
        let found = list(&self.place)?;
        let listed = without_times(&found);
        *self.written.lock().expect("no panic under this lock") =
            found.into_iter().map(|(name, _, written_at)| (name, written_at)).collect();
        let is_here = |pack: &PackName| {
            own.binary_search_by_key(pack, |(name, _)| *name).is_ok() || self.cache.has(&pack.to_string())
        };
        let metas = listed.iter().map(|(name, _)| name).filter(|name| name.class == PackClass::Meta);
        let lacking: Vec<&PackName> = metas.filter(|name| !is_here(name)).collect();
        self.keep_metas(&lacking);
        self.demote(own, &listed)?;
        Ok(listed)
    }

    fn known(&self) -> Result<(Vec<(PackName, u64)>, bool), RepoError> {
        if self.is_outdated.load(Ordering::Relaxed) {
            return Ok((self.list()?, true));
        }
        Ok((self.own.list()?, false))
    }

    fn read(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        match self.read_own(pack, range.clone())? {
            Some(bytes) => Ok(bytes),
            None if pack.class == PackClass::Meta => self.read_meta(pack, range),
            None => self.read_data(pack, range),
        }
    }

    fn read_again(&self, pack: &PackName, range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        let bytes = self.fetch(pack, range.clone())?;
        tracing::warn!("the local copy of pack {pack} is damaged and was removed");
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        blocks
            .map(|number| format!("{pack}.{number}"))
            .chain([pack.to_string()])
            .try_for_each(|name| self.cache.remove(&name))?;
        self.own.remove(pack)?;
        Ok(Some(bytes))
    }

    fn is_held(&self, pack: &PackName) -> Result<bool, RepoError> {
        match self.own.is_held(pack) {
            Err(error) if is_missing(&error) => {
                let listed = self.written.lock().expect("no panic under this lock").get(pack).copied();
                listed.map_or_else(|| written_at(&self.place, pack), Ok).map(is_young)
            }
            held => held,
        }
    }

    fn remove(&self, pack: &PackName) -> Result<(), RepoError> {
        self.place.remove(&format!("{PACKS}/{pack}"))?;
        self.own.remove(pack)?;
        self.cache.remove_all(&pack.to_string())
    }

    fn abandoned(&self) -> Result<Vec<Box<dyn PackFile>>, RepoError> {
        let parts = self.own.abandoned()?.into_iter();
        Ok(parts.map(|part| Box::new(ObjectPart::new(self.place.clone(), part)) as Box<dyn PackFile>).collect())
    }

    fn sync_is_enough(&self) -> bool {
        false
    }
}

/// The packs at a URL, such as those of a mirror: read-only and without local copies.
pub fn open_url(url: &str, access: &Access) -> Result<Arc<dyn PackStore>, RepoError> {
    Ok(Arc::new(PlacePacks { place: Place::open(url, access)? }))
}

/// Packs in a place, without local copies.
#[derive(Debug)]
pub(crate) struct PlacePacks {
    pub(crate) place: Place,
}

impl PackStore for PlacePacks {
    fn create(&self, _: PackClass) -> Result<Box<dyn PackFile>, RepoError> {
        let what = format!("packs at `{}` are read-only here", self.place.url());
        Err(RepoError::Usage { what, hint: Some("pv mirror --to URL writes a mirror".to_owned()) })
    }

    fn list(&self) -> Result<Vec<(PackName, u64)>, RepoError> {
        Ok(without_times(&list(&self.place)?))
    }

    fn read(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        fetch(&self.place, pack, range)
    }

    fn is_held(&self, pack: &PackName) -> Result<bool, RepoError> {
        written_at(&self.place, pack).map(is_young)
    }

    fn remove(&self, pack: &PackName) -> Result<(), RepoError> {
        self.place.remove(&format!("{PACKS}/{pack}"))
    }

    fn abandoned(&self) -> Result<Vec<Box<dyn PackFile>>, RepoError> {
        Ok(Vec::new())
    }
}
