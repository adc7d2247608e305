//! What a pipeline reads: a tree whose leaves are repositories, and its canonical form.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::glob::{Glob, KeyTemplate};
use crate::names::{BranchName, RepoName};
use crate::quantity::Quantity;
use crate::schedule::Schedule;

/// What a pipeline reads: a tree whose leaves are repositories. A list has at least one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// One repository.
    Pfs(PfsInput),
    /// Every combination of the datums of its inputs.
    Cross(Vec<Input>),
    /// The datums of all inputs.
    Union(Vec<Input>),
    /// For each key (`join_on`), every combination of the inputs' datums with that key.
    Join(Vec<Input>),
    /// For each key (`group_by`), one datum with all the inputs' datums that have the key.
    Group(Vec<Input>),
    /// Ticks of a cron schedule, as files of a repository.
    Cron(CronInput),
}

impl Input {
    /// The repositories that are read, in spec order: the index here is the leaf number in a datum's key.
    pub fn leaves(&self) -> Vec<&PfsInput> {
        match self {
            Self::Pfs(leaf) => vec![leaf],
            Self::Cron(cron) => vec![&cron.ticks],
            Self::Cross(inputs) | Self::Union(inputs) | Self::Join(inputs) | Self::Group(inputs) => {
                inputs.iter().flat_map(Self::leaves).collect()
            }
        }
    }

    /// The cron inputs among the leaves, in spec order.
    pub fn crons(&self) -> Vec<&CronInput> {
        match self {
            Self::Pfs(_) => Vec::new(),
            Self::Cron(cron) => vec![cron],
            Self::Cross(inputs) | Self::Union(inputs) | Self::Join(inputs) | Self::Group(inputs) => {
                inputs.iter().flat_map(Self::crons).collect()
            }
        }
    }
}

/// One repository as an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PfsDocument", into = "PfsDocument")]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the format")]
pub struct PfsInput {
    /// The repository.
    pub repo: RepoName,
    /// The directory below `/pfs` and the environment variable; valid as both, and unique among the inputs of a datum. Defaults to the
    /// repository's name.
    pub name: String,
    /// The branch; `None` for the store's default branch.
    pub branch: Option<BranchName>,
    /// Each match is a datum.
    pub glob: Glob,
    /// Its part of the key in a join.
    pub join_on: Option<KeyTemplate>,
    /// Whether to keep a match whose key is missing in another input of the join.
    pub outer_join: bool,
    /// Its part of the key in a group.
    pub group_by: Option<KeyTemplate>,
    /// Whether the input is excluded from the recipe: a change to it does not run any datum again.
    pub reference: bool,
    /// Whether user code sees the files of this input without their content.
    pub empty_files: bool,
    /// Whether a new commit there starts no jobs.
    pub propagation_never: bool,
    /// When commits of the branch are taken; if absent, each one immediately.
    pub trigger: Option<Trigger>,
}

impl PfsInput {
    /// Matches of `glob` in the default branch of `repo`, named after the repository.
    pub fn new(repo: RepoName, glob: Glob) -> Self {
        Self {
            name: repo.as_str().to_owned(),
            repo,
            branch: None,
            glob,
            join_on: None,
            outer_join: false,
            group_by: None,
            reference: false,
            empty_files: false,
            propagation_never: false,
            trigger: None,
        }
    }
}

/// When the commits of a branch are taken: when any condition holds, or when all hold if `all`. A schedule must be the only condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The branch whose commits are taken, instead of the input's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// Whether every condition must hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// The schedule came due since the last commit that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_spec: Option<Schedule>,
    /// At least this many bytes more than in the last commit that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// This many commits since the last that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<u32>,
    /// When the schedule comes due, everything new is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_spec: Option<Schedule>,
}

