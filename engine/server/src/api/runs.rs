//! Runs: everything that one change caused.

use answers::run::{self, RunView};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{RunId, RunRef};

use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, get};
use crate::parts::{Answer, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/runs", ("listRuns", "List runs, newest first"), all),
        get("/runs/{run}", ("showRun", "Show a run with its jobs"), show),
    ]
}

async fn all(call: Call, wanted: Wanted) -> Result<Listed<RunView>> {
    list(call, wanted, |store, live, cursor, items| {
        let after: Option<RunId> = cursor.after_as()?;
        let runs = run::runs_before(store, Some(live), after.as_ref())?;
        items.extend(runs, |run| run.id.to_string()).map_err(Problem::from)
    })
    .await
}

/// A run.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfRun {
    /// Its id, or a unique beginning of it.
    #[schemars(regex(pattern = r"^@?[0-9a-f]{4,64}$"))]
    run: String,
}

async fn show(call: Call, Path(OfRun { run }): Path<OfRun>) -> Result<Answer<RunView>> {
    let run = run_ref(&run)?;
    call.ask(move |store, live| run::find_run(store, &run, Some(live))).await.map(Answer)
}

/// A run in a request's path.
fn run_ref(text: &str) -> Result<RunRef> {
    let wrong = |error: specs::reference::ReferenceError| {
        let problem = Problem::new(specs::ErrorKind::Usage, error.to_string());
        error.hint().map_or(problem.clone(), |hint| problem.hint(hint))
    };
    format!("@{}", text.trim_start_matches('@')).parse().map_err(wrong)
}
