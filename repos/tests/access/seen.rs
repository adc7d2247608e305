//! Whatever the globs: nothing that a limited handle returns contains a name, id, digest or message of what it may not see, and everything
//! that it may see is there.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use proptest::prelude::*;
use repos::access::{Access, Role};
use repos::documents::{
    Commit, CommitKind, Document, ExecutorKind, ExecutorStamp, JobDocument, PipelineStamp, Provenance, Recipe,
    ResultDocument, ResultState, Source, SpecDocument, TagDocument, Transform, VersionDocument,
};
use repos::history::What;
use repos::journal::{Cause, CauseKind, Entry, JobSeed, Move, RepoKind, SealedState};
use repos::object::Kind;
use repos::store::Then;
use repos::tree::Tree;
use repos::{Change, RepoError, Store, Timestamp};
use serde_json::json;
use specs::{BranchName, CommitId, DatumId, Digest, ErrorKind, FilePath, PipelineName, RepoName, RunId};

use super::common::{START, TestStore, edits, name};

/// A repository, and everything by which it could be recognised.
struct Known {
    repo: RepoName,
    marks: Vec<String>,
    commits: Vec<CommitId>,
    runs: Vec<RunId>,
    contents: Vec<Digest>,
}

struct World {
    test: TestStore,
    repos: Vec<Known>,
    datums: Vec<(PipelineName, DatumId, Digest)>,
    documents: Vec<(RepoName, Kind, Digest)>,
}

const USERS: [&str; 3] = ["zebra", "walrus", "wombat"];
/// Each pipeline with its inputs.
const PIPELINES: [(&str, &[&str]); 3] =
    [("yak-out", &["zebra", "walrus"]), ("weasel-out", &["yak-out", "wombat"]), ("zorilla-out", &["wombat"])];

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(START + seconds * 1_000_000)
}

fn run_id() -> RunId {
    RunId::from_bytes(repos::random_bytes())
}

fn cause(kind: CauseKind, of: &str, refs: Vec<String>) -> Cause {
    Cause {
        kind,
        author: Some(format!("author-of-{of}")),
        committer: format!("committer-of-{of}"),
        at: at(1),
        refs,
        message: Some(format!("reason-of-{of}")),
    }
}

impl World {
    fn new() -> Self {
        let test = TestStore::new();
        let mut world = Self { test, repos: Vec::new(), datums: Vec::new(), documents: Vec::new() };
        for repo in USERS {
            world.user(repo);
        }
        for (pipeline, inputs) in PIPELINES {
            world.apply(pipeline, inputs);
        }
        world.commit_all();
        world
    }

    fn known(&mut self, repo: &str) -> &mut Known {
        let repo = name(repo);
        if let Some(at) = self.repos.iter().position(|known| known.repo == repo) {
            return &mut self.repos[at];
        }
        let marks =
            ["", "author-of-", "committer-of-", "reason-of-", "message-of-", "tag-of-", "file-of-", "content-of-"];
        let marks = marks.iter().map(|mark| format!("{mark}{repo}")).collect();
        let none = Known { repo, marks, commits: Vec::new(), runs: Vec::new(), contents: Vec::new() };
        self.repos.push(none);
        self.repos.last_mut().unwrap()
    }

    fn user(&mut self, repo: &str) {
        self.test.create(repo);
        self.known(repo);
    }

    fn apply(&mut self, pipeline: &str, inputs: &[&str]) {
        let store = &self.test.store;
        let leaves: Vec<_> = inputs
            .iter()
            .map(|input| json!({ "pfs": { "repo": input, "glob": format!("/file-of-{input}"), "branch": format!("branch-of-{input}") } }))
            .collect();
        let spec = json!({ "pipeline": { "name": pipeline }, "input": { "cross": leaves } });
        let spec = store.put_document(&SpecDocument(spec)).unwrap();
        let transform: Transform =
            serde_json::from_value(json!({ "cmd": [format!("command-of-{pipeline}")] })).unwrap();
        let transform = store.put_document(&transform).unwrap();
        let document = store
            .put_document(&VersionDocument {
                name: pipeline.parse().unwrap(),
                version: 1,
                spec,
                transform,
                executor: ExecutorKind::Process,
                default_branch: BranchName::main(),
                image: None,
                code: None,
                entrypoint: Vec::new(),
            })
            .unwrap();
        let create = Entry::RepoCreate { repo: name(pipeline), repo_kind: RepoKind::Output };
        let apply = Entry::PipelineApply { pipeline: pipeline.parse().unwrap(), version: 1, document };
        // Nothing but the reference says what this run is about.
        let run = run_id();
        let about = Entry::Run {
            run,
            cause: cause(CauseKind::Apply, pipeline, vec![pipeline.to_owned()]),
            moves: Vec::new(),
            jobs: Vec::new(),
        };
        store.publish(&Change::of(vec![create, apply, about])).unwrap();
        let kinds = [(Kind::Spec, spec), (Kind::Transform, transform), (Kind::Version, document)];
        self.documents.extend(kinds.map(|(kind, digest)| (name(pipeline), kind, digest)));
        let known = self.known(pipeline);
        known.runs.push(run);
        known.marks.extend([spec, transform, document].map(|digest| digest.to_string()));
        known.marks.push(format!("command-of-{pipeline}"));
    }

