//! How the bytes of an object are stored in an entry.
//!
//! [`pack`] chooses on write: a sample identifies bytes distributed like random ones (images, archives, ciphertext), which are stored raw;
//! all others are compressed with zstd if that saves enough to be worth the decompression.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use super::format::Row;
use crate::base::hash::digest_of;
use crate::base::kind::Kind;
use crate::objects::manifest::Manifest;

/// The raw bytes.
pub const RAW: u8 = 0;
/// One zstd frame that states its content's size, then the first four bytes of the frame's SHA-256: a frame has bits that no decoder reads,
/// and damage there must be detected too.
pub const ZSTD: u8 = 1;
const CHECK_BYTES: usize = 4;

/// Objects of fewer bytes are stored raw.
const SMALLEST: usize = 64;
/// A sample consists of this many evenly spaced pieces.
const SAMPLE_PIECES: usize = 16;
const SAMPLE_PIECE: usize = 256;
/// A buffer that grew longer than this for one object is not kept.
const KEPT_BUFFER: usize = 4 << 20;

/// Buffers and contexts that a thread reuses.
struct Scratch {
    small: Compressor<'static>,
    large: Compressor<'static>,
    decompressor: Decompressor<'static>,
    frame: Vec<u8>,
}

thread_local! {
    /// `None` until first used, and if zstd cannot allocate memory.
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

impl Scratch {
    fn with<T>(work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.is_none() {
                *scratch = Self::new().ok();
            }
            scratch.as_mut().map(work)
        })
    }

    fn new() -> std::io::Result<Self> {
        let [small, large] = [Compressor::new(SMALL_LEVEL)?, Compressor::new(LARGE_LEVEL)?];
        Ok(Self { small, large, decompressor: Decompressor::new()?, frame: Vec::new() })
    }

    /// Compresses `raw` to one frame with its check, if that saves at least a thirty-second.
    fn compress(&mut self, raw: &[u8]) -> Option<&[u8]> {
        let worth = raw.len() - raw.len() / 32 - 1;
        self.frame.shrink_to(KEPT_BUFFER);
        if self.frame.len() < worth {
            self.frame.resize(worth, 0);
        }
        // This fails only if the frame does not fit, which means that it saves too little.
        let compressor = if raw.len() <= SMALL { &mut self.small } else { &mut self.large };
        let length = compressor.compress_to_buffer(raw, &mut self.frame[..worth - CHECK_BYTES]).ok()?;
        let (frame, rest) = self.frame.split_at_mut(length);
        rest[..CHECK_BYTES].copy_from_slice(&check(frame));
        Some(&self.frame[..length + CHECK_BYTES])
    }
}

/// Objects of at most this many bytes are compressed at the lower level: the higher one saves little on them.
///
/// Measured on 78,579 source files of 1.3 GB, one frame each: size of the whole store and CPU seconds of its first `put`. Level 3 for all:
/// 284 MB, 5.5 s; 4 for all: 279 MB, 6.5 s; 5 for all: 269 MB, 9 s; as here: 274 MB, 7.8 s; 3 below and 5 above: 278 MB, 6.4 s.
const SMALL: usize = 64 << 10;
const SMALL_LEVEL: i32 = 4;
const LARGE_LEVEL: i32 = 5;

/// Calls `then` with the codec and the bytes to store for an object; never more bytes than the object has. `then` must not pack another
/// object.
pub fn pack<T>(raw: &[u8], then: impl FnOnce(u8, &[u8]) -> T) -> T {
    if raw.len() < SMALLEST || looks_random(raw) {
        return then(RAW, raw);
    }
    let mut then = Some(then);
    let packed = Scratch::with(|scratch| {
        let frame = scratch.compress(raw)?;
        then.take().map(|then| then(ZSTD, frame))
    });
    packed.flatten().unwrap_or_else(|| then.take().expect("called at most once")(RAW, raw))
}

/// Whether the values in a sample of the bytes are distributed as evenly as in random bytes.
///
/// The measure is the sum of squares of the frequency of each value, minus what a random sample has by chance: at an eighth above the
/// minimum, entropy coding alone (Huffman) could save no more than about a fiftieth.
fn looks_random(raw: &[u8]) -> bool {
    let mut counts = [[0_u32; 256]; 2];
    let mut count = |bytes: &[u8]| {
        // Two tables, so that equal neighbours do not wait for each other.
        for pair in bytes.chunks_exact(2) {
            counts[0][usize::from(pair[0])] += 1;
            counts[1][usize::from(pair[1])] += 1;
        }
    };
    if raw.len() <= SAMPLE_PIECES * SAMPLE_PIECE {
        count(raw);
    } else {
        let step = (raw.len() - SAMPLE_PIECE) / (SAMPLE_PIECES - 1);
        (0..SAMPLE_PIECES).for_each(|piece| count(&raw[piece * step..][..SAMPLE_PIECE]));
    }
    let sums = counts[0].iter().zip(&counts[1]).map(|(one, other)| u64::from(one + other));
    let (total, pairs) = sums.fold((0, 0), |(total, pairs), sum| (total + sum, pairs + sum * sum.saturating_sub(1)));
    // Random bytes: pairs · 256 = total · (total − 1). A short sample varies more, so fewer than 512 bytes never count as random.
    total >= 512 && pairs * 256 * 8 <= total * (total - 1) * 9
}

