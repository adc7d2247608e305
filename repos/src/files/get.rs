//! Copies files back to this machine, from a store on it or one elsewhere. Finds everything that is in the way before it writes anything.
//!
//! Files are streamed from the tree, once to check and once to write; only one byte per file is kept in memory.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use specs::{FilePath, Glob};

use super::folder::{Folder, Obstacle, Replaces, There};
use super::holes::Holes;
use super::lookup::kind_at;
use super::matching::{Matching, nothing_matches};
use super::source::{ContentSource, Download, Elsewhere};
use crate::base::error::{IoContext, RepoError};
use crate::base::hash::Hasher;
use crate::base::parallel;
use crate::history::diff;
use crate::store::{Resolved, Result, Store};
use crate::tree::files::{directory_range, path_of};
use crate::tree::{FileEntry, PathKind, Tree};

/// Maximum number of files named in an error.
const NAMED: usize = 20;

/// How to get files.
#[derive(Clone, Copy)]
pub struct GetOptions<'a> {
    /// Only files that are new or changed relative to this tree.
    pub since: Option<Tree>,
    /// Only files that match, either themselves or through a directory above them.
    pub matching: Option<&'a Glob>,
    /// Replaces files with different content; also a directory (with everything in it) by a file, and the reverse.
    pub force: bool,
    /// Called with the files and bytes done so far, from several threads.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// The result of a get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Got {
    /// Number of files requested.
    pub files: u64,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// Number of files written; the others already existed with the same content.
    pub written: u64,
    /// Number of files removed because a file replaced their directory.
    pub removed: u64,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetItem {
    /// Its path below the folder, without a leading `/`.
    pub path: String,
    /// Its content and executable bit.
    pub file: FileEntry,
}

/// Items in the order of their paths.
pub type GetItems<'s> = Box<dyn Iterator<Item = Result<GetItem>> + Send + 's>;

/// What to do for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CopyAction {
    Nothing,
    Create,
    Replace,
    /// The content is right, the executable bit is not.
    SetMode,
    /// A directory is in the file's place, or a file in the place of one of its directories.
    Displace,
}

/// What was found at the targets.
#[derive(Debug, Default)]
struct Looked {
    /// One for each item; empty if nothing exists there.
    steps: Vec<CopyAction>,
    /// What is in the way and not replaced even with `force`.
    blocked: BTreeSet<String>,
    /// What is in the way and replaced with `force`.
    displaced: BTreeSet<String>,
    /// Number of files in such directories.
    removed: u64,
}

impl Looked {
    fn step(&self, at: usize) -> CopyAction {
        self.steps.get(at).copied().unwrap_or(CopyAction::Create)
    }

    fn set(&mut self, at: usize, step: CopyAction) {
        if self.steps.len() <= at {
            self.steps.resize(at + 1, CopyAction::Nothing);
        }
        self.steps[at] = step;
    }
}

/// Writes the file that a reference names to `dest/name`, or the contents of a directory to `dest/`, which is created if missing.
///
/// Links below `dest` are never followed. `Conflict` if there is other content or a directory in the way (unless forced), or something that
/// is neither: then nothing was written. Each file appears completely or not at all.
pub fn get<'a>(store: &'a Store, from: &Resolved, dest: &Path, options: GetOptions<'a>) -> Result<Got> {
    ensure_gettable(store, from, &options)?;
    let items = || items(store, from, &options);
    bring(store, parallel::threads(how_many(store, from)?), items, dest, options)
}

/// The files that [`get`] would write, for another machine; only `since` and `matching` are used. Errors as in [`get`], as far as they are
/// about the store.
pub fn get_items<'a>(store: &'a Store, from: &Resolved, options: &GetOptions<'a>) -> Result<GetItems<'a>> {
    ensure_gettable(store, from, options)?;
    items(store, from, options)
}

/// Writes files of a store elsewhere to `dest/`, `at_once` at a time, with the same guarantees as [`get`]; `since` and `matching` are ignored.
/// `items` is called up to three times, and each time gives the same files in the order of their paths.
///
/// Errors as in [`get`], and those of the store. `Usage` for paths that would lead out of `dest`, which no store has.
pub fn get_from<'i>(
    from: &dyn Download,
    at_once: usize,
    items: &dyn Fn() -> Result<GetItems<'i>>,
    dest: &Path,
    options: GetOptions<'_>,
) -> Result<Got> {
    let checked = || -> Result<GetItems<'i>> { Ok(Box::new(items()?.map(|item| item.and_then(ensure_below)))) };
    bring(&Elsewhere(from), at_once.max(1), checked, dest, options)
}

