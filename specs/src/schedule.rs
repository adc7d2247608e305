//! Schedules as in cron inputs and triggers: `*/5 * * * *`, `@daily`, `@every 10s`, `@never`.

use std::fmt;
use std::str::FromStr;

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::digest::serde_as_text;
use crate::duration::Duration;

/// When something is due, in UTC.
///
/// Shape: five fields of cron (minute, hour, day of month, month, day of week),
/// `@yearly @annually @monthly @weekly @daily @midnight @hourly`, `@every DURATION` of at least a second, or `@never`. Schedules with equal
/// text are equal. `@every` counts from 1970-01-01T00:00:00Z, so its times do not depend on when it was created.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    Cron(Box<croner::Cron>),
    /// Whole microseconds.
    Every(i64),
    Never,
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a schedule: {why}", .text.escape_debug())]
pub struct ScheduleError {
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub why: String,
}

impl Schedule {
    /// Parses a schedule.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let refuse = |why: String| ScheduleError { text: text.to_owned(), why };
        let rule = match text.trim() {
            "@never" => Rule::Never,
            every if every.starts_with("@every") => {
                let length = every["@every".len()..].trim().parse::<Duration>().map_err(|error| {
                    refuse(format!("expected a duration after `@every`, as in `@every 10s`: {}", error.why))
                })?;
                let micros =
                    i64::try_from(length.get().as_micros()).map_err(|_| refuse("it is too long".to_owned()))?;
                if micros < 1_000_000 {
                    return Err(refuse("it is shorter than a second".to_owned()));
                }
                Rule::Every(micros)
            }
            zoned if zoned.starts_with("CRON_TZ=") || zoned.starts_with("TZ=") => {
                return Err(refuse("it has a time zone, but all schedules are in UTC".to_owned()));
            }
            cron => {
                // An alias of `@daily` in robfig's cron, and so in Pachyderm.
                let cron = if cron.eq_ignore_ascii_case("@midnight") { "@daily" } else { cron };
                let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
                let parsed = parser.parse(cron).map_err(|error| {
                    refuse(format!("{error}; write five fields, `@daily`, `@every 10s` or `@never`"))
                })?;
                Rule::Cron(Box::new(parsed))
            }
        };
        Ok(Self { text: text.to_owned(), rule })
    }

    /// The schedule as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is a cron expression that never matches, such as 31 February. False for `@never`.
    ///
    /// Such a schedule can be parsed, since old specs may contain it; new specs are refused.
    pub fn is_empty(&self) -> bool {
        // Every possible date occurs within 28 years, unless a century year that is not a leap year intervenes.
        const BEGIN: i64 = 1_704_067_200; // 2024-01-01
        let Rule::Cron(cron) = &self.rule else { return false };
        let begin = Timestamp::from_second(BEGIN).expect("a time of this century");
        cron.find_next_occurrence(&TimeZone::UTC.to_datetime(begin), true).is_err()
    }

    /// The first due time after `time`; `None` if there is none.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Never => None,
            Rule::Every(micros) => {
                let next = (time.as_microsecond().div_euclid(*micros) + 1).checked_mul(*micros)?;
                Timestamp::from_microsecond(next).ok()
            }
            Rule::Cron(cron) => {
                let next = cron.find_next_occurrence(&TimeZone::UTC.to_datetime(time), false).ok()?;
                TimeZone::UTC.to_timestamp(next).ok()
            }
        }
    }
}

impl Schedule {
    /// The last due time at or before `time`; `None` if there was none.
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Never => None,
            Rule::Every(micros) => Timestamp::from_microsecond(time.as_microsecond().div_euclid(*micros) * micros).ok(),
            Rule::Cron(cron) => {
                let last = cron.find_previous_occurrence(&TimeZone::UTC.to_datetime(time), true).ok()?;
                TimeZone::UTC.to_timestamp(last).ok()
            }
        }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Schedule {}
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
impl FromStr for Schedule {
    type Err = ScheduleError;
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::parse(text)
    }
}
serde_as_text!(Schedule);

#[cfg(test)]
mod tests {
    use super::*;

    fn after(schedule: &str, time: &str) -> Option<String> {
        Schedule::parse(schedule).unwrap().next_after(time.parse().unwrap()).map(|next| next.to_string())
    }

    #[test]
    fn the_next_time_is_the_first_one_after() {
        let noon = "2026-11-20T12:00:00Z";
        assert_eq!(after("*/5 * * * *", noon).as_deref(), Some("2026-11-20T12:05:00Z"));
        assert_eq!(after("*/5 * * * *", "2026-11-20T12:04:59.999999Z").as_deref(), Some("2026-11-20T12:05:00Z"));
        assert_eq!(after("@daily", noon).as_deref(), Some("2026-11-21T00:00:00Z"));
        assert_eq!(after("0 0 29 2 *", noon).as_deref(), Some("2028-02-29T00:00:00Z"));
        assert_eq!(after("@every 10s", "2026-11-20T12:00:03Z").as_deref(), Some("2026-11-20T12:00:10Z"));
        assert_eq!(after("@every 10s", noon).as_deref(), Some("2026-11-20T12:00:10Z"));
        assert_eq!(after("@never", noon), None);
    }

    #[test]
    fn the_last_time_is_the_one_before_or_now() {
        let until = |schedule: &str, time: &str| {
            Schedule::parse(schedule).unwrap().last_until(time.parse().unwrap()).map(|last| last.to_string())
        };
        let noon = "2026-11-20T12:00:00Z";
        for schedule in ["*/5 * * * *", "@every 10s"] {
            assert_eq!(until(schedule, noon).as_deref(), Some(noon));
            assert_eq!(until(schedule, "2026-11-20T12:00:09.999999Z").as_deref(), Some(noon));
        }
        assert_eq!(until("*/5 * * * *", "2026-11-20T11:59:59.999999Z").as_deref(), Some("2026-11-20T11:55:00Z"));
        assert_eq!(until("@daily", noon).as_deref(), Some("2026-11-20T00:00:00Z"));
        assert_eq!(until("@never", noon), None);
    }

    #[test]
    fn a_date_that_no_month_has_is_known() {
        let is_empty = |text: &str| Schedule::parse(text).expect(text).is_empty();
        let before = std::time::Instant::now();
        for text in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "*/5 * 30-31 FEB *"] {
            assert!(is_empty(text), "{text}");
        }
        for text in
            ["0 0 29 2 *", "0 0 31 * *", "0 0 31 2 MON", "0 0 L 2 *", "@midnight", "@annually", "@every 1h", "@never"]
        {
            assert!(!is_empty(text), "{text}");
        }
        assert!(before.elapsed().as_secs() < 10, "bounded, whatever is written");
        assert_eq!(after("@midnight", "2026-11-20T12:00:00Z"), after("@daily", "2026-11-20T12:00:00Z"));
        assert_eq!(Schedule::parse("@midnight").unwrap().as_str(), "@midnight");
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "@sometimes",
            "@every",
            "@every 10ms",
            "@every x",
            "@reboot",
            "CRON_TZ=Europe/Berlin 0 3 * * *",
        ] {
            let error = Schedule::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{text}` is not a schedule: ")), "{error}");
        }
    }
}