/// Ticks of a cron schedule: each is a commit with an empty file named after its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CronDocument", into = "CronDocument")]
pub struct CronInput {
    /// The repository of ticks as an input: glob `/*` on its default branch.
    pub ticks: PfsInput,
    /// When it ticks.
    pub spec: Schedule,
    /// Start time; the time of the apply if absent.
    pub start: Option<Timestamp>,
    /// Whether a tick replaces the previous one.
    pub overwrite: bool,
}

impl CronInput {
    /// The input `name` whose ticks are commits of `repo`.
    pub fn new(name: String, repo: RepoName, spec: Schedule) -> Self {
        let every_file = Glob::parse("/*").expect("`/*` is a glob");
        Self { ticks: PfsInput { name, ..PfsInput::new(repo, every_file) }, spec, start: None, overwrite: false }
    }
}

/// The canonical form of [`PfsInput`]: `name` is omitted if it equals the repository's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PfsDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    repo: RepoName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchName>,
    glob: Glob,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_on: Option<KeyTemplate>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    outer_join: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group_by: Option<KeyTemplate>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reference: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    empty_files: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    propagation_spec: Option<Propagation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trigger: Option<Trigger>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Propagation {
    never: bool,
}

impl From<PfsInput> for PfsDocument {
    fn from(input: PfsInput) -> Self {
        Self {
            name: Some(input.name).filter(|name| name != input.repo.as_str()),
            repo: input.repo,
            branch: input.branch,
            glob: input.glob,
            join_on: input.join_on,
            outer_join: input.outer_join,
            group_by: input.group_by,
            reference: input.reference,
            empty_files: input.empty_files,
            propagation_spec: input.propagation_never.then_some(Propagation { never: true }),
            trigger: input.trigger,
        }
    }
}

impl TryFrom<PfsDocument> for PfsInput {
    type Error = String;
    fn try_from(document: PfsDocument) -> Result<Self, String> {
        let name = document.name.unwrap_or_else(|| document.repo.as_str().to_owned());
        legal(&name)?;
        Ok(Self {
            name,
            repo: document.repo,
            branch: document.branch,
            glob: document.glob,
            join_on: document.join_on,
            outer_join: document.outer_join,
            group_by: document.group_by,
            reference: document.reference,
            empty_files: document.empty_files,
            propagation_never: document.propagation_spec.is_some_and(|spec| spec.never),
            trigger: document.trigger,
        })
    }
}

/// The canonical form of [`CronInput`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CronDocument {
    name: String,
    repo: RepoName,
    spec: Schedule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overwrite: bool,
}

impl From<CronInput> for CronDocument {
    fn from(cron: CronInput) -> Self {
        let CronInput { ticks, spec, start, overwrite } = cron;
        Self { name: ticks.name, repo: ticks.repo, spec, start, overwrite }
    }
}

impl TryFrom<CronDocument> for CronInput {
    type Error = String;
    fn try_from(document: CronDocument) -> Result<Self, String> {
        let CronDocument { name, repo, spec, start, overwrite } = document;
        legal(&name)?;
        Ok(Self { start, overwrite, ..Self::new(name, repo, spec) })
    }
}

fn legal(name: &str) -> Result<(), String> {
    match input_name_problem(name) {
        None => Ok(()),
        Some(why) => Err(format!("`{}` cannot name an input: {why}", name.escape_debug())),
    }
}

/// Why `name` cannot name an input. It becomes a directory below `/pfs` and an environment variable.
pub(super) fn input_name_problem(name: &str) -> Option<&'static str> {
    const RESERVED: [&str; 6] = ["out", ".env", "PATH", "HOME", "USER", "TMPDIR"];
    const RESERVED_PREFIXES: [&str; 3] = ["LD_", "PV_", "PACH_"];
    if RESERVED.contains(&name) {
        Some("this name is reserved")
    } else if RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Some("names that begin with `LD_`, `PV_` or `PACH_` are reserved")
    } else if name.is_empty() || name.len() > 63 {
        Some("it must have 1 to 63 characters")
    } else if name.starts_with('-') || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        Some("only letters, digits, `-` and `_` are allowed, and `-` not at the start")
    } else {
        None
    }
}
