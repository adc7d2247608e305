//! What the tests of whole runs share: a store, pipelines, commits and an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use repos::documents::{ExecutorKind, SpecDocument, Transform, VersionDocument};
use repos::files::Edits;
use repos::journal::{CauseKind, Entry, Move, RepoKind, SealedState};
use repos::time::Clock;
use repos::tree::{FileEntry, KeyRange, Tree};
use repos::{Change, JobRow, OpenOptions, Store, Timestamp};
use specs::{CommitId, PipelineName, RepoName};

use engine::apply::{self, Applied, Request};
use engine::changes::{self, Committed, NewCommit};
use engine::run::Actor;
use engine::{Engine, Graph, Pipeline, Selection};
use sandbox::scripted::{Call, Reply, ScriptedExecutor};

/// Calls of commands: the pipeline and the inputs that it saw.
pub(super) type Calls = Vec<(String, Vec<String>)>;

/// A store and everything needed to run pipelines on it.
pub(super) struct Setting {
    pub(super) store: Store,
    pub(super) by: Actor,
    /// Every call of a command since the last check.
    pub(super) calls: Arc<Mutex<Calls>>,
    pub(super) _folder: tempfile::TempDir,
}

impl Setting {
    pub(super) fn new() -> Self {
        Self::of(&OpenOptions::default())
    }

    pub(super) fn of(options: &OpenOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = options.init(folder.path(), "main".parse().unwrap()).unwrap();
        store.own().unwrap();
        let by = Actor { author: "anna".to_owned(), committer: "uid:0@test".to_owned() };
        Self { store, by, calls: Arc::default(), _folder: folder }
    }

    pub(super) fn repo(&self, name: &str) -> &Self {
        changes::create_repo(&self.store, &name.parse().unwrap()).unwrap();
        self
    }

