//! Files into a place: small ones in one request, large ones in parts, some at a time.

use bytes::Bytes;
use object_store::{ObjectStoreExt, WriteMultipart};

use super::{Place, runtime};
use crate::base::error::RepoError;

/// Files up to this many bytes are one request.
const ONE_REQUEST_BYTES: u64 = 16 << 20;
/// Bytes of a part; more when a file would have too many.
const PART_BYTES: u64 = 8 << 20;
/// More parts are not allowed by S3.
const PARTS: u64 = 9_000;
/// Parts on their way at the same time: with the one being read, all that is in memory.
const PARTS_AT_ONCE: usize = 4;

impl Place {
    /// Writes an object of `size_bytes` bytes, which `read` gives from an offset on, at most as many as asked. Durable on return, and
    /// not to be seen before.
    pub(crate) fn upload(
        &self,
        name: &str,
        size_bytes: u64,
        mut read: impl FnMut(std::ops::Range<u64>) -> Result<Bytes, RepoError>,
    ) -> Result<(), RepoError> {
        if size_bytes <= ONE_REQUEST_BYTES {
            let bytes = read(0..size_bytes)?;
            return self.request("write", name, |objects, path| async move {
                objects.put(&path, bytes.into()).await.map(|_| ())
            });
        }
        let part_bytes = PART_BYTES.max(size_bytes.div_ceil(PARTS));
        let mut writer = self.request("write", name, |objects, path| async move {
            let upload = objects.put_multipart(&path).await?;
            Ok(WriteMultipart::new_with_chunk_size(upload, part_bytes as usize))
        })?;
        for start in (0..size_bytes).step_by(part_bytes as usize) {
            let bytes = match read(start..size_bytes.min(start + part_bytes)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    // Parts that stay are not seen, but cost money.
                    runtime::wait(writer.abort()).ok();
                    return Err(error);
                }
            };
            writer = self.put_part(name, writer, bytes)?;
        }
        self.request("write", name, |_, _| async move { writer.finish().await.map(|_| ()) })
    }

    fn put_part(&self, name: &str, mut writer: WriteMultipart, part: Bytes) -> Result<WriteMultipart, RepoError> {
        self.request("write", name, |_, _| async move {
            match writer.wait_for_capacity(PARTS_AT_ONCE).await {
                Ok(()) => {
                    writer.put(part);
                    Ok(writer)
                }
                Err(error) => {
                    writer.abort().await.ok();
                    Err(error)
                }
            }
        })
    }
}
