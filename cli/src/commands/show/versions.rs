//! A version of a pipeline: its parts, and its spec as applied.

use answers::named::VersionOf;
use answers::pipeline::{spec_value_text, version_details};
use answers::run::CauseKind;

use super::print;
use crate::commands::pipeline::code_in_words;
use crate::commands::views::name_of;
use crate::context::Context;
use crate::error::{CliError, Result};

pub(in crate::commands) fn show(cx: &Context, of: &VersionOf) -> Result<()> {
    let not_found = || CliError::new(specs::ErrorKind::NotFound, format!("{of} not found"));
    let details = version_details(cx.store()?, &of.pipeline, of.version)?.ok_or_else(not_found)?;
    if cx.out().is_json() {
        return cx.out().json(&details);
    }
    let (view, human) = (&details.view, cx.human());
    let state = match (view.is_current, view.is_try) {
        (true, _) => "   current version",
        (false, true) => "   only tried",
        (false, false) => "",
    };
    let mut lines = vec![
        ("version", format!("{of}{state}")),
        ("applied", format!("{}   {}", human.local(view.created_at), human.ago(view.created_at))),
        ("by", view.author.as_deref().map(name_of).unwrap_or_default()),
        ("why", format!("{} {}", view.cause.map_or("", CauseKind::word), view.message).trim().to_owned()),
        ("run", view.run.map_or_else(String::new, |run| run.to_string())),
        ("changed", view.changes.join(", ")),
        ("executor", details.executor.to_string()),
        ("network", details.transform.network.to_string()),
    ];
    if let Some(image) = &view.image {
        lines.push(("image", format!("{}   {}", image.reference, image.digest)));
    }
    lines.extend(view.code.iter().flat_map(code_in_words));
    lines.retain(|(_, text)| !text.is_empty());
    print(cx, lines)?;
    cx.out().line("\nspec")?;
    spec_value_text(&details.spec).lines().try_for_each(|line| cx.out().line(format!("  {line}")))
}
