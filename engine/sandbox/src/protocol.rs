//! The protocol between engine and agent over the agent's stdin and stdout.
//!
//! A frame is a `u32` (little-endian) and that many bytes. Bit 31 of the number distinguishes two types: if set, the bytes are *data*; if
//! clear, they are a message in `postcard`. Data belongs to what the previous message announced: the content of the last `File` until its
//! size is reached, otherwise (from the agent) output of the command. Neither side ever holds more than one frame.
//!
//! ```text
//! engine: Hello File* Open          agent: Ready               once
//! engine: Begin (File|Same)* Go     agent: data* (File|Link)* Done   for each try
//! ```
//! A `Done` with anything but an accepted exit may replace the rest of a file: the output no longer counts.
//!
//! While a command runs, the engine may send the next try, except for its `Go`, which waits for `Done`. Another `Begin` instead of `Go`
//! discards what came before it; to a command with a console the engine may also send `Input`, and `EndInput` once. The engine always reads
//! while it sends, so streams of any length cannot block each other. The end of the engine's stream ends the agent.

use std::io::{self, BufReader, BufWriter, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Exit, OutputLimits, SecretFile};

/// Increased with every change to the messages; both sides come from one binary, so different numbers mean a stale agent.
pub(crate) const VERSION: u32 = 6;
/// Maximum size of a data frame in bytes.
pub(crate) const MAX_DATA: usize = 256 * 1024;
/// Maximum size of a message in bytes: a command with its lines of stdin.
const MAX_MESSAGE: usize = 256 * 1024 * 1024;
const DATA_BIT: u32 = 1 << 31;

/// A file whose content follows as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileHeader {
    /// Relative to the directory that the context determines (that of the code, `/pfs`, `/pfs/out`).
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) executable: bool,
}

/// Settings for every try in a sandbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The command's whole environment except for that of the try; the agent's own is not passed on.
    pub(crate) env: Vec<(String, String)>,
    /// A name or id as in `/etc/passwd`, with an optional `:group`; `None` for the agent's own.
    pub(crate) user: Option<String>,
    /// Absolute; `None` for `/`.
    pub(crate) working_dir: Option<String>,
    /// Directories that exist only for files with secrets; emptied after each try.
    pub(crate) secret_directories: Vec<String>,
    /// Whether the sandbox has a memory limit, so that exceeding it must be reported.
    pub(crate) has_memory_limit: bool,
    /// The absolute path under which the command sees its code.
    pub(crate) code_path: String,
    /// Whether commands may make no sockets but those within the sandbox: it shares its network with others.
    pub(crate) forbids_sockets: bool,
    /// How to treat `/tmp`.
    pub(crate) tmp: Tmp,
    /// Whether user code may be able to change files outside the agent's own directories, so that they must be watched.
    pub(crate) is_watched: bool,
}

/// How the agent treats `/tmp`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tmp {
    /// It belongs to the sandbox, and is ready.
    #[default]
    Ready,
    /// It belongs to the image, and is emptied after each try only if the image has nothing in it.
    OfImage,
    /// The image has none, so the existing one must be made writable for all users.
    Missing,
}

/// One try. Never printed, because it contains secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Try {
    pub(crate) cmd: Vec<String>,
    pub(crate) stdin: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) timeout_millis: Option<u64>,
    pub(crate) accept: Vec<i32>,
    pub(crate) limits: OutputLimits,
    /// Written below the secret directories, readable for the command's user only.
    pub(crate) secret_files: Vec<SecretFile>,
    /// Whether the content of `/pfs/out` is discarded.
    pub(crate) drops_output: bool,
    /// Whether a user types the command's input.
    pub(crate) has_console: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum ToAgent {
    Hello {
        version: u32,
        settings: Settings,
    },
    File {
        header: FileHeader,
        /// Whether to keep it for the next try.
        keep: bool,
    },
    /// A file kept from the previous try, at the same path.
    Same {
        path: String,
    },
    Open,
    Begin(Box<Try>),
    Go,
    /// More stdin for a command with a console; ignored otherwise.
    Input(Vec<u8>),
    /// The end of that input.
    EndInput,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromAgent {
    Ready {
        version: u32,
    },
    File(FileHeader),
    /// An output that is an input file; both paths are relative, to `/pfs/out` and `/pfs`.
    Link {
        path: String,
        input: String,
    },
    Done(Report),
    /// The agent cannot continue, and ends after this.
    Broken {
        why: String,
    },
}

/// How a try ended, by the agent's own clock.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) exit: Exit,
    /// From `Begin` to the start of the command, without the wait for a `Go` that came later than all inputs.
    pub(crate) prepare_micros: u64,
    /// From the start of the command to its end.
    pub(crate) process_micros: u64,
    /// From the end of the command and its processes to this report: checking inputs, reading and sending output.
    pub(crate) take_in_micros: u64,
    /// Whether the kernel killed a process of the try because the sandbox reached its memory limit.
    pub(crate) out_of_memory: bool,
    /// Whether all files to keep are available for the next try.
    pub(crate) kept: bool,
    /// What the try left that cannot reliably be removed: no other try may run in this sandbox.
    pub(crate) left: Option<String>,
}

