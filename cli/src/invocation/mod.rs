//! Streams, folder, environment and user of the calling process.
//!
//! - `cancel` whether the caller still wants the answer
//! - `client` the process that handed a command over: what was sent to it, and whether the command waits for it
//! - `files` the files that a command may read

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

mod cancel;
mod client;
pub(crate) mod files;

pub(crate) use cancel::Cancel;
pub(crate) use client::{BEGUN, Caller, Client, Far, FileToWrite, GetOrder, Order};
pub(crate) use files::{Files, Part};

/// Standard input, output and error.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: File,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

impl Streams {
    /// The streams of this process.
    fn own() -> std::io::Result<Self> {
        let own = |stream: std::os::fd::BorrowedFd<'_>| stream.try_clone_to_owned().map(File::from);
        Ok(Self {
            stdin: own(std::io::stdin().as_fd())?,
            stdout: own(std::io::stdout().as_fd())?,
            stderr: own(std::io::stderr().as_fd())?,
        })
    }
}

/// Environment variables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// From pairs of name and value.
    pub(crate) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// The value, if it is set, not empty, and text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(std::ffi::OsStr::new(name))?.to_str().filter(|value| !value.is_empty())
    }

    /// The value, if it is set and text; it may be empty.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(std::ffi::OsStr::new(name))?.to_str()
    }

    /// Sets a variable for child processes.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), value.into());
    }

    /// A `PV_` variable whose value is not UTF-8: pv can neither use nor ignore it.
    pub(crate) fn not_text(&self) -> Option<String> {
        let is_own = |name: &str| name.starts_with("PV_");
        let unread = self.0.iter().filter(|(_, value)| value.to_str().is_none());
        unread.filter_map(|(name, _)| name.to_str()).find(|name| is_own(name)).map(str::to_owned)
    }

    /// All names and values.
    pub(crate) fn pairs(&self) -> Vec<(OsString, OsString)> {
        self.0.clone().into_iter().collect()
    }
}

/// The current folder. A folder that was removed has no path; the kernel's name for it leads nowhere, so relative paths fail and all
/// others work.
fn working_folder() -> std::io::Result<PathBuf> {
    std::env::current_dir().or_else(|_| std::fs::read_link("/proc/self/cwd"))
}

/// What the calling process provides.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) streams: Streams,
    /// The folder in which the command was called.
    pub(crate) cwd: PathBuf,
    pub(crate) env: Environment,
    /// Numeric id of the calling user, from the operating system.
    pub(crate) uid: u32,
    pub(crate) cancel: Cancel,
    /// The calling process, if it handed its command over to this one.
    pub(crate) client: Client,
    /// The files of the caller's machine.
    pub(crate) files: Files,
}

impl Invocation {
    /// The invocation of this process.
    pub(crate) fn own(cancel: Cancel) -> std::io::Result<Self> {
        Ok(Self {
            streams: Streams::own()?,
            cwd: working_folder()?,
            env: Environment::new(std::env::vars_os()),
            uid: rustix::process::getuid().as_raw(),
            cancel,
            client: Client::default(),
            files: Files::default(),
        })
    }

    /// Standard input. Reading another process's stdin ends when the command is cancelled.
    pub(crate) fn stdin(&self) -> Stdin<'_> {
        Stdin { invocation: self }
    }

    /// Whether a user can read a question and answer it.
    pub(crate) fn is_interactive(&self) -> bool {
        let is_typed = self.client.types() || rustix::termios::isatty(&self.streams.stdin);
        is_typed && rustix::termios::isatty(&self.streams.stderr)
    }

    /// Reads one line from standard input byte by byte, so that the rest stays unread.
    pub(crate) fn answer(&self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        let mut stdin = self.stdin();
        while stdin.read(&mut byte).ok()? == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).ok().map(|line| line.trim().to_owned())
    }
}

/// Milliseconds between two checks for cancellation while reading.
const BETWEEN_LOOKS: u16 = 100;

/// Standard input of a command.
#[derive(Debug)]
pub(crate) struct Stdin<'a> {
    invocation: &'a Invocation,
}

impl Read for Stdin<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Invocation { streams, cancel, client, .. } = self.invocation;
        if client.is_other() {
            let _waits = client.waits();
            let mut looked = [PollFd::new(streams.stdin.as_fd(), PollFlags::POLLIN)];
            if poll(&mut looked, PollTimeout::ZERO)? == 0 {
                client.wants_input();
            }
            while poll(&mut looked, PollTimeout::from(BETWEEN_LOOKS))? == 0 {
                if cancel.is_asked() {
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        let length = (&streams.stdin).read(into)?;
        if length == 0 && !into.is_empty() && client.is_input_cut() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        Ok(length)
    }
}
