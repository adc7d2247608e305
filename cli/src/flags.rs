//! The flags that every command takes.

use std::path::PathBuf;

use clap::ValueEnum;

/// What every command takes.
#[derive(clap::Args, Debug, Clone, Default)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[expect(clippy::doc_markdown, reason = "help shows names of variables without backticks")]
pub(crate) struct Flags {
    /// Folder that holds the store [default: PV_STORE, or the nearest parent with one]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Server to use [default: PV_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// With a server: also use http beyond this machine, which sends the token and all data in clear
    #[arg(long = "insecure", id = "insecure_server", hide = true)]
    pub(crate) insecure: bool,
    /// Print JSON: one object, or one object per line for lists
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print what happens along the way
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: When,
    /// Answer yes to prompts
    #[arg(long, global = true)]
    pub(crate) yes: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always, also in files and pipes
    Always,
    /// Never
    Never,
}
