//! A folder of this machine that is written to without ever following a link below it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Directories are opened for their names only.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Where the kernel shows this process its open files.
const DESCRIPTORS: &str = "/proc/self/fd";

/// What lies below a folder, through one open directory a level: neighbours share them. A path relative to it is a legal path of a
/// commit without its first `/`.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
    open: Vec<(String, OwnedFd)>,
    /// Whether files may be written before they have a name.
    can_be_nameless: bool,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum There {
    Nothing,
    File(File),
    /// Something that is no file, or no directory on the way: which path, and what it is.
    InTheWay(String, &'static str),
}

impl Folder {
    /// Opens a folder; links on the way to it are followed, since the user named it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?;
        Ok(Self { root, open: Vec::new(), can_be_nameless: has_descriptors() })
    }

    /// The same folder for another thread.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { root: self.root.try_clone()?, open: Vec::new(), can_be_nameless: self.can_be_nameless })
    }

    /// Whether nothing lies in it.
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

    /// What is at `path`.
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
                Ok(super::gather::special(data.mode())
                    .map_or(There::File(file), |what| There::InTheWay(path.to_owned(), what)))
            }
            Err(Errno::NOENT) => Ok(There::Nothing),
            Err(Errno::LOOP) => Ok(There::InTheWay(path.to_owned(), "is a link")),
            Err(Errno::NXIO) => Ok(There::InTheWay(path.to_owned(), "is a socket")),
            Err(error) => Err(error.into()),
        }
    }

    /// The first part of `parent` that is no directory.
    fn obstacle(&self, parent: &str) -> There {
        let mut path = String::new();
        for part in parent.split('/').take(self.open.len() + 1) {
            path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let data = rustix::fs::statat(self.newest(), name, AtFlags::SYMLINK_NOFOLLOW);
        let is_link = data.is_ok_and(|data| rustix::fs::FileType::from_raw_mode(data.st_mode).is_symlink());
        There::InTheWay(path, if is_link { "is a link" } else { "is no directory" })
    }

    /// Writes a file with `content` and then puts it in its place, making directories on the way. Unless `replace`, what has come there
    /// meanwhile stays: `AlreadyExists`.
    pub(super) fn write(
        &mut self,
        path: &str,
        executable: bool,
        replace: bool,
        content: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let (parent, name) = split(path);
        self.enter(parent, true)?;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        if self.can_be_nameless {
            match create_nameless(self.newest(), mode) {
                Ok(mut file) => {
                    content(&mut file)?;
                    return give_name(self.newest(), &file, name, replace);
                }
                Err(error) if is_unsupported(error) => self.can_be_nameless = false,
                Err(error) => return Err(error.into()),
            }
        }
        let directory = self.newest();
        let part = part_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(directory, &part, flags, mode)?);
        let placed = content(&mut file).and_then(|()| place(directory, &part, name, replace));
        if placed.is_err() {
            rustix::fs::unlinkat(directory, &part, AtFlags::empty()).ok();
        }
        placed
    }

    fn newest(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd())
    }

    /// Opens the directories of `parent` that are not open yet, one by one, none through a link.
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
    format!(".pv-{}.part", crate::random_hex())
}

/// Whether a nameless file can be given a name.
fn has_descriptors() -> bool {
    Path::new(DESCRIPTORS).exists()
}

/// A file without a name: when this process ends early, nothing is left of it.
fn create_nameless(directory: BorrowedFd<'_>, mode: Mode) -> Result<File, Errno> {
    rustix::fs::openat(directory, ".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode).map(File::from)
}

/// What file systems say that have no nameless files.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS)
}

/// Names a nameless file; one that is there is replaced at once or not at all.
fn give_name(directory: BorrowedFd<'_>, file: &File, name: &str, replace: bool) -> io::Result<()> {
    let open = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
    let link = |name: &str| rustix::fs::linkat(CWD, &open, directory, name, AtFlags::SYMLINK_FOLLOW);
    match link(name) {
        Err(Errno::EXIST) if replace => {
            let part = part_name();
            link(&part)?;
            let placed = place(directory, &part, name, replace);
            if placed.is_err() {
                rustix::fs::unlinkat(directory, &part, AtFlags::empty()).ok();
            }
            placed
        }
        done => done.map_err(Into::into),
    }
}

fn place(directory: BorrowedFd<'_>, part: &str, name: &str, replace: bool) -> io::Result<()> {
    if !replace {
        match rustix::fs::renameat_with(directory, part, directory, name, RenameFlags::NOREPLACE) {
            // Not every file system can; then the look before is all there is.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            done => return done.map_err(Into::into),
        }
    }
    rustix::fs::renameat(directory, part, directory, name).map_err(Into::into)
}
