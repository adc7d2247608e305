//! The store's socket, `.pv/socket`: how commands reach the process that owns the store.
//!
//! While `pv run` or `pv serve` owns a store, no other process changes its journal or index. A command called meanwhile is handed over: it
//! sends its arguments, folder, environment and streams, and the owner runs the same code with them. A command that was already running
//! when the owner started hands over only its last step, except that a garbage collection starts again in the owner.
//!
//! One connection per request, one line of JSON in each direction. When a request has arrived completely, the owner accepts it by sending
//! an empty line. Without that line nothing was done and nothing will be, and the caller continues on its own. A space before the answer
//! says that the command's streams received output, so that it cannot be repeated transparently:
//! - `{"command": {argv, cwd, env, takes_output}}`, with stdin, stdout and stderr attached → `{"exit": N}`, or
//!   `{"printed": {exit, stdout, stderr}}` followed by this many bytes for the caller to print (short output of a read-only command: it
//!   arrives completely or not at all), or `"go_on"`: the owner is shutting down, and the caller does the rest. Closing the connection
//!   cancels the command.
//! - `{"publish": CHANGE}` → `"published"` or `{"error": {kind, message, hint}}`.
//!
//! The socket has mode 0600, and only the owner's user and root are answered. It is reached through an open directory, so that the path
//! of a store may be longer than a socket address.
//! - `protocol` requests and answers, lines with streams attached
//! - `client` hands over; `server` answers, and gets a function that runs commands; `presence` checks whether store and socket still exist
//!
//! Tests of both sides run real commands, so they are in `app`.

use std::path::{Path, PathBuf};

mod client;
mod presence;
pub(crate) mod protocol;
pub(crate) mod server;

pub(crate) use client::{HandedOver, Owner, Repeat, hand_over};
pub(crate) use server::{RunFor, serve};

/// Whether a store has a socket, of an owner or of one that crashed.
pub(crate) fn is_there(store: &repos::Store) -> bool {
    store.folder().join("socket").symlink_metadata().is_ok()
}

/// The error that another process owns the store and answers on its socket, if one does.
pub(crate) fn owner_of(store: &repos::Store) -> Option<repos::RepoError> {
    let is_owned = is_there(store) && repos::Publisher::is_there(&Owner::of(store.dir()));
    is_owned.then(|| store.in_use())
}

/// A path to the socket in `folder`, an open directory; short, however long the folder's own path is.
pub(crate) fn short_path(folder: &std::fs::File) -> PathBuf {
    use std::os::fd::AsRawFd;
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join("socket")
}
