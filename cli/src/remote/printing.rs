//! Writes what comes from a server: output, and the files that the command line names. A thread of its own, since writes may block.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc as threads;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::protocol::{OutputStream, SentError};
use crate::invocation::Invocation;

/// What a command may write on the client's machine: what its command line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writes {
    Nothing,
    /// This file.
    File(PathBuf),
    /// Files below this folder.
    Below(PathBuf),
}

impl Writes {
    fn allows(&self, path: &Path) -> bool {
        match self {
            Self::Nothing => false,
            Self::File(file) => file == path,
            Self::Below(folder) => path.strip_prefix(folder).is_ok_and(|below| {
                let mut parts = below.components().peekable();
                parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
            }),
        }
    }
}

/// What to write.
pub(super) enum Print {
    /// Output; whether the server waits until it is taken.
    Output(OutputStream, Bytes, bool),
    File(PathBuf),
    FileBytes(Bytes),
    FileEnd,
    /// Answered by [`Printed::All`].
    Sync,
}

/// What was written.
pub(super) enum Printed {
    Took(usize),
    /// Nobody reads this stream any more.
    Closed(OutputStream),
    Written(Result<(), SentError>),
    /// Output cannot be written.
    Failed(io::Error),
    All,
}

/// A thread that writes.
pub(super) struct Printer {
    to_print: threads::Sender<Print>,
    pub(super) printed: mpsc::UnboundedReceiver<Printed>,
    stdout: File,
    stderr: File,
}

impl Printer {
    pub(super) fn start(invocation: &Invocation, writes: Writes) -> io::Result<Self> {
        let (to_print, prints) = threads::channel();
        let (tell, printed) = mpsc::unbounded_channel();
        let streams =
            || Ok::<_, io::Error>((invocation.streams.stdout.try_clone()?, invocation.streams.stderr.try_clone()?));
        let (stdout, stderr) = streams()?;
        let (of_thread, others) = (Streams { stdout: Some(stdout), stderr: Some(stderr) }, streams()?);
        let work = move || Printing { streams: of_thread, writes, file: None, tell }.work(&prints);
        std::thread::Builder::new().name("printer".to_owned()).spawn(work)?;
        Ok(Self { to_print, printed, stdout: others.0, stderr: others.1 })
    }

    pub(super) fn print(&self, what: Print) {
        // The thread ends when this value is dropped.
        self.to_print.send(what).ok();
    }

    /// Columns and rows of the terminal that output goes to.
    pub(super) fn size(&self) -> Option<(u16, u16)> {
        let of = |stream: &File| rustix::termios::tcgetwinsize(stream).ok();
        let size = of(&self.stdout).or_else(|| of(&self.stderr))?;
        Some((size.ws_col, size.ws_row))
    }
}

/// The streams, until nobody reads them.
struct Streams {
    stdout: Option<File>,
    stderr: Option<File>,
}

struct Printing {
    streams: Streams,
    writes: Writes,
    file: Option<io::Result<NewFile>>,
    tell: mpsc::UnboundedSender<Printed>,
}

impl Printing {
    fn work(mut self, prints: &threads::Receiver<Print>) {
        while let Ok(print) = prints.recv() {
            let printed = match print {
                Print::Output(stream, bytes, is_awaited) => {
                    self.output(stream, &bytes);
                    if is_awaited { Printed::Took(bytes.len()) } else { continue }
                }
                Print::File(path) => {
                    self.file = Some(NewFile::create(&self.writes, path));
                    continue;
                }
                Print::FileBytes(bytes) => {
                    self.write(&bytes);
                    Printed::Took(bytes.len())
                }
                Print::FileEnd => Printed::Written(self.end_file().map_err(|error| SentError::from(&error))),
                Print::Sync => Printed::All,
            };
            if self.tell.send(printed).is_err() {
                return;
            }
        }
    }

    fn output(&mut self, stream: OutputStream, bytes: &[u8]) {
        let of = match stream {
            OutputStream::Stdout => &mut self.streams.stdout,
            OutputStream::Stderr => &mut self.streams.stderr,
        };
        let Some(file) = of else { return };
        let written = file.write_all(bytes);
        let Err(error) = written else { return };
        *of = None;
        // Notes that cannot be written are dropped; so is output that nobody reads.
        let is_closed = stream == OutputStream::Stderr || error.kind() == ErrorKind::BrokenPipe;
        self.tell.send(if is_closed { Printed::Closed(stream) } else { Printed::Failed(error) }).ok();
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(Ok(file)) = &mut self.file
            && let Err(error) = file.file.write_all(bytes)
        {
            self.file = Some(Err(error));
        }
    }

    fn end_file(&mut self) -> io::Result<()> {
        let file = self.file.take().ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?;
        file?.finish()
    }
}

/// A file that is being written beside its place; removed unless it is finished.
struct NewFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl NewFile {
    fn create(writes: &Writes, path: PathBuf) -> io::Result<Self> {
        if !writes.allows(&path) {
            return Err(io::Error::other("the command line does not name this file"));
        }
        if let (Writes::Below(_), Some(parent)) = (writes, path.parent()) {
            std::fs::create_dir_all(parent)?;
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", repos::random_hex()));
        let part = path.with_file_name(name);
        Ok(Self { file: File::create_new(&part)?, part, path })
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` it is gone.
        std::fs::remove_file(&self.part).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_command_line_names_may_be_written() {
        let below = Writes::Below("out".into());
        for (writes, path, is_allowed) in [
            (&Writes::Nothing, "a", false),
            (&Writes::File("a/b".into()), "a/b", true),
            (&Writes::File("a/b".into()), "a/c", false),
            (&Writes::File("a/b".into()), "a/b/c", false),
            (&below, "out/a/b", true),
            (&below, "out", false),
            (&below, "out/../x", false),
            (&below, "/out/a", false),
            (&below, "outer/a", false),
            (&Writes::Below("/".into()), "/../x", false),
        ] {
            assert_eq!(writes.allows(Path::new(path)), is_allowed, "{writes:?} {path}");
        }
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let writes = Writes::File(path.clone());
        let mut file = NewFile::create(&writes, path.clone()).unwrap();
        file.file.write_all(b"ne").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut file = NewFile::create(&writes, path.clone()).unwrap();
        file.file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
