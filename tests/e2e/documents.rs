//! Every command in README and docs: executed as written, or, if a document is not executed, parsed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::TestEnv;
use tests::hints::{has_gaps, parses};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap()
}

/// The fenced blocks of a document in this language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            found.push(block.join("\n") + "\n");
        } else if line.trim().starts_with("```") {
            lines.by_ref().take_while(|line| line.trim() != "```").for_each(drop);
        }
    }
    found
}

/// The texts in single backticks.
fn spans(document: &str) -> Vec<String> {
    let mut text = String::new();
    let mut is_block = false;
    for line in document.lines() {
        if line.trim().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            text += line;
            text.push('\n');
        }
    }
    text.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// All documents with commands for users.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![top().join("README.md")];
    let mut folders = vec![top().join("docs"), top().join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// Executes blocks one after another in one shell, in an empty folder. Commands that run until stopped are stopped.
fn execute(env: &TestEnv, blocks: &[String]) -> Output {
    let serve = "serve_for_a_moment() { pv serve & until [ -S .pv/socket ]; do sleep 0.05; done; kill -INT $!; wait $! || [ $? = 130 ]; }\n";
    let lines = blocks.concat();
    let lines: Vec<String> = lines
        .lines()
        .map(|line| {
            if line.split('#').next().is_some_and(|line| line.trim() == "pv serve") {
                "serve_for_a_moment".to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    let script = format!("set -eu\n{serve}{}", lines.join("\n"));
    env.write("script.sh", script);
    let bin = env.dir().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env.binary(), bin.join("pv")).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-x", "script.sh"]).current_dir(env.work()).env_clear().stdin(std::process::Stdio::null());
    shell.envs(env.command::<&str>([]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    // The record of known stores is part of the tested output.
    shell.env("PV_KNOWN_STORES", env.dir().join("known")).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    shell.output().unwrap()
}

#[test]
fn the_readme_is_executed_from_its_first_line_to_its_last() {
    let readme = read("README.md");
    let all = blocks(&readme, "sh");
    let (make, pv): (Vec<String>, Vec<String>) = all.into_iter().partition(|block| block.starts_with("make "));
    let makefile = read("Makefile");
    for line in make.iter().flat_map(|block| block.lines()) {
        let target = line.split_whitespace().nth(1).unwrap();
        assert!(makefile.contains(&format!("\n{target}:")), "{line}");
    }
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    // Its example outputs match the store that its commands make.
    let shows: Vec<String> = blocks(&readme, "text")
        .iter()
        .filter_map(|block| block.lines().next()?.strip_prefix("$ ").map(str::to_owned))
        .collect();
    assert!(!shows.is_empty(), "it shows an output");
    let shown_again: Vec<String> = shows
        .iter()
        .enumerate()
        .map(|(number, command)| format!("{command} > ../shown.{number} 2>/dev/null\n"))
        .collect();
    let at = pv.iter().position(|block| block.contains("pv trace count:/c.txt")).expect("the tour traces a file") + 1;
    let all: Vec<String> = pv[..at].iter().chain(&shown_again).chain(&pv[at..]).cloned().collect();
    let done = execute(&env, &all);
    assert!(
        done.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    for (number, block) in blocks(&readme, "text").iter().filter(|block| block.starts_with("$ ")).enumerate() {
        let (command, expected) = block.split_once('\n').unwrap();
        assert_eq!(steady_words(expected), steady_words(&env.read(format!("shown.{number}"))), "{command}");
    }
}

/// The words of an output, without those that differ between machines and days, and without branches and line ends.
fn steady_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace().filter(|word| !["│", "●"].contains(word)) {
        let word = word.trim_start_matches(['│', '├', '└', '─', '●']);
        if word.is_empty() {
            continue;
        }
        let mut shown = String::new();
        let mut part = String::new();
        for c in word.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() {
                part.push(c);
                continue;
            }
            let is_id = part.len() >= 8 && part.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            let is_number = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
            shown += if is_id {
                "[id]"
            } else if is_number {
                "0"
            } else {
                &part
            };
            part.clear();
            if c != '\n' {
                shown.push(c);
            }
        }
        words.push(shown);
    }
    // `process linux 6.1.0 on vm-1`, `(uid:0@vm-1)`, the day's offset, the Z of UTC.
    let mut steady = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if word == "process" {
            while words.peek().is_some_and(|next| next != "caused" && next != "cached") {
                words.next();
            }
        }
        let is_of_this_machine = word.starts_with("(uid:") || word.starts_with("(0:") || word.starts_with("+0");
        if !is_of_this_machine {
            steady.push(word);
        }
    }
    steady
}

#[test]
fn every_command_that_a_document_names_is_one() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let of_blocks = blocks(&text, "sh").concat().replace("\\\n", " ");
        // Skips loops and pipes of the shell; those in README are executed.
        let lines = of_blocks.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
        let lines = lines.filter(|line| line.starts_with("pv ") && !line.contains(['|', '>', '$', '<', ';']));
        for command in spans(&text).into_iter().filter(|span| span.starts_with("pv ")).chain(lines) {
            // An ellipsis, a choice or brackets are placeholders.
            if command.contains(['…', '|', '[', '<']) {
                continue;
            }
            let taken = parses(env.binary(), command.split(" > ").next().unwrap());
            // Prose may name a command with only a flag.
            let is_named = taken.as_ref().is_err_and(|said| said.contains("required arguments were not provided"));
            assert!(taken.is_ok() || is_named || has_gaps(&command), "{}: `{command}`: {taken:?}", path.display());
        }
    }
}
