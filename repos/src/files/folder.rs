//! A folder on this machine, written to without following any link below it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::store::Store;

/// Directories are opened only as path references.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Where the kernel exposes this process's open files.
const DESCRIPTORS: &str = "/proc/self/fd";

/// The tree below a folder, through one open directory per level, which neighbours share. A path relative to it is a path of a commit
/// without its leading `/`.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
    open: Vec<(String, OwnedFd)>,
    /// Whether files can be written before they have a name.
    can_be_nameless: bool,
}

/// What exists at a path.
#[derive(Debug)]
pub(super) enum There {
    Nothing,
    File(File),
    /// Something that is not a file, or a non-directory on the way: its path, and what it is.
    InTheWay(String, Obstacle),
}

/// What blocks a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A directory at the file's own path.
    Directory,
    /// A file where a directory is needed.
    File,
    Link,
    /// A pipe, for example: `is a pipe`.
    Special(&'static str),
}

impl Obstacle {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Directory => "is a directory",
            Self::File => "is a file where a directory is needed",
            Self::Link => "is a link",
            Self::Special(what) => what,
        }
    }
}

/// What a file may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaces {
    Nothing,
    /// A file or link at its own path.
    File,
    /// Also a directory at its own path, with everything in it, and a file on the way to it.
    Anything,
}

