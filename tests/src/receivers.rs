//! Receivers of notifications, made of other people's libraries: `tests/tools/webhook_receiver.py` and `tests/tools/mail_receiver.py`.
//!
//! `scripts/setup.sh notify` installs what they need below the target folder.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver as Channel, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::tools::{python_of, skip};

/// How long an event may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running receiver; ends when this is dropped, or with the test's process.
#[derive(Debug)]
pub struct Receiver {
    child: Child,
    input: ChildStdin,
    events: Channel<Value>,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

/// The user and the password that the mail server knows.
pub const LOGIN: (&str, &str) = ("pv-user", "pa ss wörd");

impl Receiver {
    /// Receives webhooks, over TLS with this certificate; skips with a message and returns `None` if its libraries are not installed.
    pub fn webhooks(certificate: Option<&Certificate>) -> Option<Self> {
        let paths = certificate.map(|one| [one.pem.clone(), one.key.clone()]);
        Self::start(
            "webhook_receiver.py",
            &paths.iter().flatten().map(|path| path.as_os_str().to_owned()).collect::<Vec<_>>(),
        )
    }

    /// Receives mail: `plain`, or `tls` or `starttls` with a certificate, for [`LOGIN`] alone; or `slipped`, which is no good server.
    pub fn mail(mode: &str, certificate: Option<&Certificate>) -> Option<Self> {
        let mut arguments = vec![mode.into()];
        if let Some(one) = certificate {
            arguments.extend([one.pem.clone().into(), one.key.clone().into(), LOGIN.0.into(), LOGIN.1.into()]);
        }
        Self::start("mail_receiver.py", &arguments)
    }

    fn start(program: &str, arguments: &[std::ffi::OsString]) -> Option<Self> {
        let Some(python) = python_of("notify-tools") else {
            skip("standardwebhooks and aiosmtpd are not there: scripts/setup.sh notify");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(program);
        let mut command = Command::new(python);
        command.arg("-W").arg("ignore").arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python can be called");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (tell, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { continue };
                if tell.send(event).is_err() {
                    break;
                }
            }
        });
        let mut receiver = Self { child, input, events, port: 0 };
        receiver.port = receiver.next()["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        Some(receiver)
    }

    /// The next event.
    ///
    /// # Panics
    /// If none comes.
    pub fn next(&self) -> Value {
        self.events.recv_timeout(PATIENCE).expect("the receiver says something in time")
    }

    /// An event that has come already.
    pub fn came(&self) -> Option<Value> {
        self.events.try_recv().ok()
    }

    /// Sets what it checks signatures with.
    pub fn trust(&mut self, secrets: &[String]) {
        self.tell(&json!({ "secrets": secrets }));
    }

    /// Sets its answers to the next requests; the last is for all that follow.
    pub fn answer(&mut self, answers: &[Value]) {
        self.tell(&json!({ "answers": answers }));
    }

    /// Gives a command, which counts when this returns. There must be no event that was not taken.
    fn tell(&mut self, command: &Value) {
        writeln!(self.input, "{command}").and_then(|()| self.input.flush()).expect("the receiver takes a command");
        assert_eq!(self.next(), json!({ "ok": true }), "no event is left over");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A certificate for `localhost`, `hook.test`, `mail.test` and 127.0.0.1 that nobody trusts by itself, and its key.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate's file.
    pub pem: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    _folder: tempfile::TempDir,
}

impl Certificate {
    /// Makes one; skips with a message and returns `None` without openssl.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (pem, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let names = "subjectAltName=DNS:localhost,DNS:hook.test,DNS:mail.test,IP:127.0.0.1";
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                names,
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&pem)
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            skip("no openssl");
            return None;
        }
        Some(Self { pem, key, _folder: folder })
    }
}
