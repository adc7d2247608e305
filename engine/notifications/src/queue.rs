//! The queue of one notification: what is to be sent, what became of it, and how much of the journal was looked at. Pure.
//!
//! Its state is the sum of *lines*, in order; the log on disk has them, one after the other (`log`). What a record of the journal brings and
//! the step past that record are one line, so no crash separates them. A delivery has the same id for ever; it is sent again only if it is
//! not known that it arrived.
//!
//! Deliveries are sent in their order: while one waits for its next try, so do the later ones. Of those that are done, the last
//! [`KEPT`] are kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use repos::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fact::Fact;
use crate::message::Outcome;
use crate::quiet::QuietHours;

/// Deliveries that are done and still listed.
pub(crate) const KEPT: usize = 1_000;
/// Deliveries that wait; with more, the journal is not looked at further.
pub(crate) const WAITING: usize = 1_000;

/// So many tries of other deliveries, which failed, count for one that comes after them.
const OF_OTHERS: u32 = 29;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// The target has it.
    Delivered,
    /// The target refused it.
    Refused,
    /// It could not be delivered in the time for that.
    GivenUp,
    /// It is part of another one.
    Joined,
}

impl DeliveryState {
    /// Whether nothing more happens to it by itself.
    pub fn is_done(self) -> bool {
        self != Self::Waiting
    }
}

/// One message to the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    /// What it says.
    pub(crate) fact: Fact,
    /// When that happened.
    pub(crate) at: Timestamp,
    /// When it was found.
    pub(crate) queued_at: Timestamp,
    pub(crate) state: DeliveryState,
    /// How often it was sent.
    #[serde(default)]
    pub(crate) tries: u32,
    /// How often since it was found, asked for again, or its notification was resumed.
    #[serde(default)]
    pub(crate) round: u32,
    /// When it is sent next, after a try that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_at: Option<Timestamp>,
    /// From when on the time to deliver it counts: since it was found, or since somebody asked for it again.
    pub(crate) since: Timestamp,
    /// When it was last sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tried_at: Option<Timestamp>,
    /// What the target or the network said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// The delivery that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part_of: Option<String>,
}

/// A fact on its way into the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) fact: Fact,
}

/// What a try came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Tried {
    Delivered,
    Later { why: String, next: Timestamp },
    GivenUp { why: String },
    Refused { why: String },
    Ended { why: String },
}

/// A step of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(crate) enum Line {
    /// The first `records` of the journal were looked at; that brought these.
    Looked { records: u64, at: Timestamp, queued: Vec<Queued> },
    /// A state that rules are about began or ended; a beginning brings a delivery.
    Level { level: String, is_on: bool, at: Timestamp, queued: Vec<Queued> },
    /// These are sent as one message, with the id of the first.
    Joined { id: String, others: Vec<String> },
    /// One was sent.
    Tried { id: String, at: Timestamp, tried: Tried },
    /// One is to be sent again.
    Again { id: String, at: Timestamp },
    /// Nothing is sent, and the journal is not looked at, until further notice.
    Paused { at: Timestamp },
    /// It goes on; with `records`, after that many records of the journal.
    Resumed {
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        records: Option<u64>,
    },
    /// The sum of all lines before.
    State(Box<State>),
}

/// That the target wants nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) at: Timestamp,
    pub(crate) why: String,
}

/// The sum of lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// How many records of the journal were looked at.
    pub(crate) records: u64,
    #[serde(default)]
    pub(crate) paused_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) ended: Option<Ended>,
    #[serde(default)]
    pub(crate) resumed_at: Option<Timestamp>,
    /// Tries since the target last answered with anything but a failure.
    #[serde(default)]
    pub(crate) failures: u32,
    #[serde(default)]
    pub(crate) delivered_at: Option<Timestamp>,
    /// The states that rules are about, and when each began.
    #[serde(default)]
    pub(crate) levels: BTreeMap<String, Timestamp>,
    /// All that are kept, oldest first.
    #[serde(default)]
    pub(crate) deliveries: VecDeque<Delivery>,
}

