//! Requests and answers: lines of JSON; the first one of a connection can have streams attached.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use repos::Change;
use repos::packs::PackName;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use specs::ErrorKind;

use crate::invocation::{BEGUN, Streams};

/// A request to the owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Run this command line with the attached streams. `takes_output`: its output may be sent with the answer.
    Command {
        argv: Vec<OsString>,
        cwd: PathBuf,
        env: Vec<(OsString, OsString)>,
        #[serde(default)]
        takes_output: bool,
    },
    /// Publish this change; everything it references is in finished packs. `relied`: packs in which the sender may have found some of it.
    Publish { change: Change, relied: Vec<PackName> },
}

/// An answer of the owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The command ended with this exit code.
    Exit(u8),
    /// The command ended with this exit code; this many bytes for stdout and for stderr follow.
    Printed { exit: u8, stdout: usize, stderr: usize },
    /// The owner shut down before the command ran: the caller continues on its own.
    GoOn,
    /// The change is durable.
    Published,
    /// It is unknown whether the change happened; the reason.
    Unsure(String),
    /// The change did not happen; `race`: another writer was first, so trying again may help; `collected`: garbage collection removed data
    /// that it needs, so that data must be written again.
    Error { kind: ErrorKind, message: String, hint: Option<String>, race: bool, collected: bool },
}

/// Number of streams of a command.
const STREAMS: usize = 3;
/// Most bytes of a request. The operating system limits arguments and environment; a change is limited by what one command changes.
const REQUEST_MAX: usize = 64 << 20;
/// Bytes that every request may have without a share of the memory.
const SMALL: usize = 1 << 16;

fn line_of(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Sends a request, with streams if given.
pub(crate) fn send_request(stream: &UnixStream, request: &Request, streams: Option<&Streams>) -> std::io::Result<()> {
    let line = line_of(request)?;
    let attached: Vec<_> = streams
        .iter()
        .flat_map(|streams| [streams.stdin.as_fd(), streams.stdout.as_fd(), streams.stderr.as_fd()])
        .collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !attached.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&attached));
    }
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?;
    // The streams are sent with the first bytes.
    (&*stream).write_all(&line[sent..])
}

/// Receives a request, and its streams if three are attached. All of it must arrive `within` this time; a request that is not small needs a
/// share of `memory`.
pub(crate) fn receive_request(
    stream: &UnixStream,
    within: Duration,
    memory: &Memory,
) -> std::io::Result<(Request, Option<Streams>, Share)> {
    let deadline = Instant::now() + within;
    let mut share = memory.share();
    let mut line = vec![0; SMALL];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    wait_until(stream, deadline)?;
    let slices = &mut [IoSliceMut::new(&mut line)];
    let received = rustix::net::recvmsg(stream, slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let attached: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(attached) => attached.collect(),
            _ => Vec::new(),
        })
        .collect();
    line.truncate(received.bytes);
    read_rest(stream, &mut line, deadline, &mut share)?;
    let request = serde_json::from_slice(&line)?;
    let streams = <[OwnedFd; STREAMS]>::try_from(attached).ok().map(|[stdin, stdout, stderr]| Streams {
        stdin: stdin.into(),
        stdout: stdout.into(),
        stderr: stderr.into(),
    });
    Ok((request, streams, share))
}

/// Sets a deadline for the next read.
fn wait_until(stream: &UnixStream, deadline: Instant) -> std::io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Zero would mean no timeout.
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))
}

/// Reads the rest of a line.
fn read_rest(mut stream: &UnixStream, line: &mut Vec<u8>, deadline: Instant, share: &mut Share) -> std::io::Result<()> {
    let mut piece = vec![0; SMALL];
    while line.last() != Some(&b'\n') {
        if Instant::now() >= deadline {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        wait_until(stream, deadline)?;
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let needed = line.len() + length;
        if needed > REQUEST_MAX || !share.grow_to(needed - SMALL.min(needed)) {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        line.extend_from_slice(&piece[..length]);
    }
    Ok(())
}

/// A memory limit for large requests, shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    left: Arc<AtomicUsize>,
}

/// The part of the memory that a request uses, until dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    bytes: usize,
}

impl Memory {
    pub(crate) fn of(bytes: usize) -> Self {
        Self { left: Arc::new(bytes.into()) }
    }

    fn share(&self) -> Share {
        Share { memory: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Grows the share to this size; false if the bound does not allow it.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let left = &self.memory.left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more));
        self.bytes += if taken.is_ok() { more } else { 0 };
        taken.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Sends an answer.
pub(crate) fn send_answer(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    stream.write_all(&line_of(answer)?)
}

/// Sends the exit code of a command with its output.
pub(crate) fn send_printed(mut stream: &UnixStream, exit: u8, [stdout, stderr]: &[Vec<u8>; 2]) -> std::io::Result<()> {
    let mut all = line_of(&Answer::Printed { exit, stdout: stdout.len(), stderr: stderr.len() })?;
    all.extend_from_slice(stdout);
    all.extend_from_slice(stderr);
    stream.write_all(&all)
}

/// Accepts the request: it will be answered.
pub(crate) fn send_taken(mut stream: &UnixStream) -> std::io::Result<()> {
    stream.write_all(b"\n")
}

/// Waits until the request is accepted; false if the owner is shutting down.
pub(crate) fn is_taken(mut stream: &UnixStream) -> bool {
    stream.read_exact(&mut [0]).is_ok()
}

/// Waits for the answer. An error also says whether the command's streams had received output.
pub(crate) fn receive_answer(stream: &UnixStream) -> Result<Answer, Broken> {
    receive_with_output(stream).map(|(answer, _)| answer)
}

/// Like [`receive_answer`], with the attached output for stdout and stderr.
pub(crate) fn receive_with_output(stream: &UnixStream) -> Result<(Answer, [Vec<u8>; 2]), Broken> {
    let mut line = Vec::new();
    let mut from = BufReader::new(stream.take(REQUEST_MAX as u64));
    let read = from.read_until(b'\n', &mut line);
    let broken = || Broken { has_begun: line.first() == Some(&BEGUN) };
    if read.is_err() || line.last() != Some(&b'\n') {
        return Err(broken());
    }
    let answer: Answer = serde_json::from_slice(&line).map_err(|_| broken())?;
    let mut output = <[Vec<u8>; 2]>::default();
    if let Answer::Printed { stdout, stderr, .. } = &answer {
        for (bytes, length) in output.iter_mut().zip([*stdout, *stderr]) {
            let read = (&mut from).take(length as u64).read_to_end(bytes);
            if read.is_err() || bytes.len() != length {
                return Err(broken());
            }
        }
    }
    Ok((answer, output))
}

/// A connection that ended without an answer.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Whether the command's streams had received output.
    pub(crate) has_begun: bool,
}
