//! Cuts and hashes content for a sink.
//!
//! A large file passes through a pipeline of threads: the caller's thread reads and chunks, one thread computes the digest of the whole
//! file, the others hash the chunks, compress and append new ones. The fixed number of blocks bounds the memory, and makes the reader wait
//! if it is faster than the rest.

use std::io::{Cursor, Error, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle, available_parallelism};

use crossbeam_channel::{Sender, unbounded};
use specs::{Digest, FilePath};

use super::cut::{Blocks, Cut, MIN_CHUNK, Piece, cut};
use super::sink::ContentSink;
use super::{Result, Store, Stored};
use crate::base::hash::{Hasher, digest_of};
use crate::objects::manifest::Manifest;

/// Number of blocks of a file that threads share: 32 MiB.
const SHARED_BLOCKS: usize = 16;
/// More threads would only wait for the one that computes the digest of the whole file.
const CHUNK_THREADS: usize = 8;

impl Store {
    /// Files of fewer bytes always have one chunk.
    pub(crate) const ONE_CHUNK_BYTES: u64 = MIN_CHUNK as u64;

    /// Stores the content that `source` yields: [`put_into`].
    pub fn put_content(&self, source: impl Read) -> std::io::Result<Stored> {
        put_into(self, None, source)
    }

    /// Stores content in memory as one chunk.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Stored> {
        put_bytes_into(self, bytes)
    }
}

/// Passes the content that `source` yields on to a sink. Memory: at most 48 MiB, whatever its length. Needs no lock. `of`: the file's
/// target path, if known.
///
/// An error of the sink is wrapped in the I/O error; any other comes from the source.
pub fn put_into(sink: &dyn ContentSink, of: Option<&FilePath>, mut source: impl Read) -> std::io::Result<Stored> {
    let mut head = Vec::new();
    source.by_ref().take(MIN_CHUNK as u64).read_to_end(&mut head)?;
    if head.len() < MIN_CHUNK {
        return put_bytes_into(sink, &head).map_err(Error::other);
    }
    put_chunks(To { sink, of }, &mut Cursor::new(head).chain(source))
}

/// Passes content in memory on to a sink, as one chunk.
pub fn put_bytes_into(sink: &dyn ContentSink, bytes: &[u8]) -> Result<Stored> {
    let digest = digest_of(bytes);
    let size_bytes = bytes.len() as u64;
    // Only longer content can exist as several chunks.
    let in_chunks = size_bytes >= Store::ONE_CHUNK_BYTES && sink.has_cut(&digest)?;
    let new_bytes = if in_chunks { 0 } else { sink.take_chunk(digest, bytes, None)? };
    Ok(Stored { digest, size_bytes, new_bytes })
}

/// Where the chunks of one file go.
#[derive(Clone, Copy)]
struct To<'s> {
    sink: &'s dyn ContentSink,
    of: Option<&'s FilePath>,
}

fn put_chunks(to: To<'_>, source: &mut impl Read) -> std::io::Result<Stored> {
    // One file at a time uses the other threads; each further file is processed by the thread that reads it.
    let shared = to.sink.large_file().try_lock().ok();
    let blocks = Blocks::new(if shared.is_some() { SHARED_BLOCKS } else { 1 });
    let (digest, mut keeper) = std::thread::scope(|scope| {
        let mut work = None;
        let read = cut(source, &blocks, |cut| {
            // A file of one block is done before threads would have started.
            let start = || match shared {
                Some(_) if !cut.is_last => Line::start(scope, to).map_or_else(|| Work::alone(to), Work::Line),
                _ => Work::alone(to),
            };
            work.get_or_insert_with(start).take(cut)
        });
        let done = work.unwrap_or_else(|| Work::alone(to)).finish().map_err(Error::other);
        read.and(done)
    })?;
    keeper.chunks.sort_unstable_by_key(|(number, _, _)| *number);
    let chunks = keeper.chunks.into_iter().map(|(_, digest, length)| (digest, length)).collect();
    let manifest = Manifest { chunks };
    let size_bytes = manifest.size_bytes();
    if manifest.chunks.len() > 1 {
        to.sink.take_manifest(digest, manifest, to.of).map_err(Error::other)?;
    }
    Ok(Stored { digest, size_bytes, new_bytes: keeper.new_bytes })
}

/// Passes chunks on and records them.
struct Keeper<'s> {
    to: To<'s>,
    /// Position in the file, digest and length of each chunk.
    chunks: Vec<(usize, Digest, u32)>,
    new_bytes: u64,
}

impl<'s> Keeper<'s> {
    fn new(to: To<'s>) -> Self {
        Self { to, chunks: Vec::new(), new_bytes: 0 }
    }

