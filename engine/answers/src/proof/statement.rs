//! A store's claims about its commits: in-toto Statements, version 1.
//!
//! The subject of a statement is a commit, never a list of files: a commit's id covers every file in it, so a renamed or omitted file
//! cannot go unnoticed. The predicate names the files of the trace.
//!
//! - An output commit gets SLSA provenance, version 1 (slsa.dev/provenance/v1). Its `buildType` is [`JOB_BUILD_TYPE`]: the pipeline's
//!   version and the run with its cause are external parameters; transform, network and executor are internal ones; dependencies are the
//!   input commits, spec, transform, image, code and the files that the traced datums read; by-products are the traced files, results and
//!   logs.
//! - A commit of a user or a cron input gets [`COMMIT_PREDICATE`]: author, committer, message, time, parents, the traced files.
//!
//! Digests named `sha256` are those of the bytes printed by `pv show --raw` and `pv cat`; `gitCommit` is git's own.

use std::collections::BTreeMap;

use repos::Store;
use repos::documents::{CodeStamp, Commit, CommitKind, GitState, JobDocument, PipelineStamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use specs::{CommitId, Digest};

use super::evidence::{Commits, Evidence};
use crate::trace::{InputNode, Trace};
use engine::Result;

/// How outputs are built: by a job of a pipeline.
pub const JOB_BUILD_TYPE: &str = "pv:build/job/v1";
/// The predicate of a commit that a user made.
pub const COMMIT_PREDICATE: &str = "pv:predicate/commit/v1";
/// The predicate of a commit that a pipeline made.
pub const SLSA_PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// A claim about a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The version of the format.
    #[serde(rename = "_type")]
    pub format: String,
    /// The commit.
    pub subject: Vec<Descriptor>,
    /// The type of the claim.
    pub predicate_type: String,
    /// The claim.
    pub predicate: Value,
}

/// Something with a name and a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Descriptor {
    /// Its name here.
    pub name: String,
    /// Algorithm → digest in hex.
    pub digest: BTreeMap<String, String>,
}

impl Descriptor {
    fn new(name: impl Into<String>, digest: Digest) -> Self {
        Self { name: name.into(), digest: [("sha256".to_owned(), digest.to_string())].into() }
    }
}

/// Statements about every commit in a trace; the requested one first.
pub fn statements(store: &Store, trace: &Trace) -> Result<Vec<Statement>> {
    let Commits { order, evidence } = Commits::of(trace);
    let builder = format!("pv:store/{}", store.id()?);
    order.iter().map(|id| statement(store, *id, &evidence[id], &builder)).collect()
}

fn statement(store: &Store, id: CommitId, evidence: &Evidence<'_>, builder: &str) -> Result<Statement> {
    let commit = store.commit(&id)?;
    let (predicate_type, predicate) = match (&commit.pipeline, commit.kind) {
        (Some(stamp), CommitKind::Output) => {
            (SLSA_PREDICATE, provenance(store, (id, &commit), stamp, evidence, builder)?)
        }
        _ => (COMMIT_PREDICATE, made_by_people(&commit, evidence)),
    };
    Ok(Statement {
        format: "https://in-toto.io/Statement/v1".to_owned(),
        subject: vec![Descriptor::new(commit_name(&commit, &id), id.digest())],
        predicate_type: predicate_type.to_owned(),
        predicate,
    })
}

fn commit_name(commit: &Commit, id: &CommitId) -> String {
    format!("{}@{id}", commit.repo)
}

fn made_by_people(commit: &Commit, evidence: &Evidence<'_>) -> Value {
    json!({
        "author": commit.author,
        "committer": commit.committer,
        "message": commit.message,
        "createdAt": commit.created_at,
        "branch": commit.branch,
        "run": commit.run,
        "parents": commit.parents,
        "tree": commit.tree,
        "files": files(evidence),
    })
}

fn files(evidence: &Evidence<'_>) -> Vec<Descriptor> {
    let of_file = |(repo, path, digest): &(_, _, Digest)| Descriptor::new(format!("{repo}:{path}"), *digest);
    evidence.files.iter().map(of_file).collect()
}

