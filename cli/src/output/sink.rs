//! A stream for results or notes that never blocks this process forever.
//!
//! A reader may stall: a pager waits for a key, a terminal is held. A handed-over command must not block the owner that runs it; and a
//! process that was told to end must not wait for its own reader either. So all writes are non-blocking: pipes and terminals are opened a
//! second time for that (the caller's own descriptor stays unchanged), and while there is no space, cancellation is checked periodically.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::SendFlags;

use super::Screen;
use crate::invocation::{Cancel, Client};

/// Milliseconds between two checks for cancellation while a write is blocked.
const BETWEEN_LOOKS: u16 = 100;
/// A pipe that is writable takes this many bytes without blocking.
const ATOMIC: usize = 4096;
/// How long notes wait for a reader before they are dropped.
const NOTES_WAIT: Duration = Duration::from_secs(1);
/// Most bytes that are buffered for a stalled reader.
const KEPT_BACK: usize = 1 << 20;
/// Most bytes of a stream that are held until a command has ended.
const HELD: usize = 256 << 10;

/// Writes to one stream. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    way: Way,
    cancel: Cancel,
    client: Client,
    /// Whether notes are dropped if they cannot be written in time.
    drops: AtomicBool,
    /// Whether the last note was dropped: the next ones do not wait.
    has_dropped: AtomicBool,
    /// Output buffered for a stalled reader; `None` if writers wait instead.
    kept_back: Mutex<Option<Vec<u8>>>,
    /// Output held until the command has ended, to be sent with its answer; `None` if nothing is held.
    held: Mutex<Option<Vec<u8>>>,
}

/// How to write to a stream without blocking.
#[derive(Debug)]
enum Way {
    /// Files never block.
    File,
    /// A pipe or terminal, opened a second time as non-blocking.
    Own(File),
    Socket,
    /// A pipe or terminal that cannot be opened a second time: polled before each write.
    Asked,
}

impl Way {
    fn to(file: &File) -> Self {
        let kind = rustix::fs::fstat(file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::Socket) => Self::Socket,
            Ok(FileType::Fifo) => Self::opened_anew(file),
            Ok(FileType::CharacterDevice) if rustix::termios::isatty(file) => Self::opened_anew(file),
            _ => Self::File,
        }
    }

    fn opened_anew(file: &File) -> Self {
        let path = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // This fails if there is no reader any more, or if another user created the pipe or terminal.
        rustix::fs::open(&path, flags, Mode::empty()).map_or(Self::Asked, |fd| Self::Own(fd.into()))
    }
}

fn write(mut file: &File, bytes: &[u8]) -> std::io::Result<usize> {
    file.write(bytes)
}

impl Sink {
    /// Writes to `file` on behalf of `client`, until `cancel` is requested.
    pub(crate) fn new(file: File, cancel: Cancel, client: Client) -> Self {
        let way = Way::to(&file);
        Self::with(file, way, cancel, client)
    }

    fn with(file: File, way: Way, cancel: Cancel, client: Client) -> Self {
        let (drops, has_dropped) = (AtomicBool::new(client.is_other()), AtomicBool::new(false));
        Self {
            inner: Arc::new(Inner {
                file,
                way,
                cancel,
                client,
                drops,
                has_dropped,
                kept_back: Mutex::default(),
                held: Mutex::default(),
            }),
        }
    }

    /// From now on, a bounded amount is held until it is [taken](Self::take_held). If there is more, all of it is written to the stream.
    pub(crate) fn hold(&self) {
        self.held().get_or_insert_default();
    }

