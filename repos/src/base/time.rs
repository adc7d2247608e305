//! Points in time as documents and the journal store them, and the clock.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp as Instant;

/// A point in time, to the microsecond.
///
/// Shape: UTC with six decimals and `Z`, such as `2026-07-01T12:14:43.000123Z`, so that text sorts like time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    micros: i64,
}

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z; a value outside the years 0 to 9999 becomes 1970.
    pub fn from_micros(micros: i64) -> Self {
        Self { micros: if Instant::from_microsecond(micros).is_ok() { micros } else { 0 } }
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.micros
    }

    /// Seconds from `earlier` to this time; negative if `earlier` is later.
    #[expect(clippy::cast_precision_loss, reason = "a duration in seconds is for people")]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.micros - earlier.micros) as f64 / 1e6
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = Instant::from_microsecond(self.micros).unwrap_or_default();
        write!(f, "{instant:.6}")
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl FromStr for Timestamp {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Instant>().map(|instant| Self { micros: instant.as_microsecond() })
    }
}
impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}
impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The source of the current time; tests set it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp { micros: Instant::now().as_microsecond() }
    }
}

/// A clock that starts at a given time and advances by one second on each call.
#[derive(Debug)]
pub struct SteppingClock(AtomicI64);

impl SteppingClock {
    /// Starts at `first`.
    pub fn starting_at(first: Timestamp) -> Self {
        Self(AtomicI64::new(first.micros))
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        Timestamp { micros: self.0.fetch_add(1_000_000, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_decimals_and_round_trip() {
        let time = Timestamp::from_micros(1_782_908_083_000_123);
        assert_eq!(time.to_string(), "2026-07-01T12:14:43.000123Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00.000000Z");
    }
}
