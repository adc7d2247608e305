//! Lets tests see, step by step, what reaches the disk, and so construct what a power cut would leave.
//!
//! Each step on a pack or journal file is reported here once it is done. Without the feature `testing` nothing is reported.

use std::path::Path;

/// One step on a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The file was made, empty.
    Created,
    /// Bytes were written.
    Wrote {
        /// Offset in the file, in bytes.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The file's length was changed.
    Cut {
        /// Its length in bytes.
        length: u64,
    },
    /// Everything in the file is durable.
    Synced,
    /// The file was renamed.
    Renamed {
        /// Its new path.
        to: std::path::PathBuf,
    },
    /// The file was removed.
    Removed,
    /// The names of files in this folder are durable.
    FolderSynced,
}

/// Reports a step to the listeners of `path`.
#[cfg(not(any(test, feature = "testing")))]
pub(crate) fn tell(_path: &Path, _step: impl FnOnce() -> Step) {}

#[cfg(any(test, feature = "testing"))]
pub(crate) use listening::tell;
#[cfg(any(test, feature = "testing"))]
pub use listening::watch;

#[cfg(any(test, feature = "testing"))]
mod listening {
    use std::path::PathBuf;
    use std::sync::{Arc, RwLock};

    use super::{Path, Step};

    type Listener = Arc<dyn Fn(&Path, Step) + Send + Sync>;

    static LISTENERS: RwLock<Vec<(PathBuf, Listener)>> = RwLock::new(Vec::new());

    /// Calls `listener` for each step of this process below `folder`, on the thread that takes the step, until the process ends.
    ///
    /// # Panics
    /// If a listener has panicked.
    pub fn watch(folder: &Path, listener: impl Fn(&Path, Step) + Send + Sync + 'static) {
        LISTENERS.write().expect("no panic under this lock").push((folder.to_owned(), Arc::new(listener)));
    }

    pub(crate) fn tell(path: &Path, step: impl FnOnce() -> Step) {
        let listeners = LISTENERS.read().expect("no panic under this lock");
        let found = listeners.iter().find(|(folder, _)| path.starts_with(folder)).map(|(_, listener)| listener.clone());
        drop(listeners);
        if let Some(listener) = found {
            listener(path, step());
        }
    }
}
