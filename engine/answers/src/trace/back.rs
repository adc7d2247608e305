//! From one file back to users' commits.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use repos::access::is_stand_in;
use repos::documents::{
    Commit, CommitKind, Origin as WebOrigin, Recipe, ResultDocument, Source, Transform, VersionDocument,
};
use repos::history::introduced;
use repos::journal::CauseKind;
use repos::store::Resolved;
use repos::tree::{FileEntry, Map, Tree};
use repos::{RepoError, RunRow, Store, Timestamp};
use specs::{CommitId, Digest, FilePath, PipelineName, RepoName, RunId};

use super::nodes::{Brought, DatumNode, FileNode, Origin, SameAs, SourceNode, Trace, VersionNode};
use crate::run::CauseView;
use crate::sight::{InputSight, gap_in_words, recipe_of};
use engine::Result;
use engine::graph::Versions;

/// Maximum length of a chain of copies that is followed.
const MOST_COPIES: usize = 100;

/// How far back a trace reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Maximum number of datums between the file and a user's commit; `None` for all.
    pub depth: Option<usize>,
    /// Whether every file of a large directory is followed, not only the first ones. The cost is then proportional to the number of files.
    pub all_files: bool,
}

impl Reach {
    /// To the end, with every file.
    pub fn everything() -> Self {
        Self { depth: None, all_files: true }
    }
}

/// The provenance of the file at `at`, within `reach`.
pub fn trace(store: &Store, at: &Resolved, reach: Reach) -> Result<Trace> {
    let file = at.tree().file(store, &at.path)?.ok_or_else(|| RepoError::FileNotFound {
        path: at.path.clone(),
        place: at.place(),
        similar: None,
    })?;
    let mut tracer = Tracer::new(store, &at.commit, reach)?;
    let place = CommitPath { repo: at.commit.repo.clone(), commit: at.id, path: at.path.clone() };
    let file = tracer.file(&place, file, reach.depth)?;
    let Tracer { seen, sources, cut, gaps, is_damaged, .. } = tracer;
    Ok(Trace {
        file,
        version: version_of(&at.commit),
        datums: seen.len(),
        source_files: sources.len(),
        complete: gaps.is_empty() && cut.is_empty(),
        cut,
        gaps,
        is_damaged,
    })
}

fn version_of(commit: &Commit) -> VersionNode {
    VersionNode {
        branch: commit.branch.clone(),
        run: commit.run,
        kind: commit.kind,
        author: commit.author.clone(),
        committer: commit.committer.clone(),
        created_at: commit.created_at,
        job: commit.job.clone(),
        error: commit.error.as_ref().map(|error| format!("{}: {}", error.state, error.message)),
    }
}

/// A path in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CommitPath {
    pub(crate) repo: RepoName,
    pub(crate) commit: CommitId,
    pub(crate) path: FilePath,
}

impl std::fmt::Display for CommitPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}:{}", self.repo, self.commit.short(12), self.path)
    }
}

pub(super) struct Tracer<'a> {
    pub(super) store: &'a Store,
    pub(super) reach: Reach,
    /// The order of the run that made the requested commit.
    pub(super) order: u64,
    seen: HashSet<Digest>,
    /// Directories whose files are somewhere in the trace.
    pub(super) directories: HashSet<CommitPath>,
    sources: HashSet<(RepoName, FilePath, Digest)>,
    pub(super) pipelines: Versions,
    /// Files of directories that datums read, by content.
    pub(super) by_bytes: HashMap<CommitPath, HashMap<Digest, FilePath>>,
    /// Length of the chain of copies followed so far.
    copies: usize,
    pub(super) cut: Vec<String>,
    pub(super) gaps: Vec<String>,
    is_damaged: bool,
}

/// The address that a file was downloaded from. If several archives were unpacked into one directory, it is unknown which contained it.
fn read_from(origins: &[WebOrigin], path: &FilePath) -> Option<String> {
    for path in std::iter::successors(Some(path.clone()), FilePath::parent) {
        let found: Vec<&WebOrigin> = origins.iter().filter(|origin| origin.path == path).collect();
        match found[..] {
            [] => {}
            [origin] => return Some(origin.url.clone()),
            _ => return None,
        }
    }
    None
}

