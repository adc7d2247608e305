//! The branches of a repository at a moment of the past.

use engine::Result;
use repos::Store;
use specs::RepoName;

use super::BranchView;
use crate::moment::Moment;

/// Today's branches of a repository as they were at a moment; without those that had no commit then.
pub fn branches_as_of(store: &Store, repo: &RepoName, moment: &Moment) -> Result<Vec<BranchView>> {
    store.repo(repo)?;
    let mut views = Vec::new();
    for (name, _) in store.branches(repo)? {
        let Some(id) = moment.head(store, repo, &name)? else { continue };
        let commit = store.commit(&id)?;
        views.push(BranchView {
            repo: repo.clone(),
            name,
            commit: Some(id),
            created_at: Some(commit.created_at),
            message: commit.message,
            short: Some(store.short_commit(&id)?),
        });
    }
    Ok(views)
}
