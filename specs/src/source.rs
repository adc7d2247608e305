//! Where files come from: a reference to data, or any id of something with files.

use std::fmt;
use std::str::FromStr;

use crate::path::FilePath;
use crate::reference::{IdPrefix, Reference, ReferenceError, is_id_prefix, split_path};

/// Something with files: a reference, or a full id. A short id looks like the name of a repository; only a store can tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// `REPO[@REV][:/PATH]`.
    Reference(Reference),
    /// A full id, optionally with a path within its files.
    Id(IdPrefix, Option<FilePath>),
}

impl Source {
    /// The prefix of an id, if this can be one, and the path.
    pub fn as_id(&self) -> Option<(IdPrefix, Option<&FilePath>)> {
        match self {
            Self::Id(id, path) => Some((id.clone(), path.as_ref())),
            Self::Reference(Reference { repo, revision: None, path }) => {
                Some((repo.as_str().parse().ok()?, path.as_ref()))
            }
            Self::Reference(_) => None,
        }
    }

    /// The path.
    pub fn path(&self) -> Option<&FilePath> {
        match self {
            Self::Id(_, path) | Self::Reference(Reference { path, .. }) => path.as_ref(),
        }
    }

    /// The same with another path.
    #[must_use]
    pub fn at(&self, path: Option<FilePath>) -> Self {
        match self {
            Self::Id(id, _) => Self::Id(id.clone(), path),
            Self::Reference(reference) => Self::Reference(Reference { path, ..reference.clone() }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Id(id, None) => id.fmt(f),
            Self::Id(id, Some(path)) => write!(f, "{id}:{path}"),
        }
    }
}
impl FromStr for Source {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        const WHOLE: usize = 64;
        let bare = text.strip_prefix("sha256:").unwrap_or(text);
        match split_path(bare) {
            Some((head, path)) if (head.len() == WHOLE || bare != text) && is_id_prefix(head) => {
                Ok(Self::Id(head.parse()?, path.map(str::parse).transpose()?))
            }
            _ => text.parse().map(Self::Reference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_is_a_source_and_a_short_one_may_be() {
        let whole = "0f".repeat(32);
        for text in [whole.clone(), format!("{whole}:/a"), "0f0f:/a".to_owned(), "sha256:0f0f".to_owned()] {
            let source: Source = text.parse().unwrap();
            assert!(source.as_id().is_some(), "{text}");
            assert_eq!(source.to_string(), text.trim_start_matches("sha256:"));
        }
        assert!("images@main".parse::<Source>().unwrap().as_id().is_none());
        assert!("images".parse::<Source>().unwrap().as_id().is_none());
    }
}
