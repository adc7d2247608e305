//! Commands of other tools, each answered with the equivalent pv command.
//!
//! Used only when a command line was refused, or when a word such as `file` was taken for a missing name: it never changes the meaning of a
//! valid command.

use std::ffi::OsString;

use specs::ErrorKind;

use crate::error::{CliError, Failure, Result};

/// The first words of the other tool's command, and pv's line; `…` stands for the remaining words.
type Habit = (&'static str, &'static str);

/// If several match, the one with the most words counts.
const HABITS: &[Habit] = &[
    // pachctl
    ("create repo", "pv repo create …"),
    ("update repo", "pv repo list"),
    ("list repo", "pv repo list"),
    ("inspect repo", "pv repo show …"),
    ("delete repo", "pv repo delete …"),
    ("create branch", "pv branch create …"),
    ("list branch", "pv branch list …"),
    ("inspect branch", "pv show …"),
    ("delete branch", "pv branch delete …"),
    ("create pipeline", "pv pipeline apply …"),
    ("update pipeline", "pv pipeline apply …"),
    ("edit pipeline", "pv pipeline show …  then edit its file and run: pv pipeline apply -f FILE"),
    ("list pipeline", "pv pipeline list"),
    ("inspect pipeline", "pv pipeline show …"),
    ("delete pipeline", "pv pipeline delete …"),
    ("stop pipeline", "pv pipeline stop …"),
    ("start pipeline", "pv pipeline start …"),
    ("rerun pipeline", "pv pipeline rerun …"),
    ("run pipeline", "pv pipeline rerun …"),
    ("run cron", "pv pipeline tick …"),
    ("validate pipeline", "pv pipeline check …"),
    ("draw pipeline", "pv pipeline list"),
    ("list file", "pv ls …"),
    ("inspect file", "pv show …"),
    ("get file", "pv get …"),
    ("copy file", "pv cp …"),
    ("delete file", "pv rm …"),
    ("diff file", "pv diff …"),
    ("glob file", "pv find …"),
    ("list commit", "pv log …"),
    ("inspect commit", "pv show …"),
    ("start commit", "pv put REF SRC  makes one commit; for several changes at once: pv txn FILE"),
    ("finish commit", "pv put REF SRC  makes one commit; for several changes at once: pv txn FILE"),
    ("delete commit", "pv commit delete …"),
    ("squash commit", "pv commit prune --keep 5 …"),
    ("wait commit", "pv wait …"),
    ("flush commit", "pv wait …"),
    ("subscribe commit", "pv wait …"),
    ("find commit", "pv log …"),
    ("list job", "pv job list …"),
    ("inspect job", "pv job show …"),
    ("stop job", "pv job stop …"),
    ("delete job", "pv job stop …"),
    ("wait job", "pv wait …"),
    ("flush job", "pv wait …"),
    ("list datum", "pv datum list …"),
    ("inspect datum", "pv datum show …"),
    ("restart datum", "pv job retry …"),
    ("logs -p", "pv logs …"),
    ("logs --pipeline", "pv logs …"),
    ("logs -j", "pv logs …"),
    ("logs --job", "pv logs …"),
    ("logs --datum", "pv logs …"),
    ("create secret", "pv secret create NAME KEY=FILE"),
    ("list secret", "pv secret list"),
    ("inspect secret", "pv secret list"),
    ("delete secret", "pv secret delete …"),
    ("start transaction", "pv txn FILE"),
    ("finish transaction", "pv txn FILE"),
    ("stop transaction", "pv txn FILE"),
    ("list transaction", "pv txn FILE"),
    ("create project", "pv init DIR  creates a store; use one store per project"),
    ("list project", "pv init DIR  creates a store; use one store per project"),
    ("create defaults", "pv config set default_image IMAGE"),
    ("update defaults", "pv config set default_image IMAGE"),
    ("inspect cluster", "pv status"),
    ("check status", "pv status"),
    ("inspect", "pv show …"),
    ("describe", "pv show …"),
    ("port-forward", "pv serve  runs jobs in the background; commands also work without it"),
    ("connect", "pv --store DIR status"),
    ("garbage-collect", "pv gc"),
    ("delete all", "pv repo delete NAME  for each repository, or remove the store's folder"),
    ("mount", "pv get REF DEST  copies the files; to mount a folder in a sandbox: pv try --mount DIR:/PATH"),
    ("extract", "pv mirror --to URL"),
    ("restore", "pv init DIR --from URL"),
    ("buildinfo", "pv version"),
    ("completion", "pv completions bash"),
    // DVC
    ("repro", "pv run"),
    ("exp run", "pv try …"),
    ("exp show", "pv metrics …"),
    ("exp list", "pv log …"),
    ("exp diff", "pv diff …"),
    ("exp apply", "pv pipeline apply -f FILE"),
    ("exp", "pv try PIPELINE --with SPEC"),
    ("params diff", "pv diff …"),
    ("dag", "pv pipeline list"),
    ("stage add", "pv pipeline new NAME --input REPO:GLOB -- CMD"),
    ("stage list", "pv pipeline list"),
    ("import-url", "pv put REPO …"),
    ("import", "pv cp REPO@REV:/PATH REPO:/PATH"),
    ("remote add", "pv mirror --to URL"),
    ("remote", "pv mirror --to URL"),
    ("freeze", "pv pipeline stop …"),
    ("unfreeze", "pv pipeline start …"),
    // git
    ("clone", "pv init DIR --from URL"),
    ("add", "pv put REPO …"),
    ("commit -m", "pv put REPO SRC -m WHY"),
    ("commit -am", "pv put REPO SRC -m WHY"),
    ("checkout", "pv get …"),
    ("switch", "pv branch list REPO"),
    ("push", "pv mirror --to URL"),
    ("pull", "pv get REPO DEST"),
    ("fetch", "pv get REPO DEST"),
    ("merge", "pv branch move REPO@NAME REF"),
    ("reset", "pv branch move REPO@NAME REF"),
    ("rebase", "pv branch move REPO@NAME REF"),
    ("blame", "pv trace …"),
    ("stash", "pv branch create REPO@NEW"),
    ("reflog", "pv branch log REPO@BRANCH"),
    ("undo", "pv revert REPO"),
    ("rollback", "pv revert REPO"),
    // Other tools, and other words for the same command.
    ("fs upload", "pv put REPO …"),
    ("fs ls", "pv ls …"),
    ("fs cat", "pv cat …"),
    ("upload", "pv put REPO …"),
    ("download", "pv get …"),
    ("sync", "pv put REPO DIR --mirror"),
    ("apply", "pv pipeline apply …"),
    ("validate", "pv pipeline check …"),
    ("create", "pv repo create …"),
    ("delete", "pv repo delete …"),
    ("list", "pv repo list"),
    ("history", "pv log …"),
    ("search", "pv find …"),
    ("export", "pv get …"),
    ("lineage", "pv trace …"),
    ("materialize", "pv run …"),
    ("ps", "pv job list"),
    ("jobs", "pv job list"),
    ("pipelines", "pv pipeline list"),
    ("repos", "pv repo list"),
    ("branches", "pv branch list REPO"),
    ("tags", "pv tag list REPO"),
    ("commits", "pv log …"),
    ("secrets", "pv secret list"),
    ("retry", "pv job retry …"),
    ("stop", "pv job stop …"),
    ("start", "pv run"),
    ("tick", "pv pipeline tick …"),
];

