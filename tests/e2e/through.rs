//! Commands through a server when something is in the way: a connection that breaks, a token that ends or is limited, a certificate of
//! one's own; and what they do on the terminal and with the folders of the machine that they are called on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::served::Server;
use tests::{TestEnv, test_env};

use crate::support::*;

/// A machine without a store.
fn elsewhere() -> TestEnv {
    TestEnv::without_store(env!("CARGO_BIN_EXE_pv"))
}

/// Calls of `pv` on another machine, through a server.
struct Caller {
    machine: TestEnv,
    url: String,
    token: String,
}

impl Caller {
    fn of(server: &Server) -> Self {
        Self::at(server.url(), server.token())
    }

    fn at(url: &str, token: &str) -> Self {
        Self { machine: elsewhere(), url: url.to_owned(), token: token.to_owned() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.machine.command(args);
        command.env("PV_SERVER", &self.url).env("PV_TOKEN", &self.token);
        command
    }

    fn call(&self, args: &[&str]) -> Called {
        Called::of(&self.command(args).output().unwrap())
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Called {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Called {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// Who sends the bytes that are counted.
#[derive(Debug, Clone, Copy)]
enum By {
    Client,
    Server,
}

/// A proxy that cuts its first connection.
struct Cutter {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    /// Cuts the first connection after so many bytes; `None` leaves it whole.
    fn start(url: &str, cut: Option<(By, usize)>) -> Self {
        let server: SocketAddr = url.strip_prefix("http://").unwrap().trim_end_matches('/').parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let all = open.clone();
        std::thread::spawn(move || {
            let mut cut = cut;
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                all.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (from_client, from_server) = match cut.take() {
                    Some((By::Client, bytes)) => (bytes, usize::MAX),
                    Some((By::Server, bytes)) => (usize::MAX, bytes),
                    None => (usize::MAX, usize::MAX),
                };
                let (one, other) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(one, other, from_client));
                std::thread::spawn(move || pass(server, client, from_server));
            }
        });
        Self { address, open }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts what is open now.
    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Passes so many bytes on, then cuts both connections.
fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize) {
    let mut buffer = [0; 1 << 14];
    while left > 0 {
        let Ok(length @ 1..) = from.read(&mut buffer) else { break };
        let length = length.min(left);
        left -= length;
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        stream.shutdown(Shutdown::Both).ok();
    }
}

/// Places to cut: in the greeting of HTTP, in that of the commands, in what is sent then, in what is answered.
const CUTS: [(By, usize); 13] = [
    (By::Client, 1),
    (By::Client, 150),
    (By::Client, 400),
    (By::Client, 480),
    (By::Client, 600),
    (By::Client, 1000),
    (By::Client, 100_000),
    (By::Server, 1),
    (By::Server, 140),
    (By::Server, 190),
    (By::Server, 230),
    (By::Server, 260),
    (By::Server, 330),
];

#[test]
fn what_only_reads_goes_on_after_its_connection_was_cut() {
    let env = test_env!();
    env.write("a", "one");
    env.ok(["put", "images", "a"]);
    let server = env.serve();
    let whole = Caller::of(&server).call(&["ls", "-r", "images"]).assert_code(0);
    assert!(whole.stdout.contains("/a"), "{whole:?}");
    for cut in CUTS {
        let cutter = Cutter::start(server.url(), Some(cut));
        let caller = Caller::at(&cutter.url(), server.token());
        assert_eq!(caller.call(&["ls", "-r", "images"]), whole, "{cut:?}");
    }
}

#[test]
fn what_changes_something_is_done_once_or_ends_with_6_wherever_its_connection_is_cut() {
    let env = test_env!();
    let server = env.serve();
    let commits = || env.json(["log", "images"]).len();
    let (mut lost, mut mended) = (0, 0);
    for (number, cut) in CUTS.into_iter().enumerate() {
        let through_a_cut = |args: &[&str], files: &[(&str, Vec<u8>)]| {
            let cutter = Cutter::start(server.url(), Some(cut));
            let caller = Caller::at(&cutter.url(), server.token());
            for (name, bytes) in files {
                caller.machine.write(name, bytes);
            }
            (caller.call(args), caller)
        };
        // Done twice, it would end with 4.
        let repo = format!("r{number}");
        let (made, caller) = through_a_cut(&["repo", "create", &repo], &[]);
        match made.code {
            Some(0) => mended += 1,
            Some(6) => {
                lost += 1;
                assert!(made.stderr.contains("was lost before the command ended"), "{cut:?}: {made:?}");
                assert!(made.stderr.contains("hint: "), "{cut:?}: {made:?}");
            }
            code => panic!("{cut:?}: {code:?} {made:?}"),
        }
        let again = caller.call(&["repo", "create", &repo]);
        assert!(matches!((made.code, again.code), (Some(0), Some(4)) | (Some(6), Some(0 | 4))), "{cut:?}: {again:?}");
        // An upload is sent again, or the rest of it; repeated by hand, it is there already.
        let before = commits();
        let content = noise(300_000, number as u64);
        let (put, caller) = through_a_cut(&["put", "images", "f"], &[("f", content)]);
        assert!(matches!(put.code, Some(0 | 6)), "{cut:?}: {put:?}");
        caller.call(&["put", "images", "f"]).assert_code(0);
        assert_eq!(commits(), before + 1, "{cut:?}: {put:?}");
    }
    assert!(lost > 0 && mended > 0, "{lost} lost, {mended} mended");
    assert_sound(&env);
}

/// A store with a pipeline `hold`, whose datums print and wait at a gate.
fn held() -> (TestEnv, Gate) {
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &spec("hold", "notes", &format!("echo before; {}; echo after", gate.wait())));
    (env, gate)
}

#[test]
fn a_wait_survives_its_connection_and_a_follower_of_logs_says_what_is_missing() {
    let (env, gate) = held();
    let server = env.serve();
    let cutter = Cutter::start(server.url(), None);
    let caller = Caller::at(&cutter.url(), server.token());
    let running = Background::of(&env, Caller::of(&server).command(&["run"]));
    gate.until_waiting(2);
    let mut follower = Background::of(&env, caller.command(&["logs", "-f", "hold"]));
    until_true("what was printed so far", || follower.stdout().contains("before\n"));
    let mut waiting = Background::of(&env, caller.command(&["wait", "hold"]));
    until_true("all connections", || cutter.open.lock().unwrap().len() >= 4);
    cutter.cut();
    until_true("the end of the follower", || follower.is_over());
    let ended = follower.end().assert_code(6);
    assert!(ended.stderr.contains("hint: repeat the command: its output is incomplete"), "{ended:?}");
    assert!(!waiting.is_over(), "it is connected again");
    gate.open_until(|| waiting.is_over());
    waiting.end().assert_code(0);
    running.end().assert_code(0);
}

#[test]
fn logs_are_followed_as_they_come_and_ctrl_c_ends_only_the_follower() {
    let (env, gate) = held();
    let server = env.serve();
    let caller = Caller::of(&server);
    let running = Background::of(&env, caller.command(&["run"]));
    gate.until_waiting(2);
    let stopped = Background::of(&env, caller.command(&["logs", "-f", "hold"]));
    let mut follower = Background::of(&env, caller.command(&["logs", "-f", "hold"]));
    for one in [&stopped, &follower] {
        until_true("what is printed while the job runs", || one.stdout().contains("before\n"));
    }
    stopped.send(Signal::SIGINT);
    stopped.end().assert_code(130);
    gate.open_until(|| follower.is_over());
    let printed = follower.end().assert_code(0).stdout;
    assert_eq!((printed.matches("before\n").count(), printed.matches("after\n").count()), (3, 3), "{printed}");
    running.end().assert_code(0);
}

#[test]
fn a_command_ends_with_7_when_its_token_is_revoked() {
    let (env, gate) = held();
    let made = env.json(["token", "create", "ben", "--role", "reader"]).remove(0);
    let server = env.serve();
    let running = Background::of(&env, Caller::of(&server).command(&["run"]));
    gate.until_waiting(2);
    let ben = Caller::at(server.url(), made["token"].as_str().unwrap());
    let mut follower = Background::of(&env, ben.command(&["logs", "-f", "hold"]));
    until_true("what was printed so far", || follower.stdout().contains("before\n"));
    env.ok(["token", "revoke", "ben"]);
    until_true("the end of the follower", || follower.is_over());
    let ended = follower.end().assert_code(7);
    assert!(ended.stderr.contains("the token was revoked or has expired"), "{ended:?}");
    ben.call(&["ls", "notes"]).assert_code(7);
    let mut running = running;
    gate.open_until(|| running.is_over());
    running.end().assert_code(0);
}

/// A token's secret.
fn token(env: &TestEnv, name: &str, rest: &[&str]) -> String {
    let made = env.json(["token", "create", name].iter().chain(rest).copied()).remove(0);
    made["token"].as_str().unwrap().to_owned()
}

#[test]
fn each_command_does_what_the_role_and_the_repositories_of_its_token_allow() {
    let env = test_env!();
    env.ok(["repo", "create", "photos"]);
    env.write("a", "one");
    let hidden = env.json(["put", "images", "a"]).remove(0)["commit"].as_str().unwrap().to_owned();
    env.ok(["put", "photos", "a"]);
    let tokens = ["reader", "writer", "admin"].map(|role| token(&env, role, &["--role", role]));
    let limited = ["reader", "writer", "admin"]
        .map(|role| token(&env, &format!("some-{role}"), &["--role", role, "--repo", "photos*"]));
    let server = env.serve();
    let callers: Vec<Caller> = tokens.iter().chain(&limited).map(|token| Caller::at(server.url(), token)).collect();
    let shown = ["show", hidden.as_str()];
    // The exit codes of reader, writer and admin; then of those who see `photos*` only. `#` is another number for each.
    let table: [(&[&str], [i32; 6]); 25] = [
        (&["ls", "photos"], [0, 0, 0, 0, 0, 0]),
        (&["ls", "images"], [0, 0, 0, 3, 3, 3]),
        (&["cat", "images:/a"], [0, 0, 0, 3, 3, 3]),
        (&["log", "images"], [0, 0, 0, 3, 3, 3]),
        (&shown, [0, 0, 0, 3, 3, 3]),
        (&["get", "images", "got#"], [0, 0, 0, 3, 3, 3]),
        (&["trace", "images:/a"], [0, 0, 0, 3, 3, 3]),
        (&["put", "photos", "f#"], [7, 0, 0, 7, 0, 0]),
        (&["put", "images", "f#"], [7, 0, 0, 3, 3, 3]),
        (&["txn", "line#"], [7, 0, 0, 7, 0, 0]),
        (&["cp", "images:/a", "photos:/copy#"], [7, 0, 0, 3, 3, 3]),
        (&["branch", "create", "photos@b#"], [7, 0, 0, 7, 0, 0]),
        (&["tag", "create", "photos@t#", "photos", "-m", "t"], [7, 0, 0, 7, 0, 0]),
        (&["branch", "delete", "images@none", "--yes"], [3, 3, 3, 3, 3, 3]),
        (&["repo", "create", "photos-#"], [7, 7, 0, 7, 7, 0]),
        (&["repo", "create", "other-#"], [7, 7, 0, 7, 7, 7]),
        (&["pipeline", "apply", "-f", "spec#"], [7, 7, 0, 7, 7, 7]),
        (&["config", "set", "jobs", "2"], [7, 7, 0, 7, 7, 7]),
        (&["token", "create", "t#", "--role", "reader"], [7, 7, 0, 7, 7, 7]),
        (&["audit"], [7, 7, 0, 7, 7, 7]),
        (&["gc"], [7, 7, 0, 7, 7, 7]),
        (&["watch", "in", "photos", "--once", "--settle", "10ms"], [7, 0, 0, 7, 0, 0]),
        (&["watch", "in", "images", "--once", "--settle", "10ms"], [7, 0, 0, 7, 3, 3]),
        (&["watch", "add", "/tmp", "photos", "--name", "w#"], [7, 7, 0, 7, 7, 7]),
        (&["watch", "list"], [0, 0, 0, 0, 0, 0]),
    ];
    let mut wrong = Vec::new();
    for (args, codes) in table {
        for (number, (caller, code)) in callers.iter().zip(codes).enumerate() {
            let args: Vec<String> = args.iter().map(|word| word.replace('#', &number.to_string())).collect();
            caller.machine.write(format!("f{number}"), format!("of {number}"));
            caller.machine.write(format!("in/w{number}"), format!("watched by {number}"));
            let line = format!("{{\"branch_create\": \"photos@txn{number}\"}}\n");
            caller.machine.write(format!("line{number}"), line);
            let text = spec(&format!("copy{number}"), "images", "true");
            caller.machine.write(format!("spec{number}"), text);
            let called = caller.call(&args.iter().map(String::as_str).collect::<Vec<_>>());
            if called.code != Some(code) {
                wrong.push(format!("{number} {args:?}: {code} expected, {called:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What is hidden is as if it did not exist.
    let said = |what: &str| callers[3].call(&["ls", what]).assert_code(3).stderr;
    assert_eq!(said("images"), said("imagez").replace("imagez", "images"));
    assert!(!callers[3].call(&["repo", "list"]).stdout.contains("images"));
}

#[test]
fn what_a_command_writes_last_arrives_while_the_client_still_says_what_it_took() {
    let env = test_env!();
    env.write("zeros", vec![0; 1 << 20]);
    env.ok(["put", "images", "zeros"]);
    let server = env.serve();
    let caller = Caller::of(&server);
    for _ in 0..30 {
        let mut cat = caller.command(&["cat", "images:/zeros"]);
        let output = cat.output().unwrap();
        assert!(output.status.success() && output.stdout.len() == 1 << 20, "{}", output.stdout.len());
    }
}

#[test]
fn a_watch_commits_the_files_of_its_callers_machine() {
    let env = test_env!();
    env.ok(["repo", "create", "photos"]);
    let server = env.serve();
    let caller = Caller::of(&server);
    let watch = |more: &[&str]| {
        let args = [&["watch", "in", "photos:/raw", "--once", "--settle", "30ms"], more].concat();
        caller.call(&args).assert_code(0)
    };
    let listed = || caller.call(&["ls", "-r", "photos:/raw"]).assert_code(0).stdout;
    let folder = caller.machine.work().join("in");
    caller.machine.write("in/a.jpg", "one");
    caller.machine.write("in/sub/b.jpg", "two");
    caller.machine.write("in/half.part", "half");
    caller.machine.write("in/large.bin", noise(3 << 20, 5));
    let first = watch(&["-m", "{files} from {folder}"]);
    assert!(first.stdout.starts_with("photos@") && first.stdout.contains("3 added"), "{first:?}");
    assert!(caller.call(&["log", "photos"]).stdout.contains("3 from in"));
    assert_eq!(watch(&[]).stdout, "", "what is there already is no further commit");

    std::fs::remove_file(folder.join("a.jpg")).unwrap();
    assert_eq!(watch(&[]).stdout, "");
    assert!(watch(&["--mirror"]).stdout.contains("1 removed"));
    assert!(!listed().contains("a.jpg") && listed().contains("large.bin"), "{}", listed());

    let moved = watch(&["--move-to", "done"]);
    assert!(moved.stdout.contains("2 files put away"), "{moved:?}");
    assert!(caller.machine.work().join("done/sub/b.jpg").exists() && !folder.join("large.bin").exists());
    let json = caller.call(&["--json", "watch", "done", "photos:/again", "--once", "--settle", "30ms"]).assert_code(0);
    let made: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&made["added"], &made["changed"]), (&Value::from(2), &Value::from(true)));
}

#[test]
fn a_watch_goes_on_when_its_connection_breaks() {
    let env = test_env!();
    env.ok(["repo", "create", "photos"]);
    let server = env.serve();
    let cutter = Cutter::start(server.url(), None);
    let caller = Caller::at(&cutter.url(), server.token());
    caller.machine.write("in/a.jpg", "one");
    let watch = Background::of(&env, caller.command(&["watch", "in", "photos", "--settle", "30ms"]));
    for number in 0..5 {
        caller.machine.write(format!("in/{number}.bin"), noise(1 << 20, number));
        cutter.cut();
    }
    let listed = || caller.call(&["--json", "ls", "-r", "photos"]).stdout.lines().count();
    until_true("all files", || listed() == 6);
    watch.send(Signal::SIGTERM);
    watch.end().assert_code(0);
}

#[test]
fn a_watch_that_a_server_keeps_is_of_a_folder_of_the_servers_machine() {
    let env = test_env!();
    env.ok(["repo", "create", "photos"]);
    let server = env.serve();
    let caller = Caller::of(&server);
    caller.machine.write("in/a.jpg", "one");
    let relative = caller.call(&["watch", "add", "in", "photos"]).assert_code(2);
    assert!(relative.stderr.contains("would be a folder of the server's machine"), "{relative:?}");
    let absent = caller.call(&["watch", "add", "/none/there", "photos"]).assert_code(2);
    assert!(absent.stderr.contains("is not a folder of the server's machine"), "{absent:?}");
    env.write("watched/a.jpg", "one");
    let folder = env.work().join("watched");
    caller.call(&["watch", "add", folder.to_str().unwrap(), "photos"]).assert_code(0);
    let listed = caller.call(&["watch", "list"]).assert_code(0).stdout;
    assert!(listed.contains("watched") && listed.contains("photos"), "{listed}");
    caller.call(&["watch", "pause", "watched"]).assert_code(0);
    caller.call(&["watch", "delete", "watched", "--yes"]).assert_code(0);
    assert_eq!(env.json(["watch", "list"]), Vec::<Value>::new());
}

/// A certificate that only the test trusts, `cert.pem`, and its key; false without openssl.
fn certify(env: &TestEnv) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(env.work())
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success())
}

#[test]
fn a_server_with_a_certificate_of_its_own_is_trusted_by_pv_ca_alone() {
    let env = env_with_notes();
    if !certify(&env) {
        return skip("no openssl");
    }
    let token = token(&env, "ann", &["--role", "reader"]);
    let tls = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let serve = serve_with(&env, env.command(tls));
    let url = serve.stderr().lines().find_map(|line| Some(line.strip_prefix("listening at ")?.to_owned())).unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let caller = Caller::at(&url, &token);
    let certificate = env.work().join("cert.pem");
    caller.machine.write("cert.pem", std::fs::read(certificate).unwrap());
    caller.machine.write("nonsense.pem", "nonsense");
    let with = |authority: Option<&str>| {
        let mut command = caller.command(&["ls", "notes"]);
        authority.map(|authority| command.env("PV_CA", authority));
        Called::of(&command.output().unwrap())
    };
    let trusted = with(Some("cert.pem")).assert_code(0);
    assert!(trusted.stdout.contains("/a"), "{trusted:?}");
    let unknown = with(None).assert_code(6);
    assert!(unknown.stderr.contains("certificate") && unknown.stderr.contains("hint: "), "{unknown:?}");
    assert!(with(Some("nonsense.pem")).assert_code(2).stderr.contains("no certificates in PEM form"));
    let missing = with(Some("none.pem"));
    assert!(missing.code == Some(3) && missing.stderr.contains("none.pem"), "{missing:?}");
    // Over plain HTTP it is not asked.
    let plain = caller.command(&["ls", "notes"]).env("PV_SERVER", url.replace("https", "http")).output().unwrap();
    assert_ne!(plain.status.code(), Some(0));
    serve.send(Signal::SIGTERM);
    serve.end().assert_code(0);
}

#[test]
fn a_try_mounts_and_fills_folders_of_the_callers_machine() {
    let env = env_with_notes();
    env.write("code/run.sh", "cp $1 /pfs/out/");
    let text = spec_with("coded", &pfs("notes", "/*"), "sh /code/run.sh $notes", "\"code\": \"code\",");
    apply(&env, &text);
    env.ok(["run"]);
    let writer = token(&env, "wim", &["--role", "writer"]);
    let server = env.serve();
    let caller = Caller::of(&server);
    let machine = &caller.machine;
    machine.write("edited/run.sh", "sh /code/lib/to.sh $1; test -x /code/lib/tool && echo it can run");
    machine.write(
        "edited/lib/to.sh",
        "tr a-c A-C < $1 > /pfs/out/$(basename $1); mkdir /pfs/out/d; echo x > /pfs/out/d/$(basename $1)",
    );
    machine.write("edited/lib/tool", "");
    machine.write("edited/.hidden", "h");
    let tool = machine.work().join("edited/lib/tool");
    std::fs::set_permissions(tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    machine.write("made/a", "from an earlier trial");
    machine.write("made/mine", "mine");
    let args = ["--json", "try", "coded", "--mount", "edited:/code", "--out", "made"];
    let tried = caller.call(&args).assert_code(0);
    let view: Value = serde_json::from_str(tried.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&view["run"], &view["jobs"][0]["state"]), (&Value::Null, &"success".into()), "{view}");
    assert_eq!([machine.read("made/a"), machine.read("made/c")], ["A\n", "C\n"]);
    assert_eq!([machine.read("made/d/b"), machine.read("made/mine")], ["x\n", "mine"]);
    let rooms = std::fs::read_dir(env.dir().join(".pv/mounts")).unwrap().count();
    assert_eq!(rooms, 0, "the folder is gone from the server");
    assert_eq!(env.json(["log"]).iter().filter(|run| run["cause"]["kind"] == "try").count(), 0);
    // What is not there, or no folder, is an error of the caller's machine.
    let missing = caller.call(&["try", "coded", "--mount", "none:/code"]).assert_code(3);
    assert!(missing.stderr.contains("mount `none`"), "{missing:?}");
    let file = caller.call(&["try", "coded", "--mount", "made/mine:/code"]).assert_code(2);
    assert!(file.stderr.contains("is not a folder"), "{file:?}");
    // Code of one's own is for those who may apply pipelines; outputs may be had by all who may try.
    let wim = Caller::at(server.url(), &writer);
    wim.machine.write("edited/run.sh", "true");
    wim.call(&["try", "coded", "--mount", "edited:/code"]).assert_code(7);
    wim.call(&["try", "coded", "--shell"]).assert_code(7);
    wim.call(&["try", "coded", "--out", "made"]).assert_code(0);
    assert_eq!(wim.machine.read("made/a"), "a\n");
    assert_sound(&env);
}

#[test]
fn a_shell_is_typed_into_on_the_callers_terminal_and_ctrl_c_ends_it() {
    if !tests::pty::has_script() {
        return skip("no script");
    }
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    env.ok(["run"]);
    let on_terminal = |url_and_token: Option<(&str, &str)>, typed: &[&[u8]]| {
        // Without echo: that of Ctrl-C would stand before or after what the command says.
        let mut command = env.on_a_terminal("stty -echo; pv try copy --input /b --shell; echo code $?", (60, 20));
        if let Some((url, token)) = url_and_token {
            command.env("PV_SERVER", url).env("PV_TOKEN", token);
        }
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let mut said = Vec::new();
        for bytes in typed {
            // At a prompt, so that what is typed meets nothing that is still being said.
            let before = said.len();
            while !said[before..].ends_with(b"$ ") {
                let mut piece = [0; 4096];
                let length = stdout.read(&mut piece).unwrap();
                assert_ne!(length, 0, "{}", String::from_utf8_lossy(&said));
                said.extend_from_slice(&piece[..length]);
            }
            stdin.write_all(bytes).unwrap();
        }
        stdout.read_to_end(&mut said).unwrap();
        shell.wait().unwrap();
        String::from_utf8_lossy(&said).into_owned()
    };
    let lines: [&[u8]; 3] = [b"cat $notes; echo done\n", b"LINE=typed; ls /pfs; echo got $LINE; echo done\n", b"\x04"];
    let stopped: [&[u8]; 2] = [b"echo done\n", b"\x03"];
    let here = [on_terminal(None, &lines), on_terminal(None, &stopped)];
    let server = env.serve();
    let place = Some((server.url(), server.token()));
    let there = [on_terminal(place, &lines), on_terminal(place, &stopped)];
    assert_eq!(there, here);
    for words in ["b\r\n", "notes\r\n", "got typed\r\n", "results are not kept", "code 0"] {
        assert!(here[0].contains(words), "{words:?} in {}", here[0]);
    }
    assert!(here[1].contains("stopped; finished datums are kept"), "{}", here[1]);
}
