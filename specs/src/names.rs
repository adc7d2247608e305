//! Names of repositories, pipelines, branches and tags.

use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a legal {what} name: {why}", .text.escape_debug())]
pub struct NameError {
    /// The kind of name, such as `repository`, `branch` or `secret`.
    pub what: &'static str,
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

/// The rule that `text` breaks as a name; `inner` characters are allowed between other characters.
fn broken_rule(text: &str, inner: &[u8]) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    if bytes.is_empty() || bytes.len() > 63 {
        Some("it must have 1 to 63 characters")
    } else if !edge(bytes.first()) || !edge(bytes.last()) {
        Some("its first and last character must be a letter or digit")
    } else if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte) || inner.contains(byte)) {
        Some(if inner.is_empty() {
            "only letters, digits, `-` and `_` are allowed"
        } else if inner == b"." {
            "only letters, digits, `-`, `_` and `.` are allowed"
        } else {
            "only letters, digits, `-`, `_`, `.` and `/` are allowed"
        })
    } else {
        None
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $inner:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                match broken_rule(text, $inner) {
                    None => Ok(Self(text.to_owned())),
                    Some(why) => Err(NameError { what: $what, text: text.to_owned(), why }),
                }
            }
        }
        serde_as_text!($name, { "maxLength": 63, "pattern": crate::pattern::of_name(
            std::str::from_utf8($inner).expect("characters of names are ASCII")
        ) });
    };
}

name! {
    /// The name of a repository, such as `images`.
    ///
    /// Shape: 1 to 63 bytes of `A-Z`, `a-z`, `0-9`, `-`, `_`; starts and ends with a letter or digit, so it is safe as file name, key and
    /// label.
    RepoName, "repository", b""
}
name! {
    /// The name of a pipeline and of its output repository. Shaped like [`RepoName`].
    PipelineName, "pipeline", b""
}
name! {
    /// The name of a branch, such as `main` or `feature/x.1`. Shaped like [`RepoName`], with inner `.` and `/`.
    BranchName, "branch", b"./"
}
name! {
    /// The name of a tag. Shaped like [`BranchName`]; the two share one name space in a repository.
    TagName, "tag", b"./"
}

name! {
    /// The name of a secret, such as `mail`. Shaped like [`RepoName`], with inner `.`: safe as a file name.
    SecretName, "secret", b"."
}
name! {
    /// The name of a value of a secret, such as `token` or `tls.crt`. Shaped like [`SecretName`].
    SecretKey, "key", b"."
}
name! {
    /// The name of an access token, such as `ci`; commits made with the token name it as their committer. Shaped like [`SecretName`].
    TokenName, "token", b"."
}
name! {
    /// The name of a notification, such as `night-shift`. Shaped like [`RepoName`].
    NotificationName, "notification", b""
}

name! {
    /// The name of a watched folder, such as `cam7`. Shaped like [`SecretName`].
    WatchName, "watch", b"."
}

impl PipelineName {
    /// The repository with this pipeline's output, which has the same name.
    pub fn output_repo(&self) -> RepoName {
        RepoName(self.0.clone())
    }
}

impl RepoName {
    /// The pipeline that would write to this repository, which has the same name.
    pub fn as_pipeline(&self) -> PipelineName {
        PipelineName(self.0.clone())
    }
}

impl BranchName {
    /// `main`: the default branch, unless the store chose another.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The tag with this name: branches and tags share one name space.
    pub fn as_tag(&self) -> TagName {
        TagName(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn repository_names_round_trip(name in "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?") {
            prop_assert_eq!(name.parse::<RepoName>().unwrap().to_string(), name);
        }

        #[test]
        fn branch_names_round_trip(name in "[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?") {
            prop_assert_eq!(name.parse::<BranchName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn names_that_would_need_quoting_are_refused() {
        for bad in ["", "images_", "-images", "im ages", "im\nages", "a.b", "a/b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
        }
        assert!("a.b/c".parse::<BranchName>().is_ok());
        assert!(".a".parse::<BranchName>().is_err());
    }
}
