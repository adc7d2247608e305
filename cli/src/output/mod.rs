//! What commands print: results on stdout, all else on stderr.
//!
//! - `list` lists: a table for people, one JSON object a line for programs; how many and how far back
//! - `human` sizes, counts, times and ids for people
//! - `progress` how far a long operation has come
//! - `sink` writes to a stream without standing still when nobody reads

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::args::{Flags, When};
use crate::context::{Cancel, Environment, Outside};
use crate::error::{CliError, Result};

mod human;
mod list;
mod progress;
mod sink;

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
        if self.color { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if self.cancel.is_urgent() {
            return Err(CliError::Cancelled);
        }
        self.writer.lock().expect("no panic under this lock").write_all(bytes).map_err(|error| stopped(&error))
    }

    /// Writes a line. Control characters in it are made visible, but for colours: names and messages come from anybody. On a terminal so
    /// are characters that cannot be seen or turn the text around them; a pipe gets names as they are.
    pub(crate) fn line(&self, line: impl AsRef<str>) -> Result<()> {
        let line = visible(line.as_ref());
        let line = if self.is_terminal() { without_tricks(&line) } else { line };
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes an object as one line of JSON, whose escapes stand for what a terminal would act on.
    pub(crate) fn json(&self, object: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(object).expect("what is printed has a JSON form");
        self.bytes(escaped_json(&text).as_bytes())?;
        self.bytes(b"\n")
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

/// Text whose control characters are written out, but for line ends, tabs and the codes of colours.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (own, after) = rest.split_at(next.len_utf8());
        let color = after.strip_prefix('[').filter(|_| next == '\x1b').and_then(|code| code.split_once('m'));
        if let Some((code, behind)) = color
            && code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';')
        {
            shown.push_str(&rest[..rest.len() - behind.len()]);
            rest = behind;
            continue;
        }
        if next.is_control() && next != '\n' && next != '\t' {
            shown.extend(next.escape_default());
        } else {
            shown.push_str(own);
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// Whether a character shows nothing of itself but changes how those around it look, or where they stand.
fn is_a_trick(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text in which such characters are written out.
fn without_tricks(text: &str) -> Cow<'_, str> {
    if !text.contains(is_a_trick) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_a_trick(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// JSON whose texts hold no control characters: JSON itself asks for the escapes of some only.
fn escaped_json(json: &str) -> Cow<'_, str> {
    if !json.contains(char::is_control) {
        return Cow::Borrowed(json);
    }
    let shown = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(json.chars().map(shown).collect())
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
            self.text(&format!("{}\n", visible(line.as_ref())));
        }
    }

    /// Moves up so many lines and clears what follows: a block is drawn anew.
    pub(crate) fn wipe(&self, lines: usize) {
        self.text(&format!("\x1b[{lines}A\x1b[J"));
    }

    /// The last line of a command that ends because it was asked to.
    pub(crate) fn farewell(&self, line: &str) {
        if !self.quiet {
            self.stderr.note(format!("{line}\n").as_bytes());
        }
    }

    /// Text as it is, also with `-q`: errors and questions.
    pub(crate) fn text(&self, text: &str) {
        if !self.cancel.is_urgent() {
            self.stderr.note(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_character_and_a_terminal_gets_none_that_it_acts_on() {
        let text: String = (0..0x300_u32).chain(0x2000..0x2100).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&text).unwrap();
        let escaped = escaped_json(&json);
        assert!(!escaped.contains(char::is_control));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert_eq!(
            without_tricks(&visible("a\u{202e}gpj.\u{1b}]0;x\u{7f}e\u{301}")),
            "a\\u{202e}gpj.\\u{1b}]0;x\\u{7f}e\u{301}"
        );
    }
}
