//! The operations, one file for each kind of resource. A handler parses, calls a function of `answers` or `engine`, and answers with its
//! result: nothing is computed here.

use std::sync::Arc;

use axum::Router;
use axum::middleware;

use crate::app::App;
use crate::caller::{Needs, authenticate, named};
use crate::openapi;
use crate::operation::Operation;
use crate::parts::refuse_unknown;

mod admin;
mod apply;
mod archive;
mod branches;
mod commits;
mod content;
mod docs;
mod edits;
mod event_logs;
mod events;
mod files;
mod images;
mod jobs;
mod keeping;
mod logins;
mod notifications;
mod objects;
mod operate;
mod pipelines;
mod proofs;
mod questions;
mod reasons;
mod repos;
mod resumable;
mod running;
mod runs;
mod tags;
mod trials;
mod upkeep;
mod upload;
mod uploads;
mod watches;
mod workers;

/// All operations, in the order of the documentation.
pub fn operations() -> Vec<Operation> {
    [
        repos::operations(),
        branches::operations(),
        tags::operations(),
        commits::operations(),
        files::operations(),
        uploads::operations(),
        edits::operations(),
        resumable::operations(),
        objects::operations(),
        runs::operations(),
        running::operations(),
        pipelines::operations(),
        apply::operations(),
        operate::operations(),
        jobs::operations(),
        trials::operations(),
        questions::operations(),
        reasons::operations(),
        proofs::operations(),
        events::operations(),
        admin::operations(),
        notifications::operations(),
        logins::operations(),
        upkeep::operations(),
        keeping::operations(),
        watches::operations(),
        images::operations(),
        workers::operations(),
        docs::operations(),
    ]
    .concat()
}

/// The router of all operations, each behind its check.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for operation in operations() {
        let known: Arc<[String]> = openapi::query_parameters(&operation).into();
        let mut route = operation.route.layer(middleware::from_fn_with_state(known, refuse_unknown));
        if let Some(role) = operation.needs {
            let Operation { id, right, after_crash, reads, .. } = operation;
            let needs = Needs { operation: id, role, right, after_crash, reads };
            route = route.layer(middleware::from_fn_with_state((app.clone(), needs), authenticate));
        }
        router = router.route(operation.path, named(operation.id, route));
    }
    router.with_state(app.clone())
}
