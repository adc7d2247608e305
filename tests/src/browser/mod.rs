//! A real browser: Debian's Chromium without a window, which `scripts/setup.sh page` installs.
//!
//! - `wire` its own protocol (CDP) over two pipes
//! - `strays` whom it asks but the server under test: nobody may be
//! - `seen` what happened in a tab: requests, errors, violations of the policy
//! - `keys` what keys are called
//! - `tab` what people do in a tab, and what they see
//!
//! The protocol is spoken here, in two hundred lines: a pipe needs no port, no driver beside the browser and no WebSocket, and tells what
//! `WebDriver` does not: each request, each violation, colours that are forced. `fantoccini` and `thirtyfour` would bring an HTTP client, an
//! asynchronous test and `chromedriver` for less. With the pipe's end the browser ends too, even if the test is killed.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

mod keys;
mod seen;
mod strays;
mod tab;
mod wire;

pub use seen::{Request, Seen};
pub use tab::{Look, Tab};

use crate::tools::skip;
use strays::Strays;
use wire::Wire;

/// How long anything that a person would wait for may take, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How long a browser may take to end when it is asked to.
const END: Duration = Duration::from_secs(3);

/// What it is called.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// No window, nothing of its own over the network, and always the same.
const OPTIONS: [&str; 21] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-features=AutofillServerCommunication,DialMediaRouteProvider,MediaRouter,NetworkTimeServiceQuerying,OptimizationHints,Translate",
    "--metrics-recording-only",
    "--password-store=basic",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    // Only the server under test is asked directly; whatever else is asked would be seen.
    "--proxy-bypass-list=localhost;127.0.0.1",
];

/// A running browser with a profile of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    wire: Wire,
    strays: Strays,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; skips with a message and returns `None` if none is installed. With `CI` it must be.
    ///
    /// # Panics
    /// If it is installed and does not start, or is not installed with `CI`.
    pub fn start() -> Option<Self> {
        let is_there = |name: &&&str| Command::new(name).arg("--version").stderr(Stdio::null()).output().is_ok();
        let Some(program) = NAMES.iter().find(is_there) else {
            skip("there is no Chromium: scripts/setup.sh page");
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary folder");
        let strays = Strays::listen();
        let mut command = Command::new("sh");
        // It reads commands from descriptor 3 and writes answers to 4.
        command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, program]).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--proxy-server=http://127.0.0.1:{}", strays.port())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("a shell can be called");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let browser = Self { child, wire: Wire::new(input, output), strays, _profile: profile };
        browser.wire.call("", "Browser.getVersion", &json!({}));
        Some(browser)
    }

    /// A new tab, which shows nothing yet. Tabs share cookies.
    pub fn tab(&self) -> Tab {
        Tab::new(&self.wire, None)
    }

    /// A new tab of somebody else: it shares nothing with others.
    pub fn stranger(&self) -> Tab {
        let made = self.wire.call("", "Target.createBrowserContext", &json!({}));
        Tab::new(&self.wire, made["browserContextId"].as_str())
    }

    /// What pages asked of anybody but this machine: first lines of requests.
    pub fn strays(&self) -> Vec<String> {
        self.strays.seen()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.wire.close();
        let start = Instant::now();
        while start.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // The group is its own, and what is left of it has to end before the profile's folder goes.
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
        self.child.wait().ok();
    }
}

/// Writes bytes that a page gave as base64.
pub fn write_base64(file: &std::path::Path, text: &str) {
    std::fs::write(file, tab::bytes_of(text)).expect("the file can be written");
}
