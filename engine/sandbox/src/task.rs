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

/// Limits of a sandbox; `None` for no limit. The process executor ignores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_thousandths: Option<u64>,
    /// Memory in bytes; beyond it the kernel kills the command.
    pub memory_bytes: Option<u64>,
    /// Number of GPUs.
    pub gpus: Option<u32>,
}

/// Where and how a cluster runs a sandbox; other executors ignore it. The fields are those of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// What the node must have left.
    pub requests: Resources,
    /// Labels of the node.
    pub node_selector: BTreeMap<String, String>,
    /// Name of a priority class.
    pub priority_class: Option<String>,
    /// Taints of nodes that do not matter.
    pub tolerations: Vec<Toleration>,
    /// Names of the cluster's secrets with logins for registries.
    pub image_pull_secrets: Vec<String>,
    /// Additional labels.
    pub labels: BTreeMap<String, String>,
    /// Additional annotations.
    pub annotations: BTreeMap<String, String>,
    /// A JSON Patch (RFC 6902) of the pod.
    pub pod_patch: Option<String>,
}

/// Taints that do not matter. Names and values are those of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// The taint's key; `None` for every taint.
    pub key: Option<String>,
    /// `Exists` or `Equal`; `None` for the cluster's default.
    pub operator: Option<String>,
    /// The taint's value.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; `None` for each.
    pub effect: Option<String>,
    /// How long a pod stays on its node when the taint is added; `None` for ever.
    pub toleration_seconds: Option<u32>,
}

/// Properties of all tries in one sandbox; sandboxes with equal specs are interchangeable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Id of an image from [`super::Image::id`]; `None` for the process executor.
    pub image: Option<String>,
    /// How to find the image if none has that id any more: after a new pull or build it may have another.
    pub same_image: Option<SameImage>,
    /// Network access of the command.
    pub network: Network,
    /// Name or id, with an optional `:group`, resolved by the sandbox's own `/etc/passwd`; `None` for the image's.
    pub user: Option<String>,
    /// Absolute directory in which commands start; `None` for the image's.
    pub working_dir: Option<String>,
    /// Additional labels of the sandbox, besides those of store and instance.
    pub labels: BTreeMap<String, String>,
    /// Laid out below `code_path`, read-only.
    pub code: Vec<InputFile>,
    /// Absolute directory of the code; `None` for [`DEFAULT_CODE_PATH`]. The image must have nothing there.
    pub code_path: Option<String>,
    /// Host paths that the process executor shows, read-only, under their own names.
    pub readable: Vec<PathBuf>,
    /// Limits of the whole sandbox.
    pub resources: Resources,
    /// Folders of the host to mount, for trials of code being edited.
    pub mounts: Vec<HostFolder>,
    /// Where a cluster is to run it.
    pub placement: Placement,
    /// Absolute directories, none below another, that contain nothing but the secrets of a try, in memory.
    pub secret_directories: BTreeSet<String>,
}

impl SandboxSpec {
    /// The path under which the command sees its code.
    pub fn code_path(&self) -> &str {
        self.code_path.as_deref().unwrap_or(DEFAULT_CODE_PATH)
    }
}

/// A folder of the machine that runs user code, shown read-only in a sandbox. Nothing else of that machine is visible; only trials have
/// such folders.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostFolder {
    /// Its absolute path on the host.
    pub from: PathBuf,
    /// Its absolute path in the sandbox; never `/`, and not below `/pfs` or `/tmp`.
    pub at: PathBuf,
}

/// A file with a secret. Only the command's user can read it, and it is removed with the try.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// An absolute path in or below one of [`SandboxSpec::secret_directories`].
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InputFile {
    /// Relative to `/pfs` (or the directory of the code), without a leading `/`, such as `images/cam1/a.jpg`; the first part is never
    /// `out`.
    pub path: String,
    /// Tells the source which content to read.
    pub digest: Digest,
    /// Size of that content in bytes.
    pub size_bytes: u64,
    /// Whether it may be executed.
    pub executable: bool,
    /// Whether it is shown without its content, as for an `empty_files` input.
    pub is_placeholder: bool,
}

impl InputFile {
    /// Number of bytes to lay out.
    pub fn laid_out_bytes(&self) -> u64 {
        if self.is_placeholder { 0 } else { self.size_bytes }
    }
}

