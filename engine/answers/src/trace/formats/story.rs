//! What happened, step by step: each step comes before those that depend on it.

use std::collections::{HashMap, HashSet};

use specs::{CommitId, DatumId, FilePath, RepoName};

use crate::trace::nodes::{DatumNode, FileNode, Origin, SourceNode, Trace};

/// A step.
#[derive(Debug)]
pub enum StoryStep<'t> {
    /// A user committed files.
    Commit {
        /// Their repository.
        repo: &'t RepoName,
        /// The commit.
        source: &'t SourceNode,
        /// The files.
        files: Vec<&'t FileNode>,
    },
    /// A datum was executed, and wrote these files of the trace.
    Datum {
        /// The datum.
        datum: &'t DatumNode,
        /// The files.
        wrote: Vec<&'t FileNode>,
    },
}

/// The steps of a trace, and its files: each once, the requested one last.
#[derive(Debug, Default)]
pub struct Story<'t> {
    /// The steps, each before those that depend on it.
    pub steps: Vec<StoryStep<'t>>,
    /// The files.
    pub files: Vec<&'t FileNode>,
    commits: HashMap<CommitId, usize>,
    datums: HashMap<DatumId, usize>,
    known: HashSet<(&'t RepoName, &'t CommitId, &'t FilePath)>,
    /// Files of datums whose steps are not complete yet.
    waiting: Vec<(DatumId, &'t FileNode)>,
}

impl<'t> Story<'t> {
    /// What happened according to a trace.
    pub fn of(trace: &'t Trace) -> Self {
        let mut story = Self::default();
        story.file(&trace.file);
        for (datum, file) in std::mem::take(&mut story.waiting) {
            story.written(datum, file);
        }
        story
    }

    fn file(&mut self, file: &'t FileNode) {
        match &file.origin {
            Origin::Datum(datum) => {
                let inputs = datum.inputs.iter().flat_map(|input| &input.files);
                inputs.for_each(|input| self.file(input));
                self.datums.insert(datum.id, self.steps.len());
                self.steps.push(StoryStep::Datum { datum, wrote: vec![file] });
            }
            Origin::SeenDatum(datum) => self.written(*datum, file),
            Origin::Source(source) => self.committed(file, source),
            Origin::Gap(_) | Origin::Cut => {}
        }
        if self.known.insert((&file.repo, shown_commit(file), &file.path)) {
            self.files.push(file);
        }
    }

    fn committed(&mut self, file: &'t FileNode, source: &'t SourceNode) {
        if let Some(original) = &source.copied_from {
            self.file(original);
        }
        let at = *self.commits.entry(source.commit).or_insert(self.steps.len());
        match self.steps.get_mut(at) {
            Some(StoryStep::Commit { files, .. }) => {
                if !files.iter().any(|known| known.path == file.path) {
                    files.push(file);
                }
            }
            _ => self.steps.push(StoryStep::Commit { repo: &file.repo, source, files: vec![file] }),
        }
    }

    fn written(&mut self, datum: DatumId, file: &'t FileNode) {
        match self.datums.get(&datum).and_then(|at| self.steps.get_mut(*at)) {
            Some(StoryStep::Datum { wrote, .. }) => {
                if !wrote.iter().any(|known| known.path == file.path) {
                    wrote.push(file);
                }
            }
            _ => self.waiting.push((datum, file)),
        }
    }
}

/// The commit to report for a file: for a source file, the one that introduced it.
pub fn shown_commit(file: &FileNode) -> &CommitId {
    if let Origin::Source(source) = &file.origin { &source.commit } else { &file.commit }
}
