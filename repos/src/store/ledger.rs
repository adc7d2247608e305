//! What clients have sent: a ledger beside packs and journal, in `.pv/received`.
//!
//! It answers two questions. May this client name this content, because it has sent it? And which content must garbage collection keep,
//! because a client is about to name it? The answers count for a time after the content was sent, the second also only until it is committed.
//! An entry never proves that the content is there: that is looked up.
//!
//! ```text
//! key    first half of SHA-256 of the client's name, 16 bytes · digest of the content, 32 bytes
//! value  when, microseconds since 1970, i64 big-endian · 1 if a commit of this client named it since, else 0
//! ```
//! A small `RocksDB` of its own: any number of entries in little memory, and what was written survives the death of this process. After a
//! power cut the newest entries may be lost; then clients send that content again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rocksdb::{BlockBasedOptions, Cache, DB, ErrorKind, InfoLogger, IteratorMode, LogLevel, Options, WriteBatch};
use specs::Digest;

use super::Result;
use crate::base::error::{IoContext, RepoError};
use crate::base::hash::digest_of;
use crate::base::time::Timestamp;

/// Length of the part of a key that stands for the client.
const CLIENT: usize = 16;
/// Bytes that are buffered before they are written as a sorted file.
const BUFFER_BYTES: usize = 4 << 20;
/// Number of old notes that are dropped in one step.
const DROPPED_AT_ONCE: usize = 10_000;

/// An entry about some content that one client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) at: Timestamp,
    /// Whether a commit of this client named it since: then it is kept for that commit, or not at all.
    pub(super) is_committed: bool,
}

impl Note {
    fn encode(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&self.at.as_micros().to_be_bytes());
        bytes[8] = u8::from(self.is_committed);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk()?;
        Some(Self { at: Timestamp::from_micros(i64::from_be_bytes(*at)), is_committed: *rest.first()? == 1 })
    }
}

/// The ledger of one store, open in one process.
#[derive(Debug)]
pub(crate) struct Ledger {
    db: DB,
    folder: PathBuf,
    fresh: Mutex<Fresh>,
}

/// What was noted while collections of garbage were at work.
#[derive(Debug, Default)]
struct Fresh {
    collections: usize,
    digests: Vec<Digest>,
}

/// Sees, for one collection of garbage, what is noted while it is at work.
#[derive(Debug)]
pub(crate) struct Watch {
    ledger: Arc<Ledger>,
    seen: usize,
}

impl Watch {
    /// Begins to watch; later than this, nothing is missed.
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        let seen = {
            let mut fresh = ledger.fresh();
            fresh.collections += 1;
            fresh.digests.len()
        };
        Self { ledger, seen }
    }

    /// Visits every content that was sent at `kept_since` or later and is not committed; drops notes from before `noted_since`, which is
    /// not later.
    pub(crate) fn visit(
        &self,
        (noted_since, kept_since): (Timestamp, Timestamp),
        visit: &mut dyn FnMut(&Digest) -> Result<()>,
    ) -> Result<()> {
        self.ledger.visit(
            noted_since,
            |digest, note| {
                if note.at >= kept_since && !note.is_committed { visit(digest) } else { Ok(()) }
            },
        )
    }

    /// What was noted since the last call, or since the start.
    pub(crate) fn take(&mut self) -> Vec<Digest> {
        let fresh = self.ledger.fresh();
        let new = fresh.digests[self.seen..].to_vec();
        self.seen = fresh.digests.len();
        new
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut fresh = self.ledger.fresh();
        fresh.collections -= 1;
        if fresh.collections == 0 {
            fresh.digests = Vec::new();
        }
    }
}

/// The keys of one client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client([u8; CLIENT]);

impl Client {
    pub(super) fn named(name: &str) -> Self {
        let mut client = [0; CLIENT];
        client.copy_from_slice(&digest_of(name.as_bytes()).as_bytes()[..CLIENT]);
        Self(client)
    }

    fn key(self, digest: &Digest) -> [u8; CLIENT + 32] {
        let mut key = [0; CLIENT + 32];
        key[..CLIENT].copy_from_slice(&self.0);
        key[CLIENT..].copy_from_slice(digest.as_bytes());
        key
    }
}

fn options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(4 << 20));
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(BUFFER_BYTES);
    options.set_max_total_wal_size(2 * BUFFER_BYTES as u64);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // No log file.
    options
        .set_info_logger(InfoLogger::new_callback_logger(LogLevel::Error, |_, text| tracing::debug!("ledger: {text}")));
    options
}

