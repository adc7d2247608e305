//! Whom the browser asks but this machine: it is told that this is the proxy for them, and nobody gets further.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Whom the browser asks by itself, whatever its options say. No page may ask them either, but that its policy shows.
const OWN: [&str; 7] = [
    "accounts.google.com",
    "android.clients.google.com",
    "clients2.google.com",
    "content-autofill.googleapis.com",
    "safebrowsing.googleapis.com",
    "start.duckduckgo.com",
    "update.googleapis.com",
];

/// A proxy that keeps the first line of each request, and answers none.
#[derive(Debug)]
pub(super) struct Strays {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Strays {
    /// Listens at a free port, until the process ends.
    pub(super) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let to = seen.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).ok();
                to.lock().expect("no panic under this lock").push(line.trim().to_owned());
                stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
            }
        });
        Self { port, seen }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic under this lock");
        seen.iter().filter(|line| !OWN.iter().any(|host| is_to(line, host))).cloned().collect()
    }
}

/// Whether a request is to this host: `CONNECT host:443 …` or `GET http://host/… …`.
fn is_to(line: &str, host: &str) -> bool {
    let target = line.split(' ').nth(1).unwrap_or_default();
    let target = target.split_once("://").map_or(target, |(_, rest)| rest);
    target.split([':', '/']).next() == Some(host)
}
