//! From branches, tags, jobs and pipelines to everything they depend on.

use std::collections::{BTreeMap, HashMap, HashSet};

use specs::{CommitId, DatumId, Digest};

use super::{Dependent, Findings, Progress, Subject};
use crate::base::error::RepoError;
use crate::base::hash::Hasher;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;
use crate::documents::{
    Commit, Document, JobDocument, Recipe, ResultDocument, SpecDocument, TagDocument, Transform, VersionDocument,
    datums,
};
use crate::objects::manifest::Manifest;
use crate::objects::packs::format::Row;
use crate::settings::{RETENTION, SettingSource};
use crate::store::{ObjectLocation, Result, Signed, Store, Vouched};
use crate::tree::{FileEntry, Map, MapValue, Step, Tree, path_of};

pub(super) fn check(store: &Store, progress: Progress<'_>, findings: &mut Findings) -> Result<()> {
    let mut reach = Reach { store, findings, seen: HashSet::new(), damaged_files: HashMap::new() };
    let mut commits = reach.named_commits()?;
    reach.check_pipelines()?;
    while let Some(((_, id), needed_by)) = commits.pop_last() {
        progress("commits", reach.findings.counts.commits, 0);
        for (next, needed_by) in reach.check_commit(id, &needed_by) {
            if !reach.seen.contains(&(Seen::Commit, next.digest())) {
                commits.entry(reach.place(next)?).or_insert(needed_by);
            }
        }
    }
    Ok(())
}

/// What has been checked, and in which role: one digest can play several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Seen {
    Commit,
    Result,
    Document,
    File,
    Nodes(Values),
}

/// The meaning of a map's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Values {
    Files,
    /// Files whose content is not checked: it was given up, or belongs to a commit.
    Names,
    Lineage,
    Datums,
}

/// Commits still to be checked, by their position in the order of runs, each with who needs it.
type Open = BTreeMap<(u64, CommitId), Dependent>;

struct Reach<'a> {
    store: &'a Store,
    findings: &'a mut Findings,
    /// Only intact objects: damaged ones are checked again for everyone who needs them.
    seen: HashSet<(Seen, Digest)>,
    /// Incomplete files with what they lack, so that each is read only once.
    damaged_files: HashMap<Digest, Vec<Subject>>,
}

