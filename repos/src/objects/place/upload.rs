//! Uploads files to a place: small ones in one request, large ones in parts, several in parallel.

use bytes::Bytes;
use object_store::{ObjectStoreExt, WriteMultipart};

use super::{Place, runtime};
use crate::base::error::RepoError;

/// Files up to this many bytes are uploaded in one request.
const ONE_REQUEST_BYTES: u64 = 16 << 20;
/// Size of a part in bytes; larger if a file would have too many parts.
const PART_BYTES: u64 = 8 << 20;
/// S3 does not allow more parts.
const PARTS: u64 = 9_000;
/// Number of parts in flight: together with the one being read, all that is in memory.
const PARTS_AT_ONCE: usize = 4;

impl Place {
    /// Uploads an object of `size_bytes` bytes. `read` returns a range of it, possibly shorter. The object is durable on return, and not
    /// visible before.
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
                    // Leftover parts are invisible, but cost money.
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
