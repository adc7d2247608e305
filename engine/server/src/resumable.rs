//! Uploads that go on after a cut, for browsers: files in parts of a fixed length, each taken whole or not at all.
//!
//! The bytes of an upload are those of its files, one after the other; its offset says how many the server has. A part is cut into chunks as
//! a put cuts a file, and these are kept like all that clients send (`Store::receive_for`). What remains of a part after its last cut is kept
//! as a chunk too, and continued by the next part. So all parts of an upload are on the shelf and in packs: it survives the server.
//!
//! ```text
//! u <client, 16 bytes> <id, 16 bytes>                       Begun, as JSON
//! p <client, 16 bytes> <id, 16 bytes> <offset, 8 bytes>     Part, as JSON
//! ```
//! An upload belongs to the token that began it. It ends a day after its last part, and at most a week after it began.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use repos::hash::digest_of;
use repos::store::{Sender, Shelf, chunk_lengths};
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, Digest, ErrorKind, FilePath, RepoName};

use crate::limits::{OPEN_UPLOADS, UPLOAD_BYTES, UPLOAD_KEPT, UPLOAD_LIFE, UPLOAD_PART};
use crate::problem::{Problem, Result};

/// Bytes that are cut at a time: more than the longest chunk.
const BLOCK_BYTES: usize = 2 << 20;

/// A file of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileToSend {
    /// Its whole path.
    pub(crate) path: FilePath,
    /// The length of its content.
    pub(crate) size_bytes: u64,
    /// Whether its owner may execute it.
    #[serde(default)]
    pub(crate) executable: bool,
}

/// An upload that was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Whose it is, as the ledger of sent objects knows it.
    client: String,
    pub(crate) repo: RepoName,
    pub(crate) branch: BranchName,
    pub(crate) files: Vec<FileToSend>,
    at: Timestamp,
}

impl Begun {
    /// Its length.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }
}

/// A part that was received.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    at: Timestamp,
    length: u64,
    /// The chunks that end in it: number of the file, digest, length.
    chunks: Vec<(u32, Digest, u32)>,
    /// The bytes after the last cut, as a chunk.
    rest: Option<(Digest, u32)>,
}

/// An upload as its owner sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UploadView {
    /// Its id.
    pub(crate) id: String,
    /// The repository that it is for.
    repo: RepoName,
    /// The branch that it is for.
    branch: BranchName,
    /// How many bytes the server has: where the next part begins.
    pub(crate) offset: u64,
    /// How many bytes its files have together.
    size_bytes: u64,
    /// The length of each part but the last.
    part_bytes: u64,
    /// The number of its files.
    files: usize,
    /// When it ends, unless another part comes.
    expires_at: Timestamp,
}

/// Uploads that are not done.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    /// Without limits: its rows are found by client.
    store: Store,
    /// Those of which a part is being received, or which are being committed.
    busy: Arc<Mutex<HashSet<Vec<u8>>>>,
}

/// An upload with what is there of it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) begun: Begun,
    parts: Vec<(u64, Part)>,
    key: Vec<u8>,
    /// For one who changes it.
    _busy: Option<Busy>,
}

/// Nobody else works on an upload until this is dropped.
#[derive(Debug)]
struct Busy {
    key: Vec<u8>,
    all: Arc<Mutex<HashSet<Vec<u8>>>>,
}

impl Busy {
    fn claim(all: &Arc<Mutex<HashSet<Vec<u8>>>>, key: &[u8]) -> Result<Self> {
        if all.lock().expect("no panic under this lock").insert(key.to_vec()) {
            return Ok(Self { key: key.to_vec(), all: all.clone() });
        }
        let problem = Problem::new(ErrorKind::Conflict, "another request works on this upload");
        Err(problem.hint("send one part after the other").retry_after(1).untouched())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.all.lock().expect("no panic under this lock").remove(&self.key);
    }
}

impl Held {
    fn offset(&self) -> u64 {
        self.parts.last().map_or(0, |(at, part)| at + part.length)
    }

    /// The chunks of each file, in order.
    fn chunks(&self) -> Vec<Vec<(Digest, u32)>> {
        let mut files = vec![Vec::new(); self.begun.files.len()];
        for (file, digest, length) in self.parts.iter().flat_map(|(_, part)| &part.chunks) {
            files[*file as usize].push((*digest, *length));
        }
        files
    }

