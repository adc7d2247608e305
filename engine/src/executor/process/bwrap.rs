//! Sandboxes made by `bwrap`, where the host allows namespaces to it alone (setuid, or a profile of its own).
//!
//! The same things are shown and hidden as in `worker::namespace`, but `/pfs` stays writable to the command: `bwrap` offers no second,
//! hidden way to it. The agent's check of every input after a try covers for that.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::super::{Network, SandboxSpec};
use super::ProcessSettings;
use super::scratch::Scratch;
use crate::worker::namespace::{SECRET, SYSTEM};

/// Looks where packages install it; the engine's own `PATH` is not asked. None for root: where root may make no namespaces `bwrap`
/// may not either, and it could not become another user and still reach the scratch directory.
pub(super) fn find() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let executable =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"].map(PathBuf::from).into_iter().find(executable)
}

pub(super) fn command(bwrap: &Path, settings: &ProcessSettings, scratch: &Scratch, spec: &SandboxSpec) -> Command {
    let mut args = Args(Vec::new());
    args.flags(&[
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--as-pid-1",
        "--die-with-parent",
    ]);
    args.flags(&["--hostname", "pv", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev"]);
    if spec.network == Network::None {
        args.flags(&["--unshare-net"]);
    }
    for path in SYSTEM.map(Path::new) {
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_symlink() => args.link(path),
            Ok(_) => args.path("--ro-bind", path, path),
            Err(_) => {} // this host has none
        }
    }
    for path in &spec.readable {
        args.path("--ro-bind", path, path);
    }
    if spec.network == Network::Default
        && let Some(real) = fs::canonicalize("/etc/resolv.conf").ok().filter(|real| !real.starts_with("/etc"))
    {
        args.path("--ro-bind", &real, &real);
    }
    for name in ["pfs", "tmp", "code"] {
        args.path("--bind", &scratch.path().join(name), &Path::new("/").join(name));
    }
    args.path("--bind", &scratch.path().join("out"), Path::new("/pfs/out"));
    for path in &spec.secret_directories {
        args.flags(&["--perms", "0755", "--tmpfs", path]);
    }
    for name in ["/run", "/home", "/root", "/var"] {
        args.flags(&["--dir", name]);
    }
    args.flags(&["--symlink", "/tmp", "/var/tmp"]);
    args.hide(spec, settings);
    args.path("--ro-bind", &settings.pv, Path::new("/.pv/pv"));
    args.flags(&["--remount-ro", "/", "/.pv/pv", "worker"]);
    let mut command = Command::new(bwrap);
    command.args(args.0);
    command
}

struct Args(Vec<OsString>);

impl Args {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn path(&mut self, flag: &str, source: &Path, target: &Path) {
        self.0.extend([OsString::from(flag), source.into(), target.into()]);
    }

    fn link(&mut self, path: &Path) {
        if let Ok(target) = fs::read_link(path) {
            self.path("--symlink", &target, path);
        }
    }

    /// Covers secrets, and what is hidden below something readable, with something empty.
    fn hide(&mut self, spec: &SandboxSpec, settings: &ProcessSettings) {
        let hidden = settings.hidden.iter().filter(|path| spec.readable.iter().any(|shown| path.starts_with(shown)));
        for path in SECRET.iter().map(Path::new).chain(hidden.map(PathBuf::as_path)) {
            match fs::symlink_metadata(path) {
                Ok(data) if data.is_dir() => self.0.extend([OsString::from("--tmpfs"), path.into()]),
                Ok(data) if !data.is_symlink() => self.path("--ro-bind", Path::new("/dev/null"), path),
                _ => {}
            }
        }
    }
}