/// Commands of pv with options of other tools that pv does not need.
const FOREIGN: [(&str, &[&str]); 3] = [
    ("put", &["-f", "--file", "-r", "--recursive"]),
    ("get", &["-r", "--recursive", "-o", "--output"]),
    ("ls", &["--full-timestamps"]),
];

/// Global options with a value.
const WITH_VALUE: [&str; 3] = ["--store", "--server", "--color"];
/// Options of other tools with the same meaning here, each with a value.
const KEPT: [&str; 6] = ["-f", "--file", "--jsonnet", "--arg", "-n", "--to"];

/// The equivalent of a refused command line, if it is another tool's.
pub(crate) fn answer(argv: &[OsString]) -> Option<CliError> {
    let (asked, line) = pv_line(argv)?;
    Some(CliError::usage(format!("pv has no `{asked}`"), line))
}

/// Adds the equivalent pv line to the failure of a command that took another tool's word, such as `file` in `get file`, for a name.
pub(crate) fn amend(argv: &[OsString], done: Result<()>) -> Result<()> {
    done.map_err(|error| match error {
        CliError::Failure(failure) if failure.kind == ErrorKind::NotFound => match pv_line(argv) {
            Some((asked, line)) if is_missing(&failure, &asked) => CliError::Failure(failure).hint(line),
            _ => CliError::Failure(failure),
        },
        error => error,
    })
}

