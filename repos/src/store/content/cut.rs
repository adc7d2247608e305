//! Content-defined chunking, and the buffers that file bytes pass through.

use std::io::{ErrorKind, Read, Result};
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use fastcdc::v2020::{Normalization, cut as find_cut, select_masks};

/// Chunk sizes in bytes. They are not part of the format: a store may contain files chunked with other numbers.
///
/// The search starts at `MIN_CHUNK`, which is also where the mask becomes easy, so most bytes cost nothing, and a chunk is 320 KiB on
/// average. Measured on 1 GiB of random bytes: 75 ms to find the cuts. Inserting 1 KiB makes 357 KiB of new chunks on average, at most 453
/// KiB in nine of ten of 600 tries, more than 900 KiB in one of a hundred. A file that starts at another offset of the same bytes is back
/// in step after 691 KiB. (256, 1024, 4096 KiB with level 1: 290 ms, 1583 KiB, 2471 KiB, nine of ten, 1579 KiB. 128, 256, 1024 KiB with
/// level 2: 215 ms, 338 KiB, 453 KiB, one of 150, 603 KiB. 128, 128, 1024 KiB with level 1: 120 ms, 223 KiB, 335 KiB, one of 600, 310 KiB,
/// but twice as many chunks.)
pub(super) const MIN_CHUNK: usize = 256 << 10;
/// No chunk is longer, in bytes.
pub const MAX_CHUNK: usize = 1 << 20;
const LEVEL: Normalization = Normalization::Level2;

/// Number of bytes read at a time; more than the longest chunk.
pub(super) const BLOCK_BYTES: usize = 2 << 20;

/// A fixed number of reused blocks.
pub(super) struct Blocks {
    home: Sender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
}

/// A block in use; its memory is returned when the last user drops it.
struct Block {
    bytes: Vec<u8>,
    home: Sender<Vec<u8>>,
}

impl Drop for Block {
    fn drop(&mut self) {
        // The channel has room for all blocks, and after the end no one needs them.
        self.home.try_send(std::mem::take(&mut self.bytes)).ok();
    }
}

/// A part of a block.
#[derive(Clone)]
pub(super) struct Piece {
    block: Arc<Block>,
    range: Range<usize>,
}

impl std::ops::Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block.bytes[self.range.clone()]
    }
}

/// The result of one block.
pub(super) struct Cut {
    /// The bytes after those of the last cut.
    pub(super) fresh: Piece,
    /// The chunks that end in this block.
    pub(super) chunks: Vec<Piece>,
    /// Whether the source has ended.
    pub(super) is_last: bool,
}

impl Blocks {
    /// Creates this many blocks; memory is allocated on first use.
    pub(super) fn new(count: usize) -> Self {
        let (home, free) = bounded(count);
        for _ in 0..count {
            home.try_send(Vec::new()).expect("there is room for all");
        }
        Self { home, free }
    }

    /// Waits for a block.
    fn take(&self) -> Block {
        let mut bytes = self.free.recv().expect("its other end is here");
        if bytes.is_empty() {
            bytes = vec![0; BLOCK_BYTES];
        }
        Block { bytes, home: self.home.clone() }
    }
}

/// Chunks a source, which must not be empty; calls `each` for every block until it returns false.
pub(super) fn cut(source: &mut impl Read, blocks: &Blocks, mut each: impl FnMut(Cut) -> bool) -> Result<()> {
    // Bytes between the last cut and the end of the last block. No block is held while waiting for the next.
    let mut rest = Vec::new();
    loop {
        let mut block = blocks.take();
        block.bytes[..rest.len()].copy_from_slice(&rest);
        let end = rest.len() + read_full(source, &mut block.bytes[rest.len()..])?;
        let is_last = end < block.bytes.len();
        let fresh = rest.len()..end;
        let mut chunks = Vec::new();
        let mut at = 0;
        while let Some(length) = next_chunk(&block.bytes[at..end], is_last) {
            chunks.push(at..at + length);
            at += length;
        }
        rest.clear();
        rest.extend_from_slice(&block.bytes[at..end]);
        let block = Arc::new(block);
        let piece = |range| Piece { block: block.clone(), range };
        let cut = Cut { fresh: piece(fresh), chunks: chunks.into_iter().map(piece).collect(), is_last };
        drop(block);
        if !each(cut) || is_last {
            return Ok(());
        }
    }
}

