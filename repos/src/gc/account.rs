//! What a collection removes, by reason and repository; and the largest of what stays.

use std::collections::{BTreeMap, HashMap};

use specs::{CommitId, Digest, FilePath, RepoName};

use super::mark::{Kept, chunks};
use super::{Marks, Plan};
use crate::base::kind::Kind;
use crate::base::pruned::PruneWhy;
use crate::objects::packs::format::{ENTRY_BYTES, ROW_BYTES, Row};
use crate::store::{Result, Store, SweepPlan};
use crate::tree::{FileEntry, Map, Step, path_of};

/// Number of largest items reported.
const TOLD: usize = 10;

/// Why something is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No commit or record names it: abandoned puts, dry runs.
    Unnamed,
    /// Another copy is kept.
    Duplicate,
    /// No branch or tag has reached it for the time set by `gc_grace`.
    Expired,
    /// Its commits were pruned.
    Pruned,
    /// Its commits are older than `retention` allows.
    Retention,
    /// Its commit was deleted.
    Deleted,
    /// The overhead of packs around their objects.
    Packs,
}

impl Reason {
    /// The word shown to people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unnamed => "unnamed",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::Pruned => "pruned",
            Self::Retention => "retention",
            Self::Deleted => "deleted",
            Self::Packs => "packs",
        }
    }

    pub(super) const fn of(why: PruneWhy) -> Self {
        match why {
            PruneWhy::Asked => Self::Pruned,
            PruneWhy::Retention => Self::Retention,
            PruneWhy::Expired => Self::Expired,
            PruneWhy::Deleted => Self::Deleted,
        }
    }
}

/// A number of objects and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Number of objects, each copy counted.
    pub objects: u64,
    /// Bytes that they take in packs, including their index rows.
    pub size_bytes: u64,
}

/// A large file that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeFile {
    /// The commit that has it, as text, such as `images@c07d5e21ab34`.
    pub place: String,
    /// Its path there.
    pub path: FilePath,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What holds the commit, such as `branch images@main`.
    pub held_by: String,
}

/// What only one branch or tag holds: what deleting it would eventually free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    /// The holder, such as `branch images@main`.
    pub holder: String,
    /// Size in packs of the files that no other holder has, in bytes.
    pub size_bytes: u64,
}

/// What is removed, and what is kept.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What is removed, by reason, and by repository if known.
    pub gone: BTreeMap<(Reason, Option<RepoName>), Amount>,
    /// Garbage that stays for now, because it is in large packs with little garbage.
    pub left_bytes: u64,
    /// The largest files that are kept, largest first; only filled before anything is removed.
    pub largest: Vec<LargeFile>,
    /// What single branches and tags hold alone, most first; only filled before anything is removed.
    pub only: Vec<Only>,
}

fn bytes_of(row: &Row) -> u64 {
    ENTRY_BYTES + u64::from(row.stored_bytes) + ROW_BYTES
}

/// Adds up what `sweep` removes; the total is what the sweep frees. `with_kept` also determines who holds what stays, which takes memory
/// for each of its chunks and nodes.
pub(super) fn account(store: &Store, kept: &Kept, sweep: &SweepPlan, plan: &Plan, with_kept: bool) -> Result<Account> {
    let held = if with_kept { Holding::of(store, plan)? } else { Holding::default() };
    let mut account = Account { left_bytes: sweep.bytes_left, largest: held.largest, ..Account::default() };
    let mut only: BTreeMap<u32, u64> = BTreeMap::new();
    store.for_each_packed(|pack, row, counts| {
        let kind = Kind::from_number(row.kind);
        let is_live = kind.is_none_or(|kind| kept.is_live(kind, &row.digest));
        if is_live && counts {
            if let (Some(Kind::Chunk), Some(Some(holder))) = (kind, held.files.get(&row.digest)) {
                *only.entry(*holder).or_default() += bytes_of(row);
            }
            return;
        }
        if !sweep.removes(pack) {
            return;
        }
        let why = match kind.and_then(|kind| kept.why_gone(kind, &row.digest)) {
            _ if is_live => (Reason::Duplicate, None),
            Some((reason, repo)) => (reason, Some(repo.clone())),
            None => (Reason::Unnamed, None),
        };
        let amount = account.gone.entry(why).or_default();
        amount.objects += 1;
        amount.size_bytes += bytes_of(row);
    })?;
    let objects: u64 = account.gone.values().map(|amount| amount.size_bytes).sum();
    let packs = sweep.outcome().bytes_freed.saturating_sub(objects);
    if packs > 0 {
        account.gone.insert((Reason::Packs, None), Amount { objects: 0, size_bytes: packs });
    }
    let mut only: Vec<(u32, u64)> = only.into_iter().collect();
    only.sort_by_key(|(holder, bytes)| (std::cmp::Reverse(*bytes), *holder));
    let name =
        |(holder, size_bytes): (u32, u64)| Only { holder: plan.reach.holders[holder as usize].clone(), size_bytes };
    account.only = only.into_iter().take(TOLD).map(name).collect();
    Ok(account)
}

