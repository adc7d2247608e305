//! The set of live objects, and why the others are not live.

use std::collections::{HashMap, HashSet};

use specs::{CommitId, Digest, RepoName, RunId};

use super::reach::below;
use super::set::{DigestSet, number};
use super::{Marks, Plan, Reason};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::progress::Progress;
use crate::base::pruned::PruneWhy;
use crate::documents::{Commit, Recipe, ResultDocument, Transform, VersionDocument, datums};
use crate::index::rows::CommitRow;
use crate::journal::{Entry, Position};
use crate::objects::manifest::Manifest;
use crate::store::{Result, Store, Watch};
use crate::tree::{FileEntry, Map, MapValue, Step};

/// Called with each entry of a map.
type Visit<'a, T, V> = &'a mut dyn FnMut(&mut T, &[u8], &V) -> Result<()>;

/// What is kept of a commit or result. What was marked on a higher level is not visited again on a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Level {
    /// Documents, trees, lineage.
    Documents,
    /// Also logs.
    Logs,
    /// Also files.
    Files,
}

impl Level {
    const ALL: [Self; 3] = [Self::Documents, Self::Logs, Self::Files];

    fn of(pruned: Option<PruneWhy>) -> Self {
        match pruned {
            None => Self::Files,
            Some(PruneWhy::Asked) => Self::Logs,
            Some(PruneWhy::Retention | PruneWhy::Expired | PruneWhy::Deleted) => Self::Documents,
        }
    }

    /// Distinguishes the numbers that mean "visited on this level"; the numbers of object kinds are far below.
    fn sort(self) -> u8 {
        200 + self as u8
    }
}

/// The context in which something is marked.
#[derive(Debug, Clone, Copy)]
struct For {
    level: Level,
    /// The reason and the repository's number, recorded for files that are not kept.
    gone: (Reason, u32),
}

/// The live objects of a store.
#[derive(Debug)]
pub struct Kept {
    store: Store,
    live: DigestSet,
    /// Files and logs that were given up, unless they are live: the reason and the repository.
    gone: HashMap<u64, (Reason, u32)>,
    repos: Vec<RepoName>,
    /// The journal position up to which this is valid.
    position: Position,
    /// What clients send meanwhile; `None` if none ever did.
    received: Option<Watch>,
}

/// Distinguishes the numbers that mean "the chunks of this file were visited".
const CHUNKS_OF: u8 = 210;

/// The number of a file's content, chunked or not.
fn content(digest: &Digest) -> u64 {
    number(Kind::Chunk as u8, digest)
}

fn of_kind(kind: Kind, digest: &Digest) -> u64 {
    match kind {
        // A file is stored as one or the other; as both if it was chunked in two ways.
        Kind::Chunk | Kind::Manifest => content(digest),
        kind => number(kind as u8, digest),
    }
}

impl Marks for Kept {
    fn is_live(&self, kind: Kind, digest: &Digest) -> bool {
        // No record names signatures and certificates; they are small and belong to commits that stay.
        matches!(kind, Kind::Signature | Kind::Certificate) || self.live.contains(of_kind(kind, digest))
    }

    fn catch_up(&mut self, store: &Store) -> Result<()> {
        let read = store.journal().read_after(self.position)?;
        for (record, _) in read.records {
            for entry in record.entries {
                self.mark_entry(entry)?;
            }
        }
        self.position = read.end;
        self.catch_up_received()?;
        self.mark_results_of_open_jobs()
    }

    fn last_look(&mut self) {
        let fresh = self.received.as_mut().map(Watch::take).unwrap_or_default();
        for digest in &fresh {
            self.live.insert(content(digest));
        }
    }
}

