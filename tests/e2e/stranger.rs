//! A stranger's try: a bare machine with the binary alone, and another one that reaches it over a network, as `docs/server.md` says.
//!
//! The machines are network namespaces, joined by a pair of virtual interfaces; the server's has a root folder with `pv`, the certificate, and
//! what every machine has: `/dev`, `/proc` and `/tmp`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tests::TestEnv;

use super::server_page::{boxes, page};
use crate::support::*;

/// Two machines on one network. They go with this value.
struct Network {
    server: String,
    client: String,
}

const SERVER: &str = "10.213.7.1";

impl Network {
    /// `Err`: why there cannot be one here.
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let network = Self { server: format!("pv-{id}-s"), client: format!("pv-{id}-c") };
        let (server, client) = (&network.server, &network.client);
        let (near, far) = (&format!("pvs{id}"), &format!("pvc{id}"));
        let steps: &[&[&str]] = &[
            &["netns", "add", server],
            &["netns", "add", client],
            &["link", "add", near, "netns", server, "type", "veth", "peer", "name", far, "netns", client],
            &["-n", server, "address", "add", &format!("{SERVER}/24"), "dev", near],
            &["-n", client, "address", "add", "10.213.7.2/24", "dev", far],
            &["-n", server, "link", "set", "lo", "up"],
            &["-n", server, "link", "set", near, "up"],
            &["-n", client, "link", "set", far, "up"],
        ];
        for step in steps {
            let done = Command::new("ip").args(*step).output().map_err(|error| format!("there is no `ip`: {error}"))?;
            if !done.status.success() {
                return Err(format!("ip {}: {}", step.join(" "), String::from_utf8_lossy(&done.stderr).trim()));
            }
        }
        Ok(network)
    }

    /// A call on one of the machines.
    fn on(name: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name]).args(words).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var("PATH").unwrap());
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            Command::new("ip").args(["netns", "delete", name]).output().ok();
        }
    }
}

/// The server's machine.
struct Bare<'n> {
    network: &'n Network,
    root: PathBuf,
}

impl Bare<'_> {
    /// `pv` there, where nothing else is.
    fn pv(&self, words: &[&str]) -> Command {
        // `ip` gives it mounts of its own. Sandboxes need a real root: within `chroot` the kernel gives no namespaces to users.
        let enter = "cd \"$0\" && mount --bind . . && cd \"$0\" && mount --bind /dev dev && mount -t proc proc proc && \
            pivot_root . old && cd / && /old/bin/busybox umount -l /old && exec /pv \"$@\"";
        Network::on(&self.network.server, &[&["sh", "-c", enter, self.root.to_str().unwrap()], words].concat())
    }
}

fn succeeded(what: &str, output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The boxes of the part for beginners, for the address of the server.
fn beginning(page: &str) -> Vec<(String, String)> {
    let part = page.split("\n## ").find(|part| part.starts_with("Ten minutes")).unwrap();
    let here = |text: &str| {
        let text = text.replace("DNS:localhost,IP:127.0.0.1", &format!("IP:{SERVER}"));
        text.replace("127.0.0.1:7070", "0.0.0.0:7070").replace("localhost", SERVER)
    };
    boxes(part).into_iter().map(|(language, text)| (language.to_owned(), here(text))).collect()
}

#[test]
fn a_bare_machine_serves_another_one_over_tls() {
    for tool in ["curl", "openssl", "python3", "pivot_root", "/bin/busybox"] {
        if Command::new(tool).arg("--help").output().is_err() {
            return skip(&format!("there is no {tool}"));
        }
    }
    let network = match Network::new() {
        Ok(network) => network,
        Err(why) => return skip(&format!("no network of namespaces can be made: {why}")),
    };
    let client = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let page = page();
    let mut boxes = beginning(&page).into_iter();
    let mut next = |language: &str| {
        let (found, text) = boxes.next().unwrap();
        assert_eq!(found, language, "{text}");
        text
    };
    let sh = |text: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", text]).current_dir(client.work());
        succeeded(text, &bash.output().unwrap())
    };
    sh(&next("sh"));
    let bare = bare_machine(&network, client.dir(), &client.work());
    let lines = next("console");
    let mut lines = lines.lines().map(|line| line.strip_prefix("pv ").unwrap().split(' ').collect::<Vec<_>>());
    succeeded("pv init", &bare.pv(&lines.next().unwrap()).output().unwrap());
    let mut serve = Background::of(&client, bare.pv(&lines.next().unwrap()));
    until_true("a server that listens", || {
        assert!(!serve.is_over(), "{}", serve.stderr());
        serve.stderr().contains("listening at https://")
    });
    let token = next("sh");
    let words = token.trim().strip_prefix("export PV_TOKEN=$(pv ").unwrap().strip_suffix(')').unwrap();
    let words: Vec<&str> = words.split(' ').collect();
    let token = succeeded("a token", &bare.pv(&words).output().unwrap());

    let (curl, commands, python) = (next("sh"), next("sh"), next("python"));
    let script = format!("{curl}\n{commands}\npython3 - <<'PYTHON'\n{python}\nPYTHON\npv --server $URL log images\n");
    let bin = client.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(client.binary(), bin.join("pv")).unwrap();
    let mut there = Network::on(&network.client, &["bash", "-euo", "pipefail", "-c", &script]);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    there.current_dir(client.work()).env("PATH", path).env("HOME", client.dir()).env("PV_TOKEN", token.trim());
    let printed = succeeded(&script, &there.output().unwrap());
    for message in ["first", "second", "third"] {
        assert!(printed.contains(message), "{printed}");
    }
    assert!(printed.contains("\nhello\n"), "{printed}");
    serve.send(nix::sys::signal::Signal::SIGTERM);
    serve.end().assert_code(0);
    let sound = succeeded("fsck", &bare.pv(&["fsck", "--json"]).output().unwrap());
    assert!(sound.contains("\"sound\":true"), "{sound}");
}

/// A root folder with the binary, the certificate and its key, and empty folders for the rest.
fn bare_machine<'n>(network: &'n Network, place: &Path, made_in: &Path) -> Bare<'n> {
    let root = place.join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_pv"), root.join("pv")).unwrap();
    for file in ["pv.crt", "pv.key"] {
        std::fs::copy(made_in.join(file), root.join(file)).unwrap();
    }
    for folder in ["dev", "proc", "tmp", "old"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    Bare { network, root }
}
