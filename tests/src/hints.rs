//! Commands that `pv` suggests: each must be a valid command line, and those that only read are executed at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Texts that precede commands.
const HEADS: [&str; 9] =
    ["hint: ", "next: ", "undo: ", "retry: ", "logs: ", "preview: ", "its output: ", "full output: ", "skip them: "];
/// Words that continue the sentence after a command.
const PROSE: [&str; 49] = [
    "accepts",
    "adds",
    "adopts",
    "again",
    "also",
    "and",
    "are",
    "at",
    "catches",
    "compares",
    "continues",
    "creates",
    "describes",
    "drops",
    "first",
    "for",
    "frees",
    "gives",
    "if",
    "is",
    "lists",
    "makes",
    "may",
    "moves",
    "names",
    "of",
    "on",
    "or",
    "overwrites",
    "prepares",
    "prints",
    "rebuilds",
    "removes",
    "repairs",
    "restores",
    "runs",
    "saves",
    "searches",
    "shows",
    "starts",
    "takes",
    "then",
    "to",
    "undoes",
    "uses",
    "where",
    "which",
    "without",
    "writes",
];
/// Commands that only read a store; each may be executed as soon as it is suggested.
const LOOKS: [&str; 27] = [
    "branch list",
    "branch log",
    "config get",
    "config list",
    "datum list",
    "datum show",
    "diff",
    "explain",
    "find",
    "help",
    "job list",
    "job show",
    "key show",
    "log",
    "logs",
    "ls",
    "pipeline list",
    "pipeline log",
    "pipeline show",
    "plan",
    "repo list",
    "repo show",
    "secret list",
    "show",
    "status",
    "tag list",
    "token list",
];

/// The commands that a text suggests, without the surrounding words.
pub fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let begins = HEADS.iter().filter_map(|head| line.find(head)).min();
        // The lines of a hint are aligned below each other.
        goes_on = if begins.is_some() { line.starts_with("hint: ") } else { goes_on && line.starts_with("      ") };
        match begins {
            Some(at) => found.extend(in_line(&line[at..])),
            None if goes_on => found.extend(in_line(line)),
            None => {}
        }
    }
    found
}

fn in_line(line: &str) -> Vec<String> {
    let starts = line.match_indices("pv ").map(|(at, _)| at);
    // A usage line is not a command to type.
    let is_word = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || "-_./".contains(c));
    let is_start = |at: &usize| is_word(&line[..*at]) && !line[..*at].ends_with("Usage: ");
    let starts: Vec<usize> = starts.filter(is_start).collect();
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    starts.iter().zip(ends).filter_map(|(at, end)| command_at(&line[..*at], &line[*at..end])).collect()
}

/// The command at the start of a text: up to the end of its backticks, two spaces, a comma or semicolon, or a word of prose.
fn command_at(before: &str, text: &str) -> Option<String> {
    if before.ends_with('`') {
        return text.split('`').next().map(str::to_owned);
    }
    // Before two spaces or the next command everything belongs to it, even a name that is a word of prose.
    let (text, is_whole) = text.split_once("  ").map_or((text, false), |(text, _)| (text, true));
    let mut words: Vec<&str> = Vec::new();
    let mut is_quoted = false;
    for word in text.split(' ') {
        if !is_quoted && (word == "…" || !is_whole && PROSE.contains(&word)) {
            break;
        }
        is_quoted ^= word.matches('\'').count() % 2 == 1;
        let bare = if is_quoted { word } else { word.trim_end_matches([',', ';', ':', ')']) };
        words.push(bare);
        if bare.len() < word.len() {
            break;
        }
    }
    (words.len() > 1).then(|| words.join(" "))
}

/// Whether it contains a placeholder, such as `NAME`, `@RUN` or `KEY.pem`.
pub fn has_gaps(command: &str) -> bool {
    let is_gap = |word: &str| {
        let letters = word.trim_start_matches('@').split(['.', '=', '@', ':', '/']).next().unwrap_or_default();
        letters.len() > 1 && letters.chars().all(|c| c.is_ascii_uppercase())
    };
    command.split([' ', '=', '@', '/', '\'']).any(is_gap)
}

