//! `pv watch delete`

use ::watch::standing;
use serde_json::json;
use specs::WatchName;

use crate::context::Context;
use crate::error::Result;

/// Delete a watch; what it committed stays
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Watch
    name: WatchName,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let watch = standing::find(store, &args.name)?;
    let goes = format!("This deletes watch `{}` of `{}`.", watch.name, watch.folder.display());
    cx.confirm(&goes, "the watch was not deleted")?;
    standing::delete(store, &args.name)?;
    cx.done(&format!("deleted watch `{}`", args.name), &json!({ "deleted": args.name }))
}