/// Decodes the stored bytes of an object; `None` if they do not match the row.
///
/// Objects of unknown kinds follow rules unknown here, so their bytes are returned as stored, unchecked.
pub fn unpack(row: &Row, stored: Bytes) -> Option<Bytes> {
    let raw = unpack_unchecked(row, stored)?;
    let is_whole = match Kind::from_number(row.kind) {
        None => true,
        Some(Kind::Manifest) => Manifest::decode(&raw).is_some(),
        Some(_) => digest_of(&raw) == row.digest,
    };
    is_whole.then_some(raw)
}

/// Like [`unpack`], but without checking the digest, for a caller that checks the whole of which this is a part.
pub(crate) fn unpack_unchecked(row: &Row, stored: Bytes) -> Option<Bytes> {
    if stored.len() as u64 != u64::from(row.stored_bytes) {
        return None;
    }
    if Kind::from_number(row.kind).is_none() {
        return Some(stored);
    }
    let raw = match row.codec {
        RAW => stored,
        ZSTD => expand(row, &stored)?,
        _ => return None,
    };
    (raw.len() as u64 == u64::from(row.raw_bytes)).then_some(raw)
}

fn check(frame: &[u8]) -> [u8; CHECK_BYTES] {
    *digest_of(frame).as_bytes().first_chunk().expect("a digest is longer")
}

fn expand(row: &Row, stored: &[u8]) -> Option<Bytes> {
    let (frame, expected) = stored.split_last_chunk()?;
    if check(frame) != *expected {
        return None;
    }
    // A damaged length must not allocate memory: the frame itself has to state the same size.
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok()??;
    if size != u64::from(row.raw_bytes) {
        return None;
    }
    Scratch::with(|scratch| scratch.decompressor.decompress(frame, row.raw_bytes as usize).ok())?.map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(raw: &[u8], stored: &[u8], codec: u8) -> Row {
        Row {
            kind: Kind::Chunk as u8,
            digest: digest_of(raw),
            offset: 16,
            codec,
            stored_bytes: stored.len() as u32,
            raw_bytes: raw.len() as u32,
        }
    }

    fn packed(raw: &[u8]) -> (u8, Vec<u8>) {
        pack(raw, |codec, stored| (codec, stored.to_vec()))
    }

    /// Bytes distributed as evenly as those of an image or archive.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn only_the_bytes_that_were_stored_come_back() {
        let raw = b"some words, and some words, and some words again".repeat(20);
        let (codec, frame) = packed(&raw);
        assert!(codec == ZSTD && frame.len() < raw.len() / 10);
        assert_eq!(unpack(&row(&raw, &raw, RAW), raw.clone().into()).unwrap(), raw);
        assert_eq!(unpack(&row(&raw, &frame, ZSTD), frame.clone().into()).unwrap(), raw);
        assert_eq!(unpack(&row(&raw, &raw, ZSTD), raw.clone().into()), None);
        assert_eq!(unpack(&row(&raw, &frame, 7), frame.clone().into()), None);
        let too_long = Row { raw_bytes: u32::MAX, ..row(&raw, &frame, ZSTD) };
        assert_eq!(unpack(&too_long, frame.clone().into()), None);
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            assert_eq!(unpack(&row(&raw, &frame, ZSTD), damaged.into()), None, "byte {at}");
        }
    }

    #[test]
    fn what_cannot_shrink_is_kept_as_it_is() {
        for length in [0, 1, 63, 64, 65, 511, 512, 4096, 4097, 70_000, 1 << 20] {
            for seed in 1..10 {
                let raw = noise(length, seed * 7919);
                assert_eq!(packed(&raw), (RAW, raw.clone()), "{length} bytes");
                assert_eq!(looks_random(&raw), length >= 512, "{length} bytes");
            }
        }
        // Only half of the values occur: an eighth could be saved.
        let seven_bits: Vec<u8> = noise(70_000, 5).iter().map(|byte| byte & 0x7f).collect();
        assert_eq!(packed(&seven_bits).0, ZSTD);
        assert_eq!(packed(&[0; 64]).0, ZSTD);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_and_never_take_more_room(
            noisy in 0_usize..5000, text in "[a-z ]{0,3000}", seed: u64, order: bool
        ) {
            let mut parts = [noise(noisy, seed), text.into_bytes()];
            if order {
                parts.reverse();
            }
            let raw = parts.concat();
            let (codec, stored) = packed(&raw);
            prop_assert!(stored.len() <= raw.len());
            prop_assert_eq!(unpack(&row(&raw, &stored, codec), stored.into()).unwrap(), raw);
        }
    }
}
