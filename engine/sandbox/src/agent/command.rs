//! Runs the command of a try, from its start to the end of the last process it left.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::{OFlags, fcntl_setfl};

use super::account::Account;
use super::memory;
use super::staging::Staging;
use crate::Exit;
use crate::protocol::{Frame, FrameReader, FrameWriter, Settings, ToAgent, Try};

/// Where programs are searched if the environment has no `PATH`.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Maximum number of bytes of log in one frame.
const LOG_BYTES: usize = 64 * 1024;

/// A command that has ended, together with all its processes.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) took: Duration,
    /// The deadline for collecting its output; `None` for no limit.
    pub(crate) deadline: Option<Instant>,
}

impl Ended {
    pub(crate) fn not_started(why: String) -> Self {
        Self { exit: Exit::NotStarted { why }, took: Duration::ZERO, deadline: None }
    }
}

/// Input typed at a command.
enum Typed {
    More(Vec<u8>),
    End,
}

/// The engine's stream, on which the next try may arrive.
pub(crate) struct Next<'a> {
    pub(crate) engine: &'a mut FrameReader<File>,
    pub(crate) staging: &'a mut Staging,
    /// The directory of the inputs.
    pub(crate) root: &'a OwnedFd,
}

impl Next<'_> {
    /// Reads one frame, and returns it if it is typed input; fails at the end of the stream.
    fn take(&mut self) -> io::Result<Option<Typed>> {
        match self.engine.next()? {
            Some(Frame::Message(ToAgent::Input(typed))) => Ok(Some(Typed::More(typed))),
            Some(Frame::Message(ToAgent::EndInput)) => Ok(Some(Typed::End)),
            Some(frame) if !self.staging.is_full() => self.staging.take(frame, self.root).map(|()| None),
            _ => Err(io::Error::new(ErrorKind::UnexpectedEof, "the engine hung up")),
        }
    }

    fn is_waiting(&self) -> bool {
        self.engine.has_buffered() && !self.staging.is_full()
    }
}

/// Runs the command and streams its output. An error means that the engine is gone or a system call failed.
pub(crate) fn run(
    task: &Try,
    settings: &Settings,
    account: &Account,
    signals: &SignalFd,
    next: &mut Next<'_>,
    answer: &mut FrameWriter<File>,
) -> io::Result<Ended> {
    let (log, log_end) = io::pipe()?;
    let (stdin_end, stdin) = io::pipe()?;
    let started = Instant::now();
    let child = match start(task, settings, account, stdin_end, log_end) {
        Ok(child) => child,
        Err(why) => return Ok(Ended::not_started(why)),
    };
    if settings.has_memory_limit {
        memory::offer(child.id());
    }
    let mut watch = Watch {
        main: Pid::from_raw(child.id().cast_signed()),
        status: None,
        log,
        stdin: Feed::new(stdin, &task.stdin, task.has_console)?,
        deadline: task.timeout_millis.and_then(|millis| started.checked_add(Duration::from_millis(millis))),
        buffer: vec![0; LOG_BYTES],
    };
    let timed_out = watch.until_the_end(signals, next, answer)?;
    let took = started.elapsed();
    watch.end_all()?;
    watch.drain_log(answer)?;
    let exit = match watch.status {
        _ if timed_out => Exit::TimedOut,
        Some(WaitStatus::Exited(_, code)) => Exit::Code(code),
        Some(WaitStatus::Signaled(_, signal, _)) => Exit::Signal(signal as i32),
        _ => return Err(io::Error::other("the command's exit code was lost")),
    };
    Ok(Ended { exit, took, deadline: watch.deadline })
}

/// Starts the command; the error says why it cannot start.
fn start(
    task: &Try,
    settings: &Settings,
    account: &Account,
    stdin: PipeReader,
    log: PipeWriter,
) -> Result<Child, String> {
    let [name, args @ ..] = task.cmd.as_slice() else { return Err("the command is empty".to_owned()) };
    let directory = Path::new("/").join(settings.working_dir.as_deref().unwrap_or("/"));
    if !directory.is_dir() {
        return Err(format!("the working directory `{}` does not exist in the sandbox", directory.display()));
    }
    let env = environment(task, settings, account);
    let program = find_program(name, env.get("PATH").map_or(DEFAULT_PATH, String::as_str), &directory)
        .ok_or_else(|| format!("`{name}` is not in the sandbox's PATH"))?;
    let log_again = log.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    // `process_group`: a terminal signal or `kill 0` from the command affects only itself.
    command.arg0(name).args(args).env_clear().envs(env).process_group(0);
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(log)).stderr(Stdio::from(log_again));
    account.act(|| spawn_in(&directory, &mut command)).map_err(|error| format!("cannot run `{name}`: {error}"))
}

