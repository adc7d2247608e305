//! From one file forward to everything that read it.
//!
//! A job records its input commits; if one of these has the file, its path determines the datums that read it (`Shape::readers`), and their
//! results are looked up in the datums map of the job's output. So the cost does not depend on the number of datums that did not read it.
//! Their outputs are followed in the same way.
//!
//! From a directory or commit, the first 1,000 files are followed, unless all are requested. With all runs, the datums map is searched once
//! for each job of a pipeline that took the repository, so the cost is O(jobs · log n), not O(datums). Other paths with the same content
//! count only in users' repositories; they are searched for the first 64 files and never for an empty file. Of each path, the newest ten
//! periods are listed and the earlier ones are counted. Trials are left out.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use repos::documents::{Commit, Reference, ResultDocument};
use repos::files;
use repos::history::{PathHistory, What};
use repos::journal::RepoKind;
use repos::store::Resolved;
use repos::tree::{FileEntry, KeyRange, PathKind, Tree, directory_range, path_of};
use repos::{JobRow, RepoError, Store};
use specs::{CommitId, Digest, FilePath, PipelineName, RepoName};

use super::nodes::{AtHead, Forward, ForwardPeriod, ForwardPlace, Made, Mention, Now, Reader, Start};
use crate::sight::{self, InputSight};
use engine::Result;
use engine::datums::{DatumMap, result_in};
use engine::datums::{Shape, prefix};
use engine::graph::{BranchOf, Graph, Pipeline, Versions};

/// How far forward a trace reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardOptions {
    /// Include every run that read this content, under whatever path users committed it; otherwise only the run of the commit.
    pub all_runs: bool,
    /// Maximum number of datums to follow in a chain.
    pub depth: Option<usize>,
    /// For a commit, only the files that it introduced: added, or with content that differs from its parent's.
    pub brought: bool,
    /// Follow every file of a large directory or commit, not only the first ones.
    pub all_files: bool,
    /// Maximum number of datums to find; `None` for all.
    pub most: Option<usize>,
}

/// Maximum number of files of a directory or commit that are followed.
const FOLLOWED: usize = 1000;
/// Maximum number of files whose other places are searched.
const PLACED: usize = 64;

/// Every datum that read the file at `at`, or something derived from it, including datums that wrote nothing; for a directory or commit,
/// those that read any of its files.
pub fn forward(store: &Store, at: &Resolved, options: ForwardOptions) -> Result<Forward> {
    let (starts, start) = starts(store, at, options)?;
    let mut places = Vec::new();
    let mut search = Search::new(store, options)?;
    for (number, found) in starts.iter().enumerate() {
        search.follow(found.clone());
        if options.all_runs && number < PLACED {
            places.extend(self::places(store, found)?);
        }
    }
    for place in &places {
        // The content of a start; it does not matter which one, because a file is identified by its content.
        let Some(of) = starts.iter().find(|of| place.digest == of.file.digest) else { continue };
        search.follow(Found {
            repo: place.repo.clone(),
            commit: place.first.commit,
            path: place.path.clone(),
            ..of.clone()
        });
    }
    while let Some(found) = search.open.pop_front() {
        if search.is_full() {
            search.cut = true;
            break;
        }
        search.readers_of(&found)?;
    }
    let is_unread = search.readers.is_empty() && !search.cut && !options.all_runs;
    let read_in_other_jobs = if is_unread { other_jobs(store, &starts)? } else { Vec::new() };
    let (now, digest) = match (&start, starts.first()) {
        (None, Some(one)) => (Some(now(store, at, one)?), Some(one.file.digest)),
        _ => (None, None),
    };
    let size_bytes = starts.iter().map(|one| one.file.size).sum();
    let not_visible = search.hidden_readers.len() as u64;
    let Search { mut readers, order, present, cut, .. } = search;
    // Deleted pipelines come last, in the order in which they were found.
    let positions: HashMap<&PipelineName, usize> =
        order.iter().take(present).enumerate().map(|(at, name)| (name, at)).collect();
    readers.sort_by_key(|reader| positions.get(&reader.pipeline).copied().unwrap_or(present));
    let (repo, commit, path) = (at.commit.repo.clone(), at.id, at.path.clone());
    let all_runs = options.all_runs;
    Ok(Forward {
        repo,
        commit,
        path,
        digest,
        size_bytes,
        start,
        now,
        all_runs,
        places,
        readers,
        read_in_other_jobs,
        cut,
        not_visible,
    })
}

