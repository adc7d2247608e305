//! The root directory of a sandbox: built next to the host's, then put in its place.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::super::{OrStop, Stop};
use super::SECRET;
use super::enter::{HostPath, Inside};

/// Where the new root is built: a directory that exists on every host. Its content is covered only in this namespace.
const BUILD: &str = "/tmp";
/// Device files of the host that programs rely on.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Empty directories that programs expect.
const EMPTY: [&str; 6] = ["run", "home", "root", "var", "opt", "mnt"];
const NONE: Option<&str> = None;

/// The writable view of what commands see read-only; not reachable by any path.
pub(super) struct Writable {
    pub(super) pfs: OwnedFd,
    pub(super) code: OwnedFd,
}

/// Builds the root and moves into it.
pub(super) fn move_in(inside: &Inside) -> Result<Writable, Stop> {
    // Mounts made from here on must not appear in the host.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .or_stop(|| "part from the host's mounts".to_owned())?;
    let sources: Vec<OwnedFd> = inside.shown.iter().chain([&inside.scratch]).map(take).collect::<Result<_, _>>()?;
    let mounts: Vec<OwnedFd> = inside.mounts.iter().map(|(source, _)| take(source)).collect::<Result<_, _>>()?;
    let devices: Vec<OwnedFd> =
        DEVICES.iter().map(|name| take_path(&Path::new("/dev").join(name))).collect::<Result<_, _>>()?;
    mount_tmpfs(Path::new(BUILD), "mode=0755,size=64m")?;
    let Some((scratch, shown)) = sources.split_last() else { return Err(Stop::new("there is nothing to show")) };
    for (source, tree) in inside.shown.iter().zip(shown) {
        attach(tree, &source.path)?;
    }
    furnish(inside, &devices)?;
    let writable = place_scratch(scratch, &inside.code_path)?;
    // On top of the code, if that is what is being edited: the agent can still reach what is underneath.
    for (tree, (_, at)) in mounts.iter().zip(&inside.mounts) {
        attach(tree, at)?;
    }
    for path in &inside.secret_directories {
        make_directories(&built(path)).or_stop(|| format!("make `{}` for secrets", path.display()))?;
        mount_tmpfs(&built(path), "mode=0755,size=16m")?;
    }
    let_go_of_held(inside)?;
    hide(inside)?;
    switch()?;
    make_read_only(&inside.secret_directories)?;
    Ok(writable)
}

fn built(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    Path::new(BUILD).join(path.strip_prefix("/").unwrap_or(path))
}

/// A mount of the source that is not attached to any tree yet.
fn take(source: &HostPath) -> Result<OwnedFd, Stop> {
    match source.held {
        None => take_path(&source.path),
        // Opened again by its number: only this turns a number into a file without `unsafe`.
        Some(number) => openat(CWD, format!("/proc/self/fd/{number}"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .or_stop(|| format!("take over `{}`", source.path.display())),
    }
}

/// Closes the inherited files: what they hold is now in the new root.
fn let_go_of_held(inside: &Inside) -> Result<(), Stop> {
    inside.held().into_iter().try_for_each(nix::unistd::close).or_stop(|| "let go of the host".to_owned())
}

fn take_path(path: &Path) -> Result<OwnedFd, Stop> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).or_stop(|| format!("take `{}`", path.display()))
}