/// What a queue wants at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// To note that these are one message.
    Join { id: String, others: Vec<String> },
    /// To send the delivery with this id.
    Send(String),
    /// To wait, at least until then.
    At(Timestamp),
    /// To wait for something new.
    Idle,
}

/// When a queue may send.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner<'d> {
    /// What is found within this time is one message.
    pub(crate) digest: Option<Duration>,
    pub(crate) quiet: Option<&'d QuietHours>,
}

impl State {
    /// Adds a line. One that names what is not there is ignored.
    pub(crate) fn apply(&mut self, line: Line) {
        match line {
            Line::Looked { records, at, queued } => {
                self.records = records;
                for one in queued {
                    self.queue(one, at);
                }
            }
            Line::Level { level, is_on, at, queued } => {
                if is_on {
                    self.levels.insert(level, at);
                } else {
                    self.levels.remove(&level);
                }
                for one in queued {
                    self.queue(one, at);
                }
            }
            Line::Joined { id, others } => {
                for one in self.deliveries.iter_mut().filter(|one| others.contains(&one.id)) {
                    one.state = DeliveryState::Joined;
                    one.part_of = Some(id.clone());
                }
            }
            Line::Tried { id, at, tried } => self.note(&id, at, tried),
            Line::Again { id, at } => {
                if let Some(one) = self.deliveries.iter_mut().find(|one| one.id == id) {
                    one.state = DeliveryState::Waiting;
                    (one.next_at, one.since, one.round) = (None, at, 0);
                }
            }
            Line::Paused { at } => self.paused_at = Some(at),
            Line::Resumed { at, records } => {
                (self.paused_at, self.ended, self.resumed_at, self.failures) = (None, None, Some(at), 0);
                self.records = records.unwrap_or(self.records);
                let waiting = self.deliveries.iter_mut().filter(|one| !one.state.is_done());
                waiting.for_each(|one| (one.next_at, one.round) = (None, 0));
            }
            Line::State(state) => *self = *state,
        }
    }

    fn queue(&mut self, Queued { id, at, fact }: Queued, now: Timestamp) {
        // A clock that stands still, or a line that was written twice.
        if self.deliveries.iter().any(|known| known.id == id) {
            return;
        }
        self.deliveries.push_back(Delivery {
            id,
            fact,
            at,
            queued_at: now,
            state: DeliveryState::Waiting,
            tries: 0,
            round: 0,
            next_at: None,
            since: now,
            tried_at: None,
            why: None,
            part_of: None,
        });
        self.forget();
    }

    /// Removes the oldest of those that are done, if there are too many. What is part of one that waits is still to be sent.
    fn forget(&mut self) {
        let waiting: BTreeSet<&str> = self.waiting().map(|one| one.id.as_str()).collect();
        let is_part = |one: &Delivery| one.part_of.as_deref().is_some_and(|id| waiting.contains(id));
        let mut done = self.deliveries.iter().enumerate().filter(|(_, one)| one.state.is_done() && !is_part(one));
        let oldest = done.next().map(|(at, _)| at).filter(|_| done.count() >= KEPT);
        if let Some(oldest) = oldest {
            self.deliveries.remove(oldest);
        }
    }