/// The decoded head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) is_data: bool,
    pub(crate) length: usize,
}

impl FrameHead {
    pub(crate) const BYTES: usize = 4;

    pub(crate) fn parse(bytes: [u8; Self::BYTES]) -> io::Result<Self> {
        let word = u32::from_le_bytes(bytes);
        let head = Self { is_data: word & DATA_BIT != 0, length: (word & !DATA_BIT) as usize };
        let max = if head.is_data { MAX_DATA } else { MAX_MESSAGE };
        if head.length > max { Err(broken("a frame is longer than allowed")) } else { Ok(head) }
    }
}

/// Appends `message` as a frame.
pub(crate) fn push_message(into: &mut Vec<u8>, message: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    if body.len() > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message is longer than 256 MiB"));
    }
    into.extend_from_slice(&(body.len() as u32).to_le_bytes());
    into.extend_from_slice(&body);
    Ok(())
}

/// The head of a data frame of `length` bytes.
pub(crate) fn data_head(length: usize) -> [u8; FrameHead::BYTES] {
    debug_assert!(length <= MAX_DATA);
    (length as u32 | DATA_BIT).to_le_bytes()
}

pub(crate) fn parse_message<M: DeserializeOwned>(body: &[u8]) -> io::Result<M> {
    postcard::from_bytes(body).map_err(|_| broken("a message cannot be read"))
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A frame as the agent reads it; data borrows the reader's buffer.
#[derive(Debug)]
pub(crate) enum Frame<'a, M> {
    Message(M),
    Data(&'a [u8]),
}

/// The agent's end of the engine's stream.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    input: BufReader<R>,
    body: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(MAX_DATA, input), body: Vec::new() }
    }

    /// Whether bytes were read that are not part of a returned frame yet.
    pub(crate) fn has_buffered(&self) -> bool {
        !self.input.buffer().is_empty()
    }

    pub(crate) fn get_ref(&self) -> &R {
        self.input.get_ref()
    }

    /// The next frame; `None` at a clean end of the stream.
    pub(crate) fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<Frame<'_, M>>> {
        let mut head = [0; FrameHead::BYTES];
        if self.input.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        self.input.read_exact(&mut head[1..])?;
        let head = FrameHead::parse(head)?;
        self.body.clear();
        (&mut self.input).take(head.length as u64).read_to_end(&mut self.body)?;
        if self.body.len() < head.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.is_data {
            Ok(Some(Frame::Data(&self.body)))
        } else {
            parse_message(&self.body).map(Frame::Message).map(Some)
        }
    }
}

/// The agent's end of its own stream; nothing is sent before `flush` or a full buffer.
#[derive(Debug)]
pub(crate) struct FrameWriter<W: Write> {
    output: BufWriter<W>,
}

impl<W: Write> FrameWriter<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output: BufWriter::with_capacity(MAX_DATA, output) }
    }

    pub(crate) fn message(&mut self, message: &FromAgent) -> io::Result<()> {
        let mut frame = Vec::with_capacity(64);
        push_message(&mut frame, message)?;
        self.output.write_all(&frame)
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(MAX_DATA) {
            self.output.write_all(&data_head(part.len()))?;
            self.output.write_all(part)?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_as_written() {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes);
        writer.message(&FromAgent::Link { path: "a".into(), input: "in/a".into() }).unwrap();
        writer.data(&vec![7; MAX_DATA + 1]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let mut reader = FrameReader::new(bytes.as_slice());
        let Some(Frame::Message(FromAgent::Link { path, input })) = reader.next().unwrap() else { panic!("no link") };
        assert_eq!((path.as_str(), input.as_str()), ("a", "in/a"));
        for length in [MAX_DATA, 1] {
            let Some(Frame::Data(data)) = reader.next::<FromAgent>().unwrap() else { panic!("no data") };
            assert_eq!(data.len(), length);
        }
        assert!(reader.next::<FromAgent>().unwrap().is_none());
    }

    #[test]
    fn a_cut_or_oversized_frame_is_an_error() {
        assert!(FrameReader::new(&[5u8, 0, 0, 0, 1][..]).next::<FromAgent>().is_err());
        assert!(FrameReader::new(&[5u8, 0][..]).next::<FromAgent>().is_err());
        assert!(FrameHead::parse([0xff; 4]).is_err());
    }
}
