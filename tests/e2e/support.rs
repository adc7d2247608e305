//! Shared by tests of running pipelines: events to wait for, datums that wait until released, Docker if it answers.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
pub(crate) use tests::tools::skip;
use tests::{TestEnv, test_env};

/// Small enough to be built anywhere: a static busybox.
pub(crate) const IMAGE: &str = "pv-test-busybox:1";
/// How long an event may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Incompressible bytes, different for each seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Pseudo-random numbers, the same in every run of the test.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Processes with this text among their arguments.
pub(crate) fn processes_with(text: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let numbers = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let said = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    numbers.filter(|pid| String::from_utf8_lossy(&said(pid)).contains(text)).collect()
}

/// Polls until there is a result.
pub(crate) fn until<T>(event: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "this did not happen: {event}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Polls until it is true.
pub(crate) fn until_true(event: &str, mut is_so: impl FnMut() -> bool) {
    until(event, || is_so().then_some(()));
}

/// A number from the environment, for longer tests.
pub(crate) fn number<N: FromStr>(variable: &str, default: N) -> N {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
}

/// A running `pv` beside the test. Killed if the test ends first.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a `pv` in the background ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Background {
    /// Starts a call of `pv`.
    pub(crate) fn start<const N: usize>(env: &TestEnv, args: [&str; N]) -> Self {
        Self::of(env, env.command(args))
    }

    /// Starts this call.
    pub(crate) fn of(env: &TestEnv, mut command: Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = |stream: &str| env.dir().join(format!("{number}.{stream}"));
        let (stdout, stderr) = (place("stdout"), place("stderr"));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Self { child: command.spawn().unwrap(), stdout, stderr }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Whether it was stopped by a signal, until it gets another.
    pub(crate) fn stands_still(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let status = until("the end of a pv", || self.child.try_wait().unwrap());
        let stderr = std::fs::read_to_string(&self.stderr).unwrap();
        Ended { code: status.code(), stdout: self.stdout(), stderr }
    }

    /// Sends only `kill -9`.
    pub(crate) fn kill_9(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Whether another process has this one's stdout open, and so runs its command.
    pub(crate) fn is_served_by(&self, owner: &Self) -> bool {
        let open = std::fs::read_dir(format!("/proc/{}/fd", owner.child.id())).unwrap();
        let mut targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets.any(|target| target == self.stdout.canonicalize().unwrap())
    }
}

/// Starts `pv serve` and waits until it answers.
pub(crate) fn serve(env: &TestEnv) -> Background {
    serve_with(env, env.command(["serve", "-j", "2"]))
}

/// Like [`serve`], with this command.
pub(crate) fn serve_with(env: &TestEnv, command: Command) -> Background {
    let mut serve = Background::of(env, command);
    until_true("a pv serve that answers", || {
        assert!(!serve.is_over(), "{}", serve.stderr());
        serve.stderr().contains("at a time")
    });
    serve
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Ended {
    /// Checks that it ended with this exit code.
    #[track_caller]
    pub(crate) fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A gate for datums: they sleep for a number of seconds that no other process has among its arguments.
#[derive(Debug)]
pub(crate) struct Gate(String);

impl Gate {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Below 2^31, the limit of some versions of `sleep`.
        Self(format!("1{:07}{:02}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    /// The command that waits at this gate; continues when the test releases it.
    pub(crate) fn wait(&self) -> String {
        format!("{{ sleep {} || true; }}", self.0)
    }

    /// The word that only waiting processes have in their arguments.
    pub(crate) fn mark(&self) -> &str {
        &self.0
    }

    /// The waiting processes.
    pub(crate) fn waiting(&self) -> BTreeSet<i32> {
        let processes = std::fs::read_dir("/proc").unwrap();
        let numbers = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let words = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        numbers.filter(|pid| words(pid).split(|byte| *byte == 0).any(|word| word == self.0.as_bytes())).collect()
    }

    /// Waits until this many datums wait.
    pub(crate) fn until_waiting(&self, count: usize) {
        until_true("datums at their gate", || self.waiting().len() == count);
    }

    /// Releases the waiting processes.
    pub(crate) fn let_go(&self) {
        self.waiting().into_iter().for_each(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap());
    }

    /// Releases everything, also later arrivals, until `is_over`.
    pub(crate) fn open_until(&self, mut is_over: impl FnMut() -> bool) {
        until_true("the end behind an open gate", || {
            // Some end before the signal arrives.
            for pid in self.waiting() {
                kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
            }
            is_over()
        });
    }
}

/// A store with the `process` executor and the repository `notes` with `/a`, `/b` and `/c`.
pub(crate) fn env_with_notes() -> TestEnv {
    env_with_notes_on("process")
}

/// Like [`env_with_notes`], with this executor.
pub(crate) fn env_with_notes_on(executor: &str) -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", executor]);
    env.ok(["repo", "create", "notes"]);
    for name in ["a", "b", "c"] {
        env.write(format!("notes/{name}"), format!("{name}\n"));
    }
    env.ok(["put", "notes", "notes", "-m", "first"]);
    env
}

/// A spec: a shell script for each file of `repo`.
pub(crate) fn spec(name: &str, repo: &str, script: &str) -> String {
    spec_with(name, &pfs(repo, "/*"), script, "")
}

/// An input.
pub(crate) fn pfs(repo: &str, glob: &str) -> String {
    format!("{{\"pfs\": {{\"repo\": \"{repo}\", \"glob\": \"{glob}\"}}}}")
}

/// A spec with additional fields of the transform, each followed by a comma.
pub(crate) fn spec_with(name: &str, input: &str, script: &str, transform: &str) -> String {
    let script = serde_json::to_string(script).unwrap();
    format!(
        "{{\"pipeline\": {{\"name\": \"{name}\"}}, \"input\": {input},\n \"transform\": {{{transform} \"image\": \
         \"{IMAGE}\", \"cmd\": [\"sh\", \"-c\", {script}]}}}}\n"
    )
}

/// Applies a spec.
pub(crate) fn apply(env: &TestEnv, text: &str) {
    env.write("spec.json", text);
    env.ok(["pipeline", "apply", "-f", "spec.json"]);
}

/// A script that copies its input to its output.
pub(crate) fn copy_of(input: &str) -> String {
    format!("cp -r \"${input}\" /pfs/out/")
}

/// Adds a file to `notes`.
pub(crate) fn put_note(env: &TestEnv, name: &str, text: &str) -> Value {
    env.write(name, text);
    env.json(["put", "notes", name, "-m", name]).remove(0)
}

/// The newest job of a pipeline.
pub(crate) fn newest_job(env: &TestEnv, pipeline: &str) -> Value {
    env.json(["job", "list", pipeline, "-n", "1"]).remove(0)
}

/// State, executed and cached datums of the newest job of a pipeline.
pub(crate) fn outcome(env: &TestEnv, pipeline: &str) -> (String, u64, u64) {
    let job = newest_job(env, pipeline);
    let number = |field: &str| job[field].as_u64().unwrap();
    (job["state"].as_str().unwrap().to_owned(), number("datums_processed"), number("datums_cached"))
}

/// Shorthand for comparison with an [`outcome`].
pub(crate) fn success(processed: u64, cached: u64) -> (String, u64, u64) {
    ("success".to_owned(), processed, cached)
}

/// How many executions of datums ended, in all jobs of the store: each has its own result.
pub(crate) fn executed(env: &TestEnv) -> u64 {
    env.json(["fsck"])[0]["results"].as_u64().unwrap()
}

/// The current time in the store's format, which sorts as text.
pub(crate) fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%6NZ"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

/// How many datums of an ended job were executed before this moment: results from before were not computed again.
pub(crate) fn executed_before(env: &TestEnv, job: &str, moment: &str) -> u64 {
    let tries = env.json(["logs", job]);
    tries.iter().filter(|one| one["finished_at"].as_str().unwrap() < moment).count() as u64
}

/// Checks that the store is sound.
#[track_caller]
pub(crate) fn assert_sound(env: &TestEnv) {
    assert_eq!(env.json(["fsck"])[0]["sound"], true);
}

/// Whether Docker answers and has the test image. With `CI` it must.
pub(crate) fn has_docker() -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/busybox.sh");
    let answers = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_ready =
        answers.is_ok_and(|status| status.success()) && Command::new("sh").arg(script).status().unwrap().success();
    if !is_ready {
        skip("Docker does not answer, or has no test image");
    }
    is_ready
}

/// The available executors.
pub(crate) fn executors() -> Vec<&'static str> {
    if has_docker() { vec!["process", "docker"] } else { vec!["process"] }
}

/// Checks that nothing of an engine is left: no mount, no socket, nothing of sandboxes, no pack of a writer that is gone.
#[track_caller]
pub(crate) fn assert_nothing_is_left(env: &TestEnv) {
    let place = env.dir().canonicalize().unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(place.to_str().unwrap()), "{mounts}");
    assert!(!place.join(".pv/socket").exists());
    assert_eq!(std::fs::read_dir(place.join(".pv/scratch")).map_or(0, Iterator::count), 0);
    let parts = std::fs::read_dir(place.join(".pv/packs")).unwrap();
    let parts: Vec<_> =
        parts.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "part")).collect();
    assert!(parts.len() <= 2, "{parts:?}");
}

/// Containers of pipelines with this name.
pub(crate) fn containers(pipeline: &str) -> String {
    let label = format!("label=pv.pipeline={pipeline}");
    let listed = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output().unwrap();
    assert!(listed.status.success());
    String::from_utf8(listed.stdout).unwrap()
}
