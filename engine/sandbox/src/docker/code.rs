//! The code of stages: a volume for each code tree, filled once through the API and read-only in every container that uses it.
//!
//! The volumes are labelled with the engine that created them, like its containers; that engine removes them when it ends, or another does
//! if it died.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use specs::Digest;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};

use super::super::{ExecError, FileSource, InputFile, Owner, SandboxSpec};
use super::helper::{Helper, failed};
use super::{INSTANCE_LABEL, STORE_LABEL, labels_of};
use crate::agent::INPUT_SECONDS;

const PREFIX: &str = "pv-code-";
/// The mount point of the volume in the container that fills it.
const FILLED_AT: &str = "/.pv-code";
/// Maximum number of bytes of a file read at once.
const PIECE: usize = 256 * 1024;
/// Maximum number of archive pieces waiting to be sent.
const WAITING: usize = 4;
/// The padding of archive entries, in bytes.
const BLOCK: u64 = 512;

/// The volumes of this engine.
#[derive(Debug)]
pub(super) struct CodeVolumes {
    owner: Owner,
    /// The trees whose volumes are complete. Locked for reading while a container with one is being created, so that it is not removed
    /// before.
    filled: RwLock<HashSet<Digest>>,
}

/// The volume with a sandbox's code. It is not removed while this lives.
pub(super) struct CodeVolume<'a> {
    name: String,
    _stays: RwLockReadGuard<'a, HashSet<Digest>>,
}

impl CodeVolume<'_> {
    /// The volume as a mount in a container.
    pub(super) fn mount(&self, spec: &SandboxSpec) -> Mount {
        mount(&self.name, spec.code_path(), true)
    }
}

impl CodeVolumes {
    pub(super) fn new(owner: Owner) -> Self {
        Self { owner, filled: RwLock::default() }
    }

    /// The filled volume with the code of a sandbox; `None` if it has no code of its own.
    pub(super) async fn ready(
        &self,
        docker: &Docker,
        image: &str,
        spec: &SandboxSpec,
        files: &dyn FileSource,
    ) -> Result<Option<CodeVolume<'_>>, ExecError> {
        // A folder being edited is mounted there instead.
        let is_covered = spec.mounts.iter().any(|folder| folder.at == Path::new(spec.code_path()));
        if spec.code.is_empty() || is_covered {
            return Ok(None);
        }
        let tree = digest_of(&spec.code);
        let name = format!("{PREFIX}{}-{}", self.owner.instance, tree.short(16));
        let filled = self.filled.read().await;
        if filled.contains(&tree) && exists(docker, &name).await? {
            return Ok(Some(CodeVolume { name, _stays: filled }));
        }
        drop(filled);
        let mut filled = self.filled.write().await;
        if !(filled.contains(&tree) && exists(docker, &name).await?) {
            self.fill(docker, image, &name, &spec.code, files).await?;
            filled.insert(tree);
        }
        Ok(Some(CodeVolume { name, _stays: RwLockWriteGuard::downgrade(filled) }))
    }

    async fn fill(
        &self,
        docker: &Docker,
        image: &str,
        name: &str,
        code: &[InputFile],
        files: &dyn FileSource,
    ) -> Result<(), ExecError> {
        let labels = Some(labels_of(&self.owner));
        let volume = VolumeCreateRequest { name: Some(name.to_owned()), labels, ..VolumeCreateRequest::default() };
        docker.create_volume(volume).await.map_err(failed("create a volume for code"))?;
        // Containers mount the volume read-only, so another one receives the upload.
        let mounts = vec![mount(name, FILLED_AT, false)];
        let helper = Helper::create(docker, image, labels_of(&self.owner), mounts).await?;
        let filled = upload(docker, &helper.id, code, files).await;
        let removed = helper.remove().await;
        filled.and(removed)
    }

    /// Removes the volumes of dead engines of this store, and those of this engine that no container uses.
    pub(super) async fn clean_up(&self, docker: &Docker, alive: &BTreeSet<String>) -> Result<(), ExecError> {
        let mut filled = self.filled.write().await;
        let filters = HashMap::from([("label".to_owned(), vec![format!("{STORE_LABEL}={}", self.owner.store)])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let found = docker.list_volumes(Some(options)).await.map_err(failed("list volumes"))?;
        for volume in found.volumes.unwrap_or_default() {
            let Some(instance) = volume.labels.get(INSTANCE_LABEL) else { continue };
            if !volume.name.starts_with(PREFIX) || alive.contains(instance) {
                continue;
            }
            match docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                // Already gone, or in use.
                Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
                Err(error) => return Err(failed("remove a volume with code")(error)),
            }
        }
        // The engine is asked each time anyway.
        filled.clear();
        Ok(())
    }
}

async fn exists(docker: &Docker, name: &str) -> Result<bool, ExecError> {
    match docker.inspect_volume(name).await {
        Ok(_) => Ok(true),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(error) => Err(failed("look at a volume with code")(error)),
    }
}

/// Identifies a code tree.
fn digest_of(code: &[InputFile]) -> Digest {
    let mut hash = Sha256::new();
    for InputFile { path, digest, executable, .. } in code {
        hash.update(format!("{digest} {executable} {path}\n"));
    }
    Digest::from_bytes(hash.finalize().into())
}

