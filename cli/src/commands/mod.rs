//! The commands: one folder per noun, one file per verb. This file only lists them.
//!
//! - `change` shared by commands that commit files: author and message, the report
//! - `choose_executor` shared by commands that need the store's executor
//! - `following` `pv logs -f`
//! - `jobs` how jobs and pipelines are printed
//! - `matching` shared by commands with `--match`
//! - `names` arguments such as `REPO@BRANCH`
//! - `next` the suggested next command
//! - `views` how commits, files, repositories … are printed
//! - `through` what a command does through a server
//! - `rerun` `pv verify --rerun`
//! - `vouched` how signatures and certificates of commits are printed

pub(crate) use serve::LogForm;

mod audit;
mod branch;
mod bundle;
mod cat;
mod change;
mod checkpoint;
mod choose_executor;
mod commit;
mod completions;
mod config;
mod cp;
mod datum;
mod diff;
mod explain;
mod failures;
mod find;
mod following;
mod fsck;
mod gc;
mod get;
mod help;
mod image;
mod init;
mod job;
mod jobs;
mod key;
mod log;
mod login;
mod logs;
mod ls;
mod matching;
mod metrics;
mod mirror;
mod mv;
mod names;
mod next;
mod notify;
#[cfg(test)]
mod operations_tests;
mod pipeline;
mod plan;
mod put;
mod repo;
mod rerun;
mod revert;
mod rm;
mod run;
mod schema;
mod secret;
mod serve;
mod show;
mod status;
mod tag;
mod through;
mod token;
mod trace;
mod try_out;
mod txn;
mod verify;
mod version;
mod views;
mod vouched;
mod wait;
mod watch;
mod whoami;
mod worker;

use crate::context::Context;
use crate::error::Result;
use crate::flags::Flags;
use crate::socket::Repeat;

pub(crate) use help::{command_line, without_a_command};
pub(crate) use through::{OnThisMachine, RunsIn, not_through_a_server};

/// Version data, run pipelines on what changed, and trace where each file came from
#[derive(clap::Parser, Debug)]
#[command(name = "pv", version, disable_help_subcommand = true, subcommand_required = false, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Cli {
    /// Whether the output may go through a pager.
    pub(crate) fn is_paged(&self) -> bool {
        // Log messages are written until the very end, and would keep the pager waiting.
        !self.flags.json && !self.flags.verbose && self.command.as_ref().is_none_or(Command::is_paged)
    }
}

/// What `pv` can do.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Init(init::Args),
    /// Read and change settings
    #[command(subcommand)]
    Config(config::Command),
    /// Create, list and delete repositories
    #[command(subcommand)]
    Repo(repo::Command),
    /// Create, list, move and delete branches
    #[command(subcommand)]
    Branch(branch::Command),
    /// Create, list and delete tags
    #[command(subcommand)]
    Tag(tag::Command),
    /// Apply, inspect and delete pipelines
    #[command(subcommand)]
    Pipeline(pipeline::Command),
    /// Create, list and delete secrets for stages
    #[command(subcommand)]
    Secret(secret::Command),
    /// Create, list and revoke the tokens that a server accepts
    #[command(subcommand)]
    Token(token::Command),
    /// Tell people and programs what happens: webhooks, mail
    #[command(subcommand)]
    Notify(notify::Command),
    /// List, save and load the container images of pipelines
    #[command(subcommand)]
    Image(image::Command),
    /// Show, rotate and trust the keys that sign commits
    #[command(subcommand)]
    Key(key::Command),
    /// Delete a commit, or drop the files of old commits
    #[command(subcommand)]
    Commit(commit::Command),
    Put(put::Args),
    Rm(rm::Args),
    Mv(mv::Args),
    Cp(cp::Args),
    Revert(revert::Args),
    Txn(txn::Args),
    Get(get::Args),
    Cat(cat::Args),
    Ls(ls::Args),
    Log(log::Args),
    Show(show::Args),
    Status(status::Args),
    /// List, show, retry and stop jobs
    #[command(subcommand)]
    Job(job::Command),
    /// List and show the datums of jobs
    #[command(subcommand)]
    Datum(datum::Command),
    Trace(trace::Args),
    Explain(explain::Args),
    Find(find::Args),
    Verify(verify::Args),
    Bundle(bundle::Args),
    Checkpoint(checkpoint::Args),
    Audit(audit::Args),
    Diff(diff::Args),
    Metrics(metrics::Args),
    Fsck(fsck::Args),
    Mirror(mirror::Args),
    Gc(gc::Args),
    Schema(schema::Args),
    Plan(plan::Args),
    Run(run::Args),
    Try(try_out::Args),
    Serve(serve::Args),
    Wait(wait::Args),
    Watch(Box<watch::Args>),
    Logs(logs::Args),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Whoami(whoami::Args),
    /// Execute datums for a server on another machine, and list who does
    #[command(subcommand)]
    Worker(worker::Command),
    Completions(completions::Args),
    Version(version::Args),
    Help(help::Args),
}

