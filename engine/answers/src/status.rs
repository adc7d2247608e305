//! An overview of the store, and what needs the user.

use std::path::{Path, PathBuf};

use engine::apply::{Drift, DriftPart, drifts};
use engine::executors::command_that_runs;
use engine::inputs::WaitsFor;
use engine::live::Live;
use engine::{Graph, Result};
use repos::settings::EXECUTOR;
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{NotificationName, PipelineName, WatchName};

use crate::job::{JobState, job_view_among, live_job};
use crate::pipeline::{PipelineState, PipelineView, pipelines};
use crate::repo::{RepoKind, RepoView, repos};
use crate::run::Causes;
use crate::watch::{WatchView, watches};
use crate::words::shell_word;
use specs::words::plural;

/// An overview of the store.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StatusView {
    /// The folder that holds the store.
    pub store: PathBuf,
    /// The setting `executor`.
    pub executor: String,
    /// Whether an engine is running.
    pub running: bool,
    /// Bytes of all files in the store's folder; with access to some repositories only, those of the files at their heads.
    pub size_bytes: u64,
    /// Free bytes on its disk.
    pub free_bytes: u64,
    /// The repositories.
    pub repos: Vec<RepoView>,
    /// The pipelines, upstream first.
    pub pipelines: Vec<PipelineView>,
    /// Folders that are watched.
    pub watches: Vec<WatchView>,
    /// What needs an action by the user. The caller adds what notifications need.
    pub needs_you: Vec<Need>,
    /// Specs and code on this machine that differ from what was applied.
    pub differs_on_disk: Vec<Drift>,
}

impl StatusView {
    /// Whether every pipeline is current.
    pub fn is_current(&self) -> bool {
        self.pipelines.iter().all(|pipeline| pipeline.state == PipelineState::Current)
    }
}

/// Something that needs an action by the user: a pipeline, a watched folder or a notification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Need {
    /// The pipeline, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineName>,
    /// The watched folder, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchName>,
    /// The notification, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<NotificationName>,
    /// What is wrong.
    pub what: String,
    /// The commands to run, in this order.
    pub commands: Vec<String>,
}

impl Need {
    /// The name of what it is about.
    pub fn name(&self) -> &str {
        let Self { pipeline, watch, notification, .. } = self;
        let watch = || watch.as_ref().map(WatchName::as_str);
        let notification = || notification.as_ref().map(NotificationName::as_str);
        pipeline.as_ref().map(PipelineName::as_str).or_else(watch).or_else(notification).unwrap_or_default()
    }
}

/// Which parts of the status are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Which repositories.
    pub repos: WantedRepos,
    /// Paths in commands are relative to this folder.
    pub folder: &'a Path,
}

/// Which repositories are wanted: to look at each takes longer than everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedRepos {
    /// None.
    None,
    /// Those that no pipeline writes.
    Sources,
    /// All.
    All,
}

/// An overview of the store. `live` is the activity of this process, if an engine runs in it.
pub fn status(store: &Store, live: Option<&Live>, wanted: Wanted<'_>) -> Result<StatusView> {
    let pipelines = pipelines(store, live)?;
    let repos = match wanted.repos {
        WantedRepos::None => Vec::new(),
        WantedRepos::Sources => repos(store, |kind| kind != RepoKind::Output)?.collect::<Result<_>>()?,
        WantedRepos::All => repos(store, |_| true)?.collect::<Result<_>>()?,
    };
    let folder = store.folder();
    // Compared are whole specs, also with inputs that are not visible.
    let whole = store.whole();
    let mut differs_on_disk = drifts(&whole, &*Graph::load(&whole)?)?;
    differs_on_disk.retain(|drift| store.sees_pipeline(&drift.pipeline));
    let watches = watches(store)?;
    let mut needs_you = Vec::new();
    let mut causes = Causes::default();
    for pipeline in &pipelines {
        needs_you.extend(need(store, live, pipeline, &mut causes)?);
    }
    let to_apply = differs_on_disk.iter().map(|drift| apply_need(wanted.folder, drift));
    Ok(StatusView {
        store: store.dir().to_owned(),
        executor: store.setting_text(&EXECUTOR)?.0,
        running: live.is_some(),
        size_bytes: if store.is_limited() { visible_bytes(store)? } else { bytes_below(&folder) },
        free_bytes: free_bytes(&folder)?,
        needs_you: needs_you.into_iter().chain(to_apply).chain(watches.iter().filter_map(watch_need)).collect(),
        watches,
        differs_on_disk,
        repos,
        pipelines,
    })
}

