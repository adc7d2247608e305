//! What running jobs print, for those who follow events: complete lines, each once, from a job's start in this server.

use std::collections::{BTreeMap, VecDeque};

use ::repos::Store;
use answers::job::job_id;
use answers::logs::{self, LogView, log_view};
use engine::feed::{Follower, Heard, Printed};
use engine::live::{JobKey, Live};
use specs::{DatumId, RunId};

/// Most jobs that one listener follows at a time.
const JOBS: usize = 64;
/// Most bytes of an event's text; also how long an incomplete line is waited for.
const TEXT_BYTES: usize = 64 << 10;
/// Jobs that ended, and are remembered so that nothing comes twice.
const REMEMBERED: usize = 1000;

/// The jobs that a listener follows.
#[derive(Debug, Default)]
pub(super) struct Followed {
    jobs: BTreeMap<JobKey, Job>,
    /// Those that ended before they could be followed.
    ended: Vec<(JobKey, RunId)>,
    /// Those that were followed to their end.
    done: VecDeque<JobKey>,
}

#[derive(Debug)]
struct Job {
    id: String,
    follower: Follower,
    /// By the datum's number: its last piece, and its incomplete line.
    open: BTreeMap<u64, (Printed, Vec<u8>)>,
}

impl Followed {
    /// Follows a job that runs, if it is not followed yet.
    pub(super) fn meet(&mut self, live: &Live, key: &JobKey) {
        if self.jobs.len() >= JOBS || self.jobs.contains_key(key) || self.done.contains(key) {
            return;
        }
        if let Some(job) = live.job(key) {
            let id = job_id(&key.pipeline, &job.run);
            self.jobs.insert(key.clone(), Job { id, follower: job.feed.follow(), open: BTreeMap::new() });
        }
    }

    /// A job has ended: what it printed is read from the store, unless it is followed.
    pub(super) fn end(&mut self, key: JobKey, run: RunId) {
        if !self.jobs.contains_key(&key) && !self.done.contains(&key) {
            self.ended.push((key, run));
        }
    }

    /// Whether there is anything to look at.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.ended.is_empty()
    }

    /// What is new.
    pub(super) fn look(&mut self, store: &Store) -> Vec<LogView> {
        let mut views = Vec::new();
        let mut over = Vec::new();
        for (key, Job { id, follower, open }) in &mut self.jobs {
            let looked = follower.look(store, |heard| hear(store, id, open, heard, &mut views));
            match looked {
                Ok(true) => {}
                Ok(false) => over.push(key.clone()),
                Err(error) => {
                    tracing::warn!("the output of job `{id}` cannot be followed: {error}");
                    over.push(key.clone());
                }
            }
        }
        for (key, run) in std::mem::take(&mut self.ended) {
            let id = job_id(&key.pipeline, &run);
            if let Err(error) = ended(store, &key, &id, &mut views) {
                tracing::debug!("the output of job `{id}` cannot be read: {error}");
            }
            over.push(key);
        }
        for key in over {
            self.jobs.remove(&key);
            self.done.push_back(key);
        }
        self.done.drain(..self.done.len().saturating_sub(REMEMBERED));
        views
    }
}

fn hear(
    store: &Store,
    job: &str,
    open: &mut BTreeMap<u64, (Printed, Vec<u8>)>,
    heard: Heard,
    views: &mut Vec<LogView>,
) -> engine::Result<()> {
    match heard {
        Heard::Printed(mut piece) => {
            let mut text = open.remove(&piece.number).map(|(_, rest)| rest).unwrap_or_default();
            text.append(&mut piece.bytes);
            let is_long = text.len() > TEXT_BYTES;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let whole = if piece.end.is_some() || (whole == 0 && is_long) { text.len() } else { whole };
            let rest = text.split_off(whole);
            if !text.is_empty() || piece.end.is_some() || piece.skipped_bytes > 0 {
                views.extend(view(job, &piece, &text));
            }
            if piece.end.is_none() {
                open.insert(piece.number, (Printed { skipped_bytes: 0, ..piece }, rest));
            }
        }
        Heard::Over(number, _) => {
            if let Some((piece, rest)) = open.remove(&number).filter(|(_, rest)| !rest.is_empty()) {
                views.extend(view(job, &piece, &rest));
            }
        }
        Heard::Ended(digest) => {
            let result = logs::result_of(store, &digest)?;
            of_result(store, job, &result, views)?;
        }
    }
    Ok(())
}

/// A piece as events, none of which is too long.
fn view<'a>(job: &'a str, piece: &'a Printed, text: &'a [u8]) -> impl Iterator<Item = LogView> + 'a {
    let count = text.len().div_ceil(TEXT_BYTES).max(1);
    (0..count).map(move |number| {
        let (is_first, is_last) = (number == 0, number + 1 == count);
        let text = &text[number * TEXT_BYTES..text.len().min((number + 1) * TEXT_BYTES)];
        let end = piece.end.as_ref().filter(|_| is_last);
        LogView {
            ended: Some(end.is_some()),
            skipped_bytes: Some(if is_first { piece.skipped_bytes } else { 0 }),
            ..log_view(&piece.datum, job, piece.try_number, end, text)
        }
    })
}

/// What a datum printed that has ended: the end of each try's output.
fn of_result(store: &Store, job: &str, result: &logs::ResultDocument, views: &mut Vec<LogView>) -> engine::Result<()> {
    let datum: DatumId = result.recipe;
    for one in logs::tries_of(store, result) {
        let one = one?;
        let skipped = one.bytes.len().saturating_sub(TEXT_BYTES);
        views.push(LogView {
            ended: Some(true),
            skipped_bytes: Some(skipped as u64),
            ..log_view(&datum, job, one.number, Some(&one.end), &one.bytes[skipped..])
        });
    }
    Ok(())
}

/// What a job printed that has ended.
fn ended(store: &Store, key: &JobKey, job: &str, views: &mut Vec<LogView>) -> engine::Result<()> {
    let Some(row) = store.job(key.order, &key.pipeline)? else { return Ok(()) };
    for log in logs::logs_of_job(store, None, &row, logs::Wanted { failed: false, own: true })? {
        if let logs::DatumLog::Ended(_, result) = log? {
            of_result(store, job, &result, views)?;
        }
    }
    Ok(())
}
