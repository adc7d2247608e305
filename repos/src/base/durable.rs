//! What has to reach the disk: names of files in a folder, and long files, on which the disk is set to work while more of them is
//! written, so that the last sync has little left to wait for.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::JoinHandle;

use super::error::{IoContext, RepoError};
use super::watch::{Step, tell};

/// The disk is set to work each time a file has grown by this many bytes.
const BYTES: u64 = 64 << 20;

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), RepoError> {
    File::open(folder).and_then(|folder| folder.sync_all()).doing("sync", folder)?;
    tell(folder, || Step::FolderSynced);
    Ok(())
}

/// What of one file the disk was given.
#[derive(Debug, Default)]
pub(crate) struct Writeback {
    /// The length up to which it has been asked for.
    upto: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Writeback {
    /// Begins another sync when there is enough for one and none is running; the result of the one before.
    pub(crate) fn go_on(&mut self, file: &File, length: u64) -> io::Result<()> {
        let is_busy = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if is_busy || length < self.upto + BYTES {
            return Ok(());
        }
        self.wait()?;
        self.upto = length;
        // It is not a loss where there is neither a file nor a thread to be had: all is synced in the end.
        if let Ok(file) = file.try_clone() {
            self.running = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        }
        Ok(())
    }

    /// The result of the sync that is running. It has to be asked for: a failed one is told once only.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        let running = self.running.take().map_or(Ok(Ok(())), JoinHandle::join);
        running.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The file was cut back to `length`.
    pub(crate) fn cut(&mut self, length: u64) {
        self.upto = self.upto.min(length);
    }
}

/// Writes to a file that the disk is to have soon, without promising when: nothing waits for the last sync.
pub(crate) struct Eager<'a> {
    file: &'a mut File,
    length: u64,
    writeback: Writeback,
}

impl<'a> Eager<'a> {
    pub(crate) fn new(file: &'a mut File) -> Self {
        Self { file, length: 0, writeback: Writeback::default() }
    }

    /// Goes on this many bytes further, and leaves a hole.
    pub(crate) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.length += bytes;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }

    /// Cuts or lengthens the file.
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