/// The requested files; for a directory or commit also their number.
fn starts(store: &Store, at: &Resolved, options: ForwardOptions) -> Result<(Vec<Found>, Option<Start>)> {
    let found = |path: FilePath, file| Found { repo: at.commit.repo.clone(), commit: at.id, path, file, depth: 0 };
    let kind = files::kind_at(store, at.tree(), &at.place(), &at.path)?;
    if let PathKind::File(file) = kind {
        return Ok((vec![found(at.path.clone(), file)], None));
    }
    let most = if options.all_files { usize::MAX } else { FOLLOWED };
    let mut starts = Vec::new();
    let mut count = 0;
    if options.brought {
        for change in files::changes_of(store, &at.commit, None)? {
            let change = change?;
            let Some(file) = change.new else { continue };
            if change.old.is_none_or(|old| old.digest != file.digest) {
                count += 1;
                if starts.len() < most {
                    starts.push(found(change.path, file));
                }
            }
        }
    } else {
        for entry in at.tree().range(store, directory_range(&at.path))?.take(most) {
            let (key, file) = entry?;
            starts.push(found(path_of(&key).map_err(RepoError::from)?, file));
        }
        count = at.tree().range_totals(store, &directory_range(&at.path))?.entries;
    }
    let left_out = count - starts.len() as u64;
    Ok((starts, Some(Start { brought: options.brought, files: count, left_out })))
}

/// What the head of the commit's branch has at the path.
fn now(store: &Store, at: &Resolved, start: &Found) -> Result<Now> {
    let branch = at.commit.branch.clone();
    let head = store.find_branch(&start.repo, &branch)?.and_then(|row| row.commit);
    let Some(head) = head else { return Ok(Now { branch, state: AtHead::NoBranch, since: None }) };
    let file = Tree::at(store.commit(&head)?.tree).file(store, &start.path)?;
    let state = match file {
        Some(file) if file.digest == start.file.digest => return Ok(Now { branch, state: AtHead::Same, since: None }),
        Some(_) => AtHead::Other,
        None => AtHead::Gone,
    };
    // On a branch that was moved, the path may never have had a file.
    let newest = PathHistory::new(store, &start.repo, head, &start.path).next().transpose()?;
    let since = newest.map(|(commit, _)| mention(store, commit)).transpose()?;
    Ok(Now { branch, state, since })
}

/// Jobs of any run in which a datum read the content at these paths; newest first, only a few.
fn other_jobs(store: &Store, starts: &[Found]) -> Result<Vec<String>> {
    const MOST: usize = 10;
    let mut search = Search::new(store, ForwardOptions { all_runs: true, ..ForwardOptions::default() })?;
    starts.iter().take(PLACED).try_for_each(|start| search.readers_of(start))?;
    let jobs: BTreeSet<(u64, String)> =
        search.readers.iter().map(|reader| (reader.order, reader.job.clone())).collect();
    Ok(jobs.into_iter().rev().map(|(_, job)| job).take(MOST).collect())
}

