//! Files: what users do with them, as changes of one tree that know nothing of branches, runs or pipelines.
//!
//! Whatever changes files ends in [`Edits`], and [`apply`] makes a tree of them; the caller makes a commit of that and publishes it.
//! When somebody else was quicker, the caller makes the edits anew from the new head, except for a put, whose edits still hold.
//!
//! ```text
//! gather   which files of this machine are meant, and where they go: all that is wrong is told at once (walk, gathered, ignore)
//! upload   reads, hashes and stores them, on all cores and without the store's lock; what the stat cache knows is not read (stamp,
//!          stat_cache, trust), what cannot fit is not begun (space)
//! archive  files of a tar archive, on the way from a stream to the store
//! mirror   what a put removes because its sources lack it
//! rework   rm, mv, cp, revert: edits of what is stored already; no bytes are moved
//! get      brings files back to this machine, all or nothing, never through a link (folder), zeros as holes (holes)
//! list     what is in a directory
//! matching what a glob matches
//! history  which commits changed a path, which files only moved
//! find     where bytes or names are and were
//! ```
//! Not here: commits and runs (`engine`), how trees are kept (`tree`), how content is cut (`store`).

use std::collections::BTreeMap;

use specs::FilePath;

use crate::base::error::RepoError;
use crate::documents::{Origin, Source};
use crate::store::{Result, Store};
use crate::tree::{Editor, FileEntry, Tree};

mod archive;
mod find;
mod folder;
mod gather;
mod gathered;
mod get;
mod history;
mod holes;
mod ignore;
mod list;
mod lookup;
mod matching;
mod mirror;
mod rework;
mod space;
mod stamp;
mod stat_cache;
mod trust;
mod upload;
mod walk;

pub use crate::history::{Changes, FileChange, changes_of, diff, parent_tree};
pub use archive::unpack;
pub use find::{Found, Period, find};
pub use gather::{PutOptions, gather, parse_list};
pub use gathered::{Gathered, Omitted};
pub use get::{GetOptions, Got, get, get_below, get_loose, get_one};
pub use history::{Log, Logged, Renamed, log, pair_renames};
pub use ignore::{By, Excludes, LeftOut, PATTERN_FILE, Pattern, PatternError};
pub use list::{Listed, list, list_tree};
pub use lookup::kind_at;
pub use matching::{Match, Matching, cp_matching, glob_hint, matching, nothing_matches, rm_matching};
pub use mirror::{Mirror, mirror, mirror_gathered};
pub use rework::{cp, cp_within, mv, revert, rm};
pub use upload::{UploadOptions, Uploaded, upload, upload_with};

/// How many modified paths a [`ChangeSummary`] names.
const NAMED: usize = 10;

/// Changes of a tree's files, ready to be applied to any tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    /// What each path becomes; `None` removes it.
    pub files: BTreeMap<FilePath, Option<FileEntry>>,
    /// Where files copied from other repositories came from, for the commit.
    pub sources: Vec<Source>,
    /// Where files from the web came from, for the commit.
    pub origins: Vec<Origin>,
    /// How many bytes of the files' content the store did not hold before.
    pub new_bytes: u64,
    /// How many files were given that the tree holds as they are, and so are not among `files`.
    pub unchanged: u64,
    /// Bytes of these.
    pub unchanged_bytes: u64,
}

/// What edits do to a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSummary {
    /// Paths that were not there.
    pub added: u64,
    /// Paths whose bytes or executable bit are others now.
    pub modified: u64,
    /// Paths that are gone.
    pub removed: u64,
    /// Paths given that were there with the same bytes and bit.
    pub unchanged: u64,
    /// Bytes of all files given, new or not.
    pub size_bytes: u64,
    /// Bytes of them that the store did not hold before.
    pub new_bytes: u64,
    /// The first few of the modified paths.
    pub modified_paths: Vec<FilePath>,
}

impl ChangeSummary {
    /// Whether the tree is another one afterwards.
    pub fn is_change(&self) -> bool {
        self.added + self.modified + self.removed > 0
    }

    fn count(&mut self, path: &FilePath, old: Option<FileEntry>, new: Option<FileEntry>) {
        self.size_bytes += new.map_or(0, |file| file.size);
        match (old, new) {
            (None, Some(_)) => self.added += 1,
            (Some(old), Some(new)) if old == new => self.unchanged += 1,
            (Some(_), Some(_)) => {
                self.modified += 1;
                if self.modified_paths.len() < NAMED {
                    self.modified_paths.push(path.clone());
                }
            }
            (Some(_), None) => self.removed += 1,
            (None, None) => {}
        }
    }
}

impl Edits {
    /// The summary before any of `files` is counted.
    fn summary(&self) -> ChangeSummary {
        ChangeSummary {
            unchanged: self.unchanged,
            size_bytes: self.unchanged_bytes,
            new_bytes: self.new_bytes,
            ..ChangeSummary::default()
        }
    }
}

/// The last door before a commit: no path goes in that could not come out as a file.
fn ensure_nameable(edits: &Edits) -> Result<()> {
    let new = edits.files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path);
    let illegal: Vec<_> = new.filter_map(|path| path.check_new().err()).collect();
    if illegal.is_empty() { Ok(()) } else { Err(RepoError::IllegalPaths(illegal)) }
}

/// Counts what `edits` would change, and writes nothing.
pub fn preview(store: &Store, base: Tree, edits: &Edits) -> Result<ChangeSummary> {
    ensure_nameable(edits)?;
    let mut summary = edits.summary();
    let mut cursor = base.cursor(store)?;
    for (path, file) in &edits.files {
        summary.count(path, cursor.get(path.as_str().as_bytes())?, *file);
    }
    Ok(summary)
}

/// Writes the tree that `base` becomes by `edits`, and counts what that changes.
///
/// `Clashes` names every path that would be both a file and a directory.
/// `IllegalPaths` names every path that a commit may not take in any more.
pub fn apply(store: &Store, base: Tree, edits: &Edits) -> Result<(Tree, ChangeSummary)> {
    ensure_nameable(edits)?;
    let mut summary = edits.summary();
    let mut sink = store;
    let mut editor = Editor::new(base, store, &mut sink)?;
    for (path, file) in &edits.files {
        let key = path.as_str().as_bytes();
        let old = match file {
            Some(file) => editor.set(key, file)?,
            None => editor.remove(key)?,
        };
        summary.count(path, old, *file);
    }
    let tree = editor.finish()?;
    let written = edits.files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path);
    let clashes = tree.clashes(store, written)?;
    if !clashes.is_empty() {
        return Err(RepoError::Clashes { paths: clashes.into_iter().collect() });
    }
    Ok((tree, summary))
}
