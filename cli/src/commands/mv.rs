//! `pv mv`

use std::time::Instant;

use repos::files;
use specs::Reference;

use super::change::{Commit, Message, Target, commit};
use super::rm::path_of;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Move a file or directory within a branch; moves no bytes
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// File or directory to move
    #[arg(value_name = "REF:/A")]
    from: Reference,
    /// New path
    #[arg(value_name = "REF:/B")]
    to: Reference,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    let (from, to) = (path_of(&args.from)?, path_of(&args.to)?);
    if (&args.from.repo, &args.from.revision) != (&args.to.repo, &args.to.revision) {
        engine::changes::ensure_not_output(store, &args.to.repo)?;
        let message =
            format!("`{}` and `{}` are on different branches; a move stays on one branch", args.from, args.to);
        let is_branch = args.from.revision.as_ref().is_none_or(|revision| revision.as_branch().is_some());
        let is_user = engine::changes::ensure_not_output(store, &args.from.repo).is_ok();
        let rest = if is_branch && is_user { format!("  then pv rm '{}'", args.from) } else { String::new() };
        return Err(CliError::usage(message, format!("pv cp '{}' '{}'{rest}", args.from, args.to)));
    }
    let target = Target::of(store, &args.to)?;
    let new = Commit { target: &target, message: &args.message, expect: None, started, skipped: &[] };
    commit(cx, &new, |base| files::mv(store, base, &target.place(), &from, &to))?;
    Ok(())
}
