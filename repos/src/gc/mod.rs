//! What a store keeps, and what is garbage.
//!
//! | what | kept |
//! |---|---|
//! | commits that the journal ever named | documents, trees, lineage, results, recipes: always |
//! | files and logs of commits that a branch or tag reaches by `parents`, `provenance`, `sources` | always, but for files of pruned ones |
//! | files and logs of other commits (failed, moved away, of deleted branches and repositories) | until `gc_grace` after the journal last named them or a commit that reaches them; then they are *expired* |
//! | files of commits that somebody pruned (`pv commit prune`) | when a kept commit has them too; logs stay |
//! | files and logs of commits that are too old (`retention`) or deleted (`pv commit delete`) | when a kept commit has them too |
//! | what open jobs take as inputs, results of their runs | until they end |
//! | outputs and logs of results that no commit names | until `gc_grace` after they ended; the documents stay |
//! | signatures and certificates of commits | always |
//! | versions of pipelines, with their code; job documents; messages of tags | always |
//! | all else: aborted puts, dry runs, duplicates | nothing |
//!
//! Which commits gave up their files is in the journal (`commit_prune`, `commit_delete`), expired ones too: so every reader can tell
//! what is missing by right, and no branch or tag comes to point to such a commit.
//!
//! - `reach` what branches, tags and open jobs reach, and how it is told who holds what
//! - `plan` which commits give up their files now
//! - `mark` the set of what is live
//! - `account` what would go, by reason and repository, and what is largest of what stays
//!
//! Not here: how garbage is removed (`store::sweep`).

use specs::CommitId;

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

/// Commits that one journal entry names at most.
const COMMITS_AN_ENTRY: usize = 10_000;

/// What collecting garbage did, or would do.
#[derive(Debug)]
pub struct Collected {
    /// Which commits gave up their files.
    pub plan: Plan,
    /// What went, and what is largest of what stays.
    pub account: Account,
    /// The packs that went.
    pub swept: Swept,
}

/// Collects garbage; `by` is whom the store authenticated. With `dry_run` only says what it would do.
///
/// Stopping it anywhere leaves a sound store; the next call continues. `InUse` when a process comes to own the store meanwhile: to be
/// asked of that one.
pub fn collect(store: &Store, by: &str, dry_run: bool, progress: Progress<'_>) -> Result<Collected> {
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

/// What a collection would free, beside all that it would free anyway, if the commits of `plan` had given up their files.
pub fn account_of(store: &Store, plan: &Plan, progress: Progress<'_>) -> Result<Account> {
    let kept = mark(store, plan, progress)?;
    account::account(store, &kept, &store.plan_sweep(&kept)?, plan, false)
}

/// Records that the commits of a plan give up their files. A race when one of them has become a head or got a tag.
pub fn give_up(store: &Store, plan: &Plan, by: &str) -> Result<()> {
    // One record: when a branch has come to reach one of these commits, it reaches others of them too.
    let mut entries = Vec::new();
    for (why, commits) in plan.by_reason() {
        let prune =
            |commits: &[CommitId]| Entry::CommitPrune { commits: commits.to_vec(), why, committer: by.to_owned() };
        entries.extend(commits.chunks(COMMITS_AN_ENTRY).map(prune));
    }
    if entries.is_empty() { Ok(()) } else { store.publish(&Change::of(entries)) }
}
