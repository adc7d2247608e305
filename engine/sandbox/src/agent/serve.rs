//! The agent's main loop: a greeting, then one try after another until the engine's stream ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::{CWD, Mode, fchmod, fstat};

use super::account::Account;
use super::command::{self, Ended, Next};
use super::forbidden;
use super::inputs::Inputs;
use super::memory;
use super::outputs::{self, Bounds, Trouble};
use super::renew::Writable;
use super::secrets::SecretDirectories;
use super::sockets;
use super::staging::Staging;
use super::traces::Traces;
use super::{OrStop, Stop, clear};
use crate::Exit;
use crate::protocol::{Frame, FrameReader, FrameWriter, FromAgent, Report, Settings, Tmp, ToAgent, Try, VERSION};
use specs::spec::DEFAULT_CODE_PATH;

/// The directories of a sandbox that the agent works with.
#[derive(Debug)]
pub(crate) struct SandboxDirs {
    pub(crate) pfs: OwnedFd,
    pub(crate) out: OwnedFd,
    /// Where the agent lays out the code; `None` if the executor did that.
    pub(crate) code: Option<OwnedFd>,
    /// Emptied after each try.
    pub(crate) temporary: Vec<OwnedFd>,
}

/// Shared memory and message queues, which appear as files in these directories.
const SHARED: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

impl SandboxDirs {
    /// The directories of a container. All others belong to the image.
    pub(crate) fn of_container() -> Result<Self, Stop> {
        let open = |path| clear::open_directory(CWD, path).or_stop(|| format!("open `{path}`"));
        Ok(Self { pfs: open("/pfs")?, out: open("/pfs/out")?, code: None, temporary: Self::shared() })
    }

    /// The directories of a sandbox with its own `/tmp`.
    pub(crate) fn temporary() -> Result<Vec<OwnedFd>, Stop> {
        let tmp = clear::open_or_make("/tmp", 0o1777).or_stop(|| "open `/tmp`".to_owned())?;
        Ok(std::iter::once(tmp).chain(Self::shared()).collect())
    }

    /// A directory that does not exist need not be emptied.
    fn shared() -> Vec<OwnedFd> {
        SHARED.iter().filter_map(|path| clear::open_directory(CWD, *path).ok()).collect()
    }
}

/// The directories of a try, with their content.
struct Agent {
    pfs: Inputs,
    code: Option<Inputs>,
    out: Writable,
    temporary: Vec<Writable>,
    /// The directory of the inputs, whose own permissions and attributes a command may change.
    top: Writable,
    secrets: SecretDirectories,
    engine: FrameReader<File>,
    answer: FrameWriter<File>,
    signals: SignalFd,
    staging: Staging,
}

/// What ends the agent besides the end of the engine's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndsBy {
    /// The signals by which processes are asked to end.
    Signals,
    /// Nothing else: a pod that ends signals its worker too, and the worker lets the command finish.
    EngineAlone,
}

/// Serves the engine until its stream ends.
pub(crate) fn run(place: SandboxDirs, ends_by: EndsBy) -> Result<(), Stop> {
    // Killing all processes of a try is `kill(-1)`, which only the first process of a namespace may do.
    if std::process::id() != 1 {
        return Err(Stop::new("the agent must be the first process of a sandbox"));
    }
    forbidden::forbid()?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let stream = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    let engine = stream(io::stdin().as_fd()).or_stop(|| "read from the engine".to_owned())?;
    let answer = stream(io::stdout().as_fd()).or_stop(|| "write to the engine".to_owned())?;
    drop_fault_handlers().or_stop(|| "set signals".to_owned())?;
    let signals = watch_signals(ends_by).or_stop(|| "watch signals".to_owned())?;
    end_with(stream(io::stdin().as_fd()).or_stop(|| "read from the engine".to_owned())?)
        .or_stop(|| "watch the engine".to_owned())?;
    let writable = |directory| Writable::new(directory).or_stop(|| "look at what commands write to".to_owned());
    let pfs = place.pfs.try_clone().or_stop(|| "keep a directory open".to_owned())?;
    let mut agent = Agent {
        top: writable(pfs)?,
        pfs: Inputs::new(place.pfs, "/pfs", Some("out")),
        code: place.code.map(|code| Inputs::new(code, DEFAULT_CODE_PATH, None)),
        out: writable(place.out)?,
        temporary: place.temporary.into_iter().map(writable).collect::<Result<_, _>>()?,
        secrets: SecretDirectories::open(&[])?,
        engine: FrameReader::new(engine),
        answer: FrameWriter::new(answer),
        signals,
        staging: Staging::default(),
    };
    agent.serve().inspect_err(|stop| {
        // The engine may be gone; then nobody is left to receive this.
        let _ = agent.answer.message(&FromAgent::Broken { why: stop.why.clone() });
        let _ = agent.answer.flush();
    })
}

