//! Documents of pipelines: spec, transform, version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use specs::spec::SecretUse;
use specs::{BranchName, Digest, Network, PipelineName};

use super::{CodeStamp, Document, ExecutorKind, is_default};
use crate::base::kind::Kind;

/// A pipeline's spec in its normal form, as `specs` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecDocument(pub serde_json::Value);

impl Document for SpecDocument {
    const KIND: Kind = Kind::Spec;
}

/// What is executed; with the inputs it determines a datum's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// SHA-256 of the image's canonical identity; absent under the process executor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<Digest>,
    /// What stands in the image's place under the process executor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: Option<Host>,
    /// The command and its arguments; no shell.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cmd: Vec<String>,
    /// Lines piped to the command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stdin: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env: BTreeMap<String, String>,
    /// Who runs it, when it is not the image's user.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// Where it runs, when it is not the image's directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub working_dir: Option<String>,
    /// Root of the tree laid out at `code_path`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Option<Digest>,
    /// Where the code is, when that is not `/code`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code_path: Option<String>,
    /// Which network it sees.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: Network,
    /// Which secrets it sees, without their values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secrets: Vec<SecretUse>,
    /// Anything that is to make it differ.
    #[serde(default, skip_serializing_if = "is_default")]
    pub salt: Option<String>,
    /// Digests of host files that the command names by path, under the process executor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host_files: BTreeMap<String, Digest>,
}

impl Document for Transform {
    const KIND: Kind = Kind::Transform;
}

/// The machine in place of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
}

/// An image as it was pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStamp {
    /// What the spec says.
    pub reference: String,
    /// SHA-256 of the image's canonical identity.
    pub digest: Digest,
    /// The engine's own id.
    pub id: String,
    /// The registry's digest, when the engine knows one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub registry_digest: Option<String>,
}

/// One version of a pipeline: all that was settled at apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionDocument {
    /// The pipeline.
    pub name: PipelineName,
    /// The version, from 1.
    pub version: u32,
    /// Digest of the spec document.
    pub spec: Digest,
    /// Digest of the transform document.
    pub transform: Digest,
    /// The executor it is for.
    pub executor: ExecutorKind,
    /// The store's default branch then; spec inputs without a branch use it.
    pub default_branch: BranchName,
    /// The image; absent under the process executor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<ImageStamp>,
    /// The code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Option<CodeStamp>,
    /// What is executed when the spec has no `cmd`: the image's entrypoint and command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub entrypoint: Vec<String>,
}

impl Document for VersionDocument {
    const KIND: Kind = Kind::Version;
}
