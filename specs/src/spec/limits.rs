//! Size limits of specs.
//!
//! Reading takes time and memory proportional to the text. These limits keep both small, and refuse what could be read but never executed.

/// Maximum size of one spec file in bytes.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Maximum number of pipelines in all files that are read together.
pub(super) const MAX_PIPELINES: usize = 10_000;
/// Maximum number of repositories that one pipeline reads. A leaf's number is stored in 16 bits.
pub(super) const MAX_INPUTS: usize = 1_000;
/// Maximum number of entries of `env`, `labels`, `annotations`, `node_selector`, `secrets`, `tolerations`.
pub(super) const MAX_ENTRIES: usize = 1_000;
/// Maximum size of one argument, or of a variable's name, `=` and value, in bytes: Linux's `MAX_ARG_STRLEN` without the final zero byte.
pub(super) const MAX_ARGUMENT_BYTES: usize = (128 << 10) - 1;
/// Maximum size of all arguments and variables of one command, each with 9 bytes for its pointer and terminator. Linux allows 2 MiB, and pv
/// adds its own variables.
pub(super) const MAX_COMMAND_BYTES: usize = 1 << 20;
/// Maximum number of problems listed.
pub(super) const MAX_PROBLEMS: usize = 1_000;
/// Maximum size of one message in bytes; a name or glob in it can be as long as a file.
const MAX_MESSAGE_BYTES: usize = 4_096;
/// Maximum number of cycles of pipelines reported.
pub(super) const MAX_CIRCLES: usize = 100;

/// Removes the middle of a very long message: the subject is at its start, the broken rule at its end.
pub(super) fn shortened(message: String) -> String {
    let half = MAX_MESSAGE_BYTES / 2;
    if message.len() <= MAX_MESSAGE_BYTES {
        return message;
    }
    let from = |at: usize| (at..=message.len()).find(|at| message.is_char_boundary(*at)).unwrap_or(message.len());
    format!("{} … {}", &message[..from(half)], &message[from(message.len() - half)..])
}

/// A number with a comma as thousands separator: `10,000`.
pub(super) fn grouped(number: usize) -> String {
    crate::words::count(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(shortened("short".to_owned()), "short");
        let long = shortened("é".repeat(MAX_MESSAGE_BYTES));
        assert!(long.len() <= MAX_MESSAGE_BYTES + 10 && long.contains("é … é"));
    }
}
