//! `pv pipeline log`

use answers::pipeline::{VersionView, pipeline_versions};
use answers::run::CauseKind;
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

impl Row for VersionView {
    const HEADER: &'static [&'static str] = &["VERSION", "WHEN", "WHO", "CHANGED", "CODE", "WHY"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let mark = match (self.is_current, self.is_try) {
            (true, _) => " *",
            (false, true) => " (tried)",
            (false, false) => "",
        };
        let changes = match (self.changes.is_empty(), self.version) {
            (true, 1) => "new".to_owned(),
            (true, _) => "nothing".to_owned(),
            (false, _) => self.changes.join(", "),
        };
        let code = self.code.as_ref().and_then(|code| code.tree).map_or_else(String::new, |tree| short_digest(&tree));
        let cause = self.cause.map_or("", CauseKind::word);
        let message = first_line(&self.message);
        vec![
            format!("v{}{mark}", self.version),
            human.local(self.created_at),
            self.author.as_deref().map(name_of).unwrap_or_default(),
            changes,
            code,
            format!("{cause} {message}").trim().to_owned(),
        ]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let versions = pipeline_versions(cx.store()?, &args.name)?;
    let since = args.window.start(cx);
    let shown = versions.into_iter().filter(|view| since.is_none_or(|since| view.created_at >= since));
    cx.list(args.window.limit(cx), shown.map(Ok))
}