/// Where the content of a file is and was among users' files. Empty files prove nothing: for these only the path itself counts.
fn places(store: &Store, start: &Found) -> Result<Vec<ForwardPlace>> {
    let mut places = Vec::new();
    for found in files::find(store, &What::Bytes(start.file.digest))? {
        let is_asked = (&found.repo, &found.path) == (&start.repo, &start.path);
        let is_of_people = store.repo(&found.repo)?.kind == RepoKind::User;
        if is_asked || (is_of_people && start.file.size > 0) {
            let files::Found { repo, path, first, at_head, periods, periods_before, .. } = found;
            let periods: Vec<_> = periods.iter().map(|one| period(store, &path, one)).collect::<Result<_>>()?;
            let last = periods.last();
            let (ended_by, removed) =
                (last.and_then(|last| last.ended_by.clone()), last.is_some_and(|last| last.removed));
            let first = mention(store, first)?;
            let digest = start.file.digest;
            places.push(ForwardPlace {
                repo,
                path,
                digest,
                first,
                ended_by,
                removed,
                at_head,
                periods,
                periods_before,
            });
        }
    }
    places.sort_by_key(|place| (&place.repo, &place.path) != (&start.repo, &start.path));
    Ok(places)
}

fn period(store: &Store, path: &FilePath, period: &files::Period) -> Result<ForwardPeriod> {
    let files::Period { first, last, ended_by, at_head, .. } = *period;
    let after = ended_by.map(|commit| store.commit(&commit)).transpose()?;
    let after = after.map(|commit| Tree::at(commit.tree).file(store, path)).transpose()?;
    let ended_by = ended_by.map(|commit| mention(store, commit)).transpose()?;
    Ok(ForwardPeriod { first: mention(store, first)?, last, ended_by, removed: after == Some(None), at_head })
}

fn mention(store: &Store, commit: CommitId) -> Result<Mention> {
    let Commit { author, message, created_at, .. } = store.commit(&commit)?;
    Ok(Mention { commit, author, message, created_at })
}

/// A file to follow, at this distance in datums.
#[derive(Debug, Clone)]
struct Found {
    repo: RepoName,
    commit: CommitId,
    path: FilePath,
    file: FileEntry,
    depth: usize,
}

/// Identifies a file in this search: within one run by its commit, across runs by its content.
type Seen = (RepoName, Option<CommitId>, FilePath, Digest);

/// What jobs took: a commit of a repository, or with all runs any of its commits.
type Taken = (RepoName, Option<CommitId>);

/// A job and the repositories of its input commits.
type JobOf = (JobRow, BTreeSet<RepoName>);

struct Search<'a> {
    store: &'a Store,
    /// Which datums read a file depends on all inputs, visible or not.
    whole: Store,
    /// The pipelines that ever read a repository, in the order below, then those that are not visible.
    readers_of: HashMap<RepoName, Vec<PipelineName>>,
    /// Pipelines that are not visible, and those of them that took a commit with a file of this search.
    hidden: Vec<PipelineName>,
    hidden_readers: BTreeSet<PipelineName>,
    options: ForwardOptions,
    /// Pipelines, upstream first, followed by deleted ones.
    order: Vec<PipelineName>,
    /// Number of pipelines that are not deleted.
    present: usize,
    pipelines: Versions,
    /// The jobs that took a commit, or with all runs a repository.
    takers: HashMap<Taken, Rc<Vec<JobRow>>>,
    /// For all runs: the jobs of a pipeline, newest first, with the repositories of their input commits.
    jobs: HashMap<PipelineName, Arc<Vec<JobOf>>>,
    heads: HashMap<BranchOf, Option<Tree>>,
    files: HashSet<Seen>,
    /// Results found so far.
    results: HashSet<(PipelineName, Digest)>,
    open: VecDeque<Found>,
    readers: Vec<Reader>,
    cut: bool,
}