/// Whether the second word of another tool's command was taken for a name.
fn is_missing(failure: &Failure, asked: &str) -> bool {
    asked.split(' ').nth(1).is_some_and(|word| failure.missing.as_deref() == Some(word))
}

/// The words of the other tool's command, and the equivalent pv line.
fn pv_line(argv: &[OsString]) -> Option<(String, String)> {
    let words: Vec<String> = argv.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words = without_globals(&words);
    if let Some(rest) = strip("put file", words) {
        return Some(("put file".to_owned(), put_line(rest)));
    }
    let habit = HABITS
        .iter()
        .filter_map(|(asked, line)| Some((*asked, *line, strip(asked, words)?)))
        .max_by_key(|(asked, ..)| asked.split(' ').count());
    if let Some((asked, line, rest)) = habit {
        return Some((asked.to_owned(), line.replace("…", &kept(rest)).trim_end().to_owned()));
    }
    let (command, option, rest) = foreign(words)?;
    let line = if command == "put" { put_line(rest) } else { format!("pv {command} {}", kept(rest)) };
    Some((format!("{command} {option}"), line))
}

/// A command of pv, the first foreign option in it, and everything after the command.
fn foreign(words: &[String]) -> Option<(&'static str, &'static str, &[String])> {
    let (first, rest) = words.split_first()?;
    let (command, options) = FOREIGN.iter().copied().find(|(command, _)| *command == first.as_str())?;
    let option = rest.iter().find_map(|word| options.iter().copied().find(|option| *option == word.as_str()))?;
    Some((command, option, rest))
}

/// The words after the leading global options.
fn without_globals(words: &[String]) -> &[String] {
    let mut rest = words;
    while let [first, more @ ..] = rest
        && first.starts_with('-')
    {
        let skipped = usize::from(WITH_VALUE.contains(&first.as_str())).min(more.len());
        rest = &more[skipped..];
    }
    rest
}

/// What follows these words; `None` if the line does not start with them.
fn strip<'w>(asked: &str, words: &'w [String]) -> Option<&'w [String]> {
    let mut rest = words;
    for word in asked.split(' ') {
        let (first, more) = rest.split_first()?;
        if first != word {
            return None;
        }
        rest = more;
    }
    Some(rest)
}

/// The words that have the same meaning here, quoted for a shell.
fn kept(rest: &[String]) -> String {
    let mut kept = Vec::new();
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        if KEPT.contains(&word.as_str()) {
            kept.push(word.clone());
            kept.extend(rest.next().map(|value| quoted(value)));
        } else if !word.starts_with('-') || word == "-" {
            kept.push(quoted(word));
        }
    }
    kept.join(" ")
}

