//! Files: what users do with them, as changes of one tree that know nothing of branches, runs or pipelines.
//!
//! Every operation produces [`Edits`], and [`apply`] makes a tree from them; the caller makes a commit of the tree and publishes it. If
//! another change came first, the caller computes the edits again from the new head, except for a put, whose edits remain valid.
//!
//! ```text
//! gather   which files of this machine to put, and where; reports all problems together (walk, gathered, ignore)
//! upload   reads, hashes and stores them, on all cores and without the store's lock; skips files that the stat cache knows (stamp,
//!          stat_cache, trust), and refuses what cannot fit (space)
//! outbox   the same for a store elsewhere: asks what is missing there and sends only that; the result is a listing
//! archive  stores the files of a tar archive from a stream
//! mirror   what a put removes because its sources lack it
//! rework   rm, mv, cp, revert: edits of stored files; no content is moved
//! get      copies files back to this machine, from a store here or elsewhere (source), all or nothing, never through a link (folder), zeros as holes (holes)
//! list     what is in a directory
//! matching what a glob matches
//! history  which commits changed a path, which files only moved
//! find     where content or names are and were
//! ```
//! Not here: commits and runs (`engine`), how trees are stored (`tree`), how content is chunked (`store`).

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
mod listing;
mod lookup;
mod matching;
mod mirror;
mod outbox;
mod rework;
mod source;
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
pub use get::{
    GetItem, GetItems, GetOptions, Got, get, get_below, get_from, get_items, get_loose, get_one, items_below,
};
pub use history::{Log, Logged, Renamed, log, pair_renames};
pub use ignore::{By, Excludes, LeftOut, LeftOutText, PATTERN_FILE, Pattern, PatternError};
pub use list::{Listed, list, list_tree, list_tree_after};
pub use listing::{ListedFile, Listing};
pub use lookup::kind_at;
pub use matching::{Match, Matching, cp_matching, glob_hint, matching, nothing_matches, rm_matching};
pub use mirror::{Mirror, mirror, mirror_gathered, mirror_listed};
pub use outbox::{ObjectSink, Outbox};
pub use rework::{cp, cp_within, mv, revert, rm};
pub use source::{ContentSource, Download};
pub use stamp::Stamp;
pub use stat_cache::StatPlace;
pub use trust::is_shared;
pub use upload::{SendOptions, UploadOptions, Uploaded, send, upload, upload_with};

/// Maximum number of modified paths that a [`ChangeSummary`] lists.
const NAMED: usize = 10;

/// Changes to a tree's files, which can be applied to any tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    /// The new file at each path; `None` removes it.
    pub files: BTreeMap<FilePath, Option<FileEntry>>,
    /// Where files copied from other repositories came from, for the commit.
    pub sources: Vec<Source>,
    /// Where files from the web came from, for the commit.
    pub origins: Vec<Origin>,
    /// Bytes of the files' content that are new to the store.
    pub new_bytes: u64,
    /// Number of given files that the tree already has unchanged; they are not in `files`.
    pub unchanged: u64,
    /// Size of the unchanged files in bytes.
    pub unchanged_bytes: u64,
}

/// The effect of edits on a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSummary {
    /// Number of paths that did not exist.
    pub added: u64,
    /// Number of paths whose content or executable bit changed.
    pub modified: u64,
    /// Number of paths removed.
    pub removed: u64,
    /// Number of given paths that already had the same content and bit.
    pub unchanged: u64,
    /// Size of all given files in bytes, new or not.
    pub size_bytes: u64,
    /// Bytes of these that are new to the store.
    pub new_bytes: u64,
    /// The first few modified paths.
    pub modified_paths: Vec<FilePath>,
}

impl ChangeSummary {
    /// Whether the tree changes.
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
    /// The summary before `files` are counted.
    fn summary(&self) -> ChangeSummary {
        ChangeSummary {
            unchanged: self.unchanged,
            size_bytes: self.unchanged_bytes,
            new_bytes: self.new_bytes,
            ..ChangeSummary::default()
        }
    }
}

/// The final check before a commit: refuses every path that could not be written as a file.
fn ensure_nameable(edits: &Edits) -> Result<()> {
    let new = edits.files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path);
    let illegal: Vec<_> = new.filter_map(|path| path.check_new().err()).collect();
    if illegal.is_empty() { Ok(()) } else { Err(RepoError::IllegalPaths(illegal)) }
}

/// Counts what `edits` would change, without writing anything.
pub fn preview(store: &Store, base: Tree, edits: &Edits) -> Result<ChangeSummary> {
    ensure_nameable(edits)?;
    let mut summary = edits.summary();
    let mut cursor = base.cursor(store)?;
    for (path, file) in &edits.files {
        summary.count(path, cursor.get(path.as_str().as_bytes())?, *file);
    }
    Ok(summary)
}

/// Applies `edits` to `base`, writes the new tree, and counts the changes.
///
/// `Clashes` names every path that would be both a file and a directory.
/// `IllegalPaths` names every path that new commits may not contain.
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