fn provenance(
    store: &Store,
    (id, commit): (CommitId, &Commit),
    stamp: &PipelineStamp,
    evidence: &Evidence<'_>,
    builder: &str,
) -> Result<Value> {
    let run = store.run(&commit.run)?;
    let job: Option<JobDocument> = match store.job(run.order, &stamp.name)?.and_then(|row| row.document) {
        Some(document) => Some(store.document(&document)?),
        None => None,
    };
    let started_at = job.as_ref().and_then(|job| job.started_at).unwrap_or(commit.created_at);
    let refs = &run.cause.refs;
    let mut internal = json!({ "transform": stamp.transform, "executor": job.map(|job| job.executor) });
    let hidden = store.hidden_origins(&id)?;
    if hidden > 0 {
        internal["dependenciesNotVisible"] = hidden.into();
    }
    Ok(json!({
        "buildDefinition": {
            "buildType": JOB_BUILD_TYPE,
            "externalParameters": {
                "pipeline": stamp.name,
                "version": stamp.version,
                "spec": stamp.spec,
                "run": commit.run,
                "cause": { "kind": run.cause.kind, "refs": refs, "author": run.cause.author, "committer": run.cause.committer },
            },
            "internalParameters": internal,
            "resolvedDependencies": dependencies(commit, stamp, evidence),
        },
        "runDetails": {
            "builder": { "id": builder, "version": { "pv": env!("CARGO_PKG_VERSION") } },
            "metadata": { "invocationId": commit.job, "startedOn": started_at, "finishedOn": commit.created_at },
            "byproducts": byproducts(evidence),
        },
    }))
}

/// Input commits, spec, transform, image, code, and what the traced datums read.
fn dependencies(commit: &Commit, stamp: &PipelineStamp, evidence: &Evidence<'_>) -> Vec<Descriptor> {
    let inputs = commit.provenance.iter();
    let mut all: Vec<Descriptor> = inputs
        .map(|origin| Descriptor::new(format!("{}@{}", origin.repo, origin.commit), origin.commit.digest()))
        .collect();
    all.push(Descriptor::new(format!("spec {} v{}", stamp.name, stamp.version), stamp.spec));
    all.push(Descriptor::new(format!("transform {} v{}", stamp.name, stamp.version), stamp.transform));
    all.extend(stamp.image.iter().map(|image| Descriptor::new(format!("image {}", image.reference), image.digest)));
    if let Some(code) = &stamp.code {
        all.extend(code.tree.map(|tree| Descriptor::new("code", tree)));
        all.extend(git_commits(code));
    }
    all.extend(evidence.datums.iter().flat_map(|datum| &datum.inputs).flat_map(input_files));
    all
}

/// The git commits that code and spec were compared with; each name contains the outcome.
fn git_commits(code: &CodeStamp) -> Vec<Descriptor> {
    let code = code.checked();
    let checks = [("code", code.git_code), ("spec", code.git_spec)];
    let commits = checks.into_iter().filter_map(|(what, check)| {
        let check = check?;
        let commit = check.commit.clone()?;
        let state = match check.state {
            GitState::InCommit => format!("{what} is in it"),
            GitState::Differs => format!("{what} differs from it"),
            GitState::InNoCommit | GitState::NotChecked => format!("{what} was not compared with it"),
        };
        Some(Descriptor { name: format!("git, {state}"), digest: [("gitCommit".to_owned(), commit)].into() })
    });
    commits.collect()
}

/// A matched directory represents its files.
fn input_files(input: &InputNode) -> Vec<Descriptor> {
    let place = input.commit.as_ref().map_or_else(|| input.input.clone(), |commit| commit.repo.to_string());
    input.digest.map(|digest| Descriptor::new(format!("{place}:{}", input.path), digest)).into_iter().collect()
}

/// The traced files, the results that wrote them, and their logs.
fn byproducts(evidence: &Evidence<'_>) -> Vec<Descriptor> {
    let mut all = files(evidence);
    for datum in &evidence.datums {
        let name = |what: &str| format!("{what} of datum {} in {}", datum.id, datum.job);
        all.push(Descriptor::new(name("result"), datum.result));
        all.extend(datum.log.map(|log| Descriptor::new(name("log"), log)));
    }
    all
}