    fn document(&self, run: RunId, repo: &str, kind: CommitKind) -> Commit {
        let store = &self.test.store;
        let file = format!("/file-of-{repo}");
        let content = format!("content-of-{repo}-{run}");
        let (tree, _) = repos::files::apply(store, Tree::empty(), &edits(store, &[(&file, Some(&content))])).unwrap();
        Commit {
            repo: name(repo),
            branch: format!("branch-of-{repo}").parse().unwrap(),
            parents: Vec::new(),
            tree: tree.root(),
            lineage: None,
            datums: None,
            run,
            kind,
            author: format!("author-of-{repo}"),
            committer: format!("committer-of-{repo}"),
            message: format!("message-of-{repo}"),
            created_at: at(2),
            provenance: Vec::new(),
            sources: Vec::new(),
            origins: Vec::new(),
            pipeline: None,
            job: None,
            error: None,
            journal: None,
        }
    }

    fn record(&mut self, repo: &str, id: CommitId, commit: &Commit) {
        let content = repos::hash::digest_of(format!("content-of-{repo}-{}", commit.run).as_bytes());
        let tree = commit.tree.to_string();
        let known = self.known(repo);
        known.commits.push(id);
        known.contents.push(content);
        known.marks.extend([id.to_string(), content.to_string(), tree]);
    }

    /// One run with a commit in each user repository, a job in each pipeline; and a run of its own in each repository.
    fn commit_all(&mut self) {
        let shared = run_id();
        let mut heads: Vec<(String, CommitId)> = Vec::new();
        for repo in USERS {
            let commit = self.document(shared, repo, CommitKind::User);
            let id = self.test.store.put_commit(&commit).unwrap();
            self.record(repo, id, &commit);
            heads.push((repo.to_owned(), id));
        }
        let moves = heads.iter().map(|(repo, id)| Move {
            repo: name(repo),
            branch: format!("branch-of-{repo}").parse().unwrap(),
            from: None,
            to: Some(*id),
        });
        let jobs = PIPELINES.map(|(pipeline, _)| JobSeed { pipeline: pipeline.parse().unwrap(), version: 1 });
        let refs = USERS.map(|repo| format!("{repo}@branch-of-{repo}")).to_vec();
        let run = Entry::Run {
            run: shared,
            cause: cause(CauseKind::Txn, "all", refs),
            moves: moves.collect(),
            jobs: jobs.to_vec(),
        };
        self.test.store.publish(&Change::of(vec![run])).unwrap();
        for (pipeline, inputs) in PIPELINES {
            let id = self.seal(shared, pipeline, inputs, &heads);
            heads.push((pipeline.to_owned(), id));
        }
        for repo in USERS {
            self.own_run(repo, &heads);
        }
        for (repo, id) in &heads {
            let tag = TagDocument { author: format!("author-of-{repo}"), message: format!("message-of-{repo}") };
            let document = Some(self.test.store.put_document(&tag).unwrap());
            let tag = format!("tag-of-{repo}").parse().unwrap();
            let entry = Entry::TagCreate { repo: name(repo), tag, commit: *id, document };
            self.test.store.publish(&Change::of(vec![entry])).unwrap();
        }
        self.test.store.finish_packs().unwrap();
    }

