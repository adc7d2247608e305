//! `pv notify`
//!
//! - `print` how notifications and deliveries are printed, shared by the verbs

use std::sync::Arc;

use notifications::{Carrier, Sender};

use crate::context::{Context, Store};
use crate::error::Result;

mod create;
mod delete;
mod deliveries;
mod list;
mod pause;
mod print;
mod redeliver;
mod resume;
mod rotate_secret;
mod show;
mod test;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Show(show::Args),
    Test(test::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Delete(delete::Args),
    Deliveries(deliveries::Args),
    Redeliver(redeliver::Args),
    RotateSecret(rotate_secret::Args),
}

impl Command {
    /// Whether the process that owns the store may run it: not if it prints a secret, or sends something itself.
    pub(super) fn may_be_handed_over(&self) -> bool {
        match self {
            Self::Create(_) | Self::RotateSecret(_) | Self::Test(_) => false,
            Self::List(_) | Self::Show(_) | Self::Pause(_) | Self::Resume(_) => true,
            Self::Delete(_) | Self::Deliveries(_) | Self::Redeliver(_) => true,
        }
    }

    /// Whether it changes nothing.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Self::List(_) | Self::Show(_) | Self::Deliveries(_))
    }

    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Create(args) => create::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Show(args) => show::run(cx, args),
            Self::Test(args) => test::run(cx, args),
            Self::Pause(args) => pause::run(cx, args),
            Self::Resume(args) => resume::run(cx, args),
            Self::Delete(args) => delete::run(cx, args),
            Self::Deliveries(args) => deliveries::run(cx, args),
            Self::Redeliver(args) => redeliver::run(cx, args),
            Self::RotateSecret(args) => rotate_secret::run(cx, args),
        }
    }
}

/// What carries messages to targets: webhooks, and mail by the account in the settings.
pub(crate) fn carrier(store: &Store) -> Arc<dyn Carrier> {
    let whole = store.whole();
    let account = move || notifications::mail_account(&whole);
    Arc::new(Sender::new(store.clock_handle(), Arc::new(account), notifications::Options::default()))
}

/// Says that nothing is sent, if no process of this store sends notifications.
fn note_unsent(cx: &Context) {
    if cx.engine().is_none_or(|engine| !engine.lives_on()) {
        cx.notes().line("no pv serve is running: what happens is told once it runs");
    }
}
