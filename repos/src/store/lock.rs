//! The store's lock: one process at a time changes journal and index.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::{IoContext, RepoError};

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if nobody holds it, and writes down who does now.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, RepoError> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).doing("open", path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(std::io::Error::from(error)).doing("lock", path),
        }
        // Only for people who wait: a failure to write it does no harm.
        let who = format!("process {} ({})\n", std::process::id(), command());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(who.as_bytes())).ok();
        Ok(Some(Self { _file: file }))
    }

    /// Who holds the lock, as the holder wrote it down.
    pub(crate) fn holder(path: &Path) -> String {
        let mut text = String::new();
        File::open(path).and_then(|mut file| file.read_to_string(&mut text)).ok();
        let text = text.trim();
        if text.is_empty() { "another process".to_owned() } else { text.to_owned() }
    }
}

/// The command that this process was called with, as far as it says what is done: `pv put images`.
fn command() -> String {
    let mut words: Vec<String> = std::env::args_os().take(3).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(name) = words.first_mut() {
        *name = Path::new(name.as_str()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    words.join(" ")
}