/// `put file REPO@BRANCH:/PATH -f SOURCE`: there the path is the file's, here it is the directory's.
fn put_line(rest: &[String]) -> String {
    let (mut target, mut sources, mut list) = (None, Vec::new(), None);
    let (mut is_recursive, mut is_archive) = (false, false);
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-f" | "--file" => sources.extend(words.next()),
            "-i" | "--input-file" => list = words.next(),
            "-r" | "--recursive" => is_recursive = true,
            "--untar" => is_archive = true,
            word if word.starts_with('-') => {}
            _ if target.is_none() => target = Some(word),
            _ => sources.push(word),
        }
    }
    let target = target.map_or("REPO", String::as_str);
    let (reference, path) = target.split_once(":/").unwrap_or((target, ""));
    let is_one_file = !is_recursive
        && !is_archive
        && list.is_none()
        && sources.len() == 1
        && !path.is_empty()
        && !path.ends_with('/');
    let mut line = format!(
        "pv put {}",
        quoted(if is_one_file { reference } else { target.trim_end_matches('/').trim_end_matches(':') })
    );
    for source in &sources {
        line += &format!(" {}", quoted(source));
    }
    if let Some(list) = list {
        line += &format!(" -i {}", quoted(list));
    } else if sources.is_empty() {
        line += " SRC";
    }
    if is_archive {
        line += " --untar";
    }
    if is_one_file {
        line += &format!(" --as {}", quoted(&format!("/{path}")));
    }
    line
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+%^~…".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use clap::CommandFactory;

    fn said(line: &str) -> Option<String> {
        let argv: Vec<OsString> = std::iter::once("pv").chain(line.split_whitespace()).map(OsString::from).collect();
        pv_line(&argv).map(|(_, line)| line)
    }

    #[test]
    fn what_other_tools_call_it_is_answered_with_the_line() {
        for (asked, line) in [
            ("create repo images", "pv repo create images"),
            ("list job", "pv job list"),
            ("list job edges --history all", "pv job list edges all"),
            ("inspect commit images@master", "pv show images@master"),
            ("inspect threat@main:/cam7/1.json", "pv show threat@main:/cam7/1.json"),
            ("create pipeline -f edges.json --push-images", "pv pipeline apply -f edges.json"),
            ("flush commit images@master", "pv wait images@master"),
            ("--store /x list file images@master:/a", "pv ls images@master:/a"),
            ("put file images@master:/a.png -f b.png", "pv put images@master b.png --as /a.png"),
            ("put file images@master -f https://h.org/a.png", "pv put images@master https://h.org/a.png"),
            ("put file -r images@master:/dir -f batch", "pv put images@master:/dir batch"),
            ("put file images@master -i list.txt", "pv put images@master -i list.txt"),
            ("put images -r -f batch", "pv put images batch"),
            ("put images@master:/x.png -f x.png", "pv put images@master x.png --as /x.png"),
            ("get images@master:/a.png -o out", "pv get images@master:/a.png out"),
            ("logs -p edges", "pv logs edges"),
            ("clone s3://b/k", "pv init DIR --from URL"),
            ("get file images@master:/a(1).png -o out", "pv get 'images@master:/a(1).png' out"),
        ] {
            assert_eq!(said(asked).as_deref(), Some(line), "{asked}");
        }
        for known in ["put images x", "frobnicate", "file list", ""] {
            assert_eq!(said(known), None, "{known}");
        }
    }

    #[test]
    fn every_line_is_one_that_pv_takes_and_no_habit_is_one() {
        assert!(HABITS.len() >= 60);
        for (asked, line) in HABITS {
            let line = line.split("  ").next().unwrap();
            let example = match line.split(' ').nth(1).unwrap() {
                "pipeline" if line.starts_with("pv pipeline apply …") || line.starts_with("pv pipeline check") => {
                    "-f x.yml"
                }
                "cp" | "diff" => "images:/a images:/b",
                "branch" if line.contains("create") || line.contains("delete") => "images@new",
                "rm" | "trace" => "images:/a",
                "put" => "x",
                _ => "edges",
            };
            let filled = line.replace("…", example).replace("REPO", "images").replace("REF", "images");
            let words: Vec<String> = filled.split(' ').map(str::to_owned).collect();
            let parsed = Cli::command().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "`{asked}` is answered with `{filled}`: {}", parsed.unwrap_err());
            let first = asked.split(' ').next().unwrap();
            let is_command = Cli::command().find_subcommand(first).is_some();
            let second = asked.split(' ').nth(1).unwrap_or_default();
            assert!(
                !is_command
                    || second.starts_with('-')
                    || ["file", "pipeline", "cron", "commit", "job"].contains(&second),
                "`{asked}` is pv's own"
            );
        }
        let mut asked: Vec<&str> = HABITS.iter().map(|(asked, _)| *asked).collect();
        asked.sort_unstable();
        let all = asked.len();
        asked.dedup();
        assert_eq!(asked.len(), all, "each once");
    }
}
