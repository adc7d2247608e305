//! Images: what the engine calls them, and what they *are*.

use repos::documents::{ImageStamp, canonical};
use repos::hash::digest_of;
use serde::{Deserialize, Serialize};
use specs::Digest;

/// The part of an image's configuration that its commands can notice.
///
/// Its canonical JSON is the image's identity: equal for a local build, a pull, `docker save` and `load`, and either image store,
/// unlike the ids that engines and registries give.
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
    /// Program and first arguments of a plain start; not used for commands of a pipeline.
    pub entrypoint: Vec<String>,
    /// Default arguments; not used for commands of a pipeline.
    pub cmd: Vec<String>,
    /// User that commands run as; empty for root.
    pub user: String,
    /// Directory in which commands start; empty for `/`.
    pub working_dir: String,
}

impl ImageConfig {
    /// The value whose canonical encoding, hashed, is the `image` of a transform.
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

/// An image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As the spec names it.
    pub reference: String,
    /// The engine's id, `sha256:…`; what [`super::SandboxSpec::image`] takes.
    pub id: String,
    /// Digest under which the registry has it, `sha256:…`; `None` for a local build.
    pub registry_digest: Option<String>,
    /// What it is.
    pub config: ImageConfig,
}

impl Image {
    /// SHA-256 of the canonical JSON of what its commands can notice.
    pub fn identity(&self) -> Digest {
        digest_of(&canonical(&self.config.identity()))
    }
}

/// A step of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// Short id of a layer; empty for the whole.
    pub layer: String,
    /// The engine's word, such as `Downloading`.
    pub status: String,
    /// Bytes done of this layer.
    pub current_bytes: u64,
    /// Bytes of this layer; 0 when unknown.
    pub total_bytes: u64,
}

/// A reference under which an image may be found, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SameImage {
    /// The id that the engine gave it then.
    pub id: String,
    /// Such as `busybox:1.36`.
    pub reference: String,
    /// Digest under which the registry had it, `sha256:…`.
    pub registry_digest: Option<String>,
    /// What [`Image::identity`] must be.
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
