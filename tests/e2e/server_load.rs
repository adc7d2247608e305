//! The server under load: killed while clients commit and listen, its connections taken by those who send slowly, uploads cut off.
//!
//! `PV_KILLS` and `PV_CLIENTS` scale the first; `PV_TEST_BINARY` names another binary for the servers, such as a release build.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Error, Read, Result as IoResult, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{scope, spawn};
use std::time::Duration;

use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::support::*;

/// Longest wait for an answer: one that never comes fails the test.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server at a free port, started by `command`; and that port.
fn start(env: &TestEnv, command: Command) -> (Background, u16) {
    let serve = serve_with(env, command);
    let listening = || {
        let said = serve.stderr();
        let url = said.lines().find_map(|line| line.strip_prefix("listening at "))?.to_owned();
        url.rsplit_once(':')?.1.parse().ok()
    };
    let port = until("a server that listens", listening);
    (serve, port)
}

fn serve_command(env: &TestEnv) -> Command {
    let command = env.command(["serve", "--listen", "127.0.0.1:0", "--rate", "0"]);
    match std::env::var("PV_TEST_BINARY") {
        Ok(binary) => same_call(&command, env, Command::new(binary)),
        Err(_) => command,
    }
}

/// The same call by another program, which gets its arguments.
fn same_call(call: &Command, env: &TestEnv, mut by: Command) -> Command {
    by.args(call.get_args()).current_dir(env.work()).env_clear().stdin(Stdio::null());
    for (name, value) in call.get_envs() {
        by.env(name, value.unwrap());
    }
    by
}

fn token(env: &TestEnv, name: &str) -> String {
    env.json(["token", "create", name, "--role", "admin"])[0]["token"].as_str().unwrap().to_owned()
}

fn connect(port: u16) -> IoResult<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The head of a request.
fn head(token: &str, line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
}