    /// The held output; nothing if it was too long.
    pub(crate) fn take_held(&self) -> Vec<u8> {
        self.held().take().unwrap_or_default()
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Vec<u8>>> {
        self.inner.held.lock().expect("no panic under this lock")
    }

    /// Holds these bytes if possible, and then returns `None`; else returns held bytes that must be written first.
    fn before(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut held = self.held();
        match &mut *held {
            Some(held) if held.len() + bytes.len() <= HELD => {
                held.extend_from_slice(bytes);
                None
            }
            _ => Some(held.take().unwrap_or_default()),
        }
    }

    /// From now on notes are dropped rather than waited for.
    pub(crate) fn drop_notes(&self) {
        self.inner.drops.store(true, Ordering::Relaxed);
    }

    /// From now on up to a mebibyte is buffered for a stalled reader.
    pub(crate) fn keep_back(&self) {
        self.kept_back().get_or_insert_default();
    }

    /// Writes a note; drops it if it cannot be written soon.
    pub(crate) fn note(&self, text: &[u8]) {
        let Some(mut all) = self.before(text) else { return };
        all.extend_from_slice(text);
        let drops = self.inner.drops.load(Ordering::Relaxed);
        let has_dropped = self.inner.has_dropped.load(Ordering::Relaxed);
        let wait = if has_dropped { Some(Duration::ZERO) } else { drops.then_some(NOTES_WAIT) };
        let until = wait.map(|wait| Instant::now() + wait);
        let written = self.write_all_until(&all, until);
        self.inner.has_dropped.store(drops && written.is_err(), Ordering::Relaxed);
    }

    /// A writer for notes. From now on notes are dropped rather than waited for.
    pub(crate) fn notes(&self, screen: &Screen) -> NoteWriter {
        self.drop_notes();
        NoteWriter { sink: self.clone(), screen: screen.clone() }
    }

    /// Current columns and rows of the terminal, if it is one.
    pub(super) fn window(&self) -> Option<(usize, usize)> {
        super::screen::size(&self.inner.file)
    }

    fn kept_back(&self) -> std::sync::MutexGuard<'_, Option<Vec<u8>>> {
        self.inner.kept_back.lock().expect("no panic under this lock")
    }

    fn write_all_until(&self, mut bytes: &[u8], until: Option<Instant>) -> std::io::Result<()> {
        while !bytes.is_empty() {
            bytes = &bytes[self.write_until(bytes, until)?..];
        }
        Ok(())
    }

    /// Writes some of these bytes as soon as there is space; fails on cancellation or after the deadline.
    fn write_until(&self, bytes: &[u8], until: Option<Instant>) -> std::io::Result<usize> {
        let mut waiting = None;
        self.inner.client.begins();
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.inner.cancel.is_asked() || until.is_some_and(|until| Instant::now() >= until) {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            waiting.get_or_insert_with(|| self.inner.client.waits());
            self.until_room(BETWEEN_LOOKS);
        }
    }

    fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let Inner { file, way, .. } = &*self.inner;
        match way {
            Way::File => write(file, bytes),
            Way::Own(own) => write(own, bytes),
            Way::Socket => Ok(rustix::net::send(file, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Way::Asked if self.until_room(0) => write(file, &bytes[..bytes.len().min(ATOMIC)]),
            Way::Asked => Err(std::io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits this many milliseconds for space; true if there is some, or if the reader is gone.
    fn until_room(&self, milliseconds: u16) -> bool {
        let file = match &self.inner.way {
            Way::Own(own) => own,
            _ => &self.inner.file,
        };
        let mut looked = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
        poll(&mut looked, PollTimeout::from(milliseconds)).is_ok_and(|ready| ready > 0)
    }

    /// Writes buffered output as far as there is space. The rest stays.
    fn hand_on(&self, kept_back: &mut Vec<u8>) -> std::io::Result<()> {
        while !kept_back.is_empty() {
            match self.try_write(kept_back) {
                Ok(written) => drop(kept_back.drain(..written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Stops buffering: waits this long for the reader to take the buffered output, and drops the rest.
    pub(crate) fn finish(&self, wait: Duration) -> std::io::Result<()> {
        let kept_back = self.kept_back().take();
        kept_back.map_or(Ok(()), |bytes| self.write_all_until(&bytes, Some(Instant::now() + wait)))
    }
}

/// A writer for notes, which are dropped if they cannot be written soon.
#[derive(Debug)]
pub(crate) struct NoteWriter {
    sink: Sink,
    screen: Screen,
}

impl Write for NoteWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.screen.wipe();
        self.sink.note(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(before) = self.before(bytes) else { return Ok(bytes.len()) };
        self.write_all_until(&before, None)?;
        let mut kept_back = self.kept_back();
        if let Some(kept_back) = &mut *kept_back {
            self.hand_on(kept_back)?;
            if kept_back.is_empty() {
                match self.try_write(bytes) {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
            }
            if kept_back.len() + bytes.len() <= KEPT_BACK {
                kept_back.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            // The buffer is full: the writer waits, first for the earlier output.
            let before = std::mem::take(kept_back);
            self.write_all_until(&before, None)?;
        }
        drop(kept_back);
        self.write_until(bytes, None)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// More than any pipe or socket buffers.
    const MUCH: usize = 4 << 20;

    fn file(fd: impl Into<OwnedFd>) -> File {
        fd.into().into()
    }

    /// Each way that can block, with the end to read from.
    fn ways() -> Vec<(Sink, File, Cancel)> {
        let made = |way: fn(&File) -> Way, write: File, read: File| {
            let cancel = Cancel::default();
            let way = way(&write);
            (Sink::with(write, way, cancel.clone(), Client::default()), read, cancel)
        };
        let (read, write) = std::io::pipe().unwrap();
        let (other_read, other_write) = std::io::pipe().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let ways = vec![
            made(Way::to, file(write), file(read)),
            made(|_| Way::Asked, file(other_write), file(other_read)),
            made(Way::to, file(one), file(other)),
        ];
        assert!(matches!(ways[0].0.inner.way, Way::Own(_)) && matches!(ways[2].0.inner.way, Way::Socket));
        ways
    }

    #[test]
    fn all_that_is_written_arrives_in_order_however_slowly_it_is_read() {
        let bytes: Vec<u8> = (0..MUCH).map(|at| at as u8).collect();
        for (mut sink, mut read, _) in ways() {
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut found = vec![0; MUCH];
                    read.read_exact(&mut found).unwrap();
                    found
                });
                sink.write_all(&bytes).unwrap();
                assert_eq!(reader.join().unwrap(), bytes);
            });
        }
    }

    #[test]
    fn a_writer_whom_nobody_reads_gives_up_when_it_is_asked_to() {
        for (mut sink, read, cancel) in ways() {
            std::thread::scope(|scope| {
                let writer = scope.spawn(move || sink.write_all(&vec![0; MUCH]).unwrap_err().kind());
                assert!(!writer.is_finished());
                cancel.ask();
                assert_eq!(writer.join().unwrap(), std::io::ErrorKind::ConnectionAborted);
            });
            drop(read);
        }
    }

    #[test]
    fn a_bounded_part_is_kept_back_and_comes_first() {
        for (mut sink, mut read, cancel) in ways() {
            sink.keep_back();
            let bytes: Vec<u8> = (0..KEPT_BACK / 2).map(|at| at as u8).collect();
            sink.write_all(&bytes).unwrap();
            sink.write_all(b"the end").unwrap();
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut found = vec![0; bytes.len() + 7];
                    read.read_exact(&mut found).unwrap();
                    assert!(found.starts_with(&bytes) && found.ends_with(b"the end"));
                    read
                });
                sink.finish(Duration::from_secs(90)).unwrap();
                let read = reader.join().unwrap();
                sink.keep_back();
                cancel.ask();
                assert!(sink.write_all(&vec![0; MUCH]).is_err(), "no more than that is kept back");
                drop(read);
            });
        }
    }

    #[test]
    fn what_is_held_is_taken_whole_and_what_is_longer_goes_to_the_stream() {
        for (mut sink, mut read, _) in ways() {
            sink.hold();
            sink.write_all(b"short").unwrap();
            sink.note(b", and a note");
            assert_eq!(sink.take_held(), b"short, and a note");
            sink.hold();
            let bytes: Vec<u8> = (0..HELD + 2).map(|at| at as u8).collect();
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut found = vec![0; HELD + 2];
                    read.read_exact(&mut found).unwrap();
                    found
                });
                bytes.chunks(HELD / 2 + 1).for_each(|piece| sink.write_all(piece).unwrap());
                assert_eq!(reader.join().unwrap(), bytes);
                assert!(sink.take_held().is_empty());
            });
        }
    }

    #[test]
    fn notes_that_nobody_reads_are_dropped_and_later_ones_are_not_waited_for() {
        for (sink, read, _) in ways() {
            sink.drop_notes();
            sink.note(&vec![0; MUCH]);
            let begin = Instant::now();
            (0..100).for_each(|_| sink.note(&vec![0; MUCH]));
            assert!(begin.elapsed() < NOTES_WAIT, "each of them waited");
            drop(read);
        }
    }
}