impl<'a> Tracer<'a> {
    fn new(store: &'a Store, commit: &Commit, reach: Reach) -> Result<Self> {
        Ok(Self {
            store,
            reach,
            order: store.run_order(&commit.run)?.unwrap_or(u64::MAX),
            seen: HashSet::new(),
            directories: HashSet::new(),
            sources: HashSet::new(),
            pipelines: Versions::default(),
            by_bytes: HashMap::new(),
            copies: 0,
            cut: Vec::new(),
            gaps: Vec::new(),
            is_damaged: false,
        })
    }

    pub(super) fn file(&mut self, place: &CommitPath, file: FileEntry, depth: Option<usize>) -> Result<FileNode> {
        let (origin, same_as) = match self.origin(place, file, depth) {
            Ok(found) => found,
            // Missing or damaged data ends this branch of the trace, not the whole trace.
            Err(error) if error.kind() == specs::ErrorKind::Damaged => {
                self.is_damaged = true;
                (self.gap(place, error.to_string()), None)
            }
            Err(error) => return Err(error),
        };
        let CommitPath { repo, commit, path } = place.clone();
        let FileEntry { digest, size, executable } = file;
        Ok(FileNode { repo, commit, path, size_bytes: size, digest, executable, same_as, origin })
    }

    fn gap(&mut self, place: &CommitPath, why: String) -> Origin {
        self.gaps.push(format!("{place}: {why}"));
        Origin::Gap(why)
    }

    fn origin(
        &mut self,
        place: &CommitPath,
        file: FileEntry,
        depth: Option<usize>,
    ) -> Result<(Origin, Option<SameAs>)> {
        let commit = self.store.commit(&place.commit)?;
        if commit.kind != CommitKind::Output {
            return Ok((Origin::Source(Box::new(self.source(place, file, depth)?)), None));
        }
        if depth == Some(0) {
            self.cut.push(format!("{place}: deeper than requested"));
            return Ok((Origin::Cut, None));
        }
        let lineage: Map<Digest> = commit.lineage.map_or(Map::empty(), Map::at);
        let Some(digest) = lineage.get(self.store, place.path.as_str().as_bytes())? else {
            return Ok((self.gap(place, "the commit does not record which datum wrote it".to_owned()), None));
        };
        let result: ResultDocument = self.store.document(&digest)?;
        let sight = self.sight(&commit)?;
        let (recipe, not_visible) = recipe_of(self.store, &sight, &digest, &result.recipe)?;
        let same_as = self.same_as(&commit, &result, &recipe, &place.path, file)?;
        if !self.seen.insert(digest) {
            return Ok((Origin::SeenDatum(result.recipe), same_as));
        }
        let depth = depth.map(|depth| depth - 1);
        if not_visible > 0 {
            let datum = result.recipe.short(12);
            self.gaps.push(format!("datum {datum}: {}", gap_in_words(not_visible, "input")));
        }
        let mut datum = self.datum(&commit, digest, result, &recipe, depth)?;
        datum.not_visible = not_visible;
        datum.by_reference = same_as.is_some();
        Ok((Origin::Datum(Box::new(datum)), same_as))
    }

    /// Which inputs of the pipeline that made a commit are visible.
    fn sight(&mut self, commit: &Commit) -> Result<InputSight> {
        let pipeline = self.pipelines.of_commit(self.store, commit)?;
        Ok(pipeline.map_or_else(InputSight::nothing, |pipeline| InputSight::of(self.store, &pipeline)))
    }

