//! Code folders: what `transform.code` names, as a tree, and the git commit of the spec's folder.

use std::path::{Path, PathBuf};

use repos::Store;
use repos::documents::CodeStamp;
use repos::files::{self, PutOptions};
use repos::tree::Tree;
use specs::spec::Parsed;
use specs::{Diagnostic, Glob};

use super::SpecSources;
use crate::error::Result;

/// Never part of the code: it changes with every fetch.
const NOT_CODE: [&str; 2] = ["/.git", "/**/.git"];

/// Where a spec and its code lie on this machine.
#[derive(Debug)]
pub(super) struct CodeFolder {
    /// The folder of the spec's file.
    spec: PathBuf,
    /// The folder that the spec names.
    code: Option<PathBuf>,
}

/// The folders of each spec; says of all code folders what is wrong with them. `None` for a spec that came from no file.
pub(super) fn folders(specs: &[Parsed], sources: &SpecSources, found: &mut Vec<Diagnostic>) -> Vec<Option<CodeFolder>> {
    specs
        .iter()
        .map(|parsed| {
            let place = parsed.places.code.unwrap_or(parsed.places.transform);
            let code = parsed.spec.transform.code.as_ref();
            let Some(spec) = sources.get(&parsed.file) else {
                let message = "`code` is relative to a spec file, and this spec is in none";
                found.extend(code.map(|_| parsed.error(place, message, None)));
                return None;
            };
            let code = code.map(|code| spec.join(code));
            let problem = code.as_deref().and_then(problem);
            found.extend(problem.map(|problem| parsed.error(place, format!("`code`: {problem}"), None)));
            Some(CodeFolder { spec: spec.clone(), code })
        })
        .collect()
}

fn options(folder: &Path) -> PutOptions {
    let excludes = NOT_CODE.iter().filter_map(|glob| Glob::parse(glob).ok()).collect();
    PutOptions { sources: vec![folder.to_owned()], excludes, ..PutOptions::default() }
}

/// Why a folder cannot be stored as code.
fn problem(folder: &Path) -> Option<String> {
    match std::fs::metadata(folder) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => return Some(format!("`{}` is not a folder", folder.display())),
        Err(error) => return Some(format!("`{}`: {error}", folder.display())),
    }
    match files::gather(&options(folder)) {
        Ok(files) if files.is_empty() => Some(format!("`{}` holds no files", folder.display())),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

impl CodeFolder {
    /// Stores the code, and looks the git commit up; `None` when there is neither.
    pub(super) fn store(&self, store: &Store) -> Result<Option<CodeStamp>> {
        let tree = self.code.as_deref().map(|folder| tree_of(store, folder)).transpose()?;
        let git = git_state(&self.spec, self.code.as_deref());
        let (git_commit, git_clean) = git.unzip();
        let stamp = CodeStamp { tree: tree.map(Tree::root), git_commit, git_clean };
        Ok(Some(stamp).filter(|stamp| *stamp != CodeStamp::default()))
    }
}

fn tree_of(store: &Store, folder: &Path) -> Result<Tree> {
    let gathered = files::gather(&options(folder))?;
    let edits = files::upload(store, &gathered, &|_, _| {})?.into_edits(&gathered);
    Ok(files::apply(store, Tree::empty(), &edits)?.0)
}

/// The commit that is checked out where the spec lies, and whether neither that folder nor the code's has changes beyond it. `None`
/// without git, without a commit, and when git does not trust the folder.
fn git_state(spec: &Path, code: Option<&Path>) -> Option<(String, bool)> {
    let spec = spec.canonicalize().ok()?;
    let repository = git2::Repository::discover(&spec).ok()?;
    let commit = repository.head().ok()?.peel_to_commit().ok()?.id().to_string();
    let root = repository.workdir()?.canonicalize().ok()?;
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).disable_pathspec_match(true);
    let folders = [Some(spec), code.and_then(|code| code.canonicalize().ok())];
    let inside: Vec<&Path> = folders.iter().flatten().filter_map(|folder| folder.strip_prefix(&root).ok()).collect();
    // No path stands for all: so when one of them is the root.
    if inside.iter().all(|path| !path.as_os_str().is_empty()) {
        for path in inside {
            options.pathspec(path);
        }
    }
    let clean = repository.statuses(Some(&mut options)).ok()?.is_empty();
    Some((commit, clean))
}
