//! `pv repo create`

use answers::repo::repo_view;
use engine::changes;
use specs::RepoName;

use crate::context::Context;
use crate::error::Result;

/// Create an empty repository
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository
    name: RepoName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    changes::create_repo(store, &args.name)?;
    if cx.out().is_json() {
        return cx.out().json(&repo_view(store, &args.name)?);
    }
    cx.out().line(args.name.as_str())
}
