//! Unique short forms of ids.

use specs::{CommitId, RunId, SHORT_DIGITS};

use super::{Result, Store};

impl Store {
    /// A prefix of at least eight digits that matches no other commit and no run.
    pub fn short_commit(&self, id: &CommitId) -> Result<String> {
        shortest(&id.to_string(), |prefix| {
            let runs = self.runs_by_prefix(prefix, 1)?;
            Ok(runs.is_empty() && self.commits_by_prefix(prefix, 2)?.len() < 2)
        })
    }

    /// A prefix of at least eight digits that matches no other run and no commit.
    pub fn short_run(&self, id: &RunId) -> Result<String> {
        shortest(&id.to_string(), |prefix| {
            let commits = self.commits_by_prefix(prefix, 1)?;
            Ok(commits.is_empty() && self.runs_by_prefix(prefix, 2)?.len() < 2)
        })
    }
}

fn shortest(id: &str, is_unique: impl Fn(&str) -> Result<bool>) -> Result<String> {
    for digits in SHORT_DIGITS..id.len() {
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
        let short = shortest("0123456789abcdef", |prefix| Ok(prefix.len() >= 11)).unwrap();
        assert_eq!(short, "0123456789a");
    }
}