    /// Commits files; `None` removes one.
    pub(super) fn put<'a>(&self, repo: &str, files: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> CommitId {
        self.put_on(repo, "main", files)
    }

    /// Commits files to an existing branch.
    pub(super) fn put_on<'a>(
        &self,
        repo: &str,
        branch: &str,
        files: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> CommitId {
        let (repo, branch): (RepoName, _) = (repo.parse().unwrap(), branch.parse().unwrap());
        let mut edits = Edits::default();
        for (path, content) in files {
            let file = content.map(|content| {
                let stored = self.store.put_bytes(content.as_bytes()).unwrap();
                FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false }
            });
            edits.files.insert(path.parse().unwrap(), file);
        }
        let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &self.by, message: "test" };
        match changes::commit(&self.store, &new, |_| Ok(edits.clone())).unwrap().0 {
            Committed::Made { commit, .. } => commit,
            Committed::Unchanged { .. } => panic!("the test changes nothing"),
        }
    }

    /// Commits a tree that no put could have made.
    pub(super) fn commit_tree(&self, repo: &str, tree: Tree) {
        let branch: (RepoName, _) = (repo.parse().unwrap(), "main".parse().unwrap());
        let run = engine::run::new_run();
        let commit = changes::user_commit(&self.store, run, (&branch.0, &branch.1), &self.by, tree);
        let to = Some(self.store.put_commit(&commit).unwrap());
        let moves = vec![Move { repo: branch.0, branch: branch.1, from: None, to }];
        let cause = engine::run::cause(&self.store, CauseKind::Commit, &self.by, Vec::new());
        self.store.publish(&changes::run_change(&self.store, run, cause, moves).unwrap()).unwrap();
    }

    /// Stores a pipeline version, as `apply` does for one without image or code, and starts its run.
    pub(super) fn pipeline(&self, yaml: &str) -> &Self {
        let set = specs::parse_specs(&[("test.yml".to_owned(), yaml.to_owned())]);
        assert!(!set.has_errors(), "{:?}", set.diagnostics);
        let spec = set.specs[0].spec.clone();
        let name = spec.name.clone();
        let transform = Transform {
            image: None,
            host: None,
            cmd: spec.transform.cmd.clone(),
            stdin: Vec::new(),
            env: spec.transform.env.clone(),
            user: None,
            working_dir: None,
            code: None,
            code_path: None,
            network: specs::Network::None,
            secrets: Vec::new(),
            salt: None,
            host_files: BTreeMap::new(),
        };
        let version = self.store.pipeline_versions(&name).unwrap().len() as u32 + 1;
        let document = VersionDocument {
            name: name.clone(),
            version,
            spec: self.store.put_document(&SpecDocument(serde_json::to_value(&spec).unwrap())).unwrap(),
            transform: self.store.put_document(&transform).unwrap(),
            executor: ExecutorKind::Process,
            default_branch: "main".parse().unwrap(),
            image: None,
            code: None,
            entrypoint: Vec::new(),
        };
        let digest = self.store.put_document(&document).unwrap();
        let mut graph = Graph::clone(&Graph::load(&self.store).unwrap());
        let pipeline = Pipeline { document: digest, version: document, spec };
        let (repo, branch) = pipeline.output_branch();
        graph.pipelines.insert(name.clone(), Arc::new(pipeline));
        let mut entries = Vec::new();
        let mut moves = Vec::new();
        if version == 1 {
            entries.push(Entry::RepoCreate { repo: repo.clone(), repo_kind: RepoKind::Output });
            moves.push(Move { repo, branch, from: None, to: None });
        }
        entries.push(Entry::PipelineApply { pipeline: name.clone(), version, document: digest });
        let jobs = graph.jobs_after(&self.store, &moves, &BTreeSet::from([name])).unwrap();
        let cause = engine::run::cause(&self.store, CauseKind::Apply, &self.by, Vec::new());
        entries.push(Entry::Run { run: engine::run::new_run(), cause, moves, jobs });
        self.store.publish(&Change::of(entries)).unwrap();
        self
    }

    /// Runs what is pending. The command copies its inputs to `/pfs/out/<first argument>/<path>`; the content `bad` fails.
    pub(super) async fn run(&self) {
        self.run_with(copy).await;
    }

    pub(super) async fn run_with(&self, command: impl Fn(Call) -> Reply + Send + Sync + 'static) {
        let engine = self.engine(command).await;
        engine.run(Selection::All).await.unwrap();
    }

    pub(super) async fn engine(&self, command: impl Fn(Call) -> Reply + Send + Sync + 'static) -> Engine {
        let calls = self.calls.clone();
        let executor = ScriptedExecutor::new(move |call| {
            let seen = (call.cmd[0].clone(), call.inputs.keys().cloned().collect());
            calls.lock().unwrap().push(seen);
            command(call)
        });
        Engine::new(self.store.clone(), self.by.clone(), Arc::new(executor), 2).await.unwrap()
    }

    /// The inputs that commands of a pipeline saw since the last check, sorted.
    pub(super) fn seen(&self, pipeline: &str) -> Vec<String> {
        let mut calls = self.calls.lock().unwrap();
        let (mine, others): (Vec<_>, Vec<_>) = calls.drain(..).partition(|(name, _)| name == pipeline);
        *calls = others;
        let mut seen: Vec<String> = mine.into_iter().map(|(_, inputs)| inputs.join("+")).collect();
        seen.sort();
        seen
    }

    /// The files at a branch's head.
    pub(super) fn files(&self, repo: &str) -> BTreeMap<String, String> {
        self.files_in(self.store.head(&repo.parse().unwrap(), &"main".parse().unwrap()).unwrap())
    }

    /// The files of a commit.
    pub(super) fn files_in(&self, head: CommitId) -> BTreeMap<String, String> {
        let tree = Tree::at(self.store.commit(&head).unwrap().tree);
        let entries = tree.range(&self.store, KeyRange::all()).unwrap();
        entries
            .map(|entry| {
                let (path, file) = entry.unwrap();
                let content = self.store.read_file(&file, 0..file.size).unwrap();
                (String::from_utf8(path).unwrap(), String::from_utf8(content.to_vec()).unwrap())
            })
            .collect()
    }

    /// Applies specs as `pv pipeline apply` does, with an executor that knows no images.
    pub(super) async fn apply(&self, yaml: &str) -> engine::Result<Applied> {
        self.apply_from(Path::new("/nonexistent"), yaml).await
    }

    /// Applies specs as `pv pipeline apply -f FOLDER/p.yml` does, with an executor that knows no images.
    pub(super) async fn apply_from(&self, folder: &Path, yaml: &str) -> engine::Result<Applied> {
        self.apply_listed(&[("p.yml".to_owned(), folder.into())].into(), yaml).await
    }

    /// The same, from these sources.
    pub(super) async fn apply_listed(&self, sources: &apply::SpecSources, yaml: &str) -> engine::Result<Applied> {
        let set = specs::parse_specs(&[("p.yml".to_owned(), yaml.to_owned())]);
        let executor = ScriptedExecutor::new(copy);
        let request = Request { set: &set, sources, by: &self.by, dry: false, on_pull: &|_| {}, announce: &|_| {} };
        apply::apply(&self.store, &executor, request).await
    }

    /// The jobs of a pipeline.
    pub(super) fn jobs(&self, pipeline: &str) -> Vec<JobRow> {
        let mut jobs = Vec::new();
        let pipeline = pipeline.parse().unwrap();
        let visit = |job| {
            jobs.insert(0, job);
            std::ops::ControlFlow::Continue(())
        };
        self.store.visit_jobs(&pipeline, u64::MAX, visit).unwrap();
        jobs
    }

    /// The head of a branch.
    pub(super) fn head(&self, repo: &str, branch: &str) -> Option<CommitId> {
        self.store.find_branch(&repo.parse().unwrap(), &branch.parse().unwrap()).unwrap().unwrap().commit
    }

    /// The reason in a job's document.
    pub(super) fn reason(&self, job: &JobRow) -> String {
        let document: repos::documents::JobDocument = self.store.document(&job.document.unwrap()).unwrap();
        document.reason.unwrap_or_default()
    }

    /// The newest job of a pipeline.
    pub(super) fn job(&self, pipeline: &str) -> JobRow {
        self.store.newest_job(&pipeline.parse::<PipelineName>().unwrap()).unwrap().unwrap()
    }

    pub(super) fn state(&self, pipeline: &str) -> SealedState {
        self.job(pipeline).sealed.expect("the job has ended")
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(super) struct StandingClock(AtomicI64);

impl StandingClock {
    /// At a time in RFC 3339.
    pub(super) fn at(time: &str) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.parse::<Timestamp>().unwrap().as_micros())))
    }

    pub(super) fn set(&self, time: &str) {
        self.0.store(time.parse::<Timestamp>().unwrap().as_micros(), Ordering::Relaxed);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Copies inputs to `/pfs/out/<path>`, with the command's name appended to their content.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a command")]
pub(super) fn copy(call: Call) -> Reply {
    let read: Vec<&str> = call.inputs.keys().map(String::as_str).collect();
    let log = format!("{} reads {}\n", call.cmd[0], read.join(", "));
    let mut reply = Reply { log: log.into_bytes(), ..Reply::default() };
    for (path, bytes) in &call.inputs {
        if bytes == b"bad" {
            reply.code = 1;
        }
        let (_, below) = path.split_once('/').unwrap();
        let content = format!("{}|{}", String::from_utf8_lossy(bytes), call.cmd[0]);
        reply.files.insert(below.to_owned(), content.into_bytes());
    }
    reply
}
