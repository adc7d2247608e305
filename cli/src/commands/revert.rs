//! `pv revert`

use std::time::Instant;

use engine::edit::Edit;
use specs::Reference;

use super::change::{Message, commit};
use crate::context::Context;
use crate::error::Result;

/// Undo a commit with a new commit
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit: `images` for the newest, `images@ID`
    #[arg(value_name = "REF")]
    reference: Reference,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let edit = Edit::revert(cx.store()?, &args.reference)?;
    commit(cx, &edit, &args.message, started)
}
