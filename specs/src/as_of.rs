//! Points in time as users write them after `@`: `{2026-09-01}`, `{2026-09-01 14:02}`, `{3 days ago}`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};

use crate::duration::Duration;

/// A point in time written between `{` and `}`.
///
/// Shape: `2026-09-01` (its first moment), `2026-09-01 14:02[:05]`, an RFC 3339 time; `3 days ago`, `1 hour 30 minutes ago`, `90m`, `now`,
/// `today` (its first moment), `yesterday` (a day ago). Times without a zone are in the caller's zone. Printed as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsOf {
    text: String,
    meaning: Meaning,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Meaning {
    At(Timestamp),
    Local(DateTime),
    Day(Date),
    Today,
    Before(Duration),
    /// Numbers of calendar units.
    Ago(Vec<(i64, Unit)>),
}

/// The accepted forms, for hints.
pub(crate) const FORMS: &str = "write `{2026-09-01}`, `{2026-09-01 14:02}` or `{3 days ago}`";

const UNITS: [(&[&str], Unit); 7] = [
    (&["second", "seconds", "sec", "secs"], Unit::Second),
    (&["minute", "minutes", "min", "mins"], Unit::Minute),
    (&["hour", "hours"], Unit::Hour),
    (&["day", "days"], Unit::Day),
    (&["week", "weeks"], Unit::Week),
    (&["month", "months"], Unit::Month),
    (&["year", "years"], Unit::Year),
];

impl AsOf {
    /// Parses the text between the braces; `None` if it is not a time.
    pub fn parse(text: &str) -> Option<Self> {
        // Keeps the result within the supported years.
        const MOST: i64 = 9_000;
        let words = text.trim();
        let meaning = match words {
            "now" => Meaning::Ago(Vec::new()),
            "today" => Meaning::Today,
            "yesterday" => Meaning::Ago(vec![(1, Unit::Day)]),
            _ => (Timestamp::from_str(words).ok().map(Meaning::At))
                .or_else(|| local(words))
                .or_else(|| words.parse().ok().map(Meaning::Before))
                .or_else(|| ago(words).map(Meaning::Ago))?,
        };
        let is_near =
            |(count, unit): &(i64, Unit)| *count <= if *unit == Unit::Year { MOST } else { MOST * 366 * 86_400 };
        let is_legal = !matches!(&meaning, Meaning::Ago(parts) if !parts.iter().all(is_near));
        is_legal.then(|| Self { text: text.to_owned(), meaning })
    }

    /// The moment, as seen at `now` and in `zone`; `None` beyond the years 0 to 9999.
    pub fn instant(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let here = now.to_zoned(zone.clone());
        Some(match &self.meaning {
            Meaning::At(at) => *at,
            Meaning::Local(time) => time.to_zoned(zone.clone()).ok()?.timestamp(),
            Meaning::Day(date) => date.to_zoned(zone.clone()).ok()?.timestamp(),
            Meaning::Today => here.start_of_day().ok()?.timestamp(),
            Meaning::Before(duration) => now.checked_sub(duration.get()).ok()?,
            Meaning::Ago(parts) => {
                let mut at = here;
                for (count, unit) in parts {
                    at = at.checked_sub(span(*count, *unit)?).ok()?;
                }
                at.timestamp()
            }
        })
    }

    /// As it was written, without braces.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.text)
    }
}

fn span(count: i64, unit: Unit) -> Option<Span> {
    let span = Span::new();
    match unit {
        Unit::Year => span.try_years(count),
        Unit::Month => span.try_months(count),
        Unit::Week => span.try_weeks(count),
        Unit::Day => span.try_days(count),
        Unit::Hour => span.try_hours(count),
        Unit::Minute => span.try_minutes(count),
        _ => span.try_seconds(count),
    }
    .ok()
}

/// A day, or a time of one.
fn local(text: &str) -> Option<Meaning> {
    // Checked by length first: the library also parses `2026-09-01` as a time, which would lose that a day was meant.
    if text.len() == 10 {
        return text.parse().ok().map(Meaning::Day);
    }
    (text.contains(':') && text.len() > 10).then(|| text.parse().ok().map(Meaning::Local)).flatten()
}

/// `3 days ago`, `1 hour 30 minutes ago`, also with points in place of spaces.
fn ago(text: &str) -> Option<Vec<(i64, Unit)>> {
    let text = text.replace(['.', ','], " ");
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "and").collect();
    let (last, parts) = words.split_last()?;
    if *last != "ago" || parts.is_empty() || parts.len() % 2 != 0 {
        return None;
    }
    let part = |pair: &[&str]| {
        let count = match pair[0] {
            "a" | "an" | "one" => 1,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            _ => return None,
        };
        let unit = UNITS.iter().find(|(names, _)| names.contains(&pair[1]))?.1;
        Some((count, unit))
    };
    parts.chunks(2).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Option<String> {
        let now = "2026-11-29T15:30:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        AsOf::parse(text)?.instant(now, &zone).map(|at| at.to_string())
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let cases = [
            ("2026-09-01", "2026-08-31T22:00:00Z"),
            ("2026-09-01 14:02", "2026-09-01T12:02:00Z"),
            ("2026-09-01T14:02:05", "2026-09-01T12:02:05Z"),
            ("2026-09-01T14:02:05Z", "2026-09-01T14:02:05Z"),
            ("2026-09-01T14:02:05+01:00", "2026-09-01T13:02:05Z"),
            ("3 days ago", "2026-11-26T15:30:00Z"),
            ("3.days.ago", "2026-11-26T15:30:00Z"),
            ("1 hour 30 minutes ago", "2026-11-29T14:00:00Z"),
            ("a month ago", "2026-10-29T15:30:00Z"),
            ("90m", "2026-11-29T14:00:00Z"),
            ("now", "2026-11-29T15:30:00Z"),
            ("today", "2026-11-28T22:00:00Z"),
            ("yesterday", "2026-11-28T15:30:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "3",
            "1",
            "main",
            "3 days",
            "days ago",
            "-3 days ago",
            "2026-13-01",
            "2026-09-01 25:00",
            "99999999 years ago",
        ] {
            assert_eq!(AsOf::parse(text), None, "{text}");
        }
    }
}