/// The specs on disk differ: apply them, or restore them.
fn apply_need(folder: &Path, drift: &Drift) -> Need {
    let file = drift.file.strip_prefix(folder).unwrap_or(&drift.file).display().to_string();
    let word = shell_word(&file);
    let (what, commands) = if drift.what == [DriftPart::Errors] {
        (format!("{file} has errors"), vec![format!("pv pipeline check -f {word}")])
    } else {
        let parts: Vec<String> = drift.what.iter().map(ToString::to_string).collect();
        let differs = if drift.what.len() == 1 { "differs" } else { "differ" };
        let what = format!("{} on disk {differs} from the applied version: {file}", parts.join(" and "));
        (what, vec![format!("pv plan -f {word}"), format!("pv pipeline apply -f {word}")])
    };
    Need { pipeline: Some(drift.pipeline.clone()), what, commands, ..Need::default() }
}

/// What a pipeline needs from the user; nothing if it is current or progresses on its own.
fn need(store: &Store, live: Option<&Live>, view: &PipelineView, causes: &mut Causes) -> Result<Option<Need>> {
    let name = &view.name;
    let is_of_job = matches!(view.state, PipelineState::Running | PipelineState::Failed);
    let newest = view.newest.as_ref().filter(|_| is_of_job);
    let newest = newest.map(|job| job_view_among(store, job, live_job(live, job).as_ref(), causes)).transpose()?;
    let newest = newest.as_ref();
    let why = view.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let job = newest.map_or(name.as_str(), |job| job.short.as_str());
    // Only while it runs.
    let failed = newest.filter(|job| job.finished_at.is_none()).map_or(0, |job| job.datums_failed);
    let (what, commands) = match view.state {
        PipelineState::Running if failed > 0 => {
            let failed = plural(failed, "datum has", "datums have");
            (format!("running; {failed} failed so far"), vec![format!("pv logs {job} --failed")])
        }
        PipelineState::Current | PipelineState::Running => return Ok(None),
        // The upstream pipeline is the one that needs attention.
        PipelineState::Failed if newest.is_some_and(|job| job.state == JobState::Unrunnable) => return Ok(None),
        PipelineState::Pending if view.waits_for == Some(WaitsFor::Worker) => {
            (format!("pending{why}"), vec!["pv worker join --help".to_owned()])
        }
        // It waits for another pipeline, and continues when that one does.
        PipelineState::Pending if view.waits_for != Some(WaitsFor::Engine) => return Ok(None),
        PipelineState::Pending => ("pending".to_owned(), vec![command_that_runs(store)?.to_owned()]),
        PipelineState::Failed => {
            (format!("failed{why}"), vec![format!("pv job show {job}"), format!("pv job retry {name}")])
        }
        PipelineState::Stopped => ("stopped".to_owned(), vec![format!("pv pipeline start {name}")]),
    };
    Ok(Some(Need { pipeline: Some(name.clone()), what, commands, ..Need::default() }))
}

/// What a watch needs from the user; nothing if it works or rests.
fn watch_need(watch: &WatchView) -> Option<Need> {
    let first = watch.troubles.first().filter(|_| !watch.paused)?;
    let others = watch.troubles_count.saturating_sub(1);
    let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    Some(Need {
        watch: Some(watch.name.clone()),
        what: format!("{}{others}", first.sentence()),
        commands: vec!["pv watch list".to_owned()],
        ..Need::default()
    })
}

/// Bytes of the files at the heads of visible repositories.
fn visible_bytes(store: &Store) -> Result<u64> {
    repos(store, |_| true)?.map(|repo| Ok(repo?.size_bytes)).sum()
}

/// Bytes of all files below a folder; unreadable ones count as zero.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// Bytes that are free on the disk of a folder.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| RepoError::Io {
        doing: "read the free space of",
        path: folder.to_owned(),
        source: error.into(),
    })?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
