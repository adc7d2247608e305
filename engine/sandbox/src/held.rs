//! Which files a sandbox keeps from one try to the next, so that they are not sent again.
//!
//! A large file is kept immediately; any other once several tries in a row used it, since keeping a file costs some milliseconds. The agent
//! drops files that were changed, and reports that.

use std::collections::HashMap;

use specs::Digest;

use super::InputFile;

/// Files of at least this size in bytes are kept before it is known whether the next try uses them.
const LARGE: u64 = 16 << 20;
/// A file is sent to this many tries in a row before it is kept.
const SENT_BEFORE: u32 = 8;

/// The content of a path: digest, length, and whether it is executable.
type FileState = (Digest, u64, bool);

/// The files of the last announced try.
#[derive(Debug, Default)]
pub(super) struct Held {
    files: HashMap<String, Known>,
}

/// A file of the last try.
#[derive(Debug)]
struct Known {
    content: FileState,
    /// Number of consecutive tries that used it.
    tries: u32,
    /// Whether the agent was asked to keep it.
    is_kept: bool,
}

/// How a file gets into a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It is sent; `keep` it for the next try.
    Sent { keep: bool },
    /// The agent has it from the previous try.
    Kept,
}

impl Held {
    /// How each of these inputs gets into the try. Afterwards these are the held files.
    pub(super) fn begin(&mut self, inputs: &[InputFile]) -> Vec<Delivery> {
        let before = std::mem::take(&mut self.files);
        let place = |input: &InputFile| {
            let content = (input.digest, input.laid_out_bytes(), input.executable);
            let known = before.get(&input.path).filter(|known| known.content == content);
            let tries = known.map_or(0, |known| known.tries) + 1;
            let place = if known.is_some_and(|known| known.is_kept) {
                Delivery::Kept
            } else {
                Delivery::Sent { keep: input.laid_out_bytes() >= LARGE || tries > SENT_BEFORE }
            };
            let is_kept = place != Delivery::Sent { keep: false };
            self.files.insert(input.path.clone(), Known { content, tries, is_kept });
            place
        };
        inputs.iter().map(place).collect()
    }

    /// Notes that the agent no longer keeps any files.
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
        let (sent, keep) = (Delivery::Sent { keep: false }, Delivery::Sent { keep: true });
        let with = |number| [input("in/x", number, 1), input("model", 9, LARGE), input("rules", 8, 1)];
        assert_eq!(held.begin(&with(0)), [sent, keep, sent]);
        for number in 1..SENT_BEFORE as u8 {
            assert_eq!(held.begin(&with(number)), [sent, Delivery::Kept, sent]);
        }
        assert_eq!(held.begin(&with(90)), [sent, Delivery::Kept, keep]);
        assert_eq!(held.begin(&with(91)), [sent, Delivery::Kept, Delivery::Kept]);
        held.forget();
        assert_eq!(held.begin(&with(92)), [sent, keep, keep]);
        assert_eq!(held.begin(&[input("model", 7, LARGE)]), [keep], "other bytes at the path");
        assert_eq!(held.begin(&[InputFile { executable: true, ..input("model", 7, LARGE) }]), [keep]);
        assert_eq!(held.begin(&[input("elsewhere", 7, LARGE)]), [keep]);
    }
}
