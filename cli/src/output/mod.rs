//! What commands print: results on stdout, all else on stderr.
//!
//! - `list` lists: a table for people, one JSON object a line for programs; how many and how far back
//! - `human` sizes, counts, times and ids for people
//! - `escape` the one exit of text: no control character of others gets to a terminal
//! - `progress` how far a long operation has come
//! - `sink` writes to a stream without standing still when nobody reads

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::args::{Flags, When};
use crate::context::{Cancel, Environment, Outside};
use crate::error::{CliError, Result};

mod escape;
mod human;
mod list;
mod progress;
mod sink;

pub(crate) use escape::{LogText, paint};
use escape::{escaped, escaped_json, shown};
pub(crate) use human::{Human, ShortIds, count, duration, plural, short_digest, size};
pub(crate) use list::{Row, Since, Window, table};
pub(crate) use progress::Progress;
pub(crate) use sink::Sink;

/// Whether to colour what goes to `stream`.
fn wants_color(flags: &Flags, env: &Environment, stream: &File) -> bool {
    match flags.color {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            rustix::termios::isatty(stream) && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb")
        }
    }
}

/// Columns of a terminal; `None` when `stream` is none.
fn width(stream: &File) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(if size.ws_col == 0 { 80 } else { size.ws_col })
}

/// How long a reader who stands still may take for what was kept back for it.
const FINISH_WAIT: Duration = Duration::from_secs(2);

/// Standard output.
#[derive(Debug)]
pub(crate) struct Out {
    writer: Mutex<BufWriter<Sink>>,
    sink: Sink,
    json: bool,
    color: bool,
    width: Option<u16>,
    cancel: Cancel,
}

impl Out {
    pub(crate) fn new(outside: &Outside, flags: &Flags) -> std::io::Result<Self> {
        let stdout = &outside.streams.stdout;
        let sink = Sink::new(stdout.try_clone()?, outside.cancel.clone(), outside.client.clone());
        Ok(Self {
            writer: Mutex::new(BufWriter::with_capacity(1 << 16, sink.clone())),
            sink,
            json: flags.json,
            color: wants_color(flags, &outside.env, stdout),
            width: width(stdout),
            cancel: outside.cancel.clone(),
        })
    }

    /// Whether results are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether people look at it directly.
    pub(crate) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Columns of the terminal, if it is one.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Whether to colour.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// `text` in the colour of this ANSI number, if colours are wanted.
    pub(crate) fn paint(&self, number: u8, text: &str) -> String {
        if self.color { paint(&number.to_string(), text) } else { text.to_owned() }
    }

    /// Writes bytes as they are: content of files, whose reader asked for exactly that. Text goes through `text` or `line`.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if self.cancel.is_urgent() {
            return Err(CliError::Cancelled);
        }
        self.writer.lock().expect("no panic under this lock").write_all(bytes).map_err(|error| stopped(&error))
    }

    /// Writes text, each of its lines with its end. Control characters in it are made visible, but for our own colours: names and messages
    /// come from anybody. On a terminal so are characters that cannot be seen or turn the text around them; a pipe gets names as they are.
    pub(crate) fn text(&self, text: impl AsRef<str>) -> Result<()> {
        self.bytes(shown(text.as_ref(), self.is_terminal()).as_bytes())
    }

    /// Writes a line, as `text` does.
    pub(crate) fn line(&self, line: impl AsRef<str>) -> Result<()> {
        self.text(line)?;
        self.bytes(b"\n")
    }

    /// Writes a piece of what user code printed: as text, or as it came if `raw`.
    pub(crate) fn log(&self, so_far: &mut LogText, piece: &[u8], raw: bool) -> Result<()> {
        if raw { self.bytes(piece) } else { self.text(so_far.push(piece)) }
    }

    /// Writes what is left of a log when no more of it comes.
    pub(crate) fn end_log(&self, so_far: &mut LogText) -> Result<()> {
        self.text(so_far.finish())
    }

    /// Writes an object as one line of JSON, whose escapes stand for what a terminal would act on.
    pub(crate) fn json(&self, object: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(object).expect("what is printed has a JSON form");
        self.bytes(escaped_json(&text).as_bytes())?;
        self.bytes(b"\n")
    }

    /// From now on a bounded part of the results is held until it is taken.
    pub(crate) fn hold(&self) {
        self.sink.hold();
    }

    /// What was held.
    pub(crate) fn take_held(&self) -> Vec<u8> {
        self.sink.take_held()
    }

    /// From now on whoever prints does not wait for a reader who stands still, up to a bound.
    pub(crate) fn keep_back(&self) {
        self.sink.keep_back();
    }

    /// Keeps nothing back any more: gives the reader a moment to take what was.
    pub(crate) fn finish(&self) -> Result<()> {
        self.flush()?;
        self.sink.finish(FINISH_WAIT).map_err(|error| stopped(&error))
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&self) -> Result<()> {
        self.writer.lock().expect("no panic under this lock").flush().map_err(|error| stopped(&error))
    }
}

