//! Formats times and ids for display.

use jiff::tz::TimeZone;
use repos::Timestamp;
use specs::{Digest, SHORT_DIGITS};

use crate::invocation::Environment;

/// Formats times relative to now, in the caller's time zone.
#[derive(Debug, Clone)]
pub(crate) struct Human {
    now: Timestamp,
    zone: TimeZone,
}

impl Human {
    /// At `now`, in the time zone from the environment, else the machine's.
    pub(crate) fn new(now: Timestamp, env: &Environment) -> Self {
        let zone = env.get("TZ").and_then(|name| TimeZone::get(name.trim_start_matches(':')).ok());
        Self { now, zone: zone.unwrap_or_else(TimeZone::system) }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The caller's time zone.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How long ago: `8 s ago`, `12 min ago`, `3 h ago`, `yesterday`, `26 days ago`; after a year the date.
    #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
    pub(crate) fn ago(&self, time: Timestamp) -> String {
        let seconds = self.now.seconds_since(time).max(0.0) as u64;
        match seconds {
            0..60 => format!("{seconds} s ago"),
            60..3600 => format!("{} min ago", seconds / 60),
            3600..86_400 => format!("{} h ago", seconds / 3600),
            86_400..172_800 => "yesterday".to_owned(),
            172_800..31_536_000 => format!("{} days ago", seconds / 86_400),
            _ => self.date(time),
        }
    }

    /// The time until a future time: `12 min`.
    pub(crate) fn until(&self, time: Timestamp) -> String {
        let seconds = time.seconds_since(self.now).max(0.0) as u64;
        match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min", seconds / 60),
            3600..172_800 => format!("{} h", seconds / 3600),
            _ => format!("{} days", seconds / 86_400),
        }
    }

    /// Local time with its offset: `2026-07-01 11:02:31 +02:00`.
    pub(crate) fn local(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// Local time and UTC: `2026-07-01 11:02:31 +02:00 (09:02:31Z)`.
    pub(crate) fn local_and_utc(&self, time: Timestamp) -> String {
        let utc = self.zoned(time).with_time_zone(TimeZone::UTC);
        format!("{} ({})", self.local(time), utc.strftime("%H:%M:%SZ"))
    }

    /// The local date: `2026-07-01`.
    pub(crate) fn date(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%Y-%m-%d").to_string()
    }

    fn zoned(&self, time: Timestamp) -> jiff::Zoned {
        let instant = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or_default();
        instant.to_zoned(self.zone.clone())
    }
}

/// The first digits of a digest, for display only.
pub(crate) fn short_digest(digest: &Digest) -> String {
    digest.short(SHORT_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_micros(1_782_908_083_000_000);
        let env = Environment::new([("TZ".into(), "Europe/Berlin".into())]);
        let human = Human::new(now, &env);
        let ago = |seconds: i64| human.ago(Timestamp::from_micros(now.as_micros() - seconds * 1_000_000));
        let times = [ago(-5), ago(59), ago(720), ago(3 * 3600), ago(100_000), ago(26 * 86_400), ago(400 * 86_400)];
        assert_eq!(times, ["0 s ago", "59 s ago", "12 min ago", "3 h ago", "yesterday", "26 days ago", "2025-05-27"]);
        assert_eq!(human.local_and_utc(now), "2026-07-01 14:14:43 +02:00 (12:14:43Z)");
    }
}
