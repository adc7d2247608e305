//! `pv pipeline check`

use engine::apply;
use serde::Serialize;
use specs::PipelineName;

use super::sources::{Files, WarningView, warn};
use crate::context::Context;
use crate::error::Result;
use crate::output::plural;

/// Report all errors in spec files; needs no store
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
}

/// Valid specs, for programs.
#[derive(Serialize)]
struct CheckedView<'a> {
    pipelines: Vec<&'a PipelineName>,
    warnings: Vec<WarningView<'a>>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let specs = args.files.read(cx)?;
    let warnings = apply::check(&specs.set, &specs.folders)?;
    let pipelines: Vec<&PipelineName> = specs.set.specs.iter().map(|parsed| &parsed.spec.name).collect();
    if cx.out().is_json() {
        return cx.out().json(&CheckedView { pipelines, warnings: warnings.iter().map(WarningView::from).collect() });
    }
    warn(cx, &warnings);
    let (files, count) = (specs.folders.len() as u64, pipelines.len() as u64);
    let files = plural(files, "file", "files");
    cx.out().line(format!("{} in {files}: no errors", plural(count, "pipeline", "pipelines")))
}
