//! `pv watch add`

use ::watch::name_of;
use ::watch::standing::{self, Standing};
use answers::watch::watch_view;
use engine::EngineError;
use specs::WatchName;

use super::What;
use crate::context::Context;
use crate::error::Result;

/// Have the store keep a watch, which `pv serve` runs
///
/// DIR is a folder of the machine that holds the store; with --server, only an administrator may name one. The commits have the name of the
/// one who adds the watch. `pv status` shows how it is doing.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Name of the watch [default: the name of DIR]
    #[arg(long, value_name = "NAME")]
    name: Option<WatchName>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let plan = args.what.plan(cx)?;
    let name = args.name.clone().map_or_else(|| name_of(&plan.folder), Ok).map_err(EngineError::from)?;
    let watch = Standing {
        name: name.clone(),
        folder: plan.folder,
        target: plan.target,
        settle: args.what.settle,
        every: args.what.every,
        batch: plan.batch,
        mirror: plan.mirror,
        exclude: plan.exclude.iter().map(ToString::to_string).collect(),
        after: plan.after,
        message: plan.message,
        author: plan.by.author,
        committer: plan.by.committer,
        created_at: store.clock().now(),
        paused: false,
    };
    standing::add(store, &watch)?;
    if cx.out().is_json() {
        return cx.out().json(&watch_view(store, watch)?);
    }
    cx.notes().line(format!("watch `{name}` is kept; pv serve runs it"));
    Ok(())
}
