//! `pv commit delete`

use engine::keep;
use serde_json::json;
use specs::Reference;

use crate::author;
use crate::context::Context;
use crate::error::Result;
use crate::output::ShortIds;

/// Delete the newest commit of a branch, if nothing else names it; the branch goes back to the commit before
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The commit: `images` for the newest
    #[arg(value_name = "REF")]
    reference: Reference,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let at = store.resolve(&args.reference)?;
    let (repo, id) = (&at.commit.repo, at.id);
    let short = store.short_commit(&id)?;
    let to = keep::deletable(store, id)?;
    let goes_to = match to.parent {
        Some(parent) => format!("goes back to {}", store.short_commit(&parent)?),
        None => "is empty then".to_owned(),
    };
    let goes = format!("commit {repo}@{short} goes; branch `{repo}@{}` {goes_to}", to.branch);
    cx.confirm(&goes, &format!("commit {repo}@{short} was not deleted"))?;
    let run = keep::delete_commit(store, id, &author::by(cx, None))?;
    cx.done(
        &format!("deleted commit {repo}@{short}; pv gc frees its files\nrun {}", store.short_run(&run)?),
        &json!({ "deleted": "commit", "repo": repo, "commit": id, "branch": to.branch, "head": to.parent, "run": run }),
    )
}
