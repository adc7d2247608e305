//! Repositories, with the files at their heads.

use engine::Result;
use repos::documents::Commit;
use repos::tree::Tree;
use repos::{RepoRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName};

pub use repos::journal::RepoKind;

/// A repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepoView {
    /// Its name.
    pub name: RepoName,
    /// Who commits to it.
    pub kind: RepoKind,
    /// Its branches.
    pub branches: Vec<BranchName>,
    /// The head of the default branch.
    pub head: Option<CommitId>,
    /// Files of the head.
    pub files: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// The head, and a unique short form of its id.
    #[serde(skip)]
    pub last: Option<(String, Commit)>,
}

/// A repository.
pub fn repo_view(store: &Store, name: &RepoName) -> Result<RepoView> {
    view(store, name.clone(), &store.repo(name)?)
}

/// All repositories of the wanted kinds, by name, read lazily.
pub fn repos<'s>(
    store: &'s Store,
    is_wanted: impl Fn(RepoKind) -> bool + 's,
) -> Result<impl Iterator<Item = Result<RepoView>> + 's> {
    repos_where(store, move |_, kind| is_wanted(kind))
}

/// All repositories whose name and kind are wanted, by name. Of others nothing is read.
pub fn repos_where<'s>(
    store: &'s Store,
    is_wanted: impl Fn(&RepoName, RepoKind) -> bool + 's,
) -> Result<impl Iterator<Item = Result<RepoView>> + 's> {
    let all = store.repos()?.into_iter().filter(move |(name, row)| is_wanted(name, row.kind));
    Ok(all.map(|(name, row)| view(store, name, &row)))
}

fn view(store: &Store, name: RepoName, row: &RepoRow) -> Result<RepoView> {
    let branches = store.branches(&name)?;
    let default = store.default_branch()?;
    let head = branches.iter().find(|(branch, _)| *branch == default).and_then(|(_, row)| row.commit);
    let mut view = RepoView {
        name,
        kind: row.kind,
        branches: branches.into_iter().map(|(branch, _)| branch).collect(),
        head,
        files: 0,
        size_bytes: 0,
        last: None,
    };
    if let Some(id) = head {
        let commit = store.commit(&id)?;
        let totals = Tree::at(commit.tree).totals(store)?;
        (view.files, view.size_bytes) = (totals.entries, totals.weight);
        view.last = Some((store.short_commit(&id)?, commit));
    }
    Ok(view)
}

/// The size of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct RepoSize {
    pub branches: u64,
    pub tags: u64,
    /// Files at the heads of its branches, summed over branches.
    pub files: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

/// The size of a repository, at the heads of its branches.
pub fn repo_size(store: &Store, repo: &RepoName) -> Result<RepoSize> {
    let (branches, tags) = (store.branches(repo)?, store.tags(repo)?);
    let mut size = RepoSize { branches: branches.len() as u64, tags: tags.len() as u64, files: 0, size_bytes: 0 };
    for id in branches.iter().filter_map(|(_, row)| row.commit) {
        let totals = Tree::at(store.commit(&id)?.tree).totals(store)?;
        (size.files, size.size_bytes) = (size.files + totals.entries, size.size_bytes + totals.weight);
    }
    Ok(size)
}
