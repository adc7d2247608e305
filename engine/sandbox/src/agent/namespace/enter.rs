//! The first process: leaves the host's namespaces and starts the second process.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, sethostname, setresgid, setresuid};
use rustix::fs::{CWD, MemfdFlags, memfd_create};
use rustix::io::FdFlags;
use rustix::mount::{OpenTreeFlags, open_tree};
use serde::{Deserialize, Serialize};

use super::super::{OrStop, Stop, surroundings};
use super::{NOBODY, Plan, SYSTEM, loopback};
use crate::Network;

/// Directories in which nothing of the host can be shown.
const FRESH: [&str; 7] = ["/code", "/dev", "/pfs", "/proc", "/run", "/sys", "/tmp"];

/// Part of the host to show in the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HostPath {
    /// Its path, in the host and in the sandbox.
    pub(super) path: PathBuf,
    /// Number of an inherited file that already holds the mount; `None` to open it by path.
    pub(super) held: Option<i32>,
}

/// Instructions for the second process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Inside {
    pub(super) scratch: HostPath,
    /// Shown read-only; each directory before anything below it.
    pub(super) shown: Vec<HostPath>,
    /// Shown read-only at other paths, which are given.
    pub(super) mounts: Vec<(HostPath, PathBuf)>,
    /// Links in the host's root, such as `/bin` to `usr/bin`.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// A file outside `/etc` that `/etc/resolv.conf` links to, with its content.
    pub(super) resolver: Option<(PathBuf, Vec<u8>)>,
    pub(super) hidden: Vec<PathBuf>,
    pub(super) secret_directories: Vec<PathBuf>,
    pub(super) code_path: PathBuf,
}

impl Inside {
    /// Numbers of all inherited files still to be taken over.
    pub(super) fn held(&self) -> Vec<i32> {
        let mounts = self.mounts.iter().map(|(source, _)| source);
        self.shown.iter().chain(mounts).chain([&self.scratch]).filter_map(|source| source.held).collect()
    }
}

/// Creates a sandbox according to `plan` (JSON of [`Plan`]), and lives as long as it does.
pub(in super::super) fn enter(plan: &str) -> Result<(), Stop> {
    surroundings::close_all_but(&[]).or_stop(|| "close what was inherited".to_owned())?;
    // Leaves the engine's terminal: a command could otherwise type into it. Fails only if the process has already left it.
    rustix::process::setsid().ok();
    let plan: Plan = serde_json::from_str(plan).or_stop(|| "read the plan of the sandbox".to_owned())?;
    let mut inside = survey(&plan)?;
    let held = if geteuid().is_root() { become_nobody(&mut inside)? } else { Vec::new() };
    let (uid, gid) = (geteuid(), getegid());
    leave(plan.network)?;
    map_user(uid, gid)?;
    sethostname("pv").or_stop(|| "name the sandbox".to_owned())?;
    if plan.network == Network::None {
        loopback::bring_up().or_stop(|| "start the loopback device".to_owned())?;
    }
    keep_capabilities_to_mount().or_stop(|| "keep the right to mount".to_owned())?;
    let plan = write_plan(&inside).or_stop(|| "write the plan of the sandbox".to_owned())?;
    // This user may not have access to the binary's path; through `/proc` it always has.
    let mut child = Command::new("/proc/self/exe")
        .args(["worker", "inside", &plan.as_raw_fd().to_string()])
        .env_clear()
        .spawn()
        .or_stop(|| "start the agent".to_owned())?;
    drop((held, plan));
    let status = child.wait().or_stop(|| "wait for the agent".to_owned())?;
    match status.code() {
        Some(0) => Ok(()),
        // The agent already wrote the reason to the shared stderr.
        Some(code) => Err(Stop { why: String::new(), code: u8::try_from(code).unwrap_or(1) }),
        None => Err(Stop::new("the agent was killed")),
    }
}

/// In memory instead of in the arguments: commands can read the arguments of a sandbox's first process, and the plan contains paths of the
/// host.
fn write_plan(inside: &Inside) -> std::io::Result<OwnedFd> {
    let plan = memfd_create("plan", MemfdFlags::empty())?;
    let mut file = fs::File::from(plan);
    std::io::Write::write_all(&mut file, &serde_json::to_vec(inside)?)?;
    Ok(file.into())
}

