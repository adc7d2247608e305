//! What a command does through a server: where it runs, what it reads from its caller's machine, and what it may write there.
//!
//! Each answer is a `match` over all commands, so that a new command must choose.

use std::sync::{Arc, Mutex};

use engine::tokens::Role;
use repos::access::Access;
use repos::files::{GetItem, Got};
use specs::ErrorKind;

use super::get::get_items;
use super::pipeline::sources::Specs;
use super::{Command, job, pipeline, try_out};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::invocation::Part;
use crate::invocation::files::Notes;
use crate::remote::client::{Incoming, Local, Outgoing, Remember, Writes};

/// Where a command runs if a server is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunsIn {
    /// In the called process: it needs no store.
    Called,
    /// In the server.
    Server,
    /// Nowhere: it needs the store's own machine; what to do instead.
    Neither(&'static str),
}

const ON_THE_MACHINE: &str = "run it on the machine that holds the store, without --server and PV_SERVER";

impl Command {
    /// Where it runs if a server is named.
    pub(crate) fn runs_in(&self) -> RunsIn {
        match self {
            Self::Init(_) | Self::Serve(_) => RunsIn::Neither(ON_THE_MACHINE),
            // The server keeps the store for itself, so nothing can be repaired meanwhile.
            Self::Fsck(args) if args.needs_the_store_alone() => RunsIn::Neither(ON_THE_MACHINE),
            Self::Verify(args) if args.needs_no_store() => RunsIn::Called,
            Self::Pipeline(command) if !command.needs_store() => RunsIn::Called,
            Self::Schema(_) | Self::Completions(_) | Self::Version(_) | Self::Help(_) => RunsIn::Called,
            Self::Login(_) | Self::Logout(_) => RunsIn::Called,
            // It names its server itself.
            Self::Worker(command) if command.is_join() => RunsIn::Called,
            Self::Config(_) | Self::Repo(_) | Self::Branch(_) | Self::Tag(_) | Self::Pipeline(_) => RunsIn::Server,
            Self::Secret(_) | Self::Image(_) | Self::Key(_) | Self::Commit(_) => RunsIn::Server,
            Self::Put(_) | Self::Rm(_) | Self::Mv(_) | Self::Cp(_) | Self::Revert(_) | Self::Txn(_) => RunsIn::Server,
            Self::Get(_) | Self::Cat(_) | Self::Ls(_) | Self::Log(_) | Self::Show(_) | Self::Status(_) => {
                RunsIn::Server
            }
            Self::Job(_) | Self::Datum(_) | Self::Trace(_) | Self::Explain(_) | Self::Find(_) => RunsIn::Server,
            Self::Verify(_) | Self::Bundle(_) | Self::Checkpoint(_) | Self::Diff(_) | Self::Metrics(_) => {
                RunsIn::Server
            }
            Self::Fsck(_) | Self::Mirror(_) | Self::Gc(_) | Self::Plan(_) | Self::Run(_) | Self::Try(_) => {
                RunsIn::Server
            }
            Self::Wait(_) | Self::Logs(_) | Self::Whoami(_) | Self::Token(_) | Self::Audit(_) => RunsIn::Server,
            Self::Notify(_) | Self::Watch(_) | Self::Worker(_) => RunsIn::Server,
        }
    }

    /// Reads from this machine what the command reads, so that `cx` notes it; what the command prints of it, the server prints. Returns the
    /// specs among it.
    ///
    /// An error if the server could not know what is wrong.
    pub(crate) fn read_files(&self, cx: &Context) -> Result<Option<Specs>> {
        let files = cx.files();
        match self {
            Self::Find(args) => args.read_files(files),
            Self::Verify(args) => args.read_files(files),
            Self::Secret(command) => command.read_files(files),
            Self::Txn(args) => args.read_files(cx),
            Self::Bundle(args) => args.read_files(files),
            Self::Pipeline(pipeline::Command::Apply(args)) => return args.read_files(cx),
            Self::Plan(args) => return args.read_files(cx),
            Self::Try(args) => return try_out::read_files(args, cx),
            Self::Put(_) | Self::Get(_) | Self::Pipeline(_) | Self::Checkpoint(_) | Self::Diff(_) | Self::Mirror(_) => {
            }
            Self::Init(_) | Self::Serve(_) | Self::Fsck(_) | Self::Login(_) | Self::Logout(_) | Self::Whoami(_) => {}
            Self::Schema(_) | Self::Completions(_) | Self::Version(_) | Self::Help(_) | Self::Config(_) => {}
            Self::Repo(_) | Self::Branch(_) | Self::Tag(_) | Self::Image(_) | Self::Key(_) | Self::Commit(_) => {}
            Self::Rm(_) | Self::Mv(_) | Self::Cp(_) | Self::Revert(_) | Self::Cat(_) | Self::Ls(_) => {}
            Self::Log(_) | Self::Show(_) | Self::Status(_) | Self::Job(_) | Self::Datum(_) | Self::Trace(_) => {}
            Self::Explain(_) | Self::Metrics(_) | Self::Gc(_) | Self::Run(_) | Self::Wait(_) | Self::Logs(_) => {}
            Self::Token(_) | Self::Audit(_) | Self::Notify(_) | Self::Watch(_) | Self::Worker(_) => {}
        }
        Ok(None)
    }