    fn note(&mut self, id: &str, at: Timestamp, tried: Tried) {
        if let Tried::Ended { why } = &tried {
            self.ended = Some(Ended { at, why: why.clone() });
        }
        match &tried {
            Tried::Later { .. } | Tried::GivenUp { .. } => self.failures = self.failures.saturating_add(1),
            Tried::Refused { .. } | Tried::Ended { .. } => self.failures = 0,
            Tried::Delivered => (self.failures, self.delivered_at) = (0, Some(at)),
        }
        let Some(one) = self.deliveries.iter_mut().find(|one| one.id == id) else { return };
        (one.tries, one.round) = (one.tries.saturating_add(1), one.round.saturating_add(1));
        (one.tried_at, one.next_at, one.why) = (Some(at), None, None);
        match tried {
            Tried::Delivered => one.state = DeliveryState::Delivered,
            Tried::Later { why, next } => (one.next_at, one.why) = (Some(next), Some(why)),
            Tried::GivenUp { why } => (one.state, one.why) = (DeliveryState::GivenUp, Some(why)),
            Tried::Refused { why } => (one.state, one.why) = (DeliveryState::Refused, Some(why)),
            // It waits, should the target come back.
            Tried::Ended { why } => one.why = Some(why),
        }
    }

    /// The delivery with this id.
    pub(crate) fn find(&self, id: &str) -> Option<&Delivery> {
        self.deliveries.iter().find(|one| one.id == id)
    }

    /// Those that are sent with this one, in order; it is the first.
    pub(crate) fn together(&self, id: &str) -> Vec<&Delivery> {
        let is_part = |one: &&Delivery| one.id == id || one.part_of.as_deref() == Some(id);
        self.deliveries.iter().filter(is_part).collect()
    }

    /// Those that are to be sent, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().filter(|one| !one.state.is_done())
    }

    /// Whether the queue is full.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting().count() >= WAITING
    }

    /// Whether it neither looks nor sends.
    pub(crate) fn rests(&self) -> bool {
        self.paused_at.is_some() || self.ended.is_some()
    }

    /// What to do next.
    pub(crate) fn next(&self, now: Timestamp, manner: Manner<'_>) -> Next {
        if self.rests() {
            return Next::Idle;
        }
        let Some(first) = self.waiting().next() else { return Next::Idle };
        let is_held = |at: Timestamp| manner.quiet.and_then(|quiet| quiet.end(at));
        let is_new = first.tries == 0 && self.together(&first.id).len() == 1;
        let digest = manner.digest.filter(|_| is_new).map_or(first.since, |digest| later(first.since, digest));
        let due = first.next_at.map_or(digest, |next| next.max(digest));
        let due = is_held(due).unwrap_or(due);
        // Of what was held back, one message is enough.
        let is_collected = manner.digest.is_some() || due > first.since.max(first.next_at.unwrap_or(first.since));
        if due > now {
            return Next::At(due);
        }
        // It was due before, and nobody was there to send it.
        if let Some(end) = is_held(now) {
            return Next::At(end);
        }
        if is_new && is_collected {
            let others: Vec<String> =
                self.waiting().skip(1).filter(|one| self.is_alone(one)).map(|one| one.id.clone()).collect();
            if !others.is_empty() {
                return Next::Join { id: first.id.clone(), others };
            }
        }
        Next::Send(first.id.clone())
    }

    /// Whether one was never sent, neither alone nor with others.
    fn is_alone(&self, one: &Delivery) -> bool {
        one.tries == 0 && self.together(&one.id).len() == 1
    }

    /// What a try comes to. `again` says when to try next: after this many tries, since when, and what the target asked for.
    pub(crate) fn tried(
        &self,
        id: &str,
        outcome: Outcome,
        again: impl FnOnce(u32, Timestamp, Option<Duration>) -> Option<Timestamp>,
    ) -> Tried {
        match outcome {
            Outcome::Delivered => Tried::Delivered,
            Outcome::Refused { why } => Tried::Refused { why },
            Outcome::Ended { why } => Tried::Ended { why },
            Outcome::Later { why, after } => {
                let (since, round) = self.find(id).map_or((Timestamp::from_micros(0), 0), |one| (one.since, one.round));
                let since = self.resumed_at.map_or(since, |resumed| resumed.max(since));
                // What waited behind others need not be told again that the target is out of reach.
                let tries = self.failures.min(OF_OTHERS).max(round).saturating_add(1);
                match again(tries, since, after) {
                    Some(next) => Tried::Later { why, next },
                    None => Tried::GivenUp { why },
                }
            }
        }
    }
}

