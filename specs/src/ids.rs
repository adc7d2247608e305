//! Typed ids, which the compiler keeps apart although their bytes look alike.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError, decode_hex, serde_as_text};

/// The minimum number of hex digits in an id that is shown to people.
pub const SHORT_DIGITS: usize = 8;

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Digest);

        impl $name {
            /// Wraps a digest; the caller knows that it names such an object.
            pub const fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest, to read the object.
            pub const fn digest(&self) -> Digest {
                self.0
            }

            /// The first `digits` hex digits, for display.
            pub fn short(&self, digits: usize) -> String {
                self.0.short(digits)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
        impl FromStr for $name {
            type Err = DigestError;
            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
        serde_as_text!($name, { "pattern": crate::pattern::hex(64) });
    };
}

digest_id! {
    /// Identifies a commit: the digest of its canonical document.
    CommitId
}
digest_id! {
    /// Identifies a datum: the digest of its recipe. Equal ids give equal output, so this is the cache key.
    DatumId
}

/// Identifies a run: 128 random bits, drawn when the run is created and stored in every commit of the run.
///
/// Shape: 16 bytes in keys; 32 lower-case hex digits in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId([u8; 16]);

/// The text is not 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a run id: 32 lower-case hex digits")]
pub struct RunIdError {
    /// The text.
    pub text: String,
}

impl RunId {
    /// Wraps 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, as in keys.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first `digits` hex digits, for display.
    pub fn short(&self, digits: usize) -> String {
        let mut text = self.to_string();
        text.truncate(digits);
        text
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl FromStr for RunId {
    type Err = RunIdError;
    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let mut bytes = [0; 16];
        if decode_hex(text, &mut bytes) { Ok(Self(bytes)) } else { Err(RunIdError { text: text.to_owned() }) }
    }
}
serde_as_text!(RunId, { "pattern": crate::pattern::hex(32) });
