//! The streams of a command that runs for a client, and their other ends.

use std::fs::File;
use std::io::ErrorKind as IoKind;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::{Semaphore, mpsc, watch};

use super::protocol::{OutputStream, PIECE, Terminals, ToClient};
use super::terminal::Terminal;
use crate::invocation::Streams;

/// The streams of a command, and their other ends.
pub(super) struct Ends {
    pub(super) streams: Streams,
    pub(super) input: pipe::Sender,
    pub(super) outputs: Vec<Output>,
}

/// Where the output of a stream is read.
pub(super) struct Output {
    pub(super) stream: OutputStream,
    pub(super) read: File,
    pub(super) is_terminal: bool,
}

impl Ends {
    /// Pipes, and one terminal for those output streams that are one at the client: so what is written to both keeps its order.
    pub(super) fn open(terminals: Terminals) -> std::io::Result<Self> {
        let file = |fd: OwnedFd| File::from(fd);
        let (stdin, input) = std::io::pipe()?;
        let mut outputs = Vec::new();
        let mut terminal = None;
        if terminals.stdout || terminals.stderr {
            let Terminal { read, write } = Terminal::open((terminals.columns, terminals.rows))?;
            let stream = if terminals.stdout { OutputStream::Stdout } else { OutputStream::Stderr };
            outputs.push(Output { stream, read, is_terminal: true });
            terminal = Some(write);
        }
        let mut open = |stream, is_terminal: bool| match &terminal {
            Some(terminal) if is_terminal => terminal.try_clone(),
            _ => {
                let (read, write) = std::io::pipe()?;
                outputs.push(Output { stream, read: file(read.into()), is_terminal: false });
                Ok(file(write.into()))
            }
        };
        let stdout = open(OutputStream::Stdout, terminals.stdout)?;
        let stderr = open(OutputStream::Stderr, terminals.stderr)?;
        let input = pipe::Sender::from_owned_fd(input.into())?;
        Ok(Self { streams: Streams { stdin: file(stdin.into()), stdout, stderr }, input, outputs })
    }
}
/// Waits until this is set; forever if it cannot be set any more.
pub(super) async fn is_true(watched: &mut watch::Receiver<bool>) {
    if watched.wait_for(|is_set| *is_set).await.is_err() {
        std::future::pending::<()>().await;
    }
}
/// Sends what a command writes to a stream, as far as the client takes it.
pub(super) async fn pump(
    stream: OutputStream,
    read: File,
    credit: &Semaphore,
    mut has_ended: watch::Receiver<bool>,
    to: &mpsc::Sender<Bytes>,
) {
    if rustix::io::ioctl_fionbio(&read, true).is_err() {
        return;
    }
    // A terminal is read as a pipe is.
    let Ok(read) = pipe::Receiver::from_file_unchecked(read) else { return };
    let mut buffer = vec![0; PIECE];
    loop {
        // The semaphore is never closed.
        let Ok(mut room) = credit.acquire_many(PIECE as u32).await else { return };
        let Some(length) = read_some(&read, &mut buffer, &mut has_ended).await else { return };
        if let Some(used) = room.split(length) {
            used.forget();
        }
        drop(room);
        let output = ToClient::Output(stream, Bytes::copy_from_slice(&buffer[..length]));
        if to.send(output.to_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads as soon as there is something; `None` at the end: when all writers are gone, or the command has ended and all was read.
async fn read_some(read: &pipe::Receiver, buffer: &mut [u8], has_ended: &mut watch::Receiver<bool>) -> Option<usize> {
    loop {
        let is_over = *has_ended.borrow();
        match read.try_read(buffer) {
            Ok(0) => return None,
            Ok(length) => return Some(length),
            Err(error) if error.kind() == IoKind::Interrupted => continue,
            // Without a wait, the runtime may not know yet that there is something.
            Err(error) if error.kind() == IoKind::WouldBlock && is_over => {
                return rustix::io::read(read, buffer).ok().filter(|length| *length > 0);
            }
            Err(error) if error.kind() == IoKind::WouldBlock => {}
            // A terminal without writers gives an error.
            Err(_) => return None,
        }
        tokio::select! {
            ready = read.readable() => ready.ok()?,
            () = is_true(has_ended) => {}
        }
    }
}
