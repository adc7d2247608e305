//! A sandbox of Linux namespaces, created without help from any other program.
//!
//! Two processes, each freshly executed and single-threaded, since a fork without exec is `unsafe` and `unshare` must not run with threads:
//! 1. `enter` becomes an unprivileged user, leaves the host's user, mount, process, IPC, UTS (and network) namespaces, and starts
//! 2. `inside`, the first process of the new process namespace. It builds its own root (`root`), detaches the host's, drops all
//!    capabilities, and continues as the agent.
//!
//! If only `bwrap` may create namespaces, it does, and the module `bwrap` is how the agent gets into them. `fence` closes what namespaces
//! leave open.
//!
//! User code inside has no capabilities, cannot gain any, and finds no path to the host except read-only programs and configuration.

mod bwrap;
mod enter;
mod fence;
mod inside;
mod loopback;
mod root;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(super) use bwrap::{by_bwrap, within};
pub(super) use enter::enter;
pub(crate) use fence::most_processes;
pub(super) use inside::inside;

use crate::{HostFolder, Network};

/// The unprivileged user of a sandbox whose engine runs as root: `nobody`.
pub(crate) const NOBODY: u32 = 65534;

/// Instructions for `pv worker enter`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Directory with `pfs`, `out`, `tmp` and `code`, owned by the sandbox's future user.
    pub(crate) scratch: PathBuf,
    /// Shown read-only under their own names.
    pub(crate) readable: Vec<PathBuf>,
    /// Never shown, even below something readable.
    pub(crate) hidden: Vec<PathBuf>,
    pub(crate) network: Network,
    /// Folders of the host, shown read-only at other paths.
    pub(crate) mounts: Vec<HostFolder>,
    /// Created for files with secrets, in memory.
    pub(crate) secret_directories: Vec<PathBuf>,
    /// The path of the code in the sandbox.
    pub(crate) code_path: PathBuf,
}

/// Instructions for `pv worker bwrap`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BwrapPlan {
    /// The path of `bwrap`.
    pub(crate) bwrap: PathBuf,
    /// All its arguments, up to and including the agent's binary.
    pub(crate) args: Vec<String>,
    /// As in [`Plan::scratch`].
    pub(crate) scratch: PathBuf,
}

/// Directories of the host that every sandbox shows read-only, if they exist.
pub const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];

/// Files and directories below `/etc` with passwords or keys. Most are unreadable for an unprivileged user anyway.
pub(crate) const SECRET: [&str; 27] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt",
    "/etc/krb5.keytab",
    "/etc/docker",
    "/etc/containers/auth.json",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ipsec.secrets",
    "/etc/ipsec.d",
    "/etc/ppp",
    "/etc/NetworkManager/system-connections",
    "/etc/wpa_supplicant",
    "/etc/cron.d",
    "/etc/crypttab",
    "/etc/machine-id",
    "/etc/npmrc",
];
