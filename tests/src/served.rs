//! The second way to run the end-to-end tests: each call of `pv` goes through a server (`PV_TEST_SERVER=1`).
//!
//! An environment starts `pv serve --listen 127.0.0.1:0` when a call needs it, and ends it by its process id. The server's folder is
//! another one, so that it finds no file of a test by chance. It runs jobs only when asked, as a `pv` without a server does.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::only_here;

/// How long a server may take to end, in looks of a hundredth of a second.
const LOOKS_TO_END: u32 = 2000;

/// Which tests go through a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    /// All but those that are listed.
    Unlisted,
    /// All: to see which of those that are listed need not be.
    All,
}

fn mode() -> Mode {
    match std::env::var("PV_TEST_SERVER").as_deref() {
        Ok("1") => Mode::Unlisted,
        Ok("all") => Mode::All,
        _ => Mode::None,
    }
}

/// The server of one environment.
#[derive(Debug)]
pub(crate) struct Served {
    is_wanted: bool,
    running: Mutex<Option<Server>>,
}

/// A running server, which ends with this value.
#[derive(Debug)]
pub struct Server {
    process: Child,
    url: String,
    token: String,
    /// How many datums at a time, if a command said so.
    jobs: Option<String>,
}

impl Served {
    /// For the test that runs on this thread.
    pub(crate) fn of_this_test() -> Self {
        let thread = std::thread::current();
        let is_listed = thread.name().is_some_and(|test| only_here::reason(test).is_some());
        let is_wanted = match mode() {
            Mode::None => false,
            Mode::Unlisted => !is_listed,
            Mode::All => true,
        };
        Self { is_wanted, running: Mutex::default() }
    }

    /// Adapts a call: has it go through the server, which is started if need be; or ends the server, if the call needs the store alone.
    ///
    /// `plain` makes a call without a server.
    pub(crate) fn adapt(&self, command: &mut Command, store: &Path, plain: impl Fn(&[&str]) -> Command) {
        if !self.is_wanted || !store.join(".pv").exists() {
            return;
        }
        match Way::of(command) {
            Way::Here => {}
            Way::Alone => self.end(),
            Way::Server { jobs } => {
                let mut running = self.running.lock().expect("no panic under this lock");
                let is_other = |running: &mut Server| {
                    // The test ended it, or wants another number of datums at a time.
                    !matches!(running.process.try_wait(), Ok(None)) || (jobs.is_some() && running.jobs != jobs)
                };
                if running.as_mut().is_some_and(is_other) {
                    *running = None;
                }
                let Server { url, token, .. } = running.get_or_insert_with(|| Server::start(jobs, plain));
                command.env("PV_SERVER", url).env("PV_TOKEN", token);
            }
        }
    }

    /// Whether calls go through a server.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Ends the server, if one runs.
    pub(crate) fn end(&self) {
        *self.running.lock().expect("no panic under this lock") = None;
    }
}

/// Where a call runs.
enum Way {
    /// In a server. `jobs`: how many datums at a time its engine has to run, which is chosen when it starts.
    Server { jobs: Option<String> },
    /// In its own process, beside a server.
    Here,
    /// In its own process, which needs the store for itself.
    Alone,
}

impl Way {
    fn of(command: &Command) -> Self {
        let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
        let is_set = |name: &str| command.get_envs().any(|(set, value)| set == name && value.is_some());
        let is_elsewhere = words.iter().any(|word| word.starts_with("--store") || word.starts_with("--server"));
        let verb = words.iter().find(|word| !word.starts_with('-')).map(String::as_str);
        match verb {
            Some("init" | "serve" | "fsck") if has(&["init", "serve", "--repair", "--rebuild-index"]) => Self::Alone,
            // The engine's executor is chosen when it starts.
            Some("config") if has(&["executor"]) && has(&["set", "unset"]) => Self::Alone,
            _ if is_elsewhere || is_set("PV_STORE") || is_set("PV_SERVER") => Self::Here,
            _ => {
                let jobs = words.iter().position(|word| word == "-j").filter(|_| has(&["run"]));
                Self::Server { jobs: jobs.and_then(|at| words.get(at + 1).cloned()) }
            }
        }
    }
}

impl Server {
    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token for everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn start(jobs: Option<String>, plain: impl Fn(&[&str]) -> Command) -> Self {
        // A token's name is used once.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("server-test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let made = plain(&["--json", "token", "create", &name, "--role", "admin"]).output().expect("pv can be called");
        let made = String::from_utf8_lossy(&made.stdout).into_owned();
        let token = serde_json::from_str::<serde_json::Value>(&made)
            .ok()
            .and_then(|made| Some(made["token"].as_str()?.to_owned()));
        let token = token.unwrap_or_else(|| panic!("a token: {made}"));
        let mut serve = plain(&["serve", "--listen", "127.0.0.1:0", "--rate", "0", "--on-request"]);
        if let Some(jobs) = &jobs {
            serve.args(["-j", jobs]);
        }
        let mut process = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("pv can be called");
        let mut said = BufReader::new(process.stderr.take().expect("stderr is a pipe"));
        let (mut line, mut all) = (String::new(), String::new());
        let url = loop {
            line.clear();
            if said.read_line(&mut line).unwrap_or(0) == 0 {
                process.kill().ok();
                process.wait().ok();
                panic!("the server does not start: {all}");
            }
            if let Some(url) = line.trim().strip_prefix("listening at ") {
                break url.to_owned();
            }
            all += &line;
        };
        // What it says later is read, so that it never waits.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Self { process, url, token, jobs }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().ok();
        for _ in 0..LOOKS_TO_END {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
