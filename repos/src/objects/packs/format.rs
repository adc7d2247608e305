//! The layout of a pack's bytes, version 1. Numbers are big-endian.
//!
//! ```text
//! header   16   "PVPACK" 00 01 · class 'm' or 'd' · 7 zero bytes
//! entry    44   kind u8 · codec u8 · 0 u16 · stored length u32 · raw length u32 · digest 32 bytes
//!               followed by the stored bytes; entries follow each other without gaps
//! index    52   for each entry, sorted by kind, digest, offset: its 44 bytes again · offset u64 of the entry in the pack
//! footer   56   offset of the index u64 · number of entries u64 · SHA-256 of the index · "PVPACKE" 01
//! ```
//! Codec 0 stores the raw bytes; codec 1 stores one zstd frame of them that states their length, then the first 4 bytes of the frame's
//! SHA-256. `digest` is the SHA-256 of the raw bytes, except for manifests, which are stored under their file's digest and contain a digest
//! of their own bytes. The pack's name is the SHA-256 of its index.

use specs::Digest;

use crate::base::hash::digest_of;
use crate::base::kind::PackClass;

/// Bytes of the header.
pub const HEADER_BYTES: u64 = 16;
/// Bytes before an entry's stored bytes.
pub const ENTRY_BYTES: u64 = 44;
/// Bytes of an index row.
pub const ROW_BYTES: u64 = 52;
/// Bytes of the footer.
pub const FOOTER_BYTES: u64 = 56;

const MAGIC: &[u8; 8] = b"PVPACK\0\x01";
const END_MAGIC: &[u8; 8] = b"PVPACKE\x01";

/// One object in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The number of the object's kind; possibly a kind of a newer version.
    pub kind: u8,
    /// The object's digest.
    pub digest: Digest,
    /// Offset of its entry in the pack.
    pub offset: u64,
    /// How the bytes are stored.
    pub codec: u8,
    /// Number of bytes in the pack, without the 44 before them.
    pub stored_bytes: u32,
    /// Size of the object in bytes.
    pub raw_bytes: u32,
}

impl Row {
    /// The bytes that precede an entry's stored bytes.
    pub fn entry_header(&self) -> [u8; ENTRY_BYTES as usize] {
        let mut bytes = [0; ENTRY_BYTES as usize];
        bytes[0] = self.kind;
        bytes[1] = self.codec;
        bytes[4..8].copy_from_slice(&self.stored_bytes.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.raw_bytes.to_be_bytes());
        bytes[12..44].copy_from_slice(self.digest.as_bytes());
        bytes
    }

    /// Parses the bytes that precede an entry at `offset`; `None` if they cannot be an entry header.
    pub fn from_entry_header(bytes: &[u8], offset: u64) -> Option<Self> {
        let bytes: &[u8; ENTRY_BYTES as usize] = bytes.try_into().ok()?;
        (bytes[0] != 0 && bytes[2..4] == [0, 0]).then(|| Self {
            kind: bytes[0],
            codec: bytes[1],
            stored_bytes: u32::from_be_bytes(bytes[4..8].try_into().expect("four bytes")),
            raw_bytes: u32::from_be_bytes(bytes[8..12].try_into().expect("four bytes")),
            digest: Digest::from_bytes(bytes[12..44].try_into().expect("32 bytes")),
            offset,
        })
    }

    /// The range of the entry's stored bytes in the pack.
    pub fn stored_range(&self) -> std::ops::Range<u64> {
        // Numbers from a damaged index must not cause an overflow: a read that far out finds nothing.
        let start = self.offset.saturating_add(ENTRY_BYTES);
        start..start.saturating_add(u64::from(self.stored_bytes))
    }
}

/// The header of a pack of this class.
pub fn header(class: PackClass) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = class.word().as_bytes()[0];
    bytes
}

/// The index of `rows` (sorted here) with the footer that follows it, and the SHA-256 of the index, which is the pack's name.
pub fn index_and_footer(rows: &mut [Row], index_offset: u64) -> (Vec<u8>, Digest) {
    rows.sort_unstable_by_key(|row| (row.kind, row.digest, row.offset));
    let mut bytes = Vec::with_capacity(rows.len() * ROW_BYTES as usize + FOOTER_BYTES as usize);
    for row in &*rows {
        bytes.extend_from_slice(&row.entry_header());
        bytes.extend_from_slice(&row.offset.to_be_bytes());
    }
    let digest = digest_of(&bytes);
    bytes.extend_from_slice(&index_offset.to_be_bytes());
    bytes.extend_from_slice(&(rows.len() as u64).to_be_bytes());
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(END_MAGIC);
    (bytes, digest)
}

/// The content of a pack's footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Offset of the index.
    pub index_offset: u64,
    /// Number of rows.
    pub entries: u64,
    /// SHA-256 of its bytes.
    pub index_digest: Digest,
}

/// Parses the last 56 bytes of a pack; `None` if they are not a footer.
pub fn parse_footer(bytes: &[u8]) -> Option<Footer> {
    let bytes: &[u8; FOOTER_BYTES as usize] = bytes.try_into().ok()?;
    (bytes[48..56] == *END_MAGIC).then(|| Footer {
        index_offset: u64::from_be_bytes(bytes[0..8].try_into().expect("eight bytes")),
        entries: u64::from_be_bytes(bytes[8..16].try_into().expect("eight bytes")),
        index_digest: Digest::from_bytes(bytes[16..48].try_into().expect("32 bytes")),
    })
}

/// Parses the rows of an index; `None` if its bytes do not match the footer.
pub fn parse_index(bytes: &[u8], footer: &Footer) -> Option<Vec<Row>> {
    if bytes.len() as u64 != footer.entries.checked_mul(ROW_BYTES)? || digest_of(bytes) != footer.index_digest {
        return None;
    }
    bytes
        .chunks_exact(ROW_BYTES as usize)
        .map(|row| {
            let (entry, offset) = row.split_at(ENTRY_BYTES as usize);
            Row::from_entry_header(entry, u64::from_be_bytes(offset.try_into().ok()?))
        })
        .collect()
}
