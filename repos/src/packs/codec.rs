//! How the bytes of an object are stored in an entry.

use bytes::Bytes;

use super::format::Row;
use crate::hash::digest_of;
use crate::manifest::Manifest;
use crate::object::Kind;

/// The bytes as they are.
pub const RAW: u8 = 0;
/// One zstd frame that tells its content's size.
pub const ZSTD: u8 = 1;

/// The bytes of an object from those stored for it; `None` when they are not what the row says.
///
/// Objects of a kind that is not known here have rules of their own: they are kept as they are, and given as they are stored.
pub fn unpack(row: &Row, stored: Bytes) -> Option<Bytes> {
    if stored.len() as u64 != u64::from(row.stored_bytes) {
        return None;
    }
    let Some(kind) = Kind::from_number(row.kind) else { return Some(stored) };
    let raw = match row.codec {
        RAW => stored,
        ZSTD => expand(row, &stored)?,
        _ => return None,
    };
    let is_whole = match kind {
        Kind::Manifest => Manifest::decode(&raw).is_some(),
        _ => digest_of(&raw) == row.digest,
    };
    (is_whole && raw.len() as u64 == u64::from(row.raw_bytes)).then_some(raw)
}

fn expand(row: &Row, frame: &[u8]) -> Option<Bytes> {
    // Damaged numbers must not cost memory: the frame itself has to promise the same size.
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok()??;
    if size != u64::from(row.raw_bytes) {
        return None;
    }
    zstd::bulk::decompress(frame, row.raw_bytes as usize).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn only_the_bytes_that_were_stored_come_back() {
        let raw = b"some words, and some words, and some words again".repeat(20);
        let frame = zstd::bulk::compress(&raw, 3).unwrap();
        assert!(frame.len() < raw.len());
        assert_eq!(unpack(&row(&raw, &raw, RAW), raw.clone().into()).unwrap(), raw);
        assert_eq!(unpack(&row(&raw, &frame, ZSTD), frame.clone().into()).unwrap(), raw);
        assert_eq!(unpack(&row(&raw, &raw, ZSTD), raw.clone().into()), None);
        assert_eq!(unpack(&row(&raw, &frame, 7), frame.clone().into()), None);
        let too_long = Row { raw_bytes: u32::MAX, ..row(&raw, &frame, ZSTD) };
        assert_eq!(unpack(&too_long, frame.clone().into()), None);
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            let got = unpack(&row(&raw, &frame, ZSTD), damaged.into());
            assert!(got.is_none_or(|bytes| bytes == raw), "byte {at}");
        }
    }
}
