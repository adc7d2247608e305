//! Which content of commits was given up, and the errors that report it.

use bytes::Bytes;
use specs::{CommitId, Digest, FilePath};

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::pruned::Pruned;
use crate::documents::ResultDocument;
use crate::index::rows::CommitRow;
use crate::tree::FileEntry;

impl Store {
    /// Whether, and why, the files of a commit were given up; one lookup.
    pub fn is_pruned(&self, commit: &CommitId) -> Result<Option<Pruned>> {
        Ok(self.commit_row(commit)?.and_then(|row| row.pruned))
    }

    /// Refuses a file of a commit that gave up its files, unless the content still exists: other commits may have it too.
    pub fn ensure_not_pruned(&self, commit: &CommitId, path: &FilePath, file: &FileEntry) -> Result<()> {
        let Some(CommitRow { repo, pruned: Some(pruned), .. }) = self.commit_row(commit)? else { return Ok(()) };
        if self.has_content(&file.digest)? {
            return Ok(());
        }
        let hint = match self.commit(commit)?.pipeline {
            Some(stamp) => format!("pv pipeline rerun {} creates its outputs again", stamp.name),
            None => "pv put of the same content restores it".to_owned(),
        };
        Err(RepoError::PrunedFile { what: format!("`{path}` in {repo}@{}", commit.short(12)), pruned, hint })
    }

    /// Reads the log of one try of a result. `PrunedFile` or `NotFound` if it is missing on purpose: the commit of its job gave it up, or
    /// no commit ever named it.
    pub fn log_of(&self, result: &ResultDocument, log: &Digest) -> Result<Bytes> {
        let missing = match self.log(log) {
            Err(error @ RepoError::MissingObject { .. }) => error,
            read => return read,
        };
        let job = self.job(self.run(&result.run)?.order, &result.pipeline)?;
        let what = format!("the log of datum {}", result.recipe.short(8));
        let hint = format!("pv pipeline rerun {} runs it again", result.pipeline);
        match job.and_then(|job| job.commit).map(|commit| self.is_pruned(&commit)).transpose()? {
            Some(Some(pruned)) => Err(RepoError::PrunedFile { what, pruned, hint }),
            Some(None) => Err(missing),
            None => Err(RepoError::NotFound { what: format!("{what} is no longer stored"), hint: Some(hint) }),
        }
    }
}
