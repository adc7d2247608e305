//! A place in an object store: all objects under one URL, such as `s3://bucket/prefix`.
//!
//! A store's packs and journal can be kept in a place; mirrors always are. The layout of a place:
//! ```text
//! format                  "pv store 1": the version of this layout
//! packs/<name>            finished packs, as in a local folder
//! journal/<20 digits>     one record each, counted from 1; the bytes are the journal's line
//! ```
//! - `access`: URLs, credentials, timeouts, retries
//! - `runtime`: asynchronous requests for synchronous callers
//! - `upload`: uploads of files, in parts and in parallel
//! - `why`: the cause of a failed request, on one line
//!
//! Requests are retried with growing pauses; the final error says where it failed, and what to check.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::base::error::RepoError;
use crate::base::time::Timestamp;

mod access;
pub(crate) mod runtime;
mod upload;
mod why;

pub use access::Access;

/// Number of parallel requests for a list of objects.
const AT_ONCE: usize = 24;

/// All objects under one URL. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Place {
    url: Arc<str>,
    base: Path,
    objects: Arc<dyn ObjectStore>,
    /// Whether names are listed in order, so that the first ones can be listed without the rest.
    is_sorted: bool,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name within the listed folder.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
    /// When it was written.
    pub(crate) written_at: Timestamp,
}

impl Place {
    /// The place at `url`; no request is made yet.
    pub fn open(url: &str, access: &Access) -> Result<Self, RepoError> {
        access::open(url, access)
    }

