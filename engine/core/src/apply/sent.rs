//! Specs and code on another machine than the store: what is done there, and the message about it.
//!
//! [`upload_specs`] examines each code folder, compares it and the spec's file with git, and sends the code's content. An apply or trial with
//! [`SpecFolder::listed`] then gives the same version document as one that reads the folders itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::documents::GitCheck;
use repos::files::{self, Edits, ListedFile, ObjectSink, Outbox, SendOptions};
use repos::hash::digest_of;
use repos::store::Sender;
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use serde::{Deserialize, Serialize};
use specs::spec::SpecSet;

use super::code::{CodeFolder, Notes, Problem, look, options};
use super::{SpecFolder, SpecSources, git};
use crate::error::{EngineError, Result};

/// What a machine says of one spec file, and of the code folders that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecListing {
    git_spec: Option<GitCheck>,
    /// By the folder as the spec names it.
    codes: BTreeMap<String, CodeListing>,
}

/// What a machine says of one code folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeListing {
    /// The folder there, as shown in messages.
    folder: String,
    /// Warnings, or why it cannot be code.
    looked: Looked,
    /// Its files; their content was sent.
    files: Vec<ListedFile>,
    git: Option<GitCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Looked {
    Notes(Notes),
    Problem(Problem),
}

impl CodeListing {
    pub(super) fn look(&self) -> (PathBuf, std::result::Result<Notes, Problem>) {
        let looked = match &self.looked {
            Looked::Notes(notes) => Ok(notes.clone()),
            Looked::Problem(problem) => Err(problem.clone()),
        };
        (PathBuf::from(&self.folder), looked)
    }

    pub(super) fn edits(&self) -> Edits {
        let files = self.files.iter().map(|file| (file.path().clone(), Some(file.entry())));
        Edits { files: files.collect(), ..Edits::default() }
    }

    pub(super) fn git(&self) -> Option<GitCheck> {
        self.git.clone()
    }
}

impl SpecListing {
    /// Code folders whose files a client names itself, each under the name that the spec has for it. Nothing is known of git.
    pub fn of_files(codes: BTreeMap<String, Vec<ListedFile>>) -> Self {
        let listing = |(named, files): (String, Vec<ListedFile>)| {
            let empty = || Problem::of(format!("`{named}` contains no files"));
            let looked = if files.is_empty() { Looked::Problem(empty()) } else { Looked::Notes(Notes::new()) };
            (named.clone(), CodeListing { folder: named, looked, files, git: None })
        };
        Self { git_spec: None, codes: codes.into_iter().map(listing).collect() }
    }

    pub(super) fn git_spec(&self) -> Option<GitCheck> {
        self.git_spec.clone()
    }

    /// The code folder that a spec names so.
    pub(super) fn code(&self, named: &str) -> Option<&CodeListing> {
        self.codes.get(named)
    }
}

impl SpecFolder {
    /// The folder of a spec file on the machine of `from`, which sent the content of the code.
    ///
    /// `NotSent` if the listing names content that is missing, or that `from` neither sent nor may read.
    pub fn listed(store: &Store, listing: SpecListing, from: &Sender<'_>) -> Result<Self> {
        store.ensure_may_name(from, &listing.entries())?;
        Ok(Self::Listed(Arc::new(listing)))
    }
}

/// Examines the folders of all specs on this machine, and sends the content of code that the store elsewhere lacks. Needs no store on this
/// machine. What is wrong with a folder is a part of its listing, and reported by the apply.
pub fn upload_specs(
    set: &SpecSet,
    sources: &SpecSources,
    to: &dyn ObjectSink,
) -> Result<BTreeMap<String, SpecListing>> {
    let outbox = Outbox::new(to);
    let mut listings: BTreeMap<String, SpecListing> = BTreeMap::new();
    for parsed in &set.specs {
        let Some(source) = sources.get(&parsed.file) else { continue };
        let CodeFolder::Here { spec, text, code } = CodeFolder::of(parsed, source) else { continue };
        let listing = listings
            .entry(parsed.file.clone())
            .or_insert_with(|| SpecListing { git_spec: git::check_spec(&spec, &text), codes: BTreeMap::new() });
        if let (Some(named), Some(folder)) = (&parsed.spec.transform.code, code)
            && !listing.codes.contains_key(named)
        {
            listing.codes.insert(named.clone(), listing_of(&folder, &outbox)?);
        }
    }
    Ok(listings)
}

fn listing_of(folder: &Path, outbox: &Outbox<'_>) -> Result<CodeListing> {
    let notes = match look(folder) {
        Ok(notes) => notes,
        Err(problem) => {
            let looked = Looked::Problem(problem);
            return Ok(CodeListing { folder: folder.display().to_string(), looked, files: Vec::new(), git: None });
        }
    };
    let gathered = files::gather(&options(folder))?;
    let how = SendOptions { known: None, dry_run: false, skip_unreadable: false, progress: &|_, _| {} };
    let edits = files::send(outbox, &gathered, &how)?.into_edits(&gathered);
    let sent: Vec<(_, FileEntry)> = edits.files.into_iter().filter_map(|(path, file)| Some((path, file?))).collect();
    let stored = sent.iter().map(|(path, file)| (path.to_string(), *file)).collect();
    let git = git::check_code(folder, &stored, &gathered.left_out, &|file, path| read(folder, file, path));
    let files = sent.into_iter().map(|(path, file)| ListedFile::new(path, file)).collect();
    let folder = folder.display().to_string();
    Ok(CodeListing { folder, looked: Looked::Notes(notes), files, git: Some(git) })
}

/// Reads a file of the folder again, if it is still the one that was sent.
fn read(folder: &Path, file: &FileEntry, path: &str) -> std::result::Result<Vec<u8>, RepoError> {
    let at = folder.join(path.trim_start_matches('/'));
    let bytes = std::fs::read(&at);
    let bytes = bytes.map_err(|source| RepoError::Io { doing: "read", path: at.clone(), source })?;
    if digest_of(&bytes) == file.digest { Ok(bytes) } else { Err(RepoError::ChangedWhileRead { path: at }) }
}

impl SpecListing {
    /// After an apply or trial: what `from` sent of this code need not be kept for it any more.
    pub fn release(&self, store: &Store, from: &Sender<'_>) -> Result<()> {
        Ok(store.release_sent(from, &self.entries())?)
    }

    fn entries(&self) -> Vec<FileEntry> {
        self.codes.values().flat_map(|code| code.files.iter().map(ListedFile::entry)).collect()
    }

    /// The message in bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("all of it has a JSON form")
    }

    /// From bytes that another machine sent. `Usage` unless they are such a message.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = format!("the list of uploaded code cannot be read: {error}");
            EngineError::usage(what, "use the same version of pv on both sides")
        })
    }
}
