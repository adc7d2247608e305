//! Rollback: a pipeline returns to an earlier version, under a new number. Nothing is pulled, no code is read again; what that version
//! computed is in the cache.
//!
//! The number is new because a version's number never has two meanings.

use repos::Store;
use repos::documents::{SpecDocument, VersionDocument};
use repos::journal::CauseKind;
use specs::{PipelineName, parse_specs};

use super::Applied;
use super::checks::{self, Scope};
use super::publish::{self, Why};
use super::versions::{Prepared, Settings};
use crate::error::{EngineError, Result};
use crate::run::Actor;

/// Restores `version` of a pipeline; `message` says why.
///
/// `Specs` reports everything that no longer fits, such as a missing repository. Nothing happens if the pipeline is already the same.
pub fn rollback(store: &Store, name: &PipelineName, version: u32, by: &Actor, message: &str) -> Result<Applied> {
    store.pipeline(name)?;
    let row = store
        .pipeline_version(name, version)?
        .ok_or_else(|| EngineError::NoVersion { pipeline: name.clone(), version })?;
    let document: VersionDocument = store.document(&row.document)?;
    let SpecDocument(value) = store.document(&document.spec)?;
    let file = format!("{name}@v{version}");
    let set = parse_specs(&[(file, value.to_string())]);
    let settings = Settings { default_branch: document.default_branch.clone(), ..Settings::of(store)? };
    let scope = Scope { store: store.clone(), settings, kind: document.executor };
    let specs = set.specs.clone();
    let Some(parsed) = specs.first() else {
        let problems = set.diagnostics.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ");
        let what = format!("this pv cannot read the spec of version {version}: {problems}");
        return Err(EngineError::Usage { what, hint: Some(format!("pv show {name}@v{version} prints it")) });
    };
    let prepared = [Prepared::of_version(&document, parsed.spec.clone())];
    let why = Why { kind: CauseKind::Rollback, by, dry: false, message: Some(rolled(version, message)) };
    publish::publish(store, &prepared, &why, |graph| checks::ensure_fits(&scope, graph, &specs, 1))
}

/// `to v3: the new model misses bags`
fn rolled(version: u32, message: &str) -> String {
    if message.is_empty() { format!("to v{version}") } else { format!("to v{version}: {message}") }
}
