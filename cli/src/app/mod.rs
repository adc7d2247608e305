//! One call of `pv`: parses the command line, runs it here or hands it over to the process that owns the store, and reports how it ended.

use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

use clap::FromArgMatches;
use engine::Engine;
use nix::sys::signal::{SigSet, Signal};
use specs::ErrorKind;

use crate::author;
use crate::commands::{self, Cli, Command, RunsIn as Place};
use crate::context::Context;
use crate::error::{CliError, Failure, Result};
use crate::flags::Flags;
use crate::habits;
use crate::invocation::{Cancel, Client, Files, Invocation, Streams};
use crate::output::{Notes, Out, Pager, failure_text};
use crate::remote::client::{self, Call};
use crate::remote::servers::{self, Server};
use crate::socket::{self, HandedOver, RunFor};

/// Which process runs the command.
#[derive(Debug)]
enum RunsIn {
    /// The called process; it hands the command over if another process owns the store. Its output may go through a pager.
    Called(Pager),
    /// The process that owns the store and runs this engine.
    Owner(Arc<Engine>),
}

/// Runs commands of other processes here while this one owns the store.
const RUN_FOR: RunFor =
    RunFor { run: |invocation, argv, engine| run(invocation, argv, RunsIn::Owner(engine)), only_reads };

/// All of `pv` except the agent inside sandboxes; returns the exit code.
pub(crate) fn main() -> u8 {
    let (cancel, pager) = (Cancel::default(), Pager::default());
    end_on_signals(cancel.clone(), pager.clone());
    match Invocation::own(cancel.clone()) {
        Ok(invocation) => {
            if let Some(point) = invocation.env.get("PV_STOP_AT") {
                repos::set_stop_point(point);
            }
            let ended = run(invocation, &std::env::args_os().collect::<Vec<_>>(), RunsIn::Called(pager.clone()));
            pager.end();
            ended.unwrap_or(1)
        }
        Err(error) => {
            let words = format!("error: cannot use the working folder, stdin, stdout or stderr: {error}\n");
            std::io::stderr().write_all(words.as_bytes()).ok();
            1
        }
    }
}

/// Ends the process with the usual exit codes: 130 after Ctrl-C, 143 after SIGTERM. A command that checks `cancel` gets time to clean up,
/// until a second signal. Ending at once loses nothing: unpublished data is garbage, published data is durable.
///
/// With a pager, the process ends only after the pager, which Ctrl-C does not end.
fn end_on_signals(cancel: Cancel, pager: Pager) {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_err() {
        return; // then they end the process as they always do
    }
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if !cancel.ask_by(signal) {
                if signal == Signal::SIGINT {
                    pager.end();
                }
                end(128 + signal as u8);
            }
        }
    });
}

