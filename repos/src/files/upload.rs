//! Reads, hashes and stores gathered files on all cores. Needs no lock; what is stored counts only once a commit names it.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Edits;
use super::gather::{Content, Gathered, special};
use crate::error::{IoContext, RepoError};
use crate::parallel;
use crate::stop::stop_at;
use crate::store::{Result, Store, Stored};
use crate::tree::FileEntry;

/// Files that were stored.
#[derive(Debug)]
pub struct Uploaded {
    /// What each gathered file became, in their order.
    pub files: Vec<FileEntry>,
    /// How many bytes of them the store did not hold before.
    pub new_bytes: u64,
}

impl Uploaded {
    /// The edits that put these files, gathered as `gathered`, in their places.
    pub fn into_edits(self, gathered: Gathered) -> Edits {
        let files = gathered.into_paths().zip(self.files.into_iter().map(Some)).collect();
        Edits { files, sources: Vec::new(), new_bytes: self.new_bytes }
    }
}

/// Stores the content of all gathered files. `progress` is called with the files and bytes done so far, from several threads.
///
/// `ChangedWhileRead` when a file was written to meanwhile; `BadSources` names all that cannot be opened.
pub fn upload(store: &Store, gathered: &Gathered, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Uploaded> {
    let job = Upload {
        store,
        gathered,
        progress,
        bad: Mutex::default(),
        spoilt: AtomicBool::new(false),
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        new_bytes: AtomicU64::new(0),
    };
    let files = parallel::map(gathered.len(), Vec::new, |buffer, at| job.take(buffer, at))?;
    let mut bad = job.bad.into_inner().unwrap_or_default();
    if !bad.is_empty() {
        bad.sort_unstable();
        return Err(RepoError::BadSources(bad));
    }
    stop_at("put.after_upload");
    // Without a bad source, every file is there.
    Ok(Uploaded { files: files.into_iter().flatten().collect(), new_bytes: job.new_bytes.into_inner() })
}

struct Upload<'a> {
    store: &'a Store,
    gathered: &'a Gathered,
    progress: &'a (dyn Fn(u64, u64) + Sync),
    bad: Mutex<Vec<(PathBuf, String)>>,
    /// Set with the first bad source: from then on files are only opened, to name all bad ones.
    spoilt: AtomicBool,
    files: AtomicU64,
    bytes: AtomicU64,
    new_bytes: AtomicU64,
}

impl Upload<'_> {
    /// `None` once a source is bad. `buffer` is the thread's own, so that a small file costs no allocation.
    fn take(&self, buffer: &mut Vec<u8>, at: usize) -> Result<Option<FileEntry>> {
        let (stored, executable) = match self.gathered.content(at) {
            Content::Stdin => {
                let stored = self.store.put_content(std::io::stdin().lock());
                (stored.doing("read", Path::new("standard input"))?, false)
            }
            Content::File(path) => match self.open(&path)? {
                Some((file, before)) if !self.spoilt.load(Ordering::Relaxed) => {
                    (self.read(&path, file, &before, buffer)?, before.permissions().mode() & 0o111 != 0)
                }
                _ => return Ok(None),
            },
        };
        self.new_bytes.fetch_add(stored.new_bytes, Ordering::Relaxed);
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(stored.size_bytes, Ordering::Relaxed) + stored.size_bytes;
        (self.progress)(files, bytes);
        Ok(Some(FileEntry { digest: stored.digest, size: stored.size_bytes, executable }))
    }

    /// Opens a source; one that cannot be is noted down, for an error that names all.
    fn open(&self, path: &Path) -> Result<Option<(File, Metadata)>> {
        // Not blocking: what was a file may be a pipe by now.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
        let why = match opened {
            Ok(file) => {
                let data = file.metadata().doing("read", path)?;
                match special(&data) {
                    None => return Ok(Some((file, data))),
                    Some(why) => why.to_owned(),
                }
            }
            Err(error) if is_short_of_files(&error) => return Err(error).doing("open", path),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.spoilt.store(true, Ordering::Relaxed);
        self.bad.lock().expect("no panic under this lock").push((path.to_owned(), why));
        Ok(None)
    }

    fn read(&self, path: &Path, mut file: File, before: &Metadata, buffer: &mut Vec<u8>) -> Result<Stored> {
        let stored = if before.len() < Store::ONE_CHUNK_BYTES {
            // One call more than the size: most files are read in one go, and growth is noticed.
            buffer.resize(before.len() as usize + 1, 0);
            let length = read_full(&mut file, buffer).doing("read", path)?;
            self.store.put_bytes(&buffer[..length])?
        } else {
            self.store.put_content(&mut file).map_err(|error| unwrap_error(error, path))?
        };
        let after = file.metadata().doing("read", path)?;
        let stamp = |data: &Metadata| (data.len(), data.mtime(), data.mtime_nsec());
        if stamp(before) != stamp(&after) || stored.size_bytes != after.len() {
            return Err(RepoError::ChangedWhileRead { path: path.to_owned() });
        }
        Ok(stored)
    }
}

/// A limit of this process says nothing about the source.
fn is_short_of_files(error: &std::io::Error) -> bool {
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOMEM];
    limits.iter().any(|limit| error.raw_os_error() == Some(limit.raw_os_error()))
}

/// An error of the store passes through `Read` as an I/O error: it comes out as it was.
fn unwrap_error(error: std::io::Error, path: &Path) -> RepoError {
    error.downcast::<RepoError>().unwrap_or_else(|source| RepoError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

/// Reads until `buffer` is full or the file ends; the bytes read. A regular file that gives less than was asked has ended.
fn read_full(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => {
                length += read;
                if length + 1 == buffer.len() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
