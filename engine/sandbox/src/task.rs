//! What goes into a sandbox and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use specs::Digest;
pub use specs::Network;
use specs::spec::DEFAULT_CODE_PATH;
use tokio::sync::{Mutex, mpsc};

use crate::error::ExecError;
use crate::image::SameImage;

/// Limits of a sandbox; `None` for no limit. The process executor knows none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_thousandths: Option<u64>,
    /// Memory in bytes; beyond it the kernel ends the command.
    pub memory_bytes: Option<u64>,
    /// Number of graphics processors.
    pub gpus: Option<u32>,
}

/// What holds for all tries in one sandbox; sandboxes of equal specs are as good as each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SandboxSpec {
    /// Id of an image as [`super::Image::id`] gives it; the process executor has none.
    pub image: Option<String>,
    /// How to find the image again when none has that id any more: one that was pulled or built anew may have another.
    pub same_image: Option<SameImage>,
    /// What the command reaches.
    pub network: Network,
    /// Name or id, with an optional `:group`, as the sandbox's own `/etc/passwd` knows it; `None` for the image's.
    pub user: Option<String>,
    /// Absolute directory in which commands start; `None` for the image's.
    pub working_dir: Option<String>,
    /// Marks to find the sandbox by, beside those of store and instance.
    pub labels: BTreeMap<String, String>,
    /// Laid out below `code_path`, read-only.
    pub code: Vec<InputFile>,
    /// Absolute directory of the code; `None` for [`DEFAULT_CODE_PATH`]. The image has nothing there.
    pub code_path: Option<String>,
    /// Host paths that the process executor shows, read-only, under their own names.
    pub readable: Vec<PathBuf>,
    /// Limits of the whole sandbox.
    pub resources: Resources,
    /// Folders of the host that are shown for a look at what is under edit.
    pub mounts: Vec<HostFolder>,
    /// Absolute directories, none below another, that hold nothing but the secrets of a try, in memory.
    pub secret_directories: BTreeSet<String>,
}

impl SandboxSpec {
    /// Where the command sees its code.
    pub fn code_path(&self) -> &str {
        self.code_path.as_deref().unwrap_or(DEFAULT_CODE_PATH)
    }
}

/// A folder of the machine that runs user code, shown read-only in a sandbox. Nothing else of that machine is; a try alone has any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostFolder {
    /// Where it is, absolute.
    pub from: PathBuf,
    /// Where it is shown, absolute; never `/`, and not below `/pfs` or `/tmp`.
    pub at: PathBuf,
}

/// A file with a secret. Only the command's user may read it, and it is removed with the try.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Absolute, in one of [`SandboxSpec::secret_directories`] or below.
    pub path: String,
    /// The secret.
    pub content: Vec<u8>,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A file to lay out in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InputFile {
    /// Below `/pfs` (or the directory of the code), without a leading `/`, such as `images/cam1/a.jpg`; the first part is never `out`.
    pub path: String,
    /// Tells the source which bytes are meant.
    pub digest: Digest,
    /// How many bytes the digest's file has.
    pub size_bytes: u64,
    /// Whether it may be executed.
    pub executable: bool,
    /// Whether it is seen without its content, as the files of an `empty_files` input are.
    pub is_placeholder: bool,
}

impl InputFile {
    /// How many bytes are laid out.
    pub fn laid_out_bytes(&self) -> u64 {
        if self.is_placeholder { 0 } else { self.size_bytes }
    }
}

/// Bounds of what one try may leave in `/pfs/out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLimits {
    /// Most files and directories.
    pub files_max: u64,
    /// Most bytes of all files together.
    pub bytes_max: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { files_max: 1_000_000, bytes_max: 1 << 40 }
    }
}

