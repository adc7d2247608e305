//! `pv branch delete`

use engine::changes;
use serde_json::json;

use crate::commands::names::BranchOf;
use crate::context::Context;
use crate::error::Result;

/// Delete a branch; its commits stay readable by id
///
/// Files that no other branch or tag reaches are kept for the time set by `gc_grace`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Branch
    #[arg(value_name = "REPO@NAME")]
    branch: BranchOf,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let branch = &args.branch;
    let at = match store.branch(&branch.repo, &branch.name)?.commit {
        Some(id) => format!(" at {}", store.short_commit(&id)?),
        None => String::new(),
    };
    let refused = format!("branch `{branch}` was not deleted");
    let grace = store.gc_grace_text()?;
    let rest = format!("Its commits stay readable by id; files that nothing else reaches are kept for {grace}.");
    cx.confirm(&format!("This deletes branch `{branch}`{at}. {rest}"), &refused)?;
    changes::delete_branch(store, &branch.repo, &branch.name)?;
    cx.done(
        &format!("deleted branch `{branch}`"),
        &json!({ "deleted": "branch", "repo": branch.repo, "name": branch.name }),
    )
}
