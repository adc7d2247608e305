//! When a schedule comes due, in the store's time type.

use repos::Timestamp;

/// The next time of a schedule after another time.
pub(crate) fn next_after(schedule: &specs::Schedule, time: Timestamp) -> Option<Timestamp> {
    schedule.next_after(instant(time)).map(stored)
}

pub(crate) fn instant(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or_default()
}

pub(crate) fn stored(time: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_microsecond())
}
