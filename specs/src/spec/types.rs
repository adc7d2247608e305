//! A pipeline spec as values that are always valid, and its canonical form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::Input;
use super::memory::MemoryLimit;
use super::placement::Placement;
use crate::duration::Duration;
use crate::names::{BranchName, PipelineName};
use crate::quantity::Quantity;

/// What a pipeline reads, what it executes and where it writes its output.
///
/// Its serde form is the canonical one: `snake_case`, fields at their default omitted. Equal specs have equal JSON (once keys are sorted),
/// which can be read as a spec file again. There too, an unknown field is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSpec {
    /// The pipeline's name, which is also that of its output repository.
    #[serde(rename = "pipeline", with = "named")]
    pub name: PipelineName,
    /// Description for people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Annotations and labels, which its pods have too.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What is executed.
    pub transform: Transform,
    /// What is read.
    pub input: Input,
    /// `parallelism_spec.constant`: maximum number of concurrent datums of one job, at least 1; `None` for no limit.
    #[serde(default, rename = "parallelism_spec", with = "constant", skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Maximum number of tries for each datum, at least 1; 3 by default.
    #[serde(default = "default_tries", skip_serializing_if = "is_default_tries")]
    pub datum_tries: u32,
    /// Wall-clock limit of each try of a datum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datum_timeout: Option<Duration>,
    /// Wall-clock limit of each job, from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_timeout: Option<Duration>,
    /// How to treat datums whose result is known.
    #[serde(default, rename = "reprocess_spec", skip_serializing_if = "is_default")]
    pub reprocess: Reprocess,
    /// Free text; a change forces a new transform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The minimum that each datum needs; except for memory, also the limit if none is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resource_requests: Resources,
    /// The maximum that each datum gets.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resource_limits: Limits,
    /// Whether idle sandboxes are closed immediately.
    #[serde(default, skip_serializing_if = "is_default")]
    pub autoscaling: bool,
    /// Where a cluster may run it. Flat: its fields are those of the spec.
    #[serde(flatten)]
    pub placement: Placement,
    /// The output branch that jobs write to; `None` for the store's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_branch: Option<BranchName>,
}

impl PipelineSpec {
    /// The pipeline `name` that executes `transform` on `input`, with all other fields at their default.
    pub fn new(name: PipelineName, transform: Transform, input: Input) -> Self {
        Self {
            name,
            description: String::new(),
            metadata: Metadata::default(),
            transform,
            input,
            parallelism: None,
            datum_tries: DEFAULT_DATUM_TRIES,
            datum_timeout: None,
            job_timeout: None,
            reprocess: Reprocess::default(),
            salt: None,
            resource_requests: Resources::default(),
            resource_limits: Limits::default(),
            autoscaling: false,
            placement: Placement::default(),
            output_branch: None,
        }
    }

    /// Those of its fields that only a cluster uses, and that no result depends on.
    pub fn fields_for_pods(&self) -> Vec<&'static str> {
        let Placement { scheduling, tolerations, pod_patch } = &self.placement;
        let fields = [
            ("scheduling_spec", !is_default(scheduling)),
            ("tolerations", !tolerations.is_empty()),
            ("pod_patch", pod_patch.is_some()),
            ("image_pull_secrets", !self.transform.image_pull_secrets.is_empty()),
        ];
        fields.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How to treat datums whose result is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reprocess {
    /// A successful result is reused.
    #[default]
    UntilSuccess,
    /// Every datum runs in every job.
    EveryJob,
}

/// Amounts of machine resources; `None` if not specified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Cores, such as `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes of memory, such as `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Bytes of disk space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Quantity>,
    /// GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
}

/// The most of each resource that a datum gets; `None` for no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Cores, such as `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes of memory, such as `2Gi`, or how they grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryLimit>,
    /// Bytes of disk space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Quantity>,
    /// GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
}

/// GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// The kind, as Kubernetes names it; `nvidia.com/gpu` by default.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Their number.
    pub number: u32,
}

/// Number of tries for each datum if the spec does not say.
pub const DEFAULT_DATUM_TRIES: u32 = 3;

fn default_tries() -> u32 {
    DEFAULT_DATUM_TRIES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_tries(tries: &u32) -> bool {
    *tries == DEFAULT_DATUM_TRIES
}

/// Notes on a pipeline, which its pods have too.
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
    /// The absolute path where the code is visible; `None` for [`DEFAULT_CODE_PATH`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_path: Option<String>,
    /// Network access of user code; `None` for the setting `network`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Exit codes that count as success, besides 0; each 1 to 255.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accept_return_code: BTreeSet<i32>,
    /// Executed after the last failed try of a datum: exit code 0 makes the datum recovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub err_cmd: Vec<String>,
    /// Lines for the standard input of `err_cmd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub err_stdin: Vec<String>,
    /// Secrets that user code sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretUse>,
    /// Names of a cluster's secrets with logins for the image's registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
}

/// Where the code of a transform is visible if the spec does not say.
pub const DEFAULT_CODE_PATH: &str = "/code";

/// A secret as user code sees it: as an environment variable, as files in a directory, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretUse {
    /// The secret's name in the store.
    pub name: String,
    /// One of its keys; required for an environment variable, all keys if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The environment variable with its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_var: Option<String>,
    /// The absolute path of the directory with a file for each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
}

/// Network access of user code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// No access.
    None,
    /// The default of the executor.
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