/// The environment of the image and of the try; `HOME` is the user's own if neither sets it, or it is empty.
fn environment(task: &Try, settings: &Settings, account: &Account) -> HashMap<String, String> {
    let mut env: HashMap<String, String> = settings.env.iter().chain(&task.env).cloned().collect();
    if env.get("HOME").is_none_or(String::is_empty) {
        env.insert("HOME".to_owned(), account.home.clone().unwrap_or_else(|| "/".to_owned()));
    }
    env
}

/// Searches for a program as a shell does. A name with a `/` is a path relative to the working directory.
fn find_program(name: &str, path: &str, directory: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(directory.join(name));
    }
    let executable =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    path.split(':').map(|part| directory.join(part).join(name)).find(executable)
}

/// The agent itself changes to the directory briefly: to start a command in a directory other than the agent's, the library copies the
/// agent's memory, which takes as long as everything else in a small try.
fn spawn_in(directory: &Path, command: &mut Command) -> io::Result<Child> {
    std::env::set_current_dir(directory)?;
    let spawned = spawn_unblocked(command);
    std::env::set_current_dir("/")?;
    spawned
}

/// A command inherits the blocked signals; it must not inherit the agent's.
fn spawn_unblocked(command: &mut Command) -> io::Result<Child> {
    let blocked = SigSet::thread_get_mask()?;
    SigSet::empty().thread_set_mask()?;
    let spawned = command.spawn();
    blocked.thread_set_mask()?;
    spawned
}

/// Input for the command's stdin.
struct Feed {
    pipe: Option<PipeWriter>,
    bytes: Vec<u8>,
    sent: usize,
    /// Whether more may come.
    is_open: bool,
}

impl Feed {
    fn new(pipe: PipeWriter, lines: &[String], is_open: bool) -> io::Result<Self> {
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let bytes: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        let pipe = (is_open || !bytes.is_empty()).then_some(pipe);
        Ok(Self { pipe, bytes, sent: 0, is_open })
    }

    fn add(&mut self, typed: Typed) {
        match typed {
            Typed::More(typed) => {
                self.bytes.drain(..self.sent);
                self.sent = 0;
                self.bytes.extend_from_slice(&typed);
            }
            Typed::End => {
                self.is_open = false;
                self.close_if_done();
            }
        }
    }

    fn has_some(&self) -> bool {
        self.pipe.is_some() && self.sent < self.bytes.len()
    }

    fn close_if_done(&mut self) {
        if !self.is_open && !self.has_some() {
            self.pipe = None;
        }
    }

    /// Writes as much as the pipe accepts; closes it at the end, or when the command stops reading, which is allowed.
    fn write(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.write(&self.bytes[self.sent..]) {
            Ok(count) => self.sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => (self.sent, self.is_open) = (self.bytes.len(), false),
        }
        self.close_if_done();
    }
}

/// A running command.
struct Watch {
    main: Pid,
    /// How the main process ended, if it has.
    status: Option<WaitStatus>,
    log: PipeReader,
    stdin: Feed,
    deadline: Option<Instant>,
    buffer: Vec<u8>,
}

/// What is ready after a wait.
#[expect(clippy::struct_excessive_bools, reason = "each is a stream of its own")]
struct Ready {
    engine: bool,
    log: bool,
    signals: bool,
    stdin: bool,
}

