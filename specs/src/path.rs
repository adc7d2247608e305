//! Paths of files inside a commit.

use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// Maximum length of a path in bytes.
pub const MAX_PATH_BYTES: usize = 4096;

/// Maximum length of one part of a path in a new commit, in bytes: no common file system supports longer names.
pub const MAX_PART_BYTES: usize = 255;

/// A path inside a commit, such as `/cam7/1511891098.json`; `/` alone is the whole commit.
///
/// Shape: begins with `/` and does not end with it (except `/` itself); UTF-8 without control characters; no empty, `.` or `..` part; at
/// most 4,096 bytes. Sorted by bytes. Old commits may contain paths that [`FilePath::check_new`] refuses, so those are valid here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

/// Why a text is not a valid path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a legal path: {why}", .text.escape_debug())]
pub struct PathError {
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if !text.starts_with('/') {
        return Some("it must begin with `/`");
    }
    if text == "/" {
        return None;
    }
    if text.len() > MAX_PATH_BYTES {
        return Some("it is longer than 4,096 bytes");
    }
    if text.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    text[1..].split('/').find_map(|part| match part {
        "" => Some("it has an empty part"),
        "." | ".." => Some("it has a `.` or `..` part"),
        _ => None,
    })
}

impl FilePath {
    /// `/`: the whole commit.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Converts bytes from a directory listing; bytes that are not UTF-8 are refused like any other broken rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.parse(),
            Err(_) => Err(PathError { text: String::from_utf8_lossy(bytes).into_owned(), why: "it is not UTF-8" }),
        }
    }

    /// Refuses a path that could be stored, but not written back as a file or laid out for a datum: one with a part of more than 255 bytes.
    /// Called for every path that enters a commit.
    pub fn check_new(&self) -> Result<(), PathError> {
        match self.0.split('/').find(|part| part.len() > MAX_PART_BYTES) {
            None => Ok(()),
            Some(_) => Err(PathError { text: self.0.clone(), why: "a part of it is longer than 255 bytes" }),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The last part; empty for `/`.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that contains this; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.rfind('/').filter(|_| !self.is_root())?;
        Some(if cut == 0 { Self::root() } else { Self(self.0[..cut].to_owned()) })
    }

    /// Appends `relative`, which has one or more parts, such as `a/b`.
    pub fn join(&self, relative: &str) -> Result<Self, PathError> {
        if self.is_root() { format!("/{relative}").parse() } else { format!("{}/{relative}", self.0).parse() }
    }

    /// The prefix that all entries below this directory share: the path and a `/`.
    pub fn as_prefix(&self) -> String {
        if self.is_root() { "/".to_owned() } else { format!("{}/", self.0) }
    }

    /// Whether `other` is below this directory (a path is not below itself).
    pub fn contains(&self, other: &Self) -> bool {
        other.0.len() > self.0.len()
            && other.0.starts_with(&self.0)
            && (self.is_root() || other.0.as_bytes()[self.0.len()] == b'/')
    }

    /// The rest of this path below `directory`, without a leading `/`; `None` if it is not below it.
    pub fn below(&self, directory: &Self) -> Option<&str> {
        directory.contains(self).then(|| self.0[directory.0.len()..].trim_start_matches('/'))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
impl FromStr for FilePath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(PathError { text: text.to_owned(), why }),
        }
    }
}
serde_as_text!(FilePath, { "maxLength": MAX_PATH_BYTES, "pattern": crate::pattern::path() });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> FilePath {
        text.parse().unwrap()
    }

    proptest! {
        #[test]
        fn paths_round_trip(parts in proptest::collection::vec("[^/\\p{Cc}.]{1,12}", 1..6)) {
            let text = format!("/{}", parts.join("/"));
            let parsed: FilePath = text.parse().unwrap();
            prop_assert_eq!(parsed.as_str(), &text);
            let parent = parsed.parent().unwrap();
            prop_assert!(parent.contains(&parsed));
            prop_assert_eq!(parent.join(parsed.name()).unwrap(), parsed);
        }
    }

    #[test]
    fn illegal_paths_are_refused_with_the_rule() {
        for bad in ["", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/a\nb", &format!("/{}", "x".repeat(4096))] {
            assert!(bad.parse::<FilePath>().is_err(), "{bad:?}");
        }
        assert!(FilePath::from_bytes(b"/\xff").is_err());
        assert!("/-a b*?[]{}()@+^".parse::<FilePath>().is_ok());
    }

    #[test]
    fn a_part_that_no_file_system_can_name_is_read_but_not_taken() {
        let long = "é".repeat(128);
        assert_eq!(path(&format!("/a/{}/b", &long[2..])).check_new(), Ok(()));
        for bad in [format!("/{long}"), format!("/a/{long}/b"), format!("/a/{long}")] {
            let error = path(&bad).check_new().unwrap_err();
            assert!(
                error.to_string().ends_with("is not a legal path: a part of it is longer than 255 bytes"),
                "{error}"
            );
        }
        assert_eq!(FilePath::root().check_new(), Ok(()));
    }

    #[test]
    fn containment_respects_parts() {
        assert!(path("/a").contains(&path("/a/b")));
        assert!(!path("/a").contains(&path("/ab")));
        assert!(!path("/a").contains(&path("/a")));
        assert!(path("/").contains(&path("/a")));
        assert_eq!(path("/a/b/c").below(&path("/a")), Some("b/c"));
        assert_eq!(path("/a").parent(), Some(FilePath::root()));
        assert_eq!(FilePath::root().parent(), None);
    }
}