    fn datum(
        &mut self,
        commit: &Commit,
        digest: Digest,
        mut result: ResultDocument,
        recipe: &Recipe,
        depth: Option<usize>,
    ) -> Result<DatumNode> {
        if is_stand_in(result.pipeline.as_str()) {
            let datum = result.recipe.short(12);
            self.gaps.push(format!("datum {datum}: it was executed by a job that is not visible to you"));
        }
        let transform: Transform = self.store.document(&recipe.transform)?;
        let row = self.store.pipeline_version(&result.pipeline, result.version)?;
        let version: Option<VersionDocument> =
            row.as_ref().map(|row| self.store.document(&row.document)).transpose()?;
        let (inputs, more_inputs) = self.inputs(commit, &result, recipe, depth)?;
        let cached =
            commit.run != result.run || commit.pipeline.as_ref().is_none_or(|stamp| stamp.name != result.pipeline);
        let applied_at = row.map(|row| row.applied_at);
        let last = result.tries.pop();
        Ok(DatumNode {
            id: result.recipe,
            result: digest,
            state: result.state,
            exit_code: last.as_ref().and_then(|last| last.exit_code),
            tries: result.tries.len() + usize::from(last.is_some()),
            version: result.version,
            applied_by: applied_at.map(|at| self.applied_by(&result.pipeline, at)).transpose()?.flatten(),
            applied_at,
            job: format!("{}@{}", result.pipeline, result.run),
            cached,
            taken_over_by: commit.job.clone().filter(|_| cached),
            cause: self.cause(&result.run)?,
            image: version.as_ref().and_then(|version| version.image.clone()),
            transform: recipe.transform,
            cmd: if transform.cmd.is_empty() {
                version.as_ref().map(|version| version.entrypoint.clone()).unwrap_or_default()
            } else {
                transform.cmd
            },
            stdin: transform.stdin,
            env: transform.env,
            secrets: transform.secrets.into_iter().map(|secret| secret.name).collect(),
            host_files: transform.host_files,
            code: version.and_then(|version| version.code).map(|code| code.checked()),
            network: result.network,
            executor: result.executor,
            worker: last.as_ref().and_then(|last| last.worker.clone()),
            started_at: last.as_ref().map(|last| last.started_at),
            finished_at: last.as_ref().map(|last| last.finished_at),
            log: last.as_ref().and_then(|last| last.log),
            earlier_tries: result.tries,
            by_reference: false,
            inputs,
            more_inputs,
            not_visible: 0,
            pipeline: result.pipeline,
        })
    }

    fn cause(&self, run: &RunId) -> Result<Option<CauseView>> {
        let run = self.store.run_order(run)?.map(|order| self.store.run_at(order)).transpose()?.flatten();
        Ok(run.map(|run| CauseView::of(self.store, &run)).transpose()?)
    }

    /// Who applied a version of a pipeline: the run at that time, found by binary search. `None` if nothing ran for it.
    fn applied_by(&self, pipeline: &PipelineName, at: Timestamp) -> Result<Option<String>> {
        // Runs that are not visible are between the others.
        let whole = self.store.whole();
        let (mut low, mut high) = (1, whole.runs_count()? + 1);
        while low < high {
            let middle = low.midpoint(high);
            let Some(run) = whole.run_at(middle)? else { return Ok(None) };
            if run.created_at < at { low = middle + 1 } else { high = middle }
        }
        let is_it = |run: &RunRow| {
            let causes = run.jobs.iter().any(|job| job.pipeline == *pipeline);
            run.created_at == at && run.cause.kind == CauseKind::Apply && causes
        };
        let mut run = self.store.run_at(low)?.filter(is_it);
        if run.is_none() {
            // A clock that was set back breaks the binary search: then the pipeline's own jobs lead to it.
            let mut orders = Vec::new();
            self.store.visit_jobs(pipeline, u64::MAX, |job| {
                orders.extend((job.created_at == at).then_some(job.order));
                ControlFlow::Continue(())
            })?;
            for order in orders {
                run = run.or(self.store.run_at(order)?.filter(is_it));
            }
        }
        Ok(run.map(|run| run.cause.author.unwrap_or(run.cause.committer)))
    }

    /// The commit that introduced a file, and what it was copied from.
    fn source(&mut self, place: &CommitPath, file: FileEntry, depth: Option<usize>) -> Result<SourceNode> {
        self.sources.insert((place.repo.clone(), place.path.clone(), file.digest));
        let introduced = introduced(self.store, &place.repo, place.commit, &place.path)?;
        let id = introduced.unwrap_or(place.commit);
        let commit = self.store.commit(&id)?;
        let copied_from = self.copied_from(&commit.sources, place, file, depth)?;
        if copied_from.is_none() && self.is_copy_of_hidden(&id, place, file.digest)? {
            self.gaps.push(format!("{place}: it is a copy of a file that is not visible to you"));
        }
        let gone = self.gone(place, &file)?;
        let read_from = read_from(&commit.origins, &place.path);
        Ok(SourceNode {
            commit: id,
            author: commit.author,
            committer: commit.committer,
            message: commit.message,
            created_at: commit.created_at,
            gone,
            read_from,
            copied_from,
        })
    }

