//! Why two output commits differ: compares their provenance, one stage and one repository at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use repos::documents::{Commit, CommitKind, PipelineStamp, ResultDocument, SpecDocument};
use repos::tree::{KeyRange, Tree};
use repos::{RepoError, Store, files};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::{BranchName, CommitId, FilePath, PipelineName, RepoName};

use super::entries::{Counts, Entry, entries};
use crate::explain::{FieldChange, transform_changes};
use crate::logs::job_of;
use crate::sight::is_none;
use engine::Result;
use engine::apply::fields_that_differ;
use engine::datums::prefix;
use engine::datums::{DatumMap, result_in};

/// Maximum number of files listed for a cause.
const FILES: usize = 3;
/// Maximum number of results read to find the jobs that executed them.
const RESULTS: usize = 1000;
/// Fields of a spec that cannot change outputs, or that are reported separately.
const SILENT: [&str; 4] = ["pipeline", "transform", "description", "metadata"];

/// Why two output commits differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// Repositories of users and cron inputs whose commits differ.
    pub sources: Vec<SourceCause>,
    /// Pipelines that differ in what they execute or read, upstream first.
    pub stages: Vec<StageCause>,
    /// Repositories with the same files on both sides.
    pub same_sources: Vec<RepoName>,
    /// Pipelines that are the same on both sides.
    pub same_stages: Vec<PipelineName>,
    /// What is the same in every stage: of `image cmd env code`.
    pub same_fields: Vec<String>,
    /// How much of each stage differs from before.
    pub ran: Vec<Ran>,
    /// Whether both commits have the same files.
    pub identical: bool,
    /// How many repositories that are not visible to the one who asks differ, of users and of pipelines.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

impl Why {
    /// Whether nothing in the provenance differs.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.stages.is_empty() && self.not_visible == 0
    }
}

/// A repository of a user or a cron input whose commits differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceCause {
    /// The repository.
    pub repo: RepoName,
    /// The branch that was read.
    pub branch: BranchName,
    /// Its commit on the older side; absent if the older side did not depend on it.
    pub old: Option<CommitId>,
    /// Its commit on the newer side.
    pub new: Option<CommitId>,
    /// The author of the newer commit.
    pub author: String,
    /// The author's message.
    pub message: String,
    /// Number of files that differ.
    pub files: Counts,
    /// The first of them.
    #[serde(skip)]
    pub first: Vec<Entry>,
    /// Whether more files differ than were counted.
    #[serde(skip)]
    pub is_more: bool,
}

/// A pipeline that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageCause {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The old version; absent if the older side did not depend on it.
    pub old_version: Option<u32>,
    /// The new version.
    pub new_version: Option<u32>,
    /// The differences, field by field. Fields of the transform have their own names, others begin with `spec.`.
    pub changes: Vec<FieldChange>,
    /// The old and the new code, if they differ.
    #[serde(skip)]
    pub code: Option<(Tree, Tree)>,
}

/// How much of a stage differs from before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ran {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Number of datums on the newer side whose result differs from the older one.
    pub ran: u64,
    /// Number of datums on the newer side.
    pub total: u64,
    /// The jobs that executed the first 1,000 of these datums, with the number for each; most first.
    pub jobs: Vec<(String, u64)>,
    /// Whether more differ than were counted.
    #[serde(skip)]
    pub is_more: bool,
}

/// The provenance of an output commit, including itself: one commit for each branch.
type Ancestry = BTreeMap<RepoName, BTreeMap<BranchName, (CommitId, Commit)>>;

/// Why two output commits of one repository differ, if they do; `None` if they are not output commits of the same repository.
pub fn why(store: &Store, old: &CommitId, new: &CommitId) -> Result<Option<Why>> {
    why_up_to(store, old, new, usize::MAX)
}

/// Like [`why`], but of each cause and stage at most this many files and datums are counted.
pub fn why_up_to(store: &Store, old: &CommitId, new: &CommitId, most: usize) -> Result<Option<Why>> {
    let (old_commit, new_commit) = (store.commit(old)?, store.commit(new)?);
    let are_outputs = old_commit.pipeline.is_some() && new_commit.pipeline.is_some();
    if !are_outputs || old_commit.repo != new_commit.repo {
        return Ok(None);
    }
    // What is visible may lie behind what is not.
    let whole = store.whole();
    let (old, _) = ancestry(&whole, *old)?;
    let (new, order) = ancestry(&whole, *new)?;
    let identical = old_commit.tree == new_commit.tree;
    let mut why = Why { identical, ..Why::default() };
    let mut same: BTreeSet<&str> = ["image", "cmd", "env", "code"].into();
    // The nearest repository was found first, but the most upstream one is reported first.
    let mut repos: Vec<RepoName> = order.into_iter().rev().collect();
    repos.extend(old.keys().filter(|repo| !new.contains_key(*repo)).cloned());
    for repo in repos {
        if !store.sees(&repo) {
            let ids = |side: Option<&BTreeMap<BranchName, (CommitId, Commit)>>| -> Vec<(BranchName, CommitId)> {
                side.into_iter().flatten().map(|(branch, (id, _))| (branch.clone(), *id)).collect()
            };
            why.not_visible += u64::from(ids(old.get(&repo)) != ids(new.get(&repo)));
            continue;
        }
        for (old, new) in pairs(old.get(&repo), new.get(&repo)) {
            why.add(store, &repo, (old, new), &mut same, most)?;
        }
    }
    why.same_fields = same.into_iter().map(ToOwned::to_owned).collect();
    Ok(Some(why))
}

