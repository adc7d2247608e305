//! A Docker daemon that goes down while stages run, and comes back.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tests::TestEnv;

use crate::support::*;

/// A proxy between an engine and Docker that simulates a daemon restart: cuts all connections and accepts none until it is up again.
#[derive(Debug)]
struct Daemon {
    address: PathBuf,
    is_up: AtomicBool,
    /// How often its version was requested while it was down.
    asked: AtomicU32,
    connections: Mutex<Vec<UnixStream>>,
}

impl Daemon {
    fn start(folder: &Path) -> Arc<Self> {
        let address = folder.join("docker.sock");
        let listener = UnixListener::bind(&address).unwrap();
        let (is_up, asked) = (AtomicBool::new(true), AtomicU32::new(0));
        let daemon = Arc::new(Self { address, is_up, asked, connections: Mutex::default() });
        let serving = daemon.clone();
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                serving.take(caller.unwrap());
            }
        });
        daemon
    }

    fn take(&self, mut caller: UnixStream) {
        if !self.is_up.load(Ordering::SeqCst) {
            let mut request = [0; 1024];
            let length = caller.read(&mut request).unwrap_or_default();
            if String::from_utf8_lossy(&request[..length]).contains("/version") {
                self.asked.fetch_add(1, Ordering::SeqCst);
            }
            return;
        }
        let docker = UnixStream::connect("/var/run/docker.sock").unwrap();
        let mut connections = self.connections.lock().unwrap();
        for (from, to) in [(&caller, &docker), (&docker, &caller)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            connections.push(from.try_clone().unwrap());
            std::thread::spawn(move || pass_on(from, to));
        }
    }

    fn go_down(&self) {
        self.is_up.store(false, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    fn come_up(&self) {
        self.is_up.store(true, Ordering::SeqCst);
    }
}

/// Copies until one side ends, and closes the other.
fn pass_on(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

fn run_with(env: &TestEnv, daemon: &Daemon) -> Background {
    let mut command = env.command(["run", "-j", "1"]);
    command.env("DOCKER_HOST", format!("unix://{}", daemon.address.display()));
    Background::of(env, command)
}

#[test]
fn a_daemon_that_is_restarted_is_waited_for() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let daemon = Daemon::start(env.dir());
    let gate = Gate::new();
    apply(&env, &spec("wait", "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
    let mut run = run_with(&env, &daemon);
    gate.until_waiting(1);
    daemon.go_down();
    until_true("the end of a sandbox without its engine", || gate.waiting().is_empty());
    // Several pauses, each longer than the previous one.
    until_true("looks for the daemon", || {
        assert!(!run.is_over(), "{}", run.stderr());
        daemon.asked.load(Ordering::SeqCst) >= 4
    });
    daemon.come_up();
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_eq!(outcome(&env, "wait"), success(3, 0));
    assert_eq!(env.json(["logs", "wait"]).len(), 3, "the outage was nobody's try");
    until_true("the end of all containers", || containers("wait").is_empty());
}

#[test]
fn containers_end_with_a_killed_engine() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let gate = Gate::new();
    apply(&env, &spec("burn", "notes", &gate.wait()));
    let run = Background::start(&env, ["run", "-j", "3"]);
    gate.until_waiting(3);
    run.kill_9();
    until_true("the end of all commands", || gate.waiting().is_empty());
    until_true("the end of all containers", || containers("burn").is_empty());
}