/// Mounts a tree at `path` in the new root.
fn attach(tree: &OwnedFd, path: &Path) -> Result<(), Stop> {
    let target = built(path);
    let is_directory = rustix::fs::fstat(tree).is_ok_and(|stat| stat.st_mode & 0o170_000 == 0o040_000);
    make_mount_point(&target, is_directory).or_stop(|| format!("make `{}`", path.display()))?;
    move_mount(tree, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .or_stop(|| format!("show `{}`", path.display()))
}

/// Creates a mount point; below something already shown it must exist.
fn make_mount_point(target: &Path, is_directory: bool) -> io::Result<()> {
    if target.exists() {
        return Ok(());
    }
    if is_directory {
        return make_directories(target);
    }
    if let Some(parent) = target.parent() {
        make_directories(parent)?;
    }
    File::create(target).map(drop)
}

fn make_directories(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn mount_tmpfs(target: &Path, options: &str) -> Result<(), Stop> {
    mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .or_stop(|| format!("mount a fresh `{}`", target.display()))
}

/// Adds `/proc`, `/dev`, links, and empty directories.
fn furnish(inside: &Inside, devices: &[OwnedFd]) -> Result<(), Stop> {
    for name in EMPTY.into_iter().chain(["proc", "dev", "dev/shm", "dev/mqueue"]) {
        make_directories(&built(name)).or_stop(|| format!("make `/{name}`"))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &built("proc"), Some("proc"), flags, NONE)
        .map_err(|error| Stop::refused(format!("cannot mount /proc: {error}")))?;
    mount_tmpfs(&built("dev/shm"), "mode=1777")?;
    match mount(Some("mqueue"), &built("dev/mqueue"), Some("mqueue"), flags, NONE) {
        // Mounted so that anything left in it can be removed; a kernel without message queues does not support it.
        Ok(()) | Err(Errno::ENODEV) => {}
        Err(error) => return Err(Stop::new(format!("cannot mount /dev/mqueue: {error}"))),
    }
    for (name, device) in DEVICES.iter().zip(devices) {
        attach(device, &Path::new("/dev").join(name))?;
    }
    let own = [("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1")];
    let own = own.into_iter().chain([("/dev/stderr", "/proc/self/fd/2"), ("/var/tmp", "/tmp"), ("/var/run", "/run")]);
    let own = own.map(|(path, target)| (PathBuf::from(path), PathBuf::from(target)));
    for (path, target) in own.chain(inside.links.iter().cloned()) {
        if built(&path).exists() {
            continue; // a path that is shown needs it as a directory
        }
        symlink(target, built(&path)).or_stop(|| format!("link `{}`", path.display()))?;
    }
    if let Some((path, content)) = &inside.resolver {
        let target = built(path);
        let parent = target.parent().map_or(Ok(()), make_directories);
        parent.and_then(|()| fs::write(&target, content)).or_stop(|| format!("write `{}`", path.display()))?;
    }
    Ok(())
}

/// `/tmp`, `/pfs` and the code are on the engine's disk: inputs and outputs may be larger than memory.
fn place_scratch(scratch: &OwnedFd, code_path: &Path) -> Result<Writable, Stop> {
    let at = Path::new("/.scratch");
    attach(scratch, at)?;
    for (name, path) in [("tmp", Path::new("/tmp")), ("pfs", Path::new("/pfs")), ("code", code_path)] {
        bind(&built(at).join(name), &built(path))?;
    }
    make_directories(&built("/pfs/out")).or_stop(|| "make `/pfs/out`".to_owned())?;
    bind(&built(at).join("out"), &built("/pfs/out"))?;
    let scratch = built(at);
    let open = |name: &str| {
        // Without `AT_RECURSIVE`: this view of `/pfs` has no `/pfs/out`.
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        open_tree(CWD, scratch.join(name), flags)
            .and_then(|tree| openat(&tree, ".", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
    };
    let writable = Writable {
        pfs: open("pfs").or_stop(|| "open /pfs".to_owned())?,
        code: open("code").or_stop(|| "open the directory of the code".to_owned())?,
    };
    umount2(&scratch, MntFlags::MNT_DETACH).or_stop(|| "put the scratch directory away".to_owned())?;
    fs::remove_dir(&scratch).or_stop(|| "put the scratch directory away".to_owned())?;
    Ok(writable)
}

fn bind(source: &Path, target: &Path) -> Result<(), Stop> {
    make_directories(target).or_stop(|| format!("make `{}`", target.display()))?;
    mount(Some(source), target, NONE, MsFlags::MS_BIND, NONE).or_stop(|| format!("bind `{}`", target.display()))
}

/// Covers what must not be visible with something empty.
fn hide(inside: &Inside) -> Result<(), Stop> {
    let empty_file = built("/.empty");
    let options = fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(&empty_file);
    options.or_stop(|| "make an empty file".to_owned())?;
    for path in SECRET.iter().map(PathBuf::from).chain(inside.hidden.iter().cloned()) {
        // What does not exist, or is inaccessible to this user, needs no cover.
        let Ok(data) = fs::symlink_metadata(built(&path)) else { continue };
        if data.is_dir() {
            mount_tmpfs(&built(&path), "mode=0000,size=4k")?;
        } else if !data.is_symlink() {
            mount(Some(&empty_file), &built(&path), NONE, MsFlags::MS_BIND, NONE)
                .or_stop(|| format!("hide `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Makes every mount read-only except those for output, temporary files and secrets. By now the whole table is ours.
fn make_read_only(secret_directories: &[PathBuf]) -> Result<(), Stop> {
    let table = fs::read_to_string("/proc/self/mountinfo").or_stop(|| "read the table of mounts".to_owned())?;
    let writable = ["/tmp", "/pfs/out", "/dev/shm", "/dev/mqueue", "/proc"].map(Path::new);
    for (path, options) in table.lines().filter_map(parse_mount) {
        let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID | flags_of(options);
        if !path.starts_with("/dev") {
            flags |= MsFlags::MS_NODEV;
        }
        if !writable.contains(&path.as_path()) && !secret_directories.contains(&path) {
            flags |= MsFlags::MS_RDONLY;
        }
        mount(NONE, &path, NONE, flags, NONE).or_stop(|| format!("make `{}` read-only", path.display()))?;
    }
    Ok(())
}

/// Path and options from a line of `mountinfo`.
fn parse_mount(line: &str) -> Option<(PathBuf, &str)> {
    let mut fields = line.split(' ').skip(4);
    let path = fields.next()?;
    Some((PathBuf::from(unescape(path)), fields.next()?))
}

/// The kernel escapes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

/// Flags that a remount must repeat, because it cannot remove them.
fn flags_of(options: &str) -> MsFlags {
    let flags = options.split(',').map(|option| match option {
        "ro" => MsFlags::MS_RDONLY,
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    flags.fold(MsFlags::empty(), |all, flag| all | flag)
}

/// Makes the new root the root and detaches the host's.
fn switch() -> Result<(), Stop> {
    // Sticky, as on any host: it may contain files of several users.
    fs::set_permissions(built("/tmp"), fs::Permissions::from_mode(0o1777)).or_stop(|| "open /tmp".to_owned())?;
    chdir(BUILD).or_stop(|| "enter the new root".to_owned())?;
    pivot_root(".", ".").or_stop(|| "change the root".to_owned())?;
    // Now the old root is mounted over the new one.
    umount2(".", MntFlags::MNT_DETACH).or_stop(|| "let go of the host's root".to_owned())?;
    chdir("/").or_stop(|| "enter the new root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo_give_path_and_flags() {
        let line = "36 35 98:0 /a /tmp/new\\040dir rw,nosuid,relatime shared:1 - ext4 /dev/root rw";
        let (path, options) = parse_mount(line).unwrap();
        assert_eq!(path, Path::new("/tmp/new dir"));
        assert_eq!(flags_of(options), MsFlags::MS_NOSUID | MsFlags::MS_RELATIME);
        assert_eq!(parse_mount("broken"), None);
    }
}
