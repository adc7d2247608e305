//! Watched folders, and how they are doing.

use std::path::PathBuf;

use ::watch::Trouble;
use ::watch::standing::{self, Standing};
use engine::Result;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Reference, WatchName};

pub use ::watch::standing::Wish;

/// A watch that the store keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchView {
    /// Its name.
    pub name: WatchName,
    /// The folder.
    pub folder: PathBuf,
    /// The branch and the directory that get its files.
    pub target: Reference,
    /// Whether it rests.
    pub paused: bool,
    /// When a file was last committed; `null` if none was.
    pub last_commit_at: Option<Timestamp>,
    /// Number of files that were added or modified since the watch began.
    pub files: u64,
    /// Number of files that wait to be committed.
    pub waiting: u64,
    /// Why the folder is looked at again and again, if the kernel does not tell of changes.
    pub polls: Option<String>,
    /// What does not work: the first few.
    pub troubles: Vec<TroubleView>,
    /// How many things do not work.
    pub troubles_count: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// Who added it.
    pub created_by: String,
}

/// Something that does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TroubleView {
    /// The file or folder; `null` for the watch as a whole.
    pub path: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl From<Trouble> for TroubleView {
    fn from(Trouble { path, why }: Trouble) -> Self {
        Self { path: path.map(|path| path.to_string_lossy().into_owned()), why }
    }
}

impl TroubleView {
    /// As a sentence.
    pub fn sentence(&self) -> String {
        match &self.path {
            Some(path) => format!("`{path}` {}", self.why),
            None => self.why.clone(),
        }
    }
}

/// The watches that the store keeps, by name.
pub fn watches(store: &Store) -> Result<Vec<WatchView>> {
    standing::list(store)?.into_iter().map(|watch| watch_view(store, watch)).collect()
}

/// A watch, and how it is doing.
pub fn watch_view(store: &Store, watch: Standing) -> Result<WatchView> {
    let state = standing::state(store, &watch.name)?.unwrap_or_default();
    Ok(WatchView {
        name: watch.name,
        folder: watch.folder,
        target: watch.target,
        paused: watch.paused,
        last_commit_at: state.last_commit_at,
        files: state.files,
        waiting: state.waiting,
        polls: state.polls,
        troubles: state.troubles.into_iter().map(TroubleView::from).collect(),
        troubles_count: state.troubles_count,
        created_at: watch.created_at,
        created_by: watch.committer,
    })
}