/// Also returns the repositories in the order in which they were found.
fn ancestry(store: &Store, root: CommitId) -> Result<(Ancestry, Vec<RepoName>)> {
    let (mut found, mut order): (Ancestry, Vec<RepoName>) = Default::default();
    let mut open = VecDeque::from([root]);
    let mut seen = BTreeSet::from([root]);
    while let Some(id) = open.pop_front() {
        let commit = store.commit(&id)?;
        open.extend(commit.provenance.iter().map(|origin| origin.commit).filter(|id| seen.insert(*id)));
        order.retain(|repo| *repo != commit.repo);
        order.push(commit.repo.clone());
        let branches = found.entry(commit.repo.clone()).or_default();
        branches.entry(commit.branch.clone()).or_insert((id, commit));
    }
    Ok((found, order))
}

type Of<'a> = Option<&'a (CommitId, Commit)>;

/// Corresponding commits of one repository: first those on the same branch, then the remaining ones.
fn pairs<'a>(
    old: Option<&'a BTreeMap<BranchName, (CommitId, Commit)>>,
    new: Option<&'a BTreeMap<BranchName, (CommitId, Commit)>>,
) -> Vec<(Of<'a>, Of<'a>)> {
    let has = |side: Option<&BTreeMap<BranchName, _>>, branch| side.is_some_and(|side| side.contains_key(branch));
    let of =
        |side: Option<&'a BTreeMap<BranchName, (CommitId, Commit)>>, branch| side.and_then(|side| side.get(branch));
    let mut pairs = Vec::new();
    let mut old_alone = VecDeque::new();
    for (branch, commit) in old.into_iter().flatten() {
        if has(new, branch) { pairs.push((Some(commit), of(new, branch))) } else { old_alone.push_back(commit) }
    }
    let new_alone = new.into_iter().flatten().filter(|(branch, _)| !has(old, branch));
    pairs.extend(new_alone.map(|(_, commit)| (old_alone.pop_front(), Some(commit))));
    pairs.extend(old_alone.into_iter().map(|commit| (Some(commit), None)));
    pairs
}

impl Why {
    fn add(
        &mut self,
        store: &Store,
        repo: &RepoName,
        (old, new): (Of<'_>, Of<'_>),
        same: &mut BTreeSet<&str>,
        most: usize,
    ) -> Result<()> {
        let Some((_, commit)) = new.or(old) else { return Ok(()) };
        if commit.kind == CommitKind::Output {
            return self.add_stage(store, (old, new), same, most);
        }
        let tree = |side: Of<'_>| side.map_or(Tree::empty(), |(_, commit)| Tree::at(commit.tree));
        if tree(old) == tree(new) {
            self.same_sources.push(repo.clone());
            return Ok(());
        }
        let mut files = Counts::default();
        let mut first = Vec::new();
        let mut differing = self::differing(store, tree(old), tree(new), most)?;
        for entry in differing.by_ref().take(most) {
            let entry = entry?;
            files.add(&entry);
            if first.len() < FILES {
                first.push(entry);
            }
        }
        self.sources.push(SourceCause {
            repo: repo.clone(),
            branch: commit.branch.clone(),
            old: old.map(|(id, _)| *id),
            new: new.map(|(id, _)| *id),
            author: commit.author.clone(),
            message: commit.message.clone(),
            files,
            first,
            is_more: differing.next().is_some(),
        });
        Ok(())
    }

