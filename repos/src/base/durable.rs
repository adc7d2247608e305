//! Durability: fsync of folders, and write-back of long files while they are written, so that the last sync has little left to wait for.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::JoinHandle;

use super::error::{IoContext, RepoError};
use super::watch::{Step, tell};

/// A sync starts in the background each time a file has grown by this many bytes.
const BYTES: u64 = 64 << 20;

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), RepoError> {
    File::open(folder).and_then(|folder| folder.sync_all()).doing("sync", folder)?;
    tell(folder, || Step::FolderSynced);
    Ok(())
}

/// Background write-back of one file.
#[derive(Debug, Default)]
pub(crate) struct Writeback {
    /// The length up to which a sync was started.
    upto: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Writeback {
    /// Starts another sync if the file has grown enough and none is running; returns the result of the previous one.
    pub(crate) fn go_on(&mut self, file: &File, length: u64) -> io::Result<()> {
        let is_busy = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if is_busy || length < self.upto + BYTES {
            return Ok(());
        }
        self.wait()?;
        self.upto = length;
        // Best effort: without a second file handle or a thread, the final sync does all the work.
        if let Ok(file) = file.try_clone() {
            self.running = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        }
        Ok(())
    }

    /// Waits for the running sync. Its result must be checked: the system reports a failed sync only once.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        let running = self.running.take().map_or(Ok(Ok(())), JoinHandle::join);
        running.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Call this after the file was truncated to `length`.
    pub(crate) fn cut(&mut self, length: u64) {
        self.upto = self.upto.min(length);
    }
}

/// Writes to a file and starts write-back early, without promising durability, so that the last sync has little left to do.
pub(crate) struct Eager<'a> {
    file: &'a mut File,
    length: u64,
    writeback: Writeback,
}

impl<'a> Eager<'a> {
    pub(crate) fn new(file: &'a mut File) -> Self {
        Self { file, length: 0, writeback: Writeback::default() }
    }

    /// Skips this many bytes, which leaves a hole.
    pub(crate) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.length += bytes;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }

    /// Truncates or extends the file.
    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

impl Write for Eager<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        self.writeback.go_on(self.file, self.length)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
