//! Sends content to a store elsewhere: asks what is missing there, and sends only that.
//!
//! Content is cut and hashed here as for a store on this machine ([`crate::store::put_into`]); the chunks gather in a batch of at most 16
//! MiB or 10,000 contents. A full batch is asked for and sent while the next one fills, so memory is that of two batches. Batches are sent one
//! after another: what an earlier one sent is not missing for a later one, so nothing is sent twice. After an error nothing more is sent.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use specs::{Digest, FilePath};

use crate::base::error::RepoError;
use crate::objects::manifest::Manifest;
use crate::store::{ContentSink, MAX_CHUNK, MOST_ASKED, MOST_LIKE, Result};

/// A batch is sent once it has more bytes.
const BATCH_BYTES: usize = 16 << 20;

/// A store elsewhere, as one client reaches it. Each error ends the upload; repeated, it sends what is still missing.
pub trait ObjectSink: Sync {
    /// Those of these contents, at most [`MOST_ASKED`] and each once, that have to be sent. `like`: the target paths, at most [`MOST_LIKE`],
    /// of the larger files that some of them are chunks of: what is at these paths now is similar.
    fn missing(&self, digests: &[Digest], like: &[FilePath]) -> Result<Vec<Digest>>;

    /// Sends chunks of together at most 17 MiB, each of at most [`MAX_CHUNK`] bytes. On return all have arrived.
    fn send(&self, chunks: &[(Digest, &[u8])]) -> Result<()>;

    /// Says of which chunks a file consists, in order, each with its length in bytes. All are there.
    fn compose(&self, file: &Digest, chunks: &[(Digest, u32)], like: &[FilePath]) -> Result<()>;
}

/// What is to be sent, as a sink of content.
pub struct Outbox<'a> {
    to: &'a dyn ObjectSink,
    filling: Mutex<Batch>,
    /// The batch that is being sent; empty while none is.
    sending: Mutex<Batch>,
    large_file: Mutex<()>,
    has_failed: AtomicBool,
    sent_bytes: AtomicU64,
}

impl std::fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("sent_bytes", &self.sent_bytes).finish_non_exhaustive()
    }
}

/// Contents that are asked for together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    chunks: Vec<(Digest, Range<usize>)>,
    /// Files whose chunks are all in this batch or an earlier one.
    files: Vec<(Digest, Manifest, Option<FilePath>)>,
    digests: HashSet<Digest>,
    like: BTreeSet<FilePath>,
}

impl Batch {
    fn add_like(&mut self, of: Option<&FilePath>) {
        if let Some(path) = of.filter(|path| self.like.len() < MOST_LIKE && !self.like.contains(*path)) {
            self.like.insert(path.clone());
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES || self.digests.len() >= MOST_ASKED
    }

    /// Keeps the memory for the next batch.
    fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
        self.files.clear();
        self.digests.clear();
        self.like.clear();
    }

    /// Asks, and sends what is missing; returns how many bytes that was.
    fn send(&self, to: &dyn ObjectSink) -> Result<u64> {
        let like: Vec<FilePath> = self.like.iter().cloned().collect();
        let asked = self.chunks.iter().map(|(digest, _)| *digest).chain(self.files.iter().map(|(file, ..)| *file));
        let mut once = HashSet::with_capacity(self.digests.len());
        let asked: Vec<Digest> = asked.filter(|digest| once.insert(*digest)).collect();
        let missing: HashSet<Digest> = to.missing(&asked, &like)?.into_iter().collect();
        let wanted = self.chunks.iter().filter(|(digest, _)| missing.contains(digest));
        let wanted: Vec<(Digest, &[u8])> =
            wanted.map(|(digest, range)| (*digest, &self.bytes[range.clone()])).collect();
        if !wanted.is_empty() {
            to.send(&wanted)?;
        }
        for (file, manifest, of) in self.files.iter().filter(|(file, ..)| missing.contains(file)) {
            to.compose(file, &manifest.chunks, of.as_slice())?;
        }
        Ok(wanted.iter().map(|(_, bytes)| bytes.len() as u64).sum())
    }
}

