//! Code folders: stores what `transform.code` names as a tree; `git` compares it, and the spec's file, with a git commit.
//!
//! If the folders are on another machine, `sent` does there what needs them; here remains to make the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::RepoError;
use repos::Store;
use repos::documents::CodeStamp;
use repos::files::{self, By, Excludes, Gathered, LeftOut, PATTERN_FILE, PutOptions};
use repos::tree::{FileEntry, KeyRange, Tree, path_of};
use serde::{Deserialize, Serialize};
use specs::Diagnostic;
use specs::spec::Parsed;

use super::sent::SpecListing;
use super::{SpecFolder, SpecSources, git};
use crate::error::Result;

/// Excluded from the code, unless a pattern file in the folder includes it: git's own data, leftovers of Python and desktops, and temporary
/// files of editors.
const NOT_CODE: &[&str] = &[
    ".git",
    "__pycache__/",
    "*.pyc",
    ".DS_Store",
    "*~",
    ".*.sw[a-p]",
    ".#*",
    "\\#*#",
    ".idea/",
    ".vscode/",
    ".ipynb_checkpoints/",
];

/// The files in a code folder that exclude others; the last wins.
const PATTERN_FILES: &[&str] = &[".gitignore", PATTERN_FILE];

/// A spec's file and code.
#[derive(Debug)]
pub(super) enum CodeFolder {
    /// On this machine.
    Here {
        /// The spec's file.
        spec: PathBuf,
        /// Its text.
        text: Arc<str>,
        /// The folder named in the spec.
        code: Option<PathBuf>,
    },
    /// On another machine, which compared both with git and sent the code.
    Listed {
        /// The listing of the spec's file.
        spec: Arc<SpecListing>,
        /// The folder as the spec names it.
        code: Option<String>,
    },
}

/// The folders of each spec; reports what is wrong with any code folder. `None` for a spec that did not come from a file.
pub(super) fn folders(specs: &[Parsed], sources: &SpecSources, found: &mut Vec<Diagnostic>) -> Vec<Option<CodeFolder>> {
    let mut told = BTreeSet::new();
    specs
        .iter()
        .map(|parsed| {
            let place = parsed.places.code.unwrap_or(parsed.places.transform);
            let code = parsed.spec.transform.code.as_ref();
            let Some(source) = sources.get(&parsed.file) else {
                let message = "`code` is relative to a spec file, but this spec does not come from a file";
                found.extend(code.map(|_| parsed.error(place, message, None)));
                return None;
            };
            let folder = CodeFolder::of(parsed, source);
            match folder.look() {
                Some((_, Err(problem))) => {
                    found.push(parsed.error(place, format!("`code`: {}", problem.what), problem.hint));
                }
                Some((at, Ok(notes))) if told.insert(at.clone()) => {
                    found.extend(notes.into_iter().map(|(note, hint)| parsed.warning(place, note, Some(hint))));
                }
                _ => {}
            }
            Some(folder)
        })
        .collect()
}

/// The options for gathering the code in a folder.
pub(super) fn options(folder: &Path) -> PutOptions {
    let excludes = Excludes { patterns: Vec::new(), files: PATTERN_FILES, built_in: NOT_CODE };
    PutOptions { sources: vec![folder.to_owned()], excludes, ..PutOptions::default() }
}

/// Why a folder cannot be stored as code, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Problem {
    what: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn of(what: String) -> Self {
        Self { what, hint: None }
    }
}

/// Warnings about a code folder, each with a hint.
pub(super) type Notes = Vec<(String, String)>;

/// Examines a code folder.
pub(super) fn look(folder: &Path) -> std::result::Result<Notes, Problem> {
    let no_hint = |what| Problem { what, hint: None };
    match std::fs::metadata(folder) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => return Err(no_hint(format!("`{}` is not a folder", folder.display()))),
        Err(error) => return Err(no_hint(format!("`{}`: {error}", folder.display()))),
    }
    let hint = Some(format!("exclude other files in `{}`", folder.join(PATTERN_FILE).display()));
    match files::gather(&options(folder)) {
        Ok(files) if files.is_empty() => Err(no_hint(format!("`{}` contains no files", folder.display()))),
        Ok(files) => Ok(notes(folder, &files)),
        Err(error @ (RepoError::BadSources(_) | RepoError::IllegalPaths(_))) => {
            Err(Problem { what: error.to_string(), hint })
        }
        Err(error) => Err(no_hint(error.to_string())),
    }
}