/// Sends a request and returns status and body; an error if the answer is cut off.
fn ask(stream: &mut TcpStream, head: &str, body: &[u8]) -> IoResult<(u16, Vec<u8>)> {
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Error::other("the answer is cut off"))?;
    loop {
        line.clear();
        if answer.read_line(&mut line)? == 0 {
            return Err(Error::other("the answer's head is cut off"));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    Ok((status, body))
}

/// Where the server is at present; those who need it wait until there is one.
#[derive(Default)]
struct Place(Mutex<Option<u16>>, Condvar);

impl Place {
    fn set(&self, port: Option<u16>) {
        *self.0.lock().unwrap() = port;
        self.1.notify_all();
    }

    fn port(&self) -> u16 {
        let (port, over) = self.1.wait_timeout_while(self.0.lock().unwrap(), PATIENCE, |port| port.is_none()).unwrap();
        assert!(!over.timed_out(), "no server comes back");
        port.unwrap()
    }
}

/// What clients and listeners share.
#[derive(Default)]
struct Load {
    place: Place,
    token: String,
    is_over: AtomicBool,
    acknowledged: Mutex<Vec<(String, String)>>,
    repeated: AtomicU64,
}

impl Load {
    /// Commits file after file, each with a key and as often as it takes until it is acknowledged.
    fn commit_until_over(&self, client: usize) {
        for at in 0.. {
            let path = format!("/c{client}/{at}");
            let commit = self.commit(&path);
            self.acknowledged.lock().unwrap().push((path, commit));
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn commit(&self, path: &str) -> String {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{path}\"\r\n\r\ncontent of {path}\r\n--b--\r\n"
        );
        let more = format!(
            "Content-Type: multipart/form-data; boundary=b\r\nIdempotency-Key: {path}\r\nContent-Length: {}\r\n",
            body.len()
        );
        let head = head(&self.token, "POST /api/v1/repos/images/branches/main/commits", &more);
        loop {
            let answer = connect(self.place.port()).and_then(|mut stream| ask(&mut stream, &head, body.as_bytes()));
            match answer {
                Ok((200, body)) => {
                    let put: Value = serde_json::from_slice(&body).unwrap();
                    return put["commit"].as_str().unwrap().to_owned();
                }
                // It ends, or works on too much.
                Ok((503, _)) | Err(_) => drop(self.repeated.fetch_add(1, Ordering::Relaxed)),
                Ok((status, body)) => panic!("{status}: {}", String::from_utf8_lossy(&body)),
            }
        }
    }

    /// Hears events up to that of the commit `last`, over as many connections as it takes; returns id and commit of each.
    fn listen(&self, last: &Mutex<Option<String>>) -> Vec<(u64, String)> {
        let mut heard: Vec<(u64, String)> = vec![(0, String::new())];
        loop {
            let after = heard.last().unwrap().0;
            let more = format!("Accept: application/x-ndjson\r\nLast-Event-ID: {after}\r\n");
            let Ok(mut stream) = connect(self.place.port()) else { continue };
            if stream.write_all(head(&self.token, "GET /api/v1/events", &more).as_bytes()).is_err() {
                continue;
            }
            let mut lines = BufReader::new(stream);
            let mut line = String::new();
            // Only a whole line is an event.
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
                if line.starts_with('{') {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    let commit = event["changes"][0]["moves"][0]["to"].as_str().unwrap_or_default();
                    heard.push((event["id"].as_u64().unwrap(), commit.to_owned()));
                    let last = last.lock().unwrap().clone();
                    let end = last.and_then(|last| heard.iter().rposition(|(_, commit)| *commit == last));
                    if let Some(end) = end {
                        heard.truncate(end + 1);
                        return heard.split_off(1);
                    }
                }
                line.clear();
            }
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "for whoever lets it run longer")]
fn what_was_acknowledged_before_kill_9_is_there_once_and_events_are_complete() {
    let env = test_env!();
    let (kills, clients): (usize, usize) = (number("PV_KILLS", 3), number("PV_CLIENTS", 12));
    let load = Load { token: token(&env, "load"), ..Load::default() };
    let (serve, port) = start(&env, serve_command(&env));
    let mut serve = Some(serve);
    load.place.set(Some(port));
    let last = Mutex::new(None);
    let heard: Vec<Vec<(u64, String)>> = scope(|threads| {
        let listeners: Vec<_> = (0..clients.div_ceil(4)).map(|_| threads.spawn(|| load.listen(&last))).collect();
        let committing: Vec<_> = (0..clients)
            .map(|client| {
                threads.spawn({
                    let load = &load;
                    move || load.commit_until_over(client)
                })
            })
            .collect();
        for kill in 0..=kills {
            let before = load.acknowledged.lock().unwrap().len();
            // Not always at the same point of a commit.
            let more = clients + kill;
            until_true("commits that are acknowledged", || load.acknowledged.lock().unwrap().len() >= before + more);
            if kill < kills {
                load.place.set(None);
                assert_eq!(serve.take().unwrap().kill_9().code, None);
                let (next, port) = start(&env, serve_command(&env));
                serve = Some(next);
                load.place.set(Some(port));
            }
        }
        load.is_over.store(true, Ordering::Relaxed);
        for client in committing {
            client.join().unwrap();
        }
        let end = load.commit("/end");
        *last.lock().unwrap() = Some(end.clone());
        load.acknowledged.lock().unwrap().push(("/end".to_owned(), end));
        // Who heard that one before it was named as the last hears this one after.
        let after = load.commit("/after");
        load.acknowledged.lock().unwrap().push(("/after".to_owned(), after));
        listeners.into_iter().map(|listener| listener.join().unwrap()).collect()
    });
    let serve = serve.unwrap();
    serve.send(nix::sys::signal::Signal::SIGTERM);
    serve.end().assert_code(0);
    assert_history(&env, &load, &heard);
    assert_sound(&env);
    let repeated = load.repeated.load(Ordering::Relaxed);
    eprintln!("{kills} kills, {clients} clients: {} commits, {repeated} requests repeated", heard[0].len());
}

/// Each acknowledged commit once, one after the other; and the same in what each listener heard.
fn assert_history(env: &TestEnv, load: &Load, heard: &[Vec<(u64, String)>]) {
    let acknowledged = load.acknowledged.lock().unwrap();
    let log = env.json(["log", "images", "-n", "1000000"]);
    let id = |commit: &Value| commit["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = log.iter().map(id).collect();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (acknowledged.len(), acknowledged.len()), "each change is one commit");
    for (path, commit) in &*acknowledged {
        assert!(distinct.contains(commit), "{path} was acknowledged as {commit}");
    }
    for pair in log.windows(2) {
        assert_eq!(pair[0]["parents"], serde_json::json!([id(&pair[1])]));
    }
    let files: BTreeSet<String> =
        env.json(["ls", "-r", "images"]).iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(files, acknowledged.iter().map(|(path, _)| path.clone()).collect());
    ids.reverse();
    ids.pop(); // made after all had heard enough
    for events in heard {
        let commits: Vec<&String> =
            events.iter().map(|(_, commit)| commit).filter(|commit| !commit.is_empty()).collect();
        assert_eq!(commits, ids.iter().collect::<Vec<_>>(), "a listener hears each commit once, in order");
        assert!(events.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "no record is left out");
    }
}

/// Passes bytes on to a server, counts those of the client, and breaks one connection when there were so many.
struct Between {
    port: u16,
    sent: Arc<AtomicU64>,
}

impl Between {
    fn new(server: u16, cut_after: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicU64::new(0));
        let (count, cut) = (sent.clone(), Arc::new(AtomicBool::new(false)));
        spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
                let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (count, cut) = (count.clone(), cut.clone());
                spawn(move || {
                    let mut bytes = vec![0; 64 << 10];
                    while let Ok(length @ 1..) = from.read(&mut bytes) {
                        let so_far = count.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
                        let is_cut = so_far >= cut_after && !cut.swap(true, Ordering::SeqCst);
                        if is_cut || to.write_all(&bytes[..length]).is_err() {
                            break;
                        }
                    }
                    from.shutdown(Shutdown::Both).ok();
                    to.shutdown(Shutdown::Both).ok();
                });
                spawn(move || std::io::copy(&mut &far, &mut &near).map(|_| near.shutdown(Shutdown::Both)));
            }
        });
        Self { port, sent }
    }
}

