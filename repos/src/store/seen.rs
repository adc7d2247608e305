//! What a limited handle sees: the store as if the rest did not exist.
//!
//! A handle made by [`Store::seen_by`] carries an access. The rules:
//!
//! - **Names.** Rows of repositories, branches, tags, pipelines, jobs, runs and commits that are not visible are missing: lists leave them
//!   out, lookups find nothing, and errors suggest only what is visible. A run is visible if one of its moves or jobs is, and has only
//!   these.
//! - **Digests that a user can give** (`*_by_prefix`, `find --digest`): found only if something visible names them.
//! - **Digests that came out of a visible document** (trees, logs, recipes, file content) are read as they are: whoever sees the document
//!   sees what it names, except the names of what is not visible. Those are removed when the document is read ([`Document::seen_by`]):
//!   input commits, sources, references, the jobs of others, the inputs in a spec and in a recipe. [`Store::hidden_origins`],
//!   [`Store::hidden_references`] and [`Store::recipe`] count them, so that an answer can name the gap.
//! - **Content that is stored** counts as new, even if something hidden has it already.
//! - **The exact bytes of a document** (`document_bytes`) are refused if they have such a name, because without it they would not match their
//!   digest.
//! - **The whole journal**, proofs and checks of everything need a handle that sees everything ([`Store::ensure_may`]).
//!
//! What the author of something visible wrote (messages, commands, logs, names of input folders other than the repository's) is shown as it
//! is.
//!
//! [`Store::whole`] is the same store without a limit, for consequences of a permitted change and for counting what is not shown.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use specs::{CommitId, DatumId, Digest, PipelineName, RepoName, RunId};

use super::{Result, Store};
use crate::access::{Access, Right};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::documents::{
    Certificate, Commit, Document, JobDocument, Recipe, ResultDocument, SignatureDocument, SpecDocument,
    VersionDocument,
};
use crate::index::history::{Links, parent_tree};
use crate::index::keys;
use crate::index::rows::{CommitRow, RunRow};
use crate::journal::{Cause, Entry};
use crate::tree::Tree;

/// Stands for the name of somebody who did something that is not visible.
const SOMEBODY: &str = "not visible to you";

impl Store {
    /// The same store for somebody with this access: what it does not cover does not exist for the handle, and each change through it is
    /// checked. Replaces an access that the handle has.
    #[must_use]
    pub fn seen_by(&self, access: Access) -> Self {
        Self { access: Some(Arc::new(access)), ..self.clone() }
    }

