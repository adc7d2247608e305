//! `pv notify redeliver`

use super::note_unsent;
use crate::context::Context;
use crate::error::Result;

/// Send a message again, with the same id
///
/// A receiver that keeps ids takes it for a repetition if it has it already.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Message, as `pv notify deliveries` lists it
    #[arg(value_name = "ID")]
    id: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let one = notifications::redeliver(cx.store()?, &args.id)?;
    if cx.out().is_json() {
        return cx.out().json(&one);
    }
    cx.notes().line(format!("message {} will be sent again: {}", one.id, one.subject));
    note_unsent(cx);
    Ok(())
}