#[test]
fn an_upload_that_was_cut_off_sends_only_what_did_not_arrive() {
    /// What the client gathers before it sends.
    const PART: u64 = 16 << 20;
    const SIZE: u64 = 48 << 20;
    let env = test_env!();
    let token = token(&env, "writer");
    let (_serve, port) = start(&env, serve_command(&env));
    let between = Between::new(port, SIZE * 2 / 5);
    let client = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let content = noise(SIZE as usize, 1);
    client.write("large.bin", &content);
    let put = || {
        let mut command = client.command(["put", "images", "large.bin"]);
        command.env("PV_SERVER", format!("http://127.0.0.1:{}", between.port)).env("PV_TOKEN", &token);
        command.output().unwrap()
    };
    let first = put();
    if !first.status.success() {
        assert!(String::from_utf8_lossy(&first.stderr).contains("repeat the command"), "{}", client.shown(&first));
        let second = put();
        assert!(second.status.success(), "{}", client.shown(&second));
    }
    let sent = between.sent.load(Ordering::SeqCst);
    assert!(sent > SIZE, "the connection was cut within the file: {sent}");
    assert!(sent <= SIZE + PART + (1 << 20), "{sent} bytes for {SIZE}: no more than a part is sent twice");
    assert!(env.output(["cat", "images:/large.bin"]).stdout == content);
    assert_eq!(env.json(["log", "images"]).len(), 1);
}

/// Whether the server has closed this connection.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = match { stream }.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

fn resident_kib(serve: &Background) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serve.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn slow_clients_take_what_is_bounded_and_the_others_are_served() {
    const FILES: usize = 1024;
    /// As many as half of the files that the server may open.
    const MOST: usize = FILES / 2;
    let env = test_env!();
    env.write("a", "a");
    env.ok(["put", "images", "a"]);
    let token = token(&env, "slow");
    let plain = serve_command(&env);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {FILES}; exec \"$0\" \"$@\"")]).arg(plain.get_program());
    let (serve, port) = start(&env, same_call(&plain, &env, limited));
    let read = head(&token, "GET /api/v1/repos/images/commits/main/files/a", "");
    let mut good = connect(port).unwrap();
    let mut is_served = |when: &str| assert_eq!(ask(&mut good, &read, b"").unwrap(), (200, b"a".to_vec()), "{when}");
    is_served("before");
    let idle = resident_kib(&serve);

    let mut slow = Vec::new();
    for at in 0..150 {
        let put =
            head(&token, &format!("PUT /api/v1/repos/images/branches/main/files/{at}"), "Content-Length: 1000000\r\n");
        let json =
            head(&token, "POST /api/v1/objects/missing", "Content-Type: application/json\r\nContent-Length: 1000\r\n");
        for begun in [
            String::new(),
            "GET /api/v1/repos HTTP/1.1\r\nHost: t\r\nX-Hal".to_owned(),
            format!("{put}x"),
            format!("{json}{{"),
        ] {
            let Ok(mut stream) = connect(port) else { continue };
            stream.write_all(begun.as_bytes()).ok();
            slow.push(stream);
        }
        if at == 100 {
            is_served("beside uploads that do not go on");
        }
    }
    assert!(slow.len() > MOST);
    until_true("connections beyond the bound are closed", || {
        slow.iter().filter(|stream| is_closed(stream)).count() >= slow.len() + 1 - MOST
    });
    is_served("beside as many connections as there may be");
    assert!(serve.stderr().contains("further ones are closed"), "{}", serve.stderr());
    assert_eq!(serve.stderr().matches("further ones are closed").count(), 1, "{}", serve.stderr());
    let full = resident_kib(&serve);
    assert!(full < idle + (200 << 10), "{idle} KiB without them, {full} KiB with them");

    drop(slow);
    let served = || {
        let answer = connect(port).and_then(|mut stream| ask(&mut stream, &read, b""));
        answer.is_ok_and(|(status, _)| status == 200)
    };
    until_true("a new connection, when others have ended", served);
    serve.send(nix::sys::signal::Signal::SIGTERM);
    serve.end().assert_code(0);
    assert_sound(&env);
}

#[test]
fn an_endless_body_is_refused_and_not_kept() {
    let env = test_env!();
    let token = token(&env, "endless");
    let (serve, port) = start(&env, serve_command(&env));
    let more = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let mut stream = connect(port).unwrap();
    stream.write_all(head(&token, "POST /api/v1/objects/missing", more).as_bytes()).unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let mut sent = 0_u64;
    while sent < 200 << 20 && stream.write_all(&chunk).is_ok() {
        sent += 0x10000;
    }
    assert!(sent < 200 << 20, "it takes {sent} bytes of JSON");
    assert!(resident_kib(&serve) < 400 << 10, "{} KiB", resident_kib(&serve));
    let read = head(&token, "GET /api/v1/whoami", "");
    assert_eq!(ask(&mut connect(port).unwrap(), &read, b"").unwrap().0, 200);
}
