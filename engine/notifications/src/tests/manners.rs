//! Digests and quiet hours, pauses, and what a target's answers lead to.

use std::time::Duration;

use super::{Told, at_time, definition, new};
use crate::desk::Step;
use crate::manage::{create, deliveries, pause, redeliver, resume, show};
use crate::message::Outcome;
use crate::queue::DeliveryState;
use crate::view::NotificationState;

fn later(why: &str) -> Outcome {
    Outcome::Later { why: why.to_owned(), after: None }
}

#[test]
fn a_digest_is_one_message_with_all_that_was_found_in_its_time() {
    let (s, clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut digest = new("digest", &["new file /** in images"]);
    digest.digest = Some("10m".parse().unwrap());
    create(&s.store, digest).unwrap();
    let mut told = Told::by(&s.store, "digest");
    s.put("images", [("/a", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    clock.set("2026-07-01T12:09:59Z");
    s.put("images", [("/b", Some("1")), ("/c", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    clock.set("2026-07-01T12:10:00Z");
    told.turn();
    let message = told.messages.pop().unwrap();
    assert_eq!(message.subject, "new file /a in images@main, and 2 other notifications");
    assert_eq!((message.event.as_str(), message.data["count"].as_u64()), ("digest", Some(3)));
    assert!(message.lines.iter().any(|(_, line)| line == "new file /c in images@main"), "{:?}", message.lines);
    let states: Vec<_> =
        deliveries(&s.store, &"digest".parse().unwrap()).unwrap().iter().map(|one| one.state).collect();
    assert_eq!(states, [DeliveryState::Joined, DeliveryState::Joined, DeliveryState::Delivered]);
    clock.set("2026-07-01T13:00:00Z");
    s.put("images", [("/d", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    clock.set("2026-07-01T13:10:00Z");
    assert_eq!(told.subjects(), ["new file /d in images@main"]);
}

#[test]
fn quiet_hours_hold_messages_back_until_their_end() {
    let (s, clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut quiet = new("quiet", &["new file /** in images"]);
    quiet.quiet_hours = Some("22:00-07:00".to_owned());
    quiet.zone = Some(jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
    create(&s.store, quiet).unwrap();
    assert_eq!(definition(&s.store, "quiet").quiet_hours.unwrap().to_string(), "22:00-07:00[Europe/Berlin]");
    let mut told = Told::by(&s.store, "quiet");
    s.put("images", [("/day", Some("1"))]);
    assert_eq!(told.subjects(), ["new file /day in images@main"]);
    clock.set("2026-07-01T20:00:00Z");
    s.put("images", [("/night", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    let Step::Wait(Some(until)) = told.desk.next().unwrap() else { panic!("no end") };
    assert_eq!(until, super::time("2026-07-02T05:00:00Z"));
    clock.set("2026-07-02T04:00:00Z");
    s.put("images", [("/dawn", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    clock.set("2026-07-02T05:00:00Z");
    assert_eq!(told.subjects(), ["new file /night in images@main, and 1 other notification"]);
}

#[test]
fn what_happens_in_a_pause_is_told_after_it_unless_it_is_skipped() {
    let (s, _clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    let name = "told".parse().unwrap();
    assert_eq!(pause(&s.store, &name).unwrap().state, NotificationState::Paused);
    s.put("images", [("/a", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    assert_eq!(resume(&s.store, &name, false).unwrap().state, NotificationState::Active);
    assert_eq!(told.subjects(), ["new file /a in images@main"]);
    pause(&s.store, &name).unwrap();
    s.put("images", [("/b", Some("1"))]);
    resume(&s.store, &name, true).unwrap();
    s.put("images", [("/c", Some("1"))]);
    assert_eq!(told.subjects(), ["new file /c in images@main"]);
}

#[test]
fn a_target_that_fails_is_tried_again_in_order_and_given_up_after_three_days() {
    let (s, clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    let name = "told".parse().unwrap();
    s.put("images", [("/a", Some("1"))]);
    s.put("images", [("/b", Some("1"))]);
    told.outcomes = [later("500")].into();
    assert_eq!(told.subjects(), Vec::<String>::new());
    let view = show(&s.store, &name).unwrap();
    assert_eq!((view.state, view.why.as_deref(), view.waiting), (NotificationState::Failing, Some("500"), 2));
    assert_eq!(view.next_at, Some(super::time("2026-07-01T12:00:05Z")));
    clock.set("2026-07-01T12:00:05Z");
    assert_eq!(told.subjects(), ["new file /a in images@main", "new file /b in images@main"]);

    s.put("images", [("/c", Some("1"))]);
    s.put("images", [("/d", Some("1"))]);
    told.otherwise = later("500");
    for turn in 0.. {
        assert!(turn < 200, "it ends");
        told.turn();
        let next = deliveries(&s.store, &name).unwrap().iter().find_map(|one| one.next_at);
        let Some(next) = next else { break };
        clock.set(&next.to_string());
    }
    let list = deliveries(&s.store, &name).unwrap();
    let days = list[1].tried_at.unwrap().seconds_since(super::time("2026-07-01T12:00:05Z")) / 86_400.0;
    assert!(list[1].state == DeliveryState::GivenUp && (2.7..3.1).contains(&days), "{days} {list:?}");
    assert!(list[1].tries > 12, "{}", list[1].tries);
    assert_eq!(list[0].state, DeliveryState::GivenUp);
    assert!(list[0].tries < 5, "what waited behind it is not tried for another three days: {}", list[0].tries);
    assert!(told.messages.is_empty());

    let again = redeliver(&s.store, &list[1].id).unwrap();
    assert_eq!((again.id.as_str(), again.state), (list[1].id.as_str(), DeliveryState::Waiting));
    told.otherwise = Outcome::Delivered;
    told.turn();
    assert_eq!(told.messages.pop().unwrap().id, list[1].id);
}

#[test]
fn a_refused_message_does_not_hold_up_the_next_and_a_target_that_ended_gets_none() {
    let (s, _clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    let name = "told".parse().unwrap();
    for path in ["/a", "/b", "/c"] {
        s.put("images", [(path, Some("1"))]);
    }
    let (refused, ended) = (Outcome::Refused { why: "400".to_owned() }, Outcome::Ended { why: "410 Gone".to_owned() });
    told.outcomes = [refused, Outcome::Delivered, ended].into();
    assert_eq!(told.subjects(), ["new file /b in images@main"]);
    let view = show(&s.store, &name).unwrap();
    assert_eq!((view.state, view.why.as_deref(), view.waiting), (NotificationState::Ended, Some("410 Gone"), 1));
    s.put("images", [("/d", Some("1"))]);
    assert_eq!(told.subjects(), Vec::<String>::new());
    resume(&s.store, &name, false).unwrap();
    assert_eq!(told.subjects(), ["new file /c in images@main", "new file /d in images@main"]);
}

#[test]
fn a_target_that_asks_for_time_gets_it() {
    let (s, _clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    s.put("images", [("/a", Some("1"))]);
    told.outcomes = [Outcome::Later { why: "429".to_owned(), after: Some(Duration::from_mins(10)) }].into();
    told.turn();
    let view = show(&s.store, &"told".parse().unwrap()).unwrap();
    assert_eq!(view.next_at, Some(super::time("2026-07-01T12:10:00Z")));
}

#[test]
fn a_journal_is_not_looked_at_further_while_too_much_waits() {
    let (s, _clock) = at_time("2026-07-01T12:00:00Z");
    s.repo("images");
    let mut told = Told::of(&s.store, &["new file /** in images"]);
    // Of each change, twenty files are told one by one.
    for change in 0..60 {
        let names: Vec<String> = (0..20).map(|number| format!("/{change}/{number}")).collect();
        s.put("images", names.iter().map(|name| (name.as_str(), Some("1"))));
    }
    while told.desk.look().unwrap() {}
    let waiting = told.desk.log.state().waiting().count();
    assert!((1_000..1_300).contains(&waiting), "{waiting}");
    // What was sent makes room.
    assert_eq!(told.subjects().len(), waiting);
    assert_eq!(told.subjects().len(), 1_200 - waiting);
}
