//! Whether a claim is true: that a file of a commit was made as its store says.
//!
//! A claim is a chain of links, each checked separately: a file's content and its position in the commit's tree, the commit and who signed
//! it, the result that wrote the file, the recipe of that result, its log; then the same for every file that the recipe names, down to
//! users' commits. Every document is named by the digest of its bytes, so only the links between documents need to be trusted, and the
//! signatures say who vouches for them.
//!
//! - `checkpoint`: whether a store contains an earlier state that was signed
//! - `evidence`: the source of documents: a store, without its caches, or a bundle
//! - `journal`: whether the journal, which says where branches point, is the store's own
//! - `links`: the checked links, and the verdict
//! - `walk`: checks a claim, link by link
//!
//! This module defines the possible claims: a file, a commit, all heads. Not here: whether a whole store is intact (`repos::fsck`).
//!
//! A commit from before the store had a key is proven, with a note, if a signed commit names it, directly or through others, and a signed
//! record vouches for the journal as it was then. A later commit without a signature is not proven. If everything is consistent but nothing
//! shows who vouches for it, because `--key` or every signature is missing, the verdict is *unchecked*, with its own exit code 9.

use repos::store::Resolved;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::ErrorKind;

use self::evidence::StoreEvidence;
use self::walk::Walk;
use engine::Result;

mod checkpoint;
pub(super) mod evidence;
pub(super) mod journal;
mod links;
pub(super) mod walk;

pub use checkpoint::{Since, verify_checkpoint};
pub use evidence::TrustedKey;
pub use links::{Link, LinkKind, Report, State, Verdict};
pub(super) use links::{not_checked, worst};

/// Checks a store's claims about a commit; with a path, about one file or all files of a directory; with nothing, about all heads.
///
/// If `keys` are given, only their signatures count, and those of their replacements. What does not hold is in the report. Fails only if
/// the store cannot be examined, or has no such file.
///
/// If others wrote meanwhile, apparent damage is checked again: content may have been given up in between.
pub fn verify(store: &Store, at: Option<&Resolved>, keys: &[TrustedKey]) -> Result<Report> {
    while_others_write(store, || verify_once(store, at, keys), |report| report.verdict() == Verdict::Damaged)
}

/// How often apparent damage is checked again while others write.
const LOOKS_AGAIN: u32 = 3;

/// Repeats `look` while others write and its result `is_damaged`.
pub(super) fn while_others_write<T>(
    store: &Store,
    mut look: impl FnMut() -> Result<T>,
    is_damaged: impl Fn(&T) -> bool,
) -> Result<T> {
    let mut before = store.outline()?;
    for _ in 0..LOOKS_AGAIN {
        let looked = look();
        let now = store.outline()?;
        let looks_damaged = match &looked {
            Ok(looked) => is_damaged(looked),
            Err(error) => error.kind() == ErrorKind::Damaged,
        };
        if !looks_damaged || now == before {
            return looked;
        }
        before = now;
        store.refresh()?;
    }
    look()
}

fn verify_once(store: &Store, at: Option<&Resolved>, keys: &[TrustedKey]) -> Result<Report> {
    // Everything is checked, visible or not; of what is not, the report has only counts and the verdict.
    let whole = store.whole();
    let evidence = StoreEvidence::new(&whole, keys)?;
    let mut walk = Walk::new(&evidence);
    evidence.journal.tell(&mut walk.report);
    match at {
        Some(at) => claim(store, &mut walk, at)?,
        None => {
            for (repo, _) in store.repos()? {
                for (_, row) in store.branches(&repo)? {
                    row.commit.map_or(Ok(()), |commit| walk.commit_in_full(commit))?;
                }
            }
        }
    }
    walk.finish();
    let mut report = walk.report;
    for fault in evidence.pack_faults()? {
        report.add(LinkKind::Pack, "packs", State::Damaged(fault.to_string()));
    }
    if store.is_limited() {
        report.hide(store)?;
    }
    Ok(report)
}

pub(super) fn claim(store: &Store, walk: &mut Walk<'_>, at: &Resolved) -> Result<()> {
    if at.path.is_root() {
        return Ok(walk.commit_in_full(at.id)?);
    }
    for path in paths(store, at)? {
        walk.file(at.id, &path)?;
    }
    Ok(())
}

/// The requested file, or all files of the directory.
pub(super) fn paths(store: &Store, at: &Resolved) -> Result<Vec<specs::FilePath>> {
    let range = repos::tree::directory_range(&at.path);
    let is_file = Tree::at(at.commit.tree).file(store, &at.path).map(|file| file.is_some());
    // An unreadable tree is reported by the walk.
    if is_file.unwrap_or(true) {
        return Ok(vec![at.path.clone()]);
    }
    let below = at.tree().range(store, range)?.map(|entry| Ok(repos::tree::path_of(&entry?.0)?));
    let below: Vec<_> = below.collect::<Result<_, RepoError>>()?;
    if below.is_empty() {
        let (path, place) = (at.path.clone(), at.place());
        return Err(RepoError::FileNotFound { path, place, similar: None }.into());
    }
    Ok(below)
}
