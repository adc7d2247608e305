//! Checks that a store is intact: all bytes as written, everything present that something else names. Also repairs it.
//!
//! 1. `journal` reads the chain of records, and compares the index with it;
//! 2. `packs` reads every entry of every pack, and compares the index with them;
//! 3. `reach` follows branches, tags, jobs and pipelines to everything they depend on, and lists who needs what is damaged.
//!
//! A check changes and locks nothing: concurrent writes are left for the next check. If others wrote meanwhile, apparent damage is checked
//! again and reported only if it persists: a commit may give up its files between reading its name and its files. The index on disk is
//! checked as this process opened it: an owner checks its store as any other process does. [`repair`] takes the store's lock.
//! Not here: whether a claim is true, such as what a file was made from (`proof`, in `answers`); computing an output again (`engine`).

use crate::access::Right;
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

/// How often apparent damage is checked again while others write.
const LOOKS_AGAIN: u32 = 3;

/// Checks everything. Fails only if the store cannot be examined; damage is in the report.
///
/// A store that is too damaged to open normally can be checked if it was opened with [`crate::OpenOptions::open_damaged`].
pub fn check(store: &Store, progress: Progress<'_>) -> Result<Report> {
    store.ensure_may(Right::Check)?;
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
type Check<'s> = &'s dyn Fn(&mut Findings) -> Result<()>;

/// Checks everything once.
fn check_once(store: &Store, progress: Progress<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    if !store.format_is_sound()? {
        findings.add(Subject::Format, "it does not contain the store's format");
    }
    store.know_all()?;
    // In this order: every pack listed here is in the index after the refresh.
    let packs = store.packs().list()?;
    match store.refresh() {
        Err(error) if !error.is_of_index() && error.kind() == specs::ErrorKind::Damaged => {
            findings.add(Subject::Journal, error.to_string());
        }
        refreshed => refreshed?,
    }
    store.register_listed(&packs)?;
    let steps: [Check<'_>; 5] = [
        &|findings| journal::check(store, findings),
        &|findings| journal::check_proof(store, findings),
        &|findings| packs::check(store, &packs, progress, findings),
        &|findings| reach::check(store, progress, findings),
        &|findings| store.key_fault().map(|fault| findings.notes.extend(fault)),
    ];
    for step in steps {
        match step(&mut findings) {
            // What depends on the row is not checked; the report says so and does not call the store intact.
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

/// Checks only that everything named exists, without reading all packs.
pub fn check_reach(store: &Store, progress: Progress<'_>) -> Result<Report> {
    store.ensure_may(Right::Check)?;
    store.know_all()?;
    let mut findings = Findings::default();
    reach::check(store, progress, &mut findings)?;
    Ok(findings.into_report())
}
