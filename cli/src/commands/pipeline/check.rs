//! `pv pipeline check`

use answers::pipeline::checked_view;
use engine::apply;

use super::sources::{SpecFiles, warn};
use crate::context::Context;
use crate::error::Result;
use crate::output::plural;

/// Report all errors in spec files; needs no store
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    files: SpecFiles,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let specs = args.files.read(cx)?;
    let warnings = apply::check(&specs.set, &specs.folders)?;
    if cx.out().is_json() {
        return cx.out().json(&checked_view(&specs.set, &warnings));
    }
    warn(cx, &warnings);
    let (files, count) = (specs.folders.len() as u64, specs.set.specs.len() as u64);
    let files = plural(files, "file", "files");
    cx.out().line(format!("{} in {files}: no errors", plural(count, "pipeline", "pipelines")))
}
