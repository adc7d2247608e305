//! `pv logs -f`: prints what a running job has printed, then new output, until the job has ended.
//!
//! Lines of datums that run in parallel are kept apart: each datum's output appears under its headline, a line at a time. An incomplete
//! line is shown when there was no other output for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use answers::datum::{ResultState, Try};
use answers::job::{JobRow, job_id, job_now};
use answers::logs::{LogView, log_view, result_of, title_of};
use engine::Engine;
use engine::feed::{Feed, Heard, Printed};
use engine::follow::{Following, Look, Whereabouts, not_running, whereabouts};
use specs::Digest;

use super::logs::{end_of, headline, print_job, print_result};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{LogText, count};

/// Time between two polls.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// An incomplete line is held back up to this many bytes.
const LINE_BYTES: usize = 64 << 10;

/// Prints the output of a job, old and new. `Unavailable` if no engine runs the job (any more).
pub(super) fn follow(cx: &Context, store: &Store, job: &JobRow, (failed_only, raw): (bool, bool)) -> Result<()> {
    let Some(engine) = cx.engine() else {
        print_job(cx, store, job, (failed_only, raw), true)?;
        cx.out().flush()?;
        return Err(not_running(job).into());
    };
    loop {
        match whereabouts(engine, job)? {
            Whereabouts::NotYet => pause(cx)?,
            Whereabouts::Running(feed) => {
                return Shown { failed_only, raw, ..Shown::new(cx, store, job) }.all(engine, feed);
            }
            Whereabouts::Ended => break,
        }
    }
    let ended = job_now(store, job)?.unwrap_or_else(|| job.clone());
    print_job(cx, store, &ended, (failed_only, raw), true)
}

/// Follows one running datum, by its number in the job.
pub(super) fn follow_datum(
    cx: &Context,
    store: &Store,
    job: &JobRow,
    (feed, number): (&Arc<Feed>, u64),
    raw: bool,
) -> Result<()> {
    let Some(engine) = cx.engine() else { return Err(not_running(job).into()) };
    Shown { only: Some(number), raw, ..Shown::new(cx, store, job) }.all(engine, feed.clone())
}

fn pause(cx: &Context) -> Result<()> {
    if cx.cancel().is_asked() {
        return Err(CliError::Cancelled);
    }
    std::thread::sleep(BETWEEN_LOOKS);
    Ok(())
}

/// State of showing a followed job.
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct Shown<'a> {
    cx: &'a Context,
    store: &'a Store,
    job: &'a JobRow,
    failed_only: bool,
    /// Whether bytes are printed unchanged.
    raw: bool,
    /// The decoder of printed text; the last character or line end may be incomplete.
    text: LogText,
    /// Show only the datum with this number.
    only: Option<u64>,
    open: BTreeMap<u64, Open>,
    /// The datum and try whose headline was printed last.
    under: Option<(u64, usize)>,
    /// Whether the last printed line is incomplete.
    is_mid_line: bool,
    is_done: bool,
}

/// A datum with output.
struct Open {
    title: String,
    try_number: usize,
    last: Printed,
    /// Its incomplete line.
    line: Vec<u8>,
}

impl<'a> Shown<'a> {
    fn new(cx: &'a Context, store: &'a Store, job: &'a JobRow) -> Self {
        let (open, under, text) = (BTreeMap::new(), None, LogText::default());
        let (failed_only, raw, is_mid_line, is_done) = (false, false, false, false);
        Self { cx, store, job, failed_only, raw, text, only: None, open, under, is_mid_line, is_done }
    }

    fn all(mut self, engine: &Engine, feed: Arc<Feed>) -> Result<()> {
        let mut following = Following::new(engine, self.job, feed);
        loop {
            let look = following.look(|heard| self.hear(heard))?;
            if look == Look::Over || self.is_done {
                return self.end(&following);
            }
            // Programs get complete lines only.
            if look == (Look::Nothing { for_long: true }) && !self.cx.out().is_json() {
                self.show_open_lines()?;
            }
            self.cx.out().flush()?;
            if look != Look::News {
                pause(self.cx)?;
            } else if self.cx.cancel().is_asked() {
                return Err(CliError::Cancelled);
            }
        }
    }

    fn end(mut self, following: &Following<'_>) -> Result<()> {
        self.show_open_lines()?;
        self.break_line()?;
        self.cx.out().flush()?;
        if self.is_done { Ok(()) } else { Ok(following.ensure_ended()?) }
    }

    fn hear(&mut self, heard: Heard) -> Result<()> {
        match heard {
            Heard::Printed(piece) if self.is_wanted(piece.number) => self.piece(&piece),
            Heard::Printed(_) => Ok(()),
            Heard::Over(number, result) => self.over(number, result),
            Heard::Ended(result) if self.only.is_none() => self.ended(&result),
            Heard::Ended(_) => Ok(()),
        }
    }