/// One try of one datum.
#[derive(Clone, Default)]
pub struct DatumTask {
    /// Program and arguments; no shell.
    pub cmd: Vec<String>,
    /// Lines for the command's stdin; it need not read them.
    pub stdin: Vec<String>,
    /// Added to the image's environment; a later entry wins over an earlier one of its name.
    pub env: Vec<(String, String)>,
    /// All that the try sees below `/pfs`; best sorted by path.
    pub inputs: Vec<InputFile>,
    /// Wall-clock limit of the command and of taking in what it wrote; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Exit codes beside 0 after which `/pfs/out` is read.
    pub accept: BTreeSet<i32>,
    /// Bounds of the output.
    pub limits: OutputLimits,
    /// Files with secrets.
    pub secret_files: Vec<SecretFile>,
    /// Whether nothing of `/pfs/out` is wanted.
    pub drops_output: bool,
    /// Who types at the command; `None` for nobody.
    pub console: Option<Console>,
}

/// The environment is left out: secrets may be in it.
impl fmt::Debug for DatumTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatumTask").field("cmd", &self.cmd).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

/// What somebody types at a command while it runs.
#[derive(Debug, Clone)]
pub struct Console {
    typed: Arc<Mutex<mpsc::Receiver<Vec<u8>>>>,
}

impl Console {
    /// One whose input ends with the sender.
    pub fn new(typed: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { typed: Arc::new(Mutex::new(typed)) }
    }

    /// What comes next; `None` at the end.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        self.typed.lock().await.recv().await
    }
}

impl DatumTask {
    /// Whether an exit code counts as success.
    pub fn accepts(&self, code: i32) -> bool {
        code == 0 || self.accept.contains(&code)
    }
}

/// Where the bytes of inputs come from.
#[async_trait]
pub trait FileSource: Send + Sync {
    /// At most `max` bytes from `offset` on; never none while `offset` is before the end.
    async fn read(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError>;
}

/// Something that a try gives, in the order in which it comes: log while the command runs, then its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes of the command's stdout and stderr, as they came.
    Log(Bytes),
    /// A file of `/pfs/out` begins; its `Data` and an `EndFile` follow, unless the try ends in another way than with an exit code.
    File {
        /// Below `/pfs/out`, such as `/cam7/1.json`; always a legal [`specs::FilePath`].
        path: String,
        /// Length of the content that follows.
        size_bytes: u64,
        /// Whether any execute bit is set.
        executable: bool,
    },
    /// The next bytes of the file, at most 256 KiB.
    Data(Bytes),
    /// The file is complete.
    EndFile,
    /// A file of `/pfs/out` that is one of the inputs: no bytes follow.
    Link {
        /// Below `/pfs/out`, such as `/valid/a.jpg`.
        path: String,
        /// [`InputFile::path`] of the input.
        input: String,
    },
}

/// Where the events of a try go.
#[async_trait]
pub trait EventSink: Send {
    /// Takes the next event; an error ends the try and the sandbox.
    async fn event(&mut self, event: Event) -> Result<(), ExecError>;
}

/// How a try ended. Output counts only after an accepted code: what came before any other end is to be dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// The command's exit code.
    Code(i32),
    /// The number of the signal that ended the command.
    Signal(i32),
    /// The time limit passed, while the command ran or what it wrote was taken in; every process of the command was killed.
    TimedOut,
    /// The command did not start: no such program, user or directory.
    NotStarted {
        /// What stood in the way.
        why: String,
    },
    /// The command succeeded, but its output cannot be stored.
    BadOutput {
        /// Below `/pfs/out`, with a leading `/`; bytes that are not UTF-8 replaced.
        path: String,
        /// The rule that it breaks.
        why: String,
    },
    /// The command succeeded, but changed a file that it may only read.
    TouchedInput {
        /// Full path in the sandbox, such as `/pfs/images/a.jpg`.
        path: String,
    },
}

/// A finished try. Times are durations of the sandbox's own clock, so a remote sandbox's wrong date does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// From the arrival of the try in the sandbox to the start of the command: laying out inputs.
    pub prepare_time: Duration,
    /// From the start of the command to its end.
    pub process_time: Duration,
    /// Whether the kernel ended a process of the try because the sandbox reached its limit of memory.
    pub out_of_memory: bool,
}
