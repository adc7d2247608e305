//! What to watch, where to, and what to do with files that are committed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use engine::EngineError;
use engine::run::Actor;
use repos::files::{Excludes, PATTERN_FILE, Pattern};
use serde::{Deserialize, Serialize};
use specs::{FilePath, Reference, WatchName};

/// Names of files that are not complete, or not meant as data; `--exclude '!*.tmp'` includes some again.
pub const TEMPORARY: &[&str] = &[".*", "*~", "*.part", "*.partial", "*.tmp", "*.temp", "*.crdownload", "*.filepart"];

/// Most files of a batch.
pub(crate) const MAX_FILES: usize = 100_000;
/// A batch that has this many bytes gets no further file.
pub(crate) const MAX_BYTES: u64 = 16 << 30;

/// What to watch, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The folder.
    pub folder: PathBuf,
    /// The branch and the directory that get its files.
    pub target: Reference,
    /// How long a file must not change before it is committed.
    pub settle: Duration,
    /// The least time between two commits; `None` for the settle time.
    pub every: Option<Duration>,
    /// Most files in a commit; the others follow in the next one.
    pub batch: Option<usize>,
    /// Files that are deleted in the folder are removed from the branch too.
    pub mirror: bool,
    /// Leaves out files and folders that match one of these.
    pub exclude: Vec<Pattern>,
    /// What happens to files that are committed.
    pub after: After,
    /// The messages of the commits.
    pub message: Template,
    /// Who commits.
    pub by: Actor,
}

/// What happens to a file once its commit is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// It stays.
    #[default]
    Keep,
    /// It is moved to this folder, with its path below the watched one.
    Move(PathBuf),
    /// It is deleted.
    Delete,
}

/// Why a folder cannot be watched like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the variants and fields are")]
pub enum PlanError {
    #[error("`{}` is not a folder of {}", .folder.display(), if *.is_servers { "the server's machine" } else { "this machine" })]
    NoFolder { folder: PathBuf, is_servers: bool },
    #[error("`{}` is not a whole path: it would be a folder of the server's machine, which has no working folder for it", .folder.display())]
    Relative { folder: PathBuf },
    #[error("no name for the watch follows from `{}`: {why}", .folder.display())]
    NoName { folder: PathBuf, why: String },
    #[error("files that are moved or deleted here would be removed from the branch by --mirror too")]
    MirrorOfWhatGoes,
    #[error("`{}` is in the watched folder: what is moved there would be committed again", .folder.display())]
    MoveInside { folder: PathBuf },
    #[error("`{{{name}}}` is not known in a message; known are {}", Template::NAMES.map(|name| format!("`{{{name}}}`")).join(" "))]
    UnknownField { name: String },
}

impl PlanError {
    /// What to do instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoFolder { .. } => "name a folder that exists",
            Self::Relative { .. } => "name the folder from `/` on",
            Self::NoName { .. } => "--name gives it one",
            Self::MirrorOfWhatGoes => "leave out --mirror, or --move-to and --delete",
            Self::MoveInside { .. } => "name a folder outside",
            Self::UnknownField { .. } => "write it without braces",
        }
    }
}

impl From<PlanError> for EngineError {
    fn from(error: PlanError) -> Self {
        Self::Usage { what: error.to_string(), hint: Some(error.hint().to_owned()) }
    }
}

/// The name of a watch of this folder, unless it is given another one.
pub fn name_of(folder: &Path) -> Result<WatchName, PlanError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let named = name.parse::<WatchName>();
    named.map_err(|error| PlanError::NoName { folder: folder.to_owned(), why: error.to_string() })
}

impl Plan {
    /// Refuses what cannot work. `is_servers`: the folder is one of a server's machine, for a caller on another.
    pub fn check(&self, is_servers: bool) -> Result<(), PlanError> {
        if is_servers && !self.folder.is_absolute() {
            return Err(PlanError::Relative { folder: self.folder.clone() });
        }
        if !self.folder.is_dir() {
            return Err(PlanError::NoFolder { folder: self.folder.clone(), is_servers });
        }
        if self.mirror && self.after != After::Keep {
            return Err(PlanError::MirrorOfWhatGoes);
        }
        match &self.after {
            After::Move(to) if is_servers && !to.is_absolute() => Err(PlanError::Relative { folder: to.clone() }),
            After::Move(to) if whole(to).starts_with(whole(&self.folder)) => {
                Err(PlanError::MoveInside { folder: to.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The directory of the branch that gets the files.
    pub fn directory(&self) -> FilePath {
        self.target.path.clone().unwrap_or_else(FilePath::root)
    }

    pub(crate) fn excludes(&self) -> Excludes {
        Excludes { patterns: self.exclude.clone(), files: &[PATTERN_FILE], built_in: TEMPORARY }
    }
}

/// A path without links, as far as it exists.
fn whole(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        if let Ok(whole) = known.canonicalize() {
            return missing.iter().rev().fold(whole, |whole, name| whole.join(name));
        }
        let (Some(parent), Some(name)) = (known.parent(), known.file_name()) else { return path.to_owned() };
        missing.push(name.to_owned());
        known = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    }
}

/// The text of messages, with `{files}`, `{first}` and `{folder}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(String);

impl Template {
    const NAMES: [&'static str; 3] = ["files", "first", "folder"];

    /// The message for a commit with this many files.
    pub(crate) fn message(&self, files: u64, first: &str, folder: &Path) -> String {
        let folder = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
        let mut text = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            text += before;
            match name {
                "files" => text += &files.to_string(),
                "first" => text += first,
                _ => text += &folder,
            }
            rest = after;
        }
        text + rest
    }
}

impl Default for Template {
    fn default() -> Self {
        Self("watch {folder}: {first}".to_owned())
    }
}

impl FromStr for Template {
    type Err = PlanError;
    fn from_str(text: &str) -> Result<Self, PlanError> {
        let names = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        match { names }.find(|name| !Self::NAMES.contains(name)) {
            Some(name) => Err(PlanError::UnknownField { name: name.to_owned() }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Template {
    type Error = PlanError;
    fn try_from(text: String) -> Result<Self, PlanError> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.0
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_what_it_commits() {
        let template: Template = "{files} from {folder}, {first} first {".parse().unwrap();
        assert_eq!(template.message(3, "/a", Path::new("/data/cam7")), "3 from cam7, /a first {");
        let unknown = "{count}".parse::<Template>().unwrap_err();
        assert!(unknown.to_string().contains("`{files}`"), "{unknown}");
    }

    #[test]
    fn a_folder_inside_is_found_through_links_and_missing_parts() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(whole(&link.join("new/done")).starts_with(whole(folder.path())));
        assert!(!whole(Path::new("/elsewhere")).starts_with(whole(folder.path())));
    }
}