/// Lets all users write to a directory; only its owner may, so one that is open is left as it is.
fn open_to_all(directory: impl AsFd) -> io::Result<()> {
    let mode = Mode::from_raw_mode(fstat(&directory)?.st_mode);
    if mode.contains(Mode::RWXU | Mode::RWXG | Mode::RWXO) {
        return Ok(());
    }
    Ok(fchmod(directory, Mode::from_raw_mode(0o1777))?)
}

/// Has `SIGBUS` and `SIGSEGV` do what they do by default.
///
/// To the first process of a sandbox, the kernel delivers from inside only signals that have a handler. The standard library has one for
/// these two, on a small stack of its own: if a command sends both at once, that stack overflows, and the kernel ends the agent. The handler
/// removes itself when it is called for anything but an overflow of the stack. A fault of the agent itself ends it as before.
fn drop_fault_handlers() -> io::Result<()> {
    for signal in [Signal::SIGBUS, Signal::SIGSEGV] {
        raise(signal)?;
    }
    Ok(())
}

/// `SIGCHLD` reports ended processes, the others ask the agent to end. They are blocked, so that they can be read. The first process of a
/// namespace gets no other signal that it does not handle.
fn watch_signals(ends_by: EndsBy) -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    if ends_by == EndsBy::Signals {
        mask.add(Signal::SIGTERM);
        mask.add(Signal::SIGINT);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Ends this process, and so the whole sandbox, as soon as the engine closes its end of the stream: whatever the agent is doing then
/// (reading a large output, waiting for a disk, writing to a full pipe), its result is no longer needed.
fn end_with(engine: File) -> io::Result<()> {
    // Started after the signals are blocked: this thread must not receive those that the agent waits for.
    std::thread::Builder::new().spawn(move || {
        loop {
            // No event is requested: the end of the stream is reported anyway, even if data is left to read.
            let mut watched = [PollFd::new(engine.as_fd(), PollFlags::empty())];
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => std::process::exit(1),
            }
            if watched[0].revents().is_none_or(|events| !events.is_empty()) {
                std::process::exit(0);
            }
        }
    })?;
    Ok(())
}

impl Agent {
    fn serve(&mut self) -> Result<(), Stop> {
        let Some((settings, mut traces)) = self.greet()? else { return Ok(()) };
        let account = Account::find(settings.user.as_deref());
        if let Ok(account) = &account {
            account.join_groups().or_stop(|| "join the groups of the user".to_owned())?;
        }
        loop {
            let task = match self.staging.take_task() {
                Some(task) => task,
                None => match self.engine.next().or_stop(|| "read from the engine".to_owned())? {
                    None => return Ok(()),
                    Some(Frame::Message(ToAgent::Begin(task))) => task,
                    // Typed after the command had ended.
                    Some(Frame::Message(ToAgent::Input(_) | ToAgent::EndInput)) => continue,
                    Some(_) => return Err(out_of_turn()),
                },
            };
            self.serve_try(task, &settings, &account, &mut traces)?;
        }
    }

    /// Receives settings and code; `None` if the engine hangs up.
    fn greet(&mut self) -> Result<Option<(Settings, Traces)>, Stop> {
        let settings = match self.engine.next().or_stop(|| "read from the engine".to_owned())? {
            None => return Ok(None),
            Some(Frame::Message(ToAgent::Hello { version: VERSION, settings })) => settings,
            Some(_) => return Err(Stop::new("the agent and the engine have different versions of pv")),
        };
        if settings.forbids_sockets {
            sockets::forbid()?;
        }
        self.secrets = SecretDirectories::open(&settings.secret_directories)?;
        let in_tmp = settings.secret_directories.iter().filter_map(|path| path.strip_prefix("/tmp/"));
        self.furnish_tmp(settings.tmp, &in_tmp.map(str::to_owned).collect::<Vec<_>>())?;
        self.clear_all()?;
        self.receive_code(&settings.code_path)?;
        let traces =
            Traces::begin(settings.is_watched, || self.renewed()).or_stop(|| "look at the sandbox".to_owned())?;
        self.answer.message(&FromAgent::Ready { version: VERSION }).or_stop(|| "answer the engine".to_owned())?;
        self.answer.flush().or_stop(|| "answer the engine".to_owned())?;
        Ok(Some((settings, traces)))
    }

