//! Reads `/pfs/out` after a try. Each entry is handled by its type:
//!
//! - A regular file is sent, including a hard link. Any execute bit makes it executable. Empty directories are not kept.
//! - A link to an input file is reported by name, not sent; a link to an input directory reports each input file below it.
//! - Any other link is followed inside the sandbox and its target is sent; links in a circle or to nothing are errors.
//! - Pipes, sockets and devices are errors, and so are names that no commit can contain.
//!
//! All processes of the try are gone, so an entry does not change between the check and its opening. The caller ensures that everything
//! here is done with the rights of the command's user.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use specs::FilePath;

use super::inputs::Inputs;
use crate::OutputLimits;
use crate::protocol::{FileHeader, FrameWriter, FromAgent, MAX_DATA};

/// Kernel file systems; the target of a link there is not an output.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Maximum length of a chain of links, the same as in the kernel.
const LINKS_MAX: usize = 40;

/// Limits for the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) limits: OutputLimits,
    /// The deadline for sending; `None` for no limit.
    pub(super) deadline: Option<Instant>,
}

/// Why the output was not sent completely.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The command is at fault.
    Bad { path: String, why: String },
    /// The time is up.
    Late,
    /// A system call failed, or the engine is gone.
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Sends everything in `/pfs/out`.
pub(super) fn send<W: Write>(
    out: &OwnedFd,
    inputs: &Inputs,
    bounds: Bounds,
    answer: &mut FrameWriter<W>,
) -> Result<(), Trouble> {
    send_from(out, Path::new("/pfs"), inputs, bounds, answer)
}

fn send_from<W: Write>(
    out: &OwnedFd,
    pfs: &Path,
    inputs: &Inputs,
    bounds: Bounds,
    answer: &mut FrameWriter<W>,
) -> Result<(), Trouble> {
    let Bounds { limits, deadline } = bounds;
    // The command owns it and may have removed all permissions. If it is not the owner, that fails below.
    if fstat(out).is_ok_and(|stat| stat.st_mode & 0o500 != 0o500) {
        fchmod(out, Mode::from_raw_mode(0o755)).ok();
    }
    let mut walk = Walk { out, pfs, inputs, limits, deadline, answer, entries: 0, bytes: 0, buffer: vec![0; MAX_DATA] };
    let mut waiting = vec![Directory { path: String::new(), real: PathBuf::new(), through: None }];
    while let Some(directory) = waiting.pop() {
        walk.directory(&directory, &mut waiting)?;
    }
    Ok(())
}

/// A directory still to be read.
struct Directory {
    /// Its path in the output; empty for the root.
    path: String,
    /// Its path below `/pfs/out`, or an absolute path if a link led there; contains no links.
    real: PathBuf,
    through: Option<Rc<Through>>,
}

/// A link that was followed on the way to a directory.
struct Through {
    /// The directory that contains the link, as an absolute path.
    from: PathBuf,
    before: Option<Rc<Through>>,
}

struct Walk<'a, W: Write> {
    out: &'a OwnedFd,
    pfs: &'a Path,
    inputs: &'a Inputs,
    limits: OutputLimits,
    deadline: Option<Instant>,
    answer: &'a mut FrameWriter<W>,
    entries: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

fn bad(path: &str, why: impl Into<String>) -> Trouble {
    Trouble::Bad { path: format!("/{path}"), why: why.into() }
}