    /// The same store without a limit: for the consequences of a change that was checked, and to count what is not shown. Nothing read
    /// through it may reach a user of a limited handle.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { access: None, ..self.clone() }
    }

    /// The access of this handle; `None` if it has no limit.
    pub fn access(&self) -> Option<&Access> {
        self.access.as_deref()
    }

    /// The access of this handle, if it does not cover all repositories.
    pub(crate) fn limit(&self) -> Option<&Access> {
        self.access.as_deref().filter(|access| !access.sees_all())
    }

    /// Whether some repositories may be hidden from this handle.
    pub fn is_limited(&self) -> bool {
        self.limit().is_some()
    }

    /// Whether a repository is visible, if it exists.
    pub fn sees(&self, repo: &RepoName) -> bool {
        self.limit().is_none_or(|access| access.sees(repo))
    }

    /// Whether a pipeline is visible, if it exists.
    pub fn sees_pipeline(&self, pipeline: &PipelineName) -> bool {
        self.limit().is_none_or(|access| access.sees_pipeline(pipeline))
    }

    /// Whether a commit is visible: the journal has named it in a visible repository, or its document says so.
    pub fn sees_commit(&self, commit: &CommitId) -> Result<bool> {
        let Some(access) = self.limit() else { return Ok(true) };
        let whole = self.whole();
        if let Some(CommitRow { repo, .. }) = whole.commit_row(commit)? {
            return Ok(access.sees(&repo));
        }
        Ok(whole.contains(Kind::Commit, &commit.digest())? && access.sees(&whole.commit(commit)?.repo))
    }

    /// Whether a run is visible: one of its moves or jobs is, or it has neither and is about something visible.
    pub fn sees_run(&self, run: &RunId) -> Result<bool> {
        Ok(!self.is_limited() || self.run_order(run)?.is_some())
    }

    /// How many input commits and copied sources of a commit are not visible.
    pub fn hidden_origins(&self, commit: &CommitId) -> Result<u64> {
        let Some(access) = self.limit() else { return Ok(0) };
        let commit = self.whole().commit(commit)?;
        let origins = commit.provenance.iter().map(|origin| &origin.repo);
        let repos = origins.chain(commit.sources.iter().map(|source| &source.repo));
        Ok(repos.filter(|repo| !access.sees(repo)).count() as u64)
    }

    /// A recipe with those of its inputs that `is_seen` calls visible, by name, and how many are left out. A handle without a limit sees all.
    pub fn recipe(&self, datum: &DatumId, is_seen: impl Fn(&str) -> bool) -> Result<(Recipe, u64)> {
        let mut recipe: Recipe = self.whole().document(&datum.digest())?;
        let all = recipe.inputs.len();
        if self.is_limited() {
            recipe.inputs.retain(|input| is_seen(&input.name));
        }
        let hidden = (all - recipe.inputs.len()) as u64;
        Ok((recipe, hidden))
    }

    /// How many inputs of a result that are outside its recipe are not visible.
    pub fn hidden_references(&self, result: &Digest) -> Result<u64> {
        let Some(access) = self.limit() else { return Ok(0) };
        let result: ResultDocument = self.whole().document(result)?;
        Ok(result.references.iter().filter(|one| !access.sees(&one.repo)).count() as u64)
    }

    /// The visible part of a run; `None` if there is none.
    pub(super) fn seen_run(&self, run: RunRow) -> Option<RunRow> {
        let Some(access) = self.limit() else { return Some(run) };
        let was_empty = run.moves.is_empty() && run.jobs.is_empty();
        let mut seen = RunRow { cause: seen_cause(run.cause, access), ..run };
        seen.moves.retain(|moved| access.sees(&moved.repo));
        seen.jobs.retain(|job| access.sees_pipeline(&job.pipeline));
        let is_about = was_empty && !seen.cause.refs.is_empty();
        (is_about || !seen.moves.is_empty() || !seen.jobs.is_empty()).then_some(seen)
    }

    /// Reduces an entry of the journal to its visible part; false if there is none.
    pub(super) fn is_seen_entry(&self, entry: &mut Entry) -> bool {
        let Some(access) = self.limit() else { return true };
        match entry {
            Entry::Init { .. }
            | Entry::Setting { .. }
            | Entry::Gc { .. }
            | Entry::Key { .. }
            | Entry::KeyTrust { .. } => true,
            Entry::RepoCreate { repo, .. }
            | Entry::RepoDelete { repo }
            | Entry::BranchDelete { repo, .. }
            | Entry::TagCreate { repo, .. }
            | Entry::TagDelete { repo, .. } => access.sees(repo),
            Entry::PipelineApply { pipeline, .. }
            | Entry::PipelineTry { pipeline, .. }
            | Entry::PipelineDelete { pipeline }
            | Entry::PipelineStop { pipeline }
            | Entry::PipelineStart { pipeline }
            | Entry::Job { pipeline, .. } => access.sees_pipeline(pipeline),
            Entry::Run { cause, moves, jobs, .. } => {
                let was_empty = moves.is_empty() && jobs.is_empty();
                *cause = seen_cause(cause.clone(), access);
                moves.retain(|moved| access.sees(&moved.repo));
                jobs.retain(|job| access.sees_pipeline(&job.pipeline));
                (was_empty && !cause.refs.is_empty()) || !moves.is_empty() || !jobs.is_empty()
            }
            // A commit that cannot be read is taken for a hidden one.
            Entry::CommitPrune { commits, .. } => {
                commits.retain(|commit| self.sees_commit(commit).unwrap_or(false));
                !commits.is_empty()
            }
            Entry::CommitDelete { commit, .. } => self.sees_commit(commit).unwrap_or(false),
        }
    }

    /// The visible part of a document that this digest names. `NotVisible` if all of it is hidden.
    pub(super) fn seen_document<D: Document>(&self, document: D) -> Result<D> {
        let Some(access) = self.limit() else { return Ok(document) };
        let mut seen = document.seen_by(access).ok_or(RepoError::NotVisible { what: D::KIND.word() })?;
        for text in seen.texts() {
            *text = self.without_hidden(text)?;
        }
        Ok(seen)
    }

    /// Refuses the exact bytes of a document that has names of what is not visible.
    pub(super) fn ensure_bytes_seen(&self, kind: Kind, bytes: &Bytes) -> Result<()> {
        if !self.is_limited() {
            return Ok(());
        }
        let is_seen = match kind {
            Kind::Commit => self.is_wholly_seen::<Commit>(bytes)?,
            Kind::Result => self.is_wholly_seen::<ResultDocument>(bytes)?,
            Kind::Recipe => self.is_wholly_seen::<Recipe>(bytes)?,
            Kind::Job => self.is_wholly_seen::<JobDocument>(bytes)?,
            Kind::Version => self.is_wholly_seen::<VersionDocument>(bytes)?,
            Kind::Spec => self.is_wholly_seen::<SpecDocument>(bytes)?,
            Kind::Certificate => {
                let about = serde_json::from_slice::<Certificate>(bytes).map(|certificate| certificate.commit);
                self.is_wholly_seen::<Certificate>(bytes)?
                    && about.map_or(Ok(true), |commit| self.sees_commit(&commit))?
            }
            Kind::Signature => {
                let about = serde_json::from_slice::<SignatureDocument>(bytes).map(|signature| signature.commit);
                about.map_or(Ok(true), |commit| self.sees_commit(&commit))?
            }
            Kind::Chunk | Kind::Manifest | Kind::Node | Kind::Transform | Kind::Log | Kind::Tag => true,
        };
        if is_seen {
            return Ok(());
        }
        let what = format!("the exact bytes of this {kind} are not shown: they name what is not visible to you");
        Err(RepoError::Refused { what, hint: Some("without --raw, what is visible of it is shown".to_owned()) })
    }

    /// Whether nothing in a document is hidden. Bytes that are not such a document have no names.
    fn is_wholly_seen<D: Document + Clone + PartialEq>(&self, bytes: &[u8]) -> Result<bool> {
        let Ok(document) = serde_json::from_slice::<D>(bytes) else { return Ok(true) };
        Ok(is_found(self.seen_document(document.clone()))? == Some(document))
    }

    /// Of objects that a user asked for by their digests, those that something visible names.
    pub(super) fn seen_objects(&self, kind: Kind, digests: Vec<Digest>) -> Result<Vec<Digest>> {
        if !self.is_limited() {
            return Ok(digests);
        }
        let named = match kind {
            Kind::Spec | Kind::Transform => self.named_by_versions()?,
            _ => BTreeSet::new(),
        };
        let mut seen = Vec::new();
        for digest in digests {
            let is_seen = match kind {
                Kind::Commit => self.sees_commit(&CommitId::new(digest))?,
                Kind::Spec | Kind::Transform => named.contains(&digest),
                Kind::Recipe => !self.results(&DatumId::new(digest))?.is_empty(),
                Kind::Result => is_found(self.document::<ResultDocument>(&digest))?.is_some_and(|result| {
                    // A stand-in is somebody else's result.
                    self.sees_pipeline(&result.pipeline)
                }),
                Kind::Job => is_found(self.document::<JobDocument>(&digest))?.is_some(),
                Kind::Version => is_found(self.document::<VersionDocument>(&digest))?.is_some(),
                Kind::Certificate => {
                    let commit = is_found(self.document::<Certificate>(&digest))?.map(|document| document.commit);
                    commit.map_or(Ok(false), |commit| self.sees_commit(&commit))?
                }
                Kind::Signature => {
                    let commit = is_found(self.document::<SignatureDocument>(&digest))?.map(|document| document.commit);
                    commit.map_or(Ok(false), |commit| self.sees_commit(&commit))?
                }
                Kind::Chunk | Kind::Manifest => self.sees_content(&digest)?,
                // Nothing says cheaply what names these: their ids are read in visible documents, but not looked up.
                Kind::Node | Kind::Log | Kind::Tag => false,
            };
            seen.extend(is_seen.then_some(digest));
        }
        Ok(seen)
    }

    /// Whether a visible repository has or had a file with this content.
    pub fn sees_content(&self, digest: &Digest) -> Result<bool> {
        let prefix = keys::holders(digest);
        let mut is_seen = false;
        self.index().try_visit(&prefix, &prefix, rocksdb::Direction::Forward, |key, _| {
            let (repo, _) = keys::in_holder(key).ok_or_else(|| RepoError::damaged_row(key))?;
            is_seen = self.sees(&repo);
            let next = if is_seen { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) };
            Ok(next)
        })?;
        Ok(is_seen || self.sees_new_content(digest)?)
    }

    /// Whether stored content counts as new. Through a limited handle it always does: that it was there already would tell what is hidden.
    pub(crate) fn tells_as_new(&self, new: bool) -> bool {
        new || self.is_limited()
    }

    /// Whether a visible commit that the history index does not have yet brought this content.
    fn sees_new_content(&self, digest: &Digest) -> Result<bool> {
        let (mut links, mut walked) = (Links::new(self.index()), HashSet::new());
        for (repo, _) in self.repos()? {
            let heads = self.branches(&repo)?.into_iter().filter_map(|(_, row)| row.commit);
            let tips: Vec<CommitId> = heads.chain(self.tags(&repo)?.into_iter().map(|(_, row)| row.commit)).collect();
            for tip in tips {
                let mut next = Some(tip);
                while let Some(id) = next {
                    if links.number(&id)?.is_some() || !walked.insert(id) {
                        break;
                    }
                    let commit = self.commit(&id)?;
                    for change in parent_tree(self, &commit)?.diff(self, Tree::at(commit.tree))? {
                        if change?.new.is_some_and(|file| file.digest == *digest) {
                            return Ok(true);
                        }
                    }
                    next = commit.parents.first().copied();
                }
            }
        }
        Ok(false)
    }

    /// The specs and transforms of visible versions.
    fn named_by_versions(&self) -> Result<BTreeSet<Digest>> {
        let mut named = BTreeSet::new();
        for row in self.all_pipeline_versions()? {
            let version: VersionDocument = self.document(&row.document)?;
            named.extend([version.spec, version.transform]);
        }
        Ok(named)
    }

    /// Refuses what concerns the whole store, unless this handle has the right.
    pub fn ensure_may(&self, right: Right) -> Result<()> {
        match self.access() {
            Some(access) if !access.may(right) => Err(super::permit::refused_on_store(access, right)),
            Some(_) | None => Ok(()),
        }
    }

    /// A text about the store in which the names and ids of what is not visible are left out.
    pub fn without_hidden(&self, text: &str) -> Result<String> {
        if !self.is_limited() {
            return Ok(text.to_owned());
        }
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_of_name) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_of_name(c)).unwrap_or(from.len()));
            shown.push_str(before);
            shown.push_str(if self.is_hidden_word(word)? { "…" } else { word });
            rest = after;
        }
        shown.push_str(rest);
        Ok(shown)
    }

    /// Whether a word names something that exists and is not visible.
    fn is_hidden_word(&self, word: &str) -> Result<bool> {
        let whole = self.whole();
        if let Ok(name) = word.parse::<RepoName>()
            && !self.sees(&name)
            && (whole.has_repo(&name)? || !whole.pipeline_versions(&name.as_pipeline())?.is_empty())
        {
            return Ok(true);
        }
        let is_hex = word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if word.len() < specs::SHORT_DIGITS || word.len() > 64 || !is_hex {
            return Ok(false);
        }
        let is_named = !whole.commits_by_prefix(word, 1)?.is_empty() || !whole.runs_by_prefix(word, 1)?.is_empty();
        Ok(is_named && self.commits_by_prefix(word, 1)?.is_empty() && self.runs_by_prefix(word, 1)?.is_empty())
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// The document, unless it is not visible.
fn is_found<D>(read: Result<D>) -> Result<Option<D>> {
    match read {
        Err(RepoError::NotVisible { .. }) => Ok(None),
        read => read.map(Some),
    }
}

/// A cause without what is not visible: if it is about nothing visible, also without who it was and what they wrote.
pub(super) fn seen_cause(cause: Cause, access: &Access) -> Cause {
    let had_refs = cause.refs.iter().any(|text| !text.starts_with('@'));
    let mut seen = cause;
    seen.refs.retain(|text| is_seen_ref(text, access));
    if had_refs && seen.refs.iter().all(|text| text.starts_with('@')) {
        seen.refs.clear();
        seen.author = None;
        seen.message = None;
        SOMEBODY.clone_into(&mut seen.committer);
    }
    seen
}

/// Whether a reference in a cause is visible: `images@main`, `detect`, `detect:GLOB`, or `@RUN` of the same pipeline.
fn is_seen_ref(text: &str, access: &Access) -> bool {
    let name = text.split(['@', ':']).next().unwrap_or_default();
    name.is_empty() || name.parse().is_ok_and(|repo| access.sees(&repo))
}
