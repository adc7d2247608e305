//! One notification at work, step by step: it looks at the journal, says what to send, and notes what came of it.
//!
//! Each step leaves the log so that a process that starts after a crash goes on from there: what a record brings is in the log before the
//! cursor is past it, and a message is sent again only if the crash came between its sending and the note of that. Everything here waits for
//! disks, so an async caller uses a blocking task for each step.
//! Not here: the order of steps and their times (`runner`), how a message travels (`sender`).

use std::time::Duration;

use answers::pipeline::pipelines;
use answers::status::free_bytes;
use repos::journal::Position;
use repos::settings::MIN_FREE;
use repos::tokens::Tokens;
use repos::{RepoError, Store, Timestamp};
use specs::ErrorKind;

use crate::compose::Composer;
use crate::definition::Definition;
use crate::fact::Fact;
use crate::facts::facts;
use crate::folder::{Folder, Log};
use crate::message::{Message, Outcome};
use crate::queue::{Line, Next, Queued, State};
use crate::rule::Rule;
use crate::target::Target;

/// Records that are looked at in one step.
const BATCH: usize = 256;
/// Facts after which a step ends.
const FACTS: usize = 256;

/// One notification at work.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Without a limit.
    whole: Store,
    tokens: Tokens,
    definition: Definition,
    pub(crate) log: Log,
    /// The position after the records that the log says were looked at.
    at: Option<Position>,
    /// What showed that the definition is the one that was read.
    stamp: Option<(u64, i64, i64, u64)>,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// To send this, and to note the outcome.
    Send(Box<Message>),
    /// To wait, at most until then.
    Wait(Option<Timestamp>),
}

impl Desk {
    pub(crate) fn new(store: &Store, definition: Definition) -> Self {
        let whole = store.whole();
        let log = Log::of(&Folder::of(&whole), &definition);
        Self { tokens: Tokens::of(&whole), whole, definition, log, at: None, stamp: None }
    }

    /// Who is told.
    pub(crate) fn target(&self) -> &Target {
        &self.definition.to
    }