fn stopped(error: &std::io::Error) -> CliError {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::ClosedPipe,
        // Nobody waits for it any more.
        std::io::ErrorKind::ConnectionAborted => CliError::Cancelled,
        _ => CliError::io("cannot write the output", error),
    }
}

/// Standard error: hints, warnings, what goes on. That it cannot be written stops nothing.
#[derive(Debug)]
pub(crate) struct Notes {
    stderr: Sink,
    quiet: bool,
    color: bool,
    width: Option<u16>,
    cancel: Cancel,
}

impl Notes {
    pub(crate) fn new(outside: &Outside, flags: &Flags) -> std::io::Result<Self> {
        let stderr = &outside.streams.stderr;
        Ok(Self {
            stderr: Sink::new(stderr.try_clone()?, outside.cancel.clone(), outside.client.clone()),
            quiet: flags.quiet,
            color: wants_color(flags, &outside.env, stderr),
            width: width(stderr),
            cancel: outside.cancel.clone(),
        })
    }

    /// Another that writes to the same.
    pub(crate) fn another(&self) -> Self {
        Self { stderr: self.stderr.clone(), cancel: self.cancel.clone(), ..*self }
    }

    /// From now on a bounded part of the notes is held until it is taken, unless people watch what comes.
    pub(crate) fn hold(&self) {
        if !self.is_watched() {
            self.stderr.hold();
        }
    }

    /// What was held.
    pub(crate) fn take_held(&self) -> Vec<u8> {
        self.stderr.take_held()
    }

    /// From now on notes that nobody reads for a moment are dropped: whoever tells them has other things to do.
    pub(crate) fn do_not_wait(&self) {
        self.stderr.drop_notes();
    }

    /// Whether to colour.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Whether people look at it directly and want more than errors.
    pub(crate) fn is_watched(&self) -> bool {
        self.width.is_some() && !self.quiet
    }

    /// A line, unless `-q`.
    pub(crate) fn line(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.text(&format!("{}\n", line.as_ref()));
        }
    }

    /// Moves up so many lines and clears what follows: a block is drawn anew.
    pub(crate) fn wipe(&self, lines: usize) {
        self.send(&format!("\x1b[{lines}A\x1b[J"));
    }

    /// The last line of a command that ends because it was asked to.
    pub(crate) fn farewell(&self, line: &str) {
        if !self.quiet {
            self.stderr.note(shown(&format!("{line}\n"), true).as_bytes());
        }
    }

    /// Bytes as they are: what another process said for this one.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.stderr.note(bytes);
        }
    }

    /// Text, also with `-q`: errors and questions. As everywhere, control characters in it are made visible, but for our own colours.
    pub(crate) fn text(&self, text: &str) {
        self.send(&shown(text, true));
    }

    /// An error as programs read it.
    pub(crate) fn json(&self, json: &str) {
        self.send(&(escaped_json(json.trim_end_matches('\n')).into_owned() + "\n"));
    }

    fn send(&self, text: &str) {
        if !self.cancel.is_urgent() {
            self.stderr.note(text.as_bytes());
        }
    }
}
