//! The folder `.pv/notifications`: a definition and a log for each notification. It belongs to this machine: it is in no pack, no journal
//! record and no mirror, and only the owner of the store reads it.
//!
//! ```text
//! NAME.json   the definition, with the secrets of its target; written beside and renamed
//! NAME.log    the lines of its queue, a JSON object each
//! lock        locked while any of them is changed
//! ```
//! A log is only appended to, in one write for each step; its last line counts once it is complete, and the next writer cuts off what is not.
//! A log that has grown is replaced by one line, their sum. Any number of processes may read and append: each reads first what others wrote.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use repos::{RepoError, Store, Timestamp};
use rustix::fs::FlockOperation;
use serde::Serialize;
use specs::NotificationName;

use crate::definition::{Definition, FORMAT};
use crate::queue::{Line, State};

/// The longest wait for another process that changes something: it needs milliseconds.
const LOCK_TRIES: u32 = 2_000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// A log of more bytes is replaced by the sum of its lines, if that is much shorter.
const LONG: u64 = 4 << 20;
/// Where tests stop the process, in the middle of a write and before it.
const STOPS: [&str; 2] = ["notify.before_line", "notify.after_line"];

/// Adds what was being done, and to which file.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RepoError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RepoError> {
        self.map_err(|source| RepoError::Io { doing, path: path.to_owned(), source })
    }
}

/// The notifications of a store.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// Held while something is changed.
pub(crate) struct Lock {
    /// The lock ends with it.
    _file: File,
}

impl Folder {
    pub(crate) fn of(store: &Store) -> Self {
        Self { path: store.folder().join("notifications") }
    }