/// The pipelines that read a repository, in any of their versions.
fn readers_ever<'p>(
    whole: &Store,
    pipelines: &mut Versions,
    names: impl Iterator<Item = &'p PipelineName>,
) -> Result<HashMap<RepoName, Vec<PipelineName>>> {
    let present = Graph::load(whole)?;
    let mut readers: HashMap<RepoName, Vec<PipelineName>> = HashMap::new();
    for name in names {
        let mut read = BTreeSet::new();
        let mut reads = |pipeline: &Pipeline| {
            read.extend(pipeline.spec.input.leaves().into_iter().map(|leaf| leaf.repo.clone()));
        };
        for row in whole.pipeline_versions(name)? {
            match present.pipelines.get(name).filter(|pipeline| pipeline.version.version == row.version) {
                Some(pipeline) => reads(pipeline),
                None => reads(&*pipelines.get(whole, name, row.version)?),
            }
        }
        for repo in read {
            readers.entry(repo).or_default().push(name.clone());
        }
    }
    Ok(readers)
}

impl<'a> Search<'a> {
    fn new(store: &'a Store, options: ForwardOptions) -> Result<Self> {
        let mut order: Vec<PipelineName> =
            Graph::load(store)?.in_order().iter().map(|pipeline| pipeline.name().clone()).collect();
        // What a deleted pipeline read remains true.
        let known: HashSet<&PipelineName> = order.iter().collect();
        let mut deleted = store.pipelines_ever()?;
        deleted.retain(|name| !known.contains(name));
        let present = order.len();
        order.extend(deleted);
        let whole = store.whole();
        let mut hidden = if store.is_limited() { whole.pipelines_ever()? } else { Vec::new() };
        hidden.retain(|name| !store.sees_pipeline(name));
        let mut pipelines = Versions::default();
        let readers_of = readers_ever(&whole, &mut pipelines, order.iter().chain(&hidden))?;
        Ok(Self {
            store,
            whole,
            readers_of,
            hidden,
            hidden_readers: BTreeSet::new(),
            options,
            order,
            present,
            pipelines,
            takers: HashMap::new(),
            jobs: HashMap::new(),
            heads: HashMap::new(),
            files: HashSet::new(),
            results: HashSet::new(),
            open: VecDeque::new(),
            readers: Vec::new(),
            cut: false,
        })
    }

    /// Whether as many datums are found as are wanted.
    fn is_full(&self) -> bool {
        self.options.most.is_some_and(|most| self.readers.len() >= most)
    }

    fn follow(&mut self, found: Found) {
        let commit = (!self.options.all_runs).then_some(found.commit);
        if self.files.insert((found.repo.clone(), commit, found.path.clone(), found.file.digest)) {
            self.open.push_back(found);
        }
    }

    fn readers_of(&mut self, found: &Found) -> Result<()> {
        let jobs = self.takers(found)?;
        if self.options.depth.is_some_and(|depth| found.depth >= depth) {
            self.cut |= !jobs.is_empty();
            return Ok(());
        }
        for job in jobs.iter() {
            self.readers_in(job, found)?;
        }
        Ok(())
    }

    /// The jobs that may have read a file, in the order of pipelines. They are the same for all files of a commit, or with all runs of a
    /// repository, so they are looked for once.
    fn takers(&mut self, found: &Found) -> Result<Rc<Vec<JobRow>>> {
        let taken = (found.repo.clone(), (!self.options.all_runs).then_some(found.commit));
        if let Some(known) = self.takers.get(&taken) {
            return Ok(known.clone());
        }
        let mut jobs = Vec::new();
        for name in self.readers_of.get(&found.repo).cloned().unwrap_or_default() {
            let of_pipeline = self.jobs(&name, found)?;
            if !self.hidden.contains(&name) {
                jobs.extend(of_pipeline);
            } else if !of_pipeline.is_empty() {
                self.hidden_readers.insert(name);
            }
        }
        let jobs = Rc::new(jobs);
        self.takers.insert(taken, jobs.clone());
        Ok(jobs)
    }