    /// Ends a job with a commit, and a result that names its inputs.
    fn seal(&mut self, run: RunId, pipeline: &str, inputs: &[&str], heads: &[(String, CommitId)]) -> CommitId {
        let head = |repo: &str| heads.iter().find(|(name, _)| name == repo).unwrap().1;
        let mut commit = self.document(run, pipeline, CommitKind::Output);
        let row = self.test.store.pipeline(&pipeline.parse().unwrap()).unwrap();
        let version: VersionDocument = self.test.store.document(&row.document).unwrap();
        commit.pipeline = Some(PipelineStamp {
            name: version.name.clone(),
            version: 1,
            spec: version.spec,
            transform: version.transform,
            image: None,
            code: None,
        });
        commit.provenance = inputs
            .iter()
            .map(|input| Provenance {
                repo: name(input),
                branch: format!("branch-of-{input}").parse().unwrap(),
                commit: head(input),
            })
            .collect();
        commit.job = Some(format!("{pipeline}@{run}"));
        let store = &self.test.store;
        let recipe = Recipe { transform: version.transform, inputs: Vec::new() };
        let recipe = DatumId::new(store.put_document(&recipe).unwrap());
        let references = inputs.iter().map(|input| repos::documents::Reference {
            input: "in".to_owned(),
            repo: name(input),
            commit: head(input),
            path: format!("/file-of-{input}").parse().unwrap(),
            digest: repos::hash::digest_of(b"x"),
        });
        let result = ResultDocument {
            recipe,
            state: ResultState::Success,
            outputs: Some(commit.tree),
            outputs_count: 1,
            references: references.collect(),
            pipeline: pipeline.parse().unwrap(),
            version: 1,
            run,
            executor: ExecutorStamp { kind: ExecutorKind::Process, version: String::new(), host: String::new() },
            network: specs::Network::default(),
            tries: vec![repos::documents::Try {
                exit_code: Some(0),
                reason: None,
                log: None,
                started_at: at(3),
                finished_at: at(4),
                pull_ms: None,
                take_in_ms: None,
                memory_bytes: None,
                worker: None,
            }],
            mac: None,
        };
        let result = store.put_result(&result).unwrap();
        let job = JobDocument {
            pipeline: pipeline.parse().unwrap(),
            run,
            version: 1,
            executor: ExecutorStamp { kind: ExecutorKind::Process, version: String::new(), host: String::new() },
            reason: Some(format!("input `{}` did something", inputs[0])),
            created_at: at(1),
            started_at: None,
            finished_at: at(4),
            datums_total: 1,
            datums_processed: 1,
            datums_cached: 0,
            datums_failed: 0,
            datums_recovered: 0,
        };
        let document = store.put_document(&job).unwrap();
        let id = store.put_commit(&commit).unwrap();
        let moved = Move { repo: name(pipeline), branch: commit.branch.clone(), from: None, to: Some(id) };
        let entry = Entry::Job {
            pipeline: pipeline.parse().unwrap(),
            run,
            state: SealedState::Success,
            commit: Some(id),
            document: Some(document),
            moved: Some(moved),
        };
        store.publish(&Change::of(vec![entry])).unwrap();
        self.datums.push((pipeline.parse().unwrap(), recipe, result));
        let kinds = [(Kind::Recipe, recipe.digest()), (Kind::Result, result), (Kind::Job, document)];
        self.documents.extend(kinds.map(|(kind, digest)| (name(pipeline), kind, digest)));
        self.known(pipeline).marks.extend([recipe.to_string(), result.to_string(), document.to_string()]);
        self.record(pipeline, id, &commit);
        id
    }

    /// A run that only this repository is part of: a commit with a file copied from everywhere.
    fn own_run(&mut self, repo: &str, heads: &[(String, CommitId)]) {
        let run = run_id();
        let mut commit = self.document(run, repo, CommitKind::User);
        let from = heads.iter().find(|(name, _)| name == repo).unwrap().1;
        commit.parents.push(from);
        commit.sources = heads
            .iter()
            .map(|(other, id)| Source {
                repo: name(other),
                commit: *id,
                path: format!("/file-of-{other}").parse::<FilePath>().unwrap(),
            })
            .collect();
        let id = self.test.store.put_commit(&commit).unwrap();
        let moves = vec![Move { repo: name(repo), branch: commit.branch.clone(), from: Some(from), to: Some(id) }];
        let refs = vec![format!("{repo}@branch-of-{repo}")];
        let entry = Entry::Run { run, cause: cause(CauseKind::Commit, repo, refs), moves, jobs: Vec::new() };
        self.test.store.publish(&Change::of(vec![entry])).unwrap();
        self.record(repo, id, &commit);
        let known = self.known(repo);
        known.runs.push(run);
        known.marks.push(run.to_string());
    }

