//! `pv mirror`

use answers::upkeep::mirror_view;

use crate::context::Context;
use crate::error::Result;
use crate::output::{plural, size};

/// Copy the store to another place; sends only what is missing there
///
/// `pv init --from URL` creates an independent store from a mirror; `pv init --objects URL` works on the mirror in place.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// `s3://BUCKET/PREFIX`, `file:///FOLDER`, or the path of a folder
    #[arg(long, value_name = "URL")]
    to: String,
    /// Then remove packs there that this store no longer has
    #[arg(long)]
    prune: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let url = cx.place_url(&args.to)?;
    let progress = cx.progress("mirror");
    let done =
        cx.store()?.mirror(&url, &cx.access(), args.prune, &|what, done, total| progress.count(what, done, total))?;
    drop(progress);
    if cx.out().is_json() {
        return cx.out().json(&mirror_view(url, &done));
    }
    let removed = match done.removed_packs {
        0 => String::new(),
        packs => format!("; removed {}", plural(packs, "pack", "packs")),
    };
    cx.out().line(format!(
        "{url}: {}, {} ({}); new: {}, {} ({}){removed}",
        plural(done.records, "record", "records"),
        plural(done.packs, "pack", "packs"),
        size(done.size_bytes),
        plural(done.new_records, "record", "records"),
        plural(done.new_packs, "pack", "packs"),
        size(done.new_bytes),
    ))
}
