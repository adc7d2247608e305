//! The content of a pipeline version, and its differences from the previous one.

use std::collections::{BTreeMap, BTreeSet};

use repos::Store;
use repos::documents::{CodeStamp, ExecutorKind, ImageStamp, SpecDocument, Transform, VersionDocument};
use repos::settings::DEFAULT_IMAGE;
use serde::Serialize;
use serde_json::Value;
use specs::spec::PipelineSpec;
use specs::{BranchName, Digest, Network};

use super::checks::Scope;
use super::host;
use super::images::Pinned;
use crate::error::{EngineError, Result};
use crate::executors::{default_network, readable_paths, runs_on_host};
use crate::graph::Pipeline;

/// The settings that an apply reads and a version stores.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) default_branch: BranchName,
    pub(super) default_image: Option<String>,
    pub(super) network: Network,
}

impl Settings {
    pub(super) fn of(store: &Store) -> Result<Self> {
        Ok(Self {
            default_branch: store.default_branch()?,
            default_image: store.setting(&DEFAULT_IMAGE)?.map(|image| image.0),
            network: default_network(store)?,
        })
    }
}

/// A pipeline version to be published, which assigns its number.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) spec: PipelineSpec,
    spec_digest: Digest,
    transform_digest: Digest,
    executor: ExecutorKind,
    default_branch: BranchName,
    image: Option<ImageStamp>,
    code: Option<CodeStamp>,
    entrypoint: Vec<String>,
}

impl Prepared {
    /// Prepares a new spec; stores spec and transform.
    pub(super) fn of(
        scope: &Scope,
        spec: PipelineSpec,
        image: Option<Pinned>,
        code: Option<CodeStamp>,
    ) -> Result<Self> {
        let network = spec.transform.network.unwrap_or(scope.settings.network);
        let default_branch = scope.settings.default_branch.clone();
        Self::settle(&scope.store, spec, scope.kind, image, code, network, default_branch)
    }

    /// Prepares a pipeline's current version for another executor.
    pub(super) fn again(
        store: &Store,
        pipeline: &Pipeline,
        executor: ExecutorKind,
        image: Option<Pinned>,
    ) -> Result<Self> {
        let silent = image.as_ref().is_none_or(|image| image.entrypoint.is_empty());
        let why = match executor {
            ExecutorKind::Docker if image.is_none() => {
                Some("it has no image, and the setting `default_image` is not set")
            }
            _ if silent && pipeline.spec.transform.cmd.is_empty() => {
                Some("it has no `cmd`, and no image to take it from")
            }
            _ => None,
        };
        if let Some(why) = why {
            let why = format!("{why}, which the {executor} executor needs");
            return Err(EngineError::NotReady { pipeline: pipeline.name().clone(), why });
        }
        let old: Transform = store.document(&pipeline.version.transform)?;
        let code = pipeline.version.code.clone();
        let branch = pipeline.version.default_branch.clone();
        Self::settle(store, pipeline.spec.clone(), executor, image, code, old.network, branch)
    }

    /// An earlier version, with its spec as parsed today.
    pub(super) fn of_version(version: &VersionDocument, spec: PipelineSpec) -> Self {
        Self {
            spec,
            spec_digest: version.spec,
            transform_digest: version.transform,
            executor: version.executor,
            default_branch: version.default_branch.clone(),
            image: version.image.clone(),
            code: version.code.clone(),
            entrypoint: version.entrypoint.clone(),
        }
    }

    fn settle(
        store: &Store,
        spec: PipelineSpec,
        executor: ExecutorKind,
        image: Option<Pinned>,
        code: Option<CodeStamp>,
        network: Network,
        default_branch: BranchName,
    ) -> Result<Self> {
        let (image, entrypoint) = image.map(|image| (image.stamp, image.entrypoint)).unzip();
        let on_host = runs_on_host(executor, image.is_some());
        let words = spec.transform.cmd.iter().chain(&spec.transform.stdin);
        // Files of this host say nothing of those on the machines of workers.
        let is_here = executor == ExecutorKind::Process;
        let host_files = if is_here { host::named_files(words, &readable_paths(store)?) } else { BTreeMap::new() };
        let transform = Transform {
            image: image.as_ref().map(|image| image.digest),
            host: on_host.then(host::this_host),
            cmd: spec.transform.cmd.clone(),
            stdin: spec.transform.stdin.clone(),
            env: spec.transform.env.clone(),
            user: spec.transform.user.clone(),
            working_dir: spec.transform.working_dir.clone(),
            code: code.as_ref().and_then(|code| code.tree),
            code_path: spec.transform.code_path.clone(),
            network,
            secrets: spec.transform.secrets.clone(),
            salt: spec.salt.clone(),
            host_files,
        };
        let transform_digest = store.put_document(&transform)?;
        let spec_digest = store.put_document(&SpecDocument(value_of(&spec)))?;
        let entrypoint = if spec.transform.cmd.is_empty() { entrypoint.unwrap_or_default() } else { Vec::new() };
        Ok(Self { spec, spec_digest, transform_digest, executor, default_branch, image, code, entrypoint })
    }

    /// Its document as version `version`.
    pub(super) fn document(&self, version: u32) -> VersionDocument {
        VersionDocument {
            name: self.spec.name.clone(),
            version,
            spec: self.spec_digest,
            transform: self.transform_digest,
            executor: self.executor,
            default_branch: self.default_branch.clone(),
            image: self.image.clone(),
            code: self.code.clone(),
            entrypoint: self.entrypoint.clone(),
        }
    }

    /// The differences from the current version.
    pub(super) fn differences(&self, store: &Store, present: &Pipeline) -> Result<Vec<String>> {
        differences(store, &present.version, &self.document(present.version.version))
    }
}

/// The differences between two versions, in terms of spec and transform; empty if they are the same. Another git commit, image id or
/// registry digest with the same content is not a difference.
pub fn differences(store: &Store, old: &VersionDocument, new: &VersionDocument) -> Result<Vec<String>> {
    let mut why = BTreeSet::new();
    if old.transform != new.transform {
        let [before, after]: [Transform; 2] = [store.document(&old.transform)?, store.document(&new.transform)?];
        why.extend(fields_that_differ(&value_of(&before), &value_of(&after)));
    }
    if old.spec != new.spec {
        let [SpecDocument(before), SpecDocument(after)] = [store.document(&old.spec)?, store.document(&new.spec)?];
        why.extend(fields_that_differ(&before, &after).into_iter().filter(|field| field != "transform"));
        let within = fields_that_differ(&before["transform"], &after["transform"]);
        // The reference of an image or the path of the code can differ although the content is the same.
        let within = within.into_iter().filter(|field| !why.contains(field)).map(|field| match field.as_str() {
            "image" => "image reference".to_owned(),
            "code" => "code path".to_owned(),
            _ => field,
        });
        let within: Vec<String> = within.collect();
        why.extend(within);
    }
    let facts = [
        ("executor", old.executor != new.executor),
        ("default_branch", old.default_branch != new.default_branch),
        ("cmd", old.entrypoint != new.entrypoint),
    ];
    why.extend(facts.iter().filter(|(_, differs)| *differs).map(|(field, _)| (*field).to_owned()));
    Ok(why.into_iter().collect())
}

pub(super) fn value_of<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("documents have a JSON form")
}

/// The fields of two objects whose values differ.
pub fn fields_that_differ(one: &Value, other: &Value) -> Vec<String> {
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<BTreeSet<_>>());
    let mut all = keys(one).unwrap_or_default();
    all.extend(keys(other).unwrap_or_default());
    all.into_iter().filter(|key| one.get(key) != other.get(key)).collect()
}
