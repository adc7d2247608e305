//! Manifests: how one file is cut into chunks.
//!
//! A file of one chunk has no manifest: the chunk has the file's digest. A manifest is stored under the *file's* digest and begins with the
//! SHA-256 of its own remaining bytes, so chunking never changes an id, and every read can verify the manifest:
//!
//! ```text
//! 32 bytes   SHA-256 of the bytes that follow
//! 1 byte     format, 1
//! then for each chunk, in order: digest 32 bytes · length u32, big-endian
//! ```

use specs::Digest;

use crate::base::hash::digest_of;

const FORMAT: u8 = 1;
const DIGEST: usize = 32;
const CHUNK: usize = DIGEST + 4;

/// The chunks of a file in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Digest and length in bytes of each chunk.
    pub chunks: Vec<(Digest, u32)>,
}

impl Manifest {
    /// The encoded bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(1 + self.chunks.len() * CHUNK);
        body.push(FORMAT);
        for (digest, length) in &self.chunks {
            body.extend_from_slice(digest.as_bytes());
            body.extend_from_slice(&length.to_be_bytes());
        }
        let mut bytes = digest_of(&body).as_bytes().to_vec();
        bytes.append(&mut body);
        bytes
    }

    /// Decodes stored bytes; `None` if they are damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (own, body) = bytes.split_at_checked(DIGEST)?;
        let (format, chunks) = body.split_first()?;
        if *format != FORMAT || digest_of(body).as_bytes() != own || chunks.len() % CHUNK != 0 {
            return None;
        }
        let chunk = |bytes: &[u8]| {
            let (digest, length) = bytes.split_at(DIGEST);
            Some((Digest::from_bytes(digest.try_into().ok()?), u32::from_be_bytes(length.try_into().ok()?)))
        };
        chunks.chunks_exact(CHUNK).map(chunk).collect::<Option<_>>().map(|chunks| Self { chunks })
    }

    /// Size of the whole file in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.chunks.iter().map(|(_, length)| u64::from(*length)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_round_trips_and_any_flipped_byte_is_noticed() {
        let manifest = Manifest { chunks: vec![(digest_of(b"a"), 1), (digest_of(b"bc"), 2)] };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Manifest::decode(&damaged), None, "byte {at}");
        }
    }
}
