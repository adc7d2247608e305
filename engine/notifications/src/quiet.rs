//! Quiet hours: when nothing is sent. Pure.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use repos::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of each day, in a time zone.
///
/// Shape: `22:00-07:00[Europe/Berlin]`; it may go over midnight, and includes its first minute, but not its last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    from: Time,
    to: Time,
    zone: TimeZone,
    zone_name: String,
}

/// Why a text does not describe quiet hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHoursError {
    text: String,
    why: String,
}

impl QuietHoursError {
    /// What to write.
    pub const HINT: &'static str = "--quiet-hours 22:00-07:00, or 22:00-07:00[Europe/Berlin]";
}

impl fmt::Display for QuietHoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` does not describe quiet hours: {}", self.text.escape_debug(), self.why)
    }
}
impl std::error::Error for QuietHoursError {}

impl QuietHours {
    /// Parses a text; without a zone, they are those of `zone`.
    pub fn parse(text: &str, zone: Option<&TimeZone>) -> Result<Self, QuietHoursError> {
        let refuse = |why: String| QuietHoursError { text: text.to_owned(), why };
        let (hours, named) = match text.split_once('[') {
            Some((hours, rest)) => {
                (hours, Some(rest.strip_suffix(']').ok_or_else(|| refuse("`]` is missing".to_owned()))?))
            }
            None => (text, None),
        };
        let (from, to) = hours.split_once('-').ok_or_else(|| refuse("two times are needed".to_owned()))?;
        let (from, to) = (time(from).map_err(refuse)?, time(to).map_err(refuse)?);
        if from == to {
            return Err(refuse("they begin when they end; pv notify pause sends nothing at all".to_owned()));
        }
        let zone_name = match (named, zone.and_then(TimeZone::iana_name)) {
            (Some(name), _) => name.to_owned(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => return Err(refuse("the time zone is not known: add it in brackets".to_owned())),
        };
        let zone = TimeZone::get(&zone_name)
            .map_err(|_| refuse(format!("`{}` is not a time zone", zone_name.escape_debug())))?;
        Ok(Self { from, to, zone, zone_name })
    }

    /// When they end, if `at` is in them; later than `at`.
    pub fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        let local = instant.to_zoned(self.zone.clone());
        let time = local.time();
        let is_over_midnight = self.to < self.from;
        let days = match (is_over_midnight, time >= self.from, time < self.to) {
            (false, true, true) | (true, false, true) => 0,
            (true, true, _) => 1,
            _ => return None,
        };
        let date = local.date().checked_add(jiff::Span::new().days(days)).ok()?;
        let end = date.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?.timestamp().as_microsecond();
        // A clock that is set back repeats an hour: their end may lie before this moment.
        Some(Timestamp::from_micros(end.max(at.as_micros() + 1_000_000)))
    }
}

fn time(text: &str) -> Result<Time, String> {
    let wrong = || format!("`{}` is not a time such as `22:00`", text.trim().escape_debug());
    let (hours, minutes) = text.trim().split_once(':').ok_or_else(wrong)?;
    let is_plain = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain(hours) || minutes.len() != 2 || !is_plain(minutes) {
        return Err(wrong());
    }
    let number = |part: &str| part.parse::<i8>().map_err(|_| wrong());
    Time::new(number(hours)?, number(minutes)?, 0, 0).map_err(|_| wrong())
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}[{}]", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"), self.zone_name)
    }
}
impl FromStr for QuietHours {
    type Err = QuietHoursError;
    fn from_str(text: &str) -> Result<Self, QuietHoursError> {
        Self::parse(text, None)
    }
}
impl TryFrom<String> for QuietHours {
    type Error = QuietHoursError;
    fn try_from(text: String) -> Result<Self, QuietHoursError> {
        text.parse()
    }
}
impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours.to_string()
    }
}
impl JsonSchema for QuietHours {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "QuietHours".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A part of each day in a time zone, such as `22:00-07:00[Europe/Berlin]`.",
            "format": "pv-quiet-hours",
            "pattern": r"^[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2}\[[^\[\]]+\]$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn end(hours: &str, time: &str) -> Option<String> {
        let end = hours.parse::<QuietHours>().unwrap().end(at(time))?;
        Some(end.to_string().replace(":00.000000Z", ""))
    }

    #[test]
    fn they_go_over_midnight_in_their_zone() {
        let night = "22:00-07:00[Europe/Berlin]";
        assert_eq!(end(night, "2026-07-01T19:59:59Z"), None);
        assert_eq!(end(night, "2026-07-01T20:00:00Z").unwrap(), "2026-07-02T05:00");
        assert_eq!(end(night, "2026-07-02T04:59:59Z").unwrap(), "2026-07-02T05:00");
        assert_eq!(end(night, "2026-07-02T05:00:00Z"), None);
        assert_eq!(end("12:30-13:00[UTC]", "2026-07-02T12:45:00Z").unwrap(), "2026-07-02T13:00");
        assert_eq!(end("12:30-13:00[UTC]", "2026-07-02T13:00:00Z"), None);
    }

    #[test]
    fn they_end_when_the_clock_is_set_forward_or_back() {
        // On 2026-03-29, 02:00 becomes 03:00 in Berlin; on 2026-10-25, 03:00 becomes 02:00.
        assert_eq!(end("22:00-02:30[Europe/Berlin]", "2026-03-29T00:30:00Z").unwrap(), "2026-03-29T01:30");
        for (hours, time) in [("22:00-02:30[Europe/Berlin]", "2026-10-25T01:15:00Z")] {
            let quiet: QuietHours = hours.parse().unwrap();
            let mut now = at(time);
            let mut steps = 0;
            while let Some(end) = quiet.end(now) {
                assert!(end > now);
                now = end;
                steps += 1;
                assert!(steps < 5_000, "they end");
            }
        }
    }

    #[test]
    fn a_zone_is_taken_over_and_wrong_texts_are_refused() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let hours = QuietHours::parse("22:00-7:00", Some(&berlin)).unwrap();
        assert_eq!(hours.to_string(), "22:00-07:00[Europe/Berlin]");
        assert_eq!(hours.to_string().parse::<QuietHours>().unwrap(), hours);
        for bad in ["", "22:00", "22-7", "25:00-07:00", "22:00-07:60", "7:00-7:00", "22:00-07:00[Mars]", "22:00-07:00["]
        {
            assert!(QuietHours::parse(bad, Some(&berlin)).is_err(), "{bad}");
        }
        assert!(QuietHours::parse("22:00-07:00", None).is_err());
    }
}
