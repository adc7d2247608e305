//! What commands print: results on stdout, everything else on stderr.
//!
//! - `list` lists: a table for users, one JSON object per line for programs; limits by number and age
//! - `human` times and ids for display
//! - `failure` how failures are printed
//! - `escape` escapes untrusted text: its control characters never reach a terminal
//! - `fit` cuts or wraps text for the width of a terminal; `table` columns that fit
//! - `screen` redrawn lines at the end of a terminal; `progress` of long operations
//! - `pager` shows long output page by page
//! - `sink` writes to a stream without blocking on a reader that stalls

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::error::{CliError, Result};
use crate::flags::{Flags, When};
use crate::invocation::{Cancel, Environment, Invocation};

mod escape;
mod failure;
mod fit;
mod human;
mod list;
mod pager;
mod progress;
mod screen;
mod sink;
mod table;

pub(crate) use escape::{LogText, paint};
use escape::{escaped_json, shown};
pub(crate) use failure::{diagnostic_text, failure_text};
pub(crate) use fit::{Part, behind, columns, cut, of_parts};
pub(crate) use human::{Human, short_digest};
pub(crate) use list::{Lists, Row, Since, Window};
pub(crate) use pager::Pager;
pub(crate) use progress::Progress;
pub(crate) use screen::{Block, Screen, bar};
pub(crate) use sink::Sink;
pub(crate) use specs::words::{count, plural};
pub(crate) use table::{Columns, fitted};

pub(crate) use specs::words::{duration, size};

/// Whether to colour the output of a stream; `is_looked_at` if it is a terminal.
fn wants_color(flags: &Flags, env: &Environment, is_looked_at: bool) -> bool {
    match flags.color {
        When::Always => true,
        When::Never => false,
        When::Auto => is_looked_at && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb"),
    }
}

/// Whether two streams are the same pipe or file.
fn is_same(one: &File, other: &File) -> bool {
    let place = |file: &File| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    place(one).is_some_and(|at| place(other) == Some(at))
}

/// Wipes the drawn lines of the terminal before each write to it.
#[derive(Debug)]
struct Wiping {
    sink: Sink,
    /// Where lines may be drawn that must be wiped first.
    screen: Option<Screen>,
}

impl Write for Wiping {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(screen) = &self.screen {
            screen.wipe();
        }
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

/// How long to wait at the end for a stalled reader to take buffered output.
const FINISH_WAIT: Duration = Duration::from_secs(2);

/// Standard output.
#[derive(Debug)]
pub(crate) struct Out {
    writer: Mutex<BufWriter<Wiping>>,
    sink: Sink,
    json: bool,
    color: bool,
    width: Option<usize>,
    cancel: Cancel,
}

impl Out {
    pub(crate) fn new(invocation: &Invocation, flags: &Flags, notes: &Notes) -> std::io::Result<Self> {
        let stdout = &invocation.streams.stdout;
        let sink = Sink::new(stdout.try_clone()?, invocation.cancel.clone(), invocation.client.clone());
        let terminal = screen::size(stdout).map(|(columns, _)| columns);
        let width = terminal.or_else(|| pager::columns(&invocation.env));
        let wiping = Wiping { sink: sink.clone(), screen: terminal.map(|_| notes.screen.clone()) };
        Ok(Self {
            writer: Mutex::new(BufWriter::with_capacity(1 << 16, wiping)),
            sink,
            json: flags.json,
            color: wants_color(flags, &invocation.env, width.is_some()),
            width,
            cancel: invocation.cancel.clone(),
        })
    }

    /// Whether results are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the output goes to a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// The current width of the terminal, if it is one.
    pub(crate) fn columns(&self) -> Option<usize> {
        let width = self.width?;
        Some(self.sink.window().map_or(width, |(columns, _)| columns))
    }

