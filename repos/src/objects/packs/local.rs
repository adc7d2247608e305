//! Packs as files of a local folder.
//!
//! A pack is written as `<random>.part`, locked by its writer while that process lives, and renamed to its final name once finished.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::FlockOperation;

use super::{PackFile, PackName, PackStore, UnfinishedPack, format};
use crate::base::durable::{Writeback, sync_folder};
use crate::base::error::{IoContext, RepoError};
use crate::base::kind::PackClass;
use crate::base::watch::{Step, tell};

const PART: &str = "part";
/// Maximum number of files kept open for reading: well below what a process may have.
const OPEN_MAX: usize = 256;

/// Packs in one local folder.
#[derive(Debug)]
pub struct LocalPacks {
    folder: PathBuf,
    /// Files stay open: a read is one system call.
    open: Mutex<HashMap<PackName, Arc<File>>>,
}

impl LocalPacks {
    /// Uses `folder`, which exists.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, open: Mutex::default() }
    }

    /// The path of a pack, whether or not it exists.
    pub(super) fn path(&self, pack: &PackName) -> PathBuf {
        self.folder.join(pack.to_string())
    }

    fn file(&self, pack: &PackName) -> Result<Arc<File>, RepoError> {
        if let Some(file) = self.open.lock().expect("no panic under this lock").get(pack) {
            return Ok(file.clone());
        }
        let path = self.path(pack);
        let file = Arc::new(File::open(&path).doing("open", &path)?);
        let mut open = self.open.lock().expect("no panic under this lock");
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        open.insert(*pack, file.clone());
        Ok(file)
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>, RepoError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder).doing("list", &self.folder)? {
            let entry = entry.doing("list", &self.folder)?;
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        Ok(found)
    }
}

impl PackStore for LocalPacks {
    fn create(&self, class: PackClass) -> Result<Box<dyn PackFile>, RepoError> {
        // Until it is locked, a new part looks abandoned: another process may lock it first to salvage it, or have removed it.
        let (path, file) = loop {
            let path = self.folder.join(format!("{}.{}.{PART}", crate::base::random::hex(), class.word()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).doing("create", &path)?;
            tell(&path, || Step::Created);
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if path.exists() => break (path, file),
                Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(std::io::Error::from(error)).doing("lock", &path),
            }
        };
        let mut part = LocalPart::new(file, path, class, 0);
        part.append(&[&format::header(class)])?;
        Ok(Box::new(part))
    }

    fn list(&self) -> Result<Vec<(PackName, u64)>, RepoError> {
        let mut packs = Vec::new();
        let mut entries = self.entries()?;
        while let Some((name, path)) = entries.pop() {
            let Ok(name) = name.parse() else { continue };
            match std::fs::metadata(&path) {
                Ok(metadata) => packs.push((name, metadata.len())),
                // Removed after the folder was read: a replacement may also have appeared since then.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    packs.clear();
                    entries = self.entries()?;
                }
                Err(error) => return Err(error).doing("read", &path),
            }
        }
        packs.sort_unstable();
        // Deleted files use disk space as long as some process has them open.
        let is_listed = |name: &PackName| packs.binary_search_by_key(name, |(name, _)| *name).is_ok();
        self.open.lock().expect("no panic under this lock").retain(|name, _| is_listed(name));
        Ok(packs)
    }

    fn read(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        read_range(&*self.file(pack)?, range).doing("read", &self.path(pack))
    }

    fn is_held(&self, pack: &PackName) -> Result<bool, RepoError> {
        // The writer's lock is on the file, whatever its name. Files kept open here for reading are not locked.
        let path = self.path(pack);
        let file = File::open(&path).doing("open", &path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(std::io::Error::from(error)).doing("lock", &path),
        }
    }

    fn remove(&self, pack: &PackName) -> Result<(), RepoError> {
        self.open.lock().expect("no panic under this lock").remove(pack);
        let path = self.path(pack);
        let _locked = lock_folder(&self.folder, FlockOperation::LockExclusive)?;
        // A writer produced the same pack again: the file is a new one, and the writer needs it.
        if path.exists() && self.is_held(pack)? {
            return Ok(());
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => removed.doing("remove", &path)?,
        }
        tell(&path, || Step::Removed);
        Ok(())
    }

    fn unfinished(&self) -> Result<Vec<UnfinishedPack>, RepoError> {
        let mut parts = Vec::new();
        for (name, path) in self.entries()? {
            let Some(class) = class_of_part(&name) else { continue };
            match File::open(&path) {
                Ok(file) => parts.push(UnfinishedPack { name, class, file }),
                // Finished or discarded after the folder was read.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).doing("open", &path),
            }
        }
        Ok(parts)
    }

    fn abandoned(&self) -> Result<Vec<Box<dyn PackFile>>, RepoError> {
        let mut parts: Vec<Box<dyn PackFile>> = Vec::new();
        for (name, path) in self.entries()? {
            let Some(class) = class_of_part(&name) else { continue };
            // Its writer may finish it between the listing and this point.
            let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() || !path.exists() {
                continue;
            }
            let length = file.metadata().doing("read", &path)?.len();
            parts.push(Box::new(LocalPart::new(file, path, class, length)));
        }
        Ok(parts)
    }
}

