//! Arguments that name a branch or a tag of a repository; shell quoting of words.

use std::fmt;
use std::str::FromStr;

pub(crate) use answers::words::shell_word;
use specs::{BranchName, NameError, RepoName, TagName};

/// `REPO@NAME`.
#[derive(Debug, Clone)]
pub(crate) struct Of<N> {
    pub(crate) repo: RepoName,
    pub(crate) name: N,
}

/// `REPO@BRANCH`.
pub(crate) type BranchOf = Of<BranchName>;
/// `REPO@TAG`.
pub(crate) type TagOf = Of<TagName>;

/// The text is not of the form `REPO@NAME`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfError {
    #[error("`{0}` has no name: write `{0}@NAME`")]
    NoName(String),
    #[error(transparent)]
    Name(#[from] NameError),
}

impl<N: FromStr<Err = NameError>> FromStr for Of<N> {
    type Err = OfError;
    fn from_str(text: &str) -> Result<Self, OfError> {
        let (repo, name) = text.split_once('@').ok_or_else(|| OfError::NoName(text.to_owned()))?;
        Ok(Self { repo: repo.parse()?, name: name.parse()? })
    }
}

impl<N: fmt::Display> fmt::Display for Of<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repo, self.name)
    }
}
