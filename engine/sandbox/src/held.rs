//! Which files a sandbox keeps from one try to the next, so that they are not sent again.
//!
//! A large file is kept at once; any other when several tries in a row had it, since to keep a file costs some milliseconds. The agent drops
//! what was changed, and says so.

use std::collections::HashMap;

use specs::Digest;

use super::InputFile;

/// Files from this size on are kept before anybody knows whether the next try has them too, in bytes.
const LARGE: u64 = 16 << 20;
/// This many tries in a row are sent a file before it is kept.
const SENT_BEFORE: u32 = 8;

/// What a path holds: digest, length, and whether it is executable.
type Content = (Digest, u64, bool);

/// The files of the last try that was announced.
#[derive(Debug, Default)]
pub(super) struct Held {
    files: HashMap<String, Known>,
}

/// A file of the last try.
#[derive(Debug)]
struct Known {
    content: Content,
    /// Tries in a row that had it.
    tries: u32,
    /// Whether the agent was asked to keep it.
    is_kept: bool,
}

/// Where a file of a try comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is sent; `keep` for the next try.
    Sent { keep: bool },
    /// The agent has it of the try before.
    Kept,
}

impl Held {
    /// Where each of these inputs comes from. From now on they are what is held.
    pub(super) fn begin(&mut self, inputs: &[InputFile]) -> Vec<Place> {
        let before = std::mem::take(&mut self.files);
        let place = |input: &InputFile| {
            let content = (input.digest, input.laid_out_bytes(), input.executable);
            let known = before.get(&input.path).filter(|known| known.content == content);
            let tries = known.map_or(0, |known| known.tries) + 1;
            let place = if known.is_some_and(|known| known.is_kept) {
                Place::Kept
            } else {
                Place::Sent { keep: input.laid_out_bytes() >= LARGE || tries > SENT_BEFORE }
            };
            let is_kept = place != Place::Sent { keep: false };
            self.files.insert(input.path.clone(), Known { content, tries, is_kept });
            place
        };
        inputs.iter().map(place).collect()
    }

    /// Nothing is kept.
    pub(super) fn forget(&mut self) {
        self.files.values_mut().for_each(|known| known.is_kept = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(path: &str, number: u8, size_bytes: u64) -> InputFile {
        let digest = Digest::from_bytes([number; 32]);
        InputFile { path: path.to_owned(), digest, size_bytes, executable: false, is_placeholder: false }
    }

    #[test]
    fn what_tries_have_in_common_is_sent_until_it_is_kept() {
        let mut held = Held::default();
        let (sent, keep) = (Place::Sent { keep: false }, Place::Sent { keep: true });
        let with = |number| [input("in/x", number, 1), input("model", 9, LARGE), input("rules", 8, 1)];
        assert_eq!(held.begin(&with(0)), [sent, keep, sent]);
        for number in 1..SENT_BEFORE as u8 {
            assert_eq!(held.begin(&with(number)), [sent, Place::Kept, sent]);
        }
        assert_eq!(held.begin(&with(90)), [sent, Place::Kept, keep]);
        assert_eq!(held.begin(&with(91)), [sent, Place::Kept, Place::Kept]);
        held.forget();
        assert_eq!(held.begin(&with(92)), [sent, keep, keep]);
        assert_eq!(held.begin(&[input("model", 7, LARGE)]), [keep], "other bytes at the path");
        assert_eq!(held.begin(&[InputFile { executable: true, ..input("model", 7, LARGE) }]), [keep]);
        assert_eq!(held.begin(&[input("elsewhere", 7, LARGE)]), [keep]);
    }
}
