//! Messages between a client and a server.
//!
//! The first message of each side is a [`Hello`] as JSON, in any version. All others are a byte that says what follows: bytes as they are,
//! or a message in postcard's form. Both sides refuse what is longer than [`dial::MESSAGE_MAX`].

use std::ffi::OsString;
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use specs::{Digest, ErrorKind};

use crate::invocation::Part;
use crate::invocation::files::{Noted, Notes, Question};

/// The version of these messages. Both sides must have the same.
pub(crate) const PROTOCOL: u32 = 2;
/// Most bytes of content in a message.
pub(crate) const PIECE: usize = 32 << 10;
/// Most bytes of chunks in a message that has more than one.
const GROUP: usize = 256 << 10;
/// Bytes of a chunk's digest and length.
const CHUNK_HEAD: usize = 32 + 4;
/// Most bytes of output that are sent before the client has taken earlier ones.
pub(crate) const WINDOW: usize = 32 * PIECE;
/// Most bytes that a client may attach to a command.
pub(crate) const ATTACHED_MAX: usize = 320 << 20;
/// A share of the memory for what clients attach, in bytes.
pub(crate) const SHARE: usize = 1 << 20;

/// The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The version of the messages.
    pub(crate) protocol: u32,
    /// The version of the program.
    pub(crate) version: String,
}

impl Hello {
    /// This program's.
    pub(crate) fn own() -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("a number and a text have a JSON form").into()
    }

    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// One of the two streams for output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

/// Which streams of a client are terminals, and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terminals {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) argv: Vec<OsString>,
    /// The client's folder; only for messages.
    pub(crate) cwd: OsString,
    /// Those variables that a client may set ([`VARIABLES`]).
    pub(crate) env: Vec<(String, String)>,
    pub(crate) terminals: Terminals,
}

/// The variables of a client that matter in a server: who it is, what its terminal is like, and, for tests, the time.
pub(crate) const VARIABLES: [&str; 7] = ["PV_AUTHOR", "TZ", "NO_COLOR", "TERM", "COLUMNS", "PV_PAGED", "PV_NOW"];

/// From the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToServer {
    Start(Box<Start>),
    /// The end of standard input.
    InputEnd,
    /// This many bytes of output were written.
    Took(u32),
    /// Nobody reads this stream any more.
    Closed(OutputStream),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// The client got this signal.
    Signal(i32),
    /// How the file that was sent last was written.
    Written(Result<(), SentError>),
    /// Which of these contents are missing? `like`: references to similar files.
    Ask {
        #[serde(with = "as_bytes")]
        digests: Vec<Digest>,
        like: Vec<String>,
    },
    /// The chunks that were sent are to be taken.
    ChunksEnd,
    /// The next parts of a file, each with its length.
    Parts(Vec<(Digest, u32)>),
    /// The parts are this file.
    Compose {
        file: Digest,
        like: Vec<String>,
    },
    /// Everything was sent; the attached bytes say what that is.
    Uploaded,
    Fetch(Fetch),
    /// The files of a get were written.
    Got {
        files: u64,
        size_bytes: u64,
        written: u64,
        removed: u64,
    },
    // Those that are bytes come last: they have no number.
    /// The next bytes of the attached notes.
    #[serde(skip)]
    Attached(Bytes),
    /// Standard input that was asked for.
    #[serde(skip)]
    Input(Bytes),
    /// Chunks, each with its digest ([`grouped`]).
    #[serde(skip)]
    Chunks(Vec<(Digest, Bytes)>),
}