/// Reports what a code folder excludes, and which pattern lines are invalid.
fn notes(folder: &Path, files: &Gathered) -> Notes {
    const NAMED: usize = 5;
    let by: Vec<&By> = files.omitted.by().collect();
    let of_git = |path: &&&str| path.trim_end_matches('/').rsplit('/').next() == Some(".git");
    let named: Vec<&str> = by.iter().flat_map(|by| files.omitted.named(by)).collect();
    let git = named.iter().filter(of_git).count();
    let all = by.iter().map(|by| files.omitted.count(by)).sum::<u64>() - git as u64;
    let mut shown: Vec<String> =
        named.iter().filter(|path| !of_git(path)).take(NAMED).map(|path| (*path).to_owned()).collect();
    let more = all - shown.len() as u64;
    shown.extend((more > 0).then(|| format!("{more} more")));
    let mut notes = Vec::new();
    if !shown.is_empty() {
        let hint = format!("to include it, write `!NAME` in `{}`", folder.join(PATTERN_FILE).display());
        notes.push((format!("excluded from the code: {}", shown.join(", ")), hint));
    }
    for (file, wrong) in &files.wrong_patterns {
        notes.push((format!("`{}`, {wrong}", file.display()), "it excludes nothing".to_owned()));
    }
    notes
}

impl CodeFolder {
    pub(super) fn of(parsed: &Parsed, source: &SpecFolder) -> Self {
        let code = parsed.spec.transform.code.as_ref();
        match source {
            SpecFolder::Here(folder) => Self::Here {
                spec: folder.join(Path::new(&parsed.file).file_name().unwrap_or_default()),
                text: parsed.text.clone(),
                code: code.map(|code| folder.join(code)),
            },
            SpecFolder::Listed(listing) => Self::Listed { spec: listing.clone(), code: code.cloned() },
        }
    }

    /// The spec's file, if it is on this machine.
    pub(super) fn spec(&self) -> Option<&Path> {
        match self {
            Self::Here { spec, .. } => Some(spec),
            Self::Listed { .. } => None,
        }
    }

    /// The folder of the code, and what is to be said about it; `None` without code.
    pub(super) fn look(&self) -> Option<(PathBuf, std::result::Result<Notes, Problem>)> {
        match self {
            Self::Here { code, .. } => code.as_ref().map(|code| (code.clone(), look(code))),
            Self::Listed { spec, code } => code.as_ref().map(|code| match spec.code(code) {
                Some(listed) => listed.look(),
                None => (PathBuf::from(code), Err(not_uploaded(code))),
            }),
        }
    }

    /// Stores the code, and compares what is stored, and the spec, with the git commits checked out there; `None` if there is neither code
    /// nor git.
    pub(super) fn store(&self, store: &Store) -> Result<Option<CodeStamp>> {
        let mut stamp = CodeStamp::default();
        match self {
            Self::Here { spec, text, code } => {
                stamp.git_spec = git::check_spec(spec, text);
                if let Some(folder) = code {
                    let (tree, left_out) = tree_of(store, folder)?;
                    stamp.tree = Some(tree.root());
                    let read = |file: &FileEntry, _: &str| Ok(store.read_file(file, 0..file.size)?.to_vec());
                    stamp.git_code = Some(git::check_code(folder, &files_in(store, tree)?, &left_out, &read));
                }
            }
            Self::Listed { spec, code } => {
                stamp.git_spec = spec.git_spec();
                if let Some(listed) = code.as_ref().and_then(|code| spec.code(code)) {
                    stamp.tree = Some(files::apply(store, Tree::empty(), &listed.edits())?.0.root());
                    stamp.git_code = listed.git();
                }
            }
        }
        let check = stamp.git_code.as_ref().or(stamp.git_spec.as_ref());
        stamp.git_commit = check.and_then(|check| check.commit.clone());
        Ok(Some(stamp).filter(|stamp| *stamp != CodeStamp::default()))
    }
}

fn not_uploaded(code: &str) -> Problem {
    Problem { what: format!("`{code}` was not uploaded"), hint: Some("repeat the command".to_owned()) }
}

/// The code of a folder, and what was excluded.
fn tree_of(store: &Store, folder: &Path) -> Result<(Tree, LeftOut)> {
    let gathered = files::gather(&options(folder))?;
    let edits = files::upload(store, &gathered, &|_, _| {})?.into_edits(&gathered);
    Ok((files::apply(store, Tree::empty(), &edits)?.0, gathered.left_out))
}

/// The files of a tree by path.
fn files_in(store: &Store, tree: Tree) -> Result<BTreeMap<String, FileEntry>> {
    let mut files = BTreeMap::new();
    for entry in tree.range(store, KeyRange::all())? {
        let (key, file): (Vec<u8>, FileEntry) = entry?;
        files.insert(path_of(&key).map_err(RepoError::from)?.to_string(), file);
    }
    Ok(files)
}
