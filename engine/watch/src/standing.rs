//! Watches that the store keeps: `.pv/watches/NAME.json`, and how each is doing, in `NAME.state`.
//!
//! Both belong to this machine, as the watched folder does: no journal record, no pack and no mirror has them. Each file is written beside
//! and renamed, so that a reader sees the old one or the new one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use engine::target::TargetBranch;
use engine::{EngineError, Result};
use repos::access::Right;
use repos::files::Pattern;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use specs::{Duration, Reference, WatchName};

use crate::plan::{After, Plan, Template};
use crate::trouble::Trouble;

const FOLDER: &str = "watches";
const DEFINITION: &str = "json";
const STATE: &str = "state";

/// A watch that the store keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub name: WatchName,
    /// The folder, in full.
    pub folder: PathBuf,
    /// The branch and the directory that get its files.
    pub target: Reference,
    /// How long a file must not change before it is committed.
    pub settle: Duration,
    /// The least time between two commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// Most files in a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Whether files that are deleted in the folder are removed from the branch too.
    #[serde(default)]
    pub mirror: bool,
    /// Patterns of files that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// What happens to files that are committed.
    #[serde(default)]
    pub after: After,
    /// The messages of the commits.
    pub message: Template,
    /// The author of the commits.
    pub author: String,
    /// Who added the watch, and so commits.
    pub committer: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
}

/// How a watch is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When this was written.
    pub at: Option<Timestamp>,
    /// When a file was last committed.
    pub last_commit_at: Option<Timestamp>,
    /// Number of files that were added or modified since the watch began.
    pub files: u64,
    /// Number of files that wait to be committed.
    pub waiting: u64,
    /// Why the folder is looked at again and again, if the kernel does not tell of changes.
    pub polls: Option<String>,
    /// What does not work: the first few.
    pub troubles: Vec<Trouble>,
    /// How many things do not work.
    pub troubles_count: u64,
}

/// What to do with a watch that the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// It commits nothing until it is resumed.
    Pause,
    /// It goes on.
    Resume,
}

/// How long a file must not change before it is committed, unless a watch says otherwise.
pub fn settle() -> Duration {
    SETTLE.parse().expect("it is a duration")
}

/// [`settle`] as text.
pub const SETTLE: &str = "2s";

impl Standing {
    /// What it does, as a plan. An error if a pattern is not one.
    pub fn plan(&self) -> Result<Plan> {
        let pattern = |text: &String| text.parse::<Pattern>();
        let exclude = self.exclude.iter().map(pattern).collect::<std::result::Result<_, _>>();
        let exclude = exclude.map_err(|error| EngineError::Usage {
            what: format!("watch `{}`: {error}", self.name),
            hint: Some("pv watch delete, then add it again".to_owned()),
        });
        let by = engine::run::Actor { author: self.author.clone(), committer: self.committer.clone() };
        Ok(Plan {
            folder: self.folder.clone(),
            target: self.target.clone(),
            settle: self.settle.get(),
            every: self.every.map(Duration::get),
            batch: self.batch,
            mirror: self.mirror,
            exclude: exclude?,
            after: self.after.clone(),
            message: self.message.clone(),
            by,
        })
    }
}

/// All watches of a store that this handle may see, by name. A file that cannot be read is an error that names it.
pub fn list(store: &Store) -> Result<Vec<Standing>> {
    let folder = folder(store);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("read", &folder, source)),
    };
    let mut watches = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| failed("read", &folder, source))?.path();
        if path.extension().is_some_and(|extension| extension == DEFINITION) {
            watches.extend(read::<Standing>(&path)?.filter(|watch| store.sees(&watch.target.repo)));
        }
    }
    watches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(watches)
}

/// The watch with this name. `NotFound` if there is none.
pub fn find(store: &Store, name: &WatchName) -> Result<Standing> {
    let watch = read::<Standing>(&place(store, name, DEFINITION))?.filter(|watch| store.sees(&watch.target.repo));
    watch.ok_or_else(|| EngineError::NotFound {
        what: format!("watch `{name}` not found"),
        hint: Some("pv watch list".to_owned()),
    })
}

/// Keeps a watch. `Conflict` if there is one with this name; other errors are those of a branch that cannot get commits.
pub fn add(store: &Store, watch: &Standing) -> Result<()> {
    store.ensure_may(Right::Host)?;
    TargetBranch::of(store, &watch.target)?;
    match write(&place(store, &watch.name, DEFINITION), watch, As::New) {
        Err(EngineError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            let what = format!("watch `{}` already exists", watch.name);
            Err(EngineError::Conflict { what, hint: Some("--name gives another name".to_owned()) })
        }
        written => written,
    }
}

/// Removes a watch; what it committed stays. `NotFound` if there is none with this name.
pub fn delete(store: &Store, name: &WatchName) -> Result<Standing> {
    store.ensure_may(Right::Host)?;
    let watch = find(store, name)?;
    let path = place(store, name, DEFINITION);
    fs::remove_file(&path).map_err(|source| failed("delete", &path, source))?;
    fs::remove_file(place(store, name, STATE)).ok();
    Ok(watch)
}

/// Pauses or resumes a watch; returns whether that changed anything. `NotFound` if there is none with this name.
pub fn set(store: &Store, name: &WatchName, wish: Wish) -> Result<bool> {
    store.ensure_may(Right::Host)?;
    let mut watch = find(store, name)?;
    let is_changed = watch.paused != (wish == Wish::Pause);
    if is_changed {
        watch.paused = wish == Wish::Pause;
        write(&place(store, name, DEFINITION), &watch, As::Newer)?;
    }
    Ok(is_changed)
}

/// How a watch is doing; nothing if it never ran.
pub fn state(store: &Store, name: &WatchName) -> Result<Option<State>> {
    read(&place(store, name, STATE))
}

/// Records how a watch is doing.
pub(crate) fn record(store: &Store, name: &WatchName, state: &State) -> Result<()> {
    write(&place(store, name, STATE), state, As::Passing)
}

fn folder(store: &Store) -> PathBuf {
    store.folder().join(FOLDER)
}

fn place(store: &Store, name: &WatchName, extension: &str) -> PathBuf {
    // Names may contain dots: `with_extension` would cut them.
    folder(store).join(format!("{name}.{extension}"))
}

fn failed(doing: &str, path: &Path, source: io::Error) -> EngineError {
    EngineError::Io { doing: format!("{doing} `{}`", path.display()), source }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed("read", path, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// In which way a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// Durably; an error if there is one.
    New,
    /// Durably, in place of the one that is there.
    Newer,
    /// In place of the one that is there; it may be lost.
    Passing,
}

fn write<T: Serialize>(path: &Path, value: &T, how: As) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let part = folder.join(format!("{}.part", repos::random_hex()));
    let written = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        if how == As::Passing {
            return fs::rename(&part, path);
        }
        file.sync_all()?;
        match how {
            As::New => fs::hard_link(&part, path).and_then(|()| fs::remove_file(&part))?,
            As::Newer | As::Passing => fs::rename(&part, path)?,
        }
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|source| {
        fs::remove_file(&part).ok();
        failed("write", path, source)
    })
}