/// Runs one command line and returns its exit code; `None` if this process owns the store and is shutting down: the caller then continues.
fn run(mut invocation: Invocation, argv: &[OsString], place: RunsIn) -> Option<u8> {
    let cli = match parse(argv) {
        Ok(cli) => cli,
        Err(error) => match habits::answer(argv).filter(|_| error.use_stderr()) {
            Some(answer) => return Some(refuse_with(&invocation, &seen_flags(argv), answer)),
            None => return Some(refuse(&invocation, argv, error)),
        },
    };
    if cfg!(debug_assertions) && invocation.env.get("PV_PARSE_ONLY").is_some() {
        return Some(0); // tests ask so whether a line that pv suggests is one
    }
    if let Some(name) = invocation.env.not_text() {
        let error = CliError::new(ErrorKind::Usage, format!("the environment variable `{name}` is not valid UTF-8"));
        return Some(refuse_with(&invocation, &cli.flags, error));
    }
    let server = match &place {
        RunsIn::Called(_) => server_for(&cli, &invocation),
        RunsIn::Owner(_) => Ok(None),
    };
    let server = match server {
        Ok(server) => server,
        Err(error) => return Some(refuse_with(&invocation, &cli.flags, error)),
    };
    if let RunsIn::Called(pager) = &place
        && cli.is_paged()
    {
        pager.start(&mut invocation);
    }
    if let Some(server) = server {
        return Some(run_in(&server, invocation, argv, cli));
    }
    let engine = match place {
        RunsIn::Called(_) => None,
        RunsIn::Owner(engine) => Some(engine),
    };
    let is_owner = engine.is_some();
    // Until the command has published, nothing that it wrote may be collected.
    let writes = cli.command.as_ref().is_some_and(|command| !command.only_reads());
    let _operation = engine.as_ref().filter(|_| writes).map(|engine| engine.store().operation());
    let (cancel, client) = (invocation.cancel.clone(), invocation.client.clone());
    let logged = if is_owner { None } else { logging::Wanted::of(&cli, invocation.env.get(logging::FILTER)) };
    let Ok(cx) = Context::new(invocation, cli.flags, engine, RUN_FOR) else { return Some(1) };
    if let Some(Err(error)) = logged.map(|wanted| wanted.begin(&cx)) {
        return Some(finish(&cx, Err(error)));
    }
    // With held output a slow pager on the client's side does not block the owner, and the command can be repeated until it has answered.
    let is_held = client.takes_output() && cli.command.as_ref().is_none_or(Command::prints_at_its_end);
    if is_held {
        cx.out().hold();
        cx.notes().hold();
    }
    // Without a command inside a store, `pv` means `pv status`.
    let command = cli.command.or_else(|| cx.store_dir().is_ok().then(Command::status));
    let is_allowed = match (cx.invocation().client.is_far(), &command) {
        (Some(far), Some(command)) => command.ensure_may_run(&far.caller.access),
        _ => Ok(()),
    };
    let done = match command {
        _ if is_allowed.is_err() => is_allowed,
        None => commands::without_a_command(&cx),
        Some(command) if is_owner || !command.may_be_handed_over() => command.run(&cx),
        Some(command) => run_or_hand_over(&cx, argv, &command),
    };
    let done = habits::amend(argv, done).and_then(|()| cx.out().flush());
    cx.note_seen();
    match (cancel.exit_code(), done) {
        (Some(exit_code), _) => Some(exit_code),
        (None, Err(CliError::OwnerEnds)) => None,
        (None, done) => {
            let exit_code = finish(&cx, done);
            if is_held {
                client.keep(cx.out().take_held(), cx.notes().take_held());
            }
            Some(exit_code)
        }
    }
}

/// The server that the command is for; `None` if it runs here.
fn server_for(cli: &Cli, invocation: &Invocation) -> Result<Option<Server>> {
    let place = cli.command.as_ref().map_or(Place::Server, Command::runs_in);
    if place == Place::Called {
        return Ok(None);
    }
    let server = servers::chosen(&cli.flags, &invocation.env)?;
    match place {
        Place::Neither(hint) if server.is_some() => Err(commands::not_through_a_server(hint)),
        _ => Ok(server),
    }
}

/// Runs a command in a server; returns its exit code.
fn run_in(server: &Server, invocation: Invocation, argv: &[OsString], cli: Cli) -> u8 {
    let cancel = invocation.cancel.clone();
    // Without a command, `pv` means `pv status`.
    let command = Arc::new(cli.command.unwrap_or_else(Command::status));
    let Ok(cx) = Context::new(invocation, cli.flags, None, RUN_FOR) else { return 1 };
    let cx = Arc::new(cx);
    let watched = if let Command::Watch(args) = &*command { args.run_far(&cx, server, argv) } else { None };
    let done = watched.unwrap_or_else(|| {
        let done = call_of(&cx, argv, &command).and_then(|call| client::run(server, cx.invocation(), call));
        done.and_then(|exit_code| if exit_code == 0 { Ok(()) } else { Err(CliError::Exit(exit_code)) })
    });
    let exit_code = finish(&cx, done);
    cancel.exit_code().unwrap_or(exit_code)
}

/// A command with what it reads from this machine.
fn call_of<'a>(cx: &Arc<Context>, argv: &'a [OsString], command: &Arc<Command>) -> Result<Call<'a>> {
    let reader = silent(cx).map_err(|error| CliError::io("cannot open streams", &error))?;
    let specs = command.read_files(&reader)?;
    let notes = reader.files().take_notes();
    Ok(Call {
        local: Arc::new(commands::OnThisMachine::new(cx.clone(), command.clone(), notes.clone(), specs)),
        argv,
        author: author::by(cx, None).author,
        notes,
        writes: command.writes(),
        repeat: command.repeat(),
        is_held: command.prints_at_its_end(),
    })
}

