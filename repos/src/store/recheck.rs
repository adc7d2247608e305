//! Checks again that everything a change names exists: garbage may have been collected since its writer found it.
//!
//! A writer does not write objects that the store already has. These may be garbage, and be removed before the writer publishes. A writer
//! therefore remembers the packs in which it may have found objects. If one of them was removed as garbage since (journal entry `gc`;
//! folding a pack leaves no such entry), everything new that the change names is looked up, under the lock: sweeping holds it while it
//! removes packs. Everything below the head that a branch moves from exists as long as that is the head.

use std::collections::HashSet;

use bytes::Bytes;
use specs::{CommitId, Digest};

use super::objects::{ObjectLocation, is_gone};
use super::{Change, Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;
use crate::documents::{Commit, Document, Recipe, ResultDocument, Transform, VersionDocument, datums};
use crate::journal::{Entry, Move};
use crate::objects::manifest::Manifest;
use crate::objects::packs::codec;
use crate::tree::{KeyRange, Map, NodeStore, Tree};

impl Store {
    /// Remembers packs in which this store may find what it builds on.
    pub(super) fn rely_on(&self, packs: impl IntoIterator<Item = PackName>) {
        self.inner.relied.lock().expect("no panic under this lock").extend(packs);
    }

    /// Forgets packs whose objects all exist elsewhere too.
    pub(super) fn rely_no_more_on(&self, packs: &[PackName]) {
        let mut relied = self.inner.relied.lock().expect("no panic under this lock");
        for pack in packs {
            relied.remove(pack);
        }
    }

    /// The packs in which this store may have found what it builds on.
    pub(super) fn relied(&self) -> Vec<PackName> {
        self.inner.relied.lock().expect("no panic under this lock").iter().copied().collect()
    }

    /// Whether one of the packs that this store or `others` relied on is gone. The caller holds lock and position, and the index is up to
    /// date.
    pub(super) fn was_swept(&self, others: &[PackName]) -> bool {
        let index = self.index();
        // A folded pack counts too: its replacement, which is not known here, may have been swept since.
        self.relied().iter().chain(others).any(|pack| index.pack_number(pack).is_none())
    }

    /// Refuses a change if something it names does not exist. The caller holds lock and position, and the index is up to date; everything
    /// that the change names is in finished packs.
    pub(super) fn ensure_not_collected(&self, change: &Change) -> Result<()> {
        self.enter_put_off()?;
        let mut recheck = Recheck { present: Present { store: self }, results: HashSet::new() };
        change.entries.iter().try_for_each(|entry| recheck.entry(entry))
    }
}

/// The current state of the store, without caches and without retries.
struct Present<'a> {
    store: &'a Store,
}

impl Present<'_> {
    fn contains(&self, kind: Kind, digest: &Digest) -> Result<()> {
        match self.store.place(kind as u8, digest)? {
            ObjectLocation::At(..) => Ok(()),
            ObjectLocation::Gone | ObjectLocation::Nowhere => Err(RepoError::Collected { kind, digest: *digest }),
        }
    }

    fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes> {
        let collected = || RepoError::Collected { kind, digest: *digest };
        let ObjectLocation::At(pack, row) = self.store.place(kind as u8, digest)? else { return Err(collected()) };
        match self.store.read_entry(&pack, &row, kind, codec::unpack) {
            Err(error) if is_gone(&error) => Err(collected()),
            read => read,
        }
    }

    fn document<D: Document>(&self, digest: &Digest) -> Result<D> {
        serde_json::from_slice(&self.object(D::KIND, digest)?).map_err(|error| RepoError::DamagedObject {
            kind: D::KIND,
            digest: *digest,
            why: error.to_string(),
        })
    }

    /// A file's content: one chunk, or all chunks of a manifest.
    fn content(&self, digest: &Digest) -> Result<()> {
        if self.contains(Kind::Chunk, digest).is_ok() {
            return Ok(());
        }
        let missing = |_| RepoError::Collected { kind: Kind::Chunk, digest: *digest };
        let bytes = self.object(Kind::Manifest, digest).map_err(missing)?;
        let chunks = Manifest::decode(&bytes).map(|manifest| manifest.chunks).unwrap_or_default();
        chunks.iter().try_for_each(|(chunk, _)| self.contains(Kind::Chunk, chunk))
    }
}

impl NodeStore for Present<'_> {
    type Error = RepoError;

    fn read(&self, digest: &Digest) -> Result<Bytes> {
        self.object(Kind::Node, digest)
    }
}

struct Recheck<'a> {
    present: Present<'a>,
    /// Results that are complete.
    results: HashSet<Digest>,
}

