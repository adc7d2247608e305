//! `pv repo list`

use answers::repo::repos;

use crate::context::Context;
use crate::error::Result;

/// List the repositories
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let mut repos = repos(cx.store()?, |_| true)?.peekable();
    if repos.peek().is_none() {
        cx.notes().line(cx.none_of("repositories", "no repositories yet: pv repo create NAME")?);
    }
    cx.list(None, repos.map(|repo| Ok(repo?)))
}