/// Another machine is not trusted to name only files below the folder.
fn ensure_below(item: GetItem) -> Result<GetItem> {
    let path = FilePath::root().join(&item.path);
    if path.is_ok_and(|path| path.below(&FilePath::root()) == Some(item.path.as_str())) {
        return Ok(item);
    }
    let what = format!("`{}` cannot be a file of a commit", item.path.escape_debug());
    Err(RepoError::Usage { what, hint: None })
}

/// Refuses files that are no longer stored, and a pattern that matches nothing.
fn ensure_gettable(store: &Store, from: &Resolved, options: &GetOptions<'_>) -> Result<()> {
    if store.is_pruned(&from.id)?.is_some() {
        for item in items(store, from, options)? {
            let GetItem { path, file } = item?;
            store.ensure_not_pruned(&from.id, &from.path.join(&path).unwrap_or_else(|_| from.path.clone()), &file)?;
        }
    }
    match options.matching.filter(|_| options.since.is_none()) {
        Some(glob) if items(store, from, options)?.next().is_none() => {
            Err(nothing_matches(glob, &from.place(), &from.path))
        }
        _ => Ok(()),
    }
}

/// Writes one file, which need not be in a commit, to `dest/name`, with the same guarantees; only `force` and `progress` are used.
pub fn get_one(store: &Store, name: &str, file: FileEntry, dest: &Path, options: GetOptions<'_>) -> Result<Got> {
    let items =
        || -> Result<GetItems<'_>> { Ok(Box::new(std::iter::once(Ok(GetItem { path: name.to_owned(), file })))) };
    bring(store, 1, items, dest, options)
}

/// Writes files that are in no commit to `dest/`, with the same guarantees; `since` and `matching` are ignored.
pub fn get_loose(store: &Store, tree: Tree, dest: &Path, options: GetOptions<'_>) -> Result<Got> {
    get_below(store, tree, &FilePath::root(), dest, options)
}

/// The files that [`get_below`] would write, for another machine.
pub fn items_below<'a>(store: &'a Store, tree: Tree, path: &'a FilePath) -> Result<GetItems<'a>> {
    if let (false, Some(file)) = (path.is_root(), tree.file(store, path)?) {
        return Ok(Box::new(std::iter::once(Ok(GetItem { path: path.name().to_owned(), file }))));
    }
    let entries = tree.range(store, directory_range(path))?;
    Ok(Box::new(entries.map(|entry| {
        let (key, file) = entry?;
        Ok(GetItem { path: path_of(&key)?.below(path).unwrap_or_default().to_owned(), file })
    })))
}

/// Like [`get_loose`], for what is at and below `path`; does nothing if nothing is there.
pub fn get_below(store: &Store, tree: Tree, path: &FilePath, dest: &Path, options: GetOptions<'_>) -> Result<Got> {
    if let (false, Some(file)) = (path.is_root(), tree.file(store, path)?) {
        return get_one(store, path.name(), file, dest, options);
    }
    let items = || items_below(store, tree, path);
    let files = usize::try_from(tree.totals(store)?.entries).unwrap_or(usize::MAX);
    bring(store, parallel::threads(files), items, dest, options)
}

fn bring<'s>(
    source: &dyn ContentSource,
    threads: usize,
    items: impl Fn() -> Result<GetItems<'s>>,
    dest: &Path,
    options: GetOptions<'_>,
) -> Result<Got> {
    let looked = match Folder::open(dest) {
        Ok(folder) if folder.is_empty().doing("list", dest)? => Looked::default(),
        Ok(folder) => look(threads, items()?, &folder, dest)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Looked::default(),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            let what = format!("`{}` is a file: the target must be a directory", dest.display());
            return Err(RepoError::Conflict {
                what,
                hint: Some("name a directory; it is created if missing".to_owned()),
            });
        }
        Err(error) => return Err(error).doing("open", dest),
    };
    ensure_no_conflicts(dest, items()?, &looked, options.force)?;
    let removed = looked.removed;
    std::fs::create_dir_all(dest).doing("create", dest)?;
    let folder = Folder::open(dest).doing("open", dest)?;
    let work =
        Work { source, dest, options, files: AtomicU64::new(0), bytes: AtomicU64::new(0), written: AtomicU64::new(0) };
    let bring = |folder: &mut std::io::Result<Folder>, at, item: GetItem| work.bring(folder, &item, looked.step(at));
    parallel::each(threads, items()?, || folder.again(), bring)?;
    let [files, size_bytes, written] = [work.files, work.bytes, work.written].map(AtomicU64::into_inner);
    Ok(Got { files, size_bytes, written, removed })
}

