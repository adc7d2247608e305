//! A commit: its document with every field, its id, files and bytes.

use crate::sight::is_none;
use engine::Result;
use repos::Store;
use repos::documents::Commit;
use repos::files;
use repos::tree::Tree;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use specs::CommitId;

/// A commit: its document with every field, its id, files and bytes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommitView {
    /// Its id.
    pub id: CommitId,
    /// The id again, under the name that other JSON objects use.
    pub commit: CommitId,
    /// The document, including fields with default values, which it leaves out; in alphabetical order.
    #[serde(flatten)]
    #[schemars(with = "Commit")]
    fields: Value,
    /// The number of its files.
    pub files: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// How many input commits and sources of copies are not visible to the one who asks; the document is shown without them.
    #[serde(skip_serializing_if = "is_none")]
    pub not_visible: u64,
    /// A unique short form of its id.
    #[serde(skip)]
    pub short: String,
    /// The document.
    #[serde(skip)]
    pub document: Commit,
}

/// A commit with its totals.
pub fn commit_view(store: &Store, id: CommitId, document: Commit) -> Result<CommitView> {
    let totals = Tree::at(document.tree).totals(store)?;
    let (files, size_bytes) = (totals.entries, totals.weight);
    let short = store.short_commit(&id)?;
    let not_visible = store.hidden_origins(&id)?;
    let fields = with_defaults(&document);
    Ok(CommitView { fields, id, commit: id, files, size_bytes, not_visible, short, document })
}

/// The document, including fields with default values, which it leaves out.
fn with_defaults(commit: &Commit) -> Value {
    let mut fields = json!({
        "parents": [], "lineage": null, "datums": null, "author": "", "message": "", "provenance": [], "sources": [],
        "origins": [],
        "pipeline": null, "job": null, "error": null,
    });
    let mut commit = commit.clone();
    if let Some(code) = commit.pipeline.as_mut().and_then(|pipeline| pipeline.code.as_mut()) {
        *code = code.checked();
    }
    let document = serde_json::to_value(commit).expect("commits have a JSON form");
    if let (Value::Object(fields), Value::Object(document)) = (&mut fields, document) {
        fields.extend(document);
        if let Some(Value::Object(pipeline)) = fields.get_mut("pipeline") {
            for optional in ["image", "code"] {
                pipeline.entry(optional).or_insert(Value::Null);
            }
        }
    }
    fields
}

/// How many files a commit changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct CommitChanges {
    pub added: u64,
    pub modified: u64,
    pub removed: u64,
}

/// Counts what a commit changed relative to its parent.
pub fn commit_changes(store: &Store, commit: &Commit) -> Result<CommitChanges> {
    Ok(first_changes(store, commit, usize::MAX)?.0)
}

/// Counts the first changes relative to the parent, up to `most`; and whether these are all. A first commit added all of its files, which
/// costs nothing to say.
pub fn first_changes(store: &Store, commit: &Commit, most: usize) -> Result<(CommitChanges, bool)> {
    let mut counts = CommitChanges::default();
    if commit.parents.is_empty() {
        counts.added = Tree::at(commit.tree).totals(store)?.entries;
        return Ok((counts, true));
    }
    let mut changes = files::changes_of(store, commit, None)?;
    for change in changes.by_ref().take(most) {
        let change = change?;
        match (change.old, change.new) {
            (None, _) => counts.added += 1,
            (_, None) => counts.removed += 1,
            _ => counts.modified += 1,
        }
    }
    Ok((counts, changes.next().is_none()))
}

/// A commit with its repository and a unique short form of its id: `images@77ab01c2`.
pub fn place_of(store: &Store, id: &CommitId) -> Result<String> {
    Ok(format!("{}@{}", store.commit(id)?.repo, store.short_commit(id)?))
}