impl Ledger {
    /// Opens the ledger in this folder, which one process at a time can do; it is made if it is missing. A damaged one is made anew: then
    /// clients send again what they had sent.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let db = open_small(folder, "the ledger of received objects")?;
        Ok(Self { db, folder: folder.to_owned(), fresh: Mutex::default() })
    }

    /// What is noted about each of these contents for a client.
    pub(super) fn notes(&self, client: Client, digests: &[Digest]) -> Result<Vec<Option<Note>>> {
        let found = self.db.multi_get(digests.iter().map(|digest| client.key(digest)));
        let note = |bytes: Option<Vec<u8>>| bytes.as_deref().and_then(Note::decode);
        found.into_iter().map(|found| found.map(note).map_err(|error| of_disk(&self.folder, error))).collect()
    }

    /// Notes contents for a client, in place of earlier notes.
    pub(super) fn write(&self, client: Client, notes: &[(Digest, Note)]) -> Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        for (digest, note) in notes {
            batch.put(client.key(digest), note.encode());
        }
        self.db.write(batch).map_err(|error| of_disk(&self.folder, error))?;
        let mut fresh = self.fresh();
        if fresh.collections > 0 {
            fresh.digests.extend(notes.iter().filter(|(_, note)| !note.is_committed).map(|(digest, _)| *digest));
        }
        Ok(())
    }

    fn visit(&self, since: Timestamp, mut visit: impl FnMut(&Digest, Note) -> Result<()>) -> Result<()> {
        let mut old = WriteBatch::default();
        for entry in self.db.iterator(IteratorMode::Start) {
            let (key, value) = entry.map_err(|error| of_disk(&self.folder, error))?;
            let digest = key.get(CLIENT..).and_then(|digest| digest.try_into().ok()).map(Digest::from_bytes);
            match (digest, Note::decode(&value)) {
                (Some(digest), Some(note)) if note.at >= since => visit(&digest, note)?,
                _ => old.delete(&key),
            }
            if old.len() >= DROPPED_AT_ONCE {
                self.db.write(std::mem::take(&mut old)).map_err(|error| of_disk(&self.folder, error))?;
            }
        }
        self.db.write(old).map_err(|error| of_disk(&self.folder, error))
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().expect("no panic under this lock")
    }
}

/// Opens a small `RocksDB` in a folder, which is made if it is missing. A damaged one begins anew; messages call it `what`.
pub(super) fn open_small(folder: &Path, what: &str) -> Result<DB> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let db = match DB::open(&options(), folder) {
        Err(error) if error.kind() == ErrorKind::Corruption => {
            tracing::warn!("{what} is damaged and begins anew: {error}");
            std::fs::remove_dir_all(folder).doing("remove", folder)?;
            DB::open(&options(), folder)
        }
        opened => opened,
    };
    db.map_err(|error| of_disk(folder, error))
}

/// Not an error of the index, which could be rebuilt.
pub(super) fn of_disk(folder: &Path, error: rocksdb::Error) -> RepoError {
    RepoError::Io { doing: "use", path: folder.to_owned(), source: std::io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(at: i64, is_committed: bool) -> Note {
        Note { at: Timestamp::from_micros(at), is_committed }
    }

    fn visited(watch: &Watch, noted: i64, kept: i64) -> Vec<Digest> {
        let mut seen = Vec::new();
        let mut push = |digest: &Digest| {
            seen.push(*digest);
            Ok(())
        };
        watch.visit((Timestamp::from_micros(noted), Timestamp::from_micros(kept)), &mut push).unwrap();
        seen
    }

    #[test]
    fn notes_survive_a_restart_and_end_with_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Client::named("one"), Client::named("other"));
        let digests = [b"a", b"b", b"c"].map(|bytes| digest_of(bytes));
        let ledger = Ledger::open(folder.path()).unwrap();
        let notes = [note(10, false), note(20, false), note(30, true)];
        ledger.write(one, &digests.into_iter().zip(notes).collect::<Vec<_>>()).unwrap();
        drop(ledger);
        let ledger = Arc::new(Ledger::open(folder.path()).unwrap());
        assert_eq!(ledger.notes(one, &digests).unwrap(), notes.map(Some));
        assert_eq!(ledger.notes(other, &digests).unwrap(), [None; 3]);
        let mut watch = Watch::new(ledger.clone());
        assert_eq!(visited(&watch, 10, 20), [digests[1]], "the third is committed");
        assert_eq!(ledger.notes(one, &digests).unwrap(), notes.map(Some));
        assert_eq!(visited(&watch, 20, 30), []);
        assert_eq!(
            ledger.notes(one, &digests).unwrap(),
            [None, Some(notes[1]), Some(notes[2])],
            "the oldest is dropped"
        );
        ledger.write(other, &[(digests[0], note(40, false)), (digests[1], note(40, true))]).unwrap();
        assert_eq!((watch.take(), watch.take()), (vec![digests[0]], vec![]));
    }

    #[test]
    fn each_collection_sees_what_is_noted_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(folder.path()).unwrap());
        let add = |bytes: &[u8]| ledger.write(Client::named("c"), &[(digest_of(bytes), note(1, false))]).unwrap();
        add(b"before");
        let mut first = Watch::new(ledger.clone());
        add(b"one");
        let mut second = Watch::new(ledger.clone());
        add(b"two");
        assert_eq!(first.take(), [digest_of(b"one"), digest_of(b"two")]);
        assert_eq!(second.take(), [digest_of(b"two")]);
        drop((first, second));
        add(b"after");
        assert!(ledger.fresh().digests.is_empty(), "nobody watches");
    }

    #[test]
    fn a_ledger_that_is_open_elsewhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let _ledger = Ledger::open(folder.path()).unwrap();
        assert!(matches!(Ledger::open(folder.path()), Err(RepoError::Io { .. })));
    }

    #[test]
    fn a_damaged_ledger_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let digest = digest_of(b"a");
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(Client::named("one"), &[(digest, note(1, false))]).unwrap();
        drop(ledger);
        let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let list =
            entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST")));
        list.for_each(|path| std::fs::write(path, "not a list of files").unwrap());
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.notes(Client::named("one"), &[digest]).unwrap(), [None]);
        ledger.write(Client::named("one"), &[(digest, note(2, false))]).unwrap();
    }
}