    /// Refuses a command that a client may not run, as far as the handle of the store cannot check it: because it runs jobs on the engine, or
    /// uses the container engine, or opens the store anew.
    pub(crate) fn ensure_may_run(&self, access: &Access) -> Result<()> {
        let (is_allowed, needs) = match self {
            Self::Run(_) | Self::Job(job::Command::Stop(_)) => (access.role >= Role::Writer, "of role writer"),
            Self::Verify(args) if args.executes() => {
                (access.role >= Role::Writer && access.sees_all(), "of role writer for all repositories")
            }
            // Specs and folders are any code.
            Self::Try(args) if args.brings_code() => (access.is_unlimited(), "of role admin for all repositories"),
            Self::Try(_) => (access.role >= Role::Writer && access.sees_all(), "of role writer for all repositories"),
            Self::Watch(args) if args.is_here() => (access.role >= Role::Writer, "of role writer"),
            // It names a folder of the server's machine.
            Self::Watch(args) if args.changes() => (access.is_unlimited(), "of role admin for all repositories"),
            Self::Image(command) if !command.only_reads() => {
                (access.is_unlimited(), "of role admin for all repositories")
            }
            Self::Fsck(_) | Self::Worker(_) => (access.sees_all(), "for all repositories"),
            _ => (true, ""),
        };
        if is_allowed {
            return Ok(());
        }
        let what = format!("this needs a token {needs}; `{}` is a {}", access.who, access.role);
        Err(CliError::new(ErrorKind::Refused, what).hint("pv whoami shows what the token may do"))
    }

    /// What the server may have this machine write.
    pub(crate) fn writes(&self) -> Writes {
        match self {
            Self::Bundle(args) => args.writes(),
            Self::Checkpoint(args) => args.writes(),
            Self::Diff(args) => args.writes(),
            Self::Init(_) | Self::Serve(_) | Self::Fsck(_) | Self::Login(_) | Self::Logout(_) | Self::Whoami(_) => {
                Writes::Nothing
            }
            Self::Schema(_) | Self::Completions(_) | Self::Version(_) | Self::Help(_) | Self::Config(_) => {
                Writes::Nothing
            }
            Self::Repo(_) | Self::Branch(_) | Self::Tag(_) | Self::Image(_) | Self::Key(_) => Writes::Nothing,
            Self::Pipeline(_) | Self::Secret(_) | Self::Commit(_) | Self::Put(_) | Self::Txn(_) => Writes::Nothing,
            Self::Rm(_) | Self::Mv(_) | Self::Cp(_) | Self::Revert(_) | Self::Cat(_) | Self::Ls(_) => Writes::Nothing,
            Self::Log(_) | Self::Show(_) | Self::Status(_) | Self::Job(_) | Self::Datum(_) => Writes::Nothing,
            Self::Trace(_) | Self::Explain(_) | Self::Find(_) | Self::Verify(_) | Self::Metrics(_) => Writes::Nothing,
            Self::Mirror(_) | Self::Gc(_) | Self::Plan(_) | Self::Run(_) | Self::Wait(_) => Writes::Nothing,
            Self::Logs(_) | Self::Get(_) | Self::Try(_) | Self::Token(_) | Self::Audit(_) => Writes::Nothing,
            Self::Notify(_) | Self::Watch(_) | Self::Worker(_) => Writes::Nothing,
        }
    }
}

/// A command on the machine of its caller, while it runs in a server.
pub(crate) struct OnThisMachine {
    cx: Arc<Context>,
    command: Arc<Command>,
    /// What the command line made it read.
    notes: Notes,
    specs: Option<Specs>,
    /// What is done once the command has succeeded.
    afterwards: Mutex<Option<Remember>>,
}

impl OnThisMachine {
    /// `cx` prints, and asks.
    pub(crate) fn new(cx: Arc<Context>, command: Arc<Command>, notes: Notes, specs: Option<Specs>) -> Self {
        Self { cx, command, notes, specs, afterwards: Mutex::default() }
    }
}

impl Local for OnThisMachine {
    fn upload(&self, part: Part, store: &str, to: Outgoing) -> Result<Vec<u8>> {
        match (part, &*self.command) {
            (Part::Mounts, Command::Try(args)) => args.upload_mounts(&self.cx, &to),
            (Part::Mounts, _) => Err(unasked()),
            (Part::Sources, Command::Put(args)) => {
                let (listing, remember) = args.upload(&self.cx, store, &to.for_target(args.target().clone()))?;
                *self.afterwards.lock().expect("no panic under this lock") = Some(remember);
                Ok(listing)
            }
            (Part::Sources, Command::Txn(args)) => args.upload(&self.cx, &self.notes, store, &to),
            (Part::Sources, _) => self.specs.as_ref().ok_or_else(unasked)?.upload(&to),
        }
    }

    fn succeeded(&self) {
        if let Some(remember) = self.afterwards.lock().expect("no panic under this lock").take() {
            remember();
        }
    }

    fn uploads_stdin(&self) -> bool {
        match &*self.command {
            Command::Put(args) => args.reads_stdin(),
            Command::Txn(args) => args.reads_stdin(),
            _ => false,
        }
    }

    fn get(&self, items: Vec<GetItem>, force: bool, from: &Incoming) -> Result<Got> {
        match &*self.command {
            Command::Get(args) => args.get(&self.cx, &items, force, from),
            // They replace what an earlier trial left there.
            Command::Try(args) => {
                get_items(&self.cx, &items, (args.out().ok_or_else(unasked)?, true), from, &|_, _| {})
            }
            _ => Err(unasked()),
        }
    }
}

/// The server asks for what the command line does not name.
fn unasked() -> CliError {
    CliError::new(ErrorKind::Unavailable, "the server asks for files that the command line does not name")
        .hint("update pv on both sides")
}

/// The error that a command cannot run through a server.
pub(crate) fn not_through_a_server(hint: &str) -> CliError {
    CliError::usage("this command does not work through a server", hint)
}
