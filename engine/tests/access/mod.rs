//! A store with what `ci` may see (`mine-*`) and what it may not (`hush-*`), connected in every direction.

mod answers;
mod changes;
mod gaps;
mod list;

use std::collections::BTreeSet;

use repos::Store;
use repos::access::{Access, RepoGlobs, Role};
use repos::documents::{Certificate, CertifiedStage, ExecutorKind, ExecutorStamp, Repetition, Source, VersionDocument};
use repos::files::Edits;
use repos::tree::{FileEntry, KeyRange, Tree};
use specs::{CommitId, RepoName};

use super::setting::Setting;
use engine::changes::NewCommit;
use engine::run::Actor;
use sandbox::scripted::{Call, Reply};

/// The pipelines; which of them may be seen follows from their names.
const PIPELINES: [&str; 7] = [
    // An input that is hidden, under its own name, and one that is not.
    "{pipeline: {name: mine-mixed}, transform: {cmd: [mine-mixed], image: 'x:1'}, input: {cross: [{pfs: {repo: hush-in, glob: '/*'}}, {pfs: {repo: mine-in, name: own, glob: '/*'}}]}}",
    "{pipeline: {name: hush-out}, transform: {cmd: [hush-out], image: 'x:1'}, input: {cross: [{pfs: {repo: hush-in, glob: '/'}}, {pfs: {repo: mine-in, glob: '/'}}]}}",
    // What is visible lies behind what is not.
    "{pipeline: {name: mine-end}, transform: {cmd: [mine-end], image: 'x:1'}, input: {cross: [{pfs: {repo: hush-out, glob: '/'}}, {pfs: {repo: mine-mixed, glob: '/'}}]}}",
    "{pipeline: {name: hush-end}, transform: {cmd: [hush-end], image: 'x:1'}, input: {pfs: {repo: mine-end, glob: '/'}}}",
    "{pipeline: {name: mine-fails}, transform: {cmd: [mine-fails], image: 'x:1'}, input: {pfs: {repo: hush-in, glob: '/*'}}}",
    "{pipeline: {name: hush-fails}, transform: {cmd: [hush-fails], image: 'x:1'}, input: {pfs: {repo: hush-in, glob: '/*'}}}",
    "{pipeline: {name: mine-after}, transform: {cmd: [mine-after], image: 'x:1'}, input: {pfs: {repo: hush-fails, glob: '/'}}}",
];

/// Commands whose outputs say nothing of what they read from hidden inputs.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a command")]
fn command(call: Call) -> Reply {
    let name = call.cmd[0].clone();
    let code = i32::from(name.ends_with("-fails"));
    let mut reply = Reply { log: format!("{name} ran\n").into_bytes(), code, ..Reply::default() };
    let hidden = name.starts_with("hush");
    for (number, (path, bytes)) in call.inputs.iter().enumerate() {
        if let Some(own) = path.strip_prefix("own/") {
            let content = format!("made of {}", String::from_utf8_lossy(bytes));
            reply.files.insert(own.to_owned(), content.into_bytes());
        } else if hidden {
            reply
                .files
                .insert(format!("hush-path-{name}-{number}"), format!("quiet content {name} {number}").into_bytes());
        }
    }
    if name == "mine-end" {
        reply.files.insert("end".to_owned(), format!("made of {} files", call.inputs.len()).into_bytes());
    }
    reply
}

/// The store, its hidden marks, and a handle that may see `mine-*`.
struct World {
    s: Setting,
    seen: Store,
}

fn access(role: Role) -> Access {
    Access { who: "ci".to_owned(), role, repos: RepoGlobs::parse(&["mine-*"]).unwrap(), client: "ci".to_owned() }
}

impl World {
    async fn new() -> Self {
        let mut s = Setting::new();
        // Who caused the run of a visible commit is a part of that commit, so it is not hidden.
        s.by = Actor { author: "hugo".to_owned(), committer: "uid:2@hugo".to_owned() };
        s.repo("hush-in").repo("mine-in");
        for pipeline in PIPELINES {
            s.pipeline(pipeline);
        }
        s.put_hidden("quiet content 1");
        let hush = s.by.clone();
        s.by = Actor { author: "mia".to_owned(), committer: "uid:1@mine".to_owned() };
        s.put("mine-in", [("/a.json", Some("{\"loss\": 1}")), ("/b.json", Some("{\"loss\": 2}"))]);
        s.run_with(command).await;
        s.by = hush;
        s.put_hidden("quiet content 2");
        s.run_with(command).await;
        s.copy_from_hidden();
        s.run_with(command).await;
        s.tag("hush-in", "hush-tag");
        s.tag("mine-end", "good");
        let to = s.head("hush-in", "main");
        engine::changes::create_branch(
            &s.store,
            &"hush-in".parse().unwrap(),
            &"hush-branch".parse().unwrap(),
            to,
            &s.by,
        )
        .unwrap();
        // Left open: its jobs wait.
        s.put_hidden("quiet content 3");
        s.certify("mine-mixed");
        s.certify("hush-out");
        s.store.finish_packs().unwrap();
        let seen = s.store.seen_by(access(Role::Admin));
        Self { s, seen }
    }

