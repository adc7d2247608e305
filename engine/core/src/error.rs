//! What can go wrong in the engine, with its kind and a hint.

use repos::RepoError;
use specs::{CommitId, Diagnostic, ErrorKind, PipelineName, RepoName};

use sandbox::ExecError;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the variants and fields are")]
pub enum EngineError {
    #[error(transparent)]
    Store(#[from] RepoError),
    #[error(transparent)]
    Executor(#[from] ExecError),
    /// All problems in all specs, including warnings.
    #[error("{}", summary(.diagnostics, *.files))]
    Specs { diagnostics: Vec<Diagnostic>, files: usize },
    #[error("`{repo}` is the output of pipeline `{repo}`: only its jobs commit to it")]
    OutputRepo { repo: RepoName },
    #[error("branch `{branch}` not found in repository `{repo}`")]
    NoBranchToPut { repo: RepoName, branch: specs::BranchName, similar: Option<String> },
    #[error("`{repo}@{branch}` is at {}, not at {}", short(.actual.as_ref()), short(.expected.as_ref()))]
    NotExpected { repo: RepoName, branch: specs::BranchName, expected: Option<CommitId>, actual: Option<CommitId> },
    #[error("only pipeline `{pipeline}` moves its output branch `{repo}@{branch}`")]
    OutputBranch { pipeline: PipelineName, repo: RepoName, branch: specs::BranchName },
    #[error("pipeline `{pipeline}` is stopped")]
    PipelineStopped { pipeline: PipelineName },
    #[error("pipeline `{pipeline}` has no version {version}")]
    NoVersion { pipeline: PipelineName, version: u32 },
    #[error("{what} is in use: {by}")]
    InUse { what: String, by: String },
    #[error("job `{job}` not found")]
    JobNotFound { job: String },
    #[error("job {job} has not ended, and nothing runs it")]
    NotRunning { job: String },
    #[error("{what}")]
    Conflict { what: String, hint: Option<String> },
    #[error("{what}")]
    Usage { what: String, hint: Option<String> },
    #[error("{what}")]
    NotFound { what: String, hint: Option<String> },
    /// What is wrong with lines of a transaction, in order; at least one.
    #[error("{}", .0.iter().map(|(line, error)| format!("line {line}: {error}")).collect::<Vec<_>>().join("\n"))]
    Lines(Vec<(u32, EngineError)>),
    #[error("pipeline `{pipeline}` cannot be prepared: {why}")]
    NotReady { pipeline: PipelineName, why: String },
    #[error("cannot {action} secret `{name}`")]
    Secret { action: &'static str, name: String, source: std::io::Error },
    #[error("jobs wait for disk space: {} MB are free, {} MB are required", .free / 1_000_000, .least / 1_000_000)]
    NoSpace { free: u64, least: u64 },
    #[error("cannot {doing}")]
    Io { doing: String, source: std::io::Error },
    /// An error with a more specific hint than its own.
    #[error("{error}")]
    Hinted { error: Box<Self>, hint: String },
    #[error("a part of the engine stopped unexpectedly: {0}")]
    Stopped(String),
}

fn short(commit: Option<&CommitId>) -> String {
    commit.map_or_else(|| "no commit".to_owned(), |id| id.short(12))
}

fn summary(diagnostics: &[Diagnostic], files: usize) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    let mut broken: Vec<&str> = errors.clone().map(|diagnostic| diagnostic.file.as_str()).collect();
    let count = broken.len();
    broken.sort_unstable();
    broken.dedup();
    format!("{count} error{} in {} of {files} file{}", plural(count), broken.len(), plural(files))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl EngineError {
    /// Exit code, HTTP status and retry all follow from this.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Executor(error) => error.kind(),
            Self::Lines(lines) => lines.first().map_or(ErrorKind::Usage, |(_, error)| error.kind()),
            Self::Specs { .. } | Self::Usage { .. } => ErrorKind::Usage,
            Self::NoBranchToPut { .. } | Self::NoVersion { .. } | Self::JobNotFound { .. } | Self::NotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::OutputRepo { .. }
            | Self::OutputBranch { .. }
            | Self::PipelineStopped { .. }
            | Self::NotExpected { .. }
            | Self::InUse { .. }
            | Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Hinted { error, .. } => error.kind(),
            Self::Stopped(_) => ErrorKind::Failed,
            Self::NotReady { .. }
            | Self::NoSpace { .. }
            | Self::Secret { .. }
            | Self::Io { .. }
            | Self::NotRunning { .. } => ErrorKind::Unavailable,
        }
    }

    /// The next thing to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Executor(error) => error.hint(),
            Self::Lines(lines) => lines.iter().find_map(|(_, error)| error.hint()),
            Self::OutputRepo { repo } => {
                Some(format!("commit to an input of `{repo}`; pv pipeline show {repo} lists them"))
            }
            Self::NoBranchToPut { similar: Some(similar), repo, branch } => {
                Some(format!("did you mean `{similar}`? to create it: pv branch create {repo}@{branch}"))
            }
            Self::NoBranchToPut { similar: None, repo, branch } => {
                Some(format!("to create it: pv branch create {repo}@{branch}"))
            }
            Self::NotExpected { repo, branch, .. } => {
                Some(format!("pv log {repo}@{branch} shows the commits in between"))
            }
            Self::OutputBranch { repo, .. } => Some(format!("to use another branch: pv branch create {repo}@NAME")),
            Self::PipelineStopped { pipeline } => Some(format!("pv pipeline start {pipeline}")),
            Self::NoVersion { pipeline, .. } => Some(format!("pv pipeline log {pipeline} lists its versions")),
            Self::NoSpace { .. } => {
                Some("free some space, or lower the limit: pv config set min_free BYTES".to_owned())
            }
            Self::Hinted { hint, .. } => Some(hint.clone()),
            Self::NotRunning { .. } => Some("pv run runs it; then follow its output".to_owned()),
            Self::JobNotFound { .. } => Some("pv job list lists all".to_owned()),
            Self::Conflict { hint, .. } | Self::Usage { hint, .. } | Self::NotFound { hint, .. } => hint.clone(),
            Self::Specs { .. }
            | Self::InUse { .. }
            | Self::NotReady { .. }
            | Self::Secret { .. }
            | Self::Io { .. }
            | Self::Stopped(_) => None,
        }
    }
}

impl EngineError {
    /// The same error with another hint.
    pub(crate) fn hinted(self, hint: String) -> Self {
        Self::Hinted { error: Box::new(self), hint }
    }

    /// A usage error, with what to do instead.
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: Some(hint.into()) }
    }

    /// An error while reading `what`: an error of the store that a reader passed through, or one of the operating system.
    pub(crate) fn of_reading(what: &str, error: std::io::Error) -> Self {
        match error.downcast::<RepoError>() {
            Ok(error) => error.into(),
            Err(source) => Self::Io { doing: format!("read {what}"), source },
        }
    }
}

/// Result of engine operations.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error with its causes, on one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
