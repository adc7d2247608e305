//! Walks everything below a folder, on all cores, and returns it sorted by path.
//!
//! Each folder is listed by one thread; the entries of a large folder are examined in batches by all threads. Only names and metadata are
//! kept, grouped by folder, so sorting compares names within a folder and not whole paths.

use std::ffi::{CStr, OsStr};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use specs::PathError;

use super::gather::{new_path, special, why_bad_link, why_unreadable};
use super::gathered::{Gathered, Omitted};
use super::ignore::{Decider, Rules};
use super::stamp::Stamp;
use crate::store::Store;

/// Number of files in a batch that one thread examines.
const BATCH: usize = 512;

/// Everything that is wrong with the sources.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// Files whose path no commit may contain: where they are, and the error.
    pub(super) illegal: Vec<(PathBuf, PathError)>,
    pub(super) bad: Vec<(PathBuf, String)>,
    /// Invalid lines in pattern files: the file, and what is wrong. They do not stop the put.
    pub(super) wrong_patterns: Vec<(PathBuf, String)>,
}

/// A part of a source to be walked.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) source: &'a Path,
    /// The path prefix in the commit for names relative to `source`; ends with `/`.
    pub(super) target: &'a [u8],
    pub(super) decider: &'a Decider,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: Vec<Task>,
    /// Number of threads that may still add tasks.
    busy: usize,
}

#[derive(Debug)]
enum Task {
    List { folder: usize, relative: Vec<u8>, rules: Option<Arc<Rules>> },
    Look { open: Arc<Open>, names: Vec<u8> },
}

/// A folder being walked.
#[derive(Debug)]
struct Open {
    folder: usize,
    /// Empty, or ends with `/`.
    relative: Vec<u8>,
    /// Whether every plain name gives a legal path here.
    is_plain: bool,
    /// The patterns for this folder.
    rules: Option<Arc<Rules>>,
    at: OwnedFd,
}

/// What a thread found in a folder, or in a part of it.
#[derive(Debug)]
struct Part {
    folder: usize,
    /// The range of its files in the thread's list.
    files: Range<usize>,
    folders: Vec<(Vec<u8>, usize)>,
}

/// A file that was found.
#[derive(Debug)]
struct FoundFile {
    /// The start of its name in the thread's buffer.
    name_start: usize,
    name_length: u32,
    stamp: Stamp,
}

/// What one thread found: a few large vectors, whose memory is returned to the system when they are dropped.
#[derive(Debug, Default)]
struct Found {
    names: Vec<u8>,
    files: Vec<FoundFile>,
    parts: Vec<Part>,
    refused: Refused,
    stores: Vec<PathBuf>,
    left_out: Omitted,
    /// Folders with their own patterns.
    rules: Vec<(Vec<u8>, Arc<Rules>)>,
}

impl Found {
    fn name(&self, file: &FoundFile) -> &[u8] {
        &self.names[file.name_start..][..file.name_length as usize]
    }
}

/// What all threads found, and the parts of each folder.
struct Folders {
    found: Vec<Found>,
    parts: Vec<Vec<(usize, Part)>>,
}

impl Walk<'_> {
    /// Adds everything below `relative` (empty, or ends with `/`) to `gathered` as files of `root`; `rules` are those of the folders above
    /// it.
    pub(super) fn run(
        &self,
        root: u32,
        relative: &[u8],
        rules: Option<Arc<Rules>>,
        gathered: &mut Gathered,
        refused: &mut Refused,
    ) {
        let first = Task::List { folder: 0, relative: relative.to_vec(), rules };
        let walker = Walker {
            walk: self,
            queue: Mutex::new(Queue { tasks: vec![first], busy: 0 }),
            more: Condvar::new(),
            folders: AtomicUsize::new(1),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let found: Vec<Found> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walker.run())).collect();
            let own = walker.run();
            let joined = others.into_iter().map(std::thread::ScopedJoinHandle::join);
            let others = joined.map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            std::iter::once(own).chain(others).collect()
        });
        let mut folders = Folders { found, parts: Vec::new() };
        folders.parts.resize_with(walker.folders.into_inner(), Vec::new);
        for (thread, found) in folders.found.iter_mut().enumerate() {
            refused.bad.append(&mut found.refused.bad);
            refused.illegal.append(&mut found.refused.illegal);
            refused.wrong_patterns.append(&mut found.refused.wrong_patterns);
            gathered.stores.append(&mut found.stores);
            gathered.omitted.append(&mut found.left_out);
            gathered.add_rules(root, std::mem::take(&mut found.rules));
            for part in std::mem::take(&mut found.parts) {
                folders.parts[part.folder].push((thread, part));
            }
        }
        gathered.reserve(folders.found.iter().map(|found| found.files.len()).sum());
        folders.emit(0, root, relative, gathered);
    }
}