impl Reach<'_> {
    fn place(&self, id: CommitId) -> Result<(u64, CommitId)> {
        Ok((self.store.commit_row(&id)?.map_or(0, |row| row.order), id))
    }

    /// Heads of branches, tags, and commits of jobs, including failed ones.
    fn named_commits(&mut self) -> Result<Open> {
        let mut open = Open::new();
        for (repo, _) in self.store.repos()? {
            for (tag, row) in self.store.tags(&repo)? {
                let needed_by = Dependent::of(format!("{repo}@{tag}"));
                open.insert(self.place(row.commit)?, needed_by.clone());
                if let Some(document) = row.document {
                    self.document::<TagDocument>(document, &needed_by);
                }
            }
            for (branch, row) in self.store.branches(&repo)? {
                if let Some(commit) = row.commit {
                    open.insert(self.place(commit)?, Dependent::of(format!("{repo}@{branch}")));
                }
            }
        }
        // Retention drops job documents: then a missing one is fine, and only existing ones must be intact.
        let may_be_dropped = self.store.setting_text(&RETENTION)?.1 == SettingSource::Store;
        for order in 1..=self.store.runs_count()? {
            self.check_jobs(order, may_be_dropped, &mut open)?;
        }
        Ok(open)
    }

    fn check_jobs(&mut self, order: u64, may_be_dropped: bool, open: &mut Open) -> Result<()> {
        for job in self.store.jobs_of_run(order)? {
            let needed_by = Dependent::of(format!("{}@{}", job.pipeline, job.run));
            if let Some(commit) = job.commit {
                open.entry(self.place(commit)?).or_insert_with(|| needed_by.clone());
            }
            if let Some(document) = job.document
                && (!may_be_dropped || self.store.contains(Kind::Job, &document)?)
            {
                self.document::<JobDocument>(document, &needed_by);
            }
        }
        Ok(())
    }

    fn check_pipelines(&mut self) -> Result<()> {
        for (name, _) in self.store.pipelines()? {
            for row in self.store.pipeline_versions(&name)? {
                let needed_by = Dependent::of(format!("pipeline {name} version {}", row.version));
                if let Some(version) = self.document::<VersionDocument>(row.document, &needed_by) {
                    self.check_pipeline(version.spec, version.transform, &needed_by);
                }
            }
        }
        Ok(())
    }

    fn check_pipeline(&mut self, spec: Digest, transform: Digest, needed_by: &Dependent) {
        self.check_document::<SpecDocument>(spec, needed_by);
        if self.seen.contains(&(Seen::Document, transform)) {
            return;
        }
        if let Some(document) = self.document::<Transform>(transform, needed_by) {
            let sound = document.code.is_none_or(|code| self.check_files(code, needed_by));
            if sound {
                self.seen.insert((Seen::Document, transform));
            }
        }
    }

    /// Reads a document; records a problem if that fails.
    fn document<D: Document>(&mut self, digest: Digest, needed_by: &Dependent) -> Option<D> {
        let read = self.store.document::<D>(&digest);
        read.map_err(|error| self.findings.add_error(&error, (D::KIND, digest), needed_by)).ok()
    }

    fn check_document<D: Document>(&mut self, digest: Digest, needed_by: &Dependent) -> bool {
        if self.seen.contains(&(Seen::Document, digest)) {
            return true;
        }
        let sound = self.document::<D>(digest, needed_by).is_some();
        if sound {
            self.seen.insert((Seen::Document, digest));
        }
        sound
    }

    /// Checks a commit with all its maps, and returns the commits it depends on.
    fn check_commit(&mut self, id: CommitId, needed_by: &Dependent) -> Vec<(CommitId, Dependent)> {
        if !self.seen.insert((Seen::Commit, id.digest())) {
            return Vec::new();
        }
        self.findings.counts.commits += 1;
        let Some(commit) = self.document::<Commit>(id.digest(), needed_by) else { return Vec::new() };
        let place = format!("{}@{}", commit.repo, id.short(12));
        let place = Dependent { commit: Some(id), ..Dependent::of(place) };
        self.check_signatures(id, &place);
        let has_files = self.store.is_pruned(&id).is_ok_and(|pruned| pruned.is_none());
        if has_files {
            self.check_files(commit.tree, &place);
        } else {
            self.check_names(commit.tree, &place);
        }
        if let Some(lineage) = commit.lineage {
            self.check_map(Values::Lineage, Map::<Digest>::at(lineage), &place, |reach, _, result| {
                reach.check_result(*result, has_files, &place)
            });
        }
        if let Some(map) = commit.datums {
            self.check_map(Values::Datums, Map::<Vec<u8>>::at(map), &place, |reach, key, value| {
                datums::result_of(key, value).is_none_or(|result| reach.check_result(result, has_files, &place))
            });
        }
        if let Some(pipeline) = &commit.pipeline {
            self.check_pipeline(pipeline.spec, pipeline.transform, &place);
        }
        let before = commit.parents.into_iter();
        let origins = commit.provenance.into_iter().map(|origin| origin.commit);
        let sources = commit.sources.into_iter().map(|source| source.commit);
        before.chain(origins).chain(sources).map(|next| (next, place.clone())).collect()
    }

    /// Checks what vouches for a commit. A commit without signatures is not damaged: it predates the store's key.
    fn check_signatures(&mut self, id: CommitId, place: &Dependent) {
        match self.store.signatures(&id) {
            Ok(signatures) => {
                for Signed { signature, vouched, .. } in signatures {
                    let subject = Subject::Object(Kind::Signature, signature);
                    let why = match vouched {
                        // The key itself is reported once.
                        Vouched::Good | Vouched::UnvouchedKey => continue,
                        Vouched::UnknownKey => "it was made by a key that is not in the journal".to_owned(),
                        Vouched::Bad => "it does not match its commit".to_owned(),
                        Vouched::Damaged(why) => why,
                    };
                    self.findings.add(subject, why);
                    self.findings.add_dependent(subject, place);
                }
            }
            Err(error) => drop(self.findings.add_error(&error, (Kind::Commit, id.digest()), place)),
        }
        match self.store.certificates(&id) {
            Ok(_) => {}
            Err(error) => drop(self.findings.add_error(&error, (Kind::Certificate, id.digest()), place)),
        }
    }

    fn check_result(&mut self, digest: Digest, has_logs: bool, needed_by: &Dependent) -> bool {
        if self.seen.contains(&(Seen::Result, digest)) {
            return true;
        }
        let Some(result) = self.document::<ResultDocument>(digest, needed_by) else { return false };
        self.findings.counts.results += 1;
        let mut sound = self.check_recipe(result.recipe, needed_by);
        if let Some(outputs) = result.outputs {
            sound &= self.check_names(outputs, needed_by);
        }
        for log in result.tries.iter().filter_map(|attempt| attempt.log).filter(|_| has_logs) {
            if let Err(error) = self.store.log(&log) {
                self.findings.add_error(&error, (Kind::Log, log), needed_by);
                sound = false;
            }
        }
        if sound && has_logs {
            self.seen.insert((Seen::Result, digest));
        }
        sound
    }

    fn check_recipe(&mut self, recipe: DatumId, needed_by: &Dependent) -> bool {
        let Some(recipe) = self.document::<Recipe>(recipe.digest(), needed_by) else { return false };
        // An input's files belong to an input commit, which is reached on its own; the `tree` of a matched directory is only a name for
        // them, and its nodes are not stored.
        self.check_document::<Transform>(recipe.transform, needed_by)
    }

    fn check_files(&mut self, tree: Digest, place: &Dependent) -> bool {
        self.check_map(Values::Files, Tree::at(tree), place, |reach, key, file| {
            reach.check_file(file, || Dependent { path: path_of(key).ok(), ..place.clone() })
        })
    }

    fn check_names(&mut self, tree: Digest, place: &Dependent) -> bool {
        self.check_map(Values::Names, Tree::at(tree), place, |_, _, _| true)
    }

    /// Walks a map, except subtrees already known to be intact; true if all of it is intact.
    fn check_map<V: MapValue>(
        &mut self,
        values: Values,
        map: Map<V>,
        place: &Dependent,
        mut check_entry: impl FnMut(&mut Self, &[u8], &V) -> bool,
    ) -> bool {
        let root = map.root();
        if self.seen.contains(&(Seen::Nodes(values), root)) {
            return true;
        }
        let mut cursor = match map.cursor(self.store) {
            Ok(cursor) => cursor,
            Err(error) => {
                self.findings.add_error(&error, (Kind::Node, root), place);
                return false;
            }
        };
        let mut path = Path { open: vec![(i16::MAX, root, true)], values };
        loop {
            let (level, child) = match cursor.peek() {
                None => break,
                Some(Step::Subtree { level, child, .. }) => (i16::from(level), child.digest),
                Some(Step::Entry { key, value }) => {
                    if !check_entry(self, key, value) {
                        path.spoil();
                    }
                    cursor.skip();
                    continue;
                }
            };
            path.leave(level, &mut self.seen);
            if self.seen.contains(&(Seen::Nodes(values), child)) {
                cursor.skip();
                continue;
            }
            match cursor.enter() {
                Ok(()) => path.open.push((level, child, true)),
                Err(error) => {
                    self.findings.add_error(&error, (Kind::Node, child), place);
                    path.spoil();
                    cursor.skip();
                }
            }
        }
        path.leave(i16::MAX, &mut self.seen);
        self.seen.contains(&(Seen::Nodes(values), root))
    }

    fn check_file(&mut self, file: &FileEntry, needed_by: impl Fn() -> Dependent) -> bool {
        if self.seen.contains(&(Seen::File, file.digest)) {
            return true;
        }
        if let Some(lacks) = self.damaged_files.get(&file.digest) {
            for subject in lacks {
                self.findings.add_dependent(*subject, &needed_by());
            }
            return false;
        }
        self.findings.counts.files += 1;
        let errors = self.faults_of(file);
        if errors.is_empty() {
            self.seen.insert((Seen::File, file.digest));
            return true;
        }
        let expected = (Kind::Chunk, file.digest);
        let lacks = errors.iter().map(|error| self.findings.add_error(error, expected, &needed_by())).collect();
        self.damaged_files.insert(file.digest, lacks);
        false
    }

    /// The damage of a file. All chunks were read before; only how they make up the file is left to check.
    fn faults_of(&self, file: &FileEntry) -> Vec<RepoError> {
        match self.store.place(Kind::Chunk as u8, &file.digest) {
            Ok(ObjectLocation::At(pack, row)) => self.fault_of_chunk(file, &pack, &row).err().into_iter().collect(),
            Ok(ObjectLocation::Gone | ObjectLocation::Nowhere) => {
                self.faults_of_chunks(file).unwrap_or_else(|error| vec![error])
            }
            Err(error) => vec![error],
        }
    }

    fn fault_of_chunk(&self, file: &FileEntry, pack: &PackName, row: &Row) -> Result<()> {
        let is_suspect = || self.findings.is_suspect(pack);
        let is_damaged = || self.findings.is_damaged(Kind::Chunk, &file.digest);
        if !self.findings.is_empty() && (is_damaged() || is_suspect()) {
            // There may be several copies, and another may be intact.
            self.store.object(Kind::Chunk, &file.digest)?;
        }
        let why = "its size differs from its tree";
        if u64::from(row.raw_bytes) == file.size { Ok(()) } else { Err(damaged(Kind::Chunk, file.digest, why)) }
    }

    /// The damage of a file whose beginning is in no finished pack: it may be in a pack still being written.
    fn fault_of_new(&self, file: &FileEntry) -> Result<Option<RepoError>> {
        let mut whole = Hasher::default();
        let mut reader = self.store.open_file(file)?;
        let mut size_bytes = 0;
        while let Some(chunk) = reader.next_chunk()? {
            whole.update(&chunk);
            size_bytes += chunk.len() as u64;
        }
        let is_right = size_bytes == file.size && whole.finish() == file.digest;
        let why = "it does not match its tree";
        Ok((!is_right).then(|| damaged(Kind::Chunk, file.digest, why)))
    }

    fn faults_of_chunks(&self, file: &FileEntry) -> Result<Vec<RepoError>> {
        let Some(bytes) = self.store.find_object(Kind::Manifest, &file.digest)? else {
            return Ok(self.fault_of_new(file)?.into_iter().collect());
        };
        let missing = RepoError::MissingObject { kind: Kind::Chunk, digest: file.digest };
        let manifest = Manifest::decode(&bytes).ok_or(missing)?;
        let mut whole = Hasher::default();
        let mut faults = Vec::new();
        for (digest, _) in &manifest.chunks {
            match self.store.object(Kind::Chunk, digest) {
                Ok(bytes) if faults.is_empty() => whole.update(&bytes),
                Ok(_) => {}
                Err(error) => faults.push(error),
            }
        }
        if faults.is_empty() && (manifest.size_bytes() != file.size || whole.finish() != file.digest) {
            faults.push(damaged(Kind::Manifest, file.digest, "its chunks do not match the file's digest"));
        }
        Ok(faults)
    }
}

fn damaged(kind: Kind, digest: Digest, why: &str) -> RepoError {
    RepoError::DamagedObject { kind, digest, why: why.to_owned() }
}

/// The nodes on the current path, from the root down: level, digest, and whether everything below was intact so far.
struct Path {
    open: Vec<(i16, Digest, bool)>,
    values: Values,
}

impl Path {
    /// Notes that something in the newest node is damaged.
    fn spoil(&mut self) {
        if let Some((_, _, sound)) = self.open.last_mut() {
            *sound = false;
        }
    }

    /// Leaves all nodes of this level and below.
    fn leave(&mut self, level: i16, seen: &mut HashSet<(Seen, Digest)>) {
        while let Some((_, digest, sound)) = self.open.pop_if(|(open, _, _)| *open <= level) {
            if sound {
                seen.insert((Seen::Nodes(self.values), digest));
            } else {
                self.spoil();
            }
        }
    }
}
