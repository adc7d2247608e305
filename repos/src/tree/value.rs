//! The values of a map.

use specs::Digest;

use super::varint;

/// A value of a map. Its encoding is part of the node, and so of the root: it never changes once it is in use.
pub trait MapValue: Clone + PartialEq {
    /// Appends the unique encoding of this value. It needs no end marker: the node stores the length.
    fn encode(&self, out: &mut Vec<u8>);

    /// Decodes all of `bytes`; `None` for any bytes that `encode` does not produce.
    fn decode(bytes: &[u8]) -> Option<Self>;

    /// Inner nodes store the sum of the weights, besides the number of entries; sums saturate at `u64::MAX`.
    fn weight(&self) -> u64 {
        0
    }
}

/// One file of a tree. Its weight is its size.
///
/// Encoding: 32 bytes of digest, the size as a varint, then a byte of flags unless all are clear (bit 0: executable).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry {
    /// SHA-256 of the file's bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The executable bit, the only part of the mode that is stored.
    pub executable: bool,
}

const EXECUTABLE: u8 = 1;

impl MapValue for FileEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.digest.as_bytes());
        varint::put(out, self.size);
        if self.executable {
            out.push(EXECUTABLE);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (digest, mut rest) = bytes.split_first_chunk::<32>()?;
        let size = varint::take(&mut rest)?;
        let executable = match rest {
            [] => false,
            [EXECUTABLE] => true,
            _ => return None,
        };
        Some(Self { digest: Digest::from_bytes(*digest), size, executable })
    }

    fn weight(&self) -> u64 {
        self.size
    }
}

/// The digest of another object, 32 bytes.
impl MapValue for Digest {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }
}

/// Text as UTF-8; empty if the key says everything.
impl MapValue for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

/// Raw bytes, for maps whose keys determine what a value means.
impl MapValue for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: &impl MapValue) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn values_round_trip(digest: [u8; 32], size: u64, executable: bool, text: String) {
            let digest = Digest::from_bytes(digest);
            let file = FileEntry { digest, size, executable };
            prop_assert_eq!(FileEntry::decode(&encoded(&file)), Some(file));
            prop_assert_eq!(Digest::decode(&encoded(&digest)), Some(digest));
            prop_assert_eq!(String::decode(&encoded(&text)), Some(text));
        }

        #[test]
        fn a_file_entry_has_one_encoding(digest: [u8; 32], rest in proptest::collection::vec(any::<u8>(), 0..4)) {
            let bytes = [&digest[..], &rest].concat();
            if let Some(file) = FileEntry::decode(&bytes) {
                prop_assert_eq!(encoded(&file), bytes);
            }
        }
    }

    #[test]
    fn flags_of_a_newer_format_are_refused() {
        let mut bytes = encoded(&FileEntry { digest: Digest::from_bytes([7; 32]), size: 300, executable: true });
        assert_eq!(bytes.len(), 35);
        for flags in [0, 2, 3] {
            bytes[34] = flags;
            assert_eq!(FileEntry::decode(&bytes), None);
        }
        assert_eq!(String::decode(b"\xff"), None);
        assert_eq!(Digest::decode(&[0; 31]), None);
    }
}
