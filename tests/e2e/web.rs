//! `pv put` of web addresses, lists and archives.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use sha256sum::sha256;
use tests::{TestEnv, test_env};

use crate::support::*;

/// A web server in this process: paths with their answers. Without TLS, so only addresses with a digest are read from it.
struct Server {
    port: u16,
}

/// The answer for a path.
#[derive(Clone)]
enum Answer {
    Bytes(Vec<u8>),
    /// This many bytes fewer than announced.
    Short(Vec<u8>, usize),
    Status(&'static str),
    Redirect(String),
}

impl Server {
    fn start(answers: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: BTreeMap<String, Answer> =
            answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
        let answers = Arc::new(answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = answers.clone();
                std::thread::spawn(move || serve_one(stream, &answers));
            }
        });
        Self { port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn serve_one(stream: TcpStream, answers: &BTreeMap<String, Answer>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    reader.read_line(&mut request).ok();
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (head, body) = match answers.get(&path) {
        None => ("404 Not Found\r\nContent-Length: 0".to_owned(), Vec::new()),
        Some(Answer::Status(status)) => (format!("{status}\r\nContent-Length: 0"), Vec::new()),
        Some(Answer::Redirect(to)) => (format!("302 Found\r\nLocation: {to}\r\nContent-Length: 0"), Vec::new()),
        Some(Answer::Bytes(bytes)) => (format!("200 OK\r\nContent-Length: {}", bytes.len()), bytes.clone()),
        Some(Answer::Short(bytes, lost)) => {
            (format!("200 OK\r\nContent-Length: {}", bytes.len() + lost), bytes.clone())
        }
    };
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes()).ok();
    stream.write_all(&body).ok();
}

/// Computes digests with the system's own program.
mod sha256sum {
    use std::io::Write;
    use std::process::{Command, Stdio};

