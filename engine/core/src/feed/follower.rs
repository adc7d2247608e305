//! A follower of a job.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use repos::{RepoError, Store};
use specs::Digest;

use super::Feed;
use super::printing::{Printed, Printing, ReadPosition};

/// Number of ended datums reported at a time.
const AT_A_TIME: usize = 256;

/// Reads what a job prints, from its start in this engine: every byte once, as far as it is kept.
#[derive(Debug)]
pub struct Follower {
    feed: Arc<Feed>,
    /// Number of ended datums reported so far, and of abandoned ones.
    ended: usize,
    given_up: usize,
    /// Datums seen in progress, and how far they were read.
    open: BTreeMap<u64, (Arc<Printing>, ReadPosition)>,
    /// Results of datums that were followed to their end, until they appear among the ended ones.
    told: HashSet<Digest>,
}

/// News about a job.
#[derive(Debug)]
pub enum Heard {
    /// A datum printed something, or one of its tries ended.
    Printed(Printed),
    /// A datum that was not reported before has ended: its result has everything.
    Ended(Digest),
    /// A reported datum has ended, with this result; without one if the job was stopped.
    Over(u64, Option<Digest>),
}

/// The result of a look.
#[derive(Debug)]
struct Seen {
    ended: Vec<Digest>,
    given_up: Vec<Arc<Printing>>,
    at_work: BTreeMap<u64, Arc<Printing>>,
    /// Whether nothing further will come.
    is_all: bool,
}

impl Follower {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Self { feed, ended: 0, given_up: 0, open: BTreeMap::new(), told: HashSet::new() }
    }

    /// Reports what is new to `hear`; false if nothing further will come.
    pub fn look<E: From<RepoError>>(
        &mut self,
        store: &Store,
        mut hear: impl FnMut(Heard) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Seen { ended, given_up, at_work, is_all } = self.see();
        for printing in at_work.values().chain(&given_up) {
            self.open.entry(printing.number()).or_insert_with(|| (printing.clone(), ReadPosition::default()));
        }
        // Datums seen to end are read to their end before their results are skipped.
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

    /// One consistent moment: each datum is either in progress or has ended.
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
