//! Rooms: folders in the store for what a machine elsewhere mounts in a trial.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use repos::Store;

use crate::error::{EngineError, Result};

/// The folder of all rooms, in that of the store.
const ROOMS: &str = "mounts";

/// A folder that nobody else uses; removed with this value.
#[derive(Debug)]
pub struct Room(PathBuf);

impl Room {
    /// An empty one, which other users cannot enter.
    pub fn make(store: &Store) -> Result<Self> {
        let rooms = store.folder().join(ROOMS);
        let path = rooms.join(repos::random_hex());
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| failed("make", &path, source))?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes what dead processes left behind: for the owner of the store, before it makes any.
    pub fn remove_dead(store: &Store) -> Result<()> {
        let rooms = store.folder().join(ROOMS);
        match fs::remove_dir_all(&rooms) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(failed("remove", &rooms, source)),
            _ => Ok(()),
        }
    }
}

fn failed(action: &str, path: &Path, source: Error) -> EngineError {
    EngineError::Io { doing: format!("{action} `{}`", path.display()), source }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What is left is removed when the next process owns the store.
        fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_goes_with_its_value_and_what_is_left_goes_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::init(folder.path(), specs::BranchName::main()).unwrap();
        let (one, left) = (Room::make(&store).unwrap(), Room::make(&store).unwrap());
        fs::write(one.path().join("a"), "a").unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && left.path().exists());
        Room::remove_dead(&store).unwrap();
        assert!(!left.path().exists());
        Room::remove_dead(&store).unwrap();
    }
}
