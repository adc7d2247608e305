//! The machines that execute datums. How they join is not an operation: `crate::workers`.

use ::repos::access::Right;
use answers::worker::WorkerView;

use crate::caller::Call;
use crate::operation::{Operation, get};
use crate::parts::Answer;
use crate::problem::Result;

pub(super) fn operations() -> Vec<Operation> {
    vec![get("/workers", ("listWorkers", "List the workers that have joined"), all).needs_right(Right::Check)]
}

async fn all(call: Call) -> Result<Answer<Vec<WorkerView>>> {
    Ok(Answer(call.workers()))
}
