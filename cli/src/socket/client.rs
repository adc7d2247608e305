//! Hands commands over to the process that owns the store.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use repos::packs::PackName;
use repos::{Change, Publisher, RepoError};
use specs::ErrorKind;

use super::protocol::{Answer, Broken, Request, is_taken, receive_answer, receive_with_output, send_request};
use super::short_path;
use crate::error::{CliError, Done, Result};
use crate::invocation::Invocation;

/// Connects to the owner of the store in `dir`; `None` if there is none.
fn connect(dir: &Path) -> Option<UnixStream> {
    let folder = File::open(dir.join(".pv")).ok()?;
    UnixStream::connect(short_path(&folder)).ok()
}

/// Whether a command may be repeated if the owner ended while running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Idempotent: may be repeated at any time.
    Always,
    /// Only reads: may be repeated if nothing was printed.
    Unprinted,
    /// It may have changed something.
    Never,
}

/// A command that the owner of the store has run.
#[derive(Debug)]
pub(crate) struct HandedOver {
    /// Its exit code.
    pub(crate) exit_code: u8,
    /// Its remaining output for stdout and stderr.
    pub(crate) output: [Vec<u8>; 2],
}

/// Lets the owner of the store in `dir` run this command line; `None` if no process owns the store, or if the owner ended before the
/// command.
pub(crate) fn hand_over(
    dir: &Path,
    invocation: &Invocation,
    argv: &[OsString],
    repeat: Repeat,
) -> Result<Option<HandedOver>> {
    let Some(stream) = connect(dir) else { return Ok(None) };
    let (argv, cwd, env) = (argv.to_vec(), invocation.cwd.clone(), invocation.env.pairs());
    let request = Request::Command { argv, cwd, env, takes_output: true };
    let is_sent = send_request(&stream, &request, Some(&invocation.streams)).is_ok();
    if !is_taken(&stream) {
        return Ok(None); // it went away before it looked at the request
    }
    let (answer, output) = match receive_with_output(&stream) {
        Ok((answer, output)) => (Ok(answer), output),
        Err(broken) => (Err(broken), <[Vec<u8>; 2]>::default()),
    };
    match answer {
        // It was refused before it was read.
        answer if !is_sent && !matches!(answer, Ok(Answer::Error { .. })) => Ok(None),
        Ok(Answer::Exit(exit_code) | Answer::Printed { exit: exit_code, .. }) => {
            Ok(Some(HandedOver { exit_code, output }))
        }
        Ok(Answer::GoOn) => Ok(None),
        Err(_) if repeat == Repeat::Always => Ok(None),
        Err(Broken { has_begun: false }) if repeat == Repeat::Unprinted => Ok(None),
        Ok(Answer::Error { kind, message, hint, .. }) => {
            let error = with_hint(CliError::new(kind, message), hint);
            Err(if repeat == Repeat::Unprinted { error } else { error.done("it is not known what was done") })
        }
        Ok(Answer::Published | Answer::Unsure(_)) | Err(_) => {
            let error =
                CliError::new(ErrorKind::Unavailable, "the process that owns the store ended before it answered");
            Err(match repeat {
                // The output is incomplete, and nothing was changed.
                Repeat::Always | Repeat::Unprinted => error.hint("repeat the command: its output is incomplete"),
                Repeat::Never => error.hint("check the current state, then repeat the command").done(Done::NotKnown),
            })
        }
    }
}

fn with_hint(error: CliError, hint: Option<String>) -> CliError {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The process that owns a store, if one does.
#[derive(Debug)]
pub(crate) struct Owner {
    dir: PathBuf,
}

impl Owner {
    /// The owner of the store in `dir`.
    pub(crate) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }
}

impl Publisher for Owner {
    fn is_there(&self) -> bool {
        connect(&self.dir).is_some()
    }

    fn publish(&self, change: &Change, relied: &[PackName]) -> Result<Option<()>, RepoError> {
        let Some(stream) = connect(&self.dir) else { return Ok(None) };
        let request = Request::Publish { change: change.clone(), relied: relied.to_vec() };
        if send_request(&stream, &request, None).is_err() || !is_taken(&stream) {
            return Ok(None);
        }
        match receive_answer(&stream) {
            Ok(Answer::Published) => Ok(Some(())),
            Ok(Answer::Error { kind, message, hint, race, collected }) => {
                Err(RepoError::Remote { kind, message, hint, race, collected })
            }
            Ok(Answer::Unsure(why)) => Err(RepoError::Unsure { why, source: None }),
            Ok(Answer::Exit(_) | Answer::Printed { .. } | Answer::GoOn) | Err(_) => Err(RepoError::AnswerLost),
        }
    }
}
