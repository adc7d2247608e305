//! Descriptions of results, code, images, keys, maps and contents. All except documents have their fields in alphabetical order.

use engine::Result;
use repos::documents::{Certificate, ImageStamp, ResultDocument, SpecDocument};
use repos::files;
use repos::history::What;
use repos::object::Kind;
use repos::tree::{FileEntry, Map, Tree, TreeError};
use repos::{RepoError, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::Digest;

use crate::commit::CertificateView;
use crate::named::{Named, VersionOf, files_of};
use crate::sight::is_none;
use crate::sorted::Sorted;

/// The result of a datum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultView {
    /// Its digest.
    pub id: Digest,
    /// The document.
    #[serde(flatten)]
    pub document: ResultDocument,
    /// How many inputs outside its recipe are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

/// A result by its digest.
pub fn result_view(store: &Store, digest: &Digest) -> Result<Sorted<ResultView>> {
    let not_visible = store.hidden_references(digest)?;
    Ok(Sorted(ResultView { id: *digest, document: store.document(digest)?, not_visible }))
}

/// The code of versions of pipelines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CodeView {
    /// The number of its files.
    pub files: u64,
    /// The root of its tree.
    pub id: Digest,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Always `code`.
    pub sort: &'static str,
    /// The versions: `detect@v3`.
    pub versions: Vec<String>,
}

/// The code of versions of pipelines.
pub fn code_view(store: &Store, tree: &Digest, versions: &[VersionOf]) -> Result<CodeView> {
    let totals = Tree::at(*tree).totals(store)?;
    let (files, size_bytes) = (totals.entries, totals.weight);
    Ok(CodeView { files, id: *tree, size_bytes, sort: "code", versions: words(versions) })
}

/// An image, and the versions that use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageUse {
    /// The image.
    #[serde(flatten)]
    pub image: ImageStamp,
    /// The versions of pipelines: `detect@v3`.
    pub versions: Vec<String>,
}

/// An image with the versions that use it.
pub fn image_use(image: &ImageStamp, versions: &[VersionOf]) -> Sorted<ImageUse> {
    Sorted(ImageUse { image: image.clone(), versions: words(versions) })
}

fn words(versions: &[VersionOf]) -> Vec<String> {
    versions.iter().map(ToString::to_string).collect()
}

/// A key that commits are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SigningKeyView {
    /// SHA-256 of the key in DER form.
    pub fingerprint: Digest,
    /// The key that it replaced.
    pub previous: Option<Digest>,
    /// As PEM.
    pub public_key: String,
    /// When it was replaced by another key.
    pub replaced_at: Option<Timestamp>,
    /// When it was added to the journal.
    pub since: Timestamp,
    /// Whether it counts: the store's first key, or one that a key that counts vouches for.
    pub vouched: bool,
}

/// A key by its fingerprint; `None` if the journal has no such key.
pub fn signing_key_view(store: &Store, fingerprint: &Digest) -> Result<Option<SigningKeyView>> {
    Ok(store.signing_key(fingerprint)?.map(|row| SigningKeyView {
        fingerprint: *fingerprint,
        previous: row.previous,
        public_key: row.public_key.to_pem(),
        replaced_at: row.replaced_at,
        since: row.at,
        vouched: row.vouched,
    }))
}

/// The outcome of executing a commit's datums again.
pub fn certificate_view(store: &Store, digest: &Digest) -> Result<Sorted<CertificateView>> {
    let certificate: Certificate = store.document(digest)?;
    Ok(Sorted(CertificateView { id: *digest, certificate }))
}

/// A document, unchanged; but in a spec, other names stand for inputs that are not visible.
pub fn document_view(store: &Store, kind: Kind, digest: &Digest) -> Result<Value> {
    if kind == Kind::Spec {
        return Ok(store.document::<SpecDocument>(digest)?.0);
    }
    let bytes = store.document_bytes(kind, digest)?;
    let damaged = |error: serde_json::Error| RepoError::DamagedObject { kind, digest: *digest, why: error.to_string() };
    Ok(serde_json::from_slice(&bytes).map_err(damaged)?)
}

/// A map: the files of a commit or a result, or a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MapView {
    /// The number of entries; `null` for a map of other values, such as a job's datums.
    pub entries: Option<u64>,
    /// Whether the entries are files.
    pub has_files: bool,
    /// Its root.
    pub id: Digest,
    /// Always `tree`.
    pub sort: &'static str,
}

/// A map by its root.
pub fn map_view(store: &Store, root: &Digest) -> Result<MapView> {
    let as_files = Tree::at(*root).totals(store);
    let entries = match as_files.or_else(|_| Map::<Digest>::at(*root).totals(store)) {
        Ok(totals) => Some(totals.entries),
        // A map with other values, such as a job's datums.
        Err(RepoError::Tree(TreeError::Damaged { .. })) => None,
        Err(error) => return Err(error.into()),
    };
    let has_files = files_of(store, &Named::Map(*root), None).is_ok();
    Ok(MapView { entries, has_files, id: *root, sort: "tree" })
}

/// The content of a file, and its present and former paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentView {
    /// Its SHA-256.
    pub digest: Digest,
    /// Present and former paths: `images:/a.jpg`.
    pub paths: Vec<String>,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A content with its paths in commits.
pub fn content_view(store: &Store, file: &FileEntry) -> Result<ContentView> {
    let found = files::find(store, &What::Bytes(file.digest))?;
    let paths = found.iter().map(|found| format!("{}:{}", found.repo, found.path)).collect();
    Ok(ContentView { digest: file.digest, paths, size_bytes: file.size })
}
