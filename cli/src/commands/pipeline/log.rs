//! `pv pipeline log`

use answers::pipeline::{VersionView, pipeline_versions};
use serde::Serialize;
use specs::PipelineName;

use crate::commands::views::{first_line, name_of};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, Window, short_digest};

/// List the versions of a pipeline: when, by whom, what changed
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
    #[command(flatten)]
    window: Window,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Line(VersionView);

impl Row for Line {
    const HEADER: &'static [&'static str] = &["VERSION", "WHEN", "WHO", "CHANGED", "CODE", "WHY"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let view = &self.0;
        let mark = match (view.is_current, view.is_try) {
            (true, _) => " *",
            (false, true) => " (tried)",
            (false, false) => "",
        };
        let changes = match (view.changes.is_empty(), view.version) {
            (true, 1) => "new".to_owned(),
            (true, _) => "nothing".to_owned(),
            (false, _) => view.changes.join(", "),
        };
        let code = view.code.as_ref().and_then(|code| code.tree).map_or_else(String::new, |tree| short_digest(&tree));
        let cause = view.cause.map_or("", repos::journal::CauseKind::word);
        let message = first_line(&view.message);
        vec![
            format!("v{}{mark}", view.version),
            human.local(view.created_at),
            view.author.as_deref().map(name_of).unwrap_or_default(),
            changes,
            code,
            format!("{cause} {message}").trim().to_owned(),
        ]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let versions = pipeline_versions(cx.store()?, &args.name)?;
    let shown = versions.into_iter().filter(|view| args.window.includes(cx, view.created_at));
    cx.list(args.window.limit(cx), shown.map(|view| Ok(Line(view))))
}
