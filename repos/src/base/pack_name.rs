//! The names of packs.

use std::fmt;
use std::str::FromStr;

use specs::Digest;

use super::kind::PackClass;

/// Names a finished pack: its class and the SHA-256 of its index.
///
/// Shape: `<64 hex digits>.meta.pack` or `<64 hex digits>.data.pack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackName {
    /// The class of the objects it holds.
    pub class: PackClass,
    /// SHA-256 of the pack's index bytes.
    pub digest: Digest,
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.pack", self.digest, self.class.word())
    }
}

impl FromStr for PackName {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (digest, rest) = text.split_once('.').ok_or(())?;
        let class =
            PackClass::ALL.into_iter().find(|class| rest.strip_suffix(".pack") == Some(class.word())).ok_or(())?;
        Ok(Self { class, digest: digest.parse().map_err(|_| ())? })
    }
}

impl TryFrom<String> for PackName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|()| format!("`{text}` is not the name of a pack"))
    }
}

impl From<PackName> for String {
    fn from(name: PackName) -> Self {
        name.to_string()
    }
}
