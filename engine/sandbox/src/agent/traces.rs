//! Finds what a try leaves besides its output, where a later try could see it.
//!
//! A sandbox serves one try after another, and a command that is root in a container can write almost anywhere. There are three kinds of
//! places:
//! - what is reliably emptied after each try: `/pfs`, `/pfs/out`, secrets, shared memory, message queues, and a `/tmp` in which the image
//!   has nothing ([`Writable`]);
//! - all other files of a container: every directory is watched (`inotify`). A change to content, permissions or names is an event there;
//!   so is one through a mapping, since the file is opened for writing and closed. A try that changes nothing costs one system call;
//! - what is in no file: sockets in transit through other sockets (which keep files open), and what `surroundings` compares.
//!
//! Changes of the latter two kinds are not undone: the engine discards the sandbox. Keys and `io_uring` instances cannot be left, because
//! `forbidden` blocks the calls for them.
//!
//! An image with more directories than `fs.inotify.max_user_watches` allows cannot be watched: each try then gets a new container.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{CWD, fstat};
use rustix::io::Errno;

use super::clear;
use super::mounts::{self, Mount};
use super::renew::Writable;
use super::surroundings::Surroundings;

/// Reports any change to a directory, its entries, and the files in it.
const ANY_CHANGE: WatchFlags = CHANGE_OF_NAMES.union(WatchFlags::MODIFY).union(WatchFlags::CLOSE_WRITE);
/// The same without the content of files: data written to a device is not stored.
const CHANGE_OF_NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DONT_FOLLOW);
/// What is checked after each try.
pub(super) struct Traces {
    /// `None` if nothing needs to be watched, an error if it cannot be: then every try may have changed anything.
    watch: Option<io::Result<Watch>>,
    surroundings: Surroundings,
    sockets: Option<usize>,
}

impl Traces {
    /// Records the state before the first try. With `watched`, all files are watched, except those in the directories `renewed`.
    pub(super) fn begin<'e, E: Iterator<Item = &'e Writable>>(
        watched: bool,
        renewed: impl Fn() -> E,
    ) -> io::Result<Self> {
        let watch = watched.then(|| Watch::begin(&renewed));
        Ok(Self { sockets: watch.as_ref().map(|_| sockets()), watch, surroundings: Surroundings::look()? })
    }

    /// What a try left that cannot reliably be removed; `None` if the next try finds everything unchanged. All its processes are gone.
    pub(super) fn found(&mut self) -> Option<String> {
        let sockets_before = self.sockets;
        self.changed_files()
            .or_else(|| self.changed_surroundings())
            .or_else(|| (sockets_before.is_some_and(|before| sockets() > before)).then(|| "an open socket".to_owned()))
    }

    fn changed_surroundings(&self) -> Option<String> {
        match self.surroundings.difference() {
            Ok(difference) => difference.map(str::to_owned),
            Err(error) => Some(format!("unreadable process state: {error}")),
        }
    }

    fn changed_files(&mut self) -> Option<String> {
        match self.watch.as_mut()? {
            Ok(watch) => watch.change(),
            Err(error) => Some(format!(
                "changes that could not be watched ({error}; `fs.inotify.max_user_watches` may be too low for this image)"
            )),
        }
    }
}

/// Number of sockets in the sandbox's own network. A socket without a process is in transit through another socket, and may hold open
/// files.
fn sockets() -> usize {
    fs::read_to_string("/proc/net/unix").map_or(0, |list| list.lines().count())
}

/// Watches every directory of a container.
struct Watch {
    inotify: OwnedFd,
    /// The path of each watch number.
    paths: HashMap<i32, String>,
}

impl Watch {
    fn begin<'e, E: Iterator<Item = &'e Writable>>(renewed: &impl Fn() -> E) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mut watch = Self { inotify, paths: HashMap::new() };
        for mount in mounts::table()?.into_iter().filter(Mount::may_be_written) {
            let place = fs::symlink_metadata(&mount.at);
            match place {
                Ok(data) if data.is_dir() => watch.tree(&mount, renewed)?,
                // For example `/etc/hosts`, which is in another folder of the host.
                Ok(_) => watch.add(&mount.at, ANY_CHANGE)?,
                Err(_) => {} // covered by a later mount
            }
        }
        Ok(watch)
    }

    /// Watches the directories of one mount.
    fn tree<'e, E: Iterator<Item = &'e Writable>>(
        &mut self,
        mount: &Mount,
        renewed: &impl Fn() -> E,
    ) -> io::Result<()> {
        let flags = if mount.is_of_devices() { CHANGE_OF_NAMES } else { ANY_CHANGE };
        let mut waiting = vec![mount.at.clone()];
        let mut device = None;
        while let Some(path) = waiting.pop() {
            let opened = clear::open_directory(CWD, path.as_str())?;
            let stat = fstat(&opened)?;
            let is_of_another_mount = *device.get_or_insert(stat.st_dev) != stat.st_dev;
            if is_of_another_mount || renewed().any(|directory| directory.is(&stat)) {
                continue;
            }
            self.add(&path, flags | WatchFlags::ONLYDIR)?;
            let prefix = path.trim_end_matches('/');
            for (name, is_directory) in clear::entries(opened.as_fd())? {
                if is_directory {
                    waiting.push(format!("{prefix}/{}", path_text(&name)?));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, flags: WatchFlags) -> io::Result<()> {
        let number = inotify::add_watch(&self.inotify, path, flags)?;
        self.paths.insert(number, path.to_owned());
        Ok(())
    }

    /// The first change since the beginning.
    fn change(&mut self) -> Option<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        match inotify::Reader::new(&self.inotify, &mut buffer).next() {
            Err(Errno::WOULDBLOCK) => None,
            Err(error) => Some(format!("changes that cannot be read: {error}")),
            Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => Some("very many changes".to_owned()),
            Ok(event) => {
                let directory = self.paths.get(&event.wd()).map_or("", String::as_str);
                let name = event.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                Some(format!("a change of `{}`", Path::new(directory).join(&*name).display()))
            }
        }
    }
}

fn path_text(name: &CString) -> io::Result<&str> {
    let unreadable = |_| io::Error::new(io::ErrorKind::InvalidData, "a directory has a name that is not UTF-8");
    name.to_str().map_err(unreadable)
}