/// Limits for what one try may leave in `/pfs/out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLimits {
    /// Maximum number of files and directories.
    pub files_max: u64,
    /// Maximum total size of all files in bytes.
    pub bytes_max: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { files_max: 1_000_000, bytes_max: 1 << 40 }
    }
}

/// One try of one datum. It travels to workers with its secrets, but without the console.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct DatumTask {
    /// Program and arguments; no shell.
    pub cmd: Vec<String>,
    /// Lines for the command's stdin; it need not read them.
    pub stdin: Vec<String>,
    /// Added to the image's environment; of entries with the same name the last one wins.
    pub env: Vec<(String, String)>,
    /// Everything that the try sees below `/pfs`; best sorted by path.
    pub inputs: Vec<InputFile>,
    /// Wall-clock limit for the command and for collecting its output; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Exit codes besides 0 after which `/pfs/out` is read.
    pub accept: BTreeSet<i32>,
    /// Limits for the output.
    pub limits: OutputLimits,
    /// Files with secrets.
    pub secret_files: Vec<SecretFile>,
    /// Whether the content of `/pfs/out` is discarded.
    pub drops_output: bool,
    /// Input typed at the command; `None` for none.
    #[serde(skip)]
    pub console: Option<Console>,
}

/// The environment is omitted, because it may contain secrets.
impl fmt::Debug for DatumTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatumTask").field("cmd", &self.cmd).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

/// Input that a user types at a command while it runs.
#[derive(Debug, Clone)]
pub struct Console {
    typed: Arc<Mutex<mpsc::Receiver<Vec<u8>>>>,
}

impl Console {
    /// A console whose input ends with the sender.
    pub fn new(typed: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { typed: Arc::new(Mutex::new(typed)) }
    }

    /// The next input; `None` at the end.
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

/// The source of input content.
#[async_trait]
pub trait FileSource: Send + Sync {
    /// At most `max` bytes from `offset` on; never empty while `offset` is before the end.
    async fn read(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError>;
}

/// An event of a try, in order: log while the command runs, then its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes of the command's stdout and stderr, in order of arrival.
    Log(Bytes),
    /// A file of `/pfs/out` begins; its `Data` and an `EndFile` follow, unless the try ends without an exit code.
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
    /// A file of `/pfs/out` that is one of the inputs: no content follows.
    Link {
        /// Below `/pfs/out`, such as `/valid/a.jpg`.
        path: String,
        /// [`InputFile::path`] of the input.
        input: String,
    },
}

/// Receives the events of a try.
#[async_trait]
pub trait EventSink: Send {
    /// Handles the next event; an error ends the try and the sandbox.
    async fn event(&mut self, event: Event) -> Result<(), ExecError>;
}

/// How a try ended. Output counts only after an accepted exit code: what came before any other end must be discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// The command's exit code.
    Code(i32),
    /// The number of the signal that killed the command.
    Signal(i32),
    /// The time limit passed, while the command ran or its output was collected; every process of the command was killed.
    TimedOut,
    /// The command did not start: no such program, user or directory.
    NotStarted {
        /// The reason.
        why: String,
    },
    /// The command succeeded, but its output cannot be stored.
    BadOutput {
        /// Below `/pfs/out`, with a leading `/`; bytes that are not UTF-8 replaced.
        path: String,
        /// The rule that it breaks.
        why: String,
    },
    /// The command succeeded, but changed a file that is read-only for it.
    TouchedInput {
        /// Full path in the sandbox, such as `/pfs/images/a.jpg`.
        path: String,
    },
}

/// A finished try. Times are durations, never dates, so a wrong date in a remote sandbox is harmless.
///
/// Sending files and handling them on the other side overlap for all but the smallest, so the longer of both is what a part took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// Before the command: reading, sending and laying out inputs; of inputs that were sent while the try before was running, without the
    /// sending.
    pub pull_time: Duration,
    /// From the start of the command to its end.
    pub process_time: Duration,
    /// After the command: reading output, and having the [`EventSink`] store it.
    pub take_in_time: Duration,
    /// Since then: inputs of the next try were still being sent.
    pub since: Duration,
    /// Whether the kernel killed a process of the try because the sandbox reached its memory limit.
    pub out_of_memory: bool,
}