    /// Whether this datum's output is shown while it runs.
    fn is_wanted(&self, number: u64) -> bool {
        !self.failed_only && self.only.is_none_or(|only| only == number)
    }

    fn over(&mut self, number: u64, result: Option<Digest>) -> Result<()> {
        self.is_done |= self.only == Some(number);
        if let Some(open) = self.open.remove(&number) {
            self.show(&open, &open.line, 0, None)?;
        }
        match result.filter(|_| self.failed_only) {
            Some(result) => self.ended(&result),
            None => Ok(()),
        }
    }

    /// A datum ended before any of its output was shown.
    fn ended(&mut self, result: &Digest) -> Result<()> {
        let result = result_of(self.store, result)?;
        if self.failed_only && result.state != ResultState::Failed {
            return Ok(());
        }
        self.break_line()?;
        self.under = None;
        print_result(self.cx, self.store, &result, Some(&title_of(self.store, self.job, &result.recipe)?), self.raw)
    }

    fn piece(&mut self, piece: &Printed) -> Result<()> {
        let mut open = match self.open.remove(&piece.number) {
            Some(open) if open.try_number == piece.try_number => open,
            Some(Open { title, .. }) => {
                Open { title, try_number: piece.try_number, last: piece.clone(), line: Vec::new() }
            }
            None => {
                let title = title_of(self.store, self.job, &piece.datum)?;
                Open { title, try_number: piece.try_number, last: piece.clone(), line: Vec::new() }
            }
        };
        let Printed { bytes, skipped_bytes, end, .. } = piece;
        if *skipped_bytes > 0 {
            let line = std::mem::take(&mut open.line);
            self.show(&open, &line, 0, None)?;
        }
        open.line.extend_from_slice(bytes);
        let whole = if end.is_some() { open.line.len() } else { whole(&open.line) };
        let rest = open.line.split_off(whole);
        let lines = std::mem::replace(&mut open.line, rest);
        open.last = Printed { bytes: Vec::new(), ..piece.clone() };
        self.show(&open, &lines, *skipped_bytes, end.as_ref())?;
        self.open.insert(piece.number, open);
        Ok(())
    }

    fn show_open_lines(&mut self) -> Result<()> {
        let mut open = std::mem::take(&mut self.open);
        for one in open.values_mut() {
            let line = std::mem::take(&mut one.line);
            self.show(one, &line, 0, None)?;
        }
        self.open = open;
        Ok(())
    }

    /// Prints output of a datum under its headline.
    fn show(&mut self, open: &Open, bytes: &[u8], skipped: u64, end: Option<&Try>) -> Result<()> {
        if bytes.is_empty() && skipped == 0 && end.is_none() {
            return Ok(());
        }
        let (datum, number) = (&open.last.datum, open.try_number);
        if self.cx.out().is_json() {
            let view = log_view(datum, &job_id(&self.job.pipeline, &self.job.run), number, end, bytes);
            let (ended, skipped_bytes) = (Some(end.is_some()), Some(skipped));
            return self.cx.out().json(&LogView { ended, skipped_bytes, ..view });
        }
        let place = (open.last.number, number);
        if self.under != Some(place) {
            self.break_line()?;
            self.head(open, "running")?;
            self.under = Some(place);
        }
        if skipped > 0 {
            self.break_line()?;
            self.cx.out().line(format!("… {} bytes omitted: output arrived too quickly …", count(skipped)))?;
        }
        self.cx.out().log(&mut self.text, bytes, self.raw)?;
        self.is_mid_line = bytes.last().map_or(self.is_mid_line, |last| *last != b'\n');
        if let Some(end) = end {
            self.break_line()?;
            if end.exit_code != Some(0) || end.reason.is_some() {
                self.head(open, &end_of(end))?;
            }
            self.under = None;
        }
        Ok(())
    }

    fn head(&self, open: &Open, end: &str) -> Result<()> {
        let of = if open.try_number > 1 { format!("  try {}", open.try_number) } else { String::new() };
        self.cx.out().line(headline(&open.last.datum, &open.title, &format!("{end}{of}")))
    }

    fn break_line(&mut self) -> Result<()> {
        self.cx.out().end_log(&mut self.text)?;
        self.text = LogText::default();
        if std::mem::take(&mut self.is_mid_line) { self.cx.out().line("") } else { Ok(()) }
    }
}

/// The length of the complete lines of a text. If a line is too long, all of it except an incomplete last character.
fn whole(text: &[u8]) -> usize {
    match text.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(end) => end + 1,
        None if text.len() < LINE_BYTES => 0,
        None => match std::str::from_utf8(text) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => text.len(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_whole_and_characters_too() {
        assert_eq!(whole(b"one\ntw"), 4);
        assert_eq!(whole(b"50 %\r"), 5);
        assert_eq!(whole(b"no end"), 0);
        let mut long = vec![b'x'; LINE_BYTES];
        long.extend_from_slice(&"é".as_bytes()[..1]);
        assert_eq!(whole(&long), LINE_BYTES);
    }
}
