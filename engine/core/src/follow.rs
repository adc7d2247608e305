//! Following a job: what it printed in this engine, then what it prints, until it has ended.
//!
//! Nothing here waits. A follower looks, and is told whether there was something new; how long it pauses between two looks, and what it
//! does meanwhile, is its own affair. A job may wait for others before it begins, and may be ended from outside before it began.

use std::sync::Arc;

use repos::{JobRow, Store};

use crate::error::{EngineError, Result};
use crate::feed::{Feed, Follower, Heard};
use crate::live::JobKey;
use crate::phase::Phase;
use crate::scheduler::Engine;

/// Looks without anything new after which the job itself is looked at in the store.
const PATIENCE: u32 = 10;

/// Where a job is.
#[derive(Debug)]
pub enum Whereabouts {
    /// The engine has not looked at it yet.
    NotYet,
    /// It runs here.
    Running(Arc<Feed>),
    /// It has ended.
    Ended,
}

/// Where a job is in this engine; `NotRunning` when it has not ended, and the engine will not run it.
pub fn whereabouts(engine: &Engine, job: &JobRow) -> Result<Whereabouts> {
    let has_ended = engine.phase() == Phase::Ended;
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    if let Some(feed) = engine.live().feed(&key) {
        return Ok(Whereabouts::Running(feed));
    }
    match is_sealed(engine.store(), job)? {
        true => Ok(Whereabouts::Ended),
        false if has_ended => Err(not_running(job)),
        false => Ok(Whereabouts::NotYet),
    }
}

/// That nothing runs a job.
pub fn not_running(job: &JobRow) -> EngineError {
    EngineError::NotRunning { job: format!("{}@{}", job.pipeline, job.run.short(8)) }
}

/// What a look at a job that is followed gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Something new was told.
    News,
    /// Nothing was new; `for_long`: so it was in several looks before, and what has begun may be shown as far as it is there.
    Nothing {
        /// Whether this look is the one that makes it long.
        for_long: bool,
    },
    /// Nothing more will come.
    Over,
}

/// A job that is followed.
#[derive(Debug)]
pub struct Following<'a> {
    engine: &'a Engine,
    job: &'a JobRow,
    feed: Arc<Feed>,
    follower: Follower,
    /// Looks since something was new.
    idle: u32,
}

impl<'a> Following<'a> {
    /// From the job's start in this engine on.
    pub fn new(engine: &'a Engine, job: &'a JobRow, feed: Arc<Feed>) -> Self {
        let follower = feed.follow();
        Self { engine, job, feed, follower, idle: 0 }
    }

    /// Tells `hear` what is new.
    pub fn look<E: From<EngineError>>(&mut self, mut hear: impl FnMut(Heard) -> Result<(), E>) -> Result<Look, E> {
        // What was printed before this is seen by the look after it.
        let is_over = self.engine.phase() == Phase::Ended || self.is_ended_from_outside()?;
        let mut is_new = false;
        let looked = self.follower.look(self.engine.store(), |heard| {
            is_new = true;
            hear(heard).map_err(Stop::Heard)
        });
        let goes_on = looked.map_err(|stop| match stop {
            Stop::Heard(error) => error,
            Stop::Store(error) => EngineError::from(error).into(),
        })?;
        self.idle = if is_new { 0 } else { self.idle + 1 };
        Ok(match is_new {
            _ if !goes_on || (is_over && !is_new) => Look::Over,
            true => Look::News,
            false => Look::Nothing { for_long: self.idle == PATIENCE },
        })
    }

    /// Whether the job has ended; `NotRunning` if it has not.
    pub fn ensure_ended(&self) -> Result<()> {
        if is_sealed(self.engine.store(), self.job)? { Ok(()) } else { Err(not_running(self.job)) }
    }

    fn is_ended_from_outside(&self) -> Result<bool> {
        let is_time = self.idle % PATIENCE == PATIENCE - 1;
        Ok(is_time && self.feed.at_work().is_empty() && is_sealed(self.engine.store(), self.job)?)
    }
}

/// Why a look stops early.
enum Stop<E> {
    Heard(E),
    Store(repos::RepoError),
}

impl<E> From<repos::RepoError> for Stop<E> {
    fn from(error: repos::RepoError) -> Self {
        Self::Store(error)
    }
}

fn is_sealed(store: &Store, job: &JobRow) -> Result<bool> {
    Ok(store.job(job.order, &job.pipeline)?.is_none_or(|job| job.sealed.is_some()))
}