    /// Everything that can be read through a handle, as text.
    fn read_all(&self, store: &Store) -> Vec<(String, String)> {
        let mut all = Read(Vec::new());
        all.add("repos", store.repos());
        all.add("pipelines", store.pipelines());
        all.add("pipelines_ever", store.pipelines_ever());
        all.add("open_jobs", store.open_jobs());
        all.add("settings", store.settings());
        all.add("doubts", store.doubts());
        all.add("unnamed_at_end", store.unnamed_at_end());
        all.add("cut_back", store.cut_back());
        all.add("results_since", store.results_since(at(0)));
        let mut runs = Vec::new();
        store
            .visit_runs(|run| {
                runs.push(run);
                ControlFlow::Continue(())
            })
            .unwrap();
        for run in &runs {
            all.add("jobs_of_run", store.jobs_of_run(run.order));
        }
        all.add("visit_runs", Ok(runs));
        for order in 1..20 {
            all.add("run_at", store.run_at(order));
            all.add("jobs_of_run", store.jobs_of_run(order));
        }
        let mut entries = Vec::new();
        store.visit_entries_after(0, |entry| entries.push(entry.clone())).unwrap();
        all.add("visit_entries_after", Ok(entries));
        for known in &self.repos {
            self.read_repo(store, known, &mut all);
        }
        for (pipeline, datum, result) in &self.datums {
            all.add("results", store.results(datum));
            all.add("datums_by_prefix", store.datums_by_prefix(&datum.to_string(), 9));
            if store.sees_pipeline(pipeline) {
                all.add("result", store.document::<ResultDocument>(result));
                all.add("vouched_result", store.vouched_result(result));
            }
        }
        for (_, kind, digest) in &self.documents {
            all.add("objects_by_prefix", store.objects_by_prefix(*kind, &digest.to_string()[..8], 99));
        }
        all.0
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the world, as the others")]
    fn read_repo(&self, store: &Store, known: &Known, all: &mut Read) {
        let (repo, pipeline) = (&known.repo, known.repo.as_pipeline());
        let branch: BranchName = format!("branch-of-{repo}").parse().unwrap();
        all.add("branches", store.branches(repo));
        all.add("find_branch", store.find_branch(repo, &branch));
        all.add("tags", store.tags(repo));
        all.add("find_tag", store.find_tag(repo, &format!("tag-of-{repo}")));
        all.add("branch_moves", store.branch_moves(repo, &branch));
        for then in [Then::Run(19), Then::Time(store.clock().now())] {
            all.add("branches_then", store.branches_then(repo, then));
            all.add("branch_then", store.branch_then(repo, &branch, then));
            all.add("repos_then", store.repos_then(then));
            all.add("repo_then", store.repo_then(repo, then));
            all.add("pipeline_then", store.pipeline_then(&pipeline, then));
        }
        all.add("find_pipeline", store.find_pipeline(&pipeline));
        all.add("pipeline_version", store.pipeline_version(&pipeline, 1));
        all.add("pipeline_versions", store.pipeline_versions(&pipeline));
        all.add("newest_job", store.newest_job(&pipeline));
        let mut records = Vec::new();
        store.visit_versions(&pipeline, |record| records.push(record.entries.clone())).unwrap();
        all.add("visit_versions", Ok(records));
        if let Ok(Some(row)) = store.find_pipeline(&pipeline) {
            let version: VersionDocument = store.document(&row.document).unwrap();
            all.add("spec", store.document::<SpecDocument>(&version.spec));
            all.add("spec bytes", store.document_bytes(Kind::Spec, &version.spec));
        }
        for order in 1..20 {
            all.add("head_as_of", store.head_as_of(repo, &branch, order));
            all.add("job", store.job(order, &pipeline));
        }
        for id in &known.commits {
            all.add("commit_row", store.commit_row(id));
            all.add("commit", store.commit(id));
            all.add("commit bytes", store.document_bytes(Kind::Commit, &id.digest()));
            all.add("commits_by_prefix", store.commits_by_prefix(&id.to_string()[..10], 9));
            all.add("commit by whole id", store.commits_by_prefix(&id.to_string(), 9));
            all.add("certificates", store.certificates(id));
        }
        for run in &known.runs {
            all.add("run_order", store.run_order(run));
            match store.run(run) {
                Ok(run) => all.add("run", Ok(run)),
                // The error repeats the id that was asked for.
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            }
            all.add("runs_by_prefix", store.runs_by_prefix(&run.to_string()[..10], 9));
        }
        for content in &known.contents {
            for kind in [Kind::Chunk, Kind::Manifest] {
                all.add("content", store.objects_by_prefix(kind, &content.to_string()[..10], 9));
            }
            all.add("find", repos::files::find(store, &What::Bytes(*content)).map(|found| format!("{found:?}")));
        }
    }
}

/// What was read, with the function's name. Errors count too, with their hints.
struct Read(Vec<(String, String)>);

impl Read {
    fn add<T: Debug>(&mut self, what: &str, read: Result<T, RepoError>) {
        let text = match read {
            Ok(value) => format!("{value:?}"),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
                format!("{error} {:?}", error.hint())
            }
        };
        self.0.push((what.to_owned(), text));
    }
}

