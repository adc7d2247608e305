//! Looks at all that is below a folder, on all cores, and gives it in the order of paths.
//!
//! Each folder is listed by one thread; what is in a large one is looked at in batches by all. Only names and metadata are kept, by
//! folder, so that sorting compares names of one folder and no paths.

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

/// Files that a thread looks at before another may take the next ones.
const BATCH: usize = 512;

/// What is wrong with the sources, all of it.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) illegal: Vec<PathError>,
    pub(super) bad: Vec<(PathBuf, String)>,
    /// Lines of files of patterns that are none: which file, and what is wrong. They hold nothing up.
    pub(super) wrong_patterns: Vec<(PathBuf, String)>,
}

/// A part of a source to be walked.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) source: &'a Path,
    /// What precedes a name relative to `source` in its path in the commit; ends with `/`.
    pub(super) target: &'a [u8],
    pub(super) decider: &'a Decider,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: Vec<Task>,
    /// Threads that may yet add tasks.
    busy: usize,
}

#[derive(Debug)]
enum Task {
    List { folder: usize, relative: Vec<u8>, rules: Option<Arc<Rules>> },
    Look { open: Arc<Open>, names: Vec<u8> },
}

/// A folder that is looked at.
#[derive(Debug)]
struct Open {
    folder: usize,
    /// Empty, or ends with `/`.
    relative: Vec<u8>,
    /// Whether every plain name makes a legal path here.
    is_plain: bool,
    /// What is left out here.
    rules: Option<Arc<Rules>>,
    at: OwnedFd,
}

/// What a thread found in a folder, or in a part of it.
#[derive(Debug)]
struct Part {
    folder: usize,
    /// Where its files are in those of the thread.
    files: Range<usize>,
    folders: Vec<(Vec<u8>, usize)>,
}

/// A file that was found.
#[derive(Debug)]
struct FoundFile {
    /// Where its name is in those of the thread.
    name_start: usize,
    name_length: u32,
    stamp: Stamp,
}

/// What one thread found: few large vectors, whose memory goes back to the system when they are dropped.
#[derive(Debug, Default)]
struct Found {
    names: Vec<u8>,
    files: Vec<FoundFile>,
    parts: Vec<Part>,
    refused: Refused,
    stores: Vec<PathBuf>,
    left_out: Omitted,
    /// Folders with patterns of their own.
    rules: Vec<(Vec<u8>, Arc<Rules>)>,
}

impl Found {
    fn name(&self, file: &FoundFile) -> &[u8] {
        &self.names[file.name_start..][..file.name_length as usize]
    }
}

/// What all threads found, and for each folder which parts of it.
struct Folders {
    found: Vec<Found>,
    parts: Vec<Vec<(usize, Part)>>,
}

impl Walk<'_> {
    /// Adds to `gathered`, as files of `root`, all that lie below `relative`, which is empty or ends with `/`; `rules` are those of the
    /// folders above it.
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
    /// Adds the files of a folder and of those below it in the order of their paths.
    fn emit(&self, folder: usize, root: u32, relative: &[u8], gathered: &mut Gathered) {
        let mut entries: Vec<(&[u8], Entry<'_>)> = Vec::new();
        for (thread, part) in &self.parts[folder] {
            let found = &self.found[*thread];
            let files = &found.files[part.files.clone()];
            entries.extend(files.iter().map(|file| (found.name(file), Entry::File(&file.stamp))));
            // In the order of paths a folder stands where its name with the `/` does.
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

    /// The next task; `None` when nobody can add one any more. The newest comes first, so that few folders are open at a time.
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

    /// Takes up a folder, unless it is left out; its name, ended by `/`, and number.
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

    /// Looks at what has these names, each ended by a zero byte.
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

    /// Takes a file. Some file systems do not tell folders in their listings: one that turns out here is given back.
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
        path.map_err(|error| found.refused.illegal.push(error)).is_ok()
    }

    fn path(&self, relative: &[u8]) -> PathBuf {
        match relative.strip_suffix(b"/").unwrap_or(relative) {
            b"" => self.walk.source.to_owned(),
            relative => self.walk.source.join(OsStr::from_bytes(relative)),
        }
    }

    /// What is left out in a folder, from what is left out above it.
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

/// Counts as a thread that has a task; also when a panic ends it, so that no other waits for what it would have added.
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

/// The stamp of a file or of what a link leads to, `None` for a folder, or what it is that has no content to keep.
pub(super) fn file_stamp(at: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stamp>, String> {
    let unreadable = |error: rustix::io::Errno| why_unreadable(&error.into());
    let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
    let stat = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => return Ok(None),
        FileType::Symlink => {
            let behind = rustix::fs::statat(at, name, AtFlags::empty()).map_err(|error| why_bad_link(&error.into()))?;
            if FileType::from_raw_mode(behind.st_mode).is_dir() {
                // Followed, it could lead round in a circle or out of the source; left out, its files would be missing unnoticed.
                let why = "is a link to a directory; put that directory itself, or skip the link with --exclude";
                return Err(why.to_owned());
            }
            behind
        }
        _ => stat,
    };
    special(stat.st_mode).map_or_else(|| Ok(Some(Stamp::of(&stat))), |why| Err(why.to_owned()))
}

/// Whether a byte is legal everywhere in a path: so of printable ASCII.
fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// Whether a name is surely a legal end of a path with `before` bytes before it. The others are looked at closely.
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
            // It waits for what the other may add, and ends with it.
            assert!(walker.take().is_none());
            assert!(panics.join().is_err());
        });
    }
}
