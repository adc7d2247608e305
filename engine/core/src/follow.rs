//! Follows a job: its output in this engine so far, then new output, until it has ended.
//!
//! Nothing here waits. A follower polls, and learns whether there was something new; the pause between two polls is the caller's choice. A
//! job may wait for others before it starts, and may be ended from outside before it started.

use std::sync::Arc;

use repos::{JobRow, Store};

use crate::error::{EngineError, Result};
use crate::feed::{Feed, Follower, Heard};
use crate::live::JobKey;
use crate::phase::Phase;
use crate::scheduler::Engine;

/// Polls without news after which the store is asked whether the job has ended.
const PATIENCE: u32 = 10;

/// The state of a job in an engine.
#[derive(Debug)]
pub enum Whereabouts {
    /// The engine has not examined it yet.
    NotYet,
    /// It runs here.
    Running(Arc<Feed>),
    /// It has ended.
    Ended,
}

/// The state of a job in this engine; `NotRunning` if it has not ended and the engine will not run it.
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

/// The error that nothing runs a job.
pub fn not_running(job: &JobRow) -> EngineError {
    EngineError::NotRunning { job: format!("{}@{}", job.pipeline, job.run.short(8)) }
}

/// The result of polling a followed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// There was something new.
    News,
    /// Nothing was new; `for_long`: this was so in several polls, so incomplete output may be shown.
    Nothing {
        /// Whether this poll is the one that makes it long.
        for_long: bool,
    },
    /// Nothing more will come.
    Over,
}

/// State of following a job.
#[derive(Debug)]
pub struct Following<'a> {
    engine: &'a Engine,
    job: &'a JobRow,
    feed: Arc<Feed>,
    follower: Follower,
    /// Polls since the last news.
    idle: u32,
}

impl<'a> Following<'a> {
    /// Follows from the job's start in this engine.
    pub fn new(engine: &'a Engine, job: &'a JobRow, feed: Arc<Feed>) -> Self {
        let follower = feed.follow();
        Self { engine, job, feed, follower, idle: 0 }
    }

    /// Calls `hear` with everything new.
    pub fn look<E: From<EngineError>>(&mut self, mut hear: impl FnMut(Heard) -> Result<(), E>) -> Result<Look, E> {
        // Checked before polling, so that the poll still sees all earlier output.
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

    /// Checks that the job has ended, else `NotRunning`.
    pub fn ensure_ended(&self) -> Result<()> {
        if is_sealed(self.engine.store(), self.job)? { Ok(()) } else { Err(not_running(self.job)) }
    }

    fn is_ended_from_outside(&self) -> Result<bool> {
        let is_time = self.idle % PATIENCE == PATIENCE - 1;
        Ok(is_time && self.feed.at_work().is_empty() && is_sealed(self.engine.store(), self.job)?)
    }
}

/// Why a poll stops early.
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