    pub(super) fn sha256(bytes: &[u8]) -> String {
        let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    }
}

#[test]
fn an_address_is_put_checked_and_kept_as_the_origin() {
    let env = test_env!();
    let picture = noise(3_000_000, 1);
    let server = Server::start(&[
        ("/a%20b.jpg?id=1", Answer::Bytes(picture.clone())),
        ("/moved.jpg", Answer::Redirect("/a%20b.jpg?id=1".to_owned())),
        ("/short.jpg", Answer::Short(b"half".to_vec(), 4)),
        ("/busy.jpg", Answer::Status("503 Service Unavailable")),
    ]);
    let digest = sha256(&picture);
    let url = server.url("/a%20b.jpg?id=1");
    let put = env.json(["put", "images:/cam7", &url, "--sha256", &digest]).remove(0);
    assert_eq!((put["added"].as_u64(), put["size_bytes"].as_u64()), (Some(1), Some(3_000_000)));
    assert_eq!(env.output(["cat", "images:/cam7/a b.jpg"]).stdout, picture);
    let shown = env.json(["show", "images"]).remove(0);
    assert_eq!(shown["origins"], json!([{"path": "/cam7/a b.jpg", "url": url}]));
    assert!(env.ok(["show", "images"]).contains(&url));
    env.ok(["put", "images", &server.url("/moved.jpg"), "--sha256", &digest, "--as", "/m.jpg"]);
    assert!(env.ok(["verify", "images"]).contains("PROVEN"));

    let fails = |path: &str, digest: &str| {
        let (error, code) = env.json_error(["put", "images", &server.url(path), "--sha256", digest]);
        assert_eq!(error["done"], "nothing was committed", "{error}");
        (error["message"].as_str().unwrap().replace(&server.port.to_string(), "PORT"), code)
    };
    let other = "00".repeat(32);
    let (message, code) = fails("/a%20b.jpg?id=1", &other);
    assert!(code == 4 && message.contains(&format!("has unexpected content: SHA-256 {digest}, not {other}")));
    assert_eq!(
        fails("/none.jpg", &digest),
        ("`http://127.0.0.1:PORT/none.jpg` not found: the server answers 404 Not Found".to_owned(), 3)
    );
    assert_eq!(fails("/short.jpg", &digest), ("cannot read `http://127.0.0.1:PORT/short.jpg`".to_owned(), 6));
    assert_eq!(fails("/busy.jpg", &digest), ("cannot read `http://127.0.0.1:PORT/busy.jpg`".to_owned(), 6));
    assert_eq!(env.json(["log", "images"]).len(), 2);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_read() {
    let env = test_env!();
    env.write("x", "x");
    for (args, said) in [
        (&["http://127.0.0.1:1/a"][..], "content sent over http can be changed on the way"),
        (&["s3://bucket/key"], "pv reads `https` URLs, not `s3`"),
        (&["https://anna:secret@h.org/a"], "must not contain a user name or password"),
        (&["https://h.org/"], "does not name a file"),
        (&["https://h.org/a", "--mirror"], "--mirror is for local files"),
        (&["https://h.org/a", "--dry-run"], "--dry-run is for local files"),
        (&["x", "--sha256", &"00".repeat(32)], "--sha256 is for a single URL"),
        (&["--untar", "x", "--as", "/y"], "--as is the path of a single file, and --untar puts many"),
        (&["-", "-i", "-"], "standard input is named twice"),
    ] {
        let (error, code) = env.json_error(["put", "images"].iter().chain(args));
        assert!(code == 2 && error["message"].as_str().unwrap().contains(said), "{args:?}: {error}");
    }
    env.write("line", r#"{"put": "images", "from": "https://h.org/a"}"#);
    let (error, code) = env.json_error(["txn", "line"]);
    assert!(code == 2 && error.to_string().contains("cannot fetch content from the web"), "{error}");
}

#[test]
fn a_list_names_paths_and_addresses() {
    let env = test_env!();
    let server = Server::start(&[("/a", Answer::Bytes(b"from a".to_vec())), ("/b", Answer::Bytes(b"from b".to_vec()))]);
    env.write("local file.txt", "here");
    let line = |path: &str, bytes: &[u8]| format!("{} sha256:{}\r\n", server.url(path), sha256(bytes));
    let list = format!("\u{feff}# a list\r\nlocal file.txt\r\n\r\n{}{}", line("/a", b"from a"), line("/b", b"from b"));
    env.write("list", &list);
    env.ok(["put", "images", "-i", "list"]);
    let paths: Vec<_> = env.json(["ls", "images"]).iter().map(|file| file["path"].clone()).collect();
    assert_eq!(paths, ["/a", "/b", "/local file.txt"]);
    assert_eq!(env.json(["show", "images"])[0]["origins"].as_array().unwrap().len(), 2);
    let again = env.with_stdin(["put", "images", "-i", "-"], list.as_bytes());
    assert!(again.status.success() && String::from_utf8_lossy(&again.stderr).contains("nothing differs"));

    env.write("wrong", format!("local file.txt\n{} sha256:12\ns3://b/k\n", server.url("/a")));
    let said = env.pv(["put", "images", "-i", "wrong"]);
    assert!(said.contains("error: wrong:2:1: `sha256:12` after a URL is not a digest"), "{said}");
    assert!(said.contains("error: wrong:3:1: ") && said.contains("nothing was committed"), "{said}");
    env.write("a", "another a");
    env.write("twice", format!("a\n{}", line("/a", b"from a")));
    let (error, code) = env.json_error(["put", "images", "-i", "twice"]);
    assert!(code == 2 && error["message"].as_str().unwrap().contains("two sources have this target"), "{error}");
}

/// The archive that `tar` makes of a folder, with these options.
fn tar(env: &TestEnv, options: &[&str]) -> Vec<u8> {
    let output =
        Command::new("tar").args(options).args(["-C", "tree", "-cf", "-", "."]).current_dir(env.work()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn an_archive_is_put_as_its_files() {
    let env = test_env!();
    let long = "n".repeat(200);
    env.write("tree/run.sh", "#!/bin/sh\n");
    env.write(format!("tree/a/b/{long}"), noise(2_000_000, 2));
    env.write("tree/ä b", "umlaut");
    Command::new("sh")
        .args([
            "-c",
            "cd tree; chmod 755 run.sh; ln -s ../run.sh a/link; ln run.sh hard; mkdir empty; truncate -s 1M sparse",
        ])
        .current_dir(env.work())
        .status()
        .unwrap();
    let expected = |env: &TestEnv| {
        let files = env.json(["ls", "-r", "images:/in"]);
        let files =
            files.iter().map(|file| (file["path"].as_str().unwrap().to_owned(), file["executable"].as_bool().unwrap()));
        files.collect::<BTreeMap<_, _>>()
    };
    let all: BTreeMap<String, bool> = [
        (format!("/in/a/b/{long}"), false),
        ("/in/a/link".to_owned(), true),
        ("/in/hard".to_owned(), true),
        ("/in/run.sh".to_owned(), true),
        ("/in/sparse".to_owned(), false),
        ("/in/ä b".to_owned(), false),
    ]
    .into();
    let plain = tar(&env, &["--sparse"]);
    assert!(env.with_stdin(["put", "images:/in", "--untar", "-"], &plain).status.success());
    assert_eq!(expected(&env), all);
    assert_eq!(env.output(["cat", &format!("images:/in/a/b/{long}")]).stdout, noise(2_000_000, 2));
    assert_eq!(env.output(["cat", "images:/in/sparse"]).stdout, vec![0; 1 << 20]);
    for (name, options) in
        [("x.tgz", &["--gzip"][..]), ("x.tar", &["--format=ustar", "--exclude=nnn*"]), ("x.pax", &["--format=pax"])]
    {
        env.write(name, tar(&env, options));
        let output = env.output(["put", "images:/in", "--untar", name]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("nothing differs"), "{name}: {said}");
    }
    let server = Server::start(&[("/x.tgz", Answer::Bytes(std::fs::read(env.work().join("x.tgz")).unwrap()))]);
    let digest = sha256(&std::fs::read(env.work().join("x.tgz")).unwrap());
    env.ok(["put", "images:/web", "--untar", &server.url("/x.tgz"), "--sha256", &digest]);
    assert_eq!(env.json(["show", "images"])[0]["origins"], json!([{"path": "/web", "url": server.url("/x.tgz")}]));
}

#[test]
fn an_archive_that_is_cut_off_or_holds_what_is_no_file_puts_nothing() {
    let env = test_env!();
    env.write("tree/a", noise(100_000, 3));
    let (plain, packed) = (tar(&env, &[]), tar(&env, &["--gzip"]));
    let fails = |bytes: &[u8]| {
        let output = env.with_stdin(["--json", "put", "images", "--untar", "-"], bytes);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("nothing was committed"), "{said}");
        (output.status.code().unwrap(), said)
    };
    for cut in
        [&plain[..50_000], &plain[..101_376], &packed[..50_000], &packed[..packed.len() - 4], b"no archive at all", b""]
    {
        let (code, said) = fails(cut);
        assert!(code == 1 && said.contains("archive"), "{said}");
    }
    Command::new("sh")
        .args(["-c", "cd tree; mkfifo pipe; ln -s /etc/passwd out; ln -s nowhere gone"])
        .current_dir(env.work())
        .status()
        .unwrap();
    let (code, said) = fails(&tar(&env, &[]));
    assert!(
        code == 1
            && ["./pipe", "outside the archive", "not a file in the archive"].iter().all(|part| said.contains(part)),
        "{said}"
    );
    let (code, said) =
        fails(&tar(&env, &["--exclude=pipe", "--exclude=out", "--exclude=gone", "--transform=s,a$,../a,"]));
    assert!(code == 2 && said.contains("not a legal path"), "{said}");
    let mut xz = b"\xfd7zXZ\0".to_vec();
    xz.extend(noise(100, 4));
    let (code, said) = fails(&xz);
    assert!(code == 2 && said.contains("xz -dc ARCHIVE | pv put REF --untar -"), "{said}");
    assert!(env.json(["log", "images"]).is_empty());
}

const HTTPS: &str = "
import http.server, ssl, sys, threading, os
def end():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end, daemon=True).start()
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

/// A TLS server with a certificate that only the test trusts; `None` without Python or openssl.
fn https(env: &TestEnv) -> Option<(Child, String)> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(env.work())
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        skip("no openssl");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", HTTPS]).current_dir(env.work()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.stderr(Stdio::null()).spawn() else {
        skip("no python3");
        return None;
    };
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    Some((child, format!("https://127.0.0.1:{}", port.trim())))
}

#[test]
fn https_is_read_from_whom_the_machine_trusts_and_from_nobody_else() {
    let env = test_env!();
    let Some((mut server, url)) = https(&env) else { return };
    env.write("page.txt", "over TLS");
    env.write("spec.yml", spec("copy", "images", "true"));
    let trusting =
        |args: &[&str]| env.command(args).env("SSL_CERT_FILE", env.work().join("cert.pem")).output().unwrap();
    let put = trusting(&["put", "images", &format!("{url}/page.txt")]);
    assert!(put.status.success(), "{}", env.shown(&put));
    assert_eq!(env.ok(["cat", "images:/page.txt"]), "over TLS");
    let checked = trusting(&["pipeline", "check", "-f", &format!("{url}/spec.yml")]);
    assert!(checked.status.success(), "{}", env.shown(&checked));
    let (error, code) = env.json_error(["put", "images", &format!("{url}/page.txt"), "--as", "/again"]);
    assert!(code == 6 && error["causes"].to_string().contains("certificate"), "{error}");
    server.kill().unwrap();
    server.wait().unwrap();
    let mut rest = String::new();
    server.stdin.take().map(|mut pipe| pipe.flush());
    server.stdout.take().map(|mut pipe| pipe.read_to_string(&mut rest));
}
