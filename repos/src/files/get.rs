//! Brings files back to this machine. All that is in the way is found before anything is written.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{Folder, There};
use super::history::diff;
use super::lookup::kind_at;
use crate::error::{IoContext, RepoError};
use crate::hash::Hasher;
use crate::object::Kind;
use crate::parallel;
use crate::store::{Resolved, Result, Store};
use crate::tree::files::{directory_range, path_of};
use crate::tree::{FileEntry, PathKind, Tree};

/// How many files an error names.
const NAMED: usize = 20;

/// How to get files.
#[derive(Clone, Copy)]
pub struct GetOptions<'a> {
    /// Only files that are new or other than in this tree.
    pub since: Option<Tree>,
    /// Replaces files with other bytes.
    pub force: bool,
    /// Called with the files and bytes done so far, from several threads.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What a get did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Got {
    /// Files that were asked for.
    pub files: u64,
    /// Bytes of them.
    pub size_bytes: u64,
    /// Files that were written; the others were there with the same bytes.
    pub written: u64,
}

/// A file to bring: where below the folder, and which.
#[derive(Debug)]
struct Item {
    path: String,
    file: FileEntry,
}

/// What is to be done for an item.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Create,
    Replace,
    /// The bytes are right, the executable bit is not.
    SetMode,
    /// Something is in the way that is not replaced even with `force`.
    Blocked(String),
}

/// Brings the file that a reference names to `dest/name`, or the contents of a directory to `dest/`, which is made when it is missing.
///
/// A link below `dest` is never followed. `Conflict` when other bytes are there, unless forced, or anything that is no file: then nothing
/// was written. Each file appears whole or not at all.
pub fn get(store: &Store, from: &Resolved, dest: &Path, options: GetOptions<'_>) -> Result<Got> {
    let items = items(store, from, options.since)?;
    if store.is_pruned(&from.id)?.is_some() {
        for Item { path, file } in &items {
            store.refuse_pruned(&from.id, &from.path.join(path).unwrap_or_else(|_| from.path.clone()), file)?;
        }
    }
    let steps = match Folder::open(dest) {
        Ok(folder) => parallel::map(items.len(), || folder.again(), |folder, at| check(folder, dest, &items[at]))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => items.iter().map(|_| Step::Create).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            let what = format!("`{}` is a file, and files are brought into a directory", dest.display());
            return Err(RepoError::Conflict {
                what,
                hint: Some("name a directory, or one that is to be made".to_owned()),
            });
        }
        Err(error) => return Err(error).doing("open", dest),
    };
    refuse_conflicts(dest, &items, &steps, options.force)?;
    std::fs::create_dir_all(dest).doing("create", dest)?;
    let folder = Folder::open(dest).doing("open", dest)?;
    let work = Work { store, dest, options, files: AtomicU64::new(0), bytes: AtomicU64::new(0) };
    parallel::map(items.len(), || folder.again(), |folder, at| work.bring(folder, &items[at], &steps[at]))?;
    let written = steps.iter().filter(|step| matches!(step, Step::Create | Step::Replace)).count();
    let size_bytes = items.iter().map(|item| item.file.size).sum();
    Ok(Got { files: items.len() as u64, size_bytes, written: written as u64 })
}

fn items(store: &Store, from: &Resolved, since: Option<Tree>) -> Result<Vec<Item>> {
    let path = &from.path;
    let kind = kind_at(store, from.tree(), &from.place(), path)?;
    if let Some(since) = since {
        let changes = diff(store, since, from.tree(), Some(path))?;
        let new = changes.filter_map(|change| change.map(|change| Some((change.path, change.new?))).transpose());
        return new
            .map(|file| file.map(|(at, file)| Item { path: at.below(path).unwrap_or(path.name()).to_owned(), file }))
            .collect();
    }
    if let PathKind::File(file) = kind {
        return Ok(vec![Item { path: path.name().to_owned(), file }]);
    }
    let entries = from.tree().range(store, directory_range(path))?;
    let item = |(key, file): (Vec<u8>, FileEntry)| -> Result<Item> {
        Ok(Item { path: path_of(&key)?.below(path).unwrap_or_default().to_owned(), file })
    };
    entries.map(|entry| entry.and_then(item)).collect()
}

/// A thread's own view of the folder; it could only fail for want of file descriptors.
fn own<'a>(folder: &'a mut std::io::Result<Folder>, dest: &Path) -> Result<&'a mut Folder> {
    match folder {
        Ok(folder) => Ok(folder),
        Err(error) => Err(std::io::Error::from(error.kind())).doing("open", dest),
    }
}