impl Command {
    /// Whether the process that owns the store may run the command: not if it creates a store or needs none.
    pub(crate) fn may_be_handed_over(&self) -> bool {
        match self {
            Self::Init(_) | Self::Schema(_) | Self::Completions(_) | Self::Version(_) | Self::Help(_) => false,
            // They need no store.
            Self::Login(_) | Self::Logout(_) | Self::Whoami(_) => false,
            // It becomes the owner, or says which process is.
            Self::Serve(_) => false,
            Self::Pipeline(command) => command.needs_store(),
            // It uses files of this machine outside the store, and secret values should stay in one process.
            Self::Secret(_) => false,
            // The same holds for the text of a token; the file has a lock of its own.
            Self::Token(_) => false,
            Self::Notify(command) => command.may_be_handed_over(),
            // It reaches the container engine through the caller's environment.
            Self::Image(_) => false,
            // It lives on, and its folder is of this machine.
            Self::Watch(_) => false,
            Self::Worker(command) => !command.is_join(),
            // An endless input would block the owner; only the last step is handed over.
            Self::Put(args) => !args.reads_stdin(),
            Self::Txn(args) => !args.reads_stdin(),
            // A check of a store reads what is on disk, and may take long.
            Self::Verify(args) => args.executes(),
            Self::Bundle(_) => false,
            // It reads the index on disk and the packs in the folder, as every process sees them; while it repairs them, no process may own
            // the store.
            Self::Fsck(_) => false,
            _ => true,
        }
    }

    /// Whether the command may be repeated if the process that ran it ended suddenly.
    pub(crate) fn repeat(&self) -> Repeat {
        match self {
            Self::Wait(_) => Repeat::Always,
            Self::Run(args) if args.only_runs() => Repeat::Always,
            command if command.only_reads() => Repeat::Unprinted,
            _ => Repeat::Never,
        }
    }

    /// Whether its output may be printed all at once when it ends.
    pub(crate) fn prints_at_its_end(&self) -> bool {
        self.only_reads() && !matches!(self, Self::Wait(_) | Self::Logs(_))
    }

    /// Whether its output is meant for reading, and may be long.
    pub(crate) fn is_paged(&self) -> bool {
        matches!(
            self,
            Self::Diff(_)
                | Self::Trace(_)
                | Self::Status(_)
                | Self::Log(_)
                | Self::Show(_)
                | Self::Explain(_)
                | Self::Help(_)
        )
    }

