//! `pv tag list`

use answers::tag::newest_tags;
use specs::RepoName;

use crate::context::Context;
use crate::error::Result;

/// List tags
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository [default: all]
    repo: Option<RepoName>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    cx.list(None, newest_tags(cx.store()?, args.repo.as_ref())?.into_iter().map(Ok))
}