    /// The chunks that only keep what was not cut yet.
    fn rests(&self) -> impl Iterator<Item = Digest> {
        self.parts.iter().filter_map(|(_, part)| part.rest.map(|(digest, _)| digest))
    }

    fn view(&self, id: &str) -> UploadView {
        UploadView {
            id: id.to_owned(),
            repo: self.begun.repo.clone(),
            branch: self.begun.branch.clone(),
            offset: self.offset(),
            size_bytes: self.begun.size_bytes(),
            part_bytes: UPLOAD_PART,
            files: self.begun.files.len(),
            expires_at: self.expires_at(),
        }
    }

    fn expires_at(&self) -> Timestamp {
        let after = |at: Timestamp, span: Duration| at.as_micros().saturating_add(span.as_micros() as i64);
        let last = self.parts.last().map_or(self.begun.at, |(_, part)| part.at);
        Timestamp::from_micros(after(last, UPLOAD_KEPT).min(after(self.begun.at, UPLOAD_LIFE)))
    }
}

/// The end of the keys of a client's uploads; of one of them.
fn of_client(client: &str) -> Vec<u8> {
    digest_of(client.as_bytes()).as_bytes()[..16].to_vec()
}

fn of_upload(client: &str, id: &str) -> Result<Vec<u8>> {
    let number = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32);
    let number = number.ok_or_else(|| unknown(id))?;
    Ok([of_client(client), number.to_be_bytes().to_vec()].concat())
}

fn unknown(id: &str) -> Problem {
    let shown: String = id.chars().take(40).collect();
    let problem = Problem::new(ErrorKind::NotFound, format!("upload `{shown}` not found"));
    problem.hint("uploads end a day after their last part, and with their commit: begin another one")
}

impl Uploads {
    pub(crate) fn new(store: &Store) -> Self {
        Self { store: store.clone(), busy: Arc::default() }
    }

    /// Begins an upload for a client.
    pub(crate) fn begin(
        &self,
        client: &str,
        (repo, branch): (RepoName, BranchName),
        files: Vec<FileToSend>,
    ) -> Result<UploadView> {
        let begun = Begun { client: client.to_owned(), repo, branch, files, at: self.store.clock().now() };
        let kept = self.store.shelf()?;
        let open = self.open(&kept, client)?;
        if open.len() >= OPEN_UPLOADS {
            return Err(too_much(format!("this token has {OPEN_UPLOADS} uploads that are not done")));
        }
        let bytes = open.values().fold(begun.size_bytes(), |sum, one| sum.saturating_add(one.begun.size_bytes()));
        if bytes > UPLOAD_BYTES {
            return Err(too_much(format!("uploads of this token would have {bytes} bytes, of {UPLOAD_BYTES} allowed")));
        }
        let id = repos::random_hex();
        let key = of_upload(client, &id)?;
        let row = serde_json::to_vec(&begun).expect("rows have a JSON form");
        kept.change(&[([b"u".as_slice(), &key].concat(), row)], &[])?;
        self.view(client, &id)
    }

    /// All uploads of a client that are not done.
    pub(crate) fn list(&self, client: &str) -> Result<Vec<UploadView>> {
        let open = self.open(&*self.store.shelf()?, client)?;
        Ok(open.iter().map(|(key, one)| one.view(&id_of(key))).collect())
    }

    /// An upload of a client.
    pub(crate) fn view(&self, client: &str, id: &str) -> Result<UploadView> {
        let kept = self.store.shelf()?;
        let key = of_upload(client, id)?;
        let held = Self::read(&kept, key)?.filter(|held| !self.is_over(held));
        Ok(held.ok_or_else(|| unknown(id))?.view(id))
    }

    /// An upload, to change it. `Conflict` while another request does.
    pub(crate) fn hold(&self, client: &str, id: &str) -> Result<Held> {
        let key = of_upload(client, id)?;
        let busy = Busy::claim(&self.busy, &key)?;
        let held = Self::read(&*self.store.shelf()?, key)?.filter(|held| !self.is_over(held));
        Ok(Held { _busy: Some(busy), ..held.ok_or_else(|| unknown(id))? })
    }