/// Marks everything that is live after the commits of `plan` have given up their files.
///
/// Fails if a required object is missing: a damaged store is never collected.
pub fn mark(store: &Store, plan: &Plan, progress: Progress<'_>) -> Result<Kept> {
    store.know_all()?;
    store.refresh()?;
    let (live, gone) = (DigestSet::default(), HashMap::new());
    // The position first: everything recorded later is examined again.
    let (position, received) = (store.position(), store.watch_received()?);
    let mut kept = Kept { store: store.clone(), live, gone, repos: Vec::new(), position, received };
    kept.mark_documents()?;
    let mut commits: Vec<(CommitId, CommitRow, Level, Reason)> = Vec::new();
    store.visit_commits(|id, row| {
        let pruned = plan.commits.get(&id).copied().max(row.pruned.as_ref().map(|pruned| pruned.why));
        commits.push((id, row, Level::of(pruned), pruned.map_or(Reason::Unnamed, Reason::of)));
    })?;
    // Full commits first: then what remains of the others is known to be garbage. Heads come before what they depend on.
    let is_older = |id: &CommitId| !plan.reach.pointed_to.contains(id);
    commits.sort_by_key(|(id, row, level, _)| (std::cmp::Reverse(*level), is_older(id), std::cmp::Reverse(row.order)));
    let total = commits.len() as u64;
    let (full, rest): (Vec<_>, Vec<_>) = commits.into_iter().partition(|(_, _, level, _)| *level == Level::Files);
    for (at, (id, row, level, why)) in full.into_iter().enumerate() {
        progress("commits", at as u64, total);
        let gone = (why, kept.repo(&row.repo));
        kept.mark_commit(id, For { level, gone })?;
    }
    kept.mark_results_by_age(true)?;
    for (id, row, level, why) in rest {
        let gone = (why, kept.repo(&row.repo));
        kept.mark_commit(id, For { level, gone })?;
    }
    kept.mark_results_by_age(false)?;
    kept.mark_all_received()?;
    Ok(kept)
}

impl Kept {
    /// Why a file or log that is not live was given up, and by which repository.
    pub(super) fn why_gone(&self, kind: Kind, digest: &Digest) -> Option<(Reason, &RepoName)> {
        let (reason, repo) = self.gone.get(&of_kind(kind, digest))?;
        Some((*reason, &self.repos[*repo as usize]))
    }

    fn repo(&mut self, repo: &RepoName) -> u32 {
        let at = self.repos.iter().position(|known| known == repo).unwrap_or_else(|| {
            self.repos.push(repo.clone());
            self.repos.len() - 1
        });
        at as u32
    }

    fn insert(&mut self, kind: Kind, digest: &Digest) -> bool {
        self.live.insert(of_kind(kind, digest))
    }

    /// Records why a file or log is not kept; the first reason wins. True if none was recorded before.
    fn give_up(&mut self, number: u64, all: For) -> bool {
        let is_new = !self.gone.contains_key(&number);
        self.gone.entry(number).or_insert(all.gone);
        is_new
    }

    /// Marks an object whose references are followed; true if it was not visited on this level or a higher one.
    fn enter(&mut self, kind: Kind, digest: &Digest, level: Level) -> bool {
        self.insert(kind, digest);
        let seen = |level: Level| number(level.sort(), digest) ^ kind as u64;
        if Level::ALL.into_iter().any(|above| above >= level && self.live.contains(seen(above))) {
            return false;
        }
        self.live.insert(seen(level))
    }

    /// Marks pipeline versions, jobs and tags.
    fn mark_documents(&mut self) -> Result<()> {
        let store = self.store.clone();
        for row in store.all_pipeline_versions()? {
            self.mark_version(&row.document)?;
        }
        for digest in store.job_documents()? {
            self.insert(Kind::Job, &digest);
        }
        for (repo, _) in store.repos()? {
            for (_, row) in store.tags(&repo)? {
                row.document.map(|digest| self.insert(Kind::Tag, &digest));
            }
        }
        Ok(())
    }

    fn mark_version(&mut self, digest: &Digest) -> Result<()> {
        self.insert(Kind::Version, digest);
        let version: VersionDocument = self.store.document(digest)?;
        let repo = self.repo(&version.name.output_repo());
        let all = For { level: Level::Files, gone: (Reason::Unnamed, repo) };
        self.mark_pipeline(&version.spec, &version.transform, all)
    }

    fn mark_pipeline(&mut self, spec: &Digest, transform: &Digest, all: For) -> Result<()> {
        self.insert(Kind::Spec, spec);
        if self.enter(Kind::Transform, transform, all.level)
            && let Some(code) = self.store.document::<Transform>(transform)?.code
        {
            self.mark_files(code, all)?;
        }
        Ok(())
    }

    /// Marks what a newer record names.
    fn mark_entry(&mut self, entry: Entry) -> Result<()> {
        match entry {
            Entry::Run { moves, .. } => {
                moves.into_iter().filter_map(|moved| moved.to).try_for_each(|id| self.mark_new(id))
            }
            Entry::Job { commit, document, .. } => {
                document.map(|digest| self.insert(Kind::Job, &digest));
                commit.map_or(Ok(()), |id| self.mark_new(id))
            }
            Entry::TagCreate { commit, document, .. } => {
                document.map(|digest| self.insert(Kind::Tag, &digest));
                self.mark_new(commit)
            }
            Entry::PipelineApply { document, .. } | Entry::PipelineTry { document, .. } => self.mark_version(&document),
            _ => Ok(()),
        }
    }

