//! `pv repo list`

use crate::commands::views::RepoView;
use crate::context::Context;
use crate::error::Result;

/// List the repositories
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let store = cx.store()?;
    let repos = store.repos()?;
    if repos.is_empty() {
        cx.notes().line("no repositories yet: pv repo create NAME");
    }
    cx.list(None, repos.into_iter().map(|(name, row)| RepoView::new(store, name, &row)))
}