fn items<'s>(store: &'s Store, from: &Resolved, options: &GetOptions<'s>) -> Result<GetItems<'s>> {
    let all = all_items(store, from, options.since)?;
    let Some(glob) = options.matching else { return Ok(all) };
    let mut matching = Matching::new(glob);
    let path = from.path.clone();
    let is_file = matches!(from.tree().kind_at(store, &path)?, Some(PathKind::File(_)));
    Ok(Box::new(all.filter(move |item| match item {
        Ok(_) if is_file => matching.fits(&path),
        Ok(item) => path.join(&item.path).is_ok_and(|path| matching.fits(&path)),
        Err(_) => true,
    })))
}

fn all_items<'s>(store: &'s Store, from: &Resolved, since: Option<Tree>) -> Result<GetItems<'s>> {
    let path = from.path.clone();
    let kind = kind_at(store, from.tree(), &from.place(), &path)?;
    if let Some(since) = since {
        let changes = diff(store, since, from.tree(), Some(&path))?;
        let new = changes.filter_map(|change| change.map(|change| Some((change.path, change.new?))).transpose());
        return Ok(Box::new(new.map(move |file| {
            file.map(|(at, file)| GetItem { path: at.below(&path).unwrap_or(path.name()).to_owned(), file })
        })));
    }
    if let PathKind::File(file) = kind {
        return Ok(Box::new(std::iter::once(Ok(GetItem { path: path.name().to_owned(), file }))));
    }
    let entries = from.tree().range(store, directory_range(&path))?;
    Ok(Box::new(entries.map(move |entry| {
        let (key, file) = entry?;
        Ok(GetItem { path: path_of(&key)?.below(&path).unwrap_or_default().to_owned(), file })
    })))
}

/// An upper bound for the number of files.
fn how_many(store: &Store, from: &Resolved) -> Result<usize> {
    Ok(match kind_at(store, from.tree(), &from.place(), &from.path)? {
        PathKind::File(_) => 1,
        PathKind::Directory { files, .. } => usize::try_from(files).unwrap_or(usize::MAX),
    })
}

fn look(threads: usize, items: GetItems<'_>, folder: &Folder, dest: &Path) -> Result<Looked> {
    let looked = Mutex::new(Looked::default());
    parallel::each(
        threads,
        items,
        || folder.again(),
        |folder, at, item| {
            let step = check(folder, dest, &item)?;
            let mut looked = looked.lock().expect("no panic under this lock");
            match step {
                Check::Do(step) => looked.set(at, step),
                Check::Displace(what, files) => {
                    looked.set(at, CopyAction::Displace);
                    if looked.displaced.insert(what) {
                        looked.removed += files;
                    }
                }
                Check::Blocked(what) => drop(looked.blocked.insert(what)),
            }
            Ok(())
        },
    )?;
    Ok(looked.into_inner().unwrap_or_default())
}

/// A thread's own view of the folder; opening it fails only if file descriptors run out.
fn own<'a>(folder: &'a mut std::io::Result<Folder>, dest: &Path) -> Result<&'a mut Folder> {
    match folder {
        Ok(folder) => Ok(folder),
        Err(error) => Err(std::io::Error::from(error.kind())).doing("open", dest),
    }
}

/// Old commits may contain paths that no file system supports.
fn ensure_nameable(item: &GetItem) -> Result<()> {
    if item.path.split('/').all(|part| part.len() <= specs::MAX_PART_BYTES) {
        return Ok(());
    }
    let what = format!("`{}` cannot be a file: a part of its path is longer than 255 bytes", item.path);
    Err(RepoError::Usage { what, hint: Some("pv cat prints its content; pv mv gives it a shorter path".to_owned()) })
}

/// What was found at an item's target.
enum Check {
    Do(CopyAction),
    /// Something in the way that can be replaced, described; and the number of files removed with a directory.
    Displace(String, u64),
    /// Something in the way, described.
    Blocked(String),
}

