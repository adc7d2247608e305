//! Whether a store is sound: all bytes as they were written, and everything there that something else names. And how it is healed.
//!
//! 1. `journal` reads the chain of records, and compares the index with it;
//! 2. `packs` reads every entry of every pack, and compares the index with them;
//! 3. `reach` goes from branches, tags, jobs and pipelines to all that they depend on, and names who needs what is damaged.
//!
//! A check changes nothing and locks nothing: what others write meanwhile is left for the next time. What looks damaged is looked at again
//! when others have written meanwhile, and is damaged if it still looks so: a commit may have been given up between a look at its name
//! and one at its files. The index that is checked is the one on disk, as this process opened it: an owner checks its store as any other
//! process does. [`repair`] takes the store's lock.
//! Not here: whether a claim is true, such as who made a file from what (`verify`, in `engine`); making an output again (`engine`).

use crate::store::{Result, Store};

mod journal;
pub mod mirror;
mod packs;
mod reach;
pub mod repair;
mod report;

pub use crate::base::progress::Progress;
use report::Findings;
pub use report::{Counts, Dependent, Problem, Report, Subject};

/// How often what looks damaged is looked at again while others write.
const LOOKS_AGAIN: u32 = 3;

/// Checks everything. An error only when the store cannot be looked at; what is wrong is in the report.
///
/// A store that cannot be opened because it is damaged is looked at when it was opened by
/// [`crate::OpenOptions::open_damaged`].
pub fn check(store: &Store, progress: Progress<'_>) -> Result<Report> {
    let mut before = store.outline().ok();
    let mut findings = check_once(store, progress)?;
    for _ in 0..LOOKS_AGAIN {
        let now = store.outline().ok();
        if findings.is_empty() || now == before {
            break;
        }
        before = now;
        let again = check_once(store, progress)?;
        findings = again.confirmed_by(&findings);
    }
    Ok(findings.into_report())
}

/// One part of the check.
type Step<'s> = &'s dyn Fn(&mut Findings) -> Result<()>;

/// Goes once through everything.
fn check_once(store: &Store, progress: Progress<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    if !store.format_is_sound()? {
        findings.add(Subject::Format, "it does not contain the store's format");
    }
    store.know_all()?;
    // In this order: a pack that is listed now is in the index after the refresh.
    let packs = store.packs().list()?;
    match store.refresh() {
        Err(error) if !error.is_of_index() && error.kind() == specs::ErrorKind::Damaged => {
            findings.add(Subject::Journal, error.to_string());
        }
        refreshed => refreshed?,
    }
    store.register_listed(&packs)?;
    let steps: [Step<'_>; 5] = [
        &|findings| journal::check(store, findings),
        &|findings| journal::check_proof(store, findings),
        &|findings| packs::check(store, &packs, progress, findings),
        &|findings| reach::check(store, progress, findings),
        &|findings| store.key_fault().map(|fault| findings.notes.extend(fault)),
    ];
    for step in steps {
        match step(&mut findings) {
            // What depends on the row is not looked at; the report says so, and the store is not called sound.
            Err(error) if error.is_of_index() => {
                findings.add(Subject::Index, format!("{error}; pv fsck --rebuild-index rebuilds it"));
            }
            done => done?,
        }
    }
    if let Some(why) = store.index().damage() {
        findings.add(Subject::Index, format!("{why}; pv fsck --rebuild-index rebuilds it"));
    }
    Ok(findings)
}

/// Checks only whether all is there that is named, without reading the packs through.
pub fn check_reach(store: &Store, progress: Progress<'_>) -> Result<Report> {
    store.know_all()?;
    let mut findings = Findings::default();
    reach::check(store, progress, &mut findings)?;
    Ok(findings.into_report())
}