    /// Sets up a container's `/tmp`: emptied after each try if the image has nothing there, otherwise watched like any other directory of
    /// the image.
    ///
    /// `secrets` are the names of directories in it on which secrets are mounted.
    fn furnish_tmp(&mut self, tmp: Tmp, secrets: &[String]) -> Result<(), Stop> {
        // A link leads to another directory of the image.
        let Ok(directory) = clear::open_directory(CWD, "/tmp") else { return Ok(()) };
        let directory = Writable::new(directory).or_stop(|| "look at `/tmp`".to_owned())?.with_mounts(secrets.to_vec());
        if tmp == Tmp::Ready {
            // It is already among the directories to empty.
            if let Some(known) = self.temporary.iter_mut().find(|known| known.is_same(&directory)) {
                *known = directory;
            }
            return Ok(());
        }
        let entries = clear::entries(directory.directory().as_fd()).or_stop(|| "look into `/tmp`".to_owned())?;
        if !entries.iter().all(|(name, _)| clear::is_one_of(name, secrets)) {
            return Ok(());
        }
        let directory = if tmp == Tmp::Missing {
            open_to_all(directory.directory()).or_stop(|| "open `/tmp` to all".to_owned())?;
            directory.as_it_is().or_stop(|| "look at `/tmp`".to_owned())?
        } else {
            directory
        };
        self.temporary.push(directory);
        Ok(())
    }

    fn receive_code(&mut self, shown_at: &str) -> Result<(), Stop> {
        let mut laid_out = Ok(());
        loop {
            match self.engine.next().or_stop(|| "read from the engine".to_owned())? {
                None => return Err(Stop::new("the engine hung up")),
                Some(Frame::Message(ToAgent::Open)) => {
                    let sealed = self.code.as_mut().map_or(Ok(()), |code| code.seal_as(shown_at));
                    return laid_out.and(sealed).or_stop(|| "lay out the code".to_owned());
                }
                Some(frame) => match &mut self.code {
                    Some(code) => laid_out = lay_out(code, laid_out, frame)?,
                    None => return Err(out_of_turn()),
                },
            }
        }
    }

    /// Lays out the inputs of a try, those staged and those still to come, until the engine says that they are complete. Returns the try,
    /// which is a different one if the engine changed its mind, and since when it has been in preparation, as if nobody had waited for
    /// the engine's `Go`.
    fn receive_try(&mut self, mut task: Box<Try>) -> Result<(Box<Try>, Instant), Stop> {
        let mut begun = Instant::now();
        let mut laid_out = self.staging.lay_out(&mut self.pfs);
        loop {
            let asked = Instant::now();
            match self.engine.next().or_stop(|| "read from the engine".to_owned())? {
                None => return Err(Stop::new("the engine hung up")),
                Some(Frame::Message(ToAgent::Begin(other))) => {
                    begun = Instant::now();
                    laid_out = self.pfs.clear();
                    task = other;
                }
                Some(Frame::Message(ToAgent::Go)) => {
                    let begun = begun + asked.elapsed();
                    laid_out.and_then(|()| self.pfs.seal()).or_stop(|| "lay out the inputs".to_owned())?;
                    return Ok((task, begun));
                }
                Some(frame) => laid_out = lay_out(&mut self.pfs, laid_out, frame)?,
            }
        }
    }

