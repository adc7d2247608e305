//! From one file to everything that read it.
//!
//! A job tells which commits it took; where one of these has the file, the datums that read it follow from its path
//! (`Shape::readers`), and their results are looked up in the map of datums of the job's output. So nothing grows with the number of
//! datums that did not read it. What they wrote is followed in the same way.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use repos::documents::{Commit, Recipe, Reference, ResultDocument};
use repos::files;
use repos::history::{PathHistory, What};
use repos::journal::RepoKind;
use repos::store::Resolved;
use repos::tree::{FileEntry, KeyRange, PathKind, Tree, directory_range, path_of};
use repos::{JobRow, RepoError, Store};
use specs::{CommitId, Digest, FilePath, PipelineName, RepoName};

use super::nodes::{AtHead, Forward, ForwardPeriod, ForwardPlace, Made, Mention, Now, Reader, Start};
use engine::Result;
use engine::datums::{DatumMap, result_in};
use engine::datums::{Shape, prefix};
use engine::graph::{BranchOf, Graph, Pipeline, Versions};

/// How far a trace goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardOptions {
    /// Look at every run that saw these bytes, under whatever path people gave them; else only at the run of the commit.
    pub all_runs: bool,
    /// No further than this many datums.
    pub depth: Option<usize>,
    /// Of a commit only the files that it brought: added, or with other bytes than in its parent.
    pub brought: bool,
    /// Follow every file of a large directory or commit, not only the first ones.
    pub all_files: bool,
}

/// Files of a directory or commit that are followed.
const FOLLOWED: usize = 1000;
/// Files of which all other places are looked for.
const PLACED: usize = 64;

/// Every datum that read the file at `at`, or read what came of it, also those that wrote nothing; of a directory or commit those that read
/// any of its files.
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
        // Of the bytes of one start: which one does not matter, for a file is named by its bytes.
        let Some(of) = starts.iter().find(|of| place.digest == of.file.digest) else { continue };
        search.follow(Found {
            repo: place.repo.clone(),
            commit: place.first.commit,
            path: place.path.clone(),
            ..of.clone()
        });
    }
    while let Some(found) = search.open.pop_front() {
        search.readers_of(&found)?;
    }
    let is_unread = search.readers.is_empty() && !search.cut && !options.all_runs;
    let read_in_other_jobs = if is_unread { other_jobs(store, &starts)? } else { Vec::new() };
    let (now, digest) = match (&start, starts.first()) {
        (None, Some(one)) => (Some(now(store, at, one)?), Some(one.file.digest)),
        _ => (None, None),
    };
    let size_bytes = starts.iter().map(|one| one.file.size).sum();
    let Search { mut readers, order, present, cut, .. } = search;
    // Those that were deleted come last, in the order in which they were found.
    let position = |name: &PipelineName| order.iter().take(present).position(|other| other == name).unwrap_or(present);
    readers.sort_by_key(|reader| position(&reader.pipeline));
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
    })
}

/// The files that are asked about; how many of a directory or commit there are.
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
    // On a branch that was moved elsewhere the path may never have had a file.
    let newest = PathHistory::new(store, &start.repo, head, &start.path).next().transpose()?;
    let since = newest.map(|(commit, _)| mention(store, commit)).transpose()?;
    Ok(Now { branch, state, since })
}

/// Jobs of which some datum read the bytes at these paths, of all runs; newest first, and no more than a few.
fn other_jobs(store: &Store, starts: &[Found]) -> Result<Vec<String>> {
    const MOST: usize = 10;
    let mut search = Search::new(store, ForwardOptions { all_runs: true, ..ForwardOptions::default() })?;
    starts.iter().take(PLACED).try_for_each(|start| search.readers_of(start))?;
    let jobs: BTreeSet<(u64, String)> =
        search.readers.iter().map(|reader| (reader.order, reader.job.clone())).collect();
    Ok(jobs.into_iter().rev().map(|(_, job)| job).take(MOST).collect())
}

/// Where the bytes of a file are and were among what people committed. Empty files say nothing: of these only the path itself counts.
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

/// A file to follow, after this many datums.
#[derive(Debug, Clone)]
struct Found {
    repo: RepoName,
    commit: CommitId,
    path: FilePath,
    file: FileEntry,
    depth: usize,
}

/// What makes two files one in this search: in one run the commit, in all runs the bytes.
type Seen = (RepoName, Option<CommitId>, FilePath, Digest);

