//! When a message is sent again.
//!
//! | attempt | waits before it, if nothing else was asked for |
//! |---|---|
//! | 2, 3, 4 … 14 | 5 s, 10 s, 20 s … 5 h 41 min, doubling |
//! | 15 and later | 6 h |
//!
//! Each wait is shortened by up to a quarter, by chance, so that what failed together does not come back together. A receiver that asks for more
//! time (`Retry-After`) gets it, up to 6 h. A message is given up three days after the first attempt, but never before `TRIES` attempts, since
//! this machine may have been off for as long.

use std::time::Duration;

use repos::Timestamp;

/// The first wait.
const SHORTEST: Duration = Duration::from_secs(5);
/// No wait is longer.
const LONGEST: Duration = Duration::from_hours(6);
/// How long a message is sent again and again.
const PATIENCE: Duration = Duration::from_hours(72);
/// Attempts before a message is given up, however long ago the first was.
const TRIES: u32 = 12;
/// Attempts after which a message is given up whatever the clock says: more than three days have room for.
const MOST_TRIES: u32 = 40;

/// When to send again a message that was sent `tries` times, first at `first` and now without success; `None`: it is given up.
///
/// `asked` is what the receiver asked for, `random` a number from 0 to 1.
pub fn next(tries: u32, first: Timestamp, now: Timestamp, asked: Option<Duration>, random: f64) -> Option<Timestamp> {
    let doubled = SHORTEST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST);
    let share = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
    let wait = doubled.mul_f64(1.0 - share / 4.0).max(asked.unwrap_or_default().min(LONGEST));
    let at = later(now, wait);
    let is_over = tries >= MOST_TRIES || (tries >= TRIES && at > later(first, PATIENCE));
    (!is_over).then_some(at)
}

fn later(from: Timestamp, wait: Duration) -> Timestamp {
    let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(from.as_micros().saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: i64 = 1_782_908_083_000_000;

    fn between(from: Timestamp, to: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(to.as_micros() - from.as_micros()).unwrap())
    }

    /// The waits of a message that never arrives.
    fn waits(random: f64) -> Vec<Duration> {
        let first = Timestamp::from_micros(FIRST);
        let (mut now, mut waits) = (first, Vec::new());
        for tries in 1.. {
            let Some(at) = next(tries, first, now, None, random) else { break };
            waits.push(between(now, at));
            now = at;
        }
        waits
    }

    #[test]
    fn waits_double_from_seconds_to_hours_over_three_days() {
        let waits = waits(0.0);
        let seconds: Vec<u64> = waits.iter().map(Duration::as_secs).collect();
        assert_eq!((&seconds[..4], &seconds[11..14]), (&[5, 10, 20, 40][..], &[10_240, 20_480, 21_600][..]));
        let total = waits.iter().sum();
        assert!((Duration::from_hours(66)..=PATIENCE).contains(&total), "{total:?}");
        assert!(waits.len() < MOST_TRIES as usize);
        assert!(super::tests::waits(1.0).len() < MOST_TRIES as usize, "also with the shortest waits");
    }

    #[test]
    fn a_machine_that_was_off_still_tries() {
        let (first, now) = (Timestamp::from_micros(FIRST), Timestamp::from_micros(FIRST + 30 * 86_400_000_000));
        assert!(next(1, first, now, None, 0.5).is_some());
        assert!(next(TRIES, first, now, None, 0.5).is_none());
    }

    #[test]
    fn what_a_receiver_asks_for_is_heeded_within_bounds() {
        let first = Timestamp::from_micros(FIRST);
        let wait =
            |asked| between(first, next(1, first, first, Some(Duration::from_secs(asked)), 1.0).unwrap()).as_millis();
        assert_eq!((wait(120), wait(0), wait(u64::MAX)), (120_000, 3_750, 21_600_000));
    }

    proptest! {
        #[test]
        fn every_wait_is_within_bounds(
            tries in any::<u32>(), past in -9_000_000_000_i64..900_000_000_000, asked in proptest::option::of(any::<u64>()), random in any::<f64>(),
        ) {
            let (first, now) = (Timestamp::from_micros(FIRST), Timestamp::from_micros(FIRST + past));
            let asked = asked.map(Duration::from_secs);
            match next(tries, first, now, asked, random) {
                Some(at) => {
                    let wait = between(now, at);
                    prop_assert!((Duration::from_millis(3_750)..=LONGEST).contains(&wait), "{:?}", wait);
                    prop_assert!(wait >= asked.unwrap_or_default().min(LONGEST));
                    prop_assert!(tries < TRIES || at <= later(first, PATIENCE));
                }
                None => prop_assert!(tries >= TRIES),
            }
        }

        #[test]
        fn every_series_ends(random in 0.0..1.0) {
            let waits = waits(random);
            prop_assert!(waits.len() >= TRIES as usize && waits.len() < MOST_TRIES as usize);
            prop_assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }
}
