//! What user code prints while it is tried, a line at a time with its datum.

use std::collections::HashMap;
use std::time::Duration;

use engine::aside::{Begun, Tried};
use engine::live::Happened;
use repos::Store;
use specs::DatumId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::context::Context;
use crate::error::Result;
use crate::output::ShortIds;

/// How long a line may wait for its end before it is shown without.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows the output of one try.
pub(super) struct Log<'a> {
    cx: &'a Context,
    feed: Receiver<Happened>,
    begins: watch::Receiver<Option<Begun>>,
    /// Lines that have not ended yet.
    open: HashMap<DatumId, Vec<u8>>,
}

impl<'a> Log<'a> {
    pub(super) fn new(cx: &'a Context, feed: Receiver<Happened>, begins: watch::Receiver<Option<Begun>>) -> Self {
        Self { cx, feed, begins, open: HashMap::new() }
    }

    /// Waits for the try and shows what it prints; asks it to stop when nobody wants it any more.
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
            tokio::select! {
                biased;
                happened = self.feed.recv() => match happened {
                    Ok(happened) => self.show(happened),
                    Err(RecvError::Lagged(_)) => self.cx.notes().line("… some of what it printed is left out here"),
                    Err(RecvError::Closed) => return Ok(work.await?),
                },
                tried = &mut work => {
                    self.flush();
                    return Ok(tried?);
                }
                () = cx.cancel().asked(1), if !is_told => {
                    is_told = true;
                    stop.send_replace(true);
                }
                () = tokio::time::sleep(PATIENCE), if !self.open.is_empty() => self.flush(),
                true = async { self.begins.changed().await.is_ok() } => self.introduce(store),
            }
        }
    }

    fn introduce(&self, store: &Store) {
        let run = self.begins.borrow().and_then(|begun| begun.run);
        if let Some(short) = run.and_then(|run| store.short_run(&run).ok()) {
            self.cx.notes().line(format!("try @{short}"));
        }
    }

    fn show(&mut self, happened: Happened) {
        let Happened::Log { job, datum, bytes } = happened else { return };
        if self.begins.borrow().is_none_or(|begun| begun.order != job.order) {
            return;
        }
        let open = self.open.entry(datum).or_default();
        open.extend_from_slice(&bytes);
        let whole = open.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = open.drain(..whole).collect();
        if open.is_empty() {
            self.open.remove(&datum);
        }
        self.print(&datum, &lines);
    }

    /// Shows lines that have not ended, too.
    fn flush(&mut self) {
        for (datum, text) in std::mem::take(&mut self.open) {
            self.print(&datum, &text);
        }
    }

    fn print(&self, datum: &DatumId, text: &[u8]) {
        for line in String::from_utf8_lossy(text).lines() {
            self.cx.notes().line(format!("  {} | {line}", datum.short(8)));
        }
    }
}
