//! `pv help`, and `pv` alone outside a store.
//!
//! - `topics` help that is not about one command: specs, references, globs, settings, transactions, exit codes
//! - `examples` example lines for every command

use clap::CommandFactory;

use crate::commands::Cli;
use crate::context::Context;
use crate::error::{CliError, Result};

mod examples;
mod topics;

use topics::{TOPICS, Topic};

/// Show help for a command or a topic
///
/// Topics: specs, references, globs, settings, txn, exit-codes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Command, such as `put` or `job retry`, or a topic [default: list all commands]
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    if let [word] = args.words.as_slice()
        && let Some(topic) = TOPICS.iter().find(|topic| topic.name == word)
    {
        return topic.print(cx);
    }
    let mut command = command_line();
    // Building gives each subcommand its full name.
    command.build();
    for word in &args.words {
        let Some(below) = command.find_subcommand(word).filter(|below| !below.is_hide_set()) else {
            return Err(unknown(word, &command, args.words.len() == 1));
        };
        command = below.clone();
    }
    let text = command.render_long_help();
    cx.out().bytes(if cx.out().is_colored() { text.ansi().to_string() } else { text.to_string() }.as_bytes())
}

fn unknown(word: &str, within: &clap::Command, may_be_topic: bool) -> CliError {
    let known = within.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let topics = TOPICS.iter().map(|topic| topic.name).filter(|_| may_be_topic);
    let error = CliError::new(specs::ErrorKind::Usage, format!("`{word}` is neither a command nor a topic"));
    match specs::nearest(word, known.chain(topics)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("pv help"),
    }
}

/// The whole command line, each command with an example in its help.
pub(crate) fn command_line() -> clap::Command {
    let topics = TOPICS.iter().map(|Topic { name, about, .. }| format!("  pv help {name:<12} {about}\n"));
    let command = examples::add_to(Cli::command(), "");
    command.after_help(format!("Topics:\n{}", topics.collect::<String>()))
}

/// Prints how to get started.
pub(crate) fn without_a_command(cx: &Context) -> Result<()> {
    cx.out().line(format!(
        "pv {}: versions data, runs pipelines on what changed, and traces where each file came from.",
        env!("CARGO_PKG_VERSION")
    ))?;
    if let Err(error) = cx.store_dir() {
        match error {
            CliError::Failure(failure) if failure.kind == specs::ErrorKind::NotFound => {}
            error => return Err(error),
        }
    }
    cx.out().line("There is no store in this folder or its parents.")?;
    cx.out().line("  pv init              create one here")?;
    cx.out().line("  pv init --example    create one with example data and pipelines")?;
    cx.out().line("  --store, PV_STORE    use a store in another folder")?;
    cx.out().line("  pv help              list all commands")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of every command that does something, below `command`.
    fn leaves(command: &clap::Command, words: &str) -> Vec<String> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
        let leaves = below.flat_map(|below| leaves(below, format!("{words} {}", below.get_name()).trim()));
        let leaves: Vec<_> = leaves.collect();
        if leaves.is_empty() { vec![words.to_owned()] } else { leaves }
    }

    #[test]
    fn every_command_has_an_example_in_its_help_and_each_example_is_a_command_line() {
        let command = command_line();
        for words in leaves(&command, "") {
            let found = words.split(' ').try_fold(&command, |command, word| command.find_subcommand(word));
            let help = found.unwrap().clone().render_long_help().to_string();
            let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  pv ")).collect();
            assert!(!examples.is_empty(), "pv {words} has no example");
            for example in examples {
                let args = shell_words(example);
                assert!(example.starts_with(&words), "`pv {example}` is an example of `pv {words}`");
                let parsed = command.clone().try_get_matches_from(std::iter::once("pv".to_owned()).chain(args));
                assert!(parsed.is_ok(), "pv {example}: {}", parsed.unwrap_err());
            }
        }
    }

    /// Splits a line into words as a shell does, up to a redirection.
    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                ('\'' | '"', None) => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                ('>' | '#', None) if word.is_none() => break,
                (' ', None) => words.extend(word.take()),
                (c, _) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// The short and the long help of a command called by these words, and of all commands below it.
    fn pages(command: &clap::Command, words: &str) -> Vec<(String, String)> {
        let [short, long] = [command.clone().render_help(), command.clone().render_long_help()];
        let own = [(format!("{words} -h"), short.to_string()), (format!("{words} --help"), long.to_string())];
        let below = command.get_subcommands().flat_map(|below| pages(below, &format!("{words} {}", below.get_name())));
        own.into_iter().chain(below).collect()
    }

    #[test]
    fn no_line_of_help_is_wider_than_80_columns() {
        let mut command = command_line();
        command.build();
        let pages = pages(&command, "pv");
        assert!(pages.len() > 140, "{} pages", pages.len());
        let lines = pages.iter().flat_map(|(words, page)| page.lines().map(move |line| (words, line)));
        let wide: Vec<_> = lines.filter(|(_, line)| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }

    #[test]
    fn the_command_line_is_sound_and_lists_the_topics() {
        let mut command = command_line();
        command.clone().debug_assert();
        let help = command.render_help().to_string();
        for topic in TOPICS {
            assert!(help.contains(&format!("pv help {}", topic.name)), "{help}");
        }
    }
}
