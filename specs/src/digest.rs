//! SHA-256 digests as values. Hashing itself happens where bytes are read (`repos`).

use std::fmt;
use std::str::FromStr;

/// SHA-256 of an object's bytes, and so its address in every store.
///
/// Shape: 32 bytes in memory and in keys; 64 lower-case hex digits in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// The text is not 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest: 64 lower-case hex digits")]
pub struct DigestError {
    /// The text.
    pub text: String,
}

impl Digest {
    /// Wraps the 32 bytes from a hash function.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, as in keys and binary formats.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first `digits` hex digits, for display.
    pub fn short(&self, digits: usize) -> String {
        let mut text = self.to_string();
        text.truncate(digits);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("hex digits are ASCII"))
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Decodes lower-case hex into `into`; false if a digit or the length is wrong.
pub(crate) fn decode_hex(text: &str, into: &mut [u8]) -> bool {
    let digit = |byte: u8| HEX.iter().position(|hex| *hex == byte);
    text.len() == into.len() * 2
        && text.as_bytes().chunks_exact(2).zip(into).all(|(pair, byte)| {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return false };
            *byte = (high << 4 | low) as u8;
            true
        })
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if decode_hex(text, &mut bytes) { Ok(Self(bytes)) } else { Err(DigestError { text: text.to_owned() }) }
    }
}

/// Implements serde for a type with `Display` and `FromStr`, using its text.
///
/// What follows in braces are further fields of its JSON Schema.
macro_rules! serde_as_text {
    ($type:ty) => {
        $crate::digest::serde_as_text!($type, {});
    };
    ($type:ty, { $($schema:tt)* }) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", $($schema)* })
            }
        }
    };
}
pub(crate) use serde_as_text;
serde_as_text!(Digest, { "pattern": crate::pattern::hex(64) });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_lower_case_hex_digits() {
        let text = "00ff".repeat(16);
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.to_string(), text);
        assert_eq!(digest.short(8), "00ff00ff");
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{text}\""));
        assert!(text.to_uppercase().parse::<Digest>().is_err());
        assert!("00ff".parse::<Digest>().is_err());
    }
}
