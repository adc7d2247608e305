//! `pv repo create`

use engine::changes;
use specs::RepoName;

use crate::commands::views::RepoView;
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
        return cx.out().json(&RepoView::new(store, args.name.clone(), &store.repo(&args.name)?)?);
    }
    cx.out().line(args.name.as_str())
}
