//! Requests and answers: lines of JSON, the first of a connection with streams attached.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use repos::Change;
use repos::packs::PackName;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use specs::ErrorKind;

use crate::context::Streams;

/// What is asked of the owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Run this command line. Its streams are attached.
    Command { argv: Vec<OsString>, cwd: PathBuf, env: Vec<(OsString, OsString)> },
    /// Make this change happen; what it names is in finished packs. `relied`: those in which the sender may have found some of it.
    Publish { change: Change, relied: Vec<PackName> },
}

/// What the owner answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The command ended with this exit code.
    Exit(u8),
    /// The owner is at its end before the command is: the caller goes on by itself.
    GoOn,
    /// The change is durable.
    Published,
    /// Nobody knows whether the change happened, and why.
    Unsure(String),
    /// The change did not happen; `race`: somebody was quicker, so looking again may help; `collected`: garbage collection took
    /// what it builds on, so that has to be written anew.
    Error { kind: ErrorKind, message: String, hint: Option<String>, race: bool, collected: bool },
}

/// How many streams a command has.
const STREAMS: usize = 3;
/// The most bytes of a request: arguments and environment are bounded by the operating system, changes by what one command changes.
const REQUEST_MAX: u64 = 64 << 20;

fn line_of(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Sends a request, with streams if it has some.
pub(super) fn send_request(stream: &UnixStream, request: &Request, streams: Option<&Streams>) -> std::io::Result<()> {
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
    // The streams travel with the first bytes.
    (&*stream).write_all(&line[sent..])
}

/// Receives a request, and streams if three are attached.
pub(super) fn receive_request(stream: &UnixStream) -> std::io::Result<(Request, Option<Streams>)> {
    let mut first = vec![0; 1 << 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(&mut first)];
    let received = rustix::net::recvmsg(stream, slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let attached: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(attached) => attached.collect(),
            _ => Vec::new(),
        })
        .collect();
    first.truncate(received.bytes);
    let request = read_line(first.chain_with(stream))?;
    let streams = <[OwnedFd; STREAMS]>::try_from(attached).ok().map(|[stdin, stdout, stderr]| Streams {
        stdin: stdin.into(),
        stdout: stdout.into(),
        stderr: stderr.into(),
    });
    Ok((request, streams))
}

/// Bytes that were read already, before those that are still to come.
trait ChainWith {
    fn chain_with(self, rest: impl Read) -> impl Read;
}

impl ChainWith for Vec<u8> {
    fn chain_with(self, rest: impl Read) -> impl Read {
        std::io::Cursor::new(self).chain(rest)
    }
}

fn read_line<T: serde::de::DeserializeOwned>(from: impl Read) -> std::io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(from.take(REQUEST_MAX)).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

/// Sends an answer.
pub(super) fn send_answer(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    stream.write_all(&line_of(answer)?)
}

/// Says that the connection is taken: its request will be answered.
pub(super) fn send_taken(mut stream: &UnixStream) -> std::io::Result<()> {
    stream.write_all(b"\n")
}

/// Waits until the connection is taken; false when that will not be, since the owner is at its end.
pub(super) fn is_taken(mut stream: &UnixStream) -> bool {
    stream.read_exact(&mut [0]).is_ok()
}

/// Waits for the answer.
pub(super) fn receive_answer(stream: &UnixStream) -> std::io::Result<Answer> {
    read_line(stream)
}
