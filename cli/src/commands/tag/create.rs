//! `pv tag create`

use answers::tag::find_tag;
use engine::changes;
use specs::Reference;

use crate::author;
use crate::commands::names::TagOf;
use crate::context::Context;
use crate::error::Result;

/// Create a tag: a permanent name for a commit
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// New tag
    #[arg(value_name = "REPO@TAG")]
    tag: TagOf,
    /// Commit [default: head of the default branch]
    #[arg(value_name = "REF")]
    at: Option<Reference>,
    /// Reason, shown in the list of tags
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let tag = &args.tag;
    let at = args.at.clone().unwrap_or(Reference { repo: tag.repo.clone(), revision: None, path: None });
    let at = store.resolve(&at)?.id;
    changes::create_tag(store, &tag.repo, &tag.name, at, &author::by(cx, None), &args.message)?;
    let view = find_tag(store, &tag.repo, &tag.name)?;
    if cx.out().is_json() { cx.out().json(&view) } else { cx.out().line(tag.to_string()) }
}
