//! Receives the next try while a command is still running.
//!
//! User code must not see it: small files wait in memory, larger ones in unnamed files on the disk of `/pfs`, which get their names when
//! the try begins. When there is no room left, the agent stops reading the engine's stream until the command has ended.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

use super::inputs::Inputs;
use crate::protocol::{FileHeader, Frame, ToAgent, Try};

/// Files larger than this are staged on disk, in bytes.
const IN_MEMORY_BYTES: u64 = 256 * 1024;
/// Maximum number of bytes staged in memory.
const MEMORY_MAX: usize = 16 << 20;
/// Maximum number of staged files, and of open ones among them.
const FILES_MAX: usize = 50_000;
const OPEN_MAX: usize = 64;

/// Files of the next try, in the order of arrival.
#[derive(Default)]
pub(super) struct Staging {
    task: Option<Box<Try>>,
    files: Vec<Staged>,
    memory: usize,
    open: usize,
    /// Whether this disk does not support unnamed files.
    has_no_nameless: bool,
}

enum Staged {
    File { header: FileHeader, keep: bool, content: StagedContent },
    Same { path: String },
}

enum StagedContent {
    Memory(Vec<u8>),
    /// An unnamed file; this many bytes are missing.
    Nameless(File, u64),
}

impl Staging {
    /// Whether reading from the engine's stream should pause.
    pub(super) fn is_full(&self) -> bool {
        self.memory >= MEMORY_MAX || self.files.len() >= FILES_MAX || self.open >= OPEN_MAX
    }

    /// Receives a frame of the next try. `root` is the directory of the inputs.
    pub(super) fn take(&mut self, frame: Frame<'_, ToAgent>, root: &OwnedFd) -> io::Result<()> {
        match frame {
            Frame::Message(ToAgent::Begin(task)) => {
                *self = Self { task: Some(task), has_no_nameless: self.has_no_nameless, ..Self::default() };
                Ok(())
            }
            Frame::Message(ToAgent::File { header, keep }) if self.task.is_some() => {
                self.file(header, keep, root);
                Ok(())
            }
            Frame::Message(ToAgent::Same { path }) if self.task.is_some() => {
                self.files.push(Staged::Same { path });
                Ok(())
            }
            Frame::Data(bytes) => self.data(bytes),
            Frame::Message(_) => Err(out_of_turn()),
        }
    }

    fn file(&mut self, header: FileHeader, keep: bool, root: &OwnedFd) {
        let mut content = StagedContent::Memory(Vec::new());
        if header.size_bytes > IN_MEMORY_BYTES && !self.has_no_nameless {
            let mode = Mode::from_raw_mode(if header.executable { 0o555 } else { 0o444 });
            match openat(root, ".", OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode) {
                Ok(file) => {
                    content = StagedContent::Nameless(File::from(file), header.size_bytes);
                    self.open += 1;
                }
                // Not supported by some file systems; then what does not fit into memory waits with the engine.
                Err(_) => self.has_no_nameless = true,
            }
        }
        self.files.push(Staged::File { header, keep, content });
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.files.last_mut() {
            Some(Staged::File { content: StagedContent::Memory(content), .. }) => {
                content.extend_from_slice(bytes);
                self.memory += bytes.len();
                Ok(())
            }
            Some(Staged::File { content: StagedContent::Nameless(file, left), .. }) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or_else(out_of_turn)?;
                file.write_all(bytes)
            }
            _ => Err(out_of_turn()),
        }
    }

    /// The next try, if it has arrived; its files are still to be laid out.
    pub(super) fn take_task(&mut self) -> Option<Box<Try>> {
        self.task.take()
    }

    /// Lays out everything received; the last file may be incomplete.
    pub(super) fn lay_out(&mut self, into: &mut Inputs) -> io::Result<()> {
        (self.memory, self.open) = (0, 0);
        std::mem::take(&mut self.files).into_iter().try_for_each(|staged| match staged {
            Staged::Same { path } => into.same(&path),
            Staged::File { header, keep, content: StagedContent::Memory(bytes) } => {
                into.file(header, keep)?;
                if bytes.is_empty() { Ok(()) } else { into.data(&bytes) }
            }
            Staged::File { header, keep, content: StagedContent::Nameless(file, left) } => {
                into.adopt(header, keep, file, left)
            }
        })
    }
}

fn out_of_turn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the engine spoke out of turn")
}

#[cfg(test)]
mod tests {
    use super::super::clear::open_or_make;
    use super::*;
    use std::fs;

    fn header(path: &str, size_bytes: u64) -> FileHeader {
        FileHeader { path: path.to_owned(), size_bytes, executable: false }
    }

    fn file(path: &str, size_bytes: u64) -> Frame<'static, ToAgent> {
        Frame::Message(ToAgent::File { header: header(path, size_bytes), keep: false })
    }

    #[test]
    fn nothing_shows_before_its_turn_and_then_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = || open_or_make(folder.path().to_str().unwrap(), 0o755).unwrap();
        let mut staging = Staging::default();
        let large = vec![7; 300_000];
        staging.take(Frame::Message(ToAgent::Begin(Box::default())), &root()).unwrap();
        for frame in [file("in/small", 3), Frame::Data(b"abc"), file("in/empty", 0), file("in/large", 300_002)] {
            staging.take(frame, &root()).unwrap();
        }
        staging.take(Frame::Data(&large), &root()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut inputs = Inputs::new(root(), "/pfs", None);
        assert!(staging.take_task().is_some());
        staging.lay_out(&mut inputs).unwrap();
        assert!(inputs.seal().is_err(), "the last file is not complete");
        inputs.data(b"xy").unwrap();
        inputs.seal().unwrap();
        assert_eq!(fs::read(folder.path().join("in/small")).unwrap(), b"abc");
        assert_eq!(fs::read(folder.path().join("in/large")).unwrap(), [&large[..], b"xy"].concat());
        assert_eq!(inputs.touched(), None);
    }

    #[test]
    fn another_beginning_drops_what_came_and_memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let root = open_or_make(folder.path().to_str().unwrap(), 0o755).unwrap();
        let mut staging = Staging::default();
        assert!(staging.take(file("in/a", 1), &root).is_err(), "a file of no try");
        staging.take(Frame::Message(ToAgent::Begin(Box::default())), &root).unwrap();
        for number in 0..100 {
            staging.take(file(&number.to_string(), IN_MEMORY_BYTES), &root).unwrap();
            staging.take(Frame::Data(&vec![0; IN_MEMORY_BYTES as usize]), &root).unwrap();
            if staging.is_full() {
                break;
            }
        }
        assert!(staging.is_full() && staging.memory <= MEMORY_MAX + IN_MEMORY_BYTES as usize);
        staging.take(Frame::Message(ToAgent::Begin(Box::default())), &root).unwrap();
        assert!(!staging.is_full() && staging.files.is_empty());
        assert!(staging.take(Frame::Message(ToAgent::Go), &root).is_err());
    }
}
