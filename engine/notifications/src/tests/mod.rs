//! What the tests of notifications share: a store with an engine, and a notification at work, step by step.

use std::collections::VecDeque;

use repos::access::{Access, RepoGlobs, Role};
use repos::{OpenOptions, Store, Timestamp};

use crate::definition::Definition;
use crate::desk::{Desk, Step};
use crate::folder::Folder;
use crate::manage::{NewNotification, create};
use crate::message::{Message, Outcome};

mod crashes;
mod facts;
mod managing;
mod manners;
mod messages;
mod running;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../tests/setting.rs"]
mod setting;

use setting::{Setting, StandingClock};

/// A new notification to a target that no test reaches.
fn new(name: &str, on: &[&str]) -> NewNotification {
    NewNotification {
        name: name.parse().unwrap(),
        on: on.iter().map(|rule| (*rule).to_owned()).collect(),
        to: "https://example.com/hook".to_owned(),
        style: None,
        allow_private: false,
        repos: Vec::new(),
        digest: None,
        quiet_hours: None,
        zone: None,
        by: "anna".to_owned(),
    }
}

/// The definition of a notification.
fn definition(store: &Store, name: &str) -> Definition {
    Folder::of(store).find(&name.parse().unwrap()).unwrap().unwrap()
}

fn desk(store: &Store, name: &str) -> Desk {
    Desk::new(store, definition(store, name))
}

fn access(who: &str, role: Role, repos: &[&str]) -> Access {
    Access { who: who.to_owned(), role, repos: RepoGlobs::parse(repos).unwrap(), client: who.to_owned() }
}

/// A notification whose messages arrive at once, and what arrived.
struct Told {
    desk: Desk,
    /// What the next messages come to.
    outcomes: VecDeque<Outcome>,
    /// What all others come to.
    otherwise: Outcome,
    messages: Vec<Message>,
}

impl Told {
    /// Creates a notification with these rules.
    fn of(store: &Store, on: &[&str]) -> Self {
        create(store, new("told", on)).unwrap();
        Self::by(store, "told")
    }

    /// A notification with this name.
    fn by(store: &Store, name: &str) -> Self {
        let desk = desk(store, name);
        Self { desk, outcomes: VecDeque::new(), otherwise: Outcome::Delivered, messages: Vec::new() }
    }

    /// Looks at all new records and sends what is due. The subjects of what arrived since the last call.
    fn subjects(&mut self) -> Vec<String> {
        self.turn();
        self.messages.drain(..).map(|message| message.subject).collect()
    }

    fn turn(&mut self) {
        while self.desk.look().unwrap() {}
        self.desk.compare_levels().unwrap();
        while let Step::Send(message) = self.desk.next().unwrap() {
            let outcome = self.outcomes.pop_front().unwrap_or_else(|| self.otherwise.clone());
            if outcome == Outcome::Delivered {
                self.messages.push((*message).clone());
            }
            self.desk
                .note(&message.id, &outcome, |tries, since, now, asked| {
                    crate::backoff::next(tries, since, now, asked, 0.0)
                })
                .unwrap();
        }
    }
}

/// A setting whose clock stands still.
fn at_time(time: &str) -> (Setting, std::sync::Arc<StandingClock>) {
    let clock = StandingClock::at(time);
    (Setting::of(&OpenOptions::default().clock(clock.clone())), clock)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
