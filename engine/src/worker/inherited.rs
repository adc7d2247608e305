//! Files that a process of a sandbox has from the one that started it.
//!
//! Files that the engine's own caller left open come down to the agent; a command would have them too, and with them whatever they lead
//! to. So each process of a sandbox closes them before it opens anything. What the agent opens itself is closed at every exec
//! (`O_CLOEXEC`), so that a command has 0, 1 and 2 and nothing else.

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// Closes all open files but 0, 1, 2 and `kept`. To be called while this process has opened none that it still wants.
pub(super) fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    for number in open_files()?.into_iter().filter(|number| *number > 2 && !kept.contains(number)) {
        // The number of the listing is among them, and closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn open_files() -> io::Result<Vec<RawFd>> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>()?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}