/// From the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToClient {
    /// The command is about to run.
    Taken,
    /// The command reads standard input: up to [`PIECE`] bytes are wanted.
    Want,
    /// A file to write, at a path of the command line; its bytes follow.
    File(OsString),
    /// The file is complete; [`ToServer::Written`] answers.
    FileEnd,
    /// The command waits for what a part of its line names; the id of the store.
    Upload {
        store: String,
        part: Part,
    },
    /// These are missing.
    Missing(#[serde(with = "as_bytes")] Vec<Digest>),
    /// Chunks were taken, or a file composed.
    Received,
    /// Content was not taken.
    ObjectsFailed {
        kind: ErrorKind,
        message: String,
        hint: Option<String>,
    },
    /// The items that were sent are to be written.
    Get {
        force: bool,
    },
    /// All of it was sent.
    FetchEnd(u32),
    FetchFailed {
        id: u32,
        kind: ErrorKind,
        message: String,
        hint: Option<String>,
    },
    /// The command ended with this exit code.
    Exit(u8),
    /// The server ends; the command was not run to its end, and has changed nothing.
    Leaving,
    /// The command could not be run, or not to its end.
    Failed {
        kind: ErrorKind,
        message: String,
        hint: Option<String>,
        nothing_done: bool,
    },
    // Those that are bytes come last: they have no number.
    #[serde(skip)]
    Output(OutputStream, Bytes),
    /// The next bytes of the file.
    #[serde(skip)]
    FileBytes(Bytes),
    /// More items of a get ([`items_of`]).
    #[serde(skip)]
    Items(Bytes),
    /// The next bytes of what was fetched.
    #[serde(skip)]
    Fetched(u32, Bytes),
}

/// A request for bytes of a file of a get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) id: u32,
    pub(crate) digest: Digest,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A file of a get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemSent {
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) executable: bool,
}

pub(crate) fn items_to_bytes(items: &[ItemSent]) -> Bytes {
    postcard::to_stdvec(items).expect("items have a form").into()
}

pub(crate) fn items_of(bytes: &[u8]) -> Result<Vec<ItemSent>, Malformed> {
    postcard::from_bytes(bytes).map_err(|_| Malformed)
}

/// An error of the operating system at the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentError {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl From<&std::io::Error> for SentError {
    fn from(error: &std::io::Error) -> Self {
        Self { code: error.raw_os_error(), text: error.to_string() }
    }
}

impl From<SentError> for std::io::Error {
    fn from(SentError { code, text }: SentError) -> Self {
        code.map_or_else(|| Self::other(text), Self::from_raw_os_error)
    }
}

/// Digests as their bytes: as texts, which documents have, they would be twice as long.
mod as_bytes {
    use serde::{Deserialize, Deserializer, Serializer};
    use specs::Digest;

    pub(super) fn serialize<S: Serializer>(digests: &[Digest], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(digests.iter().map(Digest::as_bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
        let all = Vec::<[u8; 32]>::deserialize(deserializer)?;
        Ok(all.into_iter().map(Digest::from_bytes).collect())
    }
}

/// What the first byte of a message says.
mod tag {
    pub(super) const MESSAGE: u8 = 0;
    pub(super) const ATTACHED: u8 = 1;
    pub(super) const INPUT: u8 = 2;
    pub(super) const STDOUT: u8 = 3;
    pub(super) const STDERR: u8 = 4;
    pub(super) const FILE_BYTES: u8 = 5;
    pub(super) const CHUNKS: u8 = 6;
    pub(super) const ITEMS: u8 = 7;
    pub(super) const FETCHED: u8 = 8;
}

/// A tag and what follows.
fn tagged(tag: u8, bytes: &[u8]) -> Bytes {
    let mut all = Vec::with_capacity(bytes.len() + 1);
    all.push(tag);
    all.extend_from_slice(bytes);
    all.into()
}

fn message(message: &impl Serialize) -> Bytes {
    let bytes = postcard::to_stdvec(message).expect("these messages have a form");
    tagged(tag::MESSAGE, &bytes)
}

/// A message that is not one of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl ToServer {
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Attached(bytes) => tagged(tag::ATTACHED, bytes),
            Self::Input(bytes) => tagged(tag::INPUT, bytes),
            Self::Chunks(chunks) => chunks_to_bytes(chunks),
            other => message(other),
        }
    }

    /// Whether the message with these bytes is [`Self::Uploaded`].
    pub(crate) fn is_uploaded(bytes: &[u8]) -> bool {
        *bytes == *Self::Uploaded.to_bytes()
    }

    pub(crate) fn of(bytes: &Bytes) -> Result<Self, Malformed> {
        match bytes.first() {
            Some(&tag::ATTACHED) => Ok(Self::Attached(bytes.slice(1..))),
            Some(&tag::INPUT) => Ok(Self::Input(bytes.slice(1..))),
            Some(&tag::CHUNKS) => chunks_of(bytes.slice(1..)).map(Self::Chunks),
            Some(&tag::MESSAGE) => postcard::from_bytes(&bytes[1..]).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }
}

