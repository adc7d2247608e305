//! `pv branch log`

use repos::Timestamp;
use repos::store::{BranchChange, BranchMove, MovedBy};
use serde::Serialize;
use specs::{CommitId, RepoName, RunId};

use crate::commands::names::BranchOf;
use crate::commands::views::{cause_words, first_line, name_of};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, ShortIds, Window};

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

/// One move.
#[derive(Serialize)]
struct MoveView {
    repo: RepoName,
    branch: String,
    at: Timestamp,
    /// `made`, `moved` or `deleted`.
    change: &'static str,
    from: Option<CommitId>,
    to: Option<CommitId>,
    /// Who, as the change says; `null` for what an engine did, and for a deletion.
    author: Option<String>,
    /// Whom the store authenticated.
    committer: Option<String>,
    /// The job whose output it is.
    job: Option<String>,
    run: Option<RunId>,
    /// What the change was, and why.
    cause: String,
    message: String,
    #[serde(skip)]
    shown: [String; 2],
    #[serde(skip)]
    who: String,
}

impl Row for MoveView {
    const HEADER: &'static [&'static str] = &["WHEN", "FROM", "TO", "WHO", "WHY"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let [from, to] = self.shown.clone();
        let message = first_line(&self.message);
        let message = if message.is_empty() { message } else { format!(" \"{message}\"") };
        vec![human.local(self.at), from, to, self.who.clone(), format!("{}{message}", self.cause)]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let BranchOf { repo, name } = &args.branch;
    store.repo(repo)?;
    let moves = store.branch_moves(repo, name)?;
    if moves.is_empty() {
        store.branch(repo, name)?;
    }
    let moves = moves.into_iter().rev().take_while(|moved| args.window.includes(cx, moved.at));
    cx.list(args.window.limit(cx), moves.map(|moved| view(cx, &args.branch, moved)))
}

fn view(cx: &Context, branch: &BranchOf, moved: BranchMove) -> Result<MoveView> {
    let store = cx.store()?;
    let (change, from, to) = match moved.change {
        BranchChange::Made(to) => ("made", None, to),
        BranchChange::Moved { from, to } => ("moved", from, to),
        BranchChange::Deleted { from } => ("deleted", from, None),
    };
    let short = |id: Option<CommitId>| id.map_or(Ok("none".to_owned()), |id| store.short_commit(&id));
    let shown = match change {
        "made" => ["(made)".to_owned(), short(to)?],
        "deleted" => [short(from)?, "(deleted)".to_owned()],
        _ => [short(from)?, short(to)?],
    };
    // Why: the message of the commit it came to, as far as the change made that commit.
    let made = to.map(|id| store.commit(&id)).transpose()?;
    let said = |run: &RunId| made.filter(|commit| commit.run == *run).map(|commit| commit.message).unwrap_or_default();
    let mut view = MoveView {
        repo: branch.repo.clone(),
        branch: branch.name.to_string(),
        at: moved.at,
        change,
        from,
        to,
        author: None,
        committer: None,
        job: None,
        run: None,
        cause: String::new(),
        message: String::new(),
        shown,
        who: String::new(),
    };
    match moved.by {
        MovedBy::Run(run, cause) => {
            view.message = cause.message.clone().unwrap_or_else(|| said(&run));
            view.cause = cause_words(cause.kind, &cause.refs);
            view.who = name_of(cause.author.as_deref().unwrap_or(&cause.committer));
            (view.author, view.committer, view.run) = (cause.author, Some(cause.committer), Some(run));
        }
        MovedBy::Job(pipeline, run) => {
            view.cause = format!("job {pipeline}@{}", store.short_run(&run)?);
            view.who = pipeline.to_string();
            (view.job, view.run) = (Some(format!("{pipeline}@{run}")), Some(run));
        }
        MovedBy::Unnamed => "not recorded".clone_into(&mut view.who),
    }
    Ok(view)
}
