//! Shows the output of user code during a trial, line by line with its datum.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use answers::logs::ResultDocument;
use engine::feed::{Feed, Follower, Heard};
use engine::trial::{Begun, Tried};
use specs::{DatumId, Digest};
use tokio::sync::{mpsc, watch};

use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::count;

/// How long an incomplete line is held back.
const PATIENCE: Duration = Duration::from_millis(500);

/// A trial that begins, and the output of its jobs, each from its start.
pub(super) type Began = (Begun, mpsc::UnboundedReceiver<Arc<Feed>>);

/// Shows the output of one trial.
pub(super) struct Log<'a> {
    cx: &'a Context,
    begins: mpsc::UnboundedReceiver<Began>,
    jobs: Option<mpsc::UnboundedReceiver<Arc<Feed>>>,
    followed: Vec<Followed>,
    /// Incomplete lines, by datum number.
    open: BTreeMap<u64, (DatumId, Vec<u8>)>,
    /// Whether an interactive shell runs: then output is shown as it arrives.
    is_shell: bool,
}

/// A job whose output is shown.
struct Followed {
    follower: Follower,
    news: watch::Receiver<()>,
}

impl<'a> Log<'a> {
    pub(super) fn new(cx: &'a Context, begins: mpsc::UnboundedReceiver<Began>, is_shell: bool) -> Self {
        Self { cx, begins, jobs: None, followed: Vec::new(), open: BTreeMap::new(), is_shell }
    }

    /// Waits for the trial and shows its output; stops the trial if the caller is gone.
    pub(super) async fn beside(
        mut self,
        cx: &Context,
        store: &Store,
        work: impl Future<Output = engine::Result<Tried>>,
        stop: watch::Sender<bool>,
    ) -> Result<Tried> {
        let mut work = std::pin::pin!(work);
        let mut is_told = false;
        loop {
            self.look(store)?;
            tokio::select! {
                biased;
                Some((begun, jobs)) = self.begins.recv() => {
                    self.introduce(store, begun);
                    self.jobs = Some(jobs);
                }
                Some(feed) = next(&mut self.jobs) => self.follow(&feed),
                tried = &mut work => {
                    self.rest(store)?;
                    return Ok(tried?);
                }
                () = news(&mut self.followed) => {}
                () = cx.cancel().asked(1), if !is_told => {
                    is_told = true;
                    stop.send_replace(true);
                }
                () = tokio::time::sleep(PATIENCE), if !self.open.is_empty() => self.flush(),
            }
        }
    }

    fn introduce(&self, store: &Store, begun: Begun) {
        if let Some(short) = begun.run.and_then(|run| store.short_run(&run).ok()) {
            self.cx.notes().line(format!("try @{short}"));
        }
    }

    fn follow(&mut self, feed: &Arc<Feed>) {
        self.followed.push(Followed { follower: feed.follow(), news: feed.news() });
    }

    /// Shows new output; returns whether there was any.
    fn look(&mut self, store: &Store) -> Result<bool> {
        let mut is_new = false;
        let mut followed = std::mem::take(&mut self.followed);
        for one in &mut followed {
            // Marked before reading, so that output from now on wakes again.
            one.news.mark_unchanged();
            one.follower.look(store, |heard| {
                is_new = true;
                self.show(store, heard)
            })?;
        }
        self.followed = followed;
        Ok(is_new)
    }

    /// Shows the rest of the output.
    fn rest(&mut self, store: &Store) -> Result<()> {
        while let Some(Ok(feed)) = self.jobs.as_mut().map(mpsc::UnboundedReceiver::try_recv) {
            self.follow(&feed);
        }
        while self.look(store)? {}
        self.flush();
        Ok(())
    }

    fn show(&mut self, store: &Store, heard: Heard) -> Result<(), CliError> {
        match heard {
            Heard::Printed(piece) => {
                if piece.skipped_bytes > 0 {
                    self.cx.notes().line(format!("  … {} bytes omitted", count(piece.skipped_bytes)));
                }
                self.bytes(piece.number, piece.datum, &piece.bytes);
                if piece.end.is_some() {
                    self.flush_one(piece.number);
                }
            }
            Heard::Over(number, _) => self.flush_one(number),
            Heard::Ended(result) => self.ended(store, &result)?,
        }
        Ok(())
    }

    /// A datum that started and ended between two polls.
    fn ended(&mut self, store: &Store, result: &Digest) -> Result<()> {
        let result: ResultDocument = store.document(result)?;
        for log in result.tries.iter().filter_map(|one| one.log) {
            self.bytes(0, result.recipe, &store.log_of(&result, &log)?);
            self.flush_one(0);
        }
        Ok(())
    }

    fn bytes(&mut self, number: u64, datum: DatumId, bytes: &[u8]) {
        if self.is_shell {
            // A failure to print does not end the shell.
            self.cx.out().bytes(bytes).and_then(|()| self.cx.out().flush()).ok();
            return;
        }
        let (_, open) = self.open.entry(number).or_insert_with(|| (datum, Vec::new()));
        open.extend_from_slice(bytes);
        let whole = open.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = open.drain(..whole).collect();
        if open.is_empty() {
            self.open.remove(&number);
        }
        self.print(&datum, &lines);
    }

    /// Shows incomplete lines.
    fn flush(&mut self) {
        for (datum, text) in std::mem::take(&mut self.open).into_values() {
            self.print(&datum, &text);
        }
    }

    fn flush_one(&mut self, number: u64) {
        if let Some((datum, text)) = self.open.remove(&number) {
            self.print(&datum, &text);
        }
    }

    fn print(&self, datum: &DatumId, text: &[u8]) {
        for line in String::from_utf8_lossy(text).lines() {
            self.cx.notes().line(format!("  {} | {line}", datum.short(8)));
        }
    }
}

/// The next job of the trial.
async fn next(jobs: &mut Option<mpsc::UnboundedReceiver<Arc<Feed>>>) -> Option<Arc<Feed>> {
    match jobs {
        Some(jobs) => jobs.recv().await,
        None => None,
    }
}

/// Waits for news of the newest job: jobs of a trial run one after another.
async fn news(followed: &mut [Followed]) {
    match followed.last_mut() {
        Some(one) => drop(one.news.changed().await),
        None => std::future::pending().await,
    }
}