impl<W: Write> Walk<'_, W> {
    fn directory(&mut self, directory: &Directory, waiting: &mut Vec<Directory>) -> Result<(), Trouble> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = self.open(&directory.real, flags).map_err(|error| bad(&directory.path, error.to_string()))?;
        for name in self.names(&opened, directory)? {
            self.in_time()?;
            let path = self.legal_path(&directory.path, &name)?;
            let real = directory.real.join(OsStr::from_bytes(name.to_bytes()));
            let stat = statat(&opened, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => waiting.push(Directory { path, real, through: directory.through.clone() }),
                FileType::Symlink => self.link(directory, path, &real, waiting)?,
                kind => self.file(&path, &real, kind)?,
            }
        }
        Ok(())
    }

    /// The names in a directory, sorted; fails beyond the output's limit.
    fn names(&self, opened: &OwnedFd, directory: &Directory) -> Result<Vec<CString>, Trouble> {
        let mut names = Vec::new();
        for entry in Dir::read_from(opened).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            names.push(entry.file_name().to_owned());
            if self.entries + names.len() as u64 > self.limits.files_max {
                return Err(self.too_many(&directory.path));
            }
        }
        names.sort();
        Ok(names)
    }

    fn in_time(&self) -> Result<(), Trouble> {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_late { Err(Trouble::Late) } else { Ok(()) }
    }

    /// Opens an entry. If permission is missing, it is added, but only within the output, whose permissions are the command's own.
    fn open(&self, real: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let real = if real.as_os_str().is_empty() { Path::new(".") } else { real };
        match openat(self.out, real, flags, Mode::empty()) {
            Err(Errno::ACCESS) if real.is_relative() => {
                let mode = statat(self.out, real, AtFlags::SYMLINK_NOFOLLOW)?.st_mode;
                let needed = if flags.contains(OFlags::DIRECTORY) { 0o500 } else { 0o400 };
                rustix::fs::chmodat(self.out, real, Mode::from_raw_mode(mode | needed), AtFlags::empty())?;
                Ok(openat(self.out, real, flags, Mode::empty())?)
            }
            opened => Ok(opened?),
        }
    }

    /// The path of an entry, counted against the limit.
    fn legal_path(&mut self, directory: &str, name: &CStr) -> Result<String, Trouble> {
        let path = [directory.as_bytes(), if directory.is_empty() { b"" } else { b"/" }, name.to_bytes()].concat();
        let shown = String::from_utf8_lossy(&path).into_owned();
        let legal = FilePath::from_bytes(&[b"/", path.as_slice()].concat()).and_then(|path| path.check_new());
        legal.map_err(|error| bad(&shown, error.why))?;
        self.count(&shown)?;
        Ok(shown)
    }

    fn count(&mut self, path: &str) -> Result<(), Trouble> {
        self.entries += 1;
        if self.entries > self.limits.files_max { Err(self.too_many(path)) } else { Ok(()) }
    }

    fn too_many(&self, path: &str) -> Trouble {
        bad(path, format!("the output has more than {} files and directories", self.limits.files_max))
    }

    fn link(
        &mut self,
        directory: &Directory,
        path: String,
        real: &Path,
        waiting: &mut Vec<Directory>,
    ) -> Result<(), Trouble> {
        let out = self.pfs.join("out");
        let here = out.join(&directory.real);
        let target = follow(&out.join(real)).map_err(|why| bad(&path, why))?;
        if let Some(input) = self.below_an_input(&target) {
            return self.link_to_input(&path, &input, &target);
        }
        let stat = statat(CWD, &target, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|error| bad(&path, format!("the link cannot be followed: {error}")))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory {
            return self.file(&path, &target, kind);
        }
        let through = Rc::new(Through { from: here, before: directory.through.clone() });
        let mut step = Some(&through);
        while let Some(passed) = step {
            if passed.from.starts_with(&target) {
                return Err(bad(&path, "the link leads to a directory that contains it"));
            }
            step = passed.before.as_ref();
        }
        waiting.push(Directory { path, real: target, through: Some(through) });
        Ok(())
    }

    /// The target as a path below `/pfs`, unless it is in the output or outside `/pfs`.
    fn below_an_input(&self, target: &Path) -> Option<String> {
        let input = target.strip_prefix(self.pfs).ok()?;
        let first = input.components().next()?;
        (first.as_os_str() != "out").then(|| input.to_str().map(str::to_owned)).flatten()
    }

    fn link_to_input(&mut self, path: &str, input: &str, target: &Path) -> Result<(), Trouble> {
        if self.inputs.contains(input) {
            self.answer.message(&FromAgent::Link { path: path.to_owned(), input: input.to_owned() })?;
            return Ok(());
        }
        if !target.is_dir() {
            return Err(bad(path, format!("it links to `{}`, which is not one of the inputs", target.display())));
        }
        let inputs = self.inputs;
        for file in inputs.below(input) {
            let path = format!("{path}{}", &file[input.len()..]);
            self.count(&path)?;
            let legal = format!("/{path}").parse::<FilePath>().and_then(|path| path.check_new());
            legal.map_err(|error| bad(&path, error.why))?;
            self.answer.message(&FromAgent::Link { path, input: file.to_owned() })?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, real: &Path, kind: FileType) -> Result<(), Trouble> {
        if kind != FileType::RegularFile {
            return Err(bad(path, format!("it is {}, not a file", name_of(kind))));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = self.open(real, flags).map_err(|error| bad(path, format!("it cannot be read: {error}")))?;
        let stat = fstat(&opened).map_err(io::Error::from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(bad(path, "it changed while it was read"));
        }
        let size_bytes = u64::try_from(stat.st_size).unwrap_or_default();
        self.bytes = self.bytes.saturating_add(size_bytes);
        if self.bytes > self.limits.bytes_max {
            return Err(bad(path, format!("the output has more than {} bytes", self.limits.bytes_max)));
        }
        let header = FileHeader { path: path.to_owned(), size_bytes, executable: is_executable(&stat) };
        self.answer.message(&FromAgent::File(header))?;
        self.content(path, File::from(opened), size_bytes)
    }

    fn content(&mut self, path: &str, file: File, size_bytes: u64) -> Result<(), Trouble> {
        let mut left = size_bytes;
        let mut file = file.take(size_bytes);
        while left > 0 {
            self.in_time()?;
            match file.read(&mut self.buffer).map_err(|error| bad(path, format!("it cannot be read: {error}")))? {
                // Only a file outside `/pfs/out` can become shorter.
                0 => return Err(bad(path, "it became shorter while it was read")),
                count => {
                    self.answer.data(&self.buffer[..count])?;
                    left -= count as u64;
                }
            }
        }
        Ok(())
    }
}

/// Resolves a link to a full path without links, or says why that fails. It is resolved part by part, because in the kernel's file systems
/// the agent would find itself where the command found its own files.
fn follow(link: &Path) -> Result<PathBuf, String> {
    let mut reached = PathBuf::from("/");
    let mut ahead = parts(link);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            reached.pop();
            continue;
        }
        reached.push(&part);
        if KERNEL.iter().any(|tree| reached == Path::new(tree)) {
            let whole = ahead.iter().rev().fold(reached, |path, part| path.join(part));
            return Err(format!("it links to `{}`, which is not a file that can be stored", whole.display()));
        }
        match readlinkat(CWD, &reached, Vec::new()) {
            Ok(_) if links == LINKS_MAX => {
                return Err("the link cannot be followed: too many links".into());
            }
            Ok(target) => {
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                links += 1;
                reached.pop();
                if target.is_absolute() {
                    reached = PathBuf::from("/");
                }
                ahead.extend(parts(&target));
            }
            Err(Errno::INVAL) => {} // not a link
            Err(Errno::NOENT | Errno::NOTDIR) => return Err("the target of the link does not exist".to_owned()),
            Err(error) => return Err(format!("the link cannot be followed: {error}")),
        }
    }
    Ok(reached)
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

