//! `pv branch list`

use specs::RepoName;

use crate::commands::views::NameView;
use crate::context::Context;
use crate::error::Result;

/// List the branches of a repository
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository
    repo: RepoName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    store.repo(&args.repo)?;
    let branches = store.branches(&args.repo)?;
    let views = branches.iter().map(|(name, row)| NameView::branch(store, &args.repo, name, row));
    let mut views: Vec<NameView> = views.collect::<Result<_>>()?;
    views.sort_by_key(|view| std::cmp::Reverse(view.created_at()));
    cx.list(None, views.into_iter().map(Ok))
}
