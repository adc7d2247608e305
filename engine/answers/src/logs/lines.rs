//! The lines of one log, found by number.

use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use repos::Store;
use repos::documents::ResultDocument;
use specs::{Digest, ErrorKind};

use engine::Result;

/// Bytes of the logs that are remembered: somebody who reads one soon asks for more of it.
const REMEMBERED_BYTES: u64 = 64 << 20;
/// Of so many lines the place of the first is known.
const STEP: usize = 64;
/// Words of a line that tells of an error.
const ERRORS: [&[u8]; 5] = [b"error", b"exception", b"traceback", b"panic", b"fatal"];

/// A log, and where its lines are.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Bytes,
    /// Where every [`STEP`]th line starts.
    starts: Vec<usize>,
    count: usize,
    first_error: OnceLock<Option<usize>>,
}

impl Lines {
    pub(super) fn of(bytes: Bytes) -> Self {
        let (mut starts, mut count, mut at) = (Vec::new(), 0, 0);
        while at < bytes.len() {
            if count % STEP == 0 {
                starts.push(at);
            }
            count += 1;
            at = end_of(&bytes, at) + 1;
        }
        Self { bytes, starts, count, first_error: OnceLock::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The lines from this number on, without their ends; the first line has number 0.
    pub(super) fn from(&self, number: usize) -> impl Iterator<Item = &[u8]> {
        let mut at = self.starts.get(number / STEP).copied().unwrap_or(self.bytes.len());
        let lines = std::iter::from_fn(move || {
            let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let line = &rest[..end_of(rest, 0)];
            at += line.len() + 1;
            Some(line.strip_suffix(b"\r").unwrap_or(line))
        });
        lines.skip(number % STEP)
    }

    /// The first line that tells of an error.
    pub(super) fn first_error(&self) -> Option<usize> {
        let tells = |line: &[u8]| ERRORS.iter().any(|word| contains(line, word));
        *self.first_error.get_or_init(|| self.from(0).position(tells))
    }
}

/// Where the line at a place ends.
fn end_of(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// Whether a line has a word, in whatever case of ASCII; `word` is in lower case.
pub(super) fn contains(line: &[u8], word: &[u8]) -> bool {
    let Some((first, rest)) = word.split_first() else { return true };
    let is_first = |byte: &u8| byte.to_ascii_lowercase() == *first;
    let mut at = 0;
    while let Some(found) = line[at..].iter().position(is_first) {
        at += found + 1;
        if line.len() - at < rest.len() {
            return false;
        }
        if line[at..at + rest.len()].eq_ignore_ascii_case(rest) {
            return true;
        }
    }
    false
}

/// The lines of logs that were read lately.
static REMEMBERED: LazyLock<Cache<Digest, Arc<Lines>, Weight>> =
    LazyLock::new(|| Cache::with_weighter(1024, REMEMBERED_BYTES, Weight));

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Digest, Arc<Lines>> for Weight {
    fn weight(&self, _: &Digest, lines: &Arc<Lines>) -> u64 {
        (size_of::<Lines>() + lines.bytes() + lines.starts.len() * size_of::<usize>()) as u64
    }
}

/// The lines of the log of a try; none if the log was given up.
pub(super) fn lines_of(store: &Store, result: &ResultDocument, log: &Digest) -> Result<Arc<Lines>> {
    // What was given up since must not be shown any more.
    if let Some(lines) = REMEMBERED.get(log)
        && store.has_log(log)?
    {
        return Ok(lines);
    }
    let bytes = match store.log_of(result, log) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Arc::new(Lines::of(Bytes::new()))),
        read => read?,
    };
    let lines = Arc::new(Lines::of(bytes));
    REMEMBERED.insert(*log, lines.clone());
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_number() {
        let text: String =
            (0..1000).flat_map(|number| ["line ".to_owned(), number.to_string(), "\n".to_owned()]).collect();
        let lines = Lines::of(Bytes::from(text));
        assert_eq!(lines.count(), 1000);
        for number in [0, 1, 63, 64, 65, 500, 999] {
            assert_eq!(lines.from(number).next(), Some(format!("line {number}").as_bytes()));
        }
        assert_eq!(lines.from(1000).next(), None);
        assert_eq!(lines.from(990).count(), 10);
        for (text, expected) in [("", vec![]), ("\n", vec![""]), ("a", vec!["a"]), ("a\r\n\nb", vec!["a", "", "b"])] {
            let lines = Lines::of(Bytes::from(text));
            assert_eq!(lines.from(0).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>(), expected);
            assert_eq!(lines.count(), expected.len());
        }
    }

    #[test]
    fn words_are_found_in_whatever_case() {
        for (line, word, is_there) in [
            ("an Error here", "error", true),
            ("eerror", "error", true),
            ("erro", "error", false),
            ("", "x", false),
            ("x", "", true),
            ("ababac", "abac", true),
        ] {
            assert_eq!(contains(line.as_bytes(), word.as_bytes()), is_there, "{line} {word}");
        }
        assert_eq!(Lines::of(Bytes::from("ok\nTraceback (most\n")).first_error(), Some(1));
    }
}
