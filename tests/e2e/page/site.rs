//! A server, directly and behind nginx; requests without a browser.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tests::browser::{Browser, Tab};
use tests::tools::file_of;
use tests::{TestEnv, test_env};

use crate::server_page;
use crate::support::*;

/// A store with a server; both end with it.
pub(super) struct Site {
    pub(super) env: TestEnv,
    /// The path before all addresses, without a `/` at its end.
    pub(super) base: &'static str,
    /// Where a browser finds it: scheme, host and port.
    pub(super) origin: String,
    /// A token for everything.
    pub(super) admin: String,
    port: u16,
    server: Option<Background>,
    proxy: Option<Proxy>,
}

/// How a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    /// Below `/pv/`, behind nginx as `docs/server.md` has it.
    BehindNginx,
}

impl Site {
    /// A server for a store; `None`, with a message, if nginx is wanted and not there.
    pub(super) fn of(env: TestEnv, way: Way) -> Option<Self> {
        let port = free_port();
        let admin = token(&env, "admin", &[]);
        let mut site =
            Self { env, base: "", origin: format!("http://localhost:{port}"), admin, port, server: None, proxy: None };
        if way == Way::BehindNginx {
            let proxy = Proxy::before(&site.env, port)?;
            (site.base, site.origin) = ("/pv", format!("http://localhost:{}", proxy.port));
            site.proxy = Some(proxy);
        }
        site.start();
        Some(site)
    }

    /// A server for an empty store.
    pub(super) fn empty() -> Self {
        let env = test_env!();
        env.ok(["config", "set", "executor", "process"]);
        Self::of(env, Way::Direct).unwrap()
    }

    /// Starts the server, at the same port each time.
    pub(super) fn start(&mut self) {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut args = vec!["serve", "-j", "2", "--listen", &listen, "--rate", "0"];
        if !self.base.is_empty() {
            args.extend(["--base-path", self.base, "--trust-proxy", "127.0.0.1"]);
        }
        self.server = Some(serve_with(&self.env, self.env.command(args)));
    }

    /// Stops the server.
    pub(super) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.send(nix::sys::signal::Signal::SIGTERM);
            server.end().assert_code(0);
        }
    }

    /// Ends the server at once, whatever it does.
    pub(super) fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill_9();
        }
    }

    /// The whole address of a path, with the base path before it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.base)
    }

    /// Opens an address and logs in there by the form.
    pub(super) fn log_in(&self, tab: &Tab, token: &str, path: &str) {
        let url = self.url(path);
        assert_eq!(tab.open(&url), 401, "{}", tab.shown());
        tab.write("input[name=token]", token);
        tab.arrive("a page after the login", || tab.press_on("Log in"));
        assert_eq!(tab.address(), url, "{}", tab.shown());
    }

    /// A tab of somebody who has logged in with this token and looks at the overview.
    pub(super) fn visitor(&self, browser: &Browser, token: &str) -> Tab {
        let tab = browser.stranger();
        tab.resize(1280, 900, 1.0);
        self.log_in(&tab, token, "/");
        tab
    }

    /// Sends a request without a browser, to the server itself. `headers`: a line each.
    pub(super) fn ask(&self, method: &str, path: &str, headers: &[String], body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let path = format!("{}{path}", self.base);
        let host = self.origin.trim_start_matches("http://");
        // Without chunks, as HTTP/1.0 has none.
        let mut text = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            text.push_str(&format!("{header}\r\n"));
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        Answer::read(&mut BufReader::new(stream))
    }

    /// The page at an address, for a token.
    pub(super) fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, &[bearer(token)], "")
    }
}

/// The header that shows a token.
pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// An answer of the server.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    fn read(from: &mut impl BufRead) -> Self {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.trim().parse().ok()).unwrap_or(0);
        let mut headers = Vec::new();
        loop {
            line.clear();
            from.read_line(&mut line).unwrap();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut body = Vec::new();
        from.read_to_end(&mut body).ok();
        Self { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// A new token of this role, which is its name too, for these repositories or all.
pub(super) fn token(env: &TestEnv, role: &str, repos: &[&str]) -> String {
    named_token(env, role, role, repos)
}

/// A new token.
pub(super) fn named_token(env: &TestEnv, name: &str, role: &str, repos: &[&str]) -> String {
    let mut args = vec!["--json", "token", "create", name, "--role", role];
    for glob in repos {
        args.extend(["--repo", glob]);
    }
    let made = env.output(args);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx before a server; it ends when this is dropped.
struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    fn before(env: &TestEnv, server: u16) -> Option<Self> {
        let unpacked = file_of("page-tools", "bin/nginx");
        let installed = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(std::path::PathBuf::from);
        let Some(program) = unpacked.into_iter().chain(installed).find(|program| program.exists()) else {
            skip("there is no nginx: scripts/setup.sh page");
            return None;
        };
        let (port, folder) = (free_port(), env.dir().join("nginx"));
        std::fs::create_dir(&folder).unwrap();
        let page = server_page::page();
        let location = server_page::boxes(&page).into_iter().find(|(language, _)| *language == "nginx").unwrap().1;
        let location = location.replace("127.0.0.1:7070", &format!("127.0.0.1:{server}"));
        let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let kept = kept.map(|kind| format!("{kind}_temp_path {}/{kind};", folder.display())).join(" ");
        let config = format!(
            "daemon off; worker_processes 1; pid {0}/pid; error_log stderr;\nevents {{}}\nhttp {{\naccess_log off; {kept}\n\
             map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n\
             server {{\nlisten 127.0.0.1:{port};\n{location}\n}}\n}}\n",
            folder.display()
        );
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("-e").arg("stderr").arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
        // Its worker ends with it, and it with its group.
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        until_true("an nginx that answers", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", std::fs::read_to_string(folder.join("log")).unwrap());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(Self { child, port })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked to end, it ends its worker too.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}
