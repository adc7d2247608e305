//! `pv branch list`

use answers::branch::newest_branches;
use specs::RepoName;

use crate::context::Context;
use crate::error::Result;

/// List the branches of a repository
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository
    repo: RepoName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    cx.list(None, newest_branches(cx.store()?, &args.repo)?.into_iter().map(Ok))
}
