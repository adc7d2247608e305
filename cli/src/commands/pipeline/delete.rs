//! `pv pipeline delete`

use answers::repo::{RepoSize, repo_size};
use engine::apply::{self, Data, DeletablePipeline};
use serde_json::json;
use specs::PipelineName;

use crate::author;
use crate::context::Context;
use crate::error::Result;
use crate::output::{plural, size};

/// Delete a pipeline that no other pipeline reads; keeps its data
///
/// Without --with-data, its output becomes a repository of yours.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
    /// Also delete its output repository and the ticks of its cron inputs
    #[arg(long)]
    with_data: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let data = if args.with_data { Data::Goes } else { Data::Stays };
    let store = cx.store()?;
    let name = &args.name;
    // If it is refused, no confirmation is needed.
    let DeletablePipeline { version, open_jobs } = apply::deletable_pipeline(store, name)?;
    let repo = name.output_repo();
    let RepoSize { files, size_bytes, .. } = repo_size(store, &repo)?;
    let with_jobs = match open_jobs {
        0 => String::new(),
        open => format!(", with {}", plural(open, "job that has not ended", "jobs that have not ended")),
    };
    let becomes = match data {
        Data::Stays => "becomes yours",
        Data::Goes => "is deleted too",
    };
    let goes = format!(
        "This deletes pipeline `{name}` v{version}{with_jobs}. Its output repository `{repo}` {becomes}, with {} ({}).",
        plural(files, "file", "files"),
        size(size_bytes)
    );
    cx.confirm(&goes, &format!("pipeline `{name}` was not deleted"))?;
    apply::delete_pipeline(store, name, data, &author::by(cx, None))?;
    cx.done(&format!("deleted pipeline `{name}`"), &json!({ "deleted": "pipeline", "name": name }))
}
