//! Lists: a table for users, one JSON object per line for programs.

use std::fmt;
use std::str::FromStr;

use repos::Timestamp;
use serde::Serialize;

use super::{Human, Out};

/// Rows shown on a terminal by default.
const ON_A_TERMINAL: usize = 20;

/// One entry of a list: serialized as a JSON object, or as cells of a table row.
pub(crate) trait Row: Serialize {
    /// The column headers.
    const HEADER: &'static [&'static str];
    /// The columns that a narrow terminal drops, in this order. A column in neither list is always shown completely; the last such column
    /// is wrapped if necessary.
    const GIVES_UP: &'static [&'static str] = &[];
    /// The columns whose texts may be cut.
    const SHORTENS: &'static [&'static str] = &[];
    /// The text of each column.
    fn cells(&self, human: &Human) -> Vec<String>;
}

/// A printer of lists.
pub(crate) trait Lists {
    /// Standard output, for results.
    fn out(&self) -> &Out;
    /// Formats times for display.
    fn human(&self) -> Human;
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
    /// The maximum number of rows; `None` for all.
    pub(crate) fn limit(&self, cx: &impl Lists) -> Option<usize> {
        match self.limit {
            Some(0) => None,
            Some(limit) => Some(limit),
            None => (cx.out().is_terminal() && !cx.out().is_json()).then_some(ON_A_TERMINAL),
        }
    }

    /// The earliest time of entries; `None` from the beginning.
    pub(crate) fn start(&self, cx: &impl Lists) -> Option<Timestamp> {
        self.since.as_ref()?.start(&cx.human())
    }
}

impl Since {
    /// The point in time, relative to now.
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
