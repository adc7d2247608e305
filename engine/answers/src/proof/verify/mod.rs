//! Whether a claim is true: that a file of a commit came about as its store says.
//!
//! A claim is a chain of links, each checked on its own: a file's bytes and its place in the commit's tree, the commit and who signed it,
//! the result that wrote the file, the recipe of that result, its log; then the same for every file that the recipe names, down to what
//! people committed. Every document is named by the digest of its bytes, so nothing but the links between them has to be believed, and
//! the signatures say who does.
//!
//! - `checkpoint` whether a store contains a state of before that somebody signed
//! - `evidence` where documents come from: a store, past its caches, or a bundle
//! - `journal`  whether the journal, which says where branches point, is the store's own
//! - `links`    what was checked, and what it adds up to
//! - `walk`     goes through a claim, link by link
//!
//! Here are the claims that there are: a file, a commit, all heads. Not here: whether all of a store is sound (`repos::fsck`).

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

/// Checks what a store says of a commit, or with a path of one file or of all files of a directory; with nothing, of all heads.
///
/// If `keys` are given, what is signed by other ones does not count, unless these took their places. What does not hold is in the report.
/// An error only when the store cannot be looked at, or has no such file.
///
/// What looks damaged is looked at again when others have written meanwhile: it may have been given up between two looks.
pub fn verify(store: &Store, at: Option<&Resolved>, keys: &[TrustedKey]) -> Result<Report> {
    while_others_write(store, || verify_once(store, at, keys), |report| report.verdict() == Verdict::Damaged)
}

/// How often something that looks damaged is looked at again while others write.
const LOOKS_AGAIN: u32 = 3;

/// Does `look` again for as long as others write and what it gives `is_damaged`.
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
    let evidence = StoreEvidence::new(store, keys)?;
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

/// The file that is meant, or all files of the directory.
pub(super) fn paths(store: &Store, at: &Resolved) -> Result<Vec<specs::FilePath>> {
    let range = repos::tree::directory_range(&at.path);
    let is_file = Tree::at(at.commit.tree).file(store, &at.path).map(|file| file.is_some());
    // A tree that cannot be read is for the walk to name.
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
