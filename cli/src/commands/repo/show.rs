//! `pv repo show`

use specs::RepoName;

use crate::commands::views::{NameView, RepoView};
use crate::context::Context;
use crate::error::Result;

/// Show a repository, its branches and its tags
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository
    name: RepoName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let repo = &args.name;
    let view = RepoView::new(store, repo.clone(), &store.repo(repo)?)?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    cx.list(None, [Ok(view)])?;
    let branches = store.branches(repo)?;
    if !branches.is_empty() {
        cx.out().line("\nbranches")?;
        cx.list(None, branches.iter().map(|(name, row)| NameView::branch(store, repo, name, row)))?;
    }
    let tags = store.tags(repo)?;
    if !tags.is_empty() {
        cx.out().line("\ntags")?;
        cx.list(None, tags.iter().map(|(name, row)| NameView::tag(store, repo, name.as_str(), row)))?;
    }
    Ok(())
}