    /// A place on top of `objects`, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn of(url: &str, objects: Arc<dyn ObjectStore>) -> Self {
        Self { url: url.into(), base: Path::default(), objects, is_sorted: true }
    }

    /// The same place with its object store wrapped, for example to inject failures.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn wrapped(&self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { objects: wrap(self.objects.clone()), ..self.clone() }
    }

    /// The URL it was opened with, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.base.clone(), Path::join)
    }

    /// Makes a request from a thread that may block.
    fn request<T: Send + 'static, F>(
        &self,
        doing: &'static str,
        name: &str,
        request: impl FnOnce(Arc<dyn ObjectStore>, Path) -> F,
    ) -> Result<T, RepoError>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let work = request(self.objects.clone(), self.path(name));
        runtime::wait(work).and_then(|done| done.map_err(Into::into)).map_err(|error| self.failed(doing, name, error))
    }

    #[expect(clippy::needless_pass_by_value, reason = "called with what a request gave")]
    fn failed(&self, doing: &'static str, name: &str, error: runtime::Failure) -> RepoError {
        RepoError::Place { doing, url: format!("{}/{name}", self.url), source: Box::new(why::cause(&*error).into()) }
    }

    /// The content of an object; `None` if it does not exist.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Bytes>, RepoError> {
        self.request("read", name, |objects, path| async move {
            match objects.get(&path).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// A range of an object, shorter at its end; `None` if it does not exist.
    pub(crate) fn get_range(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        if range.is_empty() {
            return Ok(Some(Bytes::new()));
        }
        self.request("read", name, |objects, path| async move {
            let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            let found = match objects.get_opts(&path, options).await {
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            };
            match found {
                Ok(bytes) => Ok(Some(bytes)),
                Err(Error::NotFound { .. }) => Ok(None),
                // A range beyond the end is an error in every store, each with its own message, although it is only empty.
                Err(error) => match objects.head(&path).await {
                    Ok(there) if there.size <= range.start => Ok(Some(Bytes::new())),
                    _ => Err(error),
                },
            }
        })
    }

    /// The contents of several objects, in order; a missing one is an error.
    pub(crate) fn get_all(&self, names: &[String]) -> Result<Vec<Bytes>, RepoError> {
        let Some(first) = names.first() else { return Ok(Vec::new()) };
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect();
        self.request("read", first, |objects, _| async move {
            let get = |path: Path| {
                let objects = objects.clone();
                async move { objects.get(&path).await?.bytes().await }
            };
            futures_util::stream::iter(paths.into_iter().map(get)).buffered(AT_ONCE).try_collect().await
        })
    }

    /// Creates an object durably. False if another object has this name; an existing object with exactly these bytes counts as ours,
    /// written by a request whose answer was lost.
    ///
    /// `Unsure` if no answer came and a lookup did not tell either; after any other error the object does not exist and will not appear.
    pub(crate) fn create(&self, name: &str, bytes: &Bytes) -> Result<bool, RepoError> {
        let (own, is_prompt) = (bytes.clone(), self.is_prompt());
        let request = async move |objects: Arc<dyn ObjectStore>, path| create(&*objects, &path, &own, is_prompt).await;
        self.request("write", name, request)?.known(|why| self.unsure(name, &why))
    }

    /// Whether a failed request is certainly over: one sent over a network may still take effect.
    fn is_prompt(&self) -> bool {
        self.url.starts_with("file:")
    }

    fn unsure(&self, name: &str, why: &str) -> RepoError {
        RepoError::Unsure { why: format!("the write of `{}/{name}` was not answered ({why})", self.url), source: None }
    }

    /// Like [`Self::create`] for many, several in parallel and in no particular order. True if all exist now.
    pub(crate) fn create_all(&self, named: Vec<(String, Bytes)>) -> Result<bool, RepoError> {
        let Some((first, _)) = named.first().cloned() else { return Ok(true) };
        let paths: Vec<(Path, Bytes)> = named.into_iter().map(|(name, bytes)| (self.path(&name), bytes)).collect();
        let is_prompt = self.is_prompt();
        let created = self.request("write", &first, |objects, _| async move {
            let create = |(path, bytes): (Path, Bytes)| {
                let objects = objects.clone();
                async move { create(&*objects, &path, &bytes, is_prompt).await }
            };
            let created = futures_util::stream::iter(paths.into_iter().map(create)).buffer_unordered(AT_ONCE);
            created.try_fold(Created::Own, |all, created| std::future::ready(Ok(all.and(created)))).await
        })?;
        created.known(|why| self.unsure(&first, &why))
    }

    /// The objects in a folder, sorted by name.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<Listed>, RepoError> {
        self.listed(folder, |objects, path| objects.list(Some(&path)), usize::MAX)
    }

    /// The first objects in a folder whose names sort after `after`, sorted by name.
    pub(crate) fn list_after(&self, folder: &str, after: &str, limit: usize) -> Result<Vec<Listed>, RepoError> {
        let offset = self.path(&format!("{folder}/{after}"));
        self.listed(folder, move |objects, path| objects.list_with_offset(Some(&path), &offset), limit)
    }

    fn listed<F>(&self, folder: &str, list: F, limit: usize) -> Result<Vec<Listed>, RepoError>
    where
        F: FnOnce(&Arc<dyn ObjectStore>, Path) -> futures_util::stream::BoxStream<'static, Result<ObjectMeta, Error>>,
        F: Send + 'static,
    {
        let asked = if self.is_sorted { limit } else { usize::MAX };
        let mut found: Vec<ObjectMeta> = self.request("list", folder, |objects, path| async move {
            list(&objects, path).take(asked).try_collect().await
        })?;
        found.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(found.iter().filter_map(listed).take(limit).collect())
    }

    /// Metadata of an object; `None` if it does not exist.
    pub(crate) fn look(&self, name: &str) -> Result<Option<Listed>, RepoError> {
        self.request("look at", name, |objects, path| async move {
            match objects.head(&path).await {
                Ok(found) => Ok(listed(&found)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Removes an object; a missing object is not an error.
    pub(crate) fn remove(&self, name: &str) -> Result<(), RepoError> {
        self.request("remove", name, |objects, path| async move {
            match objects.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

fn listed(found: &ObjectMeta) -> Option<Listed> {
    let name = found.location.filename()?.to_owned();
    let written_at = Timestamp::from_micros(found.last_modified.timestamp_micros());
    Some(Listed { name, size_bytes: found.size, written_at })
}

/// The outcome of a write that must not be done twice.
#[derive(Debug)]
enum Created {
    /// Our object exists.
    Own,
    /// Another object has this name.
    Other,
    /// Unknown, with the reason.
    Unknown(String),
}

impl Created {
    fn of(is_own: bool) -> Self {
        if is_own { Self::Own } else { Self::Other }
    }

    /// Combines two outcomes; unknown outweighs everything else.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Own, other) => other,
            (one, Self::Own) => one,
            (Self::Other, other) => other,
            (unknown, _) => unknown,
        }
    }

    fn known(self, unsure: impl FnOnce(String) -> RepoError) -> Result<bool, RepoError> {
        match self {
            Self::Own => Ok(true),
            Self::Other => Ok(false),
            Self::Unknown(why) => Err(unsure(why)),
        }
    }
}

/// The client does not retry such a request, because only its answer may have been lost: a lookup tells.
async fn create(objects: &dyn ObjectStore, path: &Path, own: &Bytes, is_prompt: bool) -> Result<Created, Error> {
    let put = || {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        objects.put_opts(path, own.clone().into(), options)
    };
    let first = put().await;
    let (done, was_answered) = match first {
        Ok(_) | Err(Error::AlreadyExists { .. }) => (first, true),
        Err(error) => {
            tokio::time::sleep(runtime::PAUSE).await;
            (put().await, is_answer(&error))
        }
    };
    let Err(error) = done else { return Ok(Created::Own) };
    // It may have succeeded anyway, on the first attempt or the second.
    match look(objects, path).await {
        Ok(Some(bytes)) => Ok(Created::of(bytes == own)),
        Ok(None) if is_prompt || (was_answered && is_answer(&error)) => Err(error),
        Err(_) if was_answered && is_answer(&error) => Err(error),
        Ok(None) => Ok(Created::Unknown(why::cause(&error))),
        Err(blind) => Ok(Created::Unknown(why::cause(&blind))),
    }
}

/// The content of an object, with one retry: much depends on this lookup.
async fn look(objects: &dyn ObjectStore, path: &Path) -> Result<Option<Bytes>, Error> {
    let get = || async {
        match objects.get(path).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    };
    match get().await {
        Err(_) => {
            tokio::time::sleep(runtime::PAUSE).await;
            get().await
        }
        seen => seen,
    }
}

/// Whether an error is a refusal from the place itself; for any other error the outcome is unknown.
fn is_answer(error: &Error) -> bool {
    match error {
        Error::NotFound { .. }
        | Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. }
        | Error::NotImplemented { .. }
        | Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::UnknownConfigurationKey { .. } => true,
        // `JoinError`, `Generic`: also a broken connection.
        _ => false,
    }
}