    fn mark_new(&mut self, id: CommitId) -> Result<()> {
        let repo = self.store.commit(&id)?.repo;
        let gone = (Reason::Unnamed, self.repo(&repo));
        self.mark_commit(id, For { level: Level::Files, gone })
    }

    fn mark_commit(&mut self, id: CommitId, all: For) -> Result<()> {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !self.enter(Kind::Commit, &id.digest(), all.level) {
                continue;
            }
            let commit = self.store.commit(&id)?;
            self.mark_parts(&commit, all)?;
            // The journal named all of them; one that it did not is kept like the commit that names it.
            for id in below(&commit) {
                if self.store.commit_row(&id)?.is_none() {
                    open.push(id);
                }
            }
        }
        Ok(())
    }

    fn mark_parts(&mut self, commit: &Commit, all: For) -> Result<()> {
        self.mark_files(commit.tree, all)?;
        if let Some(lineage) = commit.lineage {
            self.walk(lineage, all, &mut |kept, _, result: &Digest| kept.mark_result(result, all))?;
        }
        if let Some(map) = commit.datums {
            self.walk(map, all, &mut |kept, key, value: &Vec<u8>| {
                datums::result_of(key, value).map_or(Ok(()), |result| kept.mark_result(&result, all))
            })?;
        }
        match &commit.pipeline {
            Some(stamp) => self.mark_pipeline(&stamp.spec, &stamp.transform, all),
            None => Ok(()),
        }
    }

    fn mark_result(&mut self, digest: &Digest, all: For) -> Result<()> {
        if !self.enter(Kind::Result, digest, all.level) {
            return Ok(());
        }
        let result: ResultDocument = self.store.document(digest)?;
        if let Some(outputs) = result.outputs {
            self.mark_files(outputs, all)?;
        }
        for log in result.tries.iter().filter_map(|attempt| attempt.log) {
            if all.level >= Level::Logs {
                self.insert(Kind::Log, &log);
            } else {
                self.give_up(of_kind(Kind::Log, &log), all);
            }
        }
        self.mark_recipe(&result.recipe.digest(), all)
    }

    /// Inputs are not followed: their files belong to the input commits, and a directory's `tree` is only a name for them, whose nodes are
    /// not stored.
    fn mark_recipe(&mut self, digest: &Digest, all: For) -> Result<()> {
        let documents = For { level: Level::Documents, ..all };
        if !self.enter(Kind::Recipe, digest, Level::Documents) {
            return Ok(());
        }
        let recipe: Recipe = self.store.document(digest)?;
        if self.enter(Kind::Transform, &recipe.transform, Level::Documents)
            && let Some(code) = self.store.document::<Transform>(&recipe.transform)?.code
        {
            self.mark_files(code, documents)?;
        }
        Ok(())
    }

    /// Marks newer results: no record names them before their job has ended.
    fn mark_results_of_open_jobs(&mut self) -> Result<()> {
        let store = self.store.clone();
        let open: HashSet<RunId> = store.open_jobs()?.into_iter().map(|job| job.run).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut new = Vec::new();
        store.visit_results(|digest, _| {
            if !self.live.contains(of_kind(Kind::Result, &digest)) {
                new.push(digest);
            }
        })?;
        new.into_iter()
            .try_for_each(|digest| self.mark_unnamed(&digest, Level::Files, |result| open.contains(&result.run)))
    }

    /// Marks a result that no commit names, if `is_meant` selects it.
    fn mark_unnamed(
        &mut self,
        digest: &Digest,
        level: Level,
        is_meant: impl FnOnce(&ResultDocument) -> bool,
    ) -> Result<()> {
        // After a power cut the index may contain a result whose bytes never reached the disk.
        let Some(bytes) = self.store.find_object(Kind::Result, digest)? else { return Ok(()) };
        let Ok(result) = serde_json::from_slice::<ResultDocument>(&bytes) else { return Ok(()) };
        if !is_meant(&result) {
            return Ok(());
        }
        let gone = (Reason::Expired, self.repo(&result.pipeline.output_repo()));
        match self.mark_result(digest, For { level, gone }) {
            Err(RepoError::MissingObject { .. }) => Ok(()),
            done => done,
        }
    }

    /// Marks results that no commit names: recent ones and those of open jobs completely, others as documents.
    fn mark_results_by_age(&mut self, young: bool) -> Result<()> {
        let store = self.store.clone();
        let now = store.clock().now().as_micros();
        let grace = i64::try_from(store.gc_grace()?.as_micros()).unwrap_or(i64::MAX);
        let open: HashSet<RunId> = store.open_jobs()?.into_iter().map(|job| job.run).collect();
        let mut found = Vec::new();
        store.visit_results(|digest, at| {
            let is_young = now.saturating_sub(at.as_micros()) < grace;
            // Only results that may belong to an open job are examined again.
            if is_young == young || (young && !open.is_empty()) {
                found.push((digest, is_young));
            }
        })?;
        let level = if young { Level::Files } else { Level::Documents };
        found.into_iter().try_for_each(|(digest, is_young)| {
            self.mark_unnamed(&digest, level, |result| is_young || !young || open.contains(&result.run))
        })
    }

    fn mark_files(&mut self, tree: Digest, all: For) -> Result<()> {
        self.walk(tree, all, &mut |kept, _, file: &FileEntry| kept.mark_file(file, all))
    }

    /// Marks what clients have sent within `gc_grace` and not committed: they are about to name it.
    fn mark_all_received(&mut self) -> Result<()> {
        let Some(received) = self.received.take() else { return Ok(()) };
        received.visit(self.store.received_since()?, &mut |digest| self.mark_received(digest))?;
        self.received = Some(received);
        Ok(())
    }

    /// Marks what clients have sent since the last look.
    fn catch_up_received(&mut self) -> Result<()> {
        let Some(received) = &mut self.received else {
            // The first client ever may have come meanwhile.
            self.received = self.store.watch_received()?;
            return self.mark_all_received();
        };
        let fresh = received.take();
        fresh.iter().try_for_each(|digest| self.mark_received(digest))
    }

    /// Marks content, of which it is not known whether it is one chunk or several, or there at all.
    fn mark_received(&mut self, digest: &Digest) -> Result<()> {
        self.live.insert(content(digest));
        if self.live.insert(number(CHUNKS_OF, digest)) {
            let file = FileEntry { digest: *digest, size: 0, executable: false };
            for (chunk, _) in chunks(&self.store, &file)? {
                self.live.insert(content(&chunk));
            }
        }
        Ok(())
    }

    fn mark_file(&mut self, file: &FileEntry, all: For) -> Result<()> {
        let content_number = content(&file.digest);
        let is_small = file.size < Store::ONE_CHUNK_BYTES;
        let is_new = if all.level == Level::Files {
            // The file may also be a chunk of another file, which says nothing about its own chunks.
            self.live.insert(content_number) | (!is_small && self.live.insert(number(CHUNKS_OF, &file.digest)))
        } else {
            !self.live.contains(content_number) && self.give_up(content_number, all)
        };
        if !is_new || is_small {
            return Ok(());
        }
        for (chunk, _) in chunks(&self.store, file)? {
            if all.level == Level::Files {
                self.live.insert(content(&chunk));
            } else {
                self.give_up(content(&chunk), all);
            }
        }
        Ok(())
    }

    /// Marks the nodes of a map and visits its entries, except in subtrees visited on this level or a higher one.
    fn walk<V: MapValue>(&mut self, root: Digest, all: For, visit: Visit<'_, Self, V>) -> Result<()> {
        let store = self.store.clone();
        if !self.enter(Kind::Node, &root, all.level) {
            return Ok(());
        }
        let mut cursor = Map::<V>::at(root).cursor(&store)?;
        loop {
            let child = match cursor.peek() {
                None => return Ok(()),
                Some(Step::Subtree { child, .. }) => child.digest,
                Some(Step::Entry { key, value }) => {
                    visit(self, key, value)?;
                    cursor.skip();
                    continue;
                }
            };
            if self.enter(Kind::Node, &child, all.level) { cursor.enter()? } else { cursor.skip() }
        }
    }
}

/// The chunks of a file with several; empty if it has one, or is gone.
pub(super) fn chunks(store: &Store, file: &FileEntry) -> Result<Vec<(Digest, u32)>> {
    let bytes = store.find_object(Kind::Manifest, &file.digest)?;
    Ok(bytes.as_deref().and_then(Manifest::decode).map_or_else(Vec::new, |manifest| manifest.chunks))
}