fn any_globs() -> impl Strategy<Value = Vec<String>> {
    let names: Vec<String> =
        USERS.iter().map(|name| (*name).to_owned()).chain(PIPELINES.map(|(name, _)| name.to_owned())).collect();
    let one = prop_oneof![
        3 => proptest::sample::select(names),
        1 => proptest::sample::select(vec!["w*", "*-out", "z?????", "{zebra,yak*}", "nothing", "?*"]).prop_map(str::to_owned),
    ];
    proptest::collection::vec(one, 0..4)
}

fn handle(globs: &[String]) -> (Access, Store) {
    let repos = repos::access::RepoGlobs::parse(globs).unwrap();
    let access = Access { who: "ci".to_owned(), role: Role::Admin, repos, client: "ci".to_owned() };
    (access.clone(), WORLD.test.store.seen_by(access))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_hidden_is_ever_returned(globs in any_globs()) {
        let (access, store) = handle(&globs);
        let hidden: Vec<&String> =
            WORLD.repos.iter().filter(|known| !access.sees(&known.repo)).flat_map(|known| &known.marks).collect();
        for (what, text) in WORLD.read_all(&store) {
            for mark in &hidden {
                prop_assert!(!text.contains(mark.as_str()), "{what} of {globs:?} has {mark}: {text}");
            }
        }
    }

    #[test]
    fn everything_visible_is_there(globs in any_globs()) {
        let (access, store) = handle(&globs);
        let whole = &WORLD.test.store;
        let seen = |repo: &RepoName| access.sees(repo);
        let mut repos = whole.repos().unwrap();
        repos.retain(|(repo, _)| seen(repo));
        prop_assert_eq!(store.repos().unwrap(), repos);
        for known in WORLD.repos.iter().filter(|known| seen(&known.repo)) {
            let pipeline = known.repo.as_pipeline();
            prop_assert_eq!(store.branches(&known.repo).unwrap(), whole.branches(&known.repo).unwrap());
            prop_assert_eq!(store.tags(&known.repo).unwrap(), whole.tags(&known.repo).unwrap());
            prop_assert_eq!(store.newest_job(&pipeline).unwrap(), whole.newest_job(&pipeline).unwrap());
            for id in &known.commits {
                prop_assert_eq!(store.commits_by_prefix(&id.to_string(), 2).unwrap(), vec![*id]);
                let (commit, all) = (store.commit(id).unwrap(), whole.commit(id).unwrap());
                let hidden = all.provenance.len() + all.sources.len() - commit.provenance.len() - commit.sources.len();
                prop_assert_eq!(store.hidden_origins(id).unwrap(), hidden as u64);
                prop_assert!(commit.provenance.iter().all(|origin| seen(&origin.repo)));
                prop_assert_eq!(commit.tree, all.tree);
            }
            for run in &known.runs {
                prop_assert!(store.sees_run(run).unwrap());
                prop_assert_eq!(&store.run(run).unwrap().cause, &whole.run(run).unwrap().cause);
            }
            for content in &known.contents {
                prop_assert_eq!(store.objects_by_prefix(Kind::Chunk, &content.to_string(), 2).unwrap(), vec![*content]);
            }
        }
        for (repo, kind, digest) in &WORLD.documents {
            let found = store.objects_by_prefix(*kind, &digest.to_string(), 2).unwrap();
            prop_assert_eq!(found, if seen(repo) { vec![*digest] } else { Vec::new() }, "{:?} of {}", kind, repo);
        }
    }
}

