//! Durations as specs and `--timeout` write them: `30s`, `1h30m`, `500ms`, `2d`.

use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// The units, longest first, each with its length in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A duration written with units, such as `1h30m`.
///
/// Shape: numbers, each followed by `d`, `h`, `m`, `s`, `ms`, `us` or `ns`; a number may have a fraction (`1.5h`). Printed with whole
/// numbers, the longest unit first (`90m` prints as `1h30m`); zero is `0s`. At most 2^64 − 1 nanoseconds, about 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a duration: {why}", .text.escape_debug())]
pub struct DurationError {
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl Duration {
    /// The duration as the standard library's type.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

/// Splits `text` after its leading characters that satisfy `belongs`.
fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// `number` (digits with at most one decimal point) times `unit` nanoseconds; fractions of a nanosecond are cut off.
fn nanoseconds(number: &str, unit: u64) -> Result<u64, &'static str> {
    const TOO_LONG: &str = "it is longer than 584 years";
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err("expected a number before each unit, as in `1h30m`");
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| TOO_LONG)? };
    let mut total = whole.checked_mul(unit).ok_or(TOO_LONG)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(u64::from(digit - b'0') * place).ok_or(TOO_LONG)?;
    }
    Ok(total)
}

fn parse(text: &str) -> Result<std::time::Duration, &'static str> {
    let mut total: u64 = 0;
    let mut rest = text;
    if text.is_empty() {
        return Err("it is empty");
    }
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| !c.is_ascii_digit() && c != '.');
        if unit.is_empty() {
            return Err("a unit is missing; write `30s`, `5m` or `1h30m`");
        }
        let unit = if unit == "µs" { "us" } else { unit };
        let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err("the units are `d`, `h`, `m`, `s`, `ms`, `us` and `ns`");
        };
        total = total.checked_add(nanoseconds(number, *length)?).ok_or("it is longer than 584 years")?;
        rest = after;
    }
    Ok(std::time::Duration::from_nanos(total))
}

impl FromStr for Duration {
    type Err = DurationError;
    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse(text).map(Self).map_err(|why| DurationError { text: text.to_owned(), why })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, length) in UNITS {
            let count = rest / u128::from(length);
            if count > 0 {
                write!(f, "{count}{name}")?;
                rest -= count * u128::from(length);
            }
        }
        Ok(())
    }
}
serde_as_text!(Duration, { "format": "pv-duration", "pattern": crate::pattern::duration() });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(text: &str) -> f64 {
        text.parse::<Duration>().unwrap().get().as_secs_f64()
    }

    #[test]
    fn the_usual_forms_are_read() {
        for (text, expected) in
            [("30s", 30.0), ("1h30m", 5400.0), ("500ms", 0.5), ("2d", 172_800.0), ("1.5h", 5400.0), ("0s", 0.0)]
        {
            assert!((seconds(text) - expected).abs() < f64::EPSILON, "{text}");
        }
        assert_eq!("90m".parse::<Duration>().unwrap().to_string(), "1h30m");
        assert_eq!("3µs".parse::<Duration>().unwrap().to_string(), "3us");
    }

    #[test]
    fn anything_else_is_refused_with_the_rule() {
        for bad in ["", "30", "s", "-5s", "5 s", "1.2.3s", ".s", "5w", "99999999999999999999s", "600000d", "5s3"] {
            assert!(bad.parse::<Duration>().is_err(), "{bad:?}");
        }
        let error = "30".parse::<Duration>().unwrap_err();
        assert_eq!(error.to_string(), "`30` is not a duration: a unit is missing; write `30s`, `5m` or `1h30m`");
    }

    proptest! {
        #[test]
        fn printing_parses_back(nanoseconds in any::<u64>()) {
            let duration = Duration(std::time::Duration::from_nanos(nanoseconds));
            prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.dhmsnuµ]{0,12}") {
            let _ = text.parse::<Duration>();
        }
    }
}
