//! Replaces secrets in the output of user code with `***`, in the stored log and in the live one.
//!
//! A value of several lines is masked line by line, so it is found however it is printed. Lines of fewer than four bytes are not masked,
//! because too much else would match. A secret that arrives in pieces is held back until it is complete or turns out to be something else.

use std::collections::BTreeSet;

use crate::secrets::UNMASKED_BYTES;

const MASK: &[u8] = b"***";

/// What to mask; cheap if there is nothing.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    secrets: Vec<Vec<u8>>,
    /// First bytes of secrets, to skip everything else quickly.
    first: Vec<u8>,
}

impl Mask {
    /// Masks each line of each value.
    pub(crate) fn of(values: &BTreeSet<Vec<u8>>) -> Self {
        let lines = values.iter().flat_map(|value| value.split(|byte| *byte == b'\n'));
        let lines = lines.map(<[u8]>::trim_ascii).filter(|line| line.len() > UNMASKED_BYTES);
        let secrets: BTreeSet<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        let first: BTreeSet<u8> = secrets.iter().map(|secret| secret[0]).collect();
        Self { secrets: secrets.into_iter().collect(), first: first.into_iter().collect() }
    }

    /// Masks a complete text.
    pub(crate) fn text(&self, text: String) -> String {
        if self.secrets.is_empty() {
            return text;
        }
        let mut stream = Stream::default();
        let mut masked = stream.push(self, text.as_bytes());
        masked.extend(stream.finish(self));
        String::from_utf8_lossy(&masked).into_owned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// A log passing through a mask.
#[derive(Default)]
pub(crate) struct Stream {
    /// The end of the received bytes: a secret may have begun in it.
    held: Vec<u8>,
    /// This many bytes at the start of `held` are part of a secret already found.
    covered: usize,
}

impl Stream {
    /// Processes the next piece; returns what can be shown.
    pub(crate) fn push(&mut self, mask: &Mask, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.advance(mask, false)
    }

    /// Ends the log; returns the rest.
    pub(crate) fn finish(&mut self, mask: &Mask) -> Vec<u8> {
        self.advance(mask, true)
    }

    fn advance(&mut self, mask: &Mask, is_end: bool) -> Vec<u8> {
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        // Secrets may overlap, so everything that any of them covers is masked.
        let mut covered = self.covered;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if mask.first.contains(&rest[0]) {
                let could_be = |secret: &&Vec<u8>| secret.len() > rest.len() && secret.starts_with(rest);
                if !is_end && mask.secrets.iter().any(|secret| could_be(&secret)) {
                    break;
                }
                let found = mask.secrets.iter().filter(|secret| rest.starts_with(secret)).map(Vec::len).max();
                if let Some(length) = found {
                    if covered <= at {
                        shown.extend_from_slice(MASK);
                    }
                    covered = covered.max(at + length);
                }
            }
            if covered <= at {
                shown.push(rest[0]);
            }
            at += 1;
        }
        self.held.drain(..at);
        self.covered = covered.saturating_sub(at);
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::of(&values.iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn masked(mask: &Mask, pieces: &[&str]) -> String {
        let mut stream = Stream::default();
        let mut shown: Vec<u8> = pieces.iter().flat_map(|piece| stream.push(mask, piece.as_bytes())).collect();
        shown.extend(stream.finish(mask));
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn values_are_masked_whole_line_by_line_and_where_they_overlap() {
        let mask = mask(&["hunter2", "first line\nsecond line\r\nxy\n", "hunter2-longer", "2-longer-still", "abc"]);
        for (text, expected) in [
            ("a hunter2 b", "a *** b"),
            ("hunter2hunter2", "******"),
            ("hunter2-longer!", "***!"),
            ("hunter2-longer-still!", "***!"),
            ("first line\nsecond line\nxy\n", "***\n***\nxy\n"),
            ("abc hunter", "abc hunter"),
        ] {
            assert_eq!(masked(&mask, &[text]), expected);
        }
        assert_eq!(mask.text("it printed hunter2".to_owned()), "it printed ***");
    }

    #[test]
    fn what_may_begin_a_secret_waits_and_nothing_else_does() {
        let mask = mask(&["hunter2"]);
        let mut stream = Stream::default();
        assert_eq!(stream.push(&mask, b"line\nhunt"), b"line\n");
        assert_eq!(stream.push(&mask, b"ing\n"), b"hunting\n");
        assert_eq!(stream.push(&mask, b"hunter"), b"");
        assert_eq!(stream.finish(&mask), b"hunter");
    }

    proptest! {
        #[test]
        fn no_cut_lets_a_secret_through(text in "[ab]{0,40}", secret in "[ab]{4,6}", other in "[ab]{4,9}", cuts in prop::collection::vec(0_usize..41, 0..6)) {
            let mask = mask(&[&secret, &other]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let shown = masked(&mask, &pieces);
            prop_assert_eq!(&shown, &masked(&mask, &[&text]), "cuts change nothing");
            prop_assert!(shown.split("***").all(|part| !part.contains(&secret) && !part.contains(&other)));
            prop_assert_eq!(shown.contains("***"), text.contains(&secret) || text.contains(&other));
        }
    }
}