/// Whether a shell takes it word by word: names in tests may contain anything.
fn is_plain(command: &str) -> bool {
    command.is_ascii() && !command.contains(['\\', '"', '`', '$', '(', ')', '{', '}', '<', '&', '|', '!', '*', '?'])
}

/// Whether a command only reads.
fn looks(command: &str) -> bool {
    let words = command.strip_prefix("pv ").unwrap_or_default();
    LOOKS.iter().any(|known| words == *known || words.starts_with(&format!("{known} "))) && !words.contains('>')
}

/// A shell in which `pv` is this binary.
pub fn shell(binary: &Path, line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("pv() {{ '{}' \"$@\"; }}; {line}", binary.display())]).stdin(Stdio::null());
    shell
}

/// How `pv` parses a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// As a command line.
    Line,
    /// As the name of a command, such as `pv job show`.
    Name,
}

/// Parses a command with `pv`; an error says what is wrong with it.
///
/// # Panics
/// If no shell can be called.
pub fn parses(binary: &Path, command: &str) -> Result<Taken, String> {
    let call = |line: &str, variable: &str| {
        shell(binary, line).env_clear().env(variable, "1").output().expect("a shell can be called")
    };
    let parsed = call(command, "PV_PARSE_ONLY");
    if parsed.status.success() {
        return Ok(Taken::Line);
    }
    let is_plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let is_name = command.split(' ').skip(1).all(is_plain)
        && call(&command.replacen("pv ", "pv help ", 1), "PV_NONE").status.success();
    if is_name { Ok(Taken::Name) } else { Err(String::from_utf8_lossy(&parsed.stderr).into_owned()) }
}

/// Checks that each command that a text suggests is valid, and executes those that only read and have no placeholders; `follow` makes the
/// call.
///
/// # Panics
/// If a suggested text is not a command, or the command fails.
pub fn check(binary: &Path, text: &str, follow: impl Fn(Command) -> Option<i32>) {
    static TAKEN: Mutex<BTreeMap<String, Taken>> = Mutex::new(BTreeMap::new());
    for command in commands(text).into_iter().filter(|command| is_plain(command)) {
        let known = TAKEN.lock().expect("no panic under this lock").get(&command).copied();
        let taken = known.unwrap_or_else(|| {
            // Its redirection must not be executed.
            let words = command.split(" > ").next().unwrap_or_default();
            parses(binary, words)
                .unwrap_or_else(|said| panic!("`{command}` is told, and is no command: {said}\nin:\n{text}"))
        });
        TAKEN.lock().expect("no panic under this lock").insert(command.clone(), taken);
        if taken == Taken::Line && looks(&command) && !has_gaps(&command) {
            let code = follow(shell(binary, &command));
            assert!(!matches!(code, Some(2 | 3)), "`{command}` is told, and ends with {code:?}; in:\n{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_among_words() {
        let text = "error: repository `imgs` not found\nhint: pv repo list lists all; to create it: pv repo create imgs\n      pv log   all of them\nnote pv x";
        assert_eq!(commands(text), ["pv repo list", "pv repo create imgs", "pv log"]);
        assert_eq!(commands("next: pv run        undo: pv revert images"), ["pv run", "pv revert images"]);
        assert_eq!(
            commands("hint: start Docker, or `pv config set executor process`"),
            ["pv config set executor process"]
        );
        assert_eq!(commands("hint: pv cp 'a:/x y' 'a:/z'  brings it back"), ["pv cp 'a:/x y' 'a:/z'"]);
        assert_eq!(commands("hint: pv logs names --failed   full output"), ["pv logs names --failed"]);
        assert!(commands("run 1 of pv run\nlog line: pv nothing").is_empty());
    }

    #[test]
    fn what_has_to_be_filled_in_is_seen() {
        for command in [
            "pv repo create NAME",
            "pv show @RUN",
            "pv key show > KEY.pem",
            "pv secret create mail KEY=FILE",
            "pv trace images:/PATH",
        ] {
            assert!(has_gaps(command), "{command}");
        }
        for command in ["pv repo create images", "pv put images 'A b'", "pv show images@0a1b2c3d:/A"] {
            assert!(!has_gaps(command), "{command}");
        }
    }
}