    /// Whether it changes nothing in the store. Among commands that may or may not, only frequent ones are distinguished.
    pub(crate) fn only_reads(&self) -> bool {
        match self {
            Self::Get(_)
            | Self::Cat(_)
            | Self::Ls(_)
            | Self::Log(_)
            | Self::Show(_)
            | Self::Status(_)
            | Self::Datum(_) => true,
            Self::Trace(_) | Self::Explain(_) | Self::Find(_) | Self::Bundle(_) | Self::Diff(_) | Self::Plan(_) => true,
            Self::Wait(_) | Self::Logs(_) | Self::Fsck(_) | Self::Metrics(_) | Self::Help(_) => true,
            Self::Audit(_) | Self::Whoami(_) => true,
            Self::Verify(args) => !args.executes(),
            Self::Image(command) => command.only_reads(),
            Self::Worker(command) => !command.is_join(),
            Self::Notify(command) => command.only_reads(),
            Self::Watch(args) => args.only_reads(),
            Self::Repo(repo::Command::List(_) | repo::Command::Show(_)) => true,
            Self::Job(job::Command::List(_) | job::Command::Show(_)) => true,
            Self::Pipeline(pipeline::Command::List(_) | pipeline::Command::Show(_) | pipeline::Command::Log(_)) => true,
            Self::Branch(branch::Command::List(_) | branch::Command::Log(_)) => true,
            _ => false,
        }
    }

    /// The command that `pv` alone means inside a store.
    pub(crate) fn status() -> Self {
        Self::Status(status::Args::default())
    }

    /// Runs the command.
    pub(crate) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Init(args) => init::run(cx, args),
            Self::Config(command) => command.run(cx),
            Self::Repo(command) => command.run(cx),
            Self::Branch(command) => command.run(cx),
            Self::Tag(command) => command.run(cx),
            Self::Pipeline(command) => command.run(cx),
            Self::Secret(command) => command.run(cx),
            Self::Token(command) => command.run(cx),
            Self::Notify(command) => command.run(cx),
            Self::Image(command) => command.run(cx),
            Self::Key(command) => command.run(cx),
            Self::Commit(command) => command.run(cx),
            Self::Put(args) => put::run(cx, args),
            Self::Rm(args) => rm::run(cx, args),
            Self::Mv(args) => mv::run(cx, args),
            Self::Cp(args) => cp::run(cx, args),
            Self::Revert(args) => revert::run(cx, args),
            Self::Txn(args) => txn::run(cx, args),
            Self::Get(args) => get::run(cx, args),
            Self::Cat(args) => cat::run(cx, args),
            Self::Ls(args) => ls::run(cx, args),
            Self::Log(args) => log::run(cx, args),
            Self::Show(args) => show::run(cx, args),
            Self::Status(args) => status::run(cx, args),
            Self::Job(command) => command.run(cx),
            Self::Datum(command) => command.run(cx),
            Self::Trace(args) => trace::run(cx, args),
            Self::Explain(args) => explain::run(cx, args),
            Self::Find(args) => find::run(cx, args),
            Self::Verify(args) => verify::run(cx, args),
            Self::Bundle(args) => bundle::run(cx, args),
            Self::Checkpoint(args) => checkpoint::run(cx, args),
            Self::Audit(args) => audit::run(cx, args),
            Self::Diff(args) => diff::run(cx, args),
            Self::Metrics(args) => metrics::run(cx, args),
            Self::Fsck(args) => fsck::run(cx, args),
            Self::Mirror(args) => mirror::run(cx, args),
            Self::Gc(args) => gc::run(cx, args),
            Self::Schema(args) => schema::run(cx, args),
            Self::Plan(args) => plan::run(cx, args),
            Self::Run(args) => run::run(cx, args),
            Self::Try(args) => try_out::run(cx, args),
            Self::Serve(args) => serve::run(cx, args),
            Self::Wait(args) => wait::run(cx, args),
            Self::Watch(args) => watch::run(cx, args),
            Self::Logs(args) => logs::run(cx, args),
            Self::Login(args) => login::login(cx, args),
            Self::Logout(args) => login::logout(cx, args),
            Self::Whoami(args) => whoami::run(cx, args),
            Self::Worker(command) => command.run(cx),
            Self::Completions(args) => completions::run(cx, args),
            Self::Version(args) => version::run(cx, args),
            Self::Help(args) => help::run(cx, args),
        }
    }
}
