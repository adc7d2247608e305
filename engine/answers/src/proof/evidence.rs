//! Which parts of a trace belong to which commit.

use std::collections::HashMap;

use specs::{CommitId, Digest, FilePath, RepoName};

use crate::trace::{DatumNode, FileNode, Origin, Trace};

/// What a trace found in one commit.
#[derive(Debug, Default)]
pub(super) struct Evidence<'t> {
    /// Its files in the trace, with the digests of their content.
    pub(super) files: Vec<(&'t RepoName, &'t FilePath, Digest)>,
    /// The datums that wrote them.
    pub(super) datums: Vec<&'t DatumNode>,
}

/// All commits of a trace, each once, the requested one first.
#[derive(Debug, Default)]
pub(super) struct Commits<'t> {
    pub(super) order: Vec<CommitId>,
    pub(super) evidence: HashMap<CommitId, Evidence<'t>>,
}

impl<'t> Commits<'t> {
    pub(super) fn of(trace: &'t Trace) -> Self {
        let mut commits = Self::default();
        commits.file(&trace.file);
        commits
    }

    fn file(&mut self, file: &'t FileNode) {
        match &file.origin {
            Origin::Source(source) => {
                self.at(source.commit).files.push((&file.repo, &file.path, file.digest));
                source.copied_from.iter().for_each(|origin| self.file(origin));
            }
            Origin::Datum(datum) => {
                let evidence = self.at(file.commit);
                evidence.files.push((&file.repo, &file.path, file.digest));
                evidence.datums.push(datum);
                datum.inputs.iter().flat_map(|input| &input.files).for_each(|read| self.file(read));
            }
            Origin::SeenDatum(_) | Origin::Gap(_) | Origin::Cut => {
                self.at(file.commit).files.push((&file.repo, &file.path, file.digest));
            }
        }
    }

    fn at(&mut self, commit: CommitId) -> &mut Evidence<'t> {
        if !self.evidence.contains_key(&commit) {
            self.order.push(commit);
        }
        self.evidence.entry(commit).or_default()
    }
}
