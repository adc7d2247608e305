//! Stores what a try prints and writes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use repos::Store;
use repos::store::Stored;
use repos::tree::FileEntry;
use specs::FilePath;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::mask::{Mask, Stream};
use crate::blocking::blocking;
use crate::feed::{Printing, SharedLog};
use sandbox::{Event, EventSink, ExecError, InputFile};

/// A file up to this size is held in memory until it is complete; a larger one is stored as it arrives.
const IN_MEMORY_BYTES: u64 = 1 << 20;
/// Number of pieces of a large file that can wait between the sandbox and the store.
const PIECES: usize = 64;
/// Number of large files that may still be in transit to the store when the next one begins.
const PENDING: usize = 2;

/// The output files of a try.
pub type Outputs = BTreeMap<FilePath, FileEntry>;

/// Processes the events of one try.
pub(crate) struct Intake<'a> {
    store: &'a Store,
    /// The try's inputs by their path below `/pfs`: the possible targets of a link.
    inputs: HashMap<&'a str, &'a InputFile>,
    /// The followers of the datum.
    printing: &'a Printing,
    log: SharedLog,
    mask: &'a Mask,
    masked: Stream,
    outputs: TakenIn,
    file: Option<Receiving>,
}

/// The output files of a try; the last ones may still be in transit to the store.
#[derive(Debug, Default)]
pub(crate) struct TakenIn {
    outputs: Outputs,
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    path: FilePath,
    executable: bool,
    stored: JoinHandle<std::io::Result<Stored>>,
}

impl TakenIn {
    /// Waits until all are stored.
    pub(crate) async fn finish(mut self) -> Result<Outputs, ExecError> {
        self.wait_for(0).await?;
        Ok(self.outputs)
    }

    /// Waits until at most `left` are in transit.
    async fn wait_for(&mut self, left: usize) -> Result<(), ExecError> {
        while self.pending.len() > left {
            let Some(Pending { path, executable, stored }) = self.pending.pop_front() else { break };
            let stored = stored.await.map_err(|error| not_stored(std::io::Error::other(error)))?.map_err(not_stored)?;
            self.add(path, executable, &stored);
        }
        Ok(())
    }

    fn add(&mut self, path: FilePath, executable: bool, stored: &Stored) {
        self.outputs.insert(path, FileEntry { digest: stored.digest, size: stored.size_bytes, executable });
    }
}

struct Receiving {
    path: FilePath,
    executable: bool,
    content: Incoming,
}

enum Incoming {
    Memory(Vec<u8>),
    Stream { pieces: mpsc::Sender<Bytes>, stored: JoinHandle<std::io::Result<Stored>> },
}

impl<'a> Intake<'a> {
    /// For a try that appends to `log`.
    pub(crate) fn new(
        store: &'a Store,
        inputs: &'a [InputFile],
        log: SharedLog,
        mask: &'a Mask,
        printing: &'a Printing,
    ) -> Self {
        let inputs = inputs.iter().map(|input| (input.path.as_str(), input)).collect();
        printing.prints_to(&log);
        let outputs = TakenIn::default();
        Self { store, inputs, printing, log, mask, masked: Stream::default(), outputs, file: None }
    }

    /// Everything that the try printed and wrote.
    pub(crate) fn finish(mut self) -> (SharedLog, TakenIn) {
        let rest = self.masked.finish(self.mask);
        self.print(&rest);
        (self.log, self.outputs)
    }

    fn print(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.log.push(bytes);
            self.printing.tell();
        }
    }

    fn begin(&mut self, path: &str, size_bytes: u64, executable: bool) -> Result<(), ExecError> {
        let content = if size_bytes <= IN_MEMORY_BYTES {
            Incoming::Memory(Vec::with_capacity(size_bytes as usize))
        } else {
            let (pieces, receiver) = mpsc::channel(PIECES);
            let store = self.store.clone();
            let stored =
                tokio::task::spawn_blocking(move || store.put_content(Pieces { receiver, rest: Bytes::new() }));
            Incoming::Stream { pieces, stored }
        };
        self.file = Some(Receiving { path: legal(path)?, executable, content });
        Ok(())
    }

    async fn data(&mut self, bytes: Bytes) -> Result<(), ExecError> {
        match self.file.as_mut().map(|file| &mut file.content) {
            Some(Incoming::Memory(content)) => content.extend_from_slice(&bytes),
            // A store that cannot take more closes the channel; `end` reports why.
            Some(Incoming::Stream { pieces, .. }) => pieces.send(bytes).await.unwrap_or_default(),
            None => return Err(out_of_turn()),
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), ExecError> {
        let file = self.file.take().ok_or_else(out_of_turn)?;
        let Receiving { path, executable, content } = file;
        match content {
            Incoming::Memory(content) => {
                let stored = blocking(|| self.store.put_bytes(&content)).map_err(not_stored)?;
                self.outputs.add(path, executable, &stored);
            }
            Incoming::Stream { pieces, stored } => {
                drop(pieces);
                self.outputs.pending.push_back(Pending { path, executable, stored });
                self.outputs.wait_for(PENDING).await?;
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &str, input: &str) -> Result<(), ExecError> {
        let input = self.inputs.get(input).ok_or_else(out_of_turn)?;
        let entry = FileEntry { digest: input.digest, size: input.size_bytes, executable: input.executable };
        self.outputs.outputs.insert(legal(path)?, entry);
        Ok(())
    }
}

fn legal(path: &str) -> Result<FilePath, ExecError> {
    let legal = path.parse::<FilePath>().and_then(|path| path.check_new().map(|()| path));
    legal.map_err(|error| ExecError::SandboxLost { why: format!("its agent sent an illegal path: {error}") })
}

fn out_of_turn() -> ExecError {
    ExecError::SandboxLost { why: "its agent spoke out of turn".to_owned() }
}

fn not_stored(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ExecError {
    let source = error.into();
    ExecError::Caller { action: "store an output file", kind: specs::ErrorKind::Unavailable, source }
}

#[async_trait]
impl EventSink for Intake<'_> {
    async fn event(&mut self, event: Event) -> Result<(), ExecError> {
        match event {
            Event::Log(bytes) if self.mask.is_empty() => {
                self.print(&bytes);
                Ok(())
            }
            Event::Log(bytes) => {
                let shown = self.masked.push(self.mask, &bytes);
                self.print(&shown);
                Ok(())
            }
            Event::File { path, size_bytes, executable } => self.begin(&path, size_bytes, executable),
            Event::Data(bytes) => self.data(bytes).await,
            Event::EndFile => self.end().await,
            Event::Link { path, input } => self.link(&path, &input),
        }
    }
}

/// The pieces of a file as a reader, for the blocking side.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl std::io::Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let taken = into.len().min(self.rest.len());
        into[..taken].copy_from_slice(&self.rest.split_to(taken));
        Ok(taken)
    }
}
