//! How commits, repositories, branches, tags and runs are printed for users, a line each; programs get the answers unchanged.

use answers::branch::BranchView;
use answers::commit::{ChangedView, CommitView, PathChange};
use answers::datum::ResultState;
use answers::repo::RepoView;
use answers::run::{RunView, cause_words, run_view};
use answers::tag::TagView;
use specs::{CommitId, RunId};

use super::jobs::live;
use super::next;
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, count, plural, size};

/// The first line of `text`, for tables.
pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The name of `Anna <anna@example.com>`, for tables.
pub(super) fn name_of(author: &str) -> String {
    author.split(" <").next().unwrap_or_default().to_owned()
}

/// The state of a datum's result as a word.
pub(super) fn result_word(state: ResultState) -> &'static str {
    match state {
        ResultState::Success => "success",
        ResultState::Recovered => "recovered",
        ResultState::Failed => "failed",
    }
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

impl Row for ChangedView {
    const HEADER: &'static [&'static str] = &["COMMIT", "WHEN", "WHO", "CHANGE", "SIZE", "MESSAGE"];
    const GIVES_UP: &'static [&'static str] = &["SIZE", "WHO", "WHEN"];
    const SHORTENS: &'static [&'static str] = &["MESSAGE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let mut cells = self.commit.cells(human);
        let change = match self.change {
            Some(PathChange::Added) => "added",
            Some(PathChange::Removed) => "removed",
            Some(PathChange::Modified) => "modified",
            None => "below",
        };
        cells.splice(
            3..5,
            [change.to_owned(), self.file.as_ref().map_or_else(String::new, |file| size(file.size_bytes))],
        );
        cells
    }
}

impl Row for RepoView {
    const HEADER: &'static [&'static str] = &["REPOSITORY", "HEAD", "FILES", "SIZE", "LAST COMMIT"];
    const GIVES_UP: &'static [&'static str] = &["SIZE", "FILES"];
    const SHORTENS: &'static [&'static str] = &["LAST COMMIT"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let head = self.last.as_ref().map_or("none", |(short, _)| short.as_str()).to_owned();
        vec![self.name.to_string(), head, count(self.files), size(self.size_bytes), last_commit(self, human)]
    }
}

/// The newest commit in words.
fn last_commit(repo: &RepoView, human: &Human) -> String {
    repo.last.as_ref().map_or_else(String::new, |(_, commit)| {
        let by = commit.pipeline.as_ref().map_or_else(|| name_of(&commit.author), |pipeline| pipeline.name.to_string());
        format!("{}   {by}  {}", human.ago(commit.created_at), first_line(&commit.message)).trim_end().to_owned()
    })
}

impl Row for BranchView {
    const HEADER: &'static [&'static str] = &["NAME", "COMMIT", "WHEN", "MESSAGE"];
    const GIVES_UP: &'static [&'static str] = &["WHEN"];
    const SHORTENS: &'static [&'static str] = &["MESSAGE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let when = self.created_at.map_or_else(String::new, |time| human.ago(time));
        let head = self.short.clone().unwrap_or_else(|| "none".to_owned());
        vec![format!("{}@{}", self.repo, self.name), head, when, first_line(&self.message)]
    }
}

impl Row for TagView {
    const HEADER: &'static [&'static str] = BranchView::HEADER;
    const GIVES_UP: &'static [&'static str] = BranchView::GIVES_UP;
    const SHORTENS: &'static [&'static str] = BranchView::SHORTENS;
    fn cells(&self, human: &Human) -> Vec<String> {
        let name = format!("{}@{}", self.repo, self.name);
        vec![name, self.short.clone(), human.ago(self.created_at), first_line(&self.message)]
    }
}

impl Row for RunView {
    const HEADER: &'static [&'static str] = &["RUN", "WHEN", "WHO", "CAUSE", "RESULT"];
    const GIVES_UP: &'static [&'static str] = &["WHO", "WHEN"];
    const SHORTENS: &'static [&'static str] = &["CAUSE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let who = name_of(self.cause.who());
        vec![self.short.clone(), human.ago(self.created_at), who, cause_line(self), result(self)]
    }
}

/// `commit images@main "camera batch"`
fn cause_line(run: &RunView) -> String {
    let message = first_line(&run.cause.message);
    let message = if message.is_empty() { message } else { format!(" \"{message}\"") };
    format!("{}{message}", cause_words(run.cause.kind, &run.cause.refs))
}

/// `2 success, 1 waiting`
fn result(run: &RunView) -> String {
    let parts: Vec<String> = run.counts.iter().map(|(number, state)| format!("{number} {state}")).collect();
    let jobs = if parts.is_empty() { "no jobs".to_owned() } else { parts.join(", ") };
    format!("{jobs}{}", if run.is_try() { ", no branch moved" } else { "" })
}

/// All properties of a run, a line each.
pub(super) fn run_lines(run: &RunView, human: &Human) -> Vec<Vec<String>> {
    let mut lines = vec![
        vec!["run".to_owned(), run.id.to_string()],
        vec!["cause".to_owned(), cause_line(run)],
        vec!["who".to_owned(), format!("{}   {}", run.cause.who(), run.cause.committer)],
        vec!["when".to_owned(), format!("{}   {}", human.local(run.created_at), human.ago(run.created_at))],
    ];
    for moved in &run.moves {
        let short = |id: Option<CommitId>| id.map_or("none".to_owned(), |id| id.short(12));
        let moved = format!("{}@{}   {} → {}", moved.repo, moved.branch, short(moved.from), short(moved.to));
        lines.push(vec!["moved".to_owned(), moved]);
    }
    lines.push(vec!["jobs".to_owned(), result(run)]);
    lines
}

/// Prints the run that a change caused, with its jobs.
pub(super) fn caused(cx: &Context, run: &RunId) -> Result<()> {
    let store = cx.store()?;
    let row = store.run(run)?;
    if cx.out().is_json() {
        return cx.out().json(&run_view(store, row, live(cx))?);
    }
    cx.out().line(format!("@{}", store.short_run(run)?))?;
    cx.out().flush()?;
    let names: Vec<&str> = row.jobs.iter().map(|job| job.pipeline.as_str()).collect();
    let list = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    cx.notes().line(plural(names.len() as u64, "job", "jobs") + &list);
    next::after(cx, store, run)?.iter().for_each(|next| cx.notes().line(next));
    Ok(())
}
