//! The end of the screen, where lines are redrawn while something runs.
//!
//! A terminal has one such place, shared by all who draw there: every writer to the terminal first wipes the drawn lines (`Screen::wipe`),
//! so that none is left behind. The lines never exceed the terminal's size, since only visible lines can be wiped.

use std::sync::{Arc, Mutex};

use super::fit::{columns, cut};
use super::{Sink, shown};

/// The rows of a terminal of unknown size.
const ROWS: usize = 24;
/// The columns of a terminal of unknown size.
const COLUMNS: usize = 80;

/// Columns and rows of a terminal; `None` if `file` is not a terminal.
pub(super) fn size(file: &std::fs::File) -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(file).ok()?;
    let or = |number: u16, default| if number == 0 { default } else { usize::from(number) };
    Some((or(size.ws_col, COLUMNS), or(size.ws_row, ROWS)))
}

/// The drawn lines at the end of a terminal. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    sink: Sink,
    /// The width of each drawn line.
    drawn: Arc<Mutex<Vec<usize>>>,
}

impl Screen {
    /// For the terminal that `sink` writes to.
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, drawn: Arc::default() }
    }

    /// Wipes the drawn lines, so that something else can be written there.
    pub(crate) fn wipe(&self) {
        let mut drawn = self.drawn.lock().expect("no panic under this lock");
        if let Some(moves) = self.moves(&mut drawn) {
            self.sink.note(moves.as_bytes());
        }
    }

    /// The escape sequence that wipes the drawn lines. If the terminal became narrower since, they take more rows.
    fn moves(&self, drawn: &mut Vec<usize>) -> Option<String> {
        let (width, _) = self.sink.window().unwrap_or((COLUMNS, ROWS));
        let rows: usize = drawn.drain(..).map(|columns| columns.div_ceil(width).max(1)).sum();
        (rows > 0).then(|| format!("\r\x1b[{rows}A\x1b[J"))
    }

    /// Replaces the drawn lines; `lines` makes the new ones for a width.
    fn draw(&self, lines: impl FnOnce(usize) -> Vec<String>) {
        let (width, height) = self.sink.window().unwrap_or((COLUMNS, ROWS));
        // A terminal may wrap after its last column.
        let width = width.saturating_sub(1).max(1);
        let lines = as_high(lines(width), height.saturating_sub(1).max(1));
        let lines: Vec<String> = lines.iter().map(|line| cut(line, width)).collect();
        let mut drawn = self.drawn.lock().expect("no panic under this lock");
        let mut text = self.moves(&mut drawn).unwrap_or_default();
        for line in &lines {
            text += &shown(line, true);
            text.push('\n');
        }
        drawn.extend(lines.iter().map(|line| columns(line)));
        self.sink.note(text.as_bytes());
    }
}

/// At most `height` lines; the last one then says how many are omitted.
fn as_high(mut lines: Vec<String>, height: usize) -> Vec<String> {
    if lines.len() > height {
        let left = lines.len() - height + 1;
        lines.truncate(height - 1);
        lines.push(format!("  … {left} more"));
    }
    lines
}

/// Lines that are redrawn until this is dropped.
#[derive(Debug)]
pub(crate) struct Block {
    screen: Screen,
}

impl Block {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen }
    }

    /// Replaces the drawn lines; `lines` makes the new ones for a width.
    pub(crate) fn draw(&mut self, lines: impl FnOnce(usize) -> Vec<String>) {
        self.screen.draw(lines);
    }

    /// Wipes the lines.
    pub(crate) fn wipe(&mut self) {
        self.screen.wipe();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.screen.wipe();
    }
}

/// Width of a bar.
const BAR: u64 = 20;

/// A progress bar of twenty columns, at most full.
pub(crate) fn bar(done: u64, total: u64) -> String {
    let part = u128::from(done.min(total)) * u128::from(BAR) / u128::from(total.max(1));
    let full = usize::try_from(part).unwrap_or(usize::MAX);
    "━".repeat(full) + &"─".repeat((BAR as usize).saturating_sub(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_its_width_whatever_is_counted() {
        for (done, total) in [(0, 0), (1, 0), (0, 3), (1, 3), (3, 3), (4, 3), (u64::MAX, 3), (u64::MAX, u64::MAX)] {
            let bar = bar(done, total);
            assert_eq!(bar.chars().count() as u64, BAR, "{done} of {total}: {bar}");
            assert_eq!(bar.contains('─'), done < total || total == 0, "{done} of {total}: {bar}");
        }
    }

    #[test]
    fn what_is_higher_than_the_terminal_is_counted() {
        let lines = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(as_high(lines(3), 3), lines(3));
        assert_eq!(as_high(lines(9), 3), ["0", "1", "  … 7 more"]);
        assert_eq!(as_high(lines(9), 1), ["  … 9 more"]);
    }
}