    /// Takes a part, which begins at `offset`. One that is there already is only read.
    ///
    /// `Conflict` names the offset, if the part begins elsewhere; `Usage` for a wrong length.
    pub(crate) fn take(
        &self,
        held: &mut Held,
        from: &Sender<'_>,
        id: &str,
        offset: u64,
        body: &mut impl Read,
    ) -> Result<UploadView> {
        let (have, size) = (held.offset(), held.begun.size_bytes());
        let is_known = held.parts.iter().any(|(at, _)| *at == offset);
        if offset != have && !is_known {
            let problem = Problem::new(ErrorKind::Conflict, format!("the next part begins at byte {have}"));
            return Err(problem.hint(format!("send it to parts/{have}")));
        }
        let expected = UPLOAD_PART.min(size - offset);
        if is_known || expected == 0 {
            read_exactly(body, expected, |_| Ok(()))?;
            return Ok(held.view(id));
        }
        let mut cutter = Cutter::new(&self.store, &held.begun, offset, held.parts.last().map(|(_, part)| part))?;
        read_exactly(body, expected, |bytes| {
            cutter.add(bytes);
            cutter.send(&self.store, from)
        })?;
        let part = cutter.finish(&self.store, from, expected)?;
        let row = serde_json::to_vec(&part).expect("rows have a JSON form");
        let key = [b"p".as_slice(), &held.key, &offset.to_be_bytes()].concat();
        self.store.shelf()?.change(&[(key, row)], &[])?;
        held.parts.push((offset, part));
        Ok(held.view(id))
    }

    /// Makes the files of an upload of which everything is there: digest and length of each, in their order.
    pub(crate) fn join(&self, held: &Held, from: &Sender<'_>) -> Result<Vec<(FileToSend, Digest)>> {
        let (have, size) = (held.offset(), held.begun.size_bytes());
        if have < size {
            let problem = Problem::new(ErrorKind::Conflict, format!("{have} of {size} bytes are there"));
            return Err(problem.hint(format!("send the rest, from parts/{have} on")));
        }
        let files = held.begun.files.iter().zip(held.chunks());
        files.map(|(file, chunks)| Ok((file.clone(), self.store.join(from, &chunks)?.0))).collect()
    }

    /// Ends an upload, and gives up what only it kept; `all`: also its content.
    pub(crate) fn end(&self, held: &Held, from: &Sender<'_>, all: bool) -> Result<()> {
        let mut given_up: Vec<Digest> = held.rests().collect();
        if all {
            given_up.extend(held.chunks().iter().flatten().map(|(digest, _)| *digest));
        }
        let part = |at: &u64| [b"p".as_slice(), &held.key, &at.to_be_bytes()].concat();
        let mut gone: Vec<Vec<u8>> = held.parts.iter().map(|(at, _)| part(at)).collect();
        gone.push([b"u".as_slice(), &held.key].concat());
        self.store.shelf()?.change(&[], &gone)?;
        Ok(self.store.forget_sent(from, &given_up)?)
    }

    /// Ends uploads whose time is over.
    pub(crate) fn thin_out(&self) -> Result<()> {
        let Some(kept) = self.store.find_shelf()? else { return Ok(()) };
        let mut keys = Vec::new();
        kept.visit(b"u", |key, _| {
            keys.push(key[1..].to_vec());
            ControlFlow::Continue(())
        })?;
        for key in keys {
            let Ok(_busy) = Busy::claim(&self.busy, &key) else { continue };
            if let Some(held) = Self::read(&kept, key)?.filter(|held| self.is_over(held)) {
                let from = Sender { name: &held.begun.client, sees: None };
                self.end(&held, &from, true)?;
            }
        }
        Ok(())
    }

    /// The uploads of a client that are not over, by their keys.
    fn open(&self, kept: &Shelf, client: &str) -> Result<BTreeMap<Vec<u8>, Held>> {
        let mut keys = Vec::new();
        kept.visit(&[b"u".as_slice(), &of_client(client)].concat(), |key, _| {
            keys.push(key[1..].to_vec());
            ControlFlow::Continue(())
        })?;
        let mut open = BTreeMap::new();
        for key in keys {
            if let Some(held) = Self::read(kept, key.clone())?.filter(|held| !self.is_over(held)) {
                open.insert(key, held);
            }
        }
        Ok(open)
    }

    fn is_over(&self, held: &Held) -> bool {
        held.expires_at() <= self.store.clock().now()
    }

    /// The upload with this key.
    fn read(kept: &Shelf, key: Vec<u8>) -> Result<Option<Held>> {
        let row = kept.get(&[b"u".as_slice(), &key].concat())?;
        let Some(begun) = row.and_then(|row| serde_json::from_slice::<Begun>(&row).ok()) else { return Ok(None) };
        let mut parts = Vec::new();
        kept.visit(&[b"p".as_slice(), &key].concat(), |part, row| {
            let at = part.get(1 + key.len()..).and_then(|at| at.try_into().ok()).map(u64::from_be_bytes);
            parts.extend(at.zip(serde_json::from_slice::<Part>(row).ok()));
            ControlFlow::Continue(())
        })?;
        Ok(Some(Held { begun, parts, key, _busy: None }))
    }
}