    /// Why the content of a source file is no longer in the store; the trace then has a gap here.
    fn gone(&mut self, place: &CommitPath, file: &FileEntry) -> Result<Option<String>> {
        if file.size == 0 || self.store.has_content(&file.digest)? {
            return Ok(None);
        }
        let pruned = self.store.is_pruned(&place.commit)?;
        let why = pruned.map_or_else(|| "its content is not in this store".to_owned(), |pruned| pruned.to_string());
        self.gaps.push(format!("{place}: {why}"));
        Ok(Some(why))
    }

    /// The original of a file copied by `cp`.
    fn copied_from(
        &mut self,
        sources: &[Source],
        place: &CommitPath,
        file: FileEntry,
        depth: Option<usize>,
    ) -> Result<Option<FileNode>> {
        for source in sources {
            let Some((path, entry)) = original(self.store, source, &place.path, file.digest)? else { continue };
            let origin = CommitPath { repo: source.repo.clone(), commit: source.commit, path };
            if self.copies == MOST_COPIES {
                self.cut.push(format!("{place}: a copy of {origin}, after {MOST_COPIES} other copies"));
                return Ok(None);
            }
            self.copies += 1;
            let original = self.file(&origin, entry, depth);
            self.copies -= 1;
            return original.map(Some);
        }
        Ok(None)
    }

    /// Whether a file was copied from a repository that is not visible.
    fn is_copy_of_hidden(&self, commit: &CommitId, place: &CommitPath, digest: Digest) -> Result<bool> {
        if self.store.hidden_origins(commit)? == 0 {
            return Ok(false);
        }
        let whole = self.store.whole();
        for source in whole.commit(commit)?.sources.iter().filter(|source| !self.store.sees(&source.repo)) {
            if original(&whole, source, &place.path, digest)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The file with this content below the copied path: its path ends like the copy's, with the longest possible match, since a copied
/// directory keeps the names in it.
fn original(store: &Store, source: &Source, copy: &FilePath, digest: Digest) -> Result<Option<(FilePath, FileEntry)>> {
    let tree = Tree::at(store.commit(&source.commit)?.tree);
    let parts: Vec<&str> = copy.as_str().split('/').filter(|part| !part.is_empty()).collect();
    for first in 0..=parts.len() {
        let end = parts[first..].join("/");
        let path = if end.is_empty() { Ok(source.path.clone()) } else { source.path.join(&end) };
        // What is not a path cannot be a file.
        let Ok(path) = path else { continue };
        if let Some(entry) = tree.file(store, &path)?.filter(|entry| entry.digest == digest) {
            return Ok(Some((path, entry)));
        }
    }
    Ok(None)
}

/// Who committed a file: for an output the job that executed its datum, otherwise the commit that introduced it.
pub(crate) fn brought(store: &Store, place: &CommitPath) -> Result<Option<Brought>> {
    let commit = store.commit(&place.commit)?;
    if commit.kind != CommitKind::Output {
        let id = introduced(store, &place.repo, place.commit, &place.path)?.unwrap_or(place.commit);
        let commit = store.commit(&id)?;
        let Commit { author, committer, message, created_at, .. } = commit;
        let by = if author.is_empty() { committer } else { author };
        return Ok(Some(Brought { commit: id, by, message, at: created_at }));
    }
    let lineage: Map<Digest> = commit.lineage.map_or(Map::empty(), Map::at);
    let Some(result) = lineage.get(store, place.path.as_str().as_bytes())? else { return Ok(None) };
    let result: ResultDocument = store.document(&result)?;
    let at = result.tries.last().map_or(commit.created_at, |last| last.finished_at);
    let by = format!("{}@{}", result.pipeline, result.run);
    Ok(Some(Brought { commit: place.commit, by, message: String::new(), at }))
}
