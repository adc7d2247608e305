//! `pv branch log`

use answers::branch::{BranchMoveView, MoveKind, branch_moves};

use crate::commands::names::BranchOf;
use crate::commands::views::{first_line, name_of};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, Window};

/// List the moves of a branch: who, when, from, to and why
///
/// Works for deleted branches too.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Branch
    #[arg(value_name = "REPO@NAME")]
    branch: BranchOf,
    #[command(flatten)]
    window: Window,
}

impl Row for BranchMoveView {
    const HEADER: &'static [&'static str] = &["WHEN", "FROM", "TO", "WHO", "WHY"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let short = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
        let (from, to) = match self.change {
            MoveKind::Made => ("(made)".to_owned(), short(&self.short_to)),
            MoveKind::Moved => (short(&self.short_from), short(&self.short_to)),
            MoveKind::Deleted => (short(&self.short_from), "(deleted)".to_owned()),
        };
        let message = first_line(&self.message);
        let message = if message.is_empty() { message } else { format!(" \"{message}\"") };
        vec![human.local(self.at), from, to, who(self), format!("{}{message}", self.cause)]
    }
}

fn who(moved: &BranchMoveView) -> String {
    match (&moved.job, moved.author.as_ref().or(moved.committer.as_ref())) {
        (Some(job), _) => job.split('@').next().unwrap_or_default().to_owned(),
        (None, Some(author)) => name_of(author),
        (None, None) => "not recorded".to_owned(),
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let BranchOf { repo, name } = &args.branch;
    let moves = branch_moves(cx.store()?, repo, name, args.window.start(cx))?;
    cx.list(args.window.limit(cx), moves.map(|moved| Ok(moved?)))
}
