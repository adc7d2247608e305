//! What this user has seen of stores on this machine, like ssh's `known_hosts`.
//!
//! One small file per store, named by the store's id, and one per place that says which store was there; by default below
//! `~/.local/state/pv/known_stores`. It holds the journal's state (records and root), the first key and the place. A command that opens
//! a store checks that its journal still contains that state, in O(log n), and records the new state at its end if the journal grew.
//! Otherwise it warns once; `pv verify` does not call the store proven until `pv checkpoint --accept`.
//!
//! All of this is best effort: an unreadable file counts as unknown, and failed writes are ignored.
//!
//! Notes are not synced: a power cut can lose one, but a note never becomes durable before the record that it describes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use repos::{RepoError, Store, Timestamp};
use serde::{Deserialize, Serialize};
use specs::Digest;

use crate::invocation::Environment;
use crate::output::paint;

/// Most stores, and places, that are remembered; beyond that the oldest files are deleted.
const REMEMBERED: usize = 1000;
/// The value of `PV_KNOWN_STORES` that switches it off.
const NONE: &str = "none";

/// The folder with the known stores.
#[derive(Debug)]
pub(crate) struct KnownStores {
    folder: PathBuf,
}

/// The recorded state of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The store's id.
    pub(crate) store: String,
    /// Folder or URL.
    pub(crate) place: String,
    /// Number of records of its journal.
    pub(crate) records: u64,
    /// The root of the Merkle tree over these records.
    pub(crate) root: Digest,
    /// Digest of the last record.
    pub(crate) last: Option<Digest>,
    /// Fingerprint of the journal's first key.
    pub(crate) key: Option<Digest>,
    /// When it was recorded.
    pub(crate) at: Timestamp,
    /// Whether the user was warned that the store is a different one now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told: bool,
}

/// How a store compares with what was seen before.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It was not seen before.
    New,
    /// It contains the recorded state.
    Same(Seen),
    /// It does not contain the recorded state.
    Other(Box<Other>),
}

/// A store that differs from what was seen before.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    pub(crate) before: Seen,
    pub(crate) now: Seen,
    /// What differs, in words.
    pub(crate) why: String,
}

impl KnownStores {
    /// The folder named by `PV_KNOWN_STORES`, or the user's default; `None` if there is none or it is switched off.
    pub(crate) fn of(env: &Environment, cwd: &Path) -> Option<Self> {
        let folder = match env.get("PV_KNOWN_STORES") {
            Some(NONE) => return None,
            Some(folder) => cwd.join(folder),
            None => {
                let state = env.get("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
                let home = || Some(Path::new(env.get("HOME")?).join(".local/state"));
                state.or_else(home)?.join("pv/known_stores")
            }
        };
        Some(Self { folder })
    }

    /// Compares a store with what was seen of it, and of its place.
    pub(crate) fn standing(&self, store: &Store, now: Timestamp) -> Result<Standing, RepoError> {
        let (id, place) = (store.id()?, place_of(store)?);
        let other = |before: Seen, why: String| -> Result<Standing, RepoError> {
            Ok(Standing::Other(Box::new(Other { before, now: present(store, now)?, why })))
        };
        if let Some(before) = self.at_place(&place).filter(|before| before.store != id) {
            return other(before, "another store is at this place".to_owned());
        }
        let Some(seen) = self.read(&id) else { return Ok(Standing::New) };
        if store.position().records < seen.records {
            // Another process may have seen records that were appended after this one opened the store.
            store.refresh()?;
        }
        let position = store.position();
        if (position.records, position.last) == (seen.records, seen.last) {
            return Ok(Standing::Same(seen));
        }
        match store.root_at(seen.records)? {
            None => return other(seen, format!("the journal was truncated to {} records", position.records)),
            Some(root) if root != seen.root => {
                let why = format!("the journal differs at record {} or earlier", seen.records);
                return other(seen, why);
            }
            Some(_) => {}
        }
        if seen.key.is_some() && store.first_key()? != seen.key {
            return other(seen, "its first key is different".to_owned());
        }
        Ok(Standing::Same(seen))
    }

    /// Records that the user was warned.
    pub(crate) fn told(&self, other: &Other) {
        self.note(&Seen { told: true, ..other.before.clone() });
    }

    /// Records the state of a store if it has more records than recorded, or in any case if `taken`, when the user accepted it.
    pub(crate) fn see(&self, store: &Store, now: Timestamp, taken: bool) -> Result<Seen, RepoError> {
        let seen = present(store, now)?;
        let noted = self.read(&seen.store);
        if noted.is_none() {
            forget_oldest(&self.folder);
            forget_oldest(&self.folder.join("places"));
        }
        // Another process may have recorded a newer state meanwhile.
        if taken || noted.is_none_or(|noted| noted.records < seen.records) {
            self.note(&seen);
        }
        if self.store_at(&seen.place).as_ref() != Some(&seen.store) {
            Self::write(&self.place_file(&seen.place), format!("{}\n", seen.store).as_bytes());
        }
        Ok(seen)
    }

    fn read(&self, store: &str) -> Option<Seen> {
        let text = std::fs::read(self.folder.join(store)).ok()?;
        serde_json::from_slice(&text).ok().filter(|seen: &Seen| seen.store == store)
    }

    /// Which store was at a place.
    fn store_at(&self, place: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.place_file(place)).ok()?;
        // The id is used as a file name in the folder, so it must be valid.
        let id = text.trim_end();
        (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
    }

    fn at_place(&self, place: &str) -> Option<Seen> {
        self.read(&self.store_at(place)?)
    }

    fn place_file(&self, place: &str) -> PathBuf {
        self.folder.join("places").join(repos::hash::digest_of(place.as_bytes()).to_string())
    }

    fn note(&self, seen: &Seen) {
        let mut text = serde_json::to_vec(seen).expect("what was seen has a JSON form");
        text.push(b'\n');
        Self::write(&self.folder.join(&seen.store), &text);
    }

    /// Writes to a temporary file and renames it, so no reader sees a partial file. Not synced: a power failure may lose a record.
    fn write(file: &Path, bytes: &[u8]) {
        let part = file.with_extension(format!("{}.part", repos::random_hex()));
        let written = (|| {
            let created = match std::fs::File::create_new(&part) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    part.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                    std::fs::File::create_new(&part)
                }
                created => created,
            };
            created?.write_all(bytes)?;
            std::fs::rename(&part, file)
        })();
        if let Err(error) = written {
            tracing::debug!("`{}` is not noted: {error}", file.display());
            std::fs::remove_file(&part).ok();
        }
    }
}

