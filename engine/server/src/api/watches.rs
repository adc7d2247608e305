//! Watched folders of the server's machine.

use std::path::PathBuf;

use ::repos::access::Right;
use ::watch::standing::{self, Standing, Wish};
use ::watch::{After, PlanError, name_of};
use answers::watch::{WatchView, watch_view, watches};
use axum::http::StatusCode;
use engine::EngineError;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{Duration, Reference, WatchName};

use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Operation, delete, get, post};
use crate::parts::{Answer, Created, Done, Json, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/watches", ("listWatches", "List watched folders, and how they are doing"), all),
        get("/watches/{watch}", ("showWatch", "Show a watched folder, and how it is doing"), show),
        post("/watches", ("addWatch", "Watch a folder of the server's machine"), add)
            .needs_right(Right::Host)
            .after_crash(AfterCrash::Ask),
        delete("/watches/{watch}", ("deleteWatch", "Delete a watch; what it committed stays"), remove)
            .needs_right(Right::Host)
            .after_crash(AfterCrash::Ask),
        post("/watches/{watch}/pause", ("pauseWatch", "Pause a watch: it commits nothing until it is resumed"), pause)
            .needs_right(Right::Host)
            .after_crash(AfterCrash::Repeat),
        post("/watches/{watch}/resume", ("resumeWatch", "Resume a watch that was paused"), resume)
            .needs_right(Right::Host)
            .after_crash(AfterCrash::Repeat),
    ]
}

/// A watch.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfWatch {
    /// Its name.
    watch: WatchName,
}

async fn all(call: Call) -> Result<Answer<Vec<WatchView>>> {
    call.ask(|store, _| watches(store)).await.map(Answer)
}

async fn show(call: Call, Path(OfWatch { watch }): Path<OfWatch>) -> Result<Answer<WatchView>> {
    call.ask(move |store, _| watch_view(store, standing::find(store, &watch)?)).await.map(Answer)
}

/// A folder to watch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewWatch {
    /// The name of the watch; absent: the name of the folder.
    #[serde(default)]
    name: Option<WatchName>,
    /// The folder, a whole path of the server's machine.
    folder: PathBuf,
    /// The branch and the directory that get its files: `images`, `images@branch`, `images:/dir`.
    target: Reference,
    /// How long a file must not change before it is committed; absent: `2s`.
    #[serde(default)]
    settle: Option<Duration>,
    /// The least time between two commits; absent: that of `settle`.
    #[serde(default)]
    every: Option<Duration>,
    /// Most files in a commit.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    batch: Option<u32>,
    /// Also remove files that are deleted in the folder.
    #[serde(default)]
    mirror: bool,
    /// Patterns of files to leave out, as in a `.gitignore`.
    #[serde(default)]
    exclude: Vec<String>,
    /// Move each file to this folder once its commit is durable.
    #[serde(default)]
    move_to: Option<PathBuf>,
    /// Delete each file once its commit is durable.
    #[serde(default)]
    delete: bool,
    /// Message of the commits, with `{files}`, `{first}`, `{folder}`.
    #[serde(default)]
    message: Option<String>,
    /// The author of the commits, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

impl NewWatch {
    /// The watch, after checks that need only the machine.
    fn standing(self, call: &Call) -> Result<Standing> {
        let by = call.actor(self.author);
        let refused = |error: PlanError| unfit(EngineError::from(error).into());
        let after = match (self.move_to, self.delete) {
            (Some(_), true) => {
                return Err(unfit(Problem::usage("a file is either moved or deleted", "leave out one of them")));
            }
            (Some(to), false) => After::Move(to),
            (None, true) => After::Delete,
            (None, false) => After::Keep,
        };
        if self.batch == Some(0) {
            return Err(Problem::usage("`batch` is at least 1", "leave it out for no bound"));
        }
        let message = self.message.map(|text| text.parse().map_err(refused)).transpose()?;
        let watch = Standing {
            name: self.name.map_or_else(|| name_of(&self.folder).map_err(refused), Ok)?,
            folder: self.folder,
            target: self.target,
            settle: self.settle.unwrap_or_else(standing::settle),
            every: self.every,
            batch: self.batch.map(|batch| batch as usize),
            mirror: self.mirror,
            exclude: self.exclude,
            after,
            message: message.unwrap_or_default(),
            author: by.author,
            committer: by.committer,
            created_at: call.store().clock().now(),
            paused: false,
        };
        let plan = watch.plan().map_err(|error| unfit(error.into()))?;
        plan.check(true).map_err(refused)?;
        Ok(watch)
    }
}

/// The request has the right form, but no such watch can be.
fn unfit(problem: Problem) -> Problem {
    problem.status(StatusCode::UNPROCESSABLE_ENTITY)
}

async fn add(call: Call, Json(new): Json<NewWatch>) -> Result<Created<WatchView>> {
    let caller = call.clone();
    let added = call.change(move |store| {
        let watch = new.standing(&caller)?;
        standing::add(store, &watch)?;
        watch_view(store, watch).map_err(Problem::from)
    });
    added.await.map(Created)
}

async fn remove(call: Call, Path(OfWatch { watch }): Path<OfWatch>) -> Result<Done> {
    call.change(move |store| standing::delete(store, &watch)).await?;
    Ok(Done)
}

async fn pause(call: Call, Path(OfWatch { watch }): Path<OfWatch>) -> Result<Answer<WatchView>> {
    wish(call, watch, Wish::Pause).await
}

async fn resume(call: Call, Path(OfWatch { watch }): Path<OfWatch>) -> Result<Answer<WatchView>> {
    wish(call, watch, Wish::Resume).await
}

async fn wish(call: Call, watch: WatchName, wish: Wish) -> Result<Answer<WatchView>> {
    let wished = call.change(move |store| {
        standing::set(store, &watch, wish)?;
        watch_view(store, standing::find(store, &watch)?)
    });
    wished.await.map(Answer)
}