/// A time after another.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.as_micros().saturating_add(by).min(253_402_000_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn queued(id: &str, seconds: i64) -> Queued {
        Queued { id: id.to_owned(), at: at(seconds), fact: Fact::DiskLow { free_bytes: 1, least_bytes: 2 } }
    }

    fn looked(records: u64, seconds: i64, ids: &[&str]) -> Line {
        Line::Looked { records, at: at(seconds), queued: ids.iter().map(|id| queued(id, seconds)).collect() }
    }

    fn sum(lines: impl IntoIterator<Item = Line>) -> State {
        let mut state = State::default();
        lines.into_iter().for_each(|line| state.apply(line));
        state
    }

    fn tried(id: &str, seconds: i64, tried: Tried) -> Line {
        Line::Tried { id: id.to_owned(), at: at(seconds), tried }
    }

    fn later_at(seconds: i64) -> Tried {
        Tried::Later { why: "no answer".to_owned(), next: at(seconds) }
    }

    fn now(state: &State, seconds: i64) -> Next {
        state.next(at(seconds), Manner::default())
    }

    fn send(id: &str) -> Next {
        Next::Send(id.to_owned())
    }

    #[test]
    fn one_that_fails_holds_up_those_behind_it_and_no_other_comes_first() {
        let mut state = sum([looked(3, 0, &["a", "b"])]);
        assert_eq!(now(&state, 0), send("a"));
        state.apply(tried("a", 1, later_at(6)));
        assert_eq!(now(&state, 2), Next::At(at(6)));
        assert_eq!(now(&state, 6), send("a"));
        state.apply(tried("a", 6, Tried::Delivered));
        assert_eq!(now(&state, 6), send("b"));
        state.apply(tried("b", 7, Tried::Refused { why: "404".to_owned() }));
        assert_eq!(now(&state, 7), Next::Idle);
        assert_eq!((state.failures, state.records), (0, 3));
        assert_eq!(state.find("a").unwrap().tries, 2);
    }

    #[test]
    fn a_target_that_ended_gets_nothing_until_it_is_resumed_and_then_what_waits() {
        let mut state = sum([looked(1, 0, &["a"]), tried("a", 1, Tried::Ended { why: "410".to_owned() })]);
        assert_eq!((now(&state, 1), state.rests()), (Next::Idle, true));
        state.apply(Line::Resumed { at: at(9), records: None });
        assert_eq!((now(&state, 9), state.rests()), (send("a"), false));
        state.apply(Line::Paused { at: at(10) });
        assert_eq!(now(&state, 10), Next::Idle);
        state.apply(Line::Resumed { at: at(11), records: Some(7) });
        assert_eq!((now(&state, 11), state.records), (send("a"), 7));
    }

    #[test]
    fn a_digest_joins_what_was_found_within_its_time_once() {
        let manner = Manner { digest: Some(Duration::from_mins(10)), quiet: None };
        let mut state = sum([looked(1, 0, &["a"]), looked(2, 599, &["b", "c"])]);
        assert_eq!(state.next(at(599), manner), Next::At(at(600)));
        let join = Next::Join { id: "a".to_owned(), others: vec!["b".to_owned(), "c".to_owned()] };
        assert_eq!(state.next(at(600), manner), join);
        state.apply(Line::Joined { id: "a".to_owned(), others: vec!["b".to_owned(), "c".to_owned()] });
        state.apply(looked(3, 601, &["d"]));
        assert_eq!(state.next(at(601), manner), send("a"));
        assert_eq!(state.together("a").len(), 3);
        state.apply(tried("a", 601, later_at(700)));
        assert_eq!(state.next(at(700), manner), send("a"), "a repetition says the same");
        state.apply(tried("a", 700, Tried::Delivered));
        assert_eq!(state.next(at(700), manner), Next::At(at(1201)));
        assert_eq!(state.next(at(1201), manner), send("d"), "one alone is sent by itself");
    }

    #[test]
    fn in_quiet_hours_nothing_is_sent_and_what_was_held_back_is_one_message() {
        let quiet: QuietHours = "00:10-00:20[UTC]".parse().unwrap();
        let manner = Manner { digest: None, quiet: Some(&quiet) };
        let mut state = sum([looked(1, 0, &["a"])]);
        assert_eq!(state.next(at(1), manner), send("a"));
        state.apply(tried("a", 590, later_at(610)));
        assert_eq!(state.next(at(610), manner), Next::At(at(1200)), "not even again");
        state.apply(looked(2, 700, &["b"]));
        state.apply(tried("a", 1200, Tried::Delivered));
        state.apply(looked(3, 800, &["c"]));
        assert_eq!(state.next(at(1000), manner), Next::At(at(1200)));
        assert_eq!(state.next(at(1200), manner), Next::Join { id: "b".to_owned(), others: vec!["c".to_owned()] });
        // Nobody was there at their end: the next ones count.
        let other: QuietHours = "00:30-00:40[UTC]".parse().unwrap();
        let manner = Manner { digest: None, quiet: Some(&other) };
        assert_eq!(state.next(at(1900), manner), Next::At(at(2400)));
    }

    #[test]
    fn the_time_to_deliver_counts_from_when_it_was_found_asked_for_or_resumed() {
        let mut state = sum([looked(1, 100, &["a"])]);
        let failed = || Outcome::Later { why: "cut".to_owned(), after: Some(Duration::from_secs(9)) };
        let seen = |state: &State| {
            let mut seen = None;
            state.tried("a", failed(), |tries, since, asked| {
                seen = Some((tries, since, asked));
                None
            });
            seen.unwrap()
        };
        assert_eq!(seen(&state), (1, at(100), Some(Duration::from_secs(9))));
        state.apply(tried("a", 101, later_at(106)));
        assert_eq!(seen(&state).0, 2);
        state.apply(tried("a", 102, Tried::GivenUp { why: "cut".to_owned() }));
        assert_eq!(now(&state, 102), Next::Idle);
        state.apply(Line::Again { id: "a".to_owned(), at: at(500) });
        assert_eq!(now(&state, 500), send("a"));
        assert_eq!(seen(&state), (3, at(500), Some(Duration::from_secs(9))));
        state.apply(Line::Resumed { at: at(900), records: None });
        assert_eq!((seen(&state).0, seen(&state).1), (1, at(900)));
    }

    #[test]
    fn what_is_done_is_forgotten_after_a_thousand_and_what_waits_never() {
        let mut state = sum([looked(1, 0, &["first"])]);
        for number in 0..KEPT + 10 {
            let id = format!("m{number}");
            state.apply(looked(number as u64 + 2, 1, &[&id]));
            state.apply(tried(&id, 1, Tried::Delivered));
        }
        assert!(state.find("first").is_some() && state.find("m0").is_none());
        assert!(state.deliveries.len() <= KEPT + 2);
    }

    #[test]
    fn lines_and_their_sum_have_a_json_form() {
        let state = sum([looked(1, 0, &["a"]), tried("a", 1, later_at(6))]);
        let lines = [
            looked(1, 0, &["a"]),
            tried("a", 1, later_at(6)),
            Line::Level { level: "disk low".to_owned(), is_on: true, at: at(1), queued: vec![queued("b", 1)] },
            Line::Joined { id: "a".to_owned(), others: vec!["b".to_owned()] },
            Line::Again { id: "a".to_owned(), at: at(1) },
            Line::Paused { at: at(1) },
            Line::Resumed { at: at(1), records: Some(2) },
            Line::State(Box::new(state.clone())),
        ];
        for line in lines {
            let json = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line, "{json}");
        }
    }
}