/// Deletes the oldest files of a folder if it is full, for machines that create stores all the time.
fn forget_oldest(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = files
        .filter_map(|entry| {
            Some((entry.metadata().ok().filter(std::fs::Metadata::is_file)?.modified().ok()?, entry.path()))
        })
        .collect();
    if files.len() >= REMEMBERED {
        files.sort_unstable();
        for (_, file) in &files[..files.len() - REMEMBERED * 9 / 10] {
            std::fs::remove_file(file).ok();
        }
    }
}

/// Where a store is: the URL of its packs and journal, else its folder.
fn place_of(store: &Store) -> Result<String, RepoError> {
    if let Some(url) = store.objects_url()? {
        return Ok(url);
    }
    Ok(store.dir().canonicalize().unwrap_or_else(|_| store.dir().to_owned()).display().to_string())
}

/// The current state of a store.
fn present(store: &Store, at: Timestamp) -> Result<Seen, RepoError> {
    let (position, place) = (store.position(), place_of(store)?);
    // The root exists: the journal only grows while the store is open.
    let root = store.root_at(position.records)?.unwrap_or_else(repos::log::tree::empty_root);
    let (store_id, key) = (store.id()?, store.first_key()?);
    Ok(Seen { store: store_id, place, records: position.records, root, last: position.last, key, at, told: false })
}

impl Seen {
    /// Whether the user was warned that the store differed, which is no longer so.
    pub(crate) fn was_told(&self) -> bool {
        self.told
    }

    /// In words: its distinguishing properties.
    pub(crate) fn words(&self) -> String {
        let key = self.key.map_or_else(|| "no key".to_owned(), |key| format!("key {}", key.short(12)));
        format!(
            "store {}, {} records, root {}, {key}",
            &self.store[..8.min(self.store.len())],
            self.records,
            self.root.short(12)
        )
    }
}

impl Other {
    /// Whether the user has not been warned yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.before.told
    }

    /// The warning, shown once.
    pub(crate) fn warning(&self, color: bool) -> String {
        let painted = |numbers: &str, word: &str| if color { paint(numbers, word) } else { word.to_owned() };
        let head = painted("1;31", "WARNING: THIS STORE HAS CHANGED UNEXPECTEDLY");
        let mut text = format!("{head}: {}: {}\n", self.now.place, self.why);
        let _ = writeln!(text, "  seen {}  {}", self.before.at, self.before.words());
        let _ = writeln!(text, "  now   {}", self.now.words());
        text += "  Possible causes: a restored backup, a disk that lost confirmed writes, or tampering.\n";
        let hint = painted("36", "hint:");
        let _ = writeln!(text, "{hint} pv verify --checkpoint FILE compares it with a checkpoint");
        let _ = writeln!(text, "      pv checkpoint --accept accepts it as it is");
        text
    }
}
