//! `pv repo delete`

use answers::repo::{RepoSize, repo_size};
use engine::changes;
use serde_json::json;
use specs::RepoName;

use crate::context::Context;
use crate::error::Result;
use crate::output::{plural, size};

/// Delete a repository, its branches and its tags
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository
    name: RepoName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let repo = &args.name;
    changes::ensure_can_delete_repo(store, repo)?;
    let RepoSize { branches, tags, files, size_bytes } = repo_size(store, repo)?;
    let goes = format!(
        "This deletes repository `{repo}` with {}, {}, and {} ({}) at their heads. pv gc frees what nothing else reaches after {}.",
        plural(branches, "branch", "branches"),
        plural(tags, "tag", "tags"),
        plural(files, "file", "files"),
        size(size_bytes),
        store.gc_grace_text()?
    );
    cx.confirm(&goes, &format!("repository `{repo}` was not deleted"))?;
    changes::delete_repo(store, repo)?;
    cx.done(&format!("deleted repository `{repo}`"), &json!({ "deleted": "repo", "name": repo }))
}