impl Folders {
    /// Adds the files of a folder and of those below it, sorted by path.
    fn emit(&self, folder: usize, root: u32, relative: &[u8], gathered: &mut Gathered) {
        let mut entries: Vec<(&[u8], Entry<'_>)> = Vec::new();
        for (thread, part) in &self.parts[folder] {
            let found = &self.found[*thread];
            let files = &found.files[part.files.clone()];
            entries.extend(files.iter().map(|file| (found.name(file), Entry::File(&file.stamp))));
            // In path order, a folder sorts as its name with a trailing `/`.
            entries.extend(part.folders.iter().map(|(name, folder)| (name.as_slice(), Entry::Folder(*folder))));
        }
        entries.sort_unstable_by_key(|(name, _)| *name);
        let this = gathered.add_folder(root, relative);
        for (name, entry) in entries {
            match entry {
                Entry::File(stamp) => gathered.add(this, name, *stamp),
                Entry::Folder(folder) => self.emit(folder, root, &[relative, name].concat(), gathered),
            }
        }
    }
}

enum Entry<'p> {
    File(&'p Stamp),
    Folder(usize),
}

struct Walker<'a> {
    walk: &'a Walk<'a>,
    queue: Mutex<Queue>,
    more: Condvar,
    /// Number of folders found.
    folders: AtomicUsize,
}

impl Walker<'_> {
    fn run(&self) -> Found {
        let mut found = Found::default();
        while let Some((task, _busy)) = self.take() {
            match task {
                Task::List { folder, relative, rules } => self.list(folder, relative, rules, &mut found),
                Task::Look { open, names } => self.look(&open, &names, Vec::new(), &mut found),
            }
        }
        found
    }

    /// The next task; `None` once no thread can add another. The newest task comes first, so that few folders are open at a time.
    fn take(&self) -> Option<(Task, Busy<'_>)> {
        let mut queue = self.queue.lock().expect("no panic under this lock");
        loop {
            if let Some(task) = queue.tasks.pop() {
                queue.busy += 1;
                return Some((task, Busy { queue: &self.queue, more: &self.more }));
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.more.wait(queue).expect("no panic under this lock");
        }
    }

    fn push(&self, task: Task) {
        self.queue.lock().expect("no panic under this lock").tasks.push(task);
        self.more.notify_one();
    }

    fn list(&self, folder: usize, relative: Vec<u8>, rules: Option<Arc<Rules>>, found: &mut Found) {
        let path = self.path(&relative);
        if let Err(error) = self.list_open((folder, relative), rules, &path, found) {
            found.refused.bad.push((path, why_unreadable(&error.into())));
        }
    }

    fn list_open(
        &self,
        (folder, relative): (usize, Vec<u8>),
        above: Option<Arc<Rules>>,
        path: &Path,
        found: &mut Found,
    ) -> Result<(), rustix::io::Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let at = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let entries = Dir::read_from(&at)?;
        let is_plain = [self.walk.target, &relative].concat().iter().all(|byte| is_plain(*byte));
        let rules = self.rules_in(at.as_fd(), &relative, above, found);
        let open = Arc::new(Open { folder, relative, is_plain, rules, at });
        let (mut names, mut count, mut folders) = (Vec::new(), 0, Vec::new());
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::Directory => folders.extend(self.folder(&open, name.to_bytes(), found)),
                _ => {
                    names.extend_from_slice(name.to_bytes_with_nul());
                    count += 1;
                }
            }
            if count == BATCH {
                self.push(Task::Look { open: open.clone(), names: std::mem::take(&mut names) });
                count = 0;
            }
        }
        self.look(&open, &names, folders, found);
        Ok(())
    }

    /// Adds a folder, unless it is left out; returns its name, ending with `/`, and its number.
    fn folder(&self, open: &Open, name: &[u8], found: &mut Found) -> Option<(Vec<u8>, usize)> {
        let relative = [&open.relative, name].concat();
        if self.is_left_out(open, &relative, true, found) {
            return None;
        }
        let above = self.path(&open.relative);
        if name == Store::FOLDER.as_bytes() && Store::is_at(&above) {
            found.stores.push(above.join(Store::FOLDER));
            return None;
        }
        let folder = self.folders.fetch_add(1, Ordering::Relaxed);
        self.push(Task::List { folder, relative: [&relative, &b"/"[..]].concat(), rules: open.rules.clone() });
        Some(([name, b"/"].concat(), folder))
    }

    /// Examines the entries with these names, each ending with a zero byte.
    fn look(&self, open: &Open, names: &[u8], mut folders: Vec<(Vec<u8>, usize)>, found: &mut Found) {
        let start = found.files.len();
        for name in names.split_inclusive(|byte| *byte == 0) {
            if let Ok(name) = CStr::from_bytes_with_nul(name) {
                folders.extend(self.look_at(open, name, found));
            }
        }
        let files = start..found.files.len();
        if !(files.is_empty() && folders.is_empty()) {
            found.parts.push(Part { folder: open.folder, files, folders });
        }
    }

    /// Examines a file. Some file systems do not mark folders in listings: an entry that turns out to be a folder is returned.
    fn look_at(&self, open: &Open, name: &CStr, found: &mut Found) -> Option<(Vec<u8>, usize)> {
        let bytes = name.to_bytes();
        let relative = || [&open.relative, bytes].concat();
        if self.walk.decider.is_pattern_file(bytes) {
            return None;
        }
        if !self.walk.decider.is_idle(open.rules.as_deref()) && self.is_left_out(open, &relative(), false, found) {
            return None;
        }
        match file_stamp(open.at.as_fd(), name) {
            Ok(Some(stamp)) if self.is_legal(open, bytes, found) => {
                let (name_start, name_length) = (found.names.len(), bytes.len() as u32);
                found.files.push(FoundFile { name_start, name_length, stamp });
                found.names.extend_from_slice(bytes);
            }
            Ok(Some(_)) => {}
            Ok(None) => return self.folder(open, bytes, found),
            Err(why) => found.refused.bad.push((self.path(&relative()), why)),
        }
        None
    }

    fn is_legal(&self, open: &Open, name: &[u8], found: &mut Found) -> bool {
        if open.is_plain && is_plain_name(self.walk.target.len() + open.relative.len(), name) {
            return true;
        }
        let path = new_path(&[self.walk.target, &open.relative, name].concat());
        let file = || self.path(&[&open.relative, name].concat());
        path.map_err(|error| found.refused.illegal.push((file(), error))).is_ok()
    }

    fn path(&self, relative: &[u8]) -> PathBuf {
        match relative.strip_suffix(b"/").unwrap_or(relative) {
            b"" => self.walk.source.to_owned(),
            relative => self.walk.source.join(OsStr::from_bytes(relative)),
        }
    }

    /// The patterns for a folder, based on those for the folder above it.
    fn rules_in(
        &self,
        at: BorrowedFd<'_>,
        relative: &[u8],
        above: Option<Arc<Rules>>,
        found: &mut Found,
    ) -> Option<Arc<Rules>> {
        let Walk { source, decider, .. } = self.walk;
        let before = above.as_ref().map(Arc::as_ptr);
        let rules = decider.rules_in(at, source, relative, above, &mut found.refused);
        let is_own = rules.as_ref().map(Arc::as_ptr) != before;
        found.rules.extend(rules.clone().filter(|_| is_own).map(|rules| (relative.to_vec(), rules)));
        rules
    }

    fn is_left_out(&self, open: &Open, relative: &[u8], is_folder: bool, found: &mut Found) -> bool {
        let by = self.walk.decider.left_out(open.rules.as_deref(), relative, is_folder);
        if let Some(by) = &by {
            found.left_out.add(by, relative, is_folder);
        }
        by.is_some()
    }
}