/// A context that prints and asks nothing, reads only what the server cannot read, and notes which files are read.
fn silent(cx: &Context) -> std::io::Result<Context> {
    let nothing = || std::fs::File::options().read(true).write(true).open("/dev/null");
    let own = cx.invocation();
    let invocation = Invocation {
        streams: Streams { stdin: own.streams.stdin.try_clone()?, stdout: nothing()?, stderr: nothing()? },
        cwd: own.cwd.clone(),
        env: own.env.clone(),
        uid: own.uid,
        cancel: own.cancel.clone(),
        client: Client::default(),
        files: Files::noting(),
    };
    Context::new(invocation, Flags { quiet: true, ..cx.flags().clone() }, None, RUN_FOR)
}

/// Whether a command line changes nothing.
fn only_reads(argv: &[OsString]) -> bool {
    parse(argv).is_ok_and(|cli| cli.command.is_none_or(|command| command.only_reads()))
}

/// Runs a command in the process that owns the store, if there is one; else here. If a process takes ownership meanwhile, tries again.
fn run_or_hand_over(cx: &Context, argv: &[OsString], command: &Command) -> Result<()> {
    loop {
        if let Some(done) = socket::hand_over(&cx.store_dir()?, cx.invocation(), argv, command.repeat())? {
            let HandedOver { exit_code, output: [stdout, stderr] } = done;
            cx.out().bytes(&stdout)?;
            cx.out().flush()?;
            cx.notes().bytes(&stderr);
            return Err(CliError::Exit(exit_code));
        }
        match command.run(cx) {
            Err(CliError::InUse(_)) => {}
            done => return done,
        }
    }
}

/// Ends the process at once. A normal exit destroys objects that `RocksDB`'s threads still use, and they then abort the process.
pub(crate) fn end(code: u8) -> ! {
    std::io::stdout().flush().ok();
    signal_hook::low_level::exit(code.into())
}

fn parse(argv: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&commands::command_line().try_get_matches_from(argv)?)
}

/// Reports how a command ended; returns the exit code.
fn finish(cx: &Context, done: Result<()>) -> u8 {
    let printed = cx.out().flush();
    match done.and(printed) {
        Ok(()) | Err(CliError::ClosedPipe) => 0,
        Err(CliError::Cancelled) => 130,
        // Only the owner of a store that runs a handed-over command returns this, and `run` handles it first.
        Err(CliError::OwnerEnds) => 1,
        Err(CliError::Exit(exit_code)) => exit_code,
        Err(CliError::Failure(failure) | CliError::InUse(failure)) => {
            say(cx.notes(), &failure, cx.out().is_json());
            failure.kind.exit_code()
        }
    }
}

/// Prints help, or the error of a command line; honours those of its flags that can be recognised.
fn refuse(invocation: &Invocation, argv: &[OsString], error: clap::Error) -> u8 {
    let flags = seen_flags(argv);
    if !error.use_stderr() {
        let Ok(out) = Notes::new(invocation, &flags).and_then(|notes| Out::new(invocation, &flags, &notes)) else {
            return 2;
        };
        let styled = error.render();
        let text = if out.is_colored() { styled.ansi().to_string() } else { styled.to_string() };
        // A reader that closes the pipe early is fine.
        out.bytes(text.as_bytes()).and_then(|()| out.flush()).ok();
        return 0;
    }
    refuse_with(invocation, &flags, CliError::from(error))
}

/// The flags of an invalid command line, as far as they can be recognised.
fn seen_flags(argv: &[OsString]) -> Flags {
    let has = |flag: &str| argv.iter().take_while(|word| *word != "--").any(|word| word == flag);
    Flags { json: has("--json"), ..Flags::default() }
}

/// Reports an error that occurs before the context exists.
fn refuse_with(invocation: &Invocation, flags: &Flags, error: CliError) -> u8 {
    let Ok(notes) = Notes::new(invocation, flags) else { return 2 };
    let CliError::Failure(failure) = error else { return 2 };
    say(&notes, &failure, flags.json);
    failure.kind.exit_code()
}

fn say(notes: &Notes, failure: &Failure, json: bool) {
    if json { notes.json(&failure.json()) } else { notes.text(&failure_text(failure, notes.color())) }
}

mod logging;
#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod tests;