fn is_executable(stat: &Stat) -> bool {
    stat.st_mode & 0o111 != 0
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something special",
    }
}

#[cfg(test)]
mod tests {
    use super::super::clear::open_or_make;
    use super::*;
    use crate::protocol::{Frame, FrameReader};
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Sandbox {
        root: tempfile::TempDir,
        inputs: Inputs,
    }

    fn sandbox() -> Sandbox {
        let root = tempfile::tempdir().unwrap();
        let pfs = open_or_make(root.path().to_str().unwrap(), 0o755).unwrap();
        let mut inputs = Inputs::new(pfs, "/pfs", Some("out"));
        for path in ["in/d/a", "in/d/b"] {
            inputs.file(FileHeader { path: path.into(), size_bytes: 1, executable: false }, false).unwrap();
            inputs.data(b"x").unwrap();
        }
        fs::create_dir(root.path().join("out")).unwrap();
        Sandbox { root, inputs }
    }

    impl Sandbox {
        fn out(&self, path: &str) -> PathBuf {
            self.root.path().join("out").join(path)
        }

        /// What is sent, one line per entry.
        fn sent(&self, limits: OutputLimits) -> Result<Vec<String>, String> {
            self.sent_until(limits, None)
        }

        fn sent_until(&self, limits: OutputLimits, deadline: Option<Instant>) -> Result<Vec<String>, String> {
            let mut bytes = Vec::new();
            let mut answer = FrameWriter::new(&mut bytes);
            let out = open_or_make(self.out("").to_str().unwrap(), 0o755).unwrap();
            let pfs = self.root.path().canonicalize().unwrap();
            let walked = send_from(&out, &pfs, &self.inputs, Bounds { limits, deadline }, &mut answer);
            answer.flush().unwrap();
            drop(answer);
            match walked {
                Err(Trouble::Bad { path, why }) => return Err(format!("{path}: {why}")),
                Err(Trouble::Late) => return Err("late".to_owned()),
                Err(Trouble::Io(error)) => panic!("{error}"),
                Ok(()) => {}
            }
            let mut reader = FrameReader::new(bytes.as_slice());
            let mut lines = Vec::new();
            while let Some(frame) = reader.next::<FromAgent>().unwrap() {
                match frame {
                    Frame::Message(FromAgent::File(file)) => lines.push(format!("{} {}", file.path, file.size_bytes)),
                    Frame::Message(FromAgent::Link { path, input }) => lines.push(format!("{path} -> {input}")),
                    Frame::Message(other) => panic!("{other:?}"),
                    Frame::Data(_) => {}
                }
            }
            lines.sort();
            Ok(lines)
        }
    }

