//! `pv tag delete`

use answers::tag::find_tag;
use engine::changes;
use serde_json::json;

use crate::commands::names::TagOf;
use crate::context::Context;
use crate::error::Result;

/// Delete a tag; its commit stays readable by id
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Tag
    #[arg(value_name = "REPO@TAG")]
    tag: TagOf,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let tag = &args.tag;
    find_tag(store, &tag.repo, &tag.name)?;
    let refused = format!("tag `{tag}` was not deleted");
    let grace = store.gc_grace_text()?;
    let rest = format!("Its commit stays readable by id; files that nothing else reaches are kept for {grace}.");
    cx.confirm(&format!("This deletes tag `{tag}`. {rest}"), &refused)?;
    changes::delete_tag(store, &tag.repo, &tag.name)?;
    cx.done(&format!("deleted tag `{tag}`"), &json!({ "deleted": "tag", "repo": tag.repo, "name": tag.name }))
}
