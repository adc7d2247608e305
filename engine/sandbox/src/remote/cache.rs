//! Files that a worker keeps, by digest, so that a model is fetched once for many tries.
//!
//! ```text
//! <folder>/ab/<digest>           a whole file; the first two digits of its digest come before
//! <folder>/<process>-<random>.part   a file that is arriving
//! ```
//! A file counts once its SHA-256 is right; those from before this process are read once more before they count. The files used longest ago
//! go first when there are too many bytes; those in use stay, so the cache can be larger for a while.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use repos::hash::Hasher;
use specs::Digest;
use tokio::sync::watch;

use crate::error::ExecError;

/// Number of bytes read at a time.
const CHUNK: usize = 1 << 20;
const PART: &str = "part";

/// The files of a folder.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
    /// Counts files that came, or will not.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<Digest, Known>,
    /// Those that are not in use, those used longest ago first.
    unused: BTreeMap<u64, Digest>,
    bytes: u64,
    /// Counts uses.
    clock: u64,
    /// Files that somebody fetches.
    fetching: HashSet<Digest>,
}

#[derive(Debug)]
struct Known {
    bytes: u64,
    /// Its place in `unused`.
    used: u64,
    users: usize,
    is_verified: bool,
}

/// What can be done about a file.
#[derive(Debug)]
pub(super) enum Claim {
    Here(Pin),
    /// It is not there: the caller that claimed it must fetch it.
    Yours(Part),
    /// Somebody else fetches it.
    Theirs,
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> ExecError {
    move |source| ExecError::Io { action, path: path.to_owned(), source }
}

impl Cache {
    /// The cache in a folder, which is created if missing.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> Result<Arc<Self>, ExecError> {
        let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        make.map_err(failed("make the folder", folder))?;
        let cache =
            Self { folder: folder.to_owned(), max_bytes, state: Mutex::default(), changes: watch::Sender::new(0) };
        cache.find().map_err(failed("read the folder", folder))?;
        cache.evict(&mut cache.state());
        Ok(Arc::new(cache))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Finds what earlier workers left.
    fn find(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.is_dir() {
                for entry in fs::read_dir(&path)? {
                    let entry = entry?;
                    let digest = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
                    if let (Some(digest), metadata) = (digest, entry.metadata()?) {
                        found.push((metadata.modified()?, digest, metadata.len()));
                    }
                }
            } else if path.extension().is_some_and(|extension| extension == PART) && !is_of_living_process(&path) {
                fs::remove_file(&path)?;
            }
        }
        found.sort_unstable();
        let mut state = self.state();
        for (_, digest, bytes) in found {
            state.add(digest, bytes, false);
            state.release(&digest);
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    /// Finds a file, or has the caller fetch it. Reads it whole if it is from before this process.
    pub(super) fn claim(self: &Arc<Self>, digest: Digest, bytes: u64) -> Result<Claim, ExecError> {
        loop {
            let pin = {
                let mut state = self.state();
                if !state.take(&digest) {
                    let is_free = state.fetching.insert(digest);
                    return Ok(if is_free { Claim::Yours(self.part(digest, bytes)) } else { Claim::Theirs });
                }
                Pin { cache: self.clone(), digest }
            };
            if pin.is_good(bytes)? {
                return Ok(Claim::Here(pin));
            }
            self.remove(&digest).map_err(failed("remove", &pin.path()))?;
        }
    }

    fn part(self: &Arc<Self>, digest: Digest, bytes: u64) -> Part {
        let name = format!("{}-{}.{PART}", std::process::id(), repos::random_hex());
        let path = self.folder.join(name);
        Part { cache: self.clone(), digest, left: bytes, bytes, path, file: None, hasher: Hasher::default() }
    }

    /// Changes when a file came that somebody fetches, or will not come.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn remove(&self, digest: &Digest) -> io::Result<()> {
        let mut state = self.state();
        if let Some(known) = state.files.remove(digest) {
            state.bytes -= known.bytes;
            state.unused.remove(&known.used);
        }
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes files that are not in use, while there are too many bytes.
    fn evict(&self, state: &mut State) {
        while state.bytes > self.max_bytes
            && let Some((_, digest)) = state.unused.pop_first()
        {
            if let Some(known) = state.files.remove(&digest) {
                state.bytes -= known.bytes;
            }
            if let Err(error) = fs::remove_file(self.path(&digest)) {
                tracing::warn!("cannot remove file {digest} from the cache: {error}");
            }
        }
    }
}

/// Whether the process that began this file still runs.
fn is_of_living_process(part: &Path) -> bool {
    let name = part.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let process = name.split('-').next().unwrap_or_default();
    !process.is_empty() && Path::new("/proc").join(process).exists()
}

impl State {
    /// Adds a file with one user.
    fn add(&mut self, digest: Digest, bytes: u64, is_verified: bool) {
        if let Some(known) = self.files.insert(digest, Known { bytes, used: 0, users: 1, is_verified }) {
            self.bytes -= known.bytes;
            self.unused.remove(&known.used);
        }
        self.bytes += bytes;
    }

