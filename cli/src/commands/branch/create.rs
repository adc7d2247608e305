//! `pv branch create`

use answers::branch::branch_view;
use engine::changes;
use specs::Reference;

use crate::author;
use crate::commands::names::BranchOf;
use crate::context::Context;
use crate::error::Result;

/// Create a branch
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// New branch
    #[arg(value_name = "REPO@NEW")]
    branch: BranchOf,
    /// Commit to start at [default: head of the default branch]
    #[arg(value_name = "REF")]
    at: Option<Reference>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let branch = &args.branch;
    let at = match &args.at {
        Some(at) => Some(store.resolve(at)?.id),
        None => changes::default_head(store, &branch.repo)?,
    };
    changes::create_branch(store, &branch.repo, &branch.name, at, &author::by(cx, None))?;
    print(cx, branch)
}

/// Prints the branch's current head.
pub(super) fn print(cx: &Context, branch: &BranchOf) -> Result<()> {
    let store = cx.store()?;
    let view = branch_view(store, &branch.repo, &branch.name)?;
    if cx.out().is_json() { cx.out().json(&view) } else { cx.out().line(branch.to_string()) }
}
