//! An object store whose n-th request fails, or whose n-th answer is lost.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use repos::place::Place;

/// Counts requests; those with certain numbers fail, or their answers are lost.
#[derive(Debug)]
struct Flaky {
    inner: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    requests: AtomicU64,
    /// The numbers of the requests that fail.
    failing: Range<u64>,
    /// Whether they take effect anyway.
    only_answer: bool,
}

impl Plan {
    pub(crate) fn failing(failing: Range<u64>, only_answer: bool) -> Arc<Self> {
        Arc::new(Self { requests: AtomicU64::new(0), failing, only_answer })
    }

    pub(crate) fn seen(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    async fn pass<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if !self.failing.contains(&number) {
            return request.await;
        }
        if self.only_answer {
            request.await.ok();
        }
        Err(Error::Generic { store: "flaky", source: "the connection broke".into() })
    }
}

pub(crate) fn flaky(place: &Place, plan: &Arc<Plan>) -> Place {
    let plan = plan.clone();
    place.wrapped(|inner| Arc::new(Flaky { inner, plan }))
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flaky {}", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, path: &ObjectPath, bytes: PutPayload, options: PutOptions) -> Result<PutResult, Error> {
        self.plan.pass(self.inner.put_opts(path, bytes, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, Error> {
        let inner = self.plan.pass(self.inner.put_multipart_opts(path, options)).await?;
        Ok(Box::new(FlakyUpload { inner, plan: self.plan.clone() }))
    }

    async fn get_opts(&self, path: &ObjectPath, options: GetOptions) -> Result<GetResult, Error> {
        self.plan.pass(self.inner.get_opts(path, options)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<ObjectPath, Error>>,
    ) -> BoxStream<'static, Result<ObjectPath, Error>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        self.listed(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&ObjectPath>,
        offset: &ObjectPath,
    ) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        self.listed(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult, Error> {
        self.plan.pass(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<(), Error> {
        self.plan.pass(self.inner.copy_opts(from, to, options)).await
    }
}

impl Flaky {
    /// A listing begins with one request.
    fn listed(
        &self,
        listing: BoxStream<'static, Result<ObjectMeta, Error>>,
    ) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        let plan = self.plan.clone();
        let first = async move { plan.pass(std::future::ready(Ok(()))).await.map(|()| listing) };
        futures_util::stream::once(first).try_flatten().boxed()
    }
}

#[derive(Debug)]
struct FlakyUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Arc<Plan>,
}

#[async_trait::async_trait]
impl MultipartUpload for FlakyUpload {
    fn put_part(&mut self, bytes: PutPayload) -> UploadPart {
        let (plan, part) = (self.plan.clone(), self.inner.put_part(bytes));
        Box::pin(async move { plan.pass(part).await })
    }

    async fn complete(&mut self) -> Result<PutResult, Error> {
        self.plan.pass(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<(), Error> {
        self.inner.abort().await
    }
}