    fn keep(&mut self, number: usize, chunk: &[u8]) -> Result<()> {
        let digest = digest_of(chunk);
        self.new_bytes += self.to.sink.take_chunk(digest, chunk, self.to.of)?;
        self.chunks.push((number, digest, chunk.len() as u32));
        Ok(())
    }
}

/// Which threads process the blocks of a file.
enum Work<'scope, 's> {
    /// Only the thread that reads it.
    Alone { whole: Hasher, keeper: Keeper<'s>, kept: Result<()> },
    /// That thread and others.
    Line(Line<'scope, 's>),
}

impl<'scope, 's: 'scope> Work<'scope, 's> {
    fn alone(to: To<'s>) -> Self {
        Self::Alone { whole: Hasher::default(), keeper: Keeper::new(to), kept: Ok(()) }
    }

    /// False after a failure: reading on is then useless.
    fn take(&mut self, cut: Cut) -> bool {
        match self {
            Self::Alone { whole, keeper, kept } => {
                whole.update(&cut.fresh);
                *kept = cut.chunks.iter().try_for_each(|chunk| keeper.keep(keeper.chunks.len(), chunk));
                kept.is_ok()
            }
            Self::Line(line) => line.take(cut),
        }
    }

    /// The digest of the whole file, and the chunks in any order.
    fn finish(self) -> Result<(Digest, Keeper<'s>)> {
        match self {
            Self::Alone { whole, keeper, kept } => kept.map(|()| (whole.finish(), keeper)),
            Self::Line(line) => line.finish(),
        }
    }
}

/// Threads that process the blocks of one file. They end when the line is finished or dropped.
struct Line<'scope, 's> {
    fresh: Sender<Piece>,
    chunks: Sender<(usize, Piece)>,
    sent: usize,
    failed: Arc<AtomicBool>,
    whole: ScopedJoinHandle<'scope, Digest>,
    keepers: Vec<ScopedJoinHandle<'scope, Result<Keeper<'s>>>>,
}

impl<'scope, 's: 'scope> Line<'scope, 's> {
    /// `None` if this process cannot start more threads.
    fn start(scope: &'scope Scope<'scope, '_>, to: To<'s>) -> Option<Self> {
        let failed = Arc::new(AtomicBool::new(false));
        // Unbounded: the number of blocks is the limit.
        let (fresh, pieces) = unbounded::<Piece>();
        let digest_whole = move || {
            let mut whole = Hasher::default();
            pieces.iter().for_each(|piece| whole.update(&piece));
            whole.finish()
        };
        let whole = Builder::new().spawn_scoped(scope, digest_whole).ok()?;
        let (chunks, tasks) = unbounded::<(usize, Piece)>();
        let threads = available_parallelism().map_or(1, usize::from).min(CHUNK_THREADS);
        let keepers: Vec<_> = (0..threads)
            .map_while(|_| {
                let (tasks, failed) = (tasks.clone(), failed.clone());
                let keep = move || {
                    let mut keeper = Keeper::new(to);
                    let mut kept = Ok(());
                    // After a failure the rest is still consumed, so that the reader does not wait for its blocks.
                    for (number, chunk) in tasks {
                        if kept.is_ok() && !failed.load(Ordering::Relaxed) {
                            kept = keeper.keep(number, &chunk);
                            failed.fetch_or(kept.is_err(), Ordering::Relaxed);
                        }
                    }
                    kept.map(|()| keeper)
                };
                Builder::new().spawn_scoped(scope, keep).ok()
            })
            .collect();
        (!keepers.is_empty()).then_some(Self { fresh, chunks, sent: 0, failed, whole, keepers })
    }

    fn take(&mut self, cut: Cut) -> bool {
        let mut is_sent = self.fresh.send(cut.fresh).is_ok();
        for chunk in cut.chunks {
            is_sent &= self.chunks.send((self.sent, chunk)).is_ok();
            self.sent += 1;
        }
        is_sent && !self.failed.load(Ordering::Relaxed)
    }

    fn finish(self) -> Result<(Digest, Keeper<'s>)> {
        drop((self.fresh, self.chunks));
        let whole = joined(self.whole);
        // Join all threads before looking at errors.
        let keepers: Vec<_> = self.keepers.into_iter().map(joined).collect();
        let sum = |mut sum: Keeper<'s>, keeper: Keeper<'s>| {
            sum.chunks.extend(keeper.chunks);
            Keeper { new_bytes: sum.new_bytes + keeper.new_bytes, ..sum }
        };
        let keepers: Vec<_> = keepers.into_iter().collect::<Result<_>>()?;
        let keeper = keepers.into_iter().reduce(sum).expect("a line has a thread that keeps chunks");
        Ok((whole, keeper))
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
