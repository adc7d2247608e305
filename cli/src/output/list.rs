//! Lists: a table for people, one JSON object a line for programs.

use std::fmt;
use std::str::FromStr;

use repos::Timestamp;
use serde::Serialize;

use super::Human;
use super::table::{Columns, fitted};
use crate::context::Context;
use crate::error::{CliError, Result};

/// Rows shown on a terminal by default.
const ON_A_TERMINAL: usize = 20;

/// One entry of a list: serialized it is the JSON object, and its cells are the line of the table.
pub(crate) trait Row: Serialize {
    /// The words above the columns.
    const HEADER: &'static [&'static str];
    /// The columns that a narrow terminal does without, the first of them first. What is in neither list is always there whole, the last
    /// such column in several lines if need be.
    const GIVES_UP: &'static [&'static str] = &[];
    /// The columns whose texts may be cut short.
    const SHORTENS: &'static [&'static str] = &[];
    /// The text of each column.
    fn cells(&self, human: &Human) -> Vec<String>;
}

/// How much of a list to show, newest first.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Window {
    /// Show N entries; 0 for all [default: 20 on a terminal, all in a pipe]
    #[arg(short = 'n', value_name = "N")]
    limit: Option<usize>,
    /// Show only entries since: `30d`, `2026-07-01`, or a time
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
}

/// A point in time, or how long ago it was.
#[derive(Debug, Clone)]
pub(crate) enum Since {
    Ago(std::time::Duration),
    Date(jiff::civil::Date),
    At(jiff::Timestamp),
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a time: write `30d`, `12h`, `2026-07-01` or `2026-07-01T12:00:00Z`")]
pub(crate) struct NoTime(String);

impl FromStr for Since {
    type Err = NoTime;
    fn from_str(text: &str) -> Result<Self, NoTime> {
        let ago = || text.parse::<specs::Duration>().map(|duration| Self::Ago(duration.get())).ok();
        let date = || if text.len() == 10 { text.parse().map(Self::Date).ok() } else { None };
        let at = || text.parse().map(Self::At).ok();
        ago().or_else(date).or_else(at).ok_or_else(|| NoTime(text.to_owned()))
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(duration) => write!(f, "{} s ago", duration.as_secs()),
            Self::Date(date) => date.fmt(f),
            Self::At(at) => at.fmt(f),
        }
    }
}

impl Window {
    /// The most rows to show; `None` for all.
    pub(crate) fn limit(&self, cx: &Context) -> Option<usize> {
        match self.limit {
            Some(0) => None,
            Some(limit) => Some(limit),
            None => (cx.out().is_terminal() && !cx.out().is_json()).then_some(ON_A_TERMINAL),
        }
    }

    /// From when on; `None` from the beginning.
    pub(crate) fn start(&self, cx: &Context) -> Option<Timestamp> {
        self.since.as_ref()?.start(&cx.human())
    }
}

impl Since {
    /// The point in time, as seen from now and here.
    pub(crate) fn start(&self, human: &Human) -> Option<Timestamp> {
        Some(match self {
            Self::Ago(duration) => {
                let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
                Timestamp::from_micros(human.now().as_micros().saturating_sub(micros))
            }
            Self::At(at) => Timestamp::from_micros(at.as_microsecond()),
            Self::Date(date) => {
                let midnight = date.to_zoned(human.zone().clone()).ok()?;
                Timestamp::from_micros(midnight.timestamp().as_microsecond())
            }
        })
    }
}

impl Context {
    /// Prints a list. `rows` may be endless: no more are asked for than are shown, and one to know that there are more.
    pub(crate) fn list<R: Row>(&self, limit: Option<usize>, rows: impl IntoIterator<Item = Result<R>>) -> Result<()> {
        let mut rows = rows.into_iter();
        let shown = rows.by_ref().take(limit.unwrap_or(usize::MAX));
        if self.out().is_json() {
            return shown.into_iter().try_for_each(|row| self.out().json(&row?));
        }
        let human = self.human();
        let lines: Vec<Vec<String>> = shown.map(|row| Ok(row?.cells(&human))).collect::<Result<_, CliError>>()?;
        if lines.is_empty() {
            return Ok(());
        }
        let columns = Columns { header: R::HEADER, gives_up: R::GIVES_UP, shortens: R::SHORTENS };
        self.out().text(fitted(&columns, lines, self.out().columns()))?;
        if self.out().is_terminal() && rows.next().is_some() {
            self.out().line("…  more: -n 0")?;
        }
        Ok(())
    }

    /// Prints lines of text in columns, with their heads if there are any. Where they do not fit, the last column takes several lines.
    pub(crate) fn table(&self, header: &[&str], lines: Vec<Vec<String>>) -> Result<()> {
        self.columns(&Columns { header, ..Columns::default() }, lines)
    }

    /// The same, with columns that can be given up or cut short.
    pub(crate) fn columns(&self, columns: &Columns<'_>, lines: Vec<Vec<String>>) -> Result<()> {
        self.out().text(fitted(columns, lines, self.out().columns()))
    }
}