    /// Adds a user of a file; false if the file is not here.
    fn take(&mut self, digest: &Digest) -> bool {
        let Some(known) = self.files.get_mut(digest) else { return false };
        known.users += 1;
        self.unused.remove(&known.used);
        true
    }

    fn release(&mut self, digest: &Digest) {
        let Some(known) = self.files.get_mut(digest) else { return };
        known.users = known.users.saturating_sub(1);
        if known.users == 0 {
            self.clock += 1;
            known.used = self.clock;
            self.unused.insert(self.clock, *digest);
        }
    }
}

/// A file in use, which therefore stays.
#[derive(Debug)]
pub(super) struct Pin {
    cache: Arc<Cache>,
    digest: Digest,
}

impl Pin {
    pub(super) fn path(&self) -> PathBuf {
        self.cache.path(&self.digest)
    }

    /// Whether the file is what its name says; only the length is looked at if that is known.
    fn is_good(&self, bytes: u64) -> Result<bool, ExecError> {
        let path = self.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if file.metadata().map_err(failed("read", &path))?.len() != bytes {
            return Ok(false);
        }
        if self.cache.state().files.get(&self.digest).is_some_and(|known| known.is_verified) {
            return Ok(true);
        }
        let (mut hasher, mut chunk) = (Hasher::default(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk).map_err(failed("read", &path))? {
                0 => break,
                length => hasher.update(&chunk[..length]),
            }
        }
        let is_good = hasher.finish() == self.digest;
        if let Some(known) = self.cache.state().files.get_mut(&self.digest) {
            known.is_verified = is_good;
        }
        Ok(is_good)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        state.release(&self.digest);
        self.cache.evict(&mut state);
    }
}

/// A file that is arriving; if dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct Part {
    cache: Arc<Cache>,
    digest: Digest,
    bytes: u64,
    left: u64,
    path: PathBuf,
    file: Option<File>,
    hasher: Hasher,
}

impl Part {
    /// Adds the next bytes; returns the whole file once all of them have come and are right, otherwise the rest of the work.
    pub(super) fn add(mut self, bytes: &[u8]) -> Result<Result<Pin, Self>, ExecError> {
        let path = self.path.clone();
        let failed = || failed("write", &path);
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| self.wrong())?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::create_new(&self.path).map_err(failed())?,
        };
        file.write_all(bytes).map_err(failed())?;
        self.hasher.update(bytes);
        self.file = Some(file);
        if self.left > 0 {
            return Ok(Err(self));
        }
        if std::mem::take(&mut self.hasher).finish() != self.digest {
            return Err(self.wrong());
        }
        self.keep().map_err(failed()).map(Ok)
    }

    fn wrong(&self) -> ExecError {
        let why = format!("the engine sent other bytes than those with SHA-256 {}", self.digest);
        ExecError::SandboxLost { why }
    }

    fn keep(&self) -> io::Result<Pin> {
        let to = self.cache.path(&self.digest);
        let folder = to.parent().unwrap_or(&self.cache.folder);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::rename(&self.path, &to)?;
        let mut state = self.cache.state();
        state.add(self.digest, self.bytes, true);
        self.cache.evict(&mut state);
        Ok(Pin { cache: self.cache.clone(), digest: self.digest })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.cache.state().fetching.remove(&self.digest);
        self.cache.changes.send_modify(|changes| *changes += 1);
        if self.file.is_some() {
            // It was renamed if it was complete.
            fs::remove_file(&self.path).ok();
        }
    }
}
