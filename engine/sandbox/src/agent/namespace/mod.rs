//! A sandbox of Linux namespaces, made without help of any other program.
//!
//! Two processes, each freshly executed and with one thread, since a fork without exec is `unsafe` and `unshare` wants no threads:
//! 1. `enter`: becomes an unprivileged user, leaves the host's user, mount, process, IPC, UTS (and network) namespaces, and starts
//! 2. `inside`: the first process of the new process namespace. It builds a root of its own (`root`), drops the host's, drops all
//!    capabilities, and continues as the agent.
//!
//! Where only `bwrap` may make namespaces that does it, and `bwrap` tells how the agent comes into them. `fence` closes what namespaces
//! leave open.
//!
//! What runs inside has no capability, cannot get one, and finds no path to the host but read-only programs and configuration.

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

/// The unprivileged user that a sandbox of an engine run by root has: `nobody`.
pub(crate) const NOBODY: u32 = 65534;

/// What `pv worker enter` is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Directory with `pfs`, `out`, `tmp` and `code`, owned by the user that the sandbox will run as.
    pub(crate) scratch: PathBuf,
    /// Shown read-only under their own names.
    pub(crate) readable: Vec<PathBuf>,
    /// Never shown, also where they are below something readable.
    pub(crate) hidden: Vec<PathBuf>,
    pub(crate) network: Network,
    /// Folders of the host, shown read-only at other places than their own.
    pub(crate) mounts: Vec<HostFolder>,
    /// Made for files with secrets, in memory.
    pub(crate) secret_directories: Vec<PathBuf>,
    /// Where the code is shown.
    pub(crate) code_path: PathBuf,
}

/// What `pv worker bwrap` is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BwrapPlan {
    /// Where `bwrap` is.
    pub(crate) bwrap: PathBuf,
    /// All that it is told, up to and with the agent's binary.
    pub(crate) args: Vec<String>,
    /// As in [`Plan::scratch`].
    pub(crate) scratch: PathBuf,
}

/// Directories of the host that every sandbox shows read-only, where they exist.
pub const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];

/// Files and directories below `/etc` that hold passwords or keys. Most are closed to an unprivileged user anyway.
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
