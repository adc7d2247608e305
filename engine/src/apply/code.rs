//! Code folders: what `transform.code` names, as a tree; what of it, and of the spec's file, is in a git commit, `git` tells.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::Store;
use repos::documents::CodeStamp;
use repos::files::{self, PutOptions};
use repos::tree::Tree;
use specs::spec::Parsed;
use specs::{Diagnostic, Glob};

use super::{SpecSources, git};
use crate::error::Result;

/// Never part of the code: it changes with every fetch.
const NOT_CODE: [&str; 2] = ["/.git", "/**/.git"];

/// Where a spec and its code lie on this machine.
#[derive(Debug)]
pub(super) struct CodeFolder {
    /// The spec's file.
    spec: PathBuf,
    /// What was read from it.
    text: Arc<str>,
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
            let Some(folder) = sources.get(&parsed.file) else {
                let message = "`code` is relative to a spec file, and this spec is in none";
                found.extend(code.map(|_| parsed.error(place, message, None)));
                return None;
            };
            let code = code.map(|code| folder.join(code));
            let problem = code.as_deref().and_then(problem);
            found.extend(problem.map(|problem| parsed.error(place, format!("`code`: {problem}"), None)));
            let spec = folder.join(Path::new(&parsed.file).file_name().unwrap_or_default());
            Some(CodeFolder { spec, text: parsed.text.clone(), code })
        })
        .collect()
}

/// What of a folder is code.
pub(super) fn options(folder: &Path) -> PutOptions {
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
    /// The spec's file.
    pub(super) fn spec(&self) -> &Path {
        &self.spec
    }

    /// Stores the code, and compares what is stored, and the spec, with the git commits that are checked out there; `None` when there is
    /// neither code nor git.
    pub(super) fn store(&self, store: &Store) -> Result<Option<CodeStamp>> {
        let mut stamp = CodeStamp { git_spec: git::check_spec(&self.spec, &self.text), ..CodeStamp::default() };
        if let Some(folder) = &self.code {
            let tree = tree_of(store, folder)?;
            stamp.tree = Some(tree.root());
            stamp.git_code = Some(git::check_code(store, folder, tree)?);
        }
        let check = stamp.git_code.as_ref().or(stamp.git_spec.as_ref());
        stamp.git_commit = check.and_then(|check| check.commit.clone());
        Ok(Some(stamp).filter(|stamp| *stamp != CodeStamp::default()))
    }
}

fn tree_of(store: &Store, folder: &Path) -> Result<Tree> {
    let gathered = files::gather(&options(folder))?;
    let edits = files::upload(store, &gathered, &|_, _| {})?.into_edits(&gathered);
    Ok(files::apply(store, Tree::empty(), &edits)?.0)
}