#[test]
fn a_handle_for_everything_reads_exactly_what_one_without_access_reads() {
    let store = WORLD.test.store.seen_by(Access::full("admin"));
    assert_eq!(WORLD.read_all(&store), WORLD.read_all(&WORLD.test.store));
}

#[test]
fn a_hidden_name_gives_exactly_the_error_of_a_missing_one() {
    let (_, store) = handle(&["zebra".to_owned()]);
    let (hidden, missing) = (name("walrus"), name("walruz"));
    let same = |error: RepoError, other: RepoError| {
        assert_eq!(error.kind(), other.kind());
        assert_eq!(error.to_string().replace("walrus", "walruz"), other.to_string());
        assert_eq!(error.hint().map(|hint| hint.replace("walrus", "walruz")), other.hint());
    };
    same(store.repo(&hidden).unwrap_err(), store.repo(&missing).unwrap_err());
    let branch = BranchName::main();
    same(store.branch(&hidden, &branch).unwrap_err(), store.branch(&missing, &branch).unwrap_err());
    let resolve = |text: &str| store.resolve(&text.parse().unwrap()).unwrap_err();
    for rest in ["", "@main", "@branch-of-walrus", "@tag-of-walrus", "@main^", "@2026-07-02"] {
        let (one, other) = (format!("walrus{rest}"), format!("walruz{}", rest.replace("walrus", "walruz")));
        same(resolve(&one), resolve(&other));
    }
    let pipeline = |text: &str| store.pipeline(&text.parse().unwrap()).unwrap_err();
    assert_eq!(pipeline("yak-out").to_string(), "pipeline `yak-out` not found");
    assert_eq!(pipeline("yak-ou").hint(), pipeline("nothing").hint(), "the nearest name is hidden");
    // A hidden commit's id is no id.
    let id = WORLD.repos.iter().find(|known| known.repo == hidden).unwrap().commits[0];
    let other = CommitId::new(Digest::from_bytes([7; 32]));
    let of_zebra = |id: CommitId| store.resolve(&format!("zebra@{id}").parse().unwrap()).unwrap_err().to_string();
    assert_eq!(of_zebra(id).replace(&id.to_string(), ""), of_zebra(other).replace(&other.to_string(), ""));
}

#[test]
fn the_way_through_what_is_hidden_still_leads_to_what_is_visible() {
    // `weasel-out` reads `yak-out`, which reads `zebra`.
    let (_, store) = handle(&["zebra".to_owned(), "weasel-out".to_owned()]);
    let whole = &WORLD.test.store;
    let weasel = whole.tags(&name("weasel-out")).unwrap()[0].1.commit;
    let run = whole.commit(&weasel).unwrap().run;
    let zebra = |store: &Store| store.resolve(&format!("zebra@{run}").parse().unwrap()).unwrap().id;
    assert_eq!(zebra(&store), zebra(whole));
    assert_eq!(store.hidden_origins(&weasel).unwrap(), 2);
}

#[test]
fn exact_bytes_with_hidden_names_are_refused_and_others_are_not() {
    let whole = &WORLD.test.store;
    let weasel = whole.tags(&name("weasel-out")).unwrap()[0].1.commit;
    let bytes = |globs: &[&str]| {
        let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        handle(&globs).1.document_bytes(Commit::KIND, &weasel.digest())
    };
    let refused = bytes(&["weasel-out"]).unwrap_err();
    let text = "the exact bytes of this commit are not shown: they name what is not visible to you";
    assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::Refused, text));
    let all = bytes(&["weasel-out", "yak-out", "wombat"]).unwrap();
    assert_eq!(repos::hash::digest_of(&all), weasel.digest());
}

#[test]
fn texts_lose_hidden_names_and_ids_only() {
    let (_, store) = handle(&["zebra".to_owned()]);
    let id = WORLD.repos.iter().find(|known| known.repo == name("walrus")).unwrap().commits[0];
    let text = format!("`walrus@main` and walrus-2, zebra: commit {} of yak-out; no deadbeef", id.short(12));
    assert_eq!(store.without_hidden(&text).unwrap(), "`…@main` and walrus-2, zebra: commit … of …; no deadbeef");
    assert_eq!(WORLD.test.store.without_hidden(&text).unwrap(), text);
}
