//! Why things ran or did not, what differs between two of them, and the figures that they made.

use ::repos::{Store, Timestamp};
use answers::datum::{FoundDatum, find_datum};
use answers::explain::{
    Compared, DatumExplained, DatumSide, PipelineExplained, compare_datums, compare_jobs, explain_datum,
    explain_pipeline,
};
use answers::job::JobView;
use answers::metrics::{self, Question, Scope, Table};
use answers::named::find_job;
use engine::live::Live;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::reference::{DatumRef, IdPrefix};
use specs::{JobRef, Reference};

use super::jobs::OfJob;
use super::pipelines::OfPipeline;
use super::questions::OfDatum;
use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Json, Path, Query};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/pipelines/{pipeline}/explain",
            ("explainPipeline", "Show why a pipeline is not running now, and its newest job"),
            pipeline,
        ),
        get(
            "/datums/{datum}/explain",
            ("explainDatum", "Show each field that differs from the nearest earlier datum"),
            datum,
        ),
        get("/datums/{datum}/compare", ("compareDatums", "Show what differs between two datums"), datums),
        get("/jobs/{job}/compare", ("compareJobs", "Show what differs between two jobs"), jobs),
        post("/metrics", ("showMetrics", "Show metrics in files, and the parameters that produced them"), table)
            .after_crash(AfterCrash::Repeat),
    ]
}

async fn pipeline(call: Call, Path(OfPipeline { pipeline }): Path<OfPipeline>) -> Result<Answer<PipelineExplained>> {
    let explained = call.ask(move |store, live| {
        let row = store.pipeline(&pipeline)?;
        Ok::<_, Problem>(explain_pipeline(store, &row, Some(live))?)
    });
    explained.await.map(Answer)
}

fn find(store: &Store, live: &Live, datum: IdPrefix) -> engine::Result<FoundDatum> {
    find_datum(store, Some(live), &DatumRef::Id(datum))
}

async fn datum(call: Call, Path(OfDatum { datum }): Path<OfDatum>) -> Result<Answer<DatumExplained>> {
    call.ask(move |store, live| explain_datum(store, Some(live), find(store, live, datum)?)).await.map(Answer)
}

/// The other datum.
#[derive(Debug, Deserialize, JsonSchema)]
struct OtherDatum {
    /// Its id, or a unique beginning of it.
    with: IdPrefix,
}

async fn datums(
    call: Call,
    Path(OfDatum { datum }): Path<OfDatum>,
    Query(OtherDatum { with }): Query<OtherDatum>,
) -> Result<Answer<Compared<DatumSide>>> {
    let compared = call.ask(move |store, live| {
        let (old, new) = (find(store, live, datum)?, find(store, live, with)?);
        compare_datums(store, &old, &new)
    });
    compared.await.map(Answer)
}

/// The other job.
#[derive(Debug, Deserialize, JsonSchema)]
struct OtherJob {
    /// `PIPELINE@RUN`, or `PIPELINE` for its newest job.
    with: JobRef,
}

async fn jobs(
    call: Call,
    Path(OfJob { job }): Path<OfJob>,
    Query(OtherJob { with }): Query<OtherJob>,
) -> Result<Answer<Compared<JobView>>> {
    let compared = call.ask(move |store, _| compare_jobs(store, &find_job(store, &job)?, &find_job(store, &with)?));
    compared.await.map(Answer)
}

/// Which figures.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Figures {
    /// Commits; with a path, only that file or directory.
    #[schemars(length(min = 1))]
    places: Vec<Reference>,
    /// Parameters or metrics to sort rows by.
    #[serde(default)]
    by: Vec<String>,
    /// The metrics to show; empty for all.
    #[serde(default)]
    only: Vec<String>,
    /// More of these metrics is better.
    #[serde(default)]
    max: Vec<String>,
    /// Less of these metrics is better.
    #[serde(default)]
    min: Vec<String>,
    /// Show each version of a file in the commit and its ancestors.
    #[serde(default)]
    all_runs: bool,
    /// The same, but not older than this.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Compare these files with what tries wrote in their place.
    #[serde(default)]
    tries: bool,
}

async fn table(call: Call, Json(of): Json<Figures>) -> Result<Answer<Table>> {
    if of.places.is_empty() {
        return Err(Problem::usage("`places` is empty", "name at least one commit, file or directory"));
    }
    let found = call.ask(move |store, _| {
        let places = of.places.iter().map(|place| store.resolve(place)).collect::<std::result::Result<Vec<_>, _>>()?;
        let scope = match (of.since, of.all_runs, of.tries) {
            (None, false, false) => Scope::Named,
            (since, _, false) => Scope::AllRuns(since),
            (None, false, true) => Scope::Tries,
            _ => return Err(Problem::usage("`tries` excludes `all_runs` and `since`", "choose one of them")),
        };
        let question =
            Question { places: &places, scope, by: &of.by, only: &of.only, highest: &of.max, lowest: &of.min };
        Ok(metrics::metrics(store, &question)?)
    });
    found.await.map(Answer)
}
