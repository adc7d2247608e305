//! Crashes at every write: each event arrives, with the same id, in order, and at most one of them once more for each crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::setting::Setting;
use super::{desk, new};
use crate::desk::{Desk, Step};
use crate::folder::tests::Dies;
use crate::manage::create;
use crate::message::Outcome;

/// What a test does next.
#[derive(Debug, Clone)]
enum Act {
    /// Commits some files.
    Put(u8),
    /// Lets the notification work, until it dies after so many points of writing, with so many tenths of the bytes written.
    Work { dies_after: u64, share: u64, fails: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..4u8).prop_map(Act::Put),
        (1..9u64, 0..10u64, 0..3u8).prop_map(|(dies_after, share, fails)| Act::Work { dies_after, share, fails }),
    ]
}

/// What a receiver got: ids in order, and what each said.
#[derive(Default)]
struct Receiver {
    got: Vec<String>,
    said: BTreeMap<String, String>,
}

impl Receiver {
    fn take(&mut self, id: &str, subject: &str) {
        self.got.push(id.to_owned());
        let before = self.said.insert(id.to_owned(), subject.to_owned());
        assert!(before.is_none_or(|before| before == subject), "an id says one thing");
    }

    /// What it got, without repetitions.
    fn distinct(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeSet::new();
        self.got.iter().filter(|id| seen.insert((*id).clone())).map(|id| self.said[id].clone()).collect()
    }
}

/// Works until nothing is left to do, or the process dies: then false.
fn work(desk: &mut Desk, to: &mut Receiver, mut fails: u8) -> bool {
    let mut step = || -> Result<bool, repos::RepoError> {
        let is_more = desk.look()?;
        match desk.next()? {
            Step::Send(message) => {
                let outcome = if fails > 0 {
                    fails -= 1;
                    Outcome::Later { why: "500".to_owned(), after: Some(Duration::ZERO) }
                } else {
                    to.take(&message.id, &message.subject);
                    Outcome::Delivered
                };
                // It is tried again at once.
                desk.note(&message.id, &outcome, |_, _, now, _| Some(now))?;
                Ok(true)
            }
            Step::Wait(_) => Ok(is_more),
        }
    };
    loop {
        match step() {
            Ok(true) => {}
            Ok(false) => return true,
            Err(error) => {
                assert!(format!("{error:?}").contains("dead"), "{error:?}");
                return false;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_event_arrives_in_order_and_at_most_one_repeats_for_each_crash(acts in proptest::collection::vec(act(), 1..14)) {
        let s = Setting::new();
        s.repo("images");
        create(&s.store, new("told", &["new file /** in images"])).unwrap();
        let (mut to, mut crashes, mut expected) = (Receiver::default(), 0, Vec::new());
        for act in acts {
            match act {
                Act::Put(files) => {
                    let names: Vec<String> = (0..files).map(|n| format!("/{:03}-{n}", expected.len())).collect();
                    s.put("images", names.iter().map(|name| (name.as_str(), Some("1"))));
                    expected.extend(names.iter().map(|name| format!("new file {name} in images@main")));
                }
                Act::Work { dies_after, share, fails } => {
                    let mut one = desk(&s.store, "told");
                    let dies = Arc::new(Dies::after(dies_after, share));
                    one.log.dies = Some(dies.clone());
                    let has_ended = work(&mut one, &mut to, fails);
                    prop_assert_eq!(has_ended, !dies.is_dead());
                    crashes += usize::from(!has_ended);
                }
            }
        }
        let mut last = desk(&s.store, "told");
        prop_assert!(work(&mut last, &mut to, 0));
        prop_assert_eq!(to.distinct(), expected);
        prop_assert!(to.got.len() - to.said.len() <= crashes, "{} repeats after {} crashes", to.got.len() - to.said.len(), crashes);
        prop_assert_eq!(last.log.state().waiting().count(), 0);
    }
}

#[test]
fn a_log_that_has_grown_is_replaced_by_its_sum_and_says_the_same() {
    let s = Setting::new();
    s.repo("images");
    create(&s.store, new("told", &["new file /** in images"])).unwrap();
    let mut one = desk(&s.store, "told");
    one.log.set_long(2_000);
    let mut to = Receiver::default();
    for number in 0..40 {
        s.put("images", [(format!("/{number}").as_str(), Some("1"))]);
        assert!(work(&mut one, &mut to, 1));
    }
    let path = s.store.folder().join("notifications/told.log");
    let lines = std::fs::read_to_string(&path).unwrap();
    assert!(lines.starts_with("{\"line\":\"state\"") && lines.lines().count() < 80, "{}", lines.lines().count());
    let mut again = desk(&s.store, "told");
    assert_eq!(again.log.refresh().unwrap(), one.log.state());
    assert_eq!(to.said.len(), 40);
}
