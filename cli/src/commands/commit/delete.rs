//! `pv commit delete`

use answers::upkeep::DeletedCommitView;
use engine::keep;
use specs::Reference;

use crate::author;
use crate::context::Context;
use crate::error::Result;

/// Delete the newest commit of a branch, if nothing else refers to it
///
/// The branch moves back to the commit before.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit: `images` for the newest
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
        Some(parent) => format!("moves back to {}", store.short_commit(&parent)?),
        None => "becomes empty".to_owned(),
    };
    let goes = format!("This deletes commit {repo}@{short}. Branch `{repo}@{}` {goes_to}.", to.branch);
    cx.confirm(&goes, &format!("commit {repo}@{short} was not deleted"))?;
    let run = keep::delete_commit(store, id, &author::by(cx, None))?;
    if cx.out().is_json() {
        let (branch, head, repo) = (to.branch, to.parent, repo.clone());
        return cx.out().json(&DeletedCommitView { branch, commit: id, deleted: "commit", head, repo, run });
    }
    cx.notes().line(format!(
        "deleted commit {repo}@{short}; pv gc frees the space of its files\nrun {}",
        store.short_run(&run)?
    ));
    Ok(())
}
