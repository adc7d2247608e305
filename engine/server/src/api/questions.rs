//! Questions about the whole store: provenance, differences, why something ran.

use std::collections::BTreeSet;
use std::path::Path as Folder;

use answers::datum::{DatumDetails, datum_details, find_datum};
use answers::diff::{DiffView, Sides, Why};
use answers::explain::{JobExplained, explain_job};
use answers::find::{self, FoundView};
use answers::named::find_job;
use answers::preview::{self, Preview};
use answers::status::{self, StatusView};
use answers::trace::{self, Forward, ForwardOptions, Reach, Trace};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::reference::{DatumRef, IdPrefix};
use specs::{JobRef, Reference};

use super::apply::PREVIEWED;
use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, get};
use crate::parts::{Answer, Path, Query};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/status", ("showStatus", "Show an overview of the store, and what needs an action"), overview),
        get("/trace", ("traceFile", "Show the provenance of a file"), back),
        get("/trace/forward", ("traceForward", "Show everything derived from a file"), forward),
        get("/diff", ("diff", "List the files that differ between two commits"), differences),
        get("/diff/why", ("diffWhy", "Show why two output commits differ"), why),
        get("/plan", ("plan", "Show what the open jobs would do"), plan),
        get("/explain", ("explainJob", "Show why a job ran, and what it ran"), explained),
        get("/datums/{datum}", ("showDatum", "Show a datum with its newest result"), datum),
        get("/find", ("find", "Find where a content or a name is and was"), found),
    ]
}

async fn overview(call: Call) -> Result<Answer<StatusView>> {
    call.ask(|store, live| {
        let wanted = status::Wanted { repos: status::WantedRepos::All, folder: Folder::new("/") };
        let mut status = status::status(store, Some(live), wanted)?;
        status.needs_you.extend(notifications::needs(store, true)?);
        Ok::<_, Problem>(status)
    })
    .await
    .map(Answer)
}

/// The file whose provenance is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Traced {
    /// `REPO[@REVISION]:/PATH`.
    file: Reference,
    /// Follow at most this many datums back.
    #[serde(default)]
    depth: Option<usize>,
    /// Follow every file of large directories.
    #[serde(default)]
    files: bool,
}

async fn back(call: Call, Query(of): Query<Traced>) -> Result<Answer<Trace>> {
    call.ask(move |store, _| {
        let at = store.resolve(&of.file)?;
        trace::trace(store, &at, Reach { depth: of.depth, all_files: of.files }).map_err(Problem::from)
    })
    .await
    .map(Answer)
}

/// The file whose derivatives are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct TracedForward {
    /// `REPO[@REVISION][:/PATH]`.
    file: Reference,
    /// Follow at most this many datums forward.
    #[serde(default)]
    depth: Option<usize>,
    /// Include all runs that read this content, not only the named commit's.
    #[serde(default)]
    all_runs: bool,
}

async fn forward(call: Call, Query(of): Query<TracedForward>) -> Result<Answer<Forward>> {
    call.ask(move |store, _| {
        let at = store.resolve(&of.file)?;
        let options = ForwardOptions { depth: of.depth, all_runs: of.all_runs, ..ForwardOptions::default() };
        trace::forward(store, &at, options).map_err(Problem::from)
    })
    .await
    .map(Answer)
}

/// What to find.
#[derive(Debug, Deserialize, JsonSchema)]
struct Sought {
    /// An id, a SHA-256, or a glob.
    #[schemars(length(min = 1), extend("format" = "pv-glob"))]
    what: String,
}

async fn found(call: Call, Query(Sought { what }): Query<Sought>) -> Result<Answer<Vec<FoundView>>> {
    call.ask(move |store, _| find::find(store, &find::sought(store, &what)?, &what)).await.map(Answer)
}

/// Two sides to compare.
#[derive(Debug, Deserialize, JsonSchema)]
struct Sided {
    /// `REPO[@REVISION][:/PATH]`; alone: what is compared with its parent.
    old: Source,
    /// The other side.
    #[serde(default)]
    new: Option<Source>,
}

async fn differences(call: Call, Query(of): Query<Sided>, wanted: Wanted) -> Result<Listed<DiffView>> {
    list(call, wanted, move |store, _, cursor, items| {
        let sides = Sides::find(store, &of.old.0, of.new.as_ref().map(|new| &new.0))?;
        let entries = sides.entries(store)?.map(|entry| entry.map(|entry| DiffView::new(entry, None, None)));
        let rest = entries.filter(|view| view.as_ref().map_or(true, |view| !cursor.is_before(view.path.as_str())));
        items.extend(rest, |view| view.path.to_string()).map_err(Problem::from)
    })
    .await
}

/// A source as a parameter.
#[derive(Debug)]
pub(super) struct Source(pub(super) specs::Source);

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        // `Source` is that of a commit, which answers have.
        "FileSource".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "pv-source", "pattern": specs::pattern::source() })
    }
}

/// Two output commits.
#[derive(Debug, Deserialize, JsonSchema)]
struct Outputs {
    /// `REPO[@REVISION]`.
    old: Reference,
    /// `REPO[@REVISION]`.
    new: Reference,
}

async fn why(call: Call, Query(of): Query<Outputs>) -> Result<Answer<Option<Why>>> {
    call.ask(move |store, _| {
        let (old, new) = (store.resolve(&of.old)?.id, store.resolve(&of.new)?.id);
        answers::diff::why(store, &old, &new).map_err(Problem::from)
    })
    .await
    .map(Answer)
}

async fn plan(call: Call) -> Result<Answer<Vec<Preview>>> {
    call.ask(|store, _| preview::pending(store, &BTreeSet::new(), false, PREVIEWED)).await.map(Answer)
}

/// A job to explain.
#[derive(Debug, Deserialize, JsonSchema)]
struct Explained {
    /// `PIPELINE@RUN`, or `PIPELINE` for its newest job.
    job: JobRef,
}

async fn explained(call: Call, Query(of): Query<Explained>) -> Result<Answer<JobExplained>> {
    call.ask(move |store, live| explain_job(store, &find_job(store, &of.job)?, Some(live))).await.map(Answer)
}

/// A datum.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfDatum {
    /// Its id, or a unique beginning of it.
    pub(super) datum: IdPrefix,
}

async fn datum(call: Call, Path(OfDatum { datum }): Path<OfDatum>) -> Result<Answer<DatumDetails>> {
    call.ask(move |store, live| datum_details(store, &find_datum(store, Some(live), &DatumRef::Id(datum))?))
        .await
        .map(Answer)
}