    /// Waits for the lock, but not for ever; makes the folder if it is missing.
    pub(crate) fn lock(&self) -> Result<Lock, RepoError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).doing("create", &self.path)?;
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path).doing("open", &path)?;
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(io::Error::from(error)).doing("lock", &path),
            }
        }
        Err(RepoError::InUse { holder: "another process, which changes its notifications".to_owned() })
    }

    fn definition_file(&self, name: &NotificationName) -> PathBuf {
        self.path.join(format!("{name}.json"))
    }

    fn log_file(&self, name: &NotificationName) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// The names of all, sorted.
    pub(crate) fn names(&self) -> Result<Vec<NotificationName>, RepoError> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("list", &self.path)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.doing("list", &self.path)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            names.extend(name);
        }
        names.sort();
        Ok(names)
    }

    /// What shows that the definition is the one that was read; `None` without one.
    pub(crate) fn stamp(&self, name: &NotificationName) -> Option<(u64, i64, i64, u64)> {
        let data = fs::metadata(self.definition_file(name)).ok()?;
        Some((data.ino(), data.mtime(), data.mtime_nsec(), data.size()))
    }

    /// A definition, if there is one.
    pub(crate) fn find(&self, name: &NotificationName) -> Result<Option<Definition>, RepoError> {
        let path = self.definition_file(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.doing("read", &path)?,
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(io::Error::from).doing("read", &path)?;
        if value.get("format").and_then(serde_json::Value::as_u64).is_some_and(|format| format > u64::from(FORMAT)) {
            return Err(RepoError::MadeByNewer { what: format!("`{}`", path.display()) });
        }
        serde_json::from_value(value).map_err(io::Error::from).doing("read", &path).map(Some)
    }

    /// Writes a definition; durable on return.
    pub(crate) fn keep(&self, definition: &Definition, _lock: &Lock) -> Result<(), RepoError> {
        let mut bytes = serde_json::to_vec_pretty(definition).map_err(io::Error::from).doing("write", &self.path)?;
        bytes.push(b'\n');
        self.replace(&self.definition_file(&definition.name), &bytes)
    }

    /// Begins the log of a new notification, before its definition is written.
    pub(crate) fn begin(&self, name: &NotificationName, state: State, _lock: &Lock) -> Result<(), RepoError> {
        self.replace(&self.log_file(name), &line_of(&Line::State(Box::new(state))))
    }

    /// Removes a notification: first the definition, so that a log is never without a definition for long.
    pub(crate) fn remove(&self, name: &NotificationName, _lock: &Lock) -> Result<(), RepoError> {
        for path in [self.definition_file(name), self.log_file(name)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).doing("remove", &path),
                _ => {}
            }
        }
        self.sync()
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), RepoError> {
        let part = path.with_extension(format!("{}.part", repos::random_hex()));
        let written = write_new(&part, bytes).and_then(|()| fs::rename(&part, path));
        if written.is_err() {
            fs::remove_file(&part).ok();
        }
        written.doing("write", path)?;
        self.sync()
    }

    fn sync(&self) -> Result<(), RepoError> {
        File::open(&self.path).and_then(|folder| folder.sync_all()).doing("sync", &self.path)
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn line_of(line: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("lines have a JSON form");
    bytes.push(b'\n');
    bytes
}

/// The queue of a notification on disk, and the sum of its lines.
#[derive(Debug)]
pub(crate) struct Log {
    folder: Folder,
    name: NotificationName,
    created_at: Timestamp,
    path: PathBuf,
    /// The file that was read, and its bytes that are in `state`.
    read: Option<(u64, u64)>,
    state: State,
    /// The length from which on it is replaced.
    long: u64,
    #[cfg(test)]
    pub(crate) dies: Option<std::sync::Arc<tests::Dies>>,
}

impl Log {
    /// That of this definition. Nothing is read yet.
    pub(crate) fn of(folder: &Folder, definition: &Definition) -> Self {
        Self {
            path: folder.log_file(&definition.name),
            folder: folder.clone(),
            name: definition.name.clone(),
            created_at: definition.created_at,
            read: None,
            state: State::default(),
            long: LONG,
            #[cfg(test)]
            dies: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn set_long(&mut self, bytes: u64) {
        self.long = bytes;
    }

    /// The sum of the lines that were read.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Reads what was written since.
    pub(crate) fn refresh(&mut self) -> Result<&State, RepoError> {
        let mut file = File::open(&self.path).doing("open", &self.path)?;
        self.read_on(&mut file)?;
        Ok(&self.state)
    }

    /// Appends what `change` makes of the newest state. Durable on return, unless nothing depends on it. Returns what `change` returned.
    ///
    /// `NotFound` if the notification was deleted meanwhile.
    pub(crate) fn change<T>(
        &mut self,
        change: impl FnOnce(&State) -> Result<(T, Vec<Line>), RepoError>,
    ) -> Result<T, RepoError> {
        let lock = self.folder.lock()?;
        // Another one may have the name meanwhile.
        let is_same = self.folder.find(&self.name)?.is_some_and(|known| known.created_at == self.created_at);
        if !is_same {
            return Err(gone(&self.name));
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).doing("open", &self.path)?;
        self.read_on(&mut file)?;
        let (done, lines) = change(&self.state)?;
        if lines.is_empty() {
            return Ok(done);
        }
        if let Err(error) = self.append(&mut file, &lines) {
            // What is in the file now counts.
            self.read = None;
            return Err(error).doing("write", &self.path);
        }
        for line in lines {
            self.state.apply(line);
        }
        self.shorten(&lock)?;
        Ok(done)
    }

    fn append(&mut self, file: &mut File, lines: &[Line]) -> io::Result<()> {
        let (inode, start) = self.read.unwrap_or_default();
        let bytes: Vec<u8> = lines.iter().flat_map(line_of).collect();
        // A line that its writer did not finish.
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        repos::stop_at(STOPS[0]);
        #[cfg(test)]
        self.die(file, &bytes)?;
        let written = file.write_all(&bytes);
        if written.is_err() {
            file.set_len(start).ok();
        }
        written?;
        let is_needed = !lines.iter().all(|line| matches!(line, Line::Looked { queued, .. } if queued.is_empty()));
        if is_needed {
            file.sync_data()?;
        }
        repos::stop_at(STOPS[1]);
        #[cfg(test)]
        self.die(file, &[])?;
        self.read = Some((inode, start + bytes.len() as u64));
        Ok(())
    }

    #[cfg(test)]
    fn die(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.dies.as_ref().map_or(Ok(()), |dies| dies.pass(file, bytes))
    }

    /// Replaces a log that has grown by the sum of its lines.
    fn shorten(&mut self, lock: &Lock) -> Result<(), RepoError> {
        if self.read.is_none_or(|(_, bytes)| bytes < self.long) {
            return Ok(());
        }
        self.folder.begin(&self.name, self.state.clone(), lock)?;
        self.read = None;
        self.refresh()?;
        self.long = self.long.max(2 * self.read.map_or(0, |(_, bytes)| bytes));
        Ok(())
    }

    fn read_on(&mut self, file: &mut File) -> Result<(), RepoError> {
        let data = file.metadata().doing("look at", &self.path)?;
        let start = match self.read {
            Some((inode, bytes)) if inode == data.ino() && bytes <= data.size() => bytes,
            _ => {
                self.state = State::default();
                0
            }
        };
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut bytes));
        read.doing("read", &self.path)?;
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        // Until all is applied, nothing counts as read.
        self.read = None;
        for line in bytes[..complete].split_inclusive(|byte| *byte == b'\n') {
            let line = serde_json::from_slice(line).map_err(io::Error::from).doing("read", &self.path)?;
            self.state.apply(line);
        }
        self.read = Some((data.ino(), start + complete as u64));
        Ok(())
    }
}

/// The error for a notification that does not exist.
pub(crate) fn gone(name: &NotificationName) -> RepoError {
    RepoError::NotFound { what: format!("notification `{name}` not found"), hint: Some("pv notify list".to_owned()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Ends the process, as far as a test can tell, at the n-th point of writing: with a part of the bytes written.
    #[derive(Debug)]
    pub(crate) struct Dies {
        left: AtomicU64,
        share: u64,
    }

    impl Dies {
        /// After `left` points, with a share of the bytes from 0 to 9 tenths.
        pub(crate) fn after(left: u64, share: u64) -> Self {
            Self { left: AtomicU64::new(left), share: share % 10 }
        }

        /// Whether it has died.
        pub(crate) fn is_dead(&self) -> bool {
            self.left.load(Ordering::Relaxed) == 0
        }

        /// Fails from the n-th call on.
        pub(super) fn pass(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            let counted = |left: u64| left.checked_sub(1);
            match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted) {
                Ok(left) if left > 1 => Ok(()),
                Ok(_) => {
                    file.write_all(&bytes[..bytes.len() * self.share as usize / 10])?;
                    Err(io::Error::other("dead"))
                }
                Err(_) => Err(io::Error::other("dead")),
            }
        }
    }
}