    /// Everything by which something hidden could be recognised.
    fn marks(&self) -> BTreeSet<String> {
        let store = &self.s.store;
        // The second content was copied to a visible repository.
        let mut marks = BTreeSet::from(["hush", "quiet content 1", "quiet content 3"].map(str::to_owned));
        let mut ids: Vec<String> = Vec::new();
        for (repo, _) in store.repos().unwrap() {
            if repo.as_str().starts_with("mine") {
                continue;
            }
            self.commits_of(&repo).into_iter().for_each(|id| self.marks_of_commit(id, &mut ids));
            for row in store.pipeline_versions(&repo.as_pipeline()).unwrap() {
                let version: VersionDocument = store.document(&row.document).unwrap();
                ids.extend([row.document, version.spec, version.transform].map(|digest| digest.to_string()));
            }
        }
        store
            .visit_runs(|run| {
                if !self.seen.sees_run(&run.run).unwrap() {
                    ids.push(run.run.to_string());
                }
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        marks.extend(ids.iter().map(|id| id[..12].to_owned()));
        marks
    }

    fn commits_of(&self, repo: &RepoName) -> BTreeSet<CommitId> {
        let store = &self.s.store;
        let mut found: BTreeSet<CommitId> = self.s.jobs(repo.as_str()).iter().filter_map(|job| job.commit).collect();
        let heads = store.branches(repo).unwrap().into_iter().filter_map(|(_, row)| row.commit);
        let mut open: Vec<CommitId> = heads.collect();
        while let Some(id) = open.pop() {
            open.extend(store.commit(&id).unwrap().parents.into_iter().filter(|_| found.insert(id)));
        }
        found
    }

    fn marks_of_commit(&self, id: CommitId, ids: &mut Vec<String>) {
        let store = &self.s.store;
        let commit = store.commit(&id).unwrap();
        ids.push(id.to_string());
        // By an empty map nothing can be recognised.
        let maps = [Some(commit.tree), commit.datums, commit.lineage].into_iter().flatten();
        ids.extend(maps.filter(|root| *root != Tree::empty().root()).map(|root| root.to_string()));
        for entry in Tree::at(commit.tree).range(store, KeyRange::all()).unwrap() {
            ids.push(entry.unwrap().1.digest.to_string());
        }
        if let Some(stamp) = &commit.pipeline {
            let job = self.s.jobs(stamp.name.as_str()).into_iter().find(|job| job.commit == Some(id)).unwrap();
            ids.extend(job.document.map(|digest| digest.to_string()));
            for result in answers::datums_of(store, &job) {
                ids.extend([result.id.to_string(), result.result.unwrap().to_string()]);
                ids.extend(result.log.map(|log| log.to_string()));
            }
        }
    }
}

impl Setting {
    /// A hidden commit.
    fn put_hidden(&self, content: &str) {
        let (repo, branch): (RepoName, _) = ("hush-in".parse().unwrap(), "main".parse().unwrap());
        let stored = self.store.put_bytes(content.as_bytes()).unwrap();
        let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        let edits = Edits { files: [("/hush-path-1".parse().unwrap(), Some(file))].into(), ..Edits::default() };
        let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &self.by, message: "hush message" };
        engine::changes::commit(&self.store, &new, |_| Ok(edits.clone())).unwrap();
    }

    /// A visible commit with a file that was copied from a hidden repository.
    fn copy_from_hidden(&self) {
        let (repo, branch): (RepoName, _) = ("mine-in".parse().unwrap(), "main".parse().unwrap());
        let commit = self.head("hush-in", "main").unwrap();
        let from = Tree::at(self.store.commit(&commit).unwrap().tree);
        let path = "/hush-path-1".parse().unwrap();
        let file = from.file(&self.store, &path).unwrap().unwrap();
        let mut edits = Edits::default();
        // The bytes are visible from now on, under another name.
        edits.files.insert("/copy.json".parse().unwrap(), Some(file));
        edits.sources.push(Source { repo: "hush-in".parse().unwrap(), commit, path });
        let by = Actor { author: "mia".to_owned(), committer: "uid:1@mine".to_owned() };
        let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &by, message: "a copy" };
        engine::changes::commit(&self.store, &new, |_| Ok(edits.clone())).unwrap();
    }

    /// Stores that the head of an output, and what it was made from, was executed again.
    fn certify(&self, repo: &str) {
        let stage = |repo: &str| CertifiedStage {
            commit: self.head(repo, "main").unwrap(),
            pipeline: repo.parse().unwrap(),
            datums: 1,
            left_out: 0,
            not_run: 1,
            outcome: Repetition::NotRun,
            paths: Vec::new(),
            paths_more: 0,
            why: Some("hush-out has no image".to_owned()),
        };
        let certificate = Certificate {
            commit: self.head(repo, "main").unwrap(),
            path: None,
            at: self.store.clock().now(),
            committer: "uid:1@mine".to_owned(),
            made_by: "pv test".to_owned(),
            executor: ExecutorStamp { kind: ExecutorKind::Process, version: String::new(), host: String::new() },
            outcome: Repetition::NotRun,
            stages: vec![stage("hush-out"), stage("mine-mixed")],
        };
        self.store.put_certificate(&certificate).unwrap();
    }

    fn tag(&self, repo: &str, tag: &str) {
        let repo: RepoName = repo.parse().unwrap();
        let head = self.head(repo.as_str(), "main").unwrap();
        let message = if repo.as_str().starts_with("hush") { "hush message" } else { "good" };
        let by = Actor { author: format!("{}-author", &repo.as_str()[..4]), committer: "uid:1@mine".to_owned() };
        engine::changes::create_tag(&self.store, &repo, &tag.parse().unwrap(), head, &by, message).unwrap();
    }
}
