//! What can go wrong in a store, with its kind and a hint.

use std::path::{Path, PathBuf};

use specs::{BranchName, CommitId, Digest, ErrorKind, FilePath, PathError, PipelineName, RepoName, RunId};

use super::kind::Kind;
use super::pack_name::PackName;
use super::pruned::Pruned;
use super::tree_error::TreeError;

/// Result of store operations.
pub type Result<T, E = RepoError> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the variants and fields are")]
pub enum RepoError {
    #[error("cannot {doing} `{}`", .path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// The change may or may not have happened; nothing claims either.
    #[error("the change may have happened: {why}")]
    Unsure { why: String, source: Option<std::io::Error> },
    /// A change was submitted, but no answer came. [`Store::publish`](crate::Store::publish) finds out whether it happened.
    #[error("the process that owns the store ended before it answered")]
    AnswerLost,
    #[error("no store at `{}`{}", .dir.display(), if *.searched { " or above" } else { "" })]
    NoStore { dir: PathBuf, searched: bool },
    #[error("a store already exists at `{}`", .dir.display())]
    StoreExists { dir: PathBuf },
    #[error("the store is in use by {holder}")]
    InUse { holder: String },
    #[error("{what} was made by a newer pv")]
    MadeByNewer { what: String },
    #[error("the index cannot be used")]
    Index(#[from] rocksdb::Error),
    /// A row exists but cannot be decoded. It never counts as a missing row.
    #[error("the index is damaged: its row `{row}` cannot be read")]
    DamagedRow { row: String },
    #[error("the index is damaged: it lacks {what}")]
    DamagedIndex { what: String },
    #[error("the journal is damaged at record {record}: {why}")]
    DamagedJournal { record: u64, why: String },
    #[error("the journal is too short: {records} records ({bytes} bytes) were written, {found} bytes are there")]
    ShortJournal { records: u64, bytes: u64, found: u64 },
    #[error("the store's file `format` is damaged: {why}")]
    DamagedFormat { why: &'static str },
    #[error("pack `{pack}` is damaged: {why}")]
    DamagedPack { pack: PackName, why: &'static str },
    #[error("{kind} {digest} is damaged: {why}")]
    DamagedObject { kind: Kind, digest: Digest, why: String },
    #[error("{kind} {digest} is missing")]
    MissingObject { kind: Kind, digest: Digest },
    #[error("{kind} of {bytes} bytes is larger than an object can be")]
    ObjectTooLarge { kind: Kind, bytes: u64 },
    #[error("repository `{repo}` not found")]
    RepoNotFound { repo: RepoName, similar: Option<String> },
    #[error("branch `{branch}` not found in repository `{repo}`")]
    BranchNotFound { repo: RepoName, branch: BranchName, similar: Option<String> },
    #[error("`{revision}` is not a branch, tag, commit or run of repository `{repo}`")]
    RevisionNotFound { repo: RepoName, revision: String, similar: Option<String> },
    #[error("pipeline `{pipeline}` not found")]
    PipelineNotFound { pipeline: PipelineName, similar: Option<String> },
    #[error("run `{run}` not found")]
    RunNotFound { run: String },
    #[error("`{prefix}` is ambiguous: {}", .candidates.join(", "))]
    AmbiguousId { prefix: String, candidates: Vec<String> },
    #[error("run `{run}` has more than one commit in repository `{repo}`: {}", .candidates.join(", "))]
    SeveralCommits { repo: RepoName, run: RunId, candidates: Vec<String> },
    #[error("{reference} has no commit: {why}")]
    NoCommit { reference: String, why: String },
    #[error("`{reference}` goes back {back} commits, but its history has only {have}")]
    NotSoFarBack { reference: String, back: u32, have: u32 },
    #[error("`{path}` not found in {place}")]
    FileNotFound { path: FilePath, place: String, similar: Option<String> },
    #[error("`{path}` in {place} is a directory")]
    IsDirectory { path: FilePath, place: String },
    #[error("{}", list_paths(.0))]
    IllegalPaths(Vec<PathError>),
    #[error("{}: each would be both a file and a directory", list(.paths))]
    Clashes { paths: Vec<FilePath> },
    #[error("{}: two sources have this target", list(.paths))]
    SameTarget { paths: Vec<FilePath> },
    #[error("{}", list_sources(.0))]
    BadSources(Vec<(PathBuf, String)>),
    #[error("{what} already exists")]
    Exists { what: String },
    #[error("branch `{branch}` of repository `{repo}` is at {}, not at {}", name_of(.actual.as_ref()), name_of(.expected.as_ref()))]
    BranchMoved { repo: RepoName, branch: BranchName, expected: Option<CommitId>, actual: Option<CommitId> },
    #[error("garbage collection removed what this change builds on: {kind} {digest}")]
    Collected { kind: Kind, digest: Digest },
    /// A commit names content that its client has not sent and may not read, or that does not exist.
    #[error("{}: this content was not sent", some_digests(.digests, *.more))]
    NotSent { digests: Vec<Digest>, more: u64 },
    #[error("the pipelines changed in between")]
    GraphMoved,
    #[error("job `{pipeline}@{}` has already ended", .run.short(8))]
    JobEnded { pipeline: PipelineName, run: RunId },
    #[error("not enough space for {} in `{}`: {} are free", in_words(*.needed), .folder.display(), in_words(*.free))]
    NoSpace { folder: PathBuf, needed: u64, free: u64 },
    #[error("`{path}` changed while it was read")]
    ChangedWhileRead { path: PathBuf },
    #[error("{what}")]
    Conflict { what: String, hint: Option<String> },
    #[error("{what}")]
    Usage { what: String, hint: Option<String> },
    #[error("{what}")]
    NotFound { what: String, hint: Option<String> },
    /// A right is missing. The text says which, on what.
    #[error("{what}")]
    Refused { what: String, hint: Option<String> },
    /// Something that is named by what is visible, but not visible itself: without its name.
    #[error("this leads to a {what} that is not visible to you")]
    NotVisible { what: &'static str },
    #[error("the files of {place} are no longer stored: {pruned}")]
    PrunedCommit { place: String, pruned: Pruned },
    #[error("{what} is no longer stored: {pruned}")]
    PrunedFile { what: String, pruned: Pruned, hint: String },
    #[error("commit {} is in use by {by}", .commit.short(12))]
    StillNamed { commit: CommitId, by: String },
    #[error("{place}: {changed} paths have changed since")]
    RevertConflict { place: String, changed: usize, paths: Vec<FilePath> },
    #[error("cannot {doing} `{url}`")]
    Place { doing: &'static str, url: String, source: Box<Box<dyn std::error::Error + Send + Sync>> },
    #[error("another writer added record {record} of the journal first")]
    JournalMoved { record: u64 },
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An error from the process that holds the store, in its own words; `race`: another change came first; `collected`: as for
    /// [`RepoError::Collected`].
    #[error("{message}")]
    Remote { kind: ErrorKind, message: String, hint: Option<String>, race: bool, collected: bool },
}

fn name_of(commit: Option<&CommitId>) -> String {
    commit.map_or_else(|| "no commit".to_owned(), |id| id.short(12))
}

fn some_digests(digests: &[Digest], more: u64) -> String {
    let named: Vec<String> = digests.iter().map(ToString::to_string).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

/// Joins up to twenty items, one a line, and says how many more there are.
fn join<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    const SHOWN: usize = 20;
    let mut lines: Vec<String> = items.iter().take(SHOWN).map(line).collect();
    if items.len() > SHOWN {
        lines.push(format!("… and {} more", items.len() - SHOWN));
    }
    lines.join("\n")
}

fn in_words(bytes: u64) -> String {
    match bytes {
        0..10_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{} GB", bytes.div_ceil(1_000_000_000)),
    }
}

fn list(paths: &[FilePath]) -> String {
    join(paths, |path| format!("`{path}`"))
}

fn list_paths(errors: &[PathError]) -> String {
    join(errors, ToString::to_string)
}

fn list_sources(errors: &[(PathBuf, String)]) -> String {
    join(errors, |(path, why)| format!("`{}` {why}", path.display()))
}

impl RepoError {
    /// The error for the index row at `key`, whose key or value cannot be read.
    pub(crate) fn damaged_row(key: &[u8]) -> Self {
        const SHOWN: usize = 80;
        Self::DamagedRow { row: key.get(..SHOWN).unwrap_or(key).escape_ascii().to_string() }
    }

    /// Whether the index is at fault: it can be rebuilt from packs and journal.
    pub(crate) fn is_of_index(&self) -> bool {
        matches!(self, Self::Index(_) | Self::DamagedRow { .. } | Self::DamagedIndex { .. })
    }

    /// Exit code, HTTP status and retry all follow from this.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::NoSpace { .. }
            | Self::Io { .. }
            | Self::Unsure { .. }
            | Self::AnswerLost
            | Self::InUse { .. }
            | Self::MadeByNewer { .. }
            | Self::Index(_)
            | Self::Place { .. } => ErrorKind::Unavailable,
            Self::DamagedRow { .. }
            | Self::DamagedIndex { .. }
            | Self::DamagedJournal { .. }
            | Self::ShortJournal { .. }
            | Self::DamagedFormat { .. }
            | Self::DamagedPack { .. }
            | Self::DamagedObject { .. }
            | Self::MissingObject { .. } => ErrorKind::Damaged,
            Self::NoStore { .. }
            | Self::RepoNotFound { .. }
            | Self::BranchNotFound { .. }
            | Self::RevisionNotFound { .. }
            | Self::PipelineNotFound { .. }
            | Self::RunNotFound { .. }
            | Self::NoCommit { .. }
            | Self::NotSoFarBack { .. }
            | Self::FileNotFound { .. }
            | Self::PrunedFile { .. }
            | Self::NotVisible { .. }
            | Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::AmbiguousId { .. }
            | Self::IsDirectory { .. }
            | Self::IllegalPaths(_)
            | Self::Clashes { .. }
            | Self::SameTarget { .. }
            | Self::ObjectTooLarge { .. }
            | Self::Usage { .. } => ErrorKind::Usage,
            Self::StoreExists { .. }
            | Self::SeveralCommits { .. }
            | Self::Exists { .. }
            | Self::BranchMoved { .. }
            | Self::GraphMoved
            | Self::JobEnded { .. }
            | Self::JournalMoved { .. }
            | Self::Collected { .. }
            | Self::NotSent { .. }
            | Self::RevertConflict { .. }
            | Self::PrunedCommit { .. }
            | Self::StillNamed { .. }
            | Self::Conflict { .. } => ErrorKind::Conflict,
            Self::BadSources(_) | Self::ChangedWhileRead { .. } => ErrorKind::Failed,
            Self::Tree(TreeError::Unsorted { .. }) => ErrorKind::Failed,
            Self::Tree(_) => ErrorKind::Damaged,
            Self::Remote { kind, .. } => *kind,
        }
    }

    /// The name, path or id that was asked for and is not there, if that is what went wrong.
    pub fn missing_name(&self) -> Option<String> {
        match self {
            Self::RepoNotFound { repo, .. } => Some(repo.to_string()),
            Self::BranchNotFound { branch, .. } => Some(branch.to_string()),
            Self::PipelineNotFound { pipeline, .. } => Some(pipeline.to_string()),
            Self::FileNotFound { path, .. } => Some(path.to_string()),
            Self::RunNotFound { run: name } | Self::RevisionNotFound { revision: name, .. } => Some(name.clone()),
            _ => None,
        }
    }

    /// The next thing to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoStore { .. } => {
                Some("pv init creates one here; --store DIR or PV_STORE uses one elsewhere".to_owned())
            }
            Self::RepoNotFound { similar: Some(similar), .. }
            | Self::BranchNotFound { similar: Some(similar), .. }
            | Self::RevisionNotFound { similar: Some(similar), .. }
            | Self::PipelineNotFound { similar: Some(similar), .. }
            | Self::FileNotFound { similar: Some(similar), .. } => Some(format!("did you mean `{similar}`?")),
            Self::RepoNotFound { repo, similar: None } => {
                Some(format!("pv repo list lists all; to create it: pv repo create {repo}"))
            }
            Self::BranchNotFound { repo, branch, similar: None } => {
                Some(format!("pv branch list {repo} lists its branches; to create it: pv branch create {repo}@{branch}"))
            }
            Self::RevisionNotFound { repo, similar: None, .. } => Some(format!("pv log {repo} lists its commits")),
            Self::PipelineNotFound { similar: None, .. } => Some("pv pipeline list lists all".to_owned()),
            Self::RunNotFound { .. } => Some("pv log lists the runs".to_owned()),
            Self::BadSources(_) => Some(LEAVE_OUT.to_owned()),
            Self::ChangedWhileRead { .. } => {
                Some("repeat the command when nobody writes to the file, or skip it: --skip-unreadable".to_owned())
            }
            Self::SeveralCommits { repo, run, .. } => Some(format!("name the branch: {repo}@BRANCH@{}", run.short(8))),
            Self::IsDirectory { .. } => Some("use -r for directories".to_owned()),
            Self::BranchMoved { .. } | Self::GraphMoved | Self::JournalMoved { .. } | Self::Collected { .. } => {
                Some("check the current state, then repeat the command".to_owned())
            }
            Self::NotSent { .. } => Some("repeat the command: it sends what is missing".to_owned()),
            Self::ShortJournal { .. } => Some(
                "pv fsck --repair --from MIRROR, or put `.pv/journal` back from a backup; to go on without the lost records, \
                 delete `.pv/index` and `.pv/position` by hand"
                    .to_owned(),
            ),
            Self::Index(error) if is_of_disk(error) => {
                Some("free some space and check the permissions there, then repeat the command".to_owned())
            }
            Self::Index(_) | Self::DamagedRow { .. } | Self::DamagedIndex { .. } => {
                Some("pv fsck --rebuild-index rebuilds it from packs and journal".to_owned())
            }
            Self::Place { url, .. } if url.starts_with("s3:") => Some(
                "check that the bucket exists, that AWS_ENDPOINT_URL and AWS_REGION are right, and that AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY are set and may use it"
                    .to_owned(),
            ),
            Self::Place { url, .. } if url.starts_with("http") => {
                Some(format!("check the URL, and whether this machine can reach it: curl -I '{url}'"))
            }
            Self::Place { .. } => Some("check that the folder exists and is writable".to_owned()),
            Self::MadeByNewer { .. } => Some("use the newer pv".to_owned()),
            Self::PrunedCommit { .. } => {
                Some("a branch or tag needs a commit whose files are still stored; pv log lists the commits".to_owned())
            }
            Self::PrunedFile { hint, .. } => Some(hint.clone()),
            Self::NotVisible { .. } => Some("an admin of the store can give a token for more repositories".to_owned()),
            Self::Conflict { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Usage { hint, .. }
            | Self::NotFound { hint, .. }
            | Self::Remote { hint, .. } => hint.clone(),
            Self::NoSpace { .. } => Some("free some space there, or put fewer files at a time".to_owned()),
            Self::Unsure { source: Some(_), .. } => {
                Some("pv log shows whether it happened: check before you repeat it; dmesg shows disk errors".to_owned())
            }
            Self::Unsure { .. } => Some("pv log shows whether it happened: check before you repeat it".to_owned()),
            Self::Io { source, .. } => way_out(source).map(str::to_owned),
            _ if self.kind() == ErrorKind::Damaged => Some(
                "pv fsck lists the damage and what depends on it; pv fsck --repair --from MIRROR repairs it".to_owned(),
            ),
            _ => None,
        }
    }
}

/// How to put a folder with unreadable sources.
const LEAVE_OUT: &str = "--skip-unreadable skips them; --exclude or a .pvignore skips files by name";

/// What to try when the operating system refuses a file.
fn way_out(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull => Some("free some space, then repeat the command; the store is unchanged"),
        QuotaExceeded => {
            Some("free some space or have the quota raised, then repeat the command; the store is unchanged")
        }
        ReadOnlyFilesystem => Some("mount it writable, then repeat the command; reading also works without"),
        PermissionDenied => Some("ls -l shows the permissions; run the command as the user who owns the store"),
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            Some("dmesg shows disk errors; copy the store to another disk before you continue")
        }
        _ => None,
    }
}

/// Whether `RocksDB` could not use the disk, as opposed to finding damage on it.
pub(crate) fn is_of_disk(error: &rocksdb::Error) -> bool {
    use rustix::io::Errno;
    // RocksDB passes on the operating system's message, but not its error number.
    [Errno::NOSPC, Errno::ROFS, Errno::DQUOT, Errno::ACCESS, Errno::PERM, Errno::IO, Errno::MFILE, Errno::NFILE]
        .map(|errno| std::io::Error::from(errno).to_string())
        .iter()
        .any(|words| error.as_ref().contains(words.split(" (os error").next().unwrap_or(words)))
}

/// Adds to an operating system error what was being done, and to which file.
pub(crate) trait IoContext<T> {
    /// `doing` is a verb printed before the path: `open`, `write`.
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RepoError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RepoError> {
        self.map_err(|source| RepoError::Io { doing, path: path.to_owned(), source })
    }
}