/// The sole holder of each chunk and node.
#[derive(Debug, Default)]
struct Holding {
    /// `None` if it has several holders.
    files: HashMap<Digest, Option<u32>>,
    nodes: HashMap<Digest, Option<u32>>,
    largest: Vec<LargeFile>,
}

impl Holding {
    fn of(store: &Store, plan: &Plan) -> Result<Self> {
        let mut holding = Self::default();
        let mut commits = Vec::new();
        for (id, held) in &plan.reach.commits {
            if !plan.commits.contains_key(id) && store.is_pruned(id)?.is_none() {
                commits.push((!plan.reach.pointed_to.contains(id), *id, held));
            }
        }
        commits.sort_unstable_by_key(|(is_older, id, _)| (*is_older, *id));
        for (_, id, held) in commits {
            let holder = held.alone.then_some(held.by);
            holding.walk(store, id, holder, &plan.reach.holders[held.by as usize])?;
        }
        Ok(holding)
    }

    /// Records a holder; true if that is new information, so that everything below must be visited.
    fn note(known: &mut HashMap<Digest, Option<u32>>, digest: Digest, holder: Option<u32>) -> bool {
        match known.get_mut(&digest) {
            None => {
                known.insert(digest, holder);
                true
            }
            Some(before) if before.is_none() || *before == holder => false,
            Some(before) => {
                *before = None;
                true
            }
        }
    }

    fn walk(&mut self, store: &Store, id: CommitId, holder: Option<u32>, held_by: &str) -> Result<()> {
        let commit = store.commit(&id)?;
        let place = format!("{}@{}", commit.repo, id.short(12));
        if !Self::note(&mut self.nodes, commit.tree, holder) {
            return Ok(());
        }
        let mut cursor = Map::<FileEntry>::at(commit.tree).cursor(store)?;
        loop {
            let child = match cursor.peek() {
                None => return Ok(()),
                Some(Step::Subtree { child, .. }) => child.digest,
                Some(Step::Entry { key, value }) => {
                    self.note_file(store, key, value, holder, (&place, held_by))?;
                    cursor.skip();
                    continue;
                }
            };
            if Self::note(&mut self.nodes, child, holder) { cursor.enter()? } else { cursor.skip() }
        }
    }

    fn note_file(
        &mut self,
        store: &Store,
        key: &[u8],
        file: &FileEntry,
        holder: Option<u32>,
        (place, held_by): (&str, &str),
    ) -> Result<()> {
        let is_new = !self.files.contains_key(&file.digest);
        if !Self::note(&mut self.files, file.digest, holder) {
            return Ok(());
        }
        if file.size >= Store::ONE_CHUNK_BYTES {
            for (chunk, _) in chunks(store, file)? {
                Self::note(&mut self.files, chunk, holder);
            }
        }
        let is_large = self.largest.len() < TOLD || self.largest.last().is_some_and(|last| last.size_bytes < file.size);
        if is_new && is_large {
            let at = self.largest.partition_point(|other| other.size_bytes >= file.size);
            let (place, held_by) = (place.to_owned(), held_by.to_owned());
            self.largest.insert(at, LargeFile { place, path: path_of(key)?, size_bytes: file.size, held_by });
            self.largest.truncate(TOLD);
        }
        Ok(())
    }
}
