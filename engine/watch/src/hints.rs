//! What the kernel tells of changes in a folder: hints, which may be late, doubled or lost. A look at the folder is the truth.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// What may have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The file was written to.
    Wrote(PathBuf),
    /// A file that was open for writing was closed.
    Closed(PathBuf),
    /// Something at or below this path is not as it was.
    Changed(PathBuf),
    /// Hints were lost: everything may have changed.
    Lost,
    /// No more hints come from the folder, or not from all of it, and why.
    Blind(String),
}

/// Most hints that wait; what does not fit is lost, as in the kernel.
const WAITING: usize = 1 << 16;
/// How long hints of a burst are gathered.
const GATHER: Duration = Duration::from_millis(20);

/// Hints about a folder and everything below it.
#[derive(Debug)]
pub(crate) struct Hints {
    receiver: Receiver<(Hint, Instant)>,
    sender: SyncSender<(Hint, Instant)>,
    are_lost: Arc<AtomicBool>,
    watcher: Option<RecommendedWatcher>,
    /// What a test says instead of the kernel.
    instead: Option<Result<(), String>>,
}

impl Hints {
    /// None yet.
    pub(crate) fn none() -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        Self { receiver, sender, are_lost: Arc::default(), watcher: None, instead: None }
    }

    /// For a watch that gets all its hints from a test.
    #[cfg(test)]
    pub(crate) fn from_elsewhere() -> Self {
        Self { instead: Some(Ok(())), ..Self::none() }
    }

    /// For a watch that gets none.
    #[cfg(test)]
    pub(crate) fn blind() -> Self {
        Self { instead: Some(Err("it is blind".to_owned())), ..Self::none() }
    }

    /// Begins to listen, anew if it did before; the reason if the kernel tells nothing of this folder, or not of all of it.
    pub(crate) fn listen(&mut self, folder: &Path) -> Result<(), String> {
        // The old one first: the kernel counts what both would watch.
        self.watcher = None;
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let (hints, are_lost) = (self.sender.clone(), self.are_lost.clone());
        let handler = move |event: notify::Result<notify::Event>| {
            let at = Instant::now();
            for hint in hints_of(event) {
                if hints.try_send((hint, at)).is_err() {
                    are_lost.store(true, Ordering::Relaxed);
                }
            }
        };
        let watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false));
        let mut watcher = watcher.map_err(|error| in_words(&error))?;
        watcher.watch(folder, RecursiveMode::Recursive).map_err(|error| in_words(&error))?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Listens no more.
    pub(crate) fn stop(&mut self) {
        self.watcher = None;
    }

    /// The hints that are there, each with the time when it came; waits until `until` for the first.
    pub(crate) fn take(&self, until: Instant) -> Vec<(Hint, Instant)> {
        let wait = until.saturating_duration_since(Instant::now());
        let first = match self.receiver.recv_timeout(wait) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return self.lost().into_iter().collect();
            }
        };
        // Others of the same burst, but not so many that memory is needed for what could be looked at instead.
        std::thread::sleep(GATHER.min(until.saturating_duration_since(Instant::now())));
        self.lost().into_iter().chain([first]).chain(self.receiver.try_iter().take(WAITING)).collect()
    }

    fn lost(&self) -> Option<(Hint, Instant)> {
        self.are_lost.swap(false, Ordering::Relaxed).then(|| (Hint::Lost, Instant::now()))
    }
}

fn hints_of(event: notify::Result<notify::Event>) -> Vec<Hint> {
    let event = match event {
        Ok(event) => event,
        Err(error) => return vec![Hint::Blind(in_words(&error))],
    };
    if event.need_rescan() {
        return vec![Hint::Lost];
    }
    let hint: fn(PathBuf) -> Hint = match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => Hint::Wrote,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Hint::Closed,
        // Reading changes nothing.
        EventKind::Access(_) => return Vec::new(),
        _ => Hint::Changed,
    };
    event.paths.into_iter().map(hint).collect()
}

fn in_words(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the kernel's limit of watched folders is reached (sysctl fs.inotify.max_user_watches)".to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            "the kernel's limit of watchers is reached (sysctl fs.inotify.max_user_instances)".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(hints: &Hints, wanted: impl Fn(&Hint) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if hints.take(end).iter().any(|(hint, _)| wanted(hint)) {
                return true;
            }
        }
        false
    }

    #[test]
    fn what_happens_to_files_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let mut hints = Hints::none();
        hints.listen(folder.path()).unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        assert!(until(&hints, |hint| *hint == Hint::Closed(file.clone())));
        std::fs::remove_file(&file).unwrap();
        assert!(until(&hints, |hint| *hint == Hint::Changed(file.clone())));
        assert!(hints.listen(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn more_hints_than_fit_are_said_to_be_lost() {
        let hints = Hints::none();
        for _ in 0..=WAITING {
            if hints.sender.try_send((Hint::Changed(PathBuf::from("a")), Instant::now())).is_err() {
                hints.are_lost.store(true, Ordering::Relaxed);
            }
        }
        let taken = hints.take(Instant::now());
        assert_eq!((&taken[0].0, taken.len()), (&Hint::Lost, WAITING + 1));
        assert_eq!(hints.take(Instant::now()).len(), 0);
    }

    #[test]
    fn limits_are_named() {
        let watches = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert_eq!(hints_of(Err(watches)), [Hint::Blind(in_words(&notify::Error::new(ErrorKind::MaxFilesWatch)))]);
        let instances = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert!(in_words(&notify::Error::io(instances)).contains("max_user_instances"));
    }
}