/// The class of an unfinished pack, from its file name; `None` for other files.
fn class_of_part(name: &str) -> Option<PackClass> {
    PackClass::ALL.into_iter().find(|class| name.ends_with(&format!(".{}.{PART}", class.word())))
}

pub(super) fn read_range(file: &File, range: Range<u64>) -> std::io::Result<Bytes> {
    let wanted = (range.end - range.start) as usize;
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let at = range.start + bytes.len() as u64;
        // Reads into spare capacity, which avoids zeroing the memory first.
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(wanted);
    Ok(bytes.into())
}

/// Prevents a pack from being finished and removed under one name at the same time.
fn lock_folder(folder: &Path, how: FlockOperation) -> Result<File, RepoError> {
    let file = File::open(folder).doing("open", folder)?;
    rustix::fs::flock(&file, how).map_err(std::io::Error::from).doing("lock", folder)?;
    Ok(file)
}

/// A pack being written; the lock on its file shows others that its writer lives.
#[derive(Debug)]
struct LocalPart {
    file: File,
    path: PathBuf,
    class: PackClass,
    length: u64,
    /// Whether its name is durable: without it the bytes are lost, however durable they are.
    is_named: bool,
    /// Whether a sync failed. The kernel reports this only once: unwritten pages count as clean afterwards.
    lost: bool,
    writeback: Writeback,
}

impl LocalPart {
    fn new(file: File, path: PathBuf, class: PackClass, length: u64) -> Self {
        Self { file, path, class, length, is_named: false, lost: false, writeback: Writeback::default() }
    }

    fn folder(&self) -> &Path {
        self.path.parent().expect("a pack lies in a folder")
    }

    fn sync_file(&mut self) -> std::io::Result<()> {
        if self.lost {
            return Err(std::io::Error::other("an earlier sync of this file failed"));
        }
        let synced = self.writeback.wait().and_then(|()| self.file.sync_all());
        self.lost = synced.is_err();
        synced?;
        tell(&self.path, || Step::Synced);
        Ok(())
    }
}

impl PackFile for LocalPart {
    fn class(&self) -> PackClass {
        self.class
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn append(&mut self, pieces: &[&[u8]]) -> Result<(), RepoError> {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut written = self.file.write_vectored(&slices).doing("write", &self.path)?;
        for piece in pieces {
            // Usually one call writes everything; otherwise the rest is written piece by piece.
            let skip = written.min(piece.len());
            self.file.write_all(&piece[skip..]).doing("write", &self.path)?;
            written -= skip;
        }
        tell(&self.path, || Step::Wrote { at: self.length, bytes: pieces.concat() });
        self.length += total as u64;
        let begun = self.writeback.go_on(&self.file, self.length);
        self.lost |= begun.is_err();
        begun.doing("sync", &self.path)
    }

    fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError> {
        read_range(&self.file, range).doing("read", &self.path)
    }

    fn sync(&mut self) -> Result<(), RepoError> {
        self.sync_file().doing("sync", &self.path)?;
        if !self.is_named {
            sync_folder(self.folder())?;
            self.is_named = true;
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<(), RepoError> {
        use std::io::{Seek, SeekFrom};
        self.file.set_len(length).doing("truncate", &self.path)?;
        tell(&self.path, || Step::Cut { length });
        self.file.seek(SeekFrom::Start(length)).doing("seek in", &self.path)?;
        self.length = length;
        self.writeback.cut(length);
        Ok(())
    }

    fn finish(&mut self, name: PackName) -> Result<(), RepoError> {
        self.sync_file().doing("sync", &self.path)?;
        let folder = self.folder();
        let listed = folder.join(name.to_string());
        let _locked = lock_folder(folder, FlockOperation::LockShared)?;
        std::fs::rename(&self.path, &listed).doing("rename", &self.path)?;
        tell(&self.path, || Step::Renamed { to: listed.clone() });
        sync_folder(folder).inspect_err(|_| {
            if std::fs::rename(&listed, &self.path).is_ok() {
                tell(&listed, || Step::Renamed { to: self.path.clone() });
            }
        })
    }

    fn discard(self: Box<Self>) -> Result<(), RepoError> {
        std::fs::remove_file(&self.path).doing("remove", &self.path)?;
        tell(&self.path, || Step::Removed);
        Ok(())
    }
}
