//! Keys of joins and groups: `join_on` and `group_by` build them from a glob's captures.

use std::fmt;
use std::str::FromStr;

use super::Glob;
use crate::digest::serde_as_text;

/// A template for a key from a glob's captures: `$1`, `$1-$2`, `${1}x`; `$$` is a dollar sign. Templates with equal text are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Counted from 1.
    Group(usize),
}

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a key: {why}", .text.escape_debug())]
pub struct KeyTemplateError {
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl KeyTemplate {
    /// The key as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The highest group number it uses; 0 if none.
    pub fn groups(&self) -> usize {
        let groups = self.parts.iter().map(|part| if let Part::Group(group) = part { *group } else { 0 });
        groups.max().unwrap_or(0)
    }

    /// The key of a path; `None` if the glob does not match it.
    pub fn key(&self, glob: &Glob, path: &str) -> Option<String> {
        let captures = glob.captures(path)?;
        let mut key = String::new();
        for part in &self.parts {
            key.push_str(match part {
                Part::Text(text) => text,
                Part::Group(group) => captures.get(group - 1).map_or("", String::as_str),
            });
        }
        Some(key)
    }

    fn split(text: &str) -> Result<Vec<Part>, &'static str> {
        const EXPECTED: &str = "expected the number of a capture after `$`, as in `$1`; write `$$` for the character";
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let (digits, after) = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or("`{` is not closed")?,
                None => after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len())),
            };
            let group = digits.parse().ok().filter(|group| *group > 0).ok_or(EXPECTED)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Group(group));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(parts)
    }
}

impl FromStr for KeyTemplate {
    type Err = KeyTemplateError;
    fn from_str(text: &str) -> Result<Self, KeyTemplateError> {
        let parts = Self::split(text).map_err(|why| KeyTemplateError { text: text.to_owned(), why })?;
        Ok(Self { text: text.to_owned(), parts })
    }
}
impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
serde_as_text!(KeyTemplate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_of_captures() {
        let key = |template: &str, glob: &str, path: &str| {
            template.parse::<KeyTemplate>().unwrap().key(&glob.parse().unwrap(), path)
        };
        assert_eq!(key("$1", "/STOREID(*).txt", "/STOREID7.txt").as_deref(), Some("7"));
        assert_eq!(key("$2-${1}0", "/(*)_(*)", "/a_b").as_deref(), Some("b-a0"));
        assert_eq!(key("$$1", "/(*)", "/a").as_deref(), Some("$1"));
        assert_eq!(key("$10", "/(*)", "/a").as_deref(), Some(""));
        assert_eq!(key("$1", "/(*).txt", "/a.png"), None);
        assert_eq!("x$2$1".parse::<KeyTemplate>().unwrap().groups(), 2);
        for text in ["$", "$x", "${1", "$0", "${}"] {
            assert!(text.parse::<KeyTemplate>().is_err(), "{text}");
        }
    }
}
