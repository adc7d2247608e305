//! Stores whose packs and journal are in an object store, for several machines.
//!
//! Everything in the folder can be recreated: deleting it and calling `init` with the same URL restores the store.

use std::path::Path;

use bytes::Bytes;
use specs::BranchName;

use super::open::{FOLDER, FORMAT, write_durably};
use super::options::OpenOptions;
use super::{Result, Store};
use crate::base::error::{IoContext, RepoError};
use crate::objects::place::Place;

/// The file that holds the URL.
pub(super) const OBJECTS_FILE: &str = "objects";
/// The object that states the version of a place's layout.
const FORMAT_OBJECT: &str = "format";

/// The URL of the place with a store's packs and journal; `None` if they are in its folder.
pub(super) fn url_of(folder: &Path) -> Result<Option<String>> {
    let path = folder.join(OBJECTS_FILE);
    match std::fs::read_to_string(&path) {
        Ok(url) => Ok(Some(url.trim_end().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing("read", &path),
    }
}

/// Whether a place is marked as containing packs and journal in the layout of this version.
pub(super) fn is_marked(place: &Place) -> Result<bool> {
    match place.get(FORMAT_OBJECT)? {
        None => Ok(false),
        Some(format) if format == FORMAT => Ok(true),
        Some(_) => Err(RepoError::MadeByNewer { what: format!("the store at `{}`", place.url()) }),
    }
}

/// Marks a place.
pub(super) fn mark(place: &Place) -> Result<()> {
    let is_new = place.create(FORMAT_OBJECT, &Bytes::from_static(FORMAT.as_bytes()))?;
    if is_new { Ok(()) } else { is_marked(place).map(|_| ()) }
}

impl OpenOptions {
    /// A folder with an unfinished shared store cannot become another kind of store.
    pub(super) fn ensure_not_shared(folder: &Path) -> Result<()> {
        let Some(url) = url_of(folder)? else { return Ok(()) };
        Err(RepoError::Conflict {
            what: format!("`{}` belongs to an incomplete store at `{url}`", folder.display()),
            hint: Some(format!("repeat pv init --objects {url}, or delete `{}`", folder.display())),
        })
    }

    /// Creates a store in `dir/.pv` with packs and journal at `url`, or joins the existing store there and ignores `default_branch`.
    pub fn init_shared(&self, dir: &Path, url: &str, default_branch: BranchName) -> Result<Store> {
        let folder = dir.join(FOLDER);
        if Store::is_at(dir) {
            return Err(RepoError::StoreExists { dir: dir.to_owned() });
        }
        let place = self.place_at(url)?;
        match url_of(&folder)? {
            Some(other) if other != place.url() => {
                return Err(RepoError::Conflict {
                    what: format!("`{}` belongs to a store at `{other}`", folder.display()),
                    hint: Some(format!("use that URL, or delete `{}`: all its data is at that URL", folder.display())),
                });
            }
            None if folder.join("journal").exists() => {
                return Err(RepoError::Conflict {
                    what: format!("`{}` belongs to an incomplete store", folder.display()),
                    hint: Some(format!("repeat pv init without --objects, or delete `{}`", folder.display())),
                });
            }
            _ => {}
        }
        if !is_marked(&place)? {
            mark(&place)?;
        }
        std::fs::create_dir_all(&folder).doing("create", &folder)?;
        write_durably(&folder.join(OBJECTS_FILE), format!("{}\n", place.url()).as_bytes())?;
        self.make(dir, default_branch)
    }
}

impl Store {
    /// The URL of the place with packs and journal; `None` if they are in the store's folder.
    pub fn objects_url(&self) -> Result<Option<String>> {
        url_of(&self.folder())
    }
}