fn mount(volume: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        target: Some(target.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        // Nothing from the image is copied into it.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

/// Streams the code into the volume; only a few pieces are in memory.
async fn upload(docker: &Docker, helper: &str, code: &[InputFile], files: &dyn FileSource) -> Result<(), ExecError> {
    let (pieces, taken) = mpsc::channel(WAITING);
    let body =
        stream::unfold(taken, async |mut taken: mpsc::Receiver<io::Result<Bytes>>| Some((taken.recv().await?, taken)));
    let options = UploadToContainerOptionsBuilder::default().path(FILLED_AT).build();
    let sent = docker.upload_to_container(helper, Some(options), bollard::body_try_stream(body));
    let packed = async {
        let packed = pack(code, files, &pieces).await;
        if packed.is_err() {
            // Otherwise the end of the stream would look like the end of the archive.
            pieces.send(Err(io::ErrorKind::BrokenPipe.into())).await.ok();
        }
        drop(pieces);
        packed
    };
    let (packed, sent) = tokio::join!(packed, sent);
    packed?;
    sent.map_err(failed("upload the code"))
}

/// The channel for pieces of an archive; nobody receives them after a failed upload.
type Pieces = mpsc::Sender<io::Result<Bytes>>;

async fn pack(code: &[InputFile], files: &dyn FileSource, pieces: &Pieces) -> Result<(), ExecError> {
    let packing = |source| ExecError::Io { action: "pack", path: "code".into(), source };
    let send = async |bytes: Bytes| pieces.send(Ok(bytes)).await.ok();
    let mut directories = BTreeSet::from([".".to_owned()]);
    for file in code {
        let parents = file.path.match_indices('/').map(|(end, _)| file.path[..end].to_owned());
        directories.extend(parents);
    }
    for directory in directories {
        let head = head(&format!("{directory}/"), tar::EntryType::Directory, 0o555, 0).map_err(packing)?;
        send(head).await;
    }
    for file in code {
        let mode = if file.executable { 0o555 } else { 0o444 };
        send(head(&file.path, tar::EntryType::Regular, mode, file.size_bytes).map_err(packing)?).await;
        let mut offset = 0;
        while offset < file.size_bytes {
            let max = usize::try_from(file.size_bytes - offset).unwrap_or(PIECE).min(PIECE);
            let bytes = files.read(file, offset, max).await?;
            if bytes.is_empty() || bytes.len() > max {
                return Err(packing(io::ErrorKind::InvalidData.into()));
            }
            offset += bytes.len() as u64;
            if send(bytes).await.is_none() {
                return Ok(()); // the upload tells why
            }
        }
        send(Bytes::from(vec![0; (offset.next_multiple_of(BLOCK) - offset) as usize])).await;
    }
    send(Bytes::from(vec![0; 2 * BLOCK as usize])).await;
    Ok(())
}

/// The header of an archive entry, including the extension for a long path.
fn head(path: &str, kind: tar::EntryType, mode: u32, size_bytes: u64) -> io::Result<Bytes> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size_bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(INPUT_SECONDS);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, path, io::empty())?;
    Ok(Bytes::copy_from_slice(archive.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, number: u8) -> InputFile {
        let digest = Digest::from_bytes([number; 32]);
        InputFile { path: path.to_owned(), digest, size_bytes: 700, executable: number == 1, is_placeholder: false }
    }

    struct Sevens;

    #[async_trait::async_trait]
    impl FileSource for Sevens {
        async fn read(&self, _: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError> {
            // In two pieces, the second shorter than requested.
            Ok(Bytes::from(vec![7; if offset == 0 { 500 } else { max }]))
        }
    }

    #[tokio::test]
    async fn an_archive_holds_the_tree_with_its_directories_and_rights() {
        let long = format!("deep/{}/x", "n".repeat(150));
        let code = [file("bin/tool", 1), file(&long, 2), file("main.py", 3)];
        let (pieces, mut taken) = mpsc::channel(1000);
        pack(&code, &Sevens, &pieces).await.unwrap();
        drop(pieces);
        let mut bytes = Vec::new();
        while let Some(piece) = taken.recv().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let (path, head) = (entry.path().unwrap().display().to_string(), entry.header());
            (path, head.mode().unwrap(), head.size().unwrap())
        });
        let deep = format!("deep/{}", "n".repeat(150));
        let expected = [("./", 0o555, 0), ("bin/", 0o555, 0), ("deep/", 0o555, 0), (&format!("{deep}/"), 0o555, 0)];
        let expected = expected.into_iter().chain([
            ("bin/tool", 0o555, 700),
            (long.as_str(), 0o444, 700),
            ("main.py", 0o444, 700),
        ]);
        let expected: Vec<_> = expected.map(|(path, mode, size)| (path.to_owned(), mode, size)).collect();
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn another_file_name_or_right_is_another_tree() {
        let trees = [file("a", 1), file("b", 1), file("a", 2), InputFile { executable: false, ..file("a", 1) }];
        let digests: HashSet<_> = trees.iter().map(|file| digest_of(std::slice::from_ref(file))).collect();
        assert_eq!(digests.len(), 4);
    }
}
