//! Somebody who follows a job.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use repos::{RepoError, Store};
use specs::Digest;

use super::Feed;
use super::printing::{Place, Printed, Printing};

/// Ended datums reported at a time.
const AT_A_TIME: usize = 256;

/// Reads what a job prints, from its start in this engine on: every byte once, as far as it is kept.
#[derive(Debug)]
pub struct Follower {
    feed: Arc<Feed>,
    /// How many of the ended datums were reported, and of those given up.
    ended: usize,
    given_up: usize,
    /// Datums that were seen at work, and how far they were read.
    open: BTreeMap<u64, (Arc<Printing>, Place)>,
    /// Results of datums that were followed to their end, until they come up among those that have ended.
    told: HashSet<Digest>,
}

/// What there is to tell of a job.
#[derive(Debug)]
pub enum Heard {
    /// A datum printed something, or one of its tries ended.
    Printed(Printed),
    /// A datum has ended of which nothing was told before: its result has all.
    Ended(Digest),
    /// A reported datum has ended, with this result; without one if the job was stopped.
    Over(u64, Option<Digest>),
}

/// What a look gave.
#[derive(Debug)]
struct Seen {
    ended: Vec<Digest>,
    given_up: Vec<Arc<Printing>>,
    at_work: BTreeMap<u64, Arc<Printing>>,
    /// Whether nothing but what was seen will come.
    is_all: bool,
}

impl Follower {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Self { feed, ended: 0, given_up: 0, open: BTreeMap::new(), told: HashSet::new() }
    }

    /// Tells `hear` what is new; false when nothing more will come.
    pub fn look<E: From<RepoError>>(
        &mut self,
        store: &Store,
        mut hear: impl FnMut(Heard) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Seen { ended, given_up, at_work, is_all } = self.see();
        for printing in at_work.values().chain(&given_up) {
            self.open.entry(printing.number()).or_insert_with(|| (printing.clone(), Place::default()));
        }
        // Those whose end was seen are read to their end, before their results are passed over.
        let over: Vec<u64> = self.open.keys().filter(|number| !at_work.contains_key(number)).copied().collect();
        for number in over {
            let Some((printing, mut place)) = self.open.remove(&number) else { continue };
            while let Some(piece) = printing.next(&mut place, store)? {
                hear(Heard::Printed(piece))?;
            }
            let result = printing.result();
            self.told.extend(result);
            hear(Heard::Over(number, result))?;
        }
        for result in ended {
            if !self.told.remove(&result) {
                hear(Heard::Ended(result))?;
            }
        }
        for (printing, place) in self.open.values_mut() {
            if let Some(piece) = printing.next(place, store)? {
                hear(Heard::Printed(piece))?;
            }
        }
        Ok(!is_all)
    }

    /// In one moment: each datum is either at work or has ended.
    fn see(&mut self) -> Seen {
        let inner = self.feed.inner();
        let ended: Vec<Digest> = inner.ended[self.ended..].iter().take(AT_A_TIME).copied().collect();
        let given_up = inner.given_up[self.given_up..].to_vec();
        self.ended += ended.len();
        self.given_up += given_up.len();
        let is_all = inner.is_over && inner.at_work.is_empty() && self.ended == inner.ended.len();
        Seen { ended, given_up, at_work: inner.at_work.clone(), is_all }
    }
}
