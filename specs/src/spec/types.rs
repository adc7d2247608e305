//! A pipeline spec as values that are always legal, and its canonical form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::glob::Glob;
use crate::names::{BranchName, PipelineName, RepoName};

/// What a pipeline reads, what it executes and where its output goes.
///
/// Its serde form is the canonical one: `snake_case`, fields at their default left out. Equal specs have equal JSON (once keys are sorted)
/// and it can be read as a spec file again. A field that this version does not know is an error there too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSpec {
    /// The pipeline's name, and so its output repository's.
    #[serde(rename = "pipeline", with = "named")]
    pub name: PipelineName,
    /// For people; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Free annotations and labels.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What is executed.
    pub transform: Transform,
    /// What is read.
    pub input: Input,
    /// `parallelism_spec.constant`: datums of one job at a time, at least 1; `None` for no bound of its own.
    #[serde(default, rename = "parallelism_spec", with = "constant", skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Attempts for each datum, at least 1; 3 if not given.
    #[serde(default = "default_tries", skip_serializing_if = "is_default_tries")]
    pub datum_tries: u32,
    /// The branch of the output repository that jobs write; `None` for the store's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_branch: Option<BranchName>,
}

/// Attempts for each datum if the spec does not say.
pub const DEFAULT_DATUM_TRIES: u32 = 3;

fn default_tries() -> u32 {
    DEFAULT_DATUM_TRIES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_tries(tries: &u32) -> bool {
    *tries == DEFAULT_DATUM_TRIES
}

/// Notes on a pipeline that change nothing of what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// By key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// By key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Metadata {
    fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.labels.is_empty()
    }
}

/// What is executed for each datum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// The container image's reference, as written; `None` for the setting `default_image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Program and arguments, without a shell; empty for the image's entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Lines for the program's standard input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdin: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// User name or id inside the image; `None` for the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Absolute path inside the image; `None` for the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The directory with the code, relative to the spec's own file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What user code reaches of the network; `None` for the setting `network`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Exit codes that count as success beside 0; each 1 to 255.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accept_return_code: BTreeSet<i32>,
}

/// What user code reaches of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nothing.
    None,
    /// Whatever the executor gives by default.
    #[default]
    Default,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Default => "default",
        })
    }
}

/// What a pipeline reads: a tree whose leaves are repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive] // union, join, group and cron come
pub enum Input {
    /// One repository.
    Pfs(PfsInput),
    /// Every combination of the datums of its inputs; at least one.
    Cross(Vec<Input>),
}

impl Input {
    /// The repositories that are read, in spec order: a leaf's number in a datum's key is its index here.
    pub fn leaves(&self) -> Vec<&PfsInput> {
        match self {
            Self::Pfs(leaf) => vec![leaf],
            Self::Cross(inputs) => inputs.iter().flat_map(Self::leaves).collect(),
        }
    }
}

/// One repository as an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PfsDocument", into = "PfsDocument")]
pub struct PfsInput {
    /// The repository.
    pub repo: RepoName,
    /// The directory below `/pfs` and the environment variable; legal as both, unique in its spec. The repository's name if not given.
    pub name: String,
    /// The branch; `None` for the store's default branch.
    pub branch: Option<BranchName>,
    /// Each match is a datum.
    pub glob: Glob,
    /// Whether the input stays out of the recipe: a change of it makes no datum run again.
    pub reference: bool,
}

/// The canonical form of [`PfsInput`]: `name` is left out where it is the repository's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PfsDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    repo: RepoName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchName>,
    glob: Glob,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reference: bool,
}

impl From<PfsInput> for PfsDocument {
    fn from(input: PfsInput) -> Self {
        let PfsInput { repo, name, branch, glob, reference } = input;
        Self { name: Some(name).filter(|name| name != repo.as_str()), repo, branch, glob, reference }
    }
}

impl TryFrom<PfsDocument> for PfsInput {
    type Error = String;
    fn try_from(document: PfsDocument) -> Result<Self, String> {
        let PfsDocument { name, repo, branch, glob, reference } = document;
        let name = name.unwrap_or_else(|| repo.as_str().to_owned());
        match input_name_problem(&name) {
            None => Ok(Self { repo, name, branch, glob, reference }),
            Some(why) => Err(format!("`{}` cannot name an input: {why}", name.escape_debug())),
        }
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
        Some("only letters, digits, `-` and `_` are allowed, and no `-` first")
    } else {
        None
    }
}

/// `pipeline: {name: NAME}`.
mod named {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::names::PipelineName;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named<T> {
        name: T,
    }

    pub(super) fn serialize<S: Serializer>(name: &PipelineName, serializer: S) -> Result<S::Ok, S::Error> {
        Named { name }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PipelineName, D::Error> {
        Named::deserialize(deserializer).map(|named| named.name)
    }
}

/// `parallelism_spec: {constant: N}`.
mod constant {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Constant {
        constant: u32,
    }

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(count: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        count.map(|constant| Constant { constant }).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        Option::<Constant>::deserialize(deserializer).map(|spec| spec.map(|spec| spec.constant))
    }
}