    /// Writes a line, wrapped on a terminal: `first` precedes it, `rest` precedes the continued lines.
    pub(crate) fn branch(&self, first: &str, rest: &str, text: &str) -> Result<()> {
        match self.columns() {
            Some(width) => behind(first, rest, text, width).iter().try_for_each(|line| self.line(line.trim_end())),
            None => self.line(format!("{first}{text}")),
        }
    }

    /// Writes a wrapped line without prefix; continued lines are indented.
    pub(crate) fn wrapped(&self, text: impl AsRef<str>) -> Result<()> {
        let text = text.as_ref();
        let own = text.len() - text.trim_start_matches(' ').len();
        let (front, text) = text.split_at(own);
        self.branch(front, &" ".repeat(own + 4), text)
    }

    /// Whether the output is coloured.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// `text` in the colour of this ANSI number, if the output is coloured.
    pub(crate) fn paint(&self, number: u8, text: &str) -> String {
        if self.color { paint(&number.to_string(), text) } else { text.to_owned() }
    }

    /// Writes bytes unchanged: the requested content of files. Text goes through `text` or `line`.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if self.cancel.is_urgent() {
            return Err(CliError::Cancelled);
        }
        self.writer.lock().expect("no panic under this lock").write_all(bytes).map_err(|error| stopped(&error))
    }

    /// Writes text; its lines include their line ends. Control characters are escaped, except pv's own colours: names and messages are
    /// untrusted. On a terminal, invisible and direction-changing characters are escaped too; a pipe gets names unchanged.
    pub(crate) fn text(&self, text: impl AsRef<str>) -> Result<()> {
        self.bytes(shown(text.as_ref(), self.is_terminal()).as_bytes())
    }

    /// Writes a line, as `text` does.
    pub(crate) fn line(&self, line: impl AsRef<str>) -> Result<()> {
        self.text(line)?;
        self.bytes(b"\n")
    }

    /// Writes a piece of a log: decoded as text, or unchanged if `raw`.
    pub(crate) fn log(&self, so_far: &mut LogText, piece: &[u8], raw: bool) -> Result<()> {
        if raw { self.bytes(piece) } else { self.text(so_far.push(piece)) }
    }

    /// Writes the rest of a log.
    pub(crate) fn end_log(&self, so_far: &mut LogText) -> Result<()> {
        self.text(so_far.finish())
    }

    /// Writes an object as one line of JSON, with escapes for everything that a terminal interprets.
    pub(crate) fn json(&self, object: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(object).expect("what is printed has a JSON form");
        self.bytes(escaped_json(&text).as_bytes())?;
        self.bytes(b"\n")
    }

    /// From now on a bounded amount of output is held until it is taken.
    pub(crate) fn hold(&self) {
        self.sink.hold();
    }

    /// The held output.
    pub(crate) fn take_held(&self) -> Vec<u8> {
        self.sink.take_held()
    }

    /// From now on a bounded amount of output is buffered instead of waiting for a stalled reader.
    pub(crate) fn keep_back(&self) {
        self.sink.keep_back();
    }

    /// Stops buffering: gives the reader a moment to take the buffered output.
    pub(crate) fn finish(&self) -> Result<()> {
        self.flush()?;
        self.sink.finish(FINISH_WAIT).map_err(|error| stopped(&error))
    }

    /// Writes the buffered output.
    pub(crate) fn flush(&self) -> Result<()> {
        self.writer.lock().expect("no panic under this lock").flush().map_err(|error| stopped(&error))
    }
}

fn stopped(error: &std::io::Error) -> CliError {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::ClosedPipe,
        // The command was cancelled.
        std::io::ErrorKind::ConnectionAborted => CliError::Cancelled,
        _ => CliError::io("cannot write the output", error),
    }
}

/// Standard error: hints, warnings, progress. Write failures are ignored.
#[derive(Debug)]
pub(crate) struct Notes {
    stderr: Sink,
    screen: Screen,
    quiet: bool,
    color: bool,
    /// Whether it is a terminal on which lines can be redrawn.
    is_drawable: bool,
    cancel: Cancel,
    /// Whether everything becomes a message of the log, whose form programs read.
    is_logged: Arc<AtomicBool>,
}

