//! Lines of text in columns that fit the terminal's width.
//!
//! If they do not fit, first the texts that may be are cut, then columns are dropped in their given order, and the last remaining column is
//! wrapped: what a user looks for, such as a reason, is never lost.

use super::escape::escaped;
use super::fit::{behind, columns, cut, wrap};

/// Spaces between two columns.
const GAP: usize = 2;
/// A text is not cut shorter than this as long as a column can be dropped instead.
const SHORTEST: usize = 20;
/// Minimum width of a wrapped column.
const NARROWEST: usize = 28;

/// The columns of a table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Columns<'a> {
    /// The headers; none for lines of a word and a text.
    pub(crate) header: &'a [&'a str],
    /// Columns that a narrow terminal drops, in this order.
    pub(crate) gives_up: &'a [&'a str],
    /// Columns whose texts may be cut.
    pub(crate) shortens: &'a [&'a str],
}

/// How a column is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is as wide as its widest cell.
    Whole,
    /// Its cells are cut.
    Short,
    /// Its cells are wrapped.
    Broken,
    /// It is dropped.
    Gone,
}

/// The text of a table, with line ends. `width` is that of the terminal; without one nothing is fitted.
pub(crate) fn fitted(spec: &Columns<'_>, rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    // A line end in a cell would look like another row; widths are those of the escaped cells.
    let cell = |cell: String| escaped(&cell.replace('\n', " "), width.is_some()).into_owned();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    let mut layout = Layout::of(spec, &rows);
    if let Some(width) = width {
        layout.fit(spec, width);
    }
    let header: Vec<String> = spec.header.iter().map(|word| (*word).to_owned()).collect();
    let head = if header.iter().all(|word| word.trim().is_empty()) { Vec::new() } else { layout.beside(&header) };
    let lines = head.into_iter().chain(rows.iter().flat_map(|row| layout.lines(row, width)));
    // Names may be wider than the terminal.
    let fits = |line: String| width.map_or_else(|| vec![line.clone()], |width| behind("", "    ", &line, width));
    lines.flat_map(fits).map(|line| line + "\n").collect()
}

struct Layout {
    /// The width and fitting of each column.
    columns: Vec<(usize, Way)>,
    /// Columns without any text below their header.
    empty: Vec<bool>,
    /// The column that does not fit next to the others and is printed below them.
    below: Option<usize>,
}

impl Layout {
    /// Starts with each column as wide as its widest cell.
    fn of(spec: &Columns<'_>, rows: &[Vec<String>]) -> Self {
        let count = rows.iter().map(Vec::len).chain([spec.header.len()]).max().unwrap_or(0);
        let filled = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| columns(cell)).max().unwrap_or(0);
        let widest = |at: usize| filled(at).max(spec.header.get(at).map_or(0, |head| columns(head)));
        let is_in = |list: &[&str], at: usize| spec.header.get(at).is_some_and(|word| list.contains(word));
        let way = |at| if is_in(spec.shortens, at) { Way::Short } else { Way::Whole };
        let mut columns: Vec<_> = (0..count).map(|at| (widest(at), way(at))).collect();
        let stays = |at: &usize| !is_in(spec.gives_up, *at) && columns[*at].1 == Way::Whole;
        if let Some(last) = (0..count).rev().find(stays) {
            columns[last].1 = Way::Broken;
        }
        Self { columns, empty: (0..count).map(|at| filled(at) == 0).collect(), below: None }
    }

    fn fit(&mut self, spec: &Columns<'_>, width: usize) {
        let natural = self.columns.clone();
        self.drop_empty(width);
        for word in spec.gives_up {
            if self.least() <= width {
                break;
            }
            if let Some(at) = spec.header.iter().position(|head| head == word) {
                self.columns[at].1 = Way::Gone;
            }
        }
        if self.least() > width {
            self.below = self.columns.iter().position(|(_, way)| *way == Way::Broken).filter(|at| *at > 0);
        }
        self.share(&natural, width);
    }

    /// Empty columns are dropped first.
    fn drop_empty(&mut self, width: usize) {
        for at in 0..self.columns.len() {
            if self.empty[at] && self.least() > width {
                self.columns[at].1 = Way::Gone;
            }
        }
    }

    /// The minimal width of all columns side by side.
    fn least(&self) -> usize {
        let least = |(width, way): &(usize, Way)| match way {
            Way::Whole => Some(*width),
            Way::Short => Some(*width.min(&SHORTEST)),
            Way::Broken => Some(*width.min(&NARROWEST)),
            Way::Gone => None,
        };
        let there: Vec<usize> = self.columns.iter().filter_map(least).collect();
        there.iter().sum::<usize>() + GAP * there.len().saturating_sub(1)
    }

    /// Gives the remaining width to the columns that are cut or broken.
    fn share(&mut self, natural: &[(usize, Way)], width: usize) {
        let below = self.below;
        let is_beside = |at: usize, way: Way| way != Way::Gone && Some(at) != below;
        let beside = self.columns.iter().enumerate().filter(|(at, (_, way))| is_beside(*at, *way)).count();
        let whole: usize = self.columns.iter().filter(|(_, way)| *way == Way::Whole).map(|(width, _)| width).sum();
        let mut room = width.saturating_sub(whole + GAP * beside.saturating_sub(1));
        // The wrapped column comes first, but leaves the others their minimum.
        let short = self.columns.iter().filter(|(_, way)| *way == Way::Short);
        let kept: usize = short.map(|(width, _)| *width.min(&SHORTEST)).sum();
        for wanted in [Way::Broken, Way::Short] {
            for at in (0..self.columns.len()).filter(|at| Some(*at) != below) {
                if self.columns[at].1 == wanted {
                    let own = if wanted == Way::Broken { room.saturating_sub(kept) } else { room };
                    let given = natural[at].0.min(own.max(1));
                    self.columns[at].0 = given;
                    room = room.saturating_sub(given);
                }
            }
        }
    }

    /// A row as lines; the column below the others comes last.
    fn lines(&self, row: &[String], width: Option<usize>) -> Vec<String> {
        let mut lines = self.beside(row);
        let below = self.below.and_then(|at| row.get(at)).filter(|cell| !cell.is_empty());
        if let (Some(cell), Some(width)) = (below, width) {
            lines.extend(behind("    ", "    ", cell, width));
        }
        lines
    }

    /// The side-by-side columns of a row, in lines.
    fn beside(&self, row: &[String]) -> Vec<String> {
        let mut cells: Vec<Vec<String>> = Vec::new();
        let mut widths = Vec::new();
        for (at, cell) in row.iter().enumerate().filter(|(at, _)| Some(*at) != self.below) {
            let (room, way) = self.columns[at];
            cells.push(match way {
                Way::Gone => continue,
                Way::Whole => vec![cell.clone()],
                Way::Short => vec![cut(cell, room)],
                Way::Broken if columns(cell) <= room => vec![cell.clone()],
                Way::Broken => wrap(cell, room),
            });
            widths.push(room);
        }
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        (0..height).map(|line| line_of(&cells, &widths, line)).collect()
    }
}