fn check(folder: &mut std::io::Result<Folder>, dest: &Path, item: &Item) -> Result<Step> {
    let there = own(folder, dest)?.look(&item.path).doing("read", &dest.join(&item.path))?;
    let mut file = match there {
        There::Nothing => return Ok(Step::Create),
        There::InTheWay(path, "is a link") if path == item.path => return Ok(Step::Replace),
        There::InTheWay(path, what) => return Ok(Step::Blocked(format!("`{}` {what}", dest.join(path).display()))),
        There::File(file) => file,
    };
    let data = file.metadata().doing("read", dest)?;
    if !has_bytes(&mut file, &data, &item.file).doing("read", &dest.join(&item.path))? {
        return Ok(Step::Replace);
    }
    let is_executable = data.permissions().mode() & 0o111 != 0;
    Ok(if is_executable == item.file.executable { Step::Nothing } else { Step::SetMode })
}

fn has_bytes(file: &mut File, data: &Metadata, wanted: &FileEntry) -> std::io::Result<bool> {
    if data.len() != wanted.size {
        return Ok(false);
    }
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish() == wanted.digest),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn refuse_conflicts(dest: &Path, items: &[Item], steps: &[Step], force: bool) -> Result<()> {
    let mut blocked: Vec<&str> =
        steps.iter().filter_map(|step| if let Step::Blocked(why) = step { Some(why.as_str()) } else { None }).collect();
    blocked.dedup();
    if !blocked.is_empty() {
        let hint = Some(
            "nothing is written through a link or in place of a directory; move it away or choose another folder"
                .to_owned(),
        );
        return Err(RepoError::Conflict { what: named(&blocked), hint });
    }
    let other: Vec<String> = items
        .iter()
        .zip(steps)
        .filter(|(_, step)| !force && **step == Step::Replace)
        .map(|(item, _)| format!("`{}` has other bytes", dest.join(&item.path).display()))
        .collect();
    if other.is_empty() {
        return Ok(());
    }
    Err(RepoError::Conflict { what: named(&other), hint: Some("--force replaces them".to_owned()) })
}

fn named<T: AsRef<str>>(lines: &[T]) -> String {
    let mut text: Vec<&str> = lines.iter().take(NAMED).map(AsRef::as_ref).collect();
    let more = format!("… and {} more", lines.len().saturating_sub(NAMED));
    if lines.len() > NAMED {
        text.push(&more);
    }
    text.join("\n")
}

struct Work<'a> {
    store: &'a Store,
    dest: &'a Path,
    options: GetOptions<'a>,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Work<'_> {
    fn bring(&self, folder: &mut std::io::Result<Folder>, item: &Item, step: &Step) -> Result<()> {
        let folder = own(folder, self.dest)?;
        match step {
            Step::Create => self.write(folder, item, false)?,
            Step::Replace => self.write(folder, item, true)?,
            Step::SetMode => self.set_mode(folder, item)?,
            Step::Nothing | Step::Blocked(_) => {}
        }
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(item.file.size, Ordering::Relaxed) + item.file.size;
        (self.options.progress)(files, bytes);
        Ok(())
    }

    fn write(&self, folder: &mut Folder, item: &Item, replace: bool) -> Result<()> {
        let path = self.dest.join(&item.path);
        let fill = |file: &mut File| copy(self.store, &item.file, file).map_err(into_io);
        folder.write(&item.path, item.file.executable, replace || self.options.force, fill).map_err(|error| match error
        {
            error if error.kind() == std::io::ErrorKind::AlreadyExists => {
                RepoError::Conflict { what: format!("`{}` came into being meanwhile", path.display()), hint: None }
            }
            error => error.downcast().unwrap_or_else(|source| RepoError::Io { doing: "write", path, source }),
        })
    }

    fn set_mode(&self, folder: &mut Folder, item: &Item) -> Result<()> {
        let path = self.dest.join(&item.path);
        let There::File(file) = folder.look(&item.path).doing("read", &path)? else { return Ok(()) };
        let mode = file.metadata().doing("read", &path)?.permissions().mode();
        // Whoever may read it may execute it.
        let mode = if item.file.executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
        file.set_permissions(std::fs::Permissions::from_mode(mode)).doing("change the mode of", &path)
    }
}

/// The store's errors keep their own form on the way through I/O.
fn into_io(error: RepoError) -> std::io::Error {
    match error {
        RepoError::Io { source, doing: "write", .. } => source,
        error => std::io::Error::other(error),
    }
}

/// Writes a file's content; each chunk is checked, and of several the whole too.
fn copy(store: &Store, file: &FileEntry, into: &mut File) -> Result<()> {
    let mut reader = store.open_file(file)?;
    let (mut whole, mut length, mut chunks) = (Hasher::default(), 0, 0);
    while let Some(chunk) = reader.next_chunk()? {
        into.write_all(&chunk).doing("write", Path::new(""))?;
        length += chunk.len() as u64;
        chunks += 1;
        if length < file.size || chunks > 1 {
            whole.update(&chunk);
        }
    }
    if length != file.size || (chunks > 1 && whole.finish() != file.digest) {
        let why = "its chunks are not the file".to_owned();
        return Err(RepoError::DamagedObject { kind: Kind::Manifest, digest: file.digest, why });
    }
    Ok(())
}