impl Watch {
    /// Waits until the main process has ended (false) or the time is up (true).
    fn until_the_end(
        &mut self,
        signals: &SignalFd,
        next: &mut Next<'_>,
        answer: &mut FrameWriter<File>,
    ) -> io::Result<bool> {
        let mut log_open = true;
        // Signals were not blocked while the command was started, so its end may have gone unnoticed.
        self.reap(WaitPidFlag::WNOHANG)?;
        loop {
            if self.status.is_some() {
                return Ok(false);
            }
            let wait = match self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Ok(true),
                wait => wait,
            };
            // Data already in the buffer does not wake `poll`.
            let wait = if next.is_waiting() { Some(Duration::ZERO) } else { wait };
            let ready = self.poll(signals, next, log_open, wait)?;
            if ready.engine
                && let Some(typed) = next.take()?
            {
                self.stdin.add(typed);
            }
            if ready.log {
                log_open = self.forward_log(answer)?;
            }
            if ready.stdin {
                self.stdin.write();
            }
            if ready.signals {
                while let Some(signal) = signals.read_signal()? {
                    // Signals from processes in the sandbox are ignored; a process outside has id 0 here.
                    if signal.ssi_signo != Signal::SIGCHLD as u32 && signal.ssi_pid == 0 {
                        return Err(io::Error::new(ErrorKind::Interrupted, "the sandbox was told to end"));
                    }
                }
                self.reap(WaitPidFlag::WNOHANG)?;
            }
        }
    }

    fn poll(&self, signals: &SignalFd, next: &Next<'_>, log_open: bool, wait: Option<Duration>) -> io::Result<Ready> {
        // The end of the stream is reported even if nothing is to be read.
        let wanted = if next.staging.is_full() { PollFlags::empty() } else { PollFlags::POLLIN };
        let engine = PollFd::new(next.engine.get_ref().as_fd(), wanted);
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), engine];
        if log_open {
            fds.push(PollFd::new(self.log.as_fd(), PollFlags::POLLIN));
        }
        let stdin = self.stdin.pipe.as_ref().filter(|_| self.stdin.has_some());
        if let Some(pipe) = stdin {
            fds.push(PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
        }
        // Rounded up; otherwise the last millisecond would be a busy loop.
        let rounded = |wait: Duration| wait.as_millis() + u128::from(!wait.is_zero());
        let timeout =
            wait.map_or(PollTimeout::NONE, |wait| PollTimeout::try_from(rounded(wait)).unwrap_or(PollTimeout::MAX));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = |index: usize| fds.get(index).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        Ok(Ready {
            engine: !flags(1).is_empty() || next.is_waiting(),
            signals: !flags(0).is_empty(),
            log: log_open && !flags(2).is_empty(),
            stdin: stdin.is_some() && !flags(if log_open { 3 } else { 2 }).is_empty(),
        })
    }

    /// Sends what is in the log; false at its end.
    fn forward_log(&mut self, answer: &mut FrameWriter<File>) -> io::Result<bool> {
        let count = self.log.read(&mut self.buffer)?;
        if count > 0 {
            answer.data(&self.buffer[..count])?;
            answer.flush()?;
        }
        Ok(count > 0)
    }

    /// Collects the exit codes of ended processes, including orphans; false if none is left.
    fn reap(&mut self, flags: WaitPidFlag) -> io::Result<bool> {
        loop {
            match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::StillAlive) => return Ok(true),
                Ok(status @ (WaitStatus::Exited(id, _) | WaitStatus::Signaled(id, ..))) if id == self.main => {
                    self.status = Some(status);
                }
                // A command can make the agent its tracer, which then also sees stops. A stop is not an end.
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Kills every process except the agent and waits for each: afterwards nothing writes any more.
    fn end_all(&mut self) -> io::Result<()> {
        match kill(Pid::from_raw(-1), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
        while self.reap(WaitPidFlag::empty())? {}
        Ok(())
    }

    /// Sends the rest of the log; it ends because every process that could write to it has ended.
    fn drain_log(&mut self, answer: &mut FrameWriter<File>) -> io::Result<()> {
        while self.forward_log(answer)? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_would() {
        assert_eq!(find_program("sh", "/nowhere:/bin", Path::new("/")), Some("/bin/sh".into()));
        assert_eq!(find_program("./x", "/bin", Path::new("/work")), Some("/work/./x".into()));
        assert_eq!(find_program("no-such-program", "/bin:/usr/bin", Path::new("/")), None);
        assert_eq!(find_program("passwd", "/etc", Path::new("/")), None, "not executable");
    }

    #[test]
    fn the_try_wins_over_the_image_and_that_over_the_account() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = Settings { env: vec![pair("A", "1"), pair("B", "1")], ..Settings::default() };
        let account = Account { uid: 1, gid: 1, groups: vec![1], home: Some("/home/ana".into()) };
        let task = Try { env: vec![pair("B", "2"), pair("B", "3")], ..Try::default() };
        let env = environment(&task, &settings, &account);
        assert_eq!((env["A"].as_str(), env["B"].as_str(), env["HOME"].as_str()), ("1", "3", "/home/ana"));
    }
}
