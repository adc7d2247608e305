//! `pv mv`

use std::time::Instant;

use engine::edit::Edit;
use specs::Reference;

use super::change::{Message, commit};
use crate::context::Context;
use crate::error::Result;

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
    let edit = Edit::rename(cx.store()?, &args.from, &args.to)?;
    commit(cx, &edit, &args.message, started)
}
