//! Commits, files, runs … as they are printed: for programs all fields, for people a line.

use answers::run::CauseView;
use engine::live::{JobKey, Live, LiveState};
use repos::documents::{Commit, TagDocument};
use repos::journal::{CauseKind, Move, RepoKind, SealedState};
use repos::tree::{FileEntry, Tree};
use repos::{BranchRow, JobRow, RepoRow, RunRow, Store, TagRow, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use specs::{BranchName, CommitId, Digest, FilePath, RepoName, RunId};

use super::jobs::live;
use super::next;
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, ShortIds, count, plural, size};

/// `text` in one line, for tables.
pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The name of `Anna <anna@example.com>`, for tables.
pub(super) fn name_of(author: &str) -> String {
    author.split(" <").next().unwrap_or_default().to_owned()
}

/// A commit: its document with every field, its id, files and bytes.
#[derive(Serialize)]
pub(super) struct CommitView {
    id: CommitId,
    /// The id again, under the name that it has in every other object.
    commit: CommitId,
    #[serde(flatten)]
    fields: Value,
    files: u64,
    size_bytes: u64,
    #[serde(skip)]
    short: String,
    #[serde(skip)]
    document: Commit,
}

impl CommitView {
    pub(super) fn new(store: &Store, id: CommitId, document: Commit) -> Result<Self> {
        let totals = Tree::at(document.tree).totals(store)?;
        let (files, size_bytes) = (totals.entries, totals.weight);
        let short = store.short_commit(&id)?;
        Ok(Self { fields: with_defaults(&document), id, commit: id, files, size_bytes, short, document })
    }
}

/// The document with the fields that it leaves out.
fn with_defaults(commit: &Commit) -> Value {
    let mut fields = json!({
        "parents": [], "lineage": null, "datums": null, "author": "", "message": "", "provenance": [], "sources": [],
        "origins": [],
        "pipeline": null, "job": null, "error": null,
    });
    let mut commit = commit.clone();
    if let Some(code) = commit.pipeline.as_mut().and_then(|pipeline| pipeline.code.as_mut()) {
        *code = code.checked();
    }
    let document = serde_json::to_value(commit).expect("commits have a JSON form");
    if let (Value::Object(fields), Value::Object(document)) = (&mut fields, document) {
        fields.extend(document);
        if let Some(Value::Object(pipeline)) = fields.get_mut("pipeline") {
            for optional in ["image", "code"] {
                pipeline.entry(optional).or_insert(Value::Null);
            }
        }
    }
    fields
}

impl Row for CommitView {
    const HEADER: &'static [&'static str] = &["COMMIT", "WHEN", "WHO", "FILES", "SIZE", "MESSAGE"];
    const GIVES_UP: &'static [&'static str] = &["SIZE", "FILES", "WHO", "WHEN"];
    const SHORTENS: &'static [&'static str] = &["MESSAGE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let who = match &self.document.pipeline {
            Some(pipeline) => format!("{} v{}", pipeline.name, pipeline.version),
            None => name_of(&self.document.author),
        };
        vec![
            self.short.clone(),
            human.ago(self.document.created_at),
            who,
            count(self.files),
            size(self.size_bytes),
            first_line(&self.document.message),
        ]
    }
}

/// A file.
#[derive(Serialize)]
pub(super) struct FileView {
    pub(super) path: FilePath,
    pub(super) size_bytes: u64,
    pub(super) digest: Digest,
    pub(super) executable: bool,
}

impl FileView {
    pub(super) fn new(path: FilePath, file: FileEntry) -> Self {
        Self { path, size_bytes: file.size, digest: file.digest, executable: file.executable }
    }
}

/// A repository.
#[derive(Serialize)]
pub(super) struct RepoView {
    name: RepoName,
    kind: RepoKind,
    branches: Vec<BranchName>,
    /// The default branch's commit.
    head: Option<CommitId>,
    files: u64,
    size_bytes: u64,
    #[serde(skip)]
    last: Option<(String, Commit)>,
}

impl RepoView {
    pub(super) fn new(store: &Store, name: RepoName, row: &RepoRow) -> Result<Self> {
        let branches = store.branches(&name)?;
        let default = store.default_branch()?;
        let head = branches.iter().find(|(branch, _)| *branch == default).and_then(|(_, row)| row.commit);
        let mut view = Self {
            name,
            kind: row.kind,
            branches: branches.into_iter().map(|(branch, _)| branch).collect(),
            head,
            files: 0,
            size_bytes: 0,
            last: None,
        };
        if let Some(id) = head {
            let commit = store.commit(&id)?;
            let totals = Tree::at(commit.tree).totals(store)?;
            (view.files, view.size_bytes) = (totals.entries, totals.weight);
            view.last = Some((store.short_commit(&id)?, commit));
        }
        Ok(view)
    }