impl Recheck<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Run { moves, .. } => moves.iter().try_for_each(|moved| self.moved(moved)),
            Entry::Job { commit, document, .. } => {
                document.iter().try_for_each(|document| self.present.contains(Kind::Job, document))?;
                commit.iter().try_for_each(|commit| self.commit(commit, None))
            }
            Entry::TagCreate { commit, document, .. } => {
                document.iter().try_for_each(|document| self.present.contains(Kind::Tag, document))?;
                self.commit(commit, None)
            }
            Entry::PipelineApply { document, .. } | Entry::PipelineTry { document, .. } => {
                let version: VersionDocument = self.present.document(document)?;
                self.present.contains(Kind::Spec, &version.spec)?;
                self.transform(&version.transform)
            }
            _ => Ok(()),
        }
    }

    fn moved(&mut self, moved: &Move) -> Result<()> {
        moved.to.iter().try_for_each(|to| self.commit(to, moved.from))
    }

    /// What a commit adds to the head that it will follow, or to that of its own branch.
    fn commit(&mut self, id: &CommitId, head: Option<CommitId>) -> Result<()> {
        // What it gave up is missing on purpose. Pointing a branch or tag to it is refused elsewhere.
        if self.present.store.is_pruned(id)?.is_some() {
            return Ok(());
        }
        let commit: Commit = self.present.document(&id.digest())?;
        let head = match head {
            None => self.present.store.find_branch(&commit.repo, &commit.branch)?.and_then(|row| row.commit),
            head => head,
        };
        let base: Option<Commit> = head.map(|head| self.present.document(&head.digest())).transpose()?;
        let tree = base.as_ref().map_or(Tree::empty(), |base| Tree::at(base.tree));
        self.files(tree, Tree::at(commit.tree))?;
        let base = base.as_ref();
        self.lineage(base.and_then(|base| base.lineage), commit.lineage)?;
        self.datums(base.and_then(|base| base.datums), commit.datums)?;
        if let Some(stamp) = &commit.pipeline {
            self.present.contains(Kind::Spec, &stamp.spec)?;
            self.transform(&stamp.transform)?;
        }
        let origins = commit.provenance.iter().map(|origin| origin.commit);
        let sources = commit.sources.iter().map(|source| source.commit);
        origins.chain(sources).try_for_each(|named| self.present.contains(Kind::Commit, &named.digest()))
    }

    fn files(&self, base: Tree, tree: Tree) -> Result<()> {
        // Reads all new nodes; nodes shared with the base exist with it.
        for change in base.diff(&self.present, tree)? {
            if let Some(file) = change?.new {
                self.present.content(&file.digest)?;
            }
        }
        Ok(())
    }

    fn lineage(&mut self, base: Option<Digest>, lineage: Option<Digest>) -> Result<()> {
        let Some(lineage) = lineage else { return Ok(()) };
        let base = base.map_or(Map::empty(), Map::<Digest>::at);
        let changed: Vec<Digest> = changed(base.diff(&self.present, Map::at(lineage))?)?;
        changed.iter().try_for_each(|result| self.result(result))
    }

    fn datums(&mut self, base: Option<Digest>, map: Option<Digest>) -> Result<()> {
        let Some(map) = map else { return Ok(()) };
        let base = base.map_or(Map::empty(), Map::<Vec<u8>>::at);
        let is_result = |key: &[u8]| key.first() == Some(&datums::DATUM);
        let changed: Vec<Vec<u8>> = changed(
            base.diff(&self.present, Map::at(map))?
                .filter(|change| change.as_ref().map_or(true, |change| is_result(&change.key))),
        )?;
        changed.iter().filter_map(|value| datums::result_in(value)).try_for_each(|result| self.result(&result))
    }

    fn result(&mut self, digest: &Digest) -> Result<()> {
        if !self.results.insert(*digest) {
            return Ok(());
        }
        let result: ResultDocument = self.present.document(digest)?;
        if let Some(outputs) = result.outputs {
            self.files(Tree::empty(), Tree::at(outputs))?;
        }
        for log in result.tries.iter().filter_map(|attempt| attempt.log) {
            self.present.contains(Kind::Log, &log)?;
        }
        let recipe: Recipe = self.present.document(&result.recipe.digest())?;
        self.present.contains(Kind::Transform, &recipe.transform)
    }

    fn transform(&self, digest: &Digest) -> Result<()> {
        let transform: Transform = self.present.document(digest)?;
        let Some(code) = transform.code else { return Ok(()) };
        for entry in Tree::at(code).range(&self.present, KeyRange::all())? {
            self.present.content(&entry?.1.digest)?;
        }
        Ok(())
    }
}

/// The new values.
fn changed<V>(diff: impl Iterator<Item = Result<crate::tree::Change<V>>>) -> Result<Vec<V>> {
    diff.filter_map(|change| change.map(|change| change.new).transpose()).collect()
}