    fn add_stage(
        &mut self,
        store: &Store,
        (old, new): (Of<'_>, Of<'_>),
        same: &mut BTreeSet<&str>,
        most: usize,
    ) -> Result<()> {
        let stamp = |side: Of<'_>| side.and_then(|(_, commit)| commit.pipeline.clone());
        let (old_stamp, new_stamp) = (stamp(old), stamp(new));
        let Some(name) = new_stamp.as_ref().or(old_stamp.as_ref()).map(|stamp| stamp.name.clone()) else {
            return Ok(());
        };
        let changes = match (old.zip(old_stamp.as_ref()), new.zip(new_stamp.as_ref())) {
            (Some(((_, old_commit), old)), Some(((_, new_commit), new))) => {
                changes(store, (old, old_commit), (new, new_commit))?
            }
            _ => Vec::new(),
        };
        for change in &changes {
            // A variable counts as part of the environment.
            same.remove(change.field.split('.').next().unwrap_or_default());
        }
        if old_stamp.is_some() && new_stamp.is_some() && changes.is_empty() {
            self.same_stages.push(name.clone());
        } else {
            let code = |stamp: &Option<PipelineStamp>| {
                let tree = stamp.as_ref().and_then(|stamp| stamp.code.as_ref()).and_then(|code| code.tree);
                tree.map_or(Tree::empty(), Tree::at)
            };
            let code = (code(&old_stamp), code(&new_stamp));
            self.stages.push(StageCause {
                pipeline: name.clone(),
                old_version: old_stamp.map(|stamp| stamp.version),
                new_version: new_stamp.map(|stamp| stamp.version),
                changes,
                code: (code.0 != code.1).then_some(code),
            });
        }
        let Some((new_id, new_commit)) = new else { return Ok(()) };
        if old.is_none_or(|(id, _)| id != new_id) {
            let datums = |commit: &Commit| commit.datums.map_or(DatumMap::empty(), DatumMap::at);
            let before = old.map_or(DatumMap::empty(), |(_, commit)| datums(commit));
            self.ran.push(ran(store, name, (before, datums(new_commit)), most)?);
        }
        Ok(())
    }
}

/// What differs between two trees: if only a part of it is counted, without looking for renames.
fn differing<'s>(
    store: &'s Store,
    old: Tree,
    new: Tree,
    most: usize,
) -> Result<Box<dyn Iterator<Item = Result<Entry, RepoError>> + 's>> {
    if most == usize::MAX {
        return Ok(Box::new(entries(store, old, new, &FilePath::root())?));
    }
    Ok(Box::new(files::diff(store, old, new, None)?.map(|change| change.map(Entry::from))))
}

/// The differences between two versions: fields of the transform, the code as a whole, then other fields of the spec.
fn changes(
    store: &Store,
    (old, old_commit): (&PipelineStamp, &Commit),
    (new, new_commit): (&PipelineStamp, &Commit),
) -> Result<Vec<FieldChange>> {
    let change = |field: &str, old, new| FieldChange { field: field.to_owned(), old, new, old_by: None, new_by: None };
    let mut changes = Vec::new();
    for found in transform_changes(store, old_commit, new_commit)? {
        let field = found.field.strip_prefix("transform.").unwrap_or(&found.field);
        if !field.starts_with("code") {
            changes.push(change(field, found.old, found.new));
        } else if changes.last().is_none_or(|last: &FieldChange| last.field != "code") {
            changes.push(change("code", code_words(old), code_words(new)));
        }
    }
    if old.spec != new.spec {
        let value = |digest| store.document::<SpecDocument>(digest).map(|document| document.0);
        let (old, new) = (value(&old.spec)?, value(&new.spec)?);
        let text = |spec: &Value, field: &str| spec.get(field).map(Value::to_string);
        let fields = fields_that_differ(&old, &new).into_iter().filter(|field| !SILENT.contains(&field.as_str()));
        changes.extend(fields.map(|field| change(&format!("spec.{field}"), text(&old, &field), text(&new, &field))));
    }
    Ok(changes)
}

/// The code of a version: how it compares with git, and its tree.
fn code_words(stamp: &PipelineStamp) -> Option<String> {
    let code = stamp.code.as_ref()?.checked();
    let tree = code.tree.map(|tree| format!("tree {}", tree.short(8)))?;
    let git = code.git_code.filter(|check| check.commit.is_some());
    Some(git.map_or_else(|| tree.clone(), |check| check.in_words(&format!("{tree},"), 8, 3)))
}

fn ran(store: &Store, pipeline: PipelineName, (old, new): (DatumMap, DatumMap), most: usize) -> Result<Ran> {
    let datums = || KeyRange::prefix([prefix::DATUM]);
    let (mut ran, mut is_more) = (0, false);
    let mut jobs: BTreeMap<String, u64> = BTreeMap::new();
    for change in old.diff_range(store, new, datums())? {
        let Some(result) = change?.new.as_deref().and_then(result_in) else { continue };
        if ran == most as u64 {
            is_more = true;
            break;
        }
        ran += 1;
        if ran <= RESULTS as u64 {
            let result: ResultDocument = store.document(&result)?;
            *jobs.entry(job_of(&result)).or_default() += 1;
        }
    }
    let mut jobs: Vec<(String, u64)> = jobs.into_iter().collect();
    jobs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(Ran { pipeline, ran, total: new.range_totals(store, &datums())?.entries, jobs, is_more })
}
