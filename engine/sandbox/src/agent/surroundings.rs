//! What a command inherits besides files and environment, and how a try is prevented from leaving something there for the next.
//!
//! The agent inherits files that the engine's caller left open; a command would inherit them too, with everything they lead to. So each
//! process of a sandbox closes them before it opens anything. Files opened by the agent itself are closed on exec (`O_CLOEXEC`), so a
//! command has only 0, 1 and 2.
//!
//! Limits, priority and CPU affinity come from the agent, and a process of the agent's user can change the agent's. System V IPC outlives
//! all processes. Both are compared after each try; if they differ, no other try may run.
//!
//! Two changes are not detected: the I/O priority of the agent, which affects only speed, and the size that the empty directories `/tmp`
//! and `/pfs/out` once had.

use std::fs::{self, File};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;

use rustix::process::{Resource, Rlimit, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// All resource limits of Linux.
const LIMITS: [Resource; 16] = [
    Resource::As,
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Locks,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Rss,
    Resource::Rtprio,
    Resource::Rttime,
    Resource::Sigpending,
    Resource::Stack,
];

/// Lists of all System V IPC objects, whatever their permissions.
const IPC: [&str; 3] = ["/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"];

/// Closes all open files except 0, 1, 2 and `kept`. Call it while this process has no open files of its own that it needs.
pub(super) fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    for number in open_files()?.into_iter().filter(|number| *number > 2 && !kept.contains(number)) {
        // The listing's own file is among them, and already closed.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn open_files() -> io::Result<Vec<RawFd>> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>()?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// What else a command inherits from the agent and a process of its user can change: how soon it is killed when memory runs out, and what a
/// core dump contains.
const INHERITED: [&str; 2] = ["/proc/self/oom_score_adj", "/proc/self/coredump_filter"];

/// What commands inherit from the agent or share with it, as first seen.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The agent's stat line, and the lists of [`IPC`]; kept open, because opening one costs more than reading it.
    stat: File,
    ipc: Vec<File>,
    inherited: Vec<File>,
    before: Seen,
}

#[derive(Debug, PartialEq)]
struct Seen {
    limits: [Rlimit; LIMITS.len()],
    processors: CpuSet,
    /// Nice value, real-time priority, policy.
    schedule: Vec<String>,
    ipc: Vec<Vec<u8>>,
    inherited: Vec<Vec<u8>>,
}

impl Surroundings {
    /// Records the initial state.
    pub(super) fn look() -> io::Result<Self> {
        let stat = File::open("/proc/thread-self/stat")?;
        // A kernel without System V IPC has no lists.
        let opened = |paths: &[&str]| -> Vec<File> { paths.iter().filter_map(|path| File::open(path).ok()).collect() };
        let (ipc, inherited) = (opened(&IPC), opened(&INHERITED));
        let before = Seen::now(&stat, &ipc, &inherited)?;
        Ok(Self { stat, ipc, inherited, before })
    }

    /// What has changed, if anything.
    pub(super) fn difference(&self) -> io::Result<Option<&'static str>> {
        Ok(Seen::now(&self.stat, &self.ipc, &self.inherited)?.difference(&self.before))
    }
}

impl Seen {
    fn now(stat: &File, ipc: &[File], inherited: &[File]) -> io::Result<Self> {
        Ok(Self {
            limits: LIMITS.map(getrlimit),
            processors: sched_getaffinity(None)?,
            schedule: schedule(&String::from_utf8_lossy(&beginning(stat)?)),
            ipc: ipc.iter().map(beginning).collect::<io::Result<_>>()?,
            inherited: inherited.iter().map(beginning).collect::<io::Result<_>>()?,
        })
    }

    fn difference(&self, before: &Self) -> Option<&'static str> {
        if self.limits != before.limits {
            return Some("other limits");
        }
        if self.processors != before.processors {
            return Some("other processors");
        }
        if self.schedule != before.schedule {
            return Some("another priority");
        }
        if self.inherited != before.inherited {
            return Some("another out-of-memory score, or other core dump settings");
        }
        (self.ipc != before.ipc).then_some("System V IPC")
    }
}

/// The beginning of a kernel file: all of a stat line, and more than the heading of a list.
fn beginning(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1024];
    let length = file.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Fields 19, 40 and 41 of a line of `/proc/<id>/stat`; the second field, a name in parentheses, may contain spaces.
fn schedule(stat: &str) -> Vec<String> {
    let after_name: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    [19, 40, 41].iter().filter_map(|field| after_name.get(field - 3)).map(|&field| field.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_differs_by_itself_and_each_change_shows() {
        let mut surroundings = Surroundings::look().unwrap();
        assert_eq!(surroundings.difference().unwrap(), None);
        assert_eq!(surroundings.before.schedule.len(), 3);
        surroundings.before.ipc[0].push(b'x');
        assert_eq!(surroundings.difference().unwrap(), Some("System V IPC"));
        surroundings.before.limits[0].current = Some(12345);
        assert_eq!(surroundings.difference().unwrap(), Some("other limits"));
    }

    #[test]
    fn fields_are_counted_behind_the_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        assert_eq!(schedule(&format!("7 (a b) c) {}\n", fields.join(" "))), ["19", "40", "41"]);
    }
}
