//! `pv revert`

use std::time::Instant;

use repos::files;
use specs::{Reference, Revision};

use super::change::{Commit, Message, Target, commit};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::ShortIds;

/// Undo a commit with a new commit
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit: `images` for the newest, `images@ID`
    #[arg(value_name = "REF")]
    reference: Reference,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    if args.reference.path.is_some() {
        let Reference { repo, path, .. } = &args.reference;
        let path = path.as_ref().map(ToString::to_string).unwrap_or_default();
        let branch = store.default_branch()?;
        let hint = format!("pv cp '{repo}@{branch}~1:{path}' '{repo}:{path}'  restores the older file");
        return Err(CliError::usage("revert undoes a whole commit, not a path", hint));
    }
    let commit_to_revert = store.resolve(&args.reference)?;
    let document = &commit_to_revert.commit;
    // On the branch that is named; an id stands on the branch on which it was made.
    let named = args.reference.revision.as_ref().map_or(Some(store.default_branch()?), Revision::as_branch);
    let branch = match named {
        Some(branch) if store.find_branch(&document.repo, &branch)?.is_some() => branch,
        _ => document.branch.clone(),
    };
    let on = Reference { repo: document.repo.clone(), revision: Some(Revision::branch(&branch)), path: None };
    let target = Target::of(store, &on)?;
    let mut message = args.message.clone();
    if message.message.is_empty() {
        message.message = format!("revert {} {}", store.short_commit(&commit_to_revert.id)?, document.message);
        message.message.truncate(message.message.trim_end().len());
    }
    let new = Commit { target: &target, message: &message, expect: None, started, skipped: &[] };
    commit(cx, &new, |head| files::revert(store, &commit_to_revert, head))?;
    Ok(())
}