    /// The jobs of a pipeline that may have read the file.
    fn jobs(&mut self, pipeline: &PipelineName, found: &Found) -> Result<Vec<JobRow>> {
        if self.options.all_runs {
            let jobs = self.jobs_of(pipeline)?;
            let of_repo = jobs.iter().filter(|(_, repos)| repos.contains(&found.repo));
            return Ok(of_repo.map(|(job, _)| job.clone()).collect());
        }
        Ok(self.job_of(pipeline, found)?.into_iter().collect())
    }

    /// All jobs of a pipeline that have an output, read once.
    fn jobs_of(&mut self, pipeline: &PipelineName) -> Result<Arc<Vec<JobOf>>> {
        if let Some(known) = self.jobs.get(pipeline) {
            return Ok(known.clone());
        }
        let mut rows = Vec::new();
        self.whole.visit_jobs(pipeline, u64::MAX, |job| {
            rows.push(job);
            ControlFlow::Continue(())
        })?;
        let mut jobs = Vec::new();
        for job in rows {
            if let Some(output) = job.commit {
                let origins = self.whole.commit(&output)?.provenance.into_iter();
                jobs.push((job, origins.map(|origin| origin.repo).collect()));
            }
        }
        let jobs = Arc::new(jobs);
        self.jobs.insert(pipeline.clone(), jobs.clone());
        Ok(jobs)
    }