impl ToClient {
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Output(OutputStream::Stdout, bytes) => tagged(tag::STDOUT, bytes),
            Self::Output(OutputStream::Stderr, bytes) => tagged(tag::STDERR, bytes),
            Self::FileBytes(bytes) => tagged(tag::FILE_BYTES, bytes),
            Self::Items(bytes) => tagged(tag::ITEMS, bytes),
            Self::Fetched(id, bytes) => tagged(tag::FETCHED, &[id.to_be_bytes().as_slice(), bytes].concat()),
            other => message(other),
        }
    }

    pub(crate) fn of(bytes: &Bytes) -> Result<Self, Malformed> {
        match bytes.first() {
            Some(&tag::STDOUT) => Ok(Self::Output(OutputStream::Stdout, bytes.slice(1..))),
            Some(&tag::STDERR) => Ok(Self::Output(OutputStream::Stderr, bytes.slice(1..))),
            Some(&tag::FILE_BYTES) => Ok(Self::FileBytes(bytes.slice(1..))),
            Some(&tag::ITEMS) => Ok(Self::Items(bytes.slice(1..))),
            Some(&tag::FETCHED) => {
                let id = bytes[1..].first_chunk().ok_or(Malformed)?;
                Ok(Self::Fetched(u32::from_be_bytes(*id), bytes.slice(5..)))
            }
            Some(&tag::MESSAGE) => postcard::from_bytes(&bytes[1..]).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }
}

/// Splits chunks into those of one message each: small ones travel together, since a message costs as much as a small chunk.
pub(crate) fn grouped<'a, 'b>(chunks: &'a [(Digest, &'b [u8])]) -> impl Iterator<Item = &'a [(Digest, &'b [u8])]> {
    let mut rest = chunks;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(_, chunk)| {
            bytes += chunk.len() + CHUNK_HEAD;
            bytes <= GROUP
        });
        let (group, others) = rest.split_at(fits.count().max(1).min(rest.len()));
        rest = others;
        (!group.is_empty()).then_some(group)
    })
}

/// Each chunk as digest, length as u32, bytes.
pub(crate) fn chunks_to_bytes(chunks: &[(Digest, impl AsRef<[u8]>)]) -> Bytes {
    let length = chunks.iter().map(|(_, bytes)| CHUNK_HEAD + bytes.as_ref().len()).sum::<usize>();
    let mut all = Vec::with_capacity(1 + length);
    all.push(tag::CHUNKS);
    for (digest, bytes) in chunks {
        all.extend_from_slice(digest.as_bytes());
        all.extend_from_slice(&(bytes.as_ref().len() as u32).to_be_bytes());
        all.extend_from_slice(bytes.as_ref());
    }
    all.into()
}

fn chunks_of(mut bytes: Bytes) -> Result<Vec<(Digest, Bytes)>, Malformed> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let (digest, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
        let length = u32::from_be_bytes(*rest.first_chunk().ok_or(Malformed)?) as usize;
        let digest = Digest::from_bytes(*digest);
        bytes.advance(CHUNK_HEAD);
        if bytes.len() < length {
            return Err(Malformed);
        }
        chunks.push((digest, bytes.split_to(length)));
    }
    Ok(chunks)
}