    /// The newest commit in words.
    fn last_commit(&self, human: &Human) -> String {
        self.last.as_ref().map_or_else(String::new, |(_, commit)| {
            let by =
                commit.pipeline.as_ref().map_or_else(|| name_of(&commit.author), |pipeline| pipeline.name.to_string());
            format!("{}   {by}  {}", human.ago(commit.created_at), first_line(&commit.message)).trim_end().to_owned()
        })
    }
}

impl Row for RepoView {
    const HEADER: &'static [&'static str] = &["REPOSITORY", "HEAD", "FILES", "SIZE", "LAST COMMIT"];
    const GIVES_UP: &'static [&'static str] = &["SIZE", "FILES"];
    const SHORTENS: &'static [&'static str] = &["LAST COMMIT"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let head = self.last.as_ref().map_or("none", |(short, _)| short.as_str()).to_owned();
        vec![self.name.to_string(), head, count(self.files), size(self.size_bytes), self.last_commit(human)]
    }
}

/// A branch or a tag.
#[derive(Serialize)]
pub(super) struct NameView {
    repo: RepoName,
    name: String,
    commit: Option<CommitId>,
    message: String,
    created_at: Option<Timestamp>,
    #[serde(skip)]
    short: String,
}

impl NameView {
    pub(super) fn branch(store: &Store, repo: &RepoName, name: &BranchName, row: &BranchRow) -> Result<Self> {
        let commit = row.commit.map(|id| store.commit(&id)).transpose()?;
        Ok(Self {
            repo: repo.clone(),
            name: name.to_string(),
            commit: row.commit,
            created_at: Some(commit.as_ref().map_or(row.moved_at, |commit| commit.created_at)),
            message: commit.map(|commit| commit.message).unwrap_or_default(),
            short: row.commit.map_or(Ok("none".to_owned()), |id| store.short_commit(&id))?,
        })
    }

    pub(super) fn tag(store: &Store, repo: &RepoName, name: &str, row: &TagRow) -> Result<Self> {
        let document = row.document.map(|digest| store.document::<TagDocument>(&digest)).transpose()?;
        Ok(Self {
            repo: repo.clone(),
            name: name.to_owned(),
            commit: Some(row.commit),
            message: document.map(|document| document.message).unwrap_or_default(),
            created_at: Some(row.created_at),
            short: store.short_commit(&row.commit)?,
        })
    }

    /// For lists, newest first.
    pub(super) fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Row for NameView {
    const HEADER: &'static [&'static str] = &["NAME", "COMMIT", "WHEN", "MESSAGE"];
    const GIVES_UP: &'static [&'static str] = &["WHEN"];
    const SHORTENS: &'static [&'static str] = &["MESSAGE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let when = self.created_at.map_or_else(String::new, |time| human.ago(time));
        vec![format!("{}@{}", self.repo, self.name), self.short.clone(), when, first_line(&self.message)]
    }
}

/// A run.
#[derive(Serialize)]
pub(super) struct RunView {
    id: RunId,
    cause: CauseView,
    moves: Vec<MoveView>,
    jobs: Vec<String>,
    state: RunState,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    #[serde(skip)]
    short: String,
    #[serde(skip)]
    result: String,
}

#[derive(Serialize)]
struct MoveView {
    repo: RepoName,
    branch: BranchName,
    from: Option<CommitId>,
    to: Option<CommitId>,
}