    /// The job that read the commit: the one of its own run, otherwise the first.
    fn job_of(&self, pipeline: &PipelineName, found: &Found) -> Result<Option<JobRow>> {
        let order = self.store.run_order(&self.store.commit(&found.commit)?.run)?.unwrap_or(0);
        if let Some(job) = self.whole.job(order, pipeline)?
            && self.takes(&job, found)?
        {
            return Ok(Some(job));
        }
        let mut first = None;
        let mut failed = Ok(());
        self.whole.visit_jobs(pipeline, u64::MAX, |job| {
            if job.order < order {
                return ControlFlow::Break(());
            }
            match self.takes(&job, found) {
                Ok(takes) => first = if takes { Some(job) } else { first.take() },
                Err(error) => {
                    failed = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failed.map(|()| first)
    }

    fn takes(&self, job: &JobRow, found: &Found) -> Result<bool> {
        let Some(output) = job.commit else { return Ok(false) };
        let mut origins = self.whole.commit(&output)?.provenance.into_iter();
        Ok(origins.any(|origin| origin.repo == found.repo && origin.commit == found.commit))
    }

    /// The datums of a job that read the file.
    fn readers_in(&mut self, job: &JobRow, found: &Found) -> Result<()> {
        let Some(id) = job.commit else { return Ok(()) };
        let commit = self.whole.commit(&id)?;
        let pipeline = self.pipeline(job)?;
        let Some((trees, holders)) = self.inputs(&commit, &pipeline, found)? else { return Ok(()) };
        let datums = commit.datums.map_or(DatumMap::empty(), DatumMap::at);
        let mut results = datums.cursor(self.store)?;
        let mut readers = Vec::new();
        Shape::of(&pipeline.spec.input).readers(
            self.store,
            (trees, datums),
            &found.path,
            &holders,
            &mut |read_by| {
                let value = results.get(&read_by.key.below(prefix::DATUM))?;
                readers.extend(value.and_then(|value| result_in(&value)).map(|digest| (digest, read_by.by_reference)));
                Ok(())
            },
        )?;
        for (digest, by_reference) in readers {
            if self.is_full() {
                self.cut = true;
                break;
            }
            if self.results.contains(&(pipeline.name().clone(), digest)) {
                continue;
            }
            let result: ResultDocument = self.store.document(&digest)?;
            if by_reference && !self.names(&result.references, found)? {
                continue;
            }
            self.results.insert((pipeline.name().clone(), digest));
            self.reader(job, &pipeline, id, found, &result)?;
        }
        Ok(())
    }

    /// The pipeline's version in the job.
    fn pipeline(&mut self, job: &JobRow) -> Result<Rc<Pipeline>> {
        self.pipelines.get(&self.whole, &job.pipeline, job.version)
    }

    /// The trees of a job's leaves, and which of them contain the file; `None` if none does.
    fn inputs(
        &self,
        commit: &Commit,
        pipeline: &Pipeline,
        found: &Found,
    ) -> Result<Option<(Vec<Tree>, BTreeSet<usize>)>> {
        let (mut trees, mut holders) = (Vec::new(), BTreeSet::new());
        for (number, leaf) in pipeline.spec.input.leaves().into_iter().enumerate() {
            let (repo, branch) = pipeline.input_branch(leaf);
            let origin = commit.provenance.iter().find(|origin| (&origin.repo, &origin.branch) == (&repo, &branch));
            let mut tree = Tree::empty();
            if let Some(origin) = origin {
                tree = Tree::at(self.whole.commit(&origin.commit)?.tree);
                let is_asked = repo == found.repo && (self.options.all_runs || origin.commit == found.commit);
                let seen = if is_asked { tree.file(self.store, &found.path)? } else { None };
                if seen.is_some_and(|seen| seen.digest == found.file.digest) {
                    holders.insert(number);
                }
            }
            trees.push(tree);
        }
        Ok((!holders.is_empty()).then_some((trees, holders)))
    }

    /// Whether a result says that it read this content outside its recipe.
    fn names(&self, references: &[Reference], found: &Found) -> Result<bool> {
        for reference in references.iter().filter(|reference| reference.repo == found.repo) {
            if reference.path == found.path || reference.path.contains(&found.path) {
                let tree = Tree::at(self.store.commit(&reference.commit)?.tree);
                if tree.file(self.store, &found.path)?.is_some_and(|seen| seen.digest == found.file.digest) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn reader(
        &mut self,
        job: &JobRow,
        pipeline: &Pipeline,
        commit: CommitId,
        found: &Found,
        result: &ResultDocument,
    ) -> Result<()> {
        let sight = InputSight::of(self.store, pipeline);
        let (recipe, _) = sight::recipe(self.store, &sight, &result.recipe)?;
        let repo = pipeline.name().output_repo();
        let head = self.head(pipeline.output_branch())?;
        let mut outputs = Vec::new();
        for (path, file) in self.outputs(result)? {
            let at_head = head.map(|tree| tree.file(self.store, &path)).transpose()?.flatten() == Some(file);
            let FileEntry { digest, size, .. } = file;
            outputs.push(Made { path: path.clone(), digest, size_bytes: size, at_head });
            self.follow(Found { repo: repo.clone(), commit, path, file, depth: found.depth + 1 });
        }
        self.readers.push(Reader {
            pipeline: pipeline.name().clone(),
            version: job.version,
            job: format!("{}@{}", job.pipeline, job.run),
            order: job.order,
            datum: result.recipe,
            state: result.state,
            read: (found.repo.clone(), found.path.clone()),
            inputs_count: recipe.inputs.len() + result.references.len(),
            outputs,
        });
        Ok(())
    }

    fn outputs(&self, result: &ResultDocument) -> Result<Vec<(FilePath, FileEntry)>> {
        let Some(outputs) = result.outputs else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for entry in Tree::at(outputs).range(self.store, KeyRange::all())? {
            let (key, file) = entry?;
            files.push((path_of(&key).map_err(RepoError::from)?, file));
        }
        Ok(files)
    }

    /// The files at the head of a branch; `None` if there is no head.
    fn head(&mut self, branch: BranchOf) -> Result<Option<Tree>> {
        if let Some(known) = self.heads.get(&branch) {
            return Ok(*known);
        }
        let head = self.store.find_branch(&branch.0, &branch.1)?.and_then(|row| row.commit);
        let tree = head.map(|head| self.store.commit(&head)).transpose()?.map(|commit| Tree::at(commit.tree));
        self.heads.insert(branch, tree);
        Ok(tree)
    }
}
