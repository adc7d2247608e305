//! What a store keeps, and what is garbage.
//!
//! | what | kept |
//! |---|---|
//! | commits that the journal ever named | documents, trees, lineage, results, recipes: always |
//! | files and logs of commits that a branch or tag reaches through `parents`, `provenance`, `sources` | always, except files of pruned commits |
//! | files and logs of other commits (failed, moved away, of deleted branches and repositories) | until `gc_grace` after the journal last named them or a commit that reaches them; then they are *expired* |
//! | files of commits pruned by a user (`pv commit prune`) | if a kept commit has them too; logs stay |
//! | files and logs of commits that are too old (`retention`) or deleted (`pv commit delete`) | if a kept commit has them too |
//! | inputs of open jobs, results of their runs | until the jobs end |
//! | outputs and logs of results that no commit names | until `gc_grace` after they ended; the documents stay |
//! | signatures and certificates of commits | always |
//! | versions of pipelines, with their code; job documents; messages of tags | always |
//! | content that clients of a server have sent | until they commit it, or `gc_grace` after they sent it |
//! | everything else: aborted puts, dry runs, duplicates | never |
//!
//! The journal records which commits gave up their files (`commit_prune`, `commit_delete`), including expired ones: so every reader can
//! tell what is missing on purpose, and no branch or tag ever points to such a commit.
//!
//! - `reach`: what branches, tags and open jobs reach, and who holds what
//! - `plan`: which commits give up their files now
//! - `mark`: the set of live objects
//! - `account`: what is removed, by reason and repository, and the largest of what stays
//!
//! Not here: how garbage is removed (`store::sweep`).

use specs::CommitId;

use crate::access::Right;
use crate::base::progress::Progress;
use crate::journal::Entry;
use crate::store::{Change, Result, Store, Swept};

mod account;
mod mark;
mod plan;
mod reach;
mod set;

pub use crate::store::Marks;
pub use account::{Account, Amount, LargeFile, Only, Reason};
pub use mark::{Kept, mark};
pub use plan::{Plan, Selection};
pub use reach::named_by;

/// Maximum number of commits in one journal entry.
const COMMITS_AN_ENTRY: usize = 10_000;

/// The result of a garbage collection, or of its dry run.
#[derive(Debug)]
pub struct Collected {
    /// Which commits gave up their files.
    pub plan: Plan,
    /// What was removed, and the largest of what stays.
    pub account: Account,
    /// The packs that were removed.
    pub swept: Swept,
}

/// Collects garbage; `by` is the identity that the store authenticated. With `dry_run` it only reports what it would do.
///
/// Stopping at any point leaves an intact store; the next call continues. `InUse` if another process takes ownership of the store
/// meanwhile: ask that process instead.
pub fn collect(store: &Store, by: &str, dry_run: bool, progress: Progress<'_>) -> Result<Collected> {
    store.ensure_may(Right::Collect)?;
    let plan = loop {
        store.refresh()?;
        let plan = Plan::of_settings(store)?;
        if dry_run {
            break plan;
        }
        match give_up(store, &plan, by) {
            Err(error) if Store::is_race(&error) => {}
            done => break done.map(|()| plan)?,
        }
    };
    let mut kept = mark(store, &plan, progress)?;
    let sweep = store.plan_sweep(&kept)?;
    let account = account::account(store, &kept, &sweep, &plan, dry_run)?;
    let swept = if dry_run { sweep.outcome() } else { store.sweep(&mut kept, progress)? };
    Ok(Collected { plan, account, swept })
}

/// What a collection would free in addition if the commits of `plan` had given up their files.
pub fn account_of(store: &Store, plan: &Plan, progress: Progress<'_>) -> Result<Account> {
    // What is freed depends on everything; the account has numbers and the plan's commits.
    let store = &store.whole();
    let kept = mark(store, plan, progress)?;
    account::account(store, &kept, &store.plan_sweep(&kept)?, plan, false)
}

/// Records that the commits of a plan give up their files. Fails as a race if one of them became a head or was tagged.
pub fn give_up(store: &Store, plan: &Plan, by: &str) -> Result<()> {
    // One record: if a branch now reaches one of these commits, it may reach others of them too.
    let mut entries = Vec::new();
    for (why, commits) in plan.by_reason() {
        let prune =
            |commits: &[CommitId]| Entry::CommitPrune { commits: commits.to_vec(), why, committer: by.to_owned() };
        entries.extend(commits.chunks(COMMITS_AN_ENTRY).map(prune));
    }
    if entries.is_empty() { Ok(()) } else { store.publish(&Change::of(entries)) }
}
