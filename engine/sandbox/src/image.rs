//! Images: their names in a container engine, and their identity.

use repos::documents::{ImageStamp, canonical};
use repos::hash::digest_of;
use serde::{Deserialize, Serialize};
use specs::Digest;

/// The part of an image's configuration that its commands can observe.
///
/// Its canonical JSON is the image's identity: equal for a local build, a pull, `docker save` and `load`, and either image store, unlike
/// the ids assigned by engines and registries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture, such as `amd64`.
    pub architecture: String,
    /// Digests of the uncompressed layers, lowest first, as `sha256:…`.
    pub diff_ids: Vec<String>,
    /// `NAME=value`, in the image's order.
    pub env: Vec<String>,
    /// Program and first arguments of a plain start; ignored for commands of a pipeline.
    pub entrypoint: Vec<String>,
    /// Default arguments; ignored for commands of a pipeline.
    pub cmd: Vec<String>,
    /// User that commands run as; empty for root.
    pub user: String,
    /// Directory in which commands start; empty for `/`.
    pub working_dir: String,
}

impl ImageConfig {
    /// The value whose canonical encoding is hashed for the `image` of a transform.
    pub fn identity(&self) -> serde_json::Value {
        serde_json::json!({
            "os": self.os,
            "architecture": self.architecture,
            "diff_ids": self.diff_ids,
            "env": self.env,
            "entrypoint": self.entrypoint,
            "cmd": self.cmd,
            "user": self.user,
            "working_dir": self.working_dir,
        })
    }
}

/// An image in the container engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference in the spec.
    pub reference: String,
    /// The engine's id, `sha256:…`; the value for [`super::SandboxSpec::image`].
    pub id: String,
    /// The registry's digest, `sha256:…`; `None` for a local build.
    pub registry_digest: Option<String>,
    /// Its configuration.
    pub config: ImageConfig,
}

impl Image {
    /// SHA-256 of the canonical JSON of what its commands can observe.
    pub fn identity(&self) -> Digest {
        digest_of(&canonical(&self.config.identity()))
    }
}

/// A step of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullProgress {
    /// Short id of a layer; empty for the whole.
    pub layer: String,
    /// The engine's word for the step, such as `Downloading`.
    pub status: String,
    /// Bytes done of this layer.
    pub current_bytes: u64,
    /// Size of this layer in bytes; 0 if unknown.
    pub total_bytes: u64,
}

/// Where an image may be found, and its required identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SameImage {
    /// The id it had in the engine.
    pub id: String,
    /// For example `busybox:1.36`.
    pub reference: String,
    /// The digest it had in the registry, `sha256:…`.
    pub registry_digest: Option<String>,
    /// The required value of [`Image::identity`].
    pub identity: Digest,
}

impl From<&ImageStamp> for SameImage {
    fn from(stamp: &ImageStamp) -> Self {
        Self {
            id: stamp.id.clone(),
            reference: stamp.reference.clone(),
            registry_digest: stamp.registry_digest.clone(),
            identity: stamp.digest,
        }
    }
}