/// Examines the host while its paths are readable.
fn survey(plan: &Plan) -> Result<Inside, Stop> {
    let mut shown = Vec::new();
    let mut links = Vec::new();
    for path in SYSTEM.map(Path::new) {
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_symlink() => {
                links.push((path.to_owned(), fs::read_link(path).or_stop(|| format!("read `{}`", path.display()))?));
            }
            Ok(_) => shown.push(HostPath { path: path.to_owned(), held: None }),
            Err(_) => {} // this host has none
        }
    }
    let mut readable = plan.readable.clone();
    readable.sort();
    for path in readable {
        if !path.is_absolute() || path == Path::new("/") {
            return Err(Stop::new(format!(
                "`{}` in `process.paths` is not an absolute path below `/`",
                path.display()
            )));
        }
        if let Some(fresh) = FRESH.iter().find(|fresh| path.starts_with(fresh)) {
            return Err(Stop::new(format!(
                "`{}` in `process.paths`: each sandbox has its own `{fresh}`",
                path.display()
            )));
        }
        fs::metadata(&path).or_stop(|| format!("show `{}` of `process.paths`", path.display()))?;
        shown.push(HostPath { path, held: None });
    }
    let resolver = (plan.network == Network::Default).then(resolver).flatten();
    let scratch = HostPath { path: plan.scratch.clone(), held: None };
    let (hidden, secret_directories) = (plan.hidden.clone(), plan.secret_directories.clone());
    let mounts = plan.mounts.iter();
    let mounts = mounts.map(|mount| (HostPath { path: mount.from.clone(), held: None }, mount.at.clone())).collect();
    let code_path = plan.code_path.clone();
    Ok(Inside { scratch, shown, mounts, links, resolver, hidden, secret_directories, code_path })
}

/// The target of `/etc/resolv.conf` if it is outside `/etc` (systemd keeps it in `/run`, which is fresh in the sandbox).
fn resolver() -> Option<(PathBuf, Vec<u8>)> {
    let real = fs::canonicalize("/etc/resolv.conf").ok().filter(|real| !real.starts_with("/etc"))?;
    let content = fs::read(&real).ok()?;
    Some((real, content))
}

/// Switches from root to nobody. Opens everything to be shown first, because nobody may not have access.
fn become_nobody(inside: &mut Inside) -> Result<Vec<OwnedFd>, Stop> {
    let mut held = Vec::new();
    let mounts = inside.mounts.iter_mut().map(|(source, _)| source);
    for source in inside.shown.iter_mut().chain(mounts).chain([&mut inside.scratch]) {
        let tree = take_hold(&source.path)
            .map_err(|error| not_permitted(error, &format!("take `{}`", source.path.display())))?;
        source.held = Some(tree.as_raw_fd());
        held.push(tree);
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).or_stop(|| "leave all groups".to_owned())?;
    setresgid(gid, gid, gid).or_stop(|| "become nobody".to_owned())?;
    setresuid(uid, uid, uid).or_stop(|| "become nobody".to_owned())?;
    // Changing the user made `/proc/self` inaccessible, but the id maps are written there. There is nothing to hide yet.
    prctl::set_dumpable(true).or_stop(|| "open /proc/self".to_owned())?;
    Ok(held)
}

fn take_hold(path: &Path) -> rustix::io::Result<OwnedFd> {
    let tree = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE)?;
    rustix::io::fcntl_setfd(&tree, FdFlags::empty())?;
    Ok(tree)
}

fn leave(network: Network) -> Result<(), Stop> {
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if network == Network::None {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(|error| not_permitted(rustix::io::Errno::from_raw_os_error(error as i32), "make namespaces"))
}

/// Such an error means that this host allows nobody to create sandboxes this way; another way may work.
fn not_permitted(error: rustix::io::Errno, action: &str) -> Stop {
    let why = format!("cannot {action}: {error}");
    match Errno::from_raw(error.raw_os_error()) {
        Errno::EPERM | Errno::EACCES | Errno::ENOSPC | Errno::ENOSYS | Errno::EINVAL => Stop::refused(why),
        _ => Stop::new(why),
    }
}

/// One user and one group, with the same ids as outside.
fn map_user(uid: Uid, gid: Gid) -> Result<(), Stop> {
    for (file, line) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        fs::OpenOptions::new()
            .write(true)
            .open(file)
            .and_then(|mut map| std::io::Write::write_all(&mut map, line.as_bytes()))
            .map_err(|error| Stop::refused(format!("cannot write `{file}`: {error}")))?;
    }
    Ok(())
}

/// An exec by a user other than root drops all capabilities except the ambient ones.
fn keep_capabilities_to_mount() -> Result<(), caps::errors::CapsError> {
    let kept = CapsHashSet::from([Capability::CAP_SYS_ADMIN, Capability::CAP_SETPCAP]);
    caps::set(None, CapSet::Inheritable, &kept)?;
    caps::set(None, CapSet::Ambient, &kept)
}