    #[test]
    fn files_and_links_to_inputs() {
        let sandbox = sandbox();
        fs::create_dir_all(sandbox.out("deep/er")).unwrap();
        fs::write(sandbox.out("deep/er/f"), "12345").unwrap();
        symlink(sandbox.root.path().join("in/d/a"), sandbox.out("one")).unwrap();
        symlink("../in", sandbox.out("all")).unwrap();
        symlink("deep/er", sandbox.out("again")).unwrap();
        let expected = ["again/f 5", "all/d/a -> in/d/a", "all/d/b -> in/d/b", "deep/er/f 5", "one -> in/d/a"];
        assert_eq!(sandbox.sent(OutputLimits::default()).unwrap(), expected);
    }

    #[test]
    fn what_no_commit_can_hold_is_refused_with_its_path() {
        type Make = fn(&Sandbox);
        let cases: [(Make, &str); 9] = [
            (|sandbox| symlink("nowhere", sandbox.out("l")).unwrap(), "/l: the target of the link does not exist"),
            (|sandbox| symlink("l", sandbox.out("l")).unwrap(), "/l: the link cannot be followed"),
            (|sandbox| symlink(".", sandbox.out("l")).unwrap(), "/l: the link leads to a directory that contains it"),
            (|sandbox| symlink("..", sandbox.out("l")).unwrap(), "/l: the link leads to a directory that contains it"),
            (|sandbox| symlink("/dev/null", sandbox.out("l")).unwrap(), "/l: it links to `/dev/null`"),
            (
                |sandbox| symlink("/proc/self/root/etc/passwd", sandbox.out("l")).unwrap(),
                "/l: it links to `/proc/self/root/etc",
            ),
            (|sandbox| symlink("/proc/self/fd/0", sandbox.out("l")).unwrap(), "/l: it links to `/proc/self/fd/0`"),
            (|sandbox| symlink("/usr/../proc/1/cwd", sandbox.out("l")).unwrap(), "/l: it links to `/proc/1/cwd`"),
            (|sandbox| fs::write(sandbox.out("a\nb"), "").unwrap(), "/a\nb: it has a control character"),
        ];
        for (make, expected) in cases {
            let sandbox = sandbox();
            make(&sandbox);
            let error = sandbox.sent(OutputLimits::default()).unwrap_err();
            assert!(error.starts_with(expected), "{error:?} is not {expected:?}");
        }
    }

    #[test]
    fn links_in_a_circle_end() {
        let sandbox = sandbox();
        fs::create_dir(sandbox.out("a")).unwrap();
        fs::create_dir(sandbox.out("b")).unwrap();
        symlink("../b", sandbox.out("a/l")).unwrap();
        symlink("../a", sandbox.out("b/l")).unwrap();
        assert!(sandbox.sent(OutputLimits::default()).unwrap_err().contains("a directory that contains it"));
    }

    #[test]
    fn limits_hold() {
        let sandbox = sandbox();
        for name in ["a", "b", "c"] {
            fs::write(sandbox.out(name), "12345").unwrap();
        }
        let error = sandbox.sent(OutputLimits { files_max: 2, bytes_max: 1000 }).unwrap_err();
        assert!(error.starts_with("/: the output has more than 2 files"), "{error}");
        let error = sandbox.sent(OutputLimits { files_max: 9, bytes_max: 12 }).unwrap_err();
        assert!(error.starts_with("/c: the output has more than 12 bytes"), "{error}");
    }

    #[test]
    fn the_time_for_a_large_file_is_limited() {
        let sandbox = sandbox();
        fs::write(sandbox.out("a"), "12345").unwrap();
        File::create(sandbox.out("b")).and_then(|file| file.set_len(700 << 30)).unwrap();
        let limits = OutputLimits::default();
        assert_eq!(sandbox.sent_until(limits, Some(Instant::now())).unwrap_err(), "late");
        let bound = OutputLimits { bytes_max: 600 << 30, ..limits };
        assert!(sandbox.sent(bound).unwrap_err().starts_with("/b: the output has more than"), "by its length, unread");
    }

    #[test]
    fn a_chain_of_links_is_followed_as_far_as_the_kernel_would() {
        let sandbox = sandbox();
        let beside = tempfile::tempdir().unwrap();
        let link = |name: String, target: String| symlink(target, beside.path().join(name)).unwrap();
        fs::write(beside.path().join("0"), "x").unwrap();
        (1..=40).for_each(|number| link(number.to_string(), (number - 1).to_string()));
        symlink(beside.path().join("39"), sandbox.out("l")).unwrap();
        assert_eq!(sandbox.sent(OutputLimits::default()).unwrap(), ["l 1"]);
        symlink(beside.path().join("40"), sandbox.out("m")).unwrap();
        assert!(sandbox.sent(OutputLimits::default()).unwrap_err().starts_with("/m: the link cannot be followed"));
    }
}