/// What to do for an item, or what is in its way.
fn check(folder: &mut std::io::Result<Folder>, dest: &Path, item: &GetItem) -> Result<Check> {
    ensure_nameable(item)?;
    let folder = own(folder, dest)?;
    let there = folder.look(&item.path).doing("read", &dest.join(&item.path))?;
    let mut file = match there {
        There::Nothing => return Ok(Check::Do(CopyAction::Create)),
        There::InTheWay(path, Obstacle::Link) if path == item.path => return Ok(Check::Do(CopyAction::Replace)),
        There::InTheWay(path, obstacle) => {
            let at = dest.join(&path);
            let what = format!("`{}` {}", at.display(), obstacle.in_words());
            return Ok(match obstacle {
                Obstacle::File => Check::Displace(what, 0),
                Obstacle::Directory => match folder.files_below(&path).doing("read", &at)? {
                    Some(files) => Check::Displace(what, files),
                    None => Check::Blocked(format!("`{}` contains a store", at.display())),
                },
                Obstacle::Link | Obstacle::Special(_) => Check::Blocked(what),
            });
        }
        There::File(file) => file,
    };
    let data = file.metadata().doing("read", dest)?;
    if !has_bytes(&mut file, &data, &item.file).doing("read", &dest.join(&item.path))? {
        return Ok(Check::Do(CopyAction::Replace));
    }
    let is_executable = data.permissions().mode() & 0o111 != 0;
    Ok(Check::Do(if is_executable == item.file.executable { CopyAction::Nothing } else { CopyAction::SetMode }))
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

fn ensure_no_conflicts(dest: &Path, items: GetItems<'_>, looked: &Looked, force: bool) -> Result<()> {
    if !looked.blocked.is_empty() {
        let hint = Some(
            "links, stores, pipes and devices are never replaced or written through; move it away or choose another folder"
                .to_owned(),
        );
        let first = looked.blocked.iter().take(NAMED).cloned().collect();
        return Err(RepoError::Conflict { what: named(first, looked.blocked.len()), hint });
    }
    let other = looked.steps.iter().filter(|step| **step == CopyAction::Replace).count();
    let all = other + looked.displaced.len();
    if force || all == 0 {
        return Ok(());
    }
    let replaced = items.zip(&looked.steps).filter(|(_, step)| **step == CopyAction::Replace);
    let replaced = replaced.map(|(item, _)| Ok(format!("`{}` has different content", dest.join(item?.path).display())));
    let displaced = looked.displaced.iter().map(|what| Ok(what.clone()));
    let first: Result<_> = displaced.chain(replaced).take(NAMED).collect();
    let with = match looked.removed {
        0 => String::new(),
        1 => ", and removes the 1 file in directories that files replace".to_owned(),
        files => format!(", and removes the {files} files in directories that files replace"),
    };
    Err(RepoError::Conflict { what: named(first?, all), hint: Some(format!("--force replaces them{with}")) })
}

/// The first of `all` lines, and how many more there are.
fn named(mut first: Vec<String>, all: usize) -> String {
    if all > first.len() {
        first.push(format!("… and {} more", all - first.len()));
    }
    first.join("\n")
}

struct Work<'a> {
    source: &'a dyn ContentSource,
    dest: &'a Path,
    options: GetOptions<'a>,
    files: AtomicU64,
    bytes: AtomicU64,
    written: AtomicU64,
}

impl Work<'_> {
    fn bring(&self, folder: &mut std::io::Result<Folder>, item: &GetItem, step: CopyAction) -> Result<()> {
        let folder = own(folder, self.dest)?;
        match step {
            CopyAction::Create if self.options.force => self.write(folder, item, Replaces::File)?,
            CopyAction::Create => self.write(folder, item, Replaces::Nothing)?,
            CopyAction::Replace => self.write(folder, item, Replaces::File)?,
            CopyAction::Displace => self.write(folder, item, Replaces::Anything)?,
            CopyAction::SetMode => self.set_mode(folder, item)?,
            CopyAction::Nothing => {}
        }
        if matches!(step, CopyAction::Create | CopyAction::Replace | CopyAction::Displace) {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(item.file.size, Ordering::Relaxed) + item.file.size;
        (self.options.progress)(files, bytes);
        Ok(())
    }

    fn write(&self, folder: &mut Folder, item: &GetItem, replaces: Replaces) -> Result<()> {
        ensure_nameable(item)?;
        let path = self.dest.join(&item.path);
        let fill = |file: &mut File| {
            let mut holes = Holes::new(file);
            self.source.copy(&item.file, &mut holes).map_err(into_io)?;
            holes.finish()
        };
        folder.write(&item.path, item.file.executable, replaces, fill).map_err(|error| match error {
            error if error.kind() == std::io::ErrorKind::AlreadyExists => {
                RepoError::Conflict { what: format!("`{}` was created in the meantime", path.display()), hint: None }
            }
            error => error.downcast().unwrap_or_else(|source| RepoError::Io { doing: "write", path, source }),
        })
    }

    fn set_mode(&self, folder: &mut Folder, item: &GetItem) -> Result<()> {
        let path = self.dest.join(&item.path);
        let There::File(file) = folder.look(&item.path).doing("read", &path)? else { return Ok(()) };
        let mode = file.metadata().doing("read", &path)?.permissions().mode();
        // Whoever may read it may also execute it.
        let mode = if item.file.executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
        file.set_permissions(std::fs::Permissions::from_mode(mode)).doing("change the mode of", &path)
    }
}

/// Errors of the store keep their type when passed through I/O.
fn into_io(error: RepoError) -> std::io::Error {
    match error {
        RepoError::Io { source, doing: "write", .. } => source,
        error => std::io::Error::other(error),
    }
}