fn id_of(key: &[u8]) -> String {
    key[16..].iter().fold(String::new(), |mut text, byte| {
        // A text takes anything.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn too_much(detail: String) -> Problem {
    let problem = Problem::new(ErrorKind::Conflict, detail);
    problem.hint("commit or delete some: GET uploads lists them")
}

/// Reads so many bytes, and then the end.
fn read_exactly(body: &mut impl Read, length: u64, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let broken =
        |error: &std::io::Error| Problem::usage(format!("the part is incomplete: {error}"), "send the same part again");
    let mut block = vec![0; 64 << 10];
    let mut left = length;
    loop {
        let read = match body.read(&mut block) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| broken(&error))? as u64,
        };
        if read > left || (read == 0 && left > 0) {
            let problem =
                Problem::usage(format!("this part has not {length} bytes"), "every part but the last has `part_bytes`");
            return Err(problem);
        }
        if read == 0 {
            return Ok(());
        }
        each(&block[..read as usize])?;
        left -= read;
    }
}

/// Cuts a part into chunks, from where the part before it ended.
struct Cutter<'u> {
    begun: &'u Begun,
    /// The file that the next byte belongs to, and how many of its bytes are to come.
    file: usize,
    left: u64,
    /// Bytes of that file after the last cut.
    buffer: Vec<u8>,
    chunks: Vec<(u32, Digest, u32)>,
    ready: Vec<(Digest, Bytes)>,
}

impl<'u> Cutter<'u> {
    fn new(store: &Store, begun: &'u Begun, offset: u64, before: Option<&Part>) -> Result<Self> {
        let (mut file, mut start) = (0, 0);
        while let Some(one) = begun.files.get(file).filter(|one| start + one.size_bytes <= offset) {
            start += one.size_bytes;
            file += 1;
        }
        let left = begun.files.get(file).map_or(0, |one| start + one.size_bytes - offset);
        let buffer = match before.and_then(|part| part.rest) {
            Some((digest, length)) => {
                let entry = store.find_file(&digest)?.filter(|entry| entry.size == u64::from(length));
                let lost = || Problem::new(ErrorKind::Conflict, "what was sent of this upload is gone");
                let entry = entry.ok_or_else(|| lost().hint("begin another upload"))?;
                store.read_file(&entry, 0..entry.size)?.to_vec()
            }
            None => Vec::new(),
        };
        Ok(Self { begun, file, left, buffer, chunks: Vec::new(), ready: Vec::new() })
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            while self.left == 0 {
                self.file += 1;
                self.left = self.begun.files.get(self.file).map_or(u64::MAX, |file| file.size_bytes);
            }
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.buffer.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            self.left -= length as u64;
            if self.left == 0 || self.buffer.len() >= BLOCK_BYTES {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        let mut at = 0;
        for length in chunk_lengths(&self.buffer, self.left == 0) {
            let bytes = Bytes::copy_from_slice(&self.buffer[at..at + length]);
            let digest = digest_of(&bytes);
            self.chunks.push((self.file as u32, digest, length as u32));
            self.ready.push((digest, bytes));
            at += length;
        }
        self.buffer.drain(..at);
    }

    /// Stores the chunks that are ready.
    fn send(&mut self, store: &Store, from: &Sender<'_>) -> Result<()> {
        if !self.ready.is_empty() {
            store.receive_for(from, &std::mem::take(&mut self.ready), UPLOAD_LIFE + UPLOAD_KEPT)?;
        }
        Ok(())
    }

    fn finish(mut self, store: &Store, from: &Sender<'_>, length: u64) -> Result<Part> {
        self.cut();
        let rest = (!self.buffer.is_empty()).then(|| Bytes::from(std::mem::take(&mut self.buffer)));
        let rest = rest.map(|bytes| (digest_of(&bytes), bytes));
        let shown = rest.as_ref().map(|(digest, bytes)| (*digest, bytes.len() as u32));
        self.ready.extend(rest);
        self.send(store, from)?;
        Ok(Part { at: store.clock().now(), length, chunks: self.chunks, rest: shown })
    }
}
