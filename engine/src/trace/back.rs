//! From one file to the commits of people.

use std::collections::HashSet;

use repos::documents::{
    Commit, CommitKind, Provenance, Recipe, RecipeInput, ResultDocument, Source, Transform, VersionDocument,
};
use repos::history::introduced;
use repos::store::Resolved;
use repos::tree::{FileEntry, Map, Tree, directory_range, path_of};
use repos::{RepoError, Store};
use specs::{CommitId, Digest, FilePath, RepoName, RunId};

use super::nodes::{DatumNode, FileNode, InputNode, Origin, SourceNode, Trace};
use crate::error::Result;
use crate::graph::Pipeline;

/// Everything that the file at `at` rests on; no deeper than `depth` datums.
pub fn trace(store: &Store, at: &Resolved, depth: Option<usize>) -> Result<Trace> {
    let file = at.tree().file(store, &at.path)?.ok_or_else(|| RepoError::FileNotFound {
        path: at.path.clone(),
        place: at.place(),
        similar: None,
    })?;
    let order = store.run_order(&at.commit.run)?.unwrap_or(u64::MAX);
    let mut tracer =
        Tracer { store, order, seen: HashSet::new(), sources: HashSet::new(), gaps: Vec::new(), is_damaged: false };
    let file =
        tracer.file(&Place { repo: at.commit.repo.clone(), commit: at.id, path: at.path.clone() }, file, depth)?;
    let Tracer { seen, sources, gaps, is_damaged, .. } = tracer;
    let (datums, source_files) = (seen.len(), sources.len());
    Ok(Trace { file, datums, source_files, complete: gaps.is_empty(), gaps, is_damaged })
}

/// A path in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    repo: RepoName,
    commit: CommitId,
    path: FilePath,
}

struct Tracer<'a> {
    store: &'a Store,
    /// The run that made what was asked about.
    order: u64,
    seen: HashSet<Digest>,
    sources: HashSet<(RepoName, FilePath, Digest)>,
    gaps: Vec<String>,
    is_damaged: bool,
}