impl<'a> Outbox<'a> {
    /// Sends to this store.
    pub fn new(to: &'a dyn ObjectSink) -> Self {
        Self {
            to,
            filling: Mutex::default(),
            sending: Mutex::default(),
            large_file: Mutex::default(),
            has_failed: AtomicBool::new(false),
            sent_bytes: AtomicU64::new(0),
        }
    }

    /// Sends what is left. On return all content that was taken is there.
    pub fn finish(&self) -> Result<()> {
        let filling = self.filling.lock().expect("no panic under this lock");
        self.pass_on(filling)?;
        // A last batch of another thread may still be on its way.
        drop(self.sending.lock().expect("no panic under this lock"));
        if self.has_failed.load(Ordering::SeqCst) { Err(failed()) } else { Ok(()) }
    }

    /// Number of bytes of content sent so far.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    fn add(&self, add: impl FnOnce(&mut Batch)) -> Result<()> {
        // Whoever saw the error reports it.
        if self.has_failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut filling = self.filling.lock().expect("no panic under this lock");
        add(&mut filling);
        if filling.is_full() { self.pass_on(filling) } else { Ok(()) }
    }

    /// Sends the batch that fills, while others fill the next.
    fn pass_on(&self, mut filling: MutexGuard<'_, Batch>) -> Result<()> {
        // Taken while nobody can fill: so batches are sent in the order in which they were filled.
        let mut sending = self.sending.lock().expect("no panic under this lock");
        std::mem::swap(&mut *filling, &mut *sending);
        drop(filling);
        if sending.digests.is_empty() || self.has_failed.load(Ordering::SeqCst) {
            sending.clear();
            return Ok(());
        }
        let sent = sending.send(self.to);
        sending.clear();
        match sent {
            Ok(bytes) => {
                self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.has_failed.store(true, Ordering::SeqCst);
                Err(error)
            }
        }
    }
}

/// For a caller that goes on after an error was reported.
fn failed() -> RepoError {
    RepoError::Conflict { what: "the upload had failed before".to_owned(), hint: None }
}

impl ContentSink for Outbox<'_> {
    /// What is new is known only later: [`Self::sent_bytes`].
    fn take_chunk(&self, digest: Digest, bytes: &[u8], of: Option<&FilePath>) -> Result<u64> {
        debug_assert!(bytes.len() <= MAX_CHUNK, "chunks are cut so");
        self.add(|batch| {
            batch.add_like(of);
            if batch.digests.insert(digest) {
                let start = batch.bytes.len();
                batch.bytes.extend_from_slice(bytes);
                batch.chunks.push((digest, start..start + bytes.len()));
            }
        })?;
        Ok(0)
    }

    fn take_manifest(&self, file: Digest, manifest: Manifest, of: Option<&FilePath>) -> Result<()> {
        self.add(|batch| {
            batch.add_like(of);
            if batch.digests.insert(file) {
                batch.files.push((file, manifest, of.cloned()));
            }
        })
    }

    fn has_cut(&self, _digest: &Digest) -> Result<bool> {
        // The store elsewhere knows: content that it has in another form is not missing.
        Ok(false)
    }

    fn absent(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        let mut missing: HashSet<Digest> = HashSet::new();
        let mut once = HashSet::with_capacity(digests.len());
        let asked: Vec<Digest> = digests.iter().copied().filter(|digest| once.insert(*digest)).collect();
        drop(once);
        for some in asked.chunks(MOST_ASKED) {
            missing.extend(self.to.missing(some, &[])?);
        }
        Ok(digests.iter().map(|digest| missing.contains(digest)).collect())
    }

    fn large_file(&self) -> &Mutex<()> {
        &self.large_file
    }
}
