//! Progress of a long operation: a bar on a terminal, elsewhere a line at most every ten seconds.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::fit::{Part, of_parts};
use super::screen::Block;
use super::{Notes, count, duration, size};

/// Time between two redraws on a terminal. Operations that end before the first one show nothing, to avoid flicker.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(100);
/// Time between two lines without a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows progress until dropped. May be updated by several threads.
#[derive(Debug)]
pub(crate) struct Progress {
    verb: &'static str,
    how: How,
}

#[derive(Debug)]
enum How {
    Silent,
    Bar(Mutex<Bar>),
    Lines { notes: Notes, last: Mutex<Instant> },
}

/// A line that is redrawn.
#[derive(Debug)]
struct Bar {
    block: Block,
    started: Instant,
    last: Instant,
}

impl Progress {
    pub(crate) fn new(notes: &Notes, verb: &'static str) -> Self {
        let now = Instant::now();
        let how = match notes.is_watched() {
            _ if notes.is_quiet() => How::Silent,
            true => How::Bar(Mutex::new(Bar { block: notes.block(), started: now, last: now })),
            false => How::Lines { notes: notes.another(), last: Mutex::new(now) },
        };
        Self { verb, how }
    }

    /// Shows a count of things done and the total (0 if unknown).
    pub(crate) fn count(&self, what: &str, done: u64, total: u64) {
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => self.draw(bar, done, total, || {
                let of = if total > 0 { format!(" of {}", count(total)) } else { String::new() };
                format!("{what} {}{of}", count(done))
            }),
            How::Lines { notes, last } => {
                if is_time(last) {
                    let of = if total > 0 { format!(" of {}", count(total)) } else { String::new() };
                    notes.line(format!("{} {what}: {}{of}", self.verb, count(done)));
                }
            }
        }
    }

    /// Shows the bytes done and the total (0 if unknown).
    pub(crate) fn bytes(&self, what: &str, bytes: u64, total_bytes: u64) {
        self.say(bytes, total_bytes, || what.to_owned());
    }

    /// Shows the files and bytes done, and the total bytes (0 if unknown).
    pub(crate) fn update(&self, files: u64, bytes: u64, total_bytes: u64) {
        self.say(bytes, total_bytes, || format!("{} files", count(files)));
    }

    /// `what` is called only when it is shown: this runs for every one of very many files.
    fn say(&self, bytes: u64, total_bytes: u64, what: impl Fn() -> String) {
        let of = || if total_bytes > 0 { format!(" of {}", size(total_bytes)) } else { String::new() };
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => self.draw(bar, bytes, total_bytes, || format!("{}  {}{}", what(), size(bytes), of())),
            How::Lines { notes, last } => {
                if is_time(last) {
                    notes.line(format!("{} {}, {}{}", self.verb, what(), size(bytes), of()));
                }
            }
        }
    }
}

impl Progress {
    fn draw(&self, bar: &Mutex<Bar>, done: u64, total: u64, what: impl Fn() -> String) {
        // If another thread is drawing, there is nothing newer to show.
        let Ok(mut bar) = bar.try_lock() else { return };
        if bar.last.elapsed() < BETWEEN_DRAWINGS {
            return;
        }
        bar.last = Instant::now();
        let elapsed = bar.started.elapsed();
        let line = |width| line(&format!("{} {}", self.verb, what()), done, total, elapsed, width);
        bar.block.draw(|width| vec![line(width)]);
    }
}

/// `put 1,200 files  5.0 MB of 10 MB  ━━━━━━━━━━──────────  3 s left`, as far as it fits.
fn line(what: &str, done: u64, total: u64, elapsed: Duration, width: usize) -> String {
    let left = seconds_left(done, total, elapsed).map_or_else(String::new, |left| format!("{} left", duration(left)));
    let bar = if total > 0 { super::bar(done, total) } else { String::new() };
    let part = |rank, text| Part { rank, text };
    of_parts(vec![part(0, what.to_owned()), part(2, bar), part(1, left)], width)
}

/// The remaining time at the average pace so far.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn seconds_left(done: u64, total: u64, elapsed: Duration) -> Option<f64> {
    let left = total.checked_sub(done).filter(|left| *left > 0 && done > 0)?;
    Some(elapsed.as_secs_f64() / done as f64 * left as f64)
}

/// Whether it is time for the next line; if so, restarts the period.
fn is_time(last: &Mutex<Instant>) -> bool {
    let mut last = last.lock().expect("no panic under this lock");
    let is_time = last.elapsed() >= BETWEEN_LINES;
    if is_time {
        *last = Instant::now();
    }
    is_time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fit::columns;

    #[test]
    fn a_bar_tells_files_bytes_and_total_at_any_width() {
        let what = "put 1,200 files  5.0 MB of 10 MB";
        let at = |width| line(what, 5_000_000, 10_000_000, Duration::from_secs(3), width);
        assert_eq!(at(80), format!("{what}  ━━━━━━━━━━──────────  3.0 s left"));
        assert_eq!(at(60), format!("{what}  3.0 s left"));
        assert_eq!(at(40), what);
        assert_eq!(columns(&at(20)), 20);
    }

    #[test]
    fn what_is_left_is_reckoned_from_what_was_done() {
        assert_eq!(seconds_left(10, 40, Duration::from_secs(2)), Some(6.0));
        assert_eq!(
            [
                seconds_left(0, 40, Duration::ZERO),
                seconds_left(9, 0, Duration::ZERO),
                seconds_left(9, 9, Duration::ZERO)
            ],
            [None; 3]
        );
    }
}
