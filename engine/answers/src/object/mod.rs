//! Anything that a word names, and its description.
//!
//! - `views` results, code, images, keys, maps and contents
//!
//! Not here: commits, runs, datums, jobs and versions, which have their own modules.

mod views;

use engine::live::Live;
use engine::{EngineError, Result};
use repos::documents::VersionDocument;
use repos::object::Kind;
use repos::store::Resolved;
use repos::{RepoError, Store};
use specs::{DatumRef, Digest, ErrorKind, JobRef, Source};

use crate::datum::find_datum;
use crate::named::{Named, VersionOf, commit_at, find_id, find_job, find_version};

pub use views::{
    CodeView, ContentView, ImageUse, MapView, ResultView, SigningKeyView, certificate_view, code_view, content_view,
    document_view, image_use, map_view, result_view, signing_key_view,
};

/// What a word names.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A version of a pipeline.
    Version(VersionOf),
    /// A commit.
    Commit(Box<Resolved>),
    /// A job without a commit.
    Job(JobRef),
    /// A datum of a job.
    Datum(DatumRef),
    /// Another object with an id.
    Object(Named),
}

/// What a word names. Resolution order: a repository, branch or tag; a version; an id; a job or a datum. Jobs and datums are skipped if the
/// document is wanted, since they have none.
pub fn subject(store: &Store, live: Option<&Live>, source: &Source, has_document: bool) -> Result<Subject> {
    let Source::Reference(reference) = source else { return by_id(store, source, has_document) };
    if let Some((of, _)) = find_version(store, reference)? {
        return Ok(Subject::Version(of));
    }
    if source.as_id().is_some() && !store.has_repo(&reference.repo)? {
        return by_id(store, source, has_document);
    }
    let error = match store.resolve(reference) {
        Ok(at) => return Ok(Subject::Commit(Box::new(at))),
        Err(error) => error,
    };
    let word = source.to_string();
    match &error {
        _ if has_document => {}
        // A job without a commit still has an id.
        RepoError::NoCommit { .. } => {
            if let Ok(job @ JobRef::InRun { .. }) = word.parse::<JobRef>()
                && find_job(store, &job).is_ok()
            {
                return Ok(Subject::Job(job));
            }
        }
        error if error.kind() == ErrorKind::NotFound => {
            if let Ok(datum @ DatumRef::InJob { .. }) = word.parse::<DatumRef>()
                && find_datum(store, live, &datum).is_ok()
            {
                return Ok(Subject::Datum(datum));
            }
        }
        _ => {}
    }
    Err(error.into())
}

fn by_id(store: &Store, source: &Source, has_document: bool) -> Result<Subject> {
    let Some((prefix, _)) = source.as_id() else {
        return Err(EngineError::Usage { what: format!("`{source}` is not an id"), hint: Some("pv log".to_owned()) });
    };
    match (find_id(store, &prefix), source) {
        (Ok(Named::Commit(id)), _) => Ok(Subject::Commit(Box::new(commit_at(store, id)?))),
        (Ok(Named::Document(Kind::Version, digest)), _) if !has_document => {
            let VersionDocument { name: pipeline, version, .. } = store.document(&digest)?;
            Ok(Subject::Version(VersionOf { pipeline, version }))
        }
        (Ok(named), _) => Ok(Subject::Object(named)),
        // Probably a repository was meant: its error suggests the nearest name.
        (Err(error), Source::Reference(reference)) if error.kind() == ErrorKind::NotFound => {
            Err(store.resolve(reference).err().map_or(error, EngineError::from))
        }
        (Err(error), _) => Err(error),
    }
}

/// The exact bytes of the document that a word names; their SHA-256 is its id. `Usage` if there is none.
pub fn document_of(store: &Store, subject: &Subject) -> Result<Vec<u8>> {
    let (kind, digest) = match subject {
        Subject::Commit(at) => (Kind::Commit, at.id.digest()),
        Subject::Version(of) => (Kind::Version, version_document(store, of)?),
        Subject::Object(Named::Commit(id)) => (Kind::Commit, id.digest()),
        Subject::Object(Named::Datum(id)) => (Kind::Recipe, id.digest()),
        Subject::Object(Named::Result(digest)) => (Kind::Result, *digest),
        Subject::Object(Named::Certificate(digest)) => (Kind::Certificate, *digest),
        Subject::Object(Named::Document(Kind::Log, digest)) => return Ok(store.log(digest)?.to_vec()),
        Subject::Object(Named::Document(kind, digest)) => (*kind, *digest),
        Subject::Object(named) => {
            let short = named.id().get(..12).unwrap_or_default().to_owned();
            return Err(no_document(named.sort(), &short));
        }
        Subject::Job(job) => return Err(no_document("job", &job.to_string())),
        Subject::Datum(datum) => return Err(no_document("datum", &datum.to_string())),
    };
    Ok(store.document_bytes(kind, &digest)?.to_vec())
}

fn version_document(store: &Store, of: &VersionOf) -> Result<Digest> {
    let row = store.pipeline_version(&of.pipeline, of.version)?;
    row.map(|row| row.document).ok_or_else(|| EngineError::NotFound { what: format!("{of} not found"), hint: None })
}

fn no_document(sort: &str, id: &str) -> EngineError {
    EngineError::Usage { what: format!("a {sort} has no document"), hint: Some(format!("pv show {id}")) }
}
