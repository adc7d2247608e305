//! Sandboxes created by `bwrap`, for hosts that allow namespaces only to it (setuid, or an own security profile).
//!
//! It shows and hides the same things as `agent::namespace`. The agent's writable access to `/pfs` and `/code`, which the command sees
//! read-only, is through directories that it inherits through `bwrap` (`agent::namespace::bwrap`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::{ExecError, Network, SandboxSpec};
use super::ProcessSettings;
use super::scratch::Scratch;
use crate::agent::namespace::{BwrapPlan, SECRET, SYSTEM};

/// Searches where packages install it, ignoring the engine's own `PATH`. `None` for root: where root may not create namespaces, `bwrap` may
/// not either, and it could not become another user and still reach the scratch directory.
pub(super) fn find() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let executable =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"].map(PathBuf::from).into_iter().find(executable)
}

/// Instructions for the process that becomes `bwrap`.
pub(super) fn plan(
    bwrap: &Path,
    settings: &ProcessSettings,
    scratch: &Scratch,
    spec: &SandboxSpec,
) -> Result<BwrapPlan, ExecError> {
    let mut args = Args { args: Vec::new(), not_text: None };
    args.flags(&["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"]);
    args.flags(&["--hostname", "pv", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev"]);
    // Without its own mount it would be read-only like the rest of `/dev`.
    args.flags(&["--perms", "1777", "--tmpfs", "/dev/shm", "--mqueue", "/dev/mqueue", "--remount-ro", "/dev"]);
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
    for (flag, name, at) in
        [("--ro-bind", "pfs", "/pfs"), ("--bind", "tmp", "/tmp"), ("--ro-bind", "code", spec.code_path())]
    {
        args.path(flag, &scratch.path().join(name), Path::new(at));
    }
    args.path("--bind", &scratch.path().join("out"), Path::new("/pfs/out"));
    for path in &spec.secret_directories {
        args.flags(&["--perms", "0755", "--tmpfs", path]);
    }
    for name in ["/run", "/home", "/root", "/var"] {
        args.flags(&["--dir", name]);
    }
    for mount in &spec.mounts {
        args.path("--ro-bind", &mount.from, &mount.at);
    }
    args.flags(&["--symlink", "/tmp", "/var/tmp"]);
    args.hide(spec, settings);
    args.path("--ro-bind", &settings.pv, Path::new("/.pv/pv"));
    args.flags(&["--remount-ro", "/", "/.pv/pv"]);
    match args.not_text {
        None => Ok(BwrapPlan { bwrap: bwrap.to_owned(), args: args.args, scratch: scratch.path().to_owned() }),
        Some(path) => Err(ExecError::SandboxLost { why: format!("the path `{}` is not UTF-8", path.display()) }),
    }
}

struct Args {
    args: Vec<String>,
    /// A path that cannot be passed on.
    not_text: Option<PathBuf>,
}

impl Args {
    fn flags(&mut self, flags: &[&str]) {
        self.args.extend(flags.iter().map(|&flag| flag.to_owned()));
    }

    fn path(&mut self, flag: &str, source: &Path, target: &Path) {
        self.flags(&[flag]);
        for path in [source, target] {
            match path.to_str() {
                Some(text) => self.flags(&[text]),
                None => self.not_text = Some(path.to_owned()),
            }
        }
    }

    /// Mounts an empty directory in which nothing can be left.
    fn cover(&mut self, path: &Path) {
        let Some(text) = path.to_str() else { return self.not_text = Some(path.to_owned()) };
        self.flags(&["--tmpfs", text, "--remount-ro", text]);
    }

    fn link(&mut self, path: &Path) {
        if let Ok(target) = fs::read_link(path) {
            self.path("--symlink", &target, path);
        }
    }

    /// Covers secrets, and hidden paths below something readable, with something empty.
    fn hide(&mut self, spec: &SandboxSpec, settings: &ProcessSettings) {
        let hidden = settings.hidden.iter().filter(|path| spec.readable.iter().any(|shown| path.starts_with(shown)));
        for path in SECRET.iter().map(Path::new).chain(hidden.map(PathBuf::as_path)) {
            match fs::symlink_metadata(path) {
                Ok(data) if data.is_dir() => self.cover(path),
                Ok(data) if !data.is_symlink() => self.path("--ro-bind", Path::new("/dev/null"), path),
                _ => {}
            }
        }
    }
}
