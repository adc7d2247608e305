//! The datums map of an output commit: the first byte of each key, and the meaning of its value.
//!
//! The engine defines what follows the first byte (`DatumKey`).

use specs::Digest;

/// `d` + datum key → digest of the result.
pub const DATUM: u8 = b'd';
/// `r` + datum key → why the datum was recovered.
pub const RECOVERED: u8 = b'r';
/// `k` + leaf number + key of a join or group + path → nothing.
pub const MEMBER: u8 = b'k';

/// The result that a row names; `None` for rows that name none.
pub fn result_of(key: &[u8], value: &[u8]) -> Option<Digest> {
    if key.first() == Some(&DATUM) { result_in(value) } else { None }
}

/// The result that the value of a [`DATUM`] row names; `None` when it is not a digest.
pub fn result_in(value: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(value).ok().map(Digest::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_datums_name_results() {
        let digest = Digest::from_bytes([7; 32]);
        let value = digest.as_bytes().as_slice();
        assert_eq!(result_of(b"d\0\0", value), Some(digest));
        for (key, value) in [(&b"r\0\0"[..], value), (b"k\0\0", value), (b"", value), (b"d\0\0", &value[1..])] {
            assert_eq!(result_of(key, value), None);
        }
    }
}