impl From<Move> for MoveView {
    fn from(moved: Move) -> Self {
        Self { repo: moved.repo, branch: moved.branch, from: moved.from, to: moved.to }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RunState {
    Waiting,
    Running,
    Success,
    Failure,
    Killed,
}

impl RunState {
    fn of(jobs: &[JobRow], live: Option<&Live>) -> Self {
        let ended = jobs.iter().filter_map(|job| job.sealed).collect::<Vec<_>>();
        if ended.len() < jobs.len() {
            let is_waiting = ended.is_empty() && !jobs.iter().any(|job| is_at_work(job, live));
            return if is_waiting { Self::Waiting } else { Self::Running };
        }
        if ended.iter().any(|state| matches!(state, SealedState::Failure | SealedState::Unrunnable)) {
            Self::Failure
        } else if ended.contains(&SealedState::Killed) {
            Self::Killed
        } else {
            Self::Success
        }
    }
}

impl RunView {
    pub(super) fn new(store: &Store, row: RunRow, live: Option<&Live>) -> Result<Self> {
        let jobs = store.jobs_of_run(row.order)?;
        let is_try = row.cause.kind == CauseKind::Try;
        // Nobody continues with a try that is not at work.
        let state = match RunState::of(&jobs, live) {
            RunState::Waiting if is_try => RunState::Killed,
            RunState::Running if is_try && !jobs.iter().any(|job| is_at_work(job, live)) => RunState::Killed,
            state => state,
        };
        let is_over = !matches!(state, RunState::Waiting | RunState::Running);
        let last = jobs.iter().filter_map(|job| job.sealed_at).max();
        let cause = CauseView::of(store, &row)?;
        let aside = if is_try { ", no branch moved" } else { "" };
        Ok(Self {
            id: row.run,
            short: store.short_run(&row.run)?,
            result: format!("{}{aside}", result_of(&jobs, live)),
            cause,
            moves: row.moves.into_iter().map(MoveView::from).collect(),
            jobs: jobs.iter().map(|job| format!("{}@{}", job.pipeline, job.run)).collect(),
            state,
            created_at: row.created_at,
            finished_at: if is_over { Some(last.unwrap_or(row.created_at)) } else { None },
        })
    }

    /// `commit images@main "camera batch"`
    fn cause_line(&self) -> String {
        let message = first_line(&self.cause.message);
        let message = if message.is_empty() { message } else { format!(" \"{message}\"") };
        format!("{}{message}", cause_words(self.cause.kind, &self.cause.refs))
    }

    fn who(&self) -> &str {
        self.cause.who()
    }

    /// All about the run, a line each.
    pub(super) fn lines(&self, human: &Human) -> Vec<Vec<String>> {
        let mut lines = vec![
            vec!["run".to_owned(), self.id.to_string()],
            vec!["cause".to_owned(), self.cause_line()],
            vec!["who".to_owned(), format!("{}   {}", self.who(), self.cause.committer)],
            vec!["when".to_owned(), format!("{}   {}", human.local(self.created_at), human.ago(self.created_at))],
        ];
        for moved in &self.moves {
            let short = |id: Option<CommitId>| id.map_or("none".to_owned(), |id| id.short(12));
            let moved = format!("{}@{}   {} → {}", moved.repo, moved.branch, short(moved.from), short(moved.to));
            lines.push(vec!["moved".to_owned(), moved]);
        }
        lines.push(vec!["jobs".to_owned(), self.result.clone()]);
        lines
    }
}

/// `commit images@main`, `retry detect @90c4d5e1`
pub(super) fn cause_words(kind: CauseKind, refs: &[String]) -> String {
    let mut words = vec![kind.word().to_owned()];
    words.extend(refs.iter().map(|text| match text.strip_prefix('@').map(str::parse::<RunId>) {
        Some(Ok(run)) => format!("@{}", run.short(8)),
        _ => text.clone(),
    }));
    words.join(" ")
}

/// Whether an engine in this process works on the job right now.
fn is_at_work(job: &JobRow, live: Option<&Live>) -> bool {
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    live.and_then(|live| live.job(&key)).is_some_and(|known| known.state != LiveState::Waiting)
}

/// `2 success, 1 waiting`
fn result_of(jobs: &[JobRow], live: Option<&Live>) -> String {
    let word = |job: &JobRow| match job.sealed {
        None if is_at_work(job, live) => "running",
        None => "waiting",
        Some(SealedState::Success) => "success",
        Some(SealedState::Failure) => "failure",
        Some(SealedState::Killed) => "killed",
        Some(SealedState::Unrunnable) => "unrunnable",
    };
    let words = ["success", "failure", "killed", "unrunnable", "running", "waiting"];
    let counted = words.iter().map(|state| (jobs.iter().filter(|job| word(job) == *state).count(), state));
    let parts: Vec<String> = counted.filter(|(n, _)| *n > 0).map(|(n, state)| format!("{n} {state}")).collect();
    if parts.is_empty() { "no jobs".to_owned() } else { parts.join(", ") }
}

impl Row for RunView {
    const HEADER: &'static [&'static str] = &["RUN", "WHEN", "WHO", "CAUSE", "RESULT"];
    const GIVES_UP: &'static [&'static str] = &["WHO", "WHEN"];
    const SHORTENS: &'static [&'static str] = &["CAUSE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let who = name_of(self.who());
        vec![self.short.clone(), human.ago(self.created_at), who, self.cause_line(), self.result.clone()]
    }
}

/// Prints the run that a change caused, and its jobs.
pub(super) fn caused(cx: &Context, run: &RunId) -> Result<()> {
    let store = cx.store()?;
    let row = store.run(run)?;
    if cx.out().is_json() {
        return cx.out().json(&RunView::new(store, row, live(cx))?);
    }
    cx.out().line(format!("@{}", store.short_run(run)?))?;
    cx.out().flush()?;
    let names: Vec<&str> = row.jobs.iter().map(|job| job.pipeline.as_str()).collect();
    let list = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    cx.notes().line(plural(names.len() as u64, "job", "jobs") + &list);
    next::after(cx, store, run)?.iter().for_each(|next| cx.notes().line(next));
    Ok(())
}

/// Files and bytes at the heads of a repository's branches, counted once a branch.
pub(super) fn at_heads(store: &Store, repo: &RepoName) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for id in store.branches(repo)?.iter().filter_map(|(_, row)| row.commit) {
        let totals = Tree::at(store.commit(&id)?.tree).totals(store)?;
        (files, bytes) = (files + totals.entries, bytes + totals.weight);
    }
    Ok((files, bytes))
}