/// Counts a thread as having a task; also if a panic ends it, so that no other thread waits for tasks it would have added.
struct Busy<'a> {
    queue: &'a Mutex<Queue>,
    more: &'a Condvar,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut queue = self.queue.lock().expect("no panic under this lock");
        queue.busy -= 1;
        if queue.busy == 0 && queue.tasks.is_empty() {
            self.more.notify_all();
        }
    }
}

/// The stamp of a file or of a link's target, `None` for a folder, or the kind of something without content to store.
pub(super) fn file_stamp(at: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stamp>, String> {
    let unreadable = |error: rustix::io::Errno| why_unreadable(&error.into());
    let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
    let stat = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => return Ok(None),
        FileType::Symlink => {
            let behind = rustix::fs::statat(at, name, AtFlags::empty()).map_err(|error| why_bad_link(&error.into()))?;
            if FileType::from_raw_mode(behind.st_mode).is_dir() {
                // A followed link could lead in a circle or out of the source; a skipped one would silently lose its files.
                let why = "is a link to a directory; put that directory itself, or skip the link with --exclude";
                return Err(why.to_owned());
            }
            behind
        }
        _ => stat,
    };
    special(stat.st_mode).map_or_else(|| Ok(Some(Stamp::of(&stat))), |why| Err(why.to_owned()))
}

/// Whether a byte is legal everywhere in a path: printable ASCII.
fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// Whether a name is certainly a legal end of a path with `before` bytes before it. Other names need a full check.
fn is_plain_name(before: usize, name: &[u8]) -> bool {
    before + name.len() <= specs::MAX_PATH_BYTES
        && name.len() <= specs::MAX_PART_BYTES
        && name.iter().all(|byte| is_plain(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_leaves_nobody_waiting() {
        let decider = Decider::default();
        let walk = Walk { source: Path::new("/nowhere"), target: b"/", decider: &decider };
        let task = |folder| Task::List { folder, relative: Vec::new(), rules: None };
        let queue = Mutex::new(Queue { tasks: vec![task(0)], busy: 0 });
        let walker = Walker { walk: &walk, queue, more: Condvar::new(), folders: AtomicUsize::new(1) };
        let (taken, is_taken) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _task = walker.take();
                taken.send(()).unwrap();
                panic!("in the middle of a folder");
            });
            is_taken.recv().unwrap();
            // It waits for tasks that the other thread may add, and ends when that thread ends.
            assert!(walker.take().is_none());
            assert!(panics.join().is_err());
        });
    }
}
