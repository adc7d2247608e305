//! `pv completions`

use clap_complete::Shell;

use crate::context::Context;
use crate::error::Result;

/// Print a completion script for a shell
///
/// For bash: pv completions bash > ~/.local/share/bash-completion/completions/pv
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Shell
    shell: Shell,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command_line(), "pv", &mut script);
    cx.out().bytes(&script)
}