impl Tracer<'_> {
    fn file(&mut self, place: &Place, file: FileEntry, depth: Option<usize>) -> Result<FileNode> {
        let origin = match self.origin(place, file, depth) {
            Ok(origin) => origin,
            // What is missing or damaged ends this branch of the trace, not the trace.
            Err(error) if error.kind() == specs::ErrorKind::Damaged => {
                self.is_damaged = true;
                self.gap(place, error.to_string())
            }
            Err(error) => return Err(error),
        };
        let Place { repo, commit, path } = place.clone();
        let FileEntry { digest, size, executable } = file;
        Ok(FileNode { repo, commit, path, size_bytes: size, digest, executable, origin })
    }

    fn gap(&mut self, place: &Place, why: String) -> Origin {
        self.gaps.push(format!("{}@{}:{}: {why}", place.repo, place.commit.short(12), place.path));
        Origin::Gap(why)
    }

    fn origin(&mut self, place: &Place, file: FileEntry, depth: Option<usize>) -> Result<Origin> {
        let commit = self.store.commit(&place.commit)?;
        if commit.kind != CommitKind::Output {
            return Ok(Origin::Source(Box::new(self.source(place, file, depth)?)));
        }
        if depth == Some(0) {
            return Ok(Origin::Cut);
        }
        let lineage: Map<Digest> = commit.lineage.map_or(Map::empty(), Map::at);
        let Some(digest) = lineage.get(self.store, place.path.as_str().as_bytes())? else {
            return Ok(self.gap(place, "the commit does not say which datum wrote it".to_owned()));
        };
        let result: ResultDocument = self.store.document(&digest)?;
        if !self.seen.insert(digest) {
            return Ok(Origin::SeenDatum(result.recipe));
        }
        let depth = depth.map(|depth| depth - 1);
        Ok(Origin::Datum(Box::new(self.datum(&commit, digest, result, file, depth)?)))
    }

    fn datum(
        &mut self,
        commit: &Commit,
        digest: Digest,
        result: ResultDocument,
        file: FileEntry,
        depth: Option<usize>,
    ) -> Result<DatumNode> {
        let recipe: Recipe = self.store.document(&result.recipe.digest())?;
        let transform: Transform = self.store.document(&recipe.transform)?;
        let row = self.store.pipeline_version(&result.pipeline, result.version)?;
        let version: Option<VersionDocument> =
            row.as_ref().map(|row| self.store.document(&row.document)).transpose()?;
        let inputs = self.inputs(commit, &result, &recipe, depth)?;
        let read = inputs.iter().flat_map(|input| &input.files).any(|read| read.digest == file.digest);
        let last = result.tries.last();
        Ok(DatumNode {
            id: result.recipe,
            result: digest,
            state: result.state,
            exit_code: last.and_then(|last| last.exit_code),
            tries: result.tries.len(),
            version: result.version,
            applied_at: row.map(|row| row.applied_at),
            job: format!("{}@{}", result.pipeline, result.run),
            cached: commit.run != result.run
                || commit.pipeline.as_ref().is_none_or(|stamp| stamp.name != result.pipeline),
            cause: self.cause(&result.run)?,
            image: version.as_ref().and_then(|version| version.image.clone()),
            cmd: if transform.cmd.is_empty() {
                version.as_ref().map(|version| version.entrypoint.clone()).unwrap_or_default()
            } else {
                transform.cmd
            },
            code: version.and_then(|version| version.code),
            network: result.network,
            executor: result.executor,
            started_at: last.map(|last| last.started_at),
            finished_at: last.map(|last| last.finished_at),
            log: last.and_then(|last| last.log),
            by_reference: read,
            inputs,
            pipeline: result.pipeline,
        })
    }

    fn cause(&self, run: &RunId) -> Result<Option<repos::journal::Cause>> {
        Ok(self.store.run_order(run)?.map(|order| self.store.run_at(order)).transpose()?.flatten().map(|run| run.cause))
    }

    /// What the datum read, in the commits on which the asked commit rests: there its inputs have the recipe's bytes, whichever job
    /// executed it.
    fn inputs(
        &mut self,
        commit: &Commit,
        result: &ResultDocument,
        recipe: &Recipe,
        depth: Option<usize>,
    ) -> Result<Vec<InputNode>> {
        let pipeline = self.pipeline_of(commit)?;
        let mut inputs = Vec::new();
        for input in &recipe.inputs {
            let origins =
                pipeline.as_ref().map(|pipeline| origins_of(commit, pipeline, &input.name)).unwrap_or_default();
            let (mut files, mut older) = (Vec::new(), false);
            for origin in &origins {
                files = self.files_at(&origin.repo, origin.commit, input, depth)?;
                if !files.is_empty() {
                    older = self.is_older(origin)?;
                    break;
                }
            }
            if files.is_empty() {
                self.gaps.push(format!(
                    "datum {}: `{}:{}` is not in the commits on which {} rests",
                    result.recipe.short(12),
                    input.name,
                    input.path,
                    commit.repo
                ));
            }
            let (input, path) = (input.name.clone(), input.path.clone());
            inputs.push(InputNode { input, path, reference: false, older, files });
        }
        for reference in &result.references {
            let tree = Tree::at(self.store.commit(&reference.commit)?.tree);
            let place = Place { repo: reference.repo.clone(), commit: reference.commit, path: reference.path.clone() };
            let files = self.files_below(&place, tree, depth)?;
            inputs.push(InputNode {
                input: reference.input.clone(),
                path: reference.path.clone(),
                reference: true,
                older: false,
                files,
            });
        }
        Ok(inputs)
    }

    /// Whether a branch had a newer commit by the run that made what was asked about.
    fn is_older(&self, origin: &Provenance) -> Result<bool> {
        let head = self.store.head_as_of(&origin.repo, &origin.branch, self.order)?.flatten();
        Ok(head.is_some_and(|head| head != origin.commit))
    }

    fn pipeline_of(&self, commit: &Commit) -> Result<Option<Pipeline>> {
        let Some(stamp) = &commit.pipeline else { return Ok(None) };
        Pipeline::load_version(self.store, &stamp.name, stamp.version).map(Some)
    }

    /// The files of a recipe's input in a commit; none when the commit has other bytes there than the recipe says.
    fn files_at(
        &mut self,
        repo: &RepoName,
        id: CommitId,
        input: &RecipeInput,
        depth: Option<usize>,
    ) -> Result<Vec<FileNode>> {
        let tree = Tree::at(self.store.commit(&id)?.tree);
        let same = match (input.digest, input.tree) {
            (Some(digest), _) => tree.file(self.store, &input.path)?.is_some_and(|file| file.digest == digest),
            (None, root) if input.path.is_root() => root == Some(tree.root()),
            (None, root) => root == Some(crate::recipe::root_below(self.store, tree, &input.path)?),
        };
        if !same {
            return Ok(Vec::new());
        }
        self.files_below(&Place { repo: repo.clone(), commit: id, path: input.path.clone() }, tree, depth)
    }

    /// The file at a place, or all files below it.
    fn files_below(&mut self, place: &Place, tree: Tree, depth: Option<usize>) -> Result<Vec<FileNode>> {
        if let Some(file) = tree.file(self.store, &place.path)? {
            return Ok(vec![self.file(place, file, depth)?]);
        }
        let below: Vec<(Vec<u8>, FileEntry)> =
            tree.range(self.store, directory_range(&place.path))?.collect::<Result<_, RepoError>>()?;
        let at = |key: &[u8]| Ok::<_, RepoError>(Place { path: path_of(key)?, ..place.clone() });
        below.into_iter().map(|(key, file)| self.file(&at(&key)?, file, depth)).collect()
    }

    /// The commit that introduced these bytes under this path.
    fn source(&mut self, place: &Place, file: FileEntry, depth: Option<usize>) -> Result<SourceNode> {
        self.sources.insert((place.repo.clone(), place.path.clone(), file.digest));
        let introduced = introduced(self.store, &place.repo, place.commit, &place.path)?;
        let id = introduced.unwrap_or(place.commit);
        let commit = self.store.commit(&id)?;
        let copied_from = self.copied_from(&commit.sources, place, file, depth)?;
        Ok(SourceNode {
            commit: id,
            author: commit.author,
            committer: commit.committer,
            message: commit.message,
            created_at: commit.created_at,
            copied_from,
        })
    }

    /// The file that `cp` took over: the one below a source with these bytes, best with this name.
    fn copied_from(
        &mut self,
        sources: &[Source],
        place: &Place,
        file: FileEntry,
        depth: Option<usize>,
    ) -> Result<Option<FileNode>> {
        for source in sources {
            let tree = Tree::at(self.store.commit(&source.commit)?.tree);
            let mut candidates = Vec::new();
            if let Some(entry) = tree.file(self.store, &source.path)? {
                candidates.push((source.path.clone(), entry));
            }
            for entry in tree.range(self.store, directory_range(&source.path))? {
                let (key, entry) = entry?;
                candidates.push((path_of(&key).map_err(RepoError::from)?, entry));
            }
            candidates.retain(|(_, entry)| entry.digest == file.digest);
            candidates.sort_by_key(|(path, _)| path.name() != place.path.name());
            if let Some((path, entry)) = candidates.into_iter().next() {
                let origin = Place { repo: source.repo.clone(), commit: source.commit, path };
                return self.file(&origin, entry, depth).map(Some);
            }
        }
        Ok(None)
    }
}

/// The input commits that an output commit rests on for one input of its pipeline: several when arms of a union share the name.
fn origins_of(commit: &Commit, pipeline: &Pipeline, input: &str) -> Vec<Provenance> {
    let leaves = pipeline.spec.input.leaves().into_iter().filter(|leaf| leaf.name == input);
    let origin = |(repo, branch)| {
        commit.provenance.iter().find(|origin| (&origin.repo, &origin.branch) == (&repo, &branch)).cloned()
    };
    leaves.filter_map(|leaf| origin(pipeline.input_branch(leaf))).collect()
}