/// One line of the cells of a row.
fn line_of(cells: &[Vec<String>], widths: &[usize], line: usize) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let part = cell.get(line).map_or("", String::as_str);
        text += part;
        text += &" ".repeat(width.saturating_sub(columns(part)) + GAP);
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOBS: Columns<'static> = Columns {
        header: &["JOB", "STATE", "WHEN", "TOOK", "RUN + CACHED", "CAUSE", "REASON"],
        gives_up: &["TOOK", "CAUSE", "WHEN", "RUN + CACHED"],
        shortens: &["CAUSE"],
    };

    fn jobs(width: Option<usize>) -> String {
        let row = |cells: [&str; 7]| cells.map(str::to_owned).to_vec();
        let reason = "1 of 60 datums failed; the other 59 are kept";
        let datums = "59 + 2,113,442  1 failed";
        let cause = "commit images@main rules@main";
        let rows = vec![
            row(["detect@3fa9c1d2", "failure", "12 min ago", "41 s", datums, cause, reason]),
            row(["detect@90c4d5e1", "success", "3 h ago", "2.0 s", "60 + 0", "commit rules@main", ""]),
        ];
        fitted(&JOBS, rows, width)
    }

    #[test]
    fn a_narrow_table_does_without_what_matters_least_and_keeps_the_reason() {
        assert_eq!(jobs(Some(200)), jobs(None));
        insta::assert_snapshot!(jobs(Some(60)), @r"
        JOB              STATE    REASON
        detect@3fa9c1d2  failure  1 of 60 datums failed; the other
                                  59 are kept
        detect@90c4d5e1  success
        ");
        insta::assert_snapshot!(jobs(Some(80)), @r"
        JOB              STATE    RUN + CACHED              REASON
        detect@3fa9c1d2  failure  59 + 2,113,442  1 failed  1 of 60 datums failed; the
                                                            other 59 are kept
        detect@90c4d5e1  success  60 + 0
        ");
        insta::assert_snapshot!(jobs(Some(100)), @r"
        JOB              STATE    WHEN        RUN + CACHED              REASON
        detect@3fa9c1d2  failure  12 min ago  59 + 2,113,442  1 failed  1 of 60 datums failed; the other 59
                                                                        are kept
        detect@90c4d5e1  success  3 h ago     60 + 0
        ");
        insta::assert_snapshot!(jobs(Some(200)), @r"
        JOB              STATE    WHEN        TOOK   RUN + CACHED              CAUSE                          REASON
        detect@3fa9c1d2  failure  12 min ago  41 s   59 + 2,113,442  1 failed  commit images@main rules@main  1 of 60 datums failed; the other 59 are kept
        detect@90c4d5e1  success  3 h ago     2.0 s  60 + 0                    commit rules@main
        ");
    }

    proptest! {
        #[test]
        fn every_line_fits_and_the_last_column_is_whole(
            rows in prop::collection::vec(["[a-z]{1,12}", "[a-z ]{0,40}", "[a-z]{0,9}", "[a-z ]{0,90}"], 1..6),
            width in 40_usize..160,
        ) {
            let spec = Columns { header: &["NAME", "TEXT", "SIZE", "REASON"], gives_up: &["SIZE"], shortens: &["TEXT"] };
            let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.to_vec()).collect();
            let reasons: Vec<String> = rows.iter().map(|row| row[3].split_whitespace().collect()).collect();
            let shown = fitted(&spec, rows, Some(width));
            for line in shown.lines() {
                prop_assert!(columns(line) <= width, "{}", shown);
            }
            let all: String = shown.split_whitespace().collect();
            for reason in reasons {
                prop_assert!(all.contains(&reason), "{reason} in {shown}");
            }
        }
    }
}
