//! Documents of pipelines: spec, transform, version.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::spec::SecretUse;
use specs::{BranchName, Digest, Network, PipelineName, RepoName};

use super::{CodeStamp, Document, ExecutorKind, is_default};
use crate::access::{self, Access};
use crate::base::kind::Kind;

/// A pipeline's spec in its normal form, as `specs` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecDocument(pub serde_json::Value);

impl Document for SpecDocument {
    const KIND: Kind = Kind::Spec;

    /// Each input that is not visible becomes a stand-in: another name, and nothing of what it takes from there.
    fn seen_by(mut self, access: &Access) -> Option<Self> {
        if let Some(input) = self.0.get_mut("input") {
            hide_inputs(input, access, &mut 0);
        }
        Some(self)
    }
}

/// What an input says of the repository that it reads.
const OF_THE_REPO: [&str; 6] = ["branch", "glob", "join_on", "group_by", "trigger", "outer_join"];

fn hide_inputs(value: &mut Value, access: &Access, count: &mut u32) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide_inputs(item, access, count)),
        Value::Object(fields) => {
            let repo = fields.get("repo").and_then(Value::as_str).map(str::to_owned);
            if let Some(repo) = repo.filter(|repo| repo.parse().is_ok_and(|repo| !access.sees(&repo))) {
                *count += 1;
                let stand_in = Value::from(access::stand_in(*count).as_str());
                if fields.get("name").is_none_or(|name| name.as_str() == Some(repo.as_str())) {
                    fields.insert("name".to_owned(), stand_in.clone());
                }
                // A cron input has no glob.
                let has_glob = fields.contains_key("glob");
                for field in OF_THE_REPO {
                    fields.remove(field);
                }
                fields.insert("repo".to_owned(), stand_in);
                if has_glob {
                    fields.insert("glob".to_owned(), Value::from("/"));
                }
            }
            fields.values_mut().for_each(|field| hide_inputs(field, access, count));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl SpecDocument {
    /// The repositories that its inputs name.
    pub fn input_repos(&self) -> Vec<RepoName> {
        let mut repos = Vec::new();
        let mut open: Vec<&Value> = self.0.get("input").into_iter().collect();
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(fields) => {
                    repos.extend(fields.get("repo").and_then(Value::as_str).and_then(|repo| repo.parse().ok()));
                    open.extend(fields.values());
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        repos
    }
}

/// What is executed; together with the inputs it determines a datum's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transform {
    /// SHA-256 of the image's canonical identity; absent if it runs with the tools of a host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<Digest>,
    /// Replaces the image under the process executor.
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
    /// The user it runs as, if not the image's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// Its working directory, if not the image's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub working_dir: Option<String>,
    /// Root of the tree laid out at `code_path`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Option<Digest>,
    /// Where the code is laid out, if not at `/code`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code_path: Option<String>,
    /// Its network access.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: Network,
    /// The secrets it uses, without their values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secrets: Vec<SecretUse>,
    /// Free text; a change forces a new transform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub salt: Option<String>,
    /// Digests of host files that the command names by path, under the process executor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host_files: BTreeMap<String, Digest>,
}

impl Document for Transform {
    const KIND: Kind = Kind::Transform;
}

/// The machine, in place of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// For example `linux`.
    pub os: String,
    /// For example `amd64`.
    pub architecture: String,
}

/// A pinned image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageStamp {
    /// The reference in the spec.
    pub reference: String,
    /// SHA-256 of the image's canonical identity.
    pub digest: Digest,
    /// The container engine's own id.
    pub id: String,
    /// The registry's digest, if the container engine knows one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub registry_digest: Option<String>,
}

/// One version of a pipeline: everything fixed at apply.
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
    /// The store's default branch at apply; spec inputs without a branch use it.
    pub default_branch: BranchName,
    /// The image; absent if it runs with the tools of a host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<ImageStamp>,
    /// The code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Option<CodeStamp>,
    /// What is executed if the spec has no `cmd`: the image's entrypoint and command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub entrypoint: Vec<String>,
}

impl Document for VersionDocument {
    const KIND: Kind = Kind::Version;

    fn seen_by(self, access: &Access) -> Option<Self> {
        access.sees_pipeline(&self.name).then_some(self)
    }
}
