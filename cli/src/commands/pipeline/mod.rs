//! `pv pipeline`
//!
//! - `sources` reads spec files
//! - `jsonnet` renders templates of specs

use crate::context::Context;
use crate::error::Result;

mod apply;
mod check;
mod delete;
mod jsonnet;
mod list;
mod log;
mod new;
mod rerun;
mod rollback;
mod show;
pub(super) mod sources;
mod start;
mod stop;
mod tick;

pub(super) use show::code_in_words;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Apply(apply::Args),
    Check(check::Args),
    New(new::Args),
    List(list::Args),
    Show(show::Args),
    Log(log::Args),
    Rollback(rollback::Args),
    Delete(delete::Args),
    Stop(stop::Args),
    Start(start::Args),
    Rerun(rerun::Args),
    Tick(tick::Args),
}

impl Command {
    /// Whether the command uses a store.
    pub(super) fn needs_store(&self) -> bool {
        !matches!(self, Self::Check(_) | Self::New(_))
    }

    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Apply(args) => apply::run(cx, args),
            Self::Check(args) => check::run(cx, args),
            Self::New(args) => new::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Show(args) => show::run(cx, args),
            Self::Log(args) => log::run(cx, args),
            Self::Rollback(args) => rollback::run(cx, args),
            Self::Delete(args) => delete::run(cx, args),
            Self::Stop(args) => stop::run(cx, args),
            Self::Start(args) => start::run(cx, args),
            Self::Rerun(args) => rerun::run(cx, args),
            Self::Tick(args) => tick::run(cx, args),
        }
    }
}
