//! Bundles: a claim with everything needed to convince others of it, in one file that needs no store and no `pv`.
//!
//! A bundle is a zip archive without compression, so its bytes follow from its entries. All entries but two are listed with their digests
//! in `SHA256SUMS`; `SHA256SUMS.sig` is the store's signature of that list, and thus of everything. The rest:
//!
//! ```text
//! README.txt                  how to check it with sha256sum and openssl
//! index.html  trace.json      its content, for people and for programs
//! intoto.jsonl                the same as signed statements
//! claim.json                  what is claimed: repository, commit, paths
//! objects/<kind>/<digest>     documents, and nodes of trees from the root down to what is claimed: Merkle paths
//! signatures/<commit>.<key>.sig  64 bytes: a key's signature of the commit's document
//! keys/<fingerprint>.pem      public keys
//! files/<digest>              the stages' code, and the content of files, if requested
//! ```
//! - `gather`: collects what belongs to a claim
//! - `archive`: writes entries to bytes
//! - `open`: reads entries from bytes, trusting nothing
//! - `check`: whether a bundle's claim is true

mod archive;
mod check;
mod gather;
mod open;
mod readme;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, FilePath, RepoName};

pub use check::verify_bundle;
pub use gather::{Case, Contents, gather};

const CLAIM: &str = "claim.json";
const SUMS: &str = "SHA256SUMS";
const SUMS_SIGNATURE: &str = "SHA256SUMS.sig";
const STATEMENTS: &str = "intoto.jsonl";

/// What a bundle claims.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Claim {
    /// 1; a higher number comes from a newer version.
    format: u32,
    /// The store's id.
    store: String,
    /// The version of `pv` that wrote it.
    made_by: String,
    repo: RepoName,
    commit: CommitId,
    /// The files; empty for the whole commit.
    paths: Vec<FilePath>,
    /// Which commit introduced a source file, for each file introduced by another commit.
    introduced: Vec<Introduced>,
    /// Commits without a signature, and why that is acceptable.
    unsigned: Vec<Unsigned>,
    /// The fingerprint of the key that signed the list of digests.
    key: specs::Digest,
    /// The code trees that are included completely.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    code: Vec<Code>,
}

/// The code of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Code {
    /// Root of its tree, as named in transforms.
    tree: specs::Digest,
    files: u64,
    size_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Introduced {
    at: CommitId,
    path: FilePath,
    by: CommitId,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Unsigned {
    commit: CommitId,
    why: String,
}