    fn serve_try(
        &mut self,
        task: Box<Try>,
        settings: &Settings,
        account: &Result<Account, String>,
        traces: &mut Traces,
    ) -> Result<(), Stop> {
        let (task, begun) = self.receive_try(task)?;
        let task = &*task;
        let owner = account.as_ref().ok().filter(|account| !account.is_own()).map(Account::owner);
        clear::hand_over(self.out.directory(), 0o755, owner).or_stop(|| "make /pfs/out ready".to_owned())?;
        self.secrets.lay_out(&task.secret_files, owner).or_stop(|| "lay out the secrets".to_owned())?;
        let killed = || if settings.has_memory_limit { memory::kills() } else { 0 };
        let killed_before = killed();
        let prepared = begun.elapsed();
        let ended = match account {
            Err(why) => Ended::not_started(why.clone()),
            Ok(account) => {
                let mut next = Next { engine: &mut self.engine, staging: &mut self.staging, root: self.pfs.root() };
                command::run(task, settings, account, &self.signals, &mut next, &mut self.answer)
                    .or_stop(|| "run the command".to_owned())?
            }
        };
        let command_ended = Instant::now();
        let out_of_memory = killed() > killed_before;
        let exit = match account {
            Ok(account) => self.collect(task, ended.exit, ended.deadline, account)?,
            Err(_) => ended.exit,
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let report = Report {
            exit,
            prepare_micros: micros(prepared),
            process_micros: micros(ended.took),
            out_of_memory,
            kept: self.pfs.keeps_all(),
            left: self.left_behind(traces),
            take_in_micros: micros(command_ended.elapsed()),
        };
        self.answer.message(&FromAgent::Done(report)).or_stop(|| "answer the engine".to_owned())?;
        self.answer.flush().or_stop(|| "answer the engine".to_owned())?;
        self.clear_try()
    }

    /// What makes the sandbox unfit for another try.
    fn left_behind(&self, traces: &mut Traces) -> Option<String> {
        let code = || self.code.as_ref().and_then(Inputs::touched).map(|path| format!("a change of `{path}`"));
        traces.found().or_else(code)
    }

    /// The directories that are reset for each try.
    fn renewed(&self) -> impl Iterator<Item = &Writable> {
        [&self.top, &self.out].into_iter().chain(&self.temporary).chain(self.secrets.opened())
    }

    /// Sends the outputs of a successful command, within its time limit. All its processes are gone, so nothing changes meanwhile.
    fn collect(&mut self, task: &Try, exit: Exit, deadline: Option<Instant>, account: &Account) -> Result<Exit, Stop> {
        // Later tries use the same code, so a failure must not hide a change to it.
        if let Some(path) = self.code.as_ref().and_then(Inputs::touched) {
            return Ok(Exit::TouchedInput { path });
        }
        if !matches!(exit, Exit::Code(code) if code == 0 || task.accept.contains(&code)) {
            return Ok(exit);
        }
        if let Some(path) = self.pfs.touched() {
            return Ok(Exit::TouchedInput { path });
        }
        if task.drops_output {
            return Ok(exit);
        }
        let Self { out, pfs, answer, .. } = self;
        let bounds = Bounds { limits: task.limits, deadline };
        // Links in the output may point anywhere: nothing is read that the command's user may not read.
        match account.act(|| outputs::send(out.directory(), pfs, bounds, answer)) {
            Ok(()) => Ok(exit),
            Err(Trouble::Late) => Ok(Exit::TimedOut),
            Err(Trouble::Bad { path, why }) => Ok(Exit::BadOutput { path, why }),
            Err(Trouble::Io(error)) => Err(Stop::new(format!("cannot read /pfs/out: {error}"))),
        }
    }

    fn clear_try(&mut self) -> Result<(), Stop> {
        self.pfs.clear().or_stop(|| "empty /pfs".to_owned())?;
        self.out.renew().or_stop(|| "empty /pfs/out".to_owned())?;
        self.secrets.clear().or_stop(|| "remove the secrets".to_owned())?;
        self.top.restore().or_stop(|| "give /pfs its rights".to_owned())?;
        self.temporary.iter_mut().try_for_each(Writable::renew).or_stop(|| "empty /tmp".to_owned())
    }

    /// Removes what an earlier agent left in our directories.
    fn clear_all(&mut self) -> Result<(), Stop> {
        self.code.as_mut().map_or(Ok(()), Inputs::clear).or_stop(|| "empty the directory of the code".to_owned())?;
        self.clear_try()
    }
}

/// Lays out the content of a frame. After an error everything is still read but ignored, because the engine reads the answer only
/// afterwards.
fn lay_out(into: &mut Inputs, so_far: io::Result<()>, frame: Frame<'_, ToAgent>) -> Result<io::Result<()>, Stop> {
    match frame {
        Frame::Data(bytes) => Ok(so_far.and_then(|()| into.data(bytes))),
        Frame::Message(ToAgent::File { header, keep }) => Ok(so_far.and_then(|()| into.file(header, keep))),
        Frame::Message(ToAgent::Same { path }) => Ok(so_far.and_then(|()| into.same(&path))),
        Frame::Message(_) => Err(out_of_turn()),
    }
}

fn out_of_turn() -> Stop {
    Stop::new("the engine spoke out of turn")
}
