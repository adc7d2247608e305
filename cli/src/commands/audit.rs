//! `pv audit`

use answers::token::{AuditFilter, AuditLine, audit, reads};

use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, Window};

/// List what was done through a server, newest first: who, from where, what, with what outcome
///
/// The outcome is an HTTP status, or the exit code of a command.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only what was done with the token of this name
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// What was read, instead of what was changed or refused
    #[arg(long)]
    reads: bool,
    #[command(flatten)]
    window: Window,
}

impl Row for AuditLine {
    const HEADER: &'static [&'static str] = &["WHEN", "WHO", "FROM", "OPERATION", "ON", "OUTCOME", "WHY"];
    const GIVES_UP: &'static [&'static str] = &["FROM", "WHY"];

    fn cells(&self, human: &Human) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            human.local(self.at),
            self.who.clone(),
            text(&self.from),
            self.operation.clone(),
            text(&self.on),
            self.outcome.to_string(),
            text(&self.why),
        ]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let filter = AuditFilter { who: args.who.clone(), since: args.window.start(cx) };
    if args.reads {
        let lines = reads(cx.store()?, filter)?;
        return cx.list(args.window.limit(cx), lines.map(|line| Ok(line?)));
    }
    let lines = audit(cx.store()?, filter)?;
    cx.list(args.window.limit(cx), lines.map(|line| Ok(line?)))
}