    /// Reads the definition again, if it is another one. Returns false if the notification was deleted.
    pub(crate) fn renew(&mut self) -> Result<bool, RepoError> {
        let (folder, name) = (Folder::of(&self.whole), &self.definition.name);
        let stamp = folder.stamp(name);
        if stamp.is_some() && stamp == self.stamp {
            return Ok(true);
        }
        match folder.find(name)? {
            // One that was created since, with the same name, has a log of its own.
            Some(found) if found.created_at == self.definition.created_at => {
                (self.definition, self.stamp) = (found, stamp);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn now(&self) -> Timestamp {
        self.whole.clock().now()
    }

    /// Looks at the next records of the journal. Returns whether there may be more.
    pub(crate) fn look(&mut self) -> Result<bool, RepoError> {
        let end = self.whole.position();
        let state = self.log.refresh()?;
        let (records, may_look) = (state.records, !state.rests() && !state.is_full());
        if !may_look || end.records == records || self.held_by()?.is_some() {
            return Ok(false);
        }
        let from = match self.at {
            Some(at) if at.records == records => at,
            _ => self.whole.position_after(records)?,
        };
        let (at, queued) = self.read_from(from)?;
        let now = self.now();
        self.log.change(|state| {
            // Somebody moved the cursor meanwhile, or paused it.
            let is_same = state.records == records && !state.rests();
            let line = Line::Looked { records: at.records, at: now, queued };
            Ok(((), if is_same { vec![line] } else { Vec::new() }))
        })?;
        self.at = Some(at);
        Ok(at.records < end.records)
    }

    /// What the next records bring, and the position after them. A journal that is shorter than it was is looked at from its end.
    fn read_from(&self, from: Position) -> Result<(Position, Vec<Queued>), RepoError> {
        let records = self.whole.records_after(from, BATCH)?;
        // After the records: so it sees all repositories that they name.
        let seen = self.definition.sight(&self.whole)?;
        let (mut at, mut queued) = (from, Vec::new());
        for (after, mut record) in records {
            seen.retain_seen(&mut record.entries);
            match facts(&seen, &self.definition.on, &record) {
                Ok(facts) => queued.extend(facts.into_iter().map(|fact| Queued {
                    id: fact.id(&self.definition.name, self.definition.created_at, after.records),
                    at: record.at,
                    fact,
                })),
                // What was found before it is kept first.
                Err(_) if at.records > from.records => break,
                Err(error) => return Err(error),
            }
            at = after;
            if queued.len() >= FACTS {
                break;
            }
        }
        // Records that cannot be read as such are none of those that matter.
        Ok((if at.records == from.records { self.whole.position_after(from.records + 1)? } else { at }, queued))
    }

    /// Why it tells nothing, if its creator's token does not work any more.
    pub(crate) fn held_by(&self) -> Result<Option<String>, RepoError> {
        self.definition.held_by(&self.tokens, self.now())
    }

    /// Compares the states that rules are about with those last reported.
    pub(crate) fn compare_levels(&mut self) -> engine::Result<()> {
        if !self.definition.has_level() || self.log.refresh()?.rests() || self.held_by()?.is_some() {
            return Ok(());
        }
        let seen = self.definition.sight(&self.whole)?;
        let mut lines = Vec::new();
        let mut levels: Vec<(String, Option<Fact>, bool)> = Vec::new();
        for rule in &self.definition.on {
            match rule {
                Rule::DiskLow => levels.push(disk(&self.whole)?),
                Rule::Behind(limit, of) => {
                    for view in pipelines(&seen, None)? {
                        let (pipeline, runs) = (view.name, view.behind_runs);
                        if of.fit(&pipeline) {
                            let level = format!("pipeline behind {limit} {pipeline}");
                            let is_on = runs >= *limit;
                            let fact = is_on.then_some(Fact::Behind { pipeline, runs, limit: *limit });
                            levels.push((level, fact, !is_on));
                        }
                    }
                }
                Rule::JobFailed(_) | Rule::JobRecovered(_) | Rule::NewFile(..) | Rule::Record(..) => {}
            }
        }
        let (now, state) = (self.now(), self.log.state());
        for (level, fact, is_over) in levels {
            let is_on = state.levels.contains_key(&level);
            match fact {
                Some(fact) if !is_on => {
                    let id = fact.level_id(&self.definition.name, self.definition.created_at, now);
                    lines.push(Line::Level { level, is_on: true, at: now, queued: vec![Queued { id, at: now, fact }] });
                }
                None if is_on && is_over => {
                    lines.push(Line::Level { level, is_on: false, at: now, queued: Vec::new() });
                }
                Some(_) | None => {}
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        // Only this process compares them.
        Ok(self.log.change(|state| Ok(((), if state.rests() { Vec::new() } else { lines })))?)
    }

    /// What to do next.
    pub(crate) fn next(&mut self) -> Result<Step, RepoError> {
        loop {
            let now = self.now();
            if self.held_by()?.is_some() {
                return Ok(Step::Wait(None));
            }
            let manner = self.definition.manner();
            match self.log.refresh()?.next(now, manner) {
                Next::Join { id, others } => {
                    let manner = self.definition.manner();
                    self.log.change(|state| {
                        // Only what is still wanted like this.
                        let line = Line::Joined { id: id.clone(), others: others.clone() };
                        let is_same = state.next(now, manner) == Next::Join { id, others };
                        Ok(((), if is_same { vec![line] } else { Vec::new() }))
                    })?;
                }
                Next::Send(id) => {
                    let seen = self.definition.sight(&self.whole)?;
                    let composer = Composer { store: &seen, name: &self.definition.name };
                    let message = composer.message(&self.log.state().together(&id));
                    return Ok(message.map_or(Step::Wait(None), |message| Step::Send(Box::new(message))));
                }
                Next::At(at) => return Ok(Step::Wait(Some(at))),
                Next::Idle => return Ok(Step::Wait(None)),
            }
        }
    }

    /// Notes what came of sending a message. `again`: when to try next, after this many failures, since when, and what the target asked for.
    pub(crate) fn note(
        &mut self,
        id: &str,
        outcome: &Outcome,
        again: impl FnOnce(u32, Timestamp, Timestamp, Option<Duration>) -> Option<Timestamp>,
    ) -> Result<(), RepoError> {
        let now = self.now();
        let noted = self.log.change(|state: &State| {
            let again = |tries, since, asked| again(tries, since, now, asked);
            let tried = state.tried(id, outcome.clone(), again);
            Ok(((), vec![Line::Tried { id: id.to_owned(), at: now, tried }]))
        });
        match noted {
            // Deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            noted => noted,
        }
    }
}

/// Whether the disk is nearly full, before jobs wait for it; over is that once there is a tenth more.
fn disk(store: &Store) -> engine::Result<(String, Option<Fact>, bool)> {
    let (free_bytes, least_bytes) = (free_bytes(&store.folder())?, store.setting(&MIN_FREE)?);
    let low = least_bytes.saturating_mul(2);
    let fact = (free_bytes < low).then_some(Fact::DiskLow { free_bytes, least_bytes });
    Ok(("disk low".to_owned(), fact, free_bytes >= low.saturating_add(low / 10)))
}
