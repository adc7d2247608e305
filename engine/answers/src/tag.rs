//! Tags.

use std::cmp::Reverse;

use engine::Result;
use repos::documents::TagDocument;
use repos::{RepoError, Store, TagRow, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, RepoName, TagName};

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagView {
    /// The repository.
    pub repo: RepoName,
    /// Its name.
    pub name: String,
    /// The commit that it names.
    pub commit: CommitId,
    /// The message of the tag.
    pub message: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// A unique short form of the commit's id.
    #[serde(skip)]
    pub short: String,
}

/// One tag.
pub fn find_tag(store: &Store, repo: &RepoName, name: &TagName) -> Result<TagView> {
    store.repo(repo)?;
    let row = store.find_tag(repo, name.as_str())?.ok_or_else(|| RepoError::NotFound {
        what: format!("tag `{name}` not found in repository `{repo}`"),
        hint: Some(format!("pv tag list {repo}")),
    })?;
    view(store, repo, name.as_str(), &row)
}

/// The tags of a repository, by name.
pub fn tags(store: &Store, repo: &RepoName) -> Result<Vec<TagView>> {
    store.tags(repo)?.iter().map(|(name, row)| view(store, repo, name.as_str(), row)).collect()
}

/// The tags of a repository, or of all, newest first.
pub fn newest_tags(store: &Store, repo: Option<&RepoName>) -> Result<Vec<TagView>> {
    let repos = match repo {
        Some(repo) => {
            store.repo(repo)?;
            vec![repo.clone()]
        }
        None => store.repos()?.into_iter().map(|(name, _)| name).collect(),
    };
    let mut views = Vec::new();
    for repo in &repos {
        views.extend(tags(store, repo)?);
    }
    views.sort_by_key(|view| Reverse(view.created_at));
    Ok(views)
}

fn view(store: &Store, repo: &RepoName, name: &str, row: &TagRow) -> Result<TagView> {
    let document = row.document.map(|digest| store.document::<TagDocument>(&digest)).transpose()?;
    Ok(TagView {
        repo: repo.clone(),
        name: name.to_owned(),
        commit: row.commit,
        message: document.map(|document| document.message).unwrap_or_default(),
        created_at: row.created_at,
        short: store.short_commit(&row.commit)?,
    })
}