impl Notes {
    pub(crate) fn new(invocation: &Invocation, flags: &Flags) -> std::io::Result<Self> {
        let (streams, env) = (&invocation.streams, &invocation.env);
        let stderr = Sink::new(streams.stderr.try_clone()?, invocation.cancel.clone(), invocation.client.clone());
        let is_terminal = screen::size(&streams.stderr).is_some();
        let is_paged = pager::columns(env).is_some() && is_same(&streams.stderr, &streams.stdout);
        Ok(Self {
            screen: Screen::new(stderr.clone()),
            stderr,
            quiet: flags.quiet,
            color: wants_color(flags, env, is_terminal || is_paged),
            is_drawable: is_terminal && env.get("TERM") != Some("dumb"),
            cancel: invocation.cancel.clone(),
            is_logged: Arc::default(),
        })
    }

    /// From now on everything is a message of the log.
    pub(crate) fn log_instead(&self) {
        self.is_logged.store(true, Ordering::Relaxed);
    }

    fn is_logged(&self) -> bool {
        self.is_logged.load(Ordering::Relaxed)
    }

    /// Another handle to the same stream.
    pub(crate) fn another(&self) -> Self {
        Self {
            stderr: self.stderr.clone(),
            screen: self.screen.clone(),
            cancel: self.cancel.clone(),
            is_logged: self.is_logged.clone(),
            ..*self
        }
    }

    /// The lines at the end of the terminal that can be redrawn.
    pub(crate) fn block(&self) -> Block {
        Block::new(self.screen.clone())
    }

    /// The drawn lines; every other writer to the terminal wipes them first.
    pub(crate) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Whether only results and errors are wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// From now on a bounded amount of notes is held until it is taken, unless a user watches a terminal.
    pub(crate) fn hold(&self) {
        if !self.is_watched() {
            self.stderr.hold();
        }
    }

    /// The held notes.
    pub(crate) fn take_held(&self) -> Vec<u8> {
        self.stderr.take_held()
    }

    /// From now on, notes are dropped if they cannot be written for a moment, so that the writer is not blocked.
    pub(crate) fn do_not_wait(&self) {
        self.stderr.drop_notes();
    }

    /// Whether the output is coloured.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Whether a user watches it on a terminal and wants more than errors.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_drawable && !self.quiet
    }

    /// Writes a line, unless `-q`.
    pub(crate) fn line(&self, line: impl AsRef<str>) {
        if self.is_logged() {
            tracing::info!("{}", line.as_ref());
        } else if !self.quiet {
            self.text(&format!("{}\n", line.as_ref()));
        }
    }

    /// Writes the last line of a command that was cancelled.
    pub(crate) fn farewell(&self, line: &str) {
        if self.is_logged() {
            tracing::info!("{line}");
        } else if !self.quiet {
            self.screen.wipe();
            self.stderr.note(shown(&format!("{line}\n"), true).as_bytes());
        }
    }

    /// Writes bytes unchanged: the output of another process on behalf of this one.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.screen.wipe();
            self.stderr.note(bytes);
        }
    }

    /// Writes text, also with `-q`: errors and questions. Control characters are escaped, except pv's own colours.
    pub(crate) fn text(&self, text: &str) {
        if self.is_logged() {
            tracing::error!("{}", text.trim_end());
        } else {
            self.send(&shown(text, true));
        }
    }

    /// Writes an error as JSON.
    pub(crate) fn json(&self, json: &str) {
        self.send(&(escaped_json(json.trim_end_matches('\n')).into_owned() + "\n"));
    }

    fn send(&self, text: &str) {
        if !self.cancel.is_urgent() {
            self.screen.wipe();
            self.stderr.note(text.as_bytes());
        }
    }
}
