//! Follows the journal once for all listeners.
//!
//! A listener subscribes, reads what it missed from the journal, and then gets each new record from here. One that is too slow for that
//! reads from the journal again, so it loses nothing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use repos::Store;
use repos::journal::{Position, Record};
use tokio::sync::{Notify, broadcast};

/// How often the end of the journal is looked at, unless somebody says that it moved: a comparison of numbers in memory.
const LOOK: Duration = Duration::from_millis(10);
/// Records that a slow listener may lag behind before it reads the journal itself.
const AHEAD: usize = 1024;
/// Records that are read at once.
pub(crate) const BATCH: usize = 256;

/// A new record of the journal, shared by all who listen.
#[derive(Debug)]
pub(crate) struct NewRecord {
    /// The position after it.
    pub(crate) after: Position,
    pub(crate) record: Record,
    /// As it is sent, in each form, to those who see and want all of it; `None`: nothing of it is an event.
    whole: [OnceLock<Option<Bytes>>; 2],
}

impl NewRecord {
    fn new(after: Position, record: Record) -> Self {
        Self { after, record, whole: Default::default() }
    }

    /// All of it as it is sent: as lines or as server-sent events. `form` is called for the first who asks.
    pub(crate) fn whole(&self, is_lines: bool, form: impl FnOnce(&Record) -> Option<Bytes>) -> Option<Bytes> {
        self.whole[usize::from(is_lines)].get_or_init(|| form(&self.record)).clone()
    }
}

pub(crate) type Recorded = Arc<NewRecord>;

/// New records of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    passed_on: broadcast::Sender<Recorded>,
    moved: Arc<Notify>,
}

impl Default for Events {
    fn default() -> Self {
        Self { passed_on: broadcast::channel(AHEAD).0, moved: Arc::default() }
    }
}

impl Events {
    /// The records from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Recorded> {
        self.passed_on.subscribe()
    }

    /// Looks at the end of the journal at once.
    pub(crate) fn look(&self) {
        self.moved.notify_one();
    }

    /// Passes new records on, for ever.
    pub(crate) async fn follow(&self, store: &Store) {
        let mut at = store.position();
        loop {
            tokio::time::timeout(LOOK, self.moved.notified()).await.ok();
            let end = store.position();
            if end.records == at.records {
                continue;
            }
            if self.passed_on.receiver_count() == 0 {
                at = end;
                continue;
            }
            let (reader, from) = (store.clone(), at);
            let read = tokio::task::spawn_blocking(move || reader.records_after(from, BATCH)).await;
            match read {
                Ok(Ok(records)) => {
                    for (after, record) in records {
                        at = after;
                        self.passed_on.send(Arc::new(NewRecord::new(after, record))).ok();
                    }
                }
                Ok(Err(error)) => tracing::warn!("the journal cannot be followed: {error}"),
                Err(error) => tracing::error!("the journal cannot be followed: {error}"),
            }
        }
    }
}