/// The bytes of notes, which are sent in pieces.
pub(crate) fn notes_to_bytes(notes: Notes) -> Vec<u8> {
    let list: Vec<(Question, OsString, Noted)> =
        notes.into_iter().map(|((question, path), noted)| (question, path.into_os_string(), noted)).collect();
    postcard::to_stdvec(&list).expect("notes have a form")
}

/// Notes from their bytes.
pub(crate) fn notes_of(bytes: &[u8]) -> Result<Notes, Malformed> {
    let list: Vec<(Question, OsString, Noted)> = postcard::from_bytes(bytes).map_err(|_| Malformed)?;
    Ok(list.into_iter().map(|(question, path, noted)| ((question, PathBuf::from(path)), noted)).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let start = Start {
            argv: vec!["pv".into(), odd.clone()],
            cwd: odd.clone(),
            env: vec![("TZ".to_owned(), "UTC".to_owned())],
            terminals: Terminals { stdin: true, columns: 80, ..Terminals::default() },
        };
        for sent in [
            ToServer::Attached(Bytes::from_static(b"\x00\xff")),
            ToServer::Start(Box::new(start)),
            ToServer::Input(Bytes::new()),
            ToServer::InputEnd,
            ToServer::Took(7),
            ToServer::Ask { digests: vec![Digest::from_bytes([0xff; 32])], like: vec!["a@b:/c".to_owned()] },
            ToServer::Closed(OutputStream::Stderr),
            ToServer::Written(Err(SentError { code: Some(2), text: String::new() })),
            ToServer::Chunks(vec![
                (Digest::from_bytes([1; 32]), Bytes::from_static(b"x")),
                (Digest::from_bytes([2; 32]), Bytes::new()),
            ]),
        ] {
            assert_eq!(ToServer::of(&sent.to_bytes()), Ok(sent));
        }
        for sent in [
            ToClient::Want,
            ToClient::Missing(vec![Digest::from_bytes([9; 32])]),
            ToClient::Output(OutputStream::Stdout, Bytes::from_static(b"a\n")),
            ToClient::Output(OutputStream::Stderr, Bytes::new()),
            ToClient::File(odd.clone()),
            ToClient::FileBytes(Bytes::from_static(b"x")),
            ToClient::Exit(3),
            ToClient::Failed { kind: ErrorKind::Usage, message: "m".to_owned(), hint: None, nothing_done: true },
        ] {
            assert_eq!(ToClient::of(&sent.to_bytes()), Ok(sent));
        }
        assert_eq!(Hello::of(&Hello::own().to_bytes()), Some(Hello::own()));
        let notes = Notes::from([((Question::Names, PathBuf::from(odd.clone())), Noted::Names(vec![odd]))]);
        assert_eq!(notes_of(&notes_to_bytes(notes.clone())), Ok(notes));
    }

    proptest! {
        #[test]
        fn grouped_chunks_are_all_of_them_and_each_group_fits(sizes in proptest::collection::vec(0..400_000_usize, 0..30)) {
            let content = vec![7; 400_000];
            let chunks: Vec<(Digest, &[u8])> =
                sizes.iter().map(|size| (Digest::from_bytes([3; 32]), &content[..*size])).collect();
            let groups: Vec<_> = grouped(&chunks).collect();
            prop_assert_eq!(groups.concat(), chunks.as_slice());
            for (group, next) in groups.iter().zip(groups.iter().skip(1)) {
                let bytes = |group: &[(Digest, &[u8])]| group.iter().map(|(_, chunk)| chunk.len() + CHUNK_HEAD).sum::<usize>();
                prop_assert!(group.len() == 1 || bytes(group) <= GROUP);
                prop_assert!(bytes(group) + bytes(&next[..1]) > GROUP, "nothing more fits");
            }
        }

        #[test]
        fn no_bytes_are_too_much_for_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            ToServer::of(&bytes).ok();
            ToClient::of(&bytes).ok();
            notes_of(&bytes).ok();
            Hello::of(&bytes);
        }
    }
}
