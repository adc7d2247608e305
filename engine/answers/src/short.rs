//! Unique short forms of ids.

use repos::{RepoError, Store};
use specs::{CommitId, RunId};

/// Minimum number of hex digits of a displayed id.
pub const DIGITS: usize = 8;

/// Shortens ids to prefixes that are unique in a store.
pub trait ShortIds {
    /// A prefix of at least eight digits that matches no other commit and no run.
    fn short_commit(&self, id: &CommitId) -> Result<String, RepoError>;
    /// A prefix of at least eight digits that matches no other run and no commit.
    fn short_run(&self, id: &RunId) -> Result<String, RepoError>;
}

impl ShortIds for Store {
    fn short_commit(&self, id: &CommitId) -> Result<String, RepoError> {
        shortest(&id.to_string(), |prefix| {
            let runs = self.runs_by_prefix(prefix, 1)?;
            Ok(runs.is_empty() && self.commits_by_prefix(prefix, 2)?.len() < 2)
        })
    }

    fn short_run(&self, id: &RunId) -> Result<String, RepoError> {
        shortest(&id.to_string(), |prefix| {
            let commits = self.commits_by_prefix(prefix, 1)?;
            Ok(commits.is_empty() && self.runs_by_prefix(prefix, 2)?.len() < 2)
        })
    }
}

fn shortest(id: &str, is_unique: impl Fn(&str) -> Result<bool, RepoError>) -> Result<String, RepoError> {
    for digits in DIGITS..id.len() {
        if is_unique(&id[..digits])? {
            return Ok(id[..digits].to_owned());
        }
    }
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_grows_until_it_is_unique() {
        let short = shortest("0123456789abcdef", |prefix| Ok(prefix.len() >= 11)).unwrap_or_default();
        assert_eq!(short, "0123456789a");
    }
}
