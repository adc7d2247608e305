//! `pv repo show`

use answers::branch::branches;
use answers::repo::repo_view;
use answers::tag::tags;
use specs::RepoName;

use crate::context::Context;
use crate::error::Result;

/// Show a repository, its branches and its tags
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository
    name: RepoName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let (store, repo) = (cx.store()?, &args.name);
    let view = repo_view(store, repo)?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    cx.list(None, [Ok(view)])?;
    let branches = branches(store, repo)?;
    if !branches.is_empty() {
        cx.out().line("\nbranches")?;
        cx.list(None, branches.into_iter().map(Ok))?;
    }
    let tags = tags(store, repo)?;
    if !tags.is_empty() {
        cx.out().line("\ntags")?;
        cx.list(None, tags.into_iter().map(Ok))?;
    }
    Ok(())
}
