//! `pv tag list`

use specs::RepoName;

use crate::commands::views::NameView;
use crate::context::Context;
use crate::error::Result;

/// List tags
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository [default: all]
    repo: Option<RepoName>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let repos = match &args.repo {
        Some(repo) => {
            store.repo(repo)?;
            vec![repo.clone()]
        }
        None => store.repos()?.into_iter().map(|(name, _)| name).collect(),
    };
    let mut views = Vec::new();
    for repo in &repos {
        for (name, row) in store.tags(repo)? {
            views.push(NameView::tag(store, repo, name.as_str(), &row)?);
        }
    }
    views.sort_by_key(|view| std::cmp::Reverse(view.created_at()));
    cx.list(None, views.into_iter().map(Ok))
}
