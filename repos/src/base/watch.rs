//! Where tests see what reaches the disk, step by step: from that they make what a power cut would leave.
//!
//! Each step on a file of packs or of the journal is told here once it is done. Without the feature `testing` nobody listens.

use std::path::Path;

/// One step on a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The file was made, empty.
    Created,
    /// Bytes were written.
    Wrote {
        /// Bytes of the file before them.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The file got another length.
    Cut {
        /// Its length in bytes.
        length: u64,
    },
    /// All that the file holds is durable.
    Synced,
    /// The file has another name.
    Renamed {
        /// Its new path.
        to: std::path::PathBuf,
    },
    /// The file has no name any more.
    Removed,
    /// The names of files in this folder are durable.
    FolderSynced,
}

/// Tells anyone who watches `path`.
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

    /// Calls `listener` with each step of this process below `folder`, in the thread that takes it, until the process ends.
    ///
    /// # Panics
    /// When a listener has.
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
