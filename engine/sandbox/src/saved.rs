//! Images saved beside a store, in case neither the container engine nor a registry has them any more.
//!
//! ```text
//! images/<archive>.tar.zst   the output of `docker save`, compressed; named by the SHA-256 of the file, which `sha256sum` confirms
//! images/<identity>.json     which image that is: its identity in recipes, its names, the archive
//! ```
//! A record is written after the archive that it names, so an image counts as saved only when it is complete. Garbage collection ignores
//! these files: they stay until someone deletes them.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use repos::Timestamp;
use repos::documents::ImageStamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use specs::Digest;

use super::ExecError;

/// The compression level of archives: layers are large, and written once.
const LEVEL: i32 = 6;
/// Number of bytes read at a time.
const CHUNK: usize = 1 << 20;

/// The images beside a store.
#[derive(Debug, Clone)]
pub struct SavedImages {
    folder: PathBuf,
}

/// A saved image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedImage {
    /// Its identity in recipes: [`super::Image::identity`].
    pub digest: Digest,
    /// The reference in the spec.
    pub reference: String,
    /// The id it had in the engine.
    pub id: String,
    /// The digest it had in the registry.
    pub registry_digest: Option<String>,
    /// SHA-256 of the archive's file.
    pub archive: Digest,
    /// Length of that file.
    pub size_bytes: u64,
    /// When it was saved.
    pub saved_at: Timestamp,
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> ExecError {
    move |source| ExecError::Io { action, path: path.to_owned(), source }
}

impl SavedImages {
    /// The saved images in the folder `images` of a store's own folder, which need not exist.
    pub fn of(store_folder: &Path) -> Self {
        Self { folder: store_folder.join("images") }
    }

    /// The image with this identity, if it was saved.
    pub fn find(&self, digest: &Digest) -> Result<Option<SavedImage>, ExecError> {
        let path = self.record(digest);
        match fs::read(&path) {
            Ok(bytes) => read_record(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// All saved images, sorted by reference.
    pub fn list(&self) -> Result<Vec<SavedImage>, ExecError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.folder)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &self.folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                found.push(read_record(&path, &fs::read(&path).map_err(failed("read", &path))?)?);
            }
        }
        found.sort_by(|one, other| (&one.reference, one.digest).cmp(&(&other.reference, other.digest)));
        Ok(found)
    }

    /// Begins an archive; it counts after [`Incoming::finish`].
    pub fn begin(&self) -> Result<Incoming, ExecError> {
        fs::create_dir_all(&self.folder).map_err(failed("make the folder", &self.folder))?;
        let part = self.folder.join(format!("{}.part", repos::random_hex()));
        let file = File::create_new(&part).map_err(failed("write", &part))?;
        let hashing = Hashing { file, sha: Sha256::new(), bytes: 0 };
        let packed = zstd::stream::write::Encoder::new(hashing, LEVEL).map_err(failed("write", &part))?;
        Ok(Incoming { folder: self.clone(), part: Part(part), packed })
    }

    /// The archive of an image, decompressed while it is read, after its bytes were verified.
    pub fn open(&self, image: &SavedImage) -> Result<Box<dyn Read + Send>, ExecError> {
        let path = self.archive(&image.archive);
        let mut file = File::open(&path).map_err(failed("read", &path))?;
        let mut sha = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).map_err(failed("read", &path))? {
                0 => break,
                length => sha.update(&chunk[..length]),
            }
        }
        if Digest::from_bytes(sha.finalize().into()) != image.archive {
            let source = io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those that were saved");
            return Err(failed("use", &path)(source));
        }
        file.rewind().map_err(failed("read", &path))?;
        let unpacked = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(CHUNK, file));
        Ok(Box::new(unpacked.map_err(failed("read", &path))?))
    }

    fn record(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }

    fn archive(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.tar.zst"))
    }
}

fn read_record(path: &Path, bytes: &[u8]) -> Result<SavedImage, ExecError> {
    serde_json::from_slice(bytes).map_err(|error| failed("understand", path)(error.into()))
}

/// An archive being written; if dropped, it leaves nothing.
pub struct Incoming {
    folder: SavedImages,
    part: Part,
    packed: zstd::stream::write::Encoder<'static, Hashing>,
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.packed.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.packed.flush()
    }
}

impl Incoming {
    /// Makes the archive durable under its name, then the record that names it.
    pub fn finish(self, stamp: &ImageStamp, now: Timestamp) -> Result<SavedImage, ExecError> {
        let Self { folder, part, packed } = self;
        let Hashing { file, sha, bytes } = packed.finish().map_err(failed("write", &part.0))?;
        file.sync_all().map_err(failed("write", &part.0))?;
        let image = SavedImage {
            digest: stamp.digest,
            reference: stamp.reference.clone(),
            id: stamp.id.clone(),
            registry_digest: stamp.registry_digest.clone(),
            archive: Digest::from_bytes(sha.finalize().into()),
            size_bytes: bytes,
            saved_at: now,
        };
        let archive = folder.archive(&image.archive);
        fs::rename(&part.0, &archive).map_err(failed("write", &archive))?;
        let record = folder.record(&image.digest);
        let text = serde_json::to_vec_pretty(&image).map_err(|error| failed("write", &record)(error.into()))?;
        let part = Part(folder.folder.join(format!("{}.part", repos::random_hex())));
        let mut file = File::create_new(&part.0).map_err(failed("write", &part.0))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed("write", &part.0))?;
        fs::rename(&part.0, &record).map_err(failed("write", &record))?;
        let folder = &folder.folder;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))?;
        Ok(image)
    }
}

/// A file that is removed unless it was renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

struct Hashing {
    file: File,
    sha: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> ImageStamp {
        ImageStamp {
            reference: "threat:1".to_owned(),
            digest: Digest::from_bytes([9; 32]),
            id: "sha256:01".to_owned(),
            registry_digest: None,
        }
    }

    fn saved() -> (tempfile::TempDir, SavedImages, SavedImage) {
        let folder = tempfile::tempdir().unwrap();
        let images = SavedImages::of(folder.path());
        let mut incoming = images.begin().unwrap();
        incoming.write_all(&vec![7; 100_000]).unwrap();
        let saved = incoming.finish(&stamp(), Timestamp::from_micros(1)).unwrap();
        (folder, images, saved)
    }

    #[test]
    fn what_is_saved_is_found_by_its_identity_and_comes_back_whole() {
        let (_folder, images, saved) = saved();
        assert_eq!(images.find(&stamp().digest).unwrap(), Some(saved.clone()));
        assert_eq!((images.list().unwrap().len(), saved.size_bytes < 1000), (1, true));
        let mut bytes = Vec::new();
        images.open(&saved).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, vec![7; 100_000]);
        assert_eq!(images.find(&Digest::from_bytes([1; 32])).unwrap(), None);
    }

    #[test]
    fn an_archive_with_other_bytes_is_not_used_and_one_that_was_not_finished_is_gone() {
        let (folder, images, saved) = saved();
        let path = images.archive(&saved.archive);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = images.open(&saved).err().unwrap();
        assert!(error.to_string().contains("cannot use"), "{error}");
        drop(images.begin().unwrap());
        let names: Vec<_> =
            fs::read_dir(folder.path().join("images")).unwrap().map(|one| one.unwrap().path()).collect();
        assert!(names.iter().all(|name| name.extension().is_some_and(|end| end != "part")), "{names:?}");
    }
}
