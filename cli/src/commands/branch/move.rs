//! `pv branch move`

use engine::changes;
use specs::Reference;

use super::create::print;
use crate::author;
use crate::commands::names::BranchOf;
use crate::context::Context;
use crate::error::Result;

/// Move a branch to another commit of its repository
///
/// Pipelines that read the branch then run on that commit.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Branch
    #[arg(value_name = "REPO@NAME")]
    branch: BranchOf,
    /// Commit
    #[arg(value_name = "REF")]
    to: Reference,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let branch = &args.branch;
    changes::ensure_not_tag(store, &branch.repo, &branch.name)?;
    let from = store.branch(&branch.repo, &branch.name)?.commit;
    let to = store.resolve(&args.to)?.id;
    if from == Some(to) {
        cx.notes().line("the branch is already there");
        return print(cx, branch);
    }
    let run = changes::move_branch(store, &branch.repo, &branch.name, to, &author::by(cx, None))?;
    print(cx, branch)?;
    cx.notes().line(format!("run {}", store.short_run(&run)?));
    if let Some(from) = from {
        let back = store.short_commit(&from)?;
        cx.notes().line(format!("undo: pv branch move {branch} {}@{back}", branch.repo));
    }
    Ok(())
}