/// The lengths of the chunks at the start of `bytes`, which begin a file or follow a cut. Without `is_last`, bytes may remain whose chunk
/// depends on what follows: less than [`MAX_CHUNK`].
pub fn chunk_lengths(bytes: &[u8], is_last: bool) -> Vec<usize> {
    let (mut lengths, mut at) = (Vec::new(), 0);
    while let Some(length) = next_chunk(&bytes[at..], is_last) {
        lengths.push(length);
        at += length;
    }
    lengths
}

/// The length of the chunk at the start of `bytes`; `None` if that depends on the bytes that follow, or there is none.
fn next_chunk(bytes: &[u8], is_last: bool) -> Option<usize> {
    let (strict, easy) = select_masks(MIN_CHUNK, LEVEL);
    let window = &bytes[..bytes.len().min(MAX_CHUNK)];
    let (_, length) = find_cut(window, MIN_CHUNK, MIN_CHUNK, MAX_CHUNK, strict, easy, strict << 1, easy << 1);
    // The end of the available bytes is not a real cut.
    let is_found = length < window.len() || length == MAX_CHUNK || is_last;
    (is_found && length > 0).then_some(length)
}

/// Reads until `buffer` is full or the source ends; returns the number of bytes.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the bytes in reads of these lengths, cycling through them.
    struct Pieces<'a>(&'a [u8], std::iter::Cycle<std::slice::Iter<'a, usize>>);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let length = self.1.next().copied().unwrap_or(1).max(1).min(into.len()).min(self.0.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn chunks(source: &mut impl Read, blocks: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut fresh = 0;
        cut(source, &Blocks::new(blocks), |cut| {
            fresh += cut.fresh.len();
            found.extend(cut.chunks.iter().map(|chunk| chunk.to_vec()));
            true
        })
        .unwrap();
        assert_eq!(found.iter().map(Vec::len).sum::<usize>(), fresh, "each byte is fresh once");
        found
    }

    fn noise(length: usize, mut state: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for byte in &mut bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_cuts_are_those_of_the_bytes_however_they_arrive(
            length in 0_usize..7_000_000, even in 0_usize..3_000_000, seed: u64,
            reads in prop::collection::vec(1_usize..900_000, 1..5),
        ) {
            let mut bytes = noise(length, seed);
            // A run of equal bytes has no cut of its own.
            bytes.extend(std::iter::repeat_n(7, even));
            let whole = chunks(&mut bytes.as_slice(), 1);
            prop_assert_eq!(whole.concat(), bytes.clone());
            prop_assert!(whole.iter().all(|chunk| chunk.len() <= MAX_CHUNK));
            prop_assert!(whole.iter().rev().skip(1).all(|chunk| chunk.len() >= MIN_CHUNK));
            let torn = chunks(&mut Pieces(&bytes, reads.iter().cycle()), 2);
            prop_assert_eq!(&torn, &whole);
            // Chunking everything at once, without blocks, gives the same result.
            let mut at = 0;
            for chunk in &whole {
                prop_assert_eq!(next_chunk(&bytes[at..], true), Some(chunk.len()));
                at += chunk.len();
            }
        }
    }

    #[test]
    fn an_insertion_changes_a_chunk_or_two() {
        let bytes = noise(12 << 20, 3);
        let before: std::collections::HashSet<_> = chunks(&mut bytes.as_slice(), 1).into_iter().collect();
        let new_bytes = |at: usize| -> usize {
            let longer = [&bytes[..at], &noise(1 << 10, 9), &bytes[at..]].concat();
            chunks(&mut longer.as_slice(), 1).iter().filter(|chunk| !before.contains(*chunk)).map(Vec::len).sum()
        };
        let few = (1..11).filter(|step| new_bytes(step << 20) <= 900 << 10).count();
        // An unlucky insertion takes a few more chunks to get back in step.
        assert!(few >= 9, "{few} of 10");
    }
}
