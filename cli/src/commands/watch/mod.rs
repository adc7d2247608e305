//! `pv watch`
//!
//! - `here` watches in this process, until it is stopped; `far`: for a branch in a server
//! - `add` `list` `pause` `delete` watches that the store keeps and `pv serve` runs

use std::ffi::OsString;
use std::path::PathBuf;

use ::watch::{After, Batch, Plan, Seen, Template};
use answers::watch::Wish;
use engine::EngineError;
use engine::changes::Committed;
use engine::target::CommitOutcome;
use repos::files::Pattern;
use specs::Reference;

use super::change::summary_line;
use crate::author;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::plural;
use crate::remote::servers::Server;

mod add;
mod delete;
mod far;
mod here;
mod list;
mod pause;

/// Commit the files of a folder as they arrive
///
/// A file is committed once it has settled: its writer has closed it, and it has not changed for --settle. Files that settle together are one
/// commit. Hidden files and those called `*.part`, `*.tmp`, `*~` and the like are left out, as are those that `.pvignore` or --exclude name;
/// --exclude '!*.tmp' includes some again.
///
/// Each commit is compared with the branch, so after a restart, or with a second watch of the same folder, nothing is lost or committed
/// twice. What cannot be read or stored is said once, and stops nothing else.
///
/// `pv watch add` has the store keep a watch, which `pv serve` runs.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    here: Option<What>,
    /// End when everything that is there is committed
    #[arg(long)]
    once: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Add(Box<add::Args>),
    List(list::Args),
    /// Pause a watch: it commits nothing until it is resumed
    Pause(pause::Args),
    /// Resume a watch that was paused
    Resume(pause::Args),
    Delete(delete::Args),
}

impl Args {
    /// Whether it watches itself, a folder of the machine on which it is called.
    pub(super) fn is_here(&self) -> bool {
        self.command.is_none()
    }

    /// Whether it changes which watches the store keeps.
    pub(super) fn changes(&self) -> bool {
        !matches!(self.command, None | Some(Command::List(_)))
    }

    /// Whether it changes nothing at all.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self.command, Some(Command::List(_)))
    }

    /// Watches on this machine, for a branch in a server; `None` if the command runs in the server as a whole.
    pub(crate) fn run_far(&self, cx: &Context, server: &Server, argv: &[OsString]) -> Option<Result<()>> {
        let what = self.here.as_ref().filter(|_| self.is_here())?;
        Some(here::run_far(cx, server, argv, (what, self.once)))
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    match (&args.command, &args.here) {
        (Some(Command::Add(args)), _) => add::run(cx, args),
        (Some(Command::List(args)), _) => list::run(cx, args),
        (Some(Command::Pause(args)), _) => pause::run(cx, args, Wish::Pause),
        (Some(Command::Resume(args)), _) => pause::run(cx, args, Wish::Resume),
        (Some(Command::Delete(args)), _) => delete::run(cx, args),
        (None, Some(what)) => here::run(cx, what, args.once),
        (None, None) => Err(CliError::usage("a folder and a repository are required", "pv watch photos/ images")),
    }
}

/// What to watch, and how.
#[derive(clap::Args, Debug)]
pub(super) struct What {
    /// Folder to watch, with everything below it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Target: `images`, `images@branch`, `images:/dir`
    #[arg(value_name = "REF[:/DIR]")]
    target: Reference,
    /// Commit a file when it has not changed for this time
    #[arg(long, value_name = "D", default_value = ::watch::standing::SETTLE)]
    settle: specs::Duration,
    /// Commit at most N files at a time; the others follow
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Leave at least this time between two commits [default: that of --settle]
    #[arg(long, value_name = "D")]
    every: Option<specs::Duration>,
    /// Also remove files that are deleted in DIR
    #[arg(long)]
    mirror: bool,
    /// Leave out files that match this .gitignore pattern; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
    /// Move each file to this folder once its commit is durable
    #[arg(long, value_name = "DIR", conflicts_with = "delete")]
    move_to: Option<PathBuf>,
    /// Delete each file once its commit is durable
    #[arg(long)]
    delete: bool,
    /// Message of the commits, with `{files}`, `{first}`, `{folder}`
    #[arg(short, long, value_name = "TEXT", default_value_t)]
    message: Template,
    /// Author, if not you: `Anna <anna@example.com>`
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl What {
    /// The plan; its paths are whole. An error for what cannot work.
    fn plan(&self, cx: &Context) -> Result<Plan> {
        // Through a server the folder is one of its machine.
        let is_far = cx.invocation().client.is_far().is_some();
        let path = |path: &PathBuf| if is_far { Ok(path.clone()) } else { cx.path(path) };
        let folder = path(&self.folder)?;
        let whole = |path: PathBuf| if is_far { path } else { std::path::absolute(&path).unwrap_or(path) };
        let plan = Plan {
            folder: if folder.is_absolute() || !is_far { folder.canonicalize().unwrap_or(folder) } else { folder },
            target: self.target.clone(),
            settle: self.settle.get(),
            every: self.every.map(specs::Duration::get),
            batch: self.batch.map(|batch| batch as usize),
            mirror: self.mirror,
            exclude: self.exclude.clone(),
            after: match &self.move_to {
                Some(to) => After::Move(whole(path(to)?)),
                None if self.delete => After::Delete,
                None => After::Keep,
            },
            message: self.message.clone(),
            by: author::by(cx, self.author.as_deref()),
        };
        plan.check(is_far).map_err(EngineError::from)?;
        Ok(plan)
    }
}

/// What a watch saw, as a line for people; `None` for a batch that changed nothing.
pub(super) fn in_words(store: Option<&Store>, seen: &Seen) -> Result<Option<String>> {
    Ok(match seen {
        Seen::Batch(batch) => batch_line(store, batch)?,
        Seen::Trouble(trouble) => Some(answers::watch::TroubleView::from(trouble.clone()).sentence()),
        Seen::Polls(why) => Some(format!("changes are found by looking again and again: {why}")),
    })
}

/// What a batch did, as a line. Without a store, the server has said the rest.
fn batch_line(store: Option<&Store>, batch: &Batch) -> Result<Option<String>> {
    let away = (batch.put_away > 0).then(|| format!("{} put away", plural(batch.put_away, "file", "files")));
    let made = match (&batch.outcome, store) {
        (Some(outcome), Some(store)) => commit_line(store, outcome)?,
        _ => None,
    };
    let parts: Vec<String> = made.into_iter().chain(away).collect();
    Ok((!parts.is_empty()).then(|| parts.join(" · ")))
}

fn commit_line(store: &Store, outcome: &CommitOutcome) -> Result<Option<String>> {
    let Committed::Made { commit, .. } = &outcome.committed else { return Ok(None) };
    let place = format!("{}@{}", outcome.target.repo, store.short_commit(commit)?);
    Ok(Some(format!("{place}  {}", summary_line(&outcome.summary))))
}
