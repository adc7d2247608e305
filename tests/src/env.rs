//! A temporary folder with a store, and calls of `pv` in it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::filters::Filters;
use crate::served::{Served, Server};

/// A folder with a store at its top and the subfolder `work`, in which `pv` is called; an environment with only an author and a time zone.
#[derive(Debug)]
pub struct TestEnv {
    binary: PathBuf,
    /// Dropped before the folder is removed.
    served: Served,
    dir: tempfile::TempDir,
    filters: Mutex<Filters>,
    variables: Mutex<Vec<(String, String)>>,
}

impl TestEnv {
    /// A folder without a store.
    ///
    /// # Panics
    /// If a temporary folder cannot be created.
    pub fn without_store(binary: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let place = dir.path().canonicalize().expect("the folder exists");
        std::fs::create_dir(place.join("work")).expect("an empty folder");
        let (filters, variables) = (Mutex::new(Filters::new(&place)), Mutex::default());
        Self { binary: binary.into(), served: Served::of_this_test(), dir, filters, variables }
    }

    /// A folder with a store that has the repository `images`.
    pub fn with_store(binary: &str) -> Self {
        let env = Self::without_store(binary);
        for line in [["init", ".."].as_slice(), &["repo", "create", "images"]] {
            // A server starts only after a test has chosen the executor.
            let made = env.plain(line).output().expect("pv can be called");
            assert!(made.status.success(), "{}", env.shown(&made));
        }
        env
    }

    /// The `pv` under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Sets a variable for further calls of `pv`.
    ///
    /// # Panics
    /// If another thread panicked while it held the variables.
    pub fn set(&self, name: &str, value: &str) {
        self.variables.lock().expect("no panic under this lock").push((name.to_owned(), value.to_owned()));
        // The next one gets the variable too.
        self.served.end();
    }

    /// The folder that holds the store.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder in which `pv` is called.
    pub fn work(&self) -> PathBuf {
        self.dir().join("work")
    }

    /// Writes a file below the folder in which `pv` is called.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders can be made");
        std::fs::write(&path, bytes).expect("the file can be written");
        path
    }

    /// Reads a file below the folder in which `pv` is called.
    ///
    /// # Panics
    /// If it cannot be read or is not text.
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.work().join(path)).expect("the file can be read")
    }

    /// A call of `pv` that can be modified before it is made.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.plain(args);
        self.served.adapt(&mut command, self.dir(), |args| {
            let mut command = self.plain(args);
            command.current_dir("/").env("PV_STORE", self.dir());
            command
        });
        command
    }

    /// Starts a server for the store, which ends with the returned value.
    ///
    /// # Panics
    /// If it does not start.
    pub fn serve(&self) -> Server {
        self.served.end();
        Server::start(None, |args| {
            let mut command = self.plain(args);
            command.current_dir("/").env("PV_STORE", self.dir());
            command
        })
    }

    /// Whether calls go through a server, so that an engine is there all the time.
    pub fn is_served(&self) -> bool {
        self.served.is_wanted()
    }

    /// A call in its own process.
    fn plain<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).current_dir(self.work()).env_clear().stdin(Stdio::null());
        command.envs([("HOME", self.dir().as_os_str()), ("PV_AUTHOR", OsStr::new("Anna <anna@example.com>"))]);
        // Tests restore stores from copies; those about known stores set the variable themselves.
        command.env("TZ", "UTC").env("PV_KNOWN_STORES", "none");
        command.envs(self.variables.lock().expect("no panic under this lock").iter().cloned());
        command
    }

    /// Calls `pv` with these bytes on stdin.
    ///
    /// # Panics
    /// If it cannot be called.
    pub fn with_stdin<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, stdin: &[u8]) -> Output {
        let mut command = self.command(args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("pv can be called");
        let mut pipe = child.stdin.take().expect("stdin is a pipe");
        // Whether pv reads it depends on the test.
        pipe.write_all(stdin).ok();
        drop(pipe);
        let output = child.wait_with_output().expect("pv ends");
        self.check_hints(&output, false);
        output
    }

    /// Calls `pv`.
    ///
    /// # Panics
    /// If it cannot be called.
    pub fn output<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.command(&args).output().expect("pv can be called");
        // With another store, the hints mean something else.
        let is_here = !args.iter().any(|arg| arg.to_string_lossy().starts_with("--store"));
        self.check_hints(&output, is_here);
        output
    }

    /// Checks that every command that `pv` suggested is valid; commands that only read are executed if they can be executed `here`.
    fn check_hints(&self, output: &Output, here: bool) {
        let said = String::from_utf8_lossy(&output.stderr);
        crate::hints::check(&self.binary, &said, |mut shell| {
            // The test may be holding an owner of the store.
            let store = self.dir().join(".pv");
            if !here || !store.exists() || store.join("socket").exists() {
                return None;
            }
            shell.current_dir(self.work()).env_clear();
            shell.envs(self.command::<&str>([]).get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.output().expect("a shell can be called").status.code()
        });
    }

    /// Calls `pv`; returns stdout, stderr and exit code as one text, without what differs from run to run.
    pub fn pv<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.shown(&self.output(args))
    }

    /// An output as one text, without what differs from run to run.
    pub fn shown(&self, output: &Output) -> String {
        let streams = [("stdout", &output.stdout), ("stderr", &output.stderr)].into_iter();
        let printed = streams.filter(|(_, bytes)| !bytes.is_empty());
        let printed = printed.map(|(name, bytes)| format!("--- {name}\n{}", String::from_utf8_lossy(bytes)));
        let ended = match output.status.code() {
            Some(0) => String::new(),
            Some(code) => format!("--- exit {code}"),
            None => "--- ended by a signal".to_owned(),
        };
        self.filters.lock().expect("no panic under this lock").apply(&printed.chain([ended]).collect::<String>())
    }

    /// Calls `pv`, which must succeed; returns stdout unchanged.
    ///
    /// # Panics
    /// If it does not succeed.
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{}", self.shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Calls `pv --json`, which must succeed; returns one value per line.
    ///
    /// # Panics
    /// If it does not succeed, or does not print JSON.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Vec<Value> {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let text = self.ok([OsStr::new("--json").to_owned()].into_iter().chain(args));
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Calls `pv --json`, which must fail; returns the fields of its error, and its exit code.
    ///
    /// # Panics
    /// If it succeeds, or the last line of stderr is not an error.
    pub fn json_error<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> (Value, i32) {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.output([OsStr::new("--json").to_owned()].into_iter().chain(args));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = stderr.lines().last().expect("an error is printed");
        let mut error: Value = serde_json::from_str(last).expect("a line of JSON");
        (error["error"].take(), output.status.code().expect("an exit code"))
    }

    /// The exit code of a call.
    ///
    /// # Panics
    /// If a signal ended it.
    pub fn exit_code<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> i32 {
        self.output(args).status.code().expect("an exit code")
    }
}