impl Folder {
    /// Opens a folder; links in its own path are followed, since the user named it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?;
        Ok(Self { root, open: Vec::new(), can_be_nameless: has_descriptors() })
    }

    /// The same folder for another thread.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { root: self.root.try_clone()?, open: Vec::new(), can_be_nameless: self.can_be_nameless })
    }

    /// Whether it is empty.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.root, ".", flags, Mode::empty())?;
        for entry in Dir::new(folder)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What exists at `path`.
    pub(super) fn look(&mut self, path: &str) -> io::Result<There> {
        let (parent, name) = split(path);
        if let Err(error) = self.enter(parent, false) {
            return match error {
                Errno::NOENT => Ok(There::Nothing),
                Errno::NOTDIR | Errno::LOOP => Ok(self.obstacle(parent)),
                error => Err(error.into()),
            };
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(self.newest(), name, flags, Mode::empty()) {
            Ok(file) => {
                let file = File::from(file);
                let data = file.metadata()?;
                let obstacle = match super::gather::special(data.mode()) {
                    None => return Ok(There::File(file)),
                    Some(_) if data.is_dir() => Obstacle::Directory,
                    Some(what) => Obstacle::Special(what),
                };
                Ok(There::InTheWay(path.to_owned(), obstacle))
            }
            Err(Errno::NOENT) => Ok(There::Nothing),
            Err(Errno::LOOP) => Ok(There::InTheWay(path.to_owned(), Obstacle::Link)),
            Err(Errno::NXIO) => Ok(There::InTheWay(path.to_owned(), Obstacle::Special("is a socket"))),
            Err(error) => Err(error.into()),
        }
    }

    /// The first part of `parent` that is not a directory.
    fn obstacle(&self, parent: &str) -> There {
        let mut path = String::new();
        for part in parent.split('/').take(self.open.len() + 1) {
            path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let data = rustix::fs::statat(self.newest(), name, AtFlags::SYMLINK_NOFOLLOW);
        There::InTheWay(
            path,
            match data.map(|data| FileType::from_raw_mode(data.st_mode)) {
                Ok(FileType::Symlink) => Obstacle::Link,
                Ok(FileType::RegularFile) => Obstacle::File,
                _ => Obstacle::Special("is not a directory"),
            },
        )
    }

    /// Number of files in the directory at `path`, at any depth; `None` if it contains a store, or is too deep to search.
    pub(super) fn files_below(&mut self, path: &str) -> io::Result<Option<u64>> {
        let (parent, name) = split(path);
        self.enter(parent, false)?;
        count_below(self.newest(), &c_name(name)?, DEEPEST)
    }

    /// Writes a file with `content` and then moves it into place, creating directories as needed. Anything it may not replace stays:
    /// `AlreadyExists`.
    pub(super) fn write(
        &mut self,
        path: &str,
        executable: bool,
        replaces: Replaces,
        content: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let (parent, name) = split(path);
        if replaces == Replaces::Anything {
            self.make_way(parent)?;
        }
        self.enter(parent, true)?;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        if self.can_be_nameless {
            match create_nameless(self.newest(), mode) {
                Ok(mut file) => {
                    content(&mut file)?;
                    return give_name(self.newest(), &file, name, replaces);
                }
                Err(error) if is_unsupported(error) => self.can_be_nameless = false,
                Err(error) => return Err(error.into()),
            }
        }
        let directory = self.newest();
        let part = part_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(directory, &part, flags, mode)?);
        let placed = content(&mut file).and_then(|()| place(directory, &part, name, replaces));
        if placed.is_err() {
            rustix::fs::unlinkat(directory, &part, AtFlags::empty()).ok();
        }
        placed
    }

    /// Removes a file where a directory of `parent` is needed. Another thread may already have done so and created the directory.
    fn make_way(&mut self, parent: &str) -> io::Result<()> {
        if self.enter(parent, false) != Err(Errno::NOTDIR) {
            return Ok(());
        }
        let There::InTheWay(path, Obstacle::File) = self.obstacle(parent) else { return Ok(()) };
        match rustix::fs::unlinkat(self.newest(), split(&path).1, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn newest(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd())
    }

    /// Opens the directories of `parent` that are not open yet, one by one, never through a link.
    fn enter(&mut self, parent: &str, create: bool) -> Result<(), Errno> {
        let mut parts = parent.split('/').filter(|part| !part.is_empty()).peekable();
        let mut kept = 0;
        while let (Some((name, _)), Some(part)) = (self.open.get(kept), parts.peek())
            && name == part
        {
            kept += 1;
            parts.next();
        }
        self.open.truncate(kept);
        for part in parts {
            let directory = match self.open_directory(part) {
                Err(Errno::NOENT) if create => {
                    match rustix::fs::mkdirat(self.newest(), part, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => self.open_directory(part)?,
                        Err(error) => return Err(error),
                    }
                }
                opened => opened?,
            };
            self.open.push((part.to_owned(), directory));
        }
        Ok(())
    }

    fn open_directory(&self, name: &str) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(self.newest(), name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn part_name() -> String {
    format!(".pv-{}.part", crate::base::random::hex())
}

/// Whether a file without a name can be given one.
fn has_descriptors() -> bool {
    Path::new(DESCRIPTORS).exists()
}

/// A file without a name: if this process ends early, nothing is left behind.
fn create_nameless(directory: BorrowedFd<'_>, mode: Mode) -> Result<File, Errno> {
    rustix::fs::openat(directory, ".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode).map(File::from)
}

/// The errors of file systems that do not support files without a name.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS)
}

/// Gives a nameless file its name; an existing file is replaced atomically or not at all.
fn give_name(directory: BorrowedFd<'_>, file: &File, name: &str, replaces: Replaces) -> io::Result<()> {
    let open = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
    let link = |name: &str| rustix::fs::linkat(CWD, &open, directory, name, AtFlags::SYMLINK_FOLLOW);
    match link(name) {
        Err(Errno::EXIST) if replaces != Replaces::Nothing => {
            let part = part_name();
            link(&part)?;
            let placed = place(directory, &part, name, replaces);
            if placed.is_err() {
                rustix::fs::unlinkat(directory, &part, AtFlags::empty()).ok();
            }
            placed
        }
        done => done.map_err(Into::into),
    }
}

fn place(directory: BorrowedFd<'_>, part: &str, name: &str, replaces: Replaces) -> io::Result<()> {
    if replaces == Replaces::Nothing {
        match rustix::fs::renameat_with(directory, part, directory, name, RenameFlags::NOREPLACE) {
            // Not supported by every file system; there, only the earlier check protects the existing file.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            done => return done.map_err(Into::into),
        }
    }
    match rustix::fs::renameat(directory, part, directory, name) {
        Err(Errno::ISDIR) if replaces == Replaces::Anything => {
            // The directory stays until the file is complete, and is renamed to a recognizable temporary name before it is removed.
            let aside = part_name();
            rustix::fs::renameat(directory, name, directory, &aside)?;
            rustix::fs::renameat(directory, part, directory, name)?;
            remove_all(directory, &c_name(&aside)?).map_err(Into::into)
        }
        done => done.map_err(Into::into),
    }
}

/// Maximum depth of directories that can be removed; a path of a commit has at most this many parts.
const DEEPEST: usize = 2_048;

/// A part of a path; it contains no zero byte.
fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(io::Error::other)
}

fn open_to_list(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// The names in a directory, and whether each is itself a directory.
fn names_in(directory: &OwnedFd) -> Result<Vec<(CString, bool)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                let data = rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(data.st_mode).is_dir()
            }
            kind => kind.is_dir(),
        };
        names.push((entry.file_name().to_owned(), is_directory));
    }
    Ok(names)
}

fn count_below(at: BorrowedFd<'_>, name: &CStr, deepest: usize) -> io::Result<Option<u64>> {
    let directory = open_to_list(at, name)?;
    let mut files = 0;
    for (name, is_directory) in names_in(&directory)? {
        if !is_directory {
            files += 1;
            continue;
        }
        if name.to_bytes() == Store::FOLDER.as_bytes() || deepest == 0 {
            return Ok(None);
        }
        match count_below(directory.as_fd(), &name, deepest - 1)? {
            Some(below) => files += below,
            None => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// Removes a directory with everything in it; links are removed, not followed.
fn remove_all(at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let directory = open_to_list(at, name)?;
    for (name, is_directory) in names_in(&directory)? {
        if is_directory {
            remove_all(directory.as_fd(), &name)?;
        } else {
            rustix::fs::unlinkat(&directory, &name, AtFlags::empty())?;
        }
    }
    rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)
}
