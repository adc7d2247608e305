//! Which input an output file equals: a datum that links to an input file writes no content of its own.
//!
//! An output stores the content that a link leads to, not the link, so only equal content shows that there was one. The first 1,000 files
//! of each directory that the datum read are compared, and an empty file never counts.

use std::collections::HashMap;

use repos::RepoError;
use repos::documents::{Commit, Recipe, ResultDocument};
use repos::tree::{FileEntry, Tree, directory_range, path_of};
use specs::{Digest, FilePath};

use super::back::{CommitPath, Tracer};
use super::inputs::origins_of;
use super::nodes::SameAs;
use engine::Result;

/// Maximum number of files of a directory that are examined.
const LOOKED_AT: usize = 1000;

impl Tracer<'_> {
    /// The input file with the same content as an output file: one with the same name takes precedence. `None` for an empty file, which
    /// equals every other one.
    pub(super) fn same_as(
        &mut self,
        commit: &Commit,
        result: &ResultDocument,
        recipe: &Recipe,
        path: &FilePath,
        file: FileEntry,
    ) -> Result<Option<SameAs>> {
        if file.size == 0 {
            return Ok(None);
        }
        let mut first = None;
        for (input, place) in self.read_by(commit, result, recipe, file.digest)? {
            let Some(found) = self.with_bytes(&place, file.digest)? else { continue };
            let has_name = found.name() == path.name();
            let CommitPath { repo, commit, .. } = place;
            let same = SameAs { input, repo, commit, path: found };
            if has_name {
                return Ok(Some(same));
            }
            first.get_or_insert(same);
        }
        Ok(first)
    }

    /// The places read by a datum where a file with this content may be, each with the input's name.
    fn read_by(
        &mut self,
        commit: &Commit,
        result: &ResultDocument,
        recipe: &Recipe,
        digest: Digest,
    ) -> Result<Vec<(String, CommitPath)>> {
        let mut places = Vec::new();
        if let Some(pipeline) = self.pipelines.of_commit(self.store, commit)? {
            // A directory has no content digest.
            let inputs = recipe.inputs.iter().filter(|input| input.digest.is_none_or(|own| own == digest));
            for input in inputs.filter(|input| !input.empty_files) {
                let origins = origins_of(commit, &pipeline, &input.name).into_iter();
                places.extend(origins.map(|origin| {
                    let place = CommitPath { repo: origin.repo, commit: origin.commit, path: input.path.clone() };
                    (input.name.clone(), place)
                }));
            }
        }
        places.extend(result.references.iter().map(|one| {
            let place = CommitPath { repo: one.repo.clone(), commit: one.commit, path: one.path.clone() };
            (one.input.clone(), place)
        }));
        Ok(places)
    }

    /// The file at or below a path that has this content.
    fn with_bytes(&mut self, place: &CommitPath, digest: Digest) -> Result<Option<FilePath>> {
        let tree = Tree::at(self.store.commit(&place.commit)?.tree);
        if let Some(file) = tree.file(self.store, &place.path)? {
            return Ok((file.digest == digest).then(|| place.path.clone()));
        }
        if let Some(known) = self.by_bytes.get(place) {
            return Ok(known.get(&digest).cloned());
        }
        let mut files = HashMap::new();
        for entry in tree.range(self.store, directory_range(&place.path))?.take(LOOKED_AT) {
            let (key, file) = entry?;
            files.entry(file.digest).or_insert(path_of(&key).map_err(RepoError::from)?);
        }
        let found = files.get(&digest).cloned();
        self.by_bytes.insert(place.clone(), files);
        Ok(found)
    }
}