/// A job and the repositories whose commits it took.
type JobOf = (JobRow, BTreeSet<RepoName>);

struct Search<'a> {
    store: &'a Store,
    options: ForwardOptions,
    /// Pipelines, upstream first, and then those that were deleted.
    order: Vec<PipelineName>,
    /// How many of them were not deleted.
    present: usize,
    pipelines: Versions,
    /// For all runs: the jobs of a pipeline, newest first, with the repositories whose commits they took.
    jobs: HashMap<PipelineName, Arc<Vec<JobOf>>>,
    heads: HashMap<BranchOf, Option<Tree>>,
    files: HashSet<Seen>,
    /// Results that were found.
    results: HashSet<(PipelineName, Digest)>,
    open: VecDeque<Found>,
    readers: Vec<Reader>,
    cut: bool,
}

impl<'a> Search<'a> {
    fn new(store: &'a Store, options: ForwardOptions) -> Result<Self> {
        let mut order: Vec<PipelineName> =
            Graph::load(store)?.in_order().iter().map(|pipeline| pipeline.name().clone()).collect();
        // What a pipeline that was deleted read stays true.
        let deleted = store.pipelines_ever()?.into_iter().filter(|name| !order.contains(name)).collect::<Vec<_>>();
        let present = order.len();
        order.extend(deleted);
        Ok(Self {
            store,
            options,
            order,
            present,
            pipelines: Versions::default(),
            jobs: HashMap::new(),
            heads: HashMap::new(),
            files: HashSet::new(),
            results: HashSet::new(),
            open: VecDeque::new(),
            readers: Vec::new(),
            cut: false,
        })
    }

    fn follow(&mut self, found: Found) {
        let commit = (!self.options.all_runs).then_some(found.commit);
        if self.files.insert((found.repo.clone(), commit, found.path.clone(), found.file.digest)) {
            self.open.push_back(found);
        }
    }

    fn readers_of(&mut self, found: &Found) -> Result<()> {
        let is_last = self.options.depth.is_some_and(|depth| found.depth >= depth);
        for name in self.order.clone() {
            for job in self.jobs(&name, found)? {
                if is_last {
                    self.cut = true;
                    return Ok(());
                }
                self.readers_in(&job, found)?;
            }
        }
        Ok(())
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
        self.store.visit_jobs(pipeline, u64::MAX, |job| {
            rows.push(job);
            ControlFlow::Continue(())
        })?;
        let mut jobs = Vec::new();
        for job in rows {
            if let Some(output) = job.commit {
                let origins = self.store.commit(&output)?.provenance.into_iter();
                jobs.push((job, origins.map(|origin| origin.repo).collect()));
            }
        }
        let jobs = Arc::new(jobs);
        self.jobs.insert(pipeline.clone(), jobs.clone());
        Ok(jobs)
    }

    /// The job that took the commit: the one of its own run, else the first.
    fn job_of(&self, pipeline: &PipelineName, found: &Found) -> Result<Option<JobRow>> {
        let order = self.store.run_order(&self.store.commit(&found.commit)?.run)?.unwrap_or(0);
        if let Some(job) = self.store.job(order, pipeline)?
            && self.takes(&job, found)?
        {
            return Ok(Some(job));
        }
        let mut first = None;
        let mut failed = Ok(());
        self.store.visit_jobs(pipeline, u64::MAX, |job| {
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
        let mut origins = self.store.commit(&output)?.provenance.into_iter();
        Ok(origins.any(|origin| origin.repo == found.repo && origin.commit == found.commit))
    }

    /// The datums of a job that read the file.
    fn readers_in(&mut self, job: &JobRow, found: &Found) -> Result<()> {
        let Some(id) = job.commit else { return Ok(()) };
        let commit = self.store.commit(&id)?;
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

    /// As the pipeline was when the job ran.
    fn pipeline(&mut self, job: &JobRow) -> Result<Rc<Pipeline>> {
        self.pipelines.get(self.store, &job.pipeline, job.version)
    }

    /// The trees that a job's leaves took, and which of them hold the file; `None` when none does.
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
                tree = Tree::at(self.store.commit(&origin.commit)?.tree);
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

    /// Whether a result says that it read these bytes outside its recipe.
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
        let recipe: Recipe = self.store.document(&result.recipe.digest())?;
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

    /// The files at the head of a branch; `None` when there is none.
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
