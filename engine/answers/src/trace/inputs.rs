//! What a datum read.
//!
//! An input is marked `older` if its branch had a newer commit at the run of the requested commit, even if a failed job is the reason.

use repos::documents::{Commit, Provenance, Recipe, RecipeInput, Reference, ResultDocument};
use repos::tree::{FileEntry, PathKind, Tree, directory_range, path_of};
use repos::{RepoError, Store};
use specs::DatumId;

use super::back::{CommitPath, Tracer};
use super::nodes::{BranchCommit, Extent, FileNode, InputNode};
use engine::Result;
use engine::graph::Pipeline;

/// A directory or group with up to this many files is followed completely.
const WHOLE: u64 = 64;
/// Number of files of a larger one that are followed.
const FIRST: usize = 10;

impl Tracer<'_> {
    /// What the datum read, in the commits that the requested commit depends on: there its inputs have the recipe's content, whichever job
    /// executed it. For a large group, the first inputs of each name, and how many more there are.
    pub(super) fn inputs(
        &mut self,
        commit: &Commit,
        result: &ResultDocument,
        recipe: &Recipe,
        depth: Option<usize>,
    ) -> Result<(Vec<InputNode>, u64)> {
        let pipeline = self.pipelines.of_commit(self.store, commit)?;
        let is_large = recipe.inputs.len() as u64 > WHOLE && !self.reach.all_files;
        let (mut inputs, mut more) = (Vec::new(), 0);
        for input in &recipe.inputs {
            if is_large && inputs.iter().filter(|known: &&InputNode| known.input == input.name).count() >= FIRST {
                more += 1;
                continue;
            }
            let origins =
                pipeline.as_ref().map(|pipeline| origins_of(commit, pipeline, &input.name)).unwrap_or_default();
            inputs.push(self.input(commit, &origins, &result.recipe, input, depth)?);
        }
        if more > 0 {
            self.cut.push(format!("datum {}: {more} more files of its group", result.recipe.short(12)));
        }
        for reference in &result.references {
            inputs.push(self.reference(reference, depth)?);
        }
        Ok((inputs, more))
    }

    fn input(
        &mut self,
        commit: &Commit,
        origins: &[Provenance],
        datum: &DatumId,
        input: &RecipeInput,
        depth: Option<usize>,
    ) -> Result<InputNode> {
        let node = InputNode {
            input: input.name.clone(),
            path: input.path.clone(),
            digest: input.digest.or(input.tree),
            commit: None,
            directory: None,
            empty_files: input.empty_files,
            reference: false,
            older: false,
            seen: false,
            files: Vec::new(),
        };
        for origin in origins {
            let tree = Tree::at(self.store.commit(&origin.commit)?.tree);
            let Some(matched) = matched(self.store, tree, input)? else { continue };
            let older = self.is_older(origin)?;
            let Provenance { repo, branch, commit } = origin.clone();
            let found = BranchCommit { repo, branch: Some(branch), id: commit };
            return self.fill(InputNode { older, commit: Some(found), ..node }, tree, matched, depth);
        }
        let (name, path) = (&input.name, &input.path);
        let datum = datum.short(12);
        self.gaps.push(format!("datum {datum}: `{name}:{path}` is not in the input commits of {}", commit.repo));
        Ok(node)
    }

    fn reference(&mut self, reference: &Reference, depth: Option<usize>) -> Result<InputNode> {
        let Reference { input, repo, commit, path, digest } = reference.clone();
        let tree = Tree::at(self.store.commit(&commit)?.tree);
        let matched = tree.kind_at(self.store, &path)?;
        let node = InputNode {
            input,
            path,
            digest: Some(digest),
            commit: Some(BranchCommit { repo, branch: None, id: commit }),
            directory: None,
            empty_files: false,
            reference: true,
            older: false,
            seen: false,
            files: Vec::new(),
        };
        match matched {
            Some(matched) => self.fill(node, tree, matched, depth),
            None => Ok(node),
        }
    }

    /// Adds the file, or the files of the directory.
    fn fill(&mut self, node: InputNode, tree: Tree, matched: PathKind, depth: Option<usize>) -> Result<InputNode> {
        let Some(BranchCommit { repo, id, .. }) = node.commit.clone() else { return Ok(node) };
        let place = CommitPath { repo, commit: id, path: node.path.clone() };
        match matched {
            PathKind::File(file) => Ok(InputNode { files: vec![self.file(&place, file, depth)?], ..node }),
            PathKind::Directory { files, size_bytes } => {
                let directory = Some(Extent { files, size_bytes });
                if !self.directories.insert(place.clone()) {
                    return Ok(InputNode { directory, seen: true, ..node });
                }
                let files = self.files_below(&place, tree, files, depth)?;
                Ok(InputNode { directory, files, ..node })
            }
        }
    }

    /// All files below a path, or the first ones of many.
    fn files_below(
        &mut self,
        place: &CommitPath,
        tree: Tree,
        count: u64,
        depth: Option<usize>,
    ) -> Result<Vec<FileNode>> {
        let is_whole = self.reach.all_files || count <= WHOLE;
        let take = if is_whole { usize::MAX } else { FIRST };
        let below = tree.range(self.store, directory_range(&place.path))?.take(take);
        let below: Vec<(Vec<u8>, FileEntry)> = below.collect::<Result<_, RepoError>>()?;
        if !is_whole {
            self.cut.push(format!("{place}: {} of {count} files are not followed", count - below.len() as u64));
        }
        let at = |key: &[u8]| Ok::<_, RepoError>(CommitPath { path: path_of(key)?, ..place.clone() });
        below.into_iter().map(|(key, file)| self.file(&at(&key)?, file, depth)).collect()
    }

    /// Whether a branch had a newer commit by the time of the run that made the requested commit.
    fn is_older(&self, origin: &Provenance) -> Result<bool> {
        let head = self.store.head_as_of(&origin.repo, &origin.branch, self.order)?.flatten();
        Ok(head.is_some_and(|head| head != origin.commit))
    }
}

/// What a recipe's input is in a commit; `None` if the commit's content differs from the recipe.
pub(crate) fn matched(store: &Store, tree: Tree, input: &RecipeInput) -> Result<Option<PathKind>> {
    let Some(kind) = tree.kind_at(store, &input.path)? else { return Ok(None) };
    let is_same = match kind {
        PathKind::File(file) => input.digest == Some(file.digest),
        PathKind::Directory { .. } if input.path.is_root() => input.tree == Some(tree.root()),
        PathKind::Directory { .. } => {
            input.tree.is_some() && input.tree == Some(engine::recipe::root_below(store, tree, &input.path)?)
        }
    };
    Ok(is_same.then_some(kind))
}

/// The input commits of an output commit for one input of its pipeline: several if inputs of a union share the name.
pub(crate) fn origins_of(commit: &Commit, pipeline: &Pipeline, input: &str) -> Vec<Provenance> {
    let leaves = pipeline.spec.input.leaves().into_iter().filter(|leaf| leaf.name == input);
    let origin = |(repo, branch)| {
        commit.provenance.iter().find(|origin| (&origin.repo, &origin.branch) == (&repo, &branch)).cloned()
    };
    leaves.filter_map(|leaf| origin(pipeline.input_branch(leaf))).collect()
}
