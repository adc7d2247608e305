//! `docs/server.md`: each of its boxes is run as it stands, over TLS and without.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{TestEnv, test_env};

use crate::support::*;

/// The boxes of a page, or of a part of it: their language, and their text.
pub(crate) fn boxes(page: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = page.split("\n```").collect();
    parts.iter().skip(1).step_by(2).map(|part| part.split_once('\n').unwrap()).collect()
}

pub(crate) fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server.md");
    std::fs::read_to_string(file).unwrap()
}

/// Runs a script in the folder `work` of `env`, with `pv` found by its name; returns what it prints.
fn run(env: &TestEnv, script: &str) -> String {
    let folder = env.dir().join("bin");
    if !folder.exists() {
        std::fs::create_dir(&folder).unwrap();
        symlink(env.binary(), folder.join("pv")).unwrap();
    }
    let mut bash = Command::new("bash");
    bash.env_clear().current_dir(env.work()).args(["-euo", "pipefail", "-c", script]);
    for (name, value) in env.command([""]).get_envs() {
        bash.env(name, value.unwrap());
    }
    let path = std::env::var("PATH").unwrap();
    let output = bash.env("PATH", format!("{}:{path}", folder.display())).stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The server of the page, on a free port; and that port.
fn start(env: &TestEnv, with_tls: bool) -> (Background, String) {
    let page = page();
    let line = page.lines().find(|line| line.starts_with("pv serve --listen 127.0.0.1:7070 --tls-cert")).unwrap();
    let words: Vec<String> = line.split(' ').skip(1).map(|word| word.replace(":7070", ":0")).collect();
    let words = if with_tls { &words[..] } else { &words[..3] };
    let mut command = env.command(words);
    command.current_dir(env.work());
    let serve = serve_with(env, command);
    let stderr = serve.stderr();
    let port =
        stderr.lines().find_map(|line| line.split_once("listening at ")?.1.rsplit_once(':').map(|(_, port)| port));
    let port = port.unwrap().to_owned();
    (serve, port)
}

fn everything_in_the_page_works(with_tls: bool) {
    for tool in ["curl", "openssl", "python3"] {
        if Command::new(tool).arg("--help").output().is_err() {
            return skip(&format!("there is no {tool}"));
        }
    }
    let (env, page) = (TestEnv::without_store(env!("CARGO_BIN_EXE_pv")), page());
    env.ok(["init", ".."]);
    let boxes = boxes(&page);
    let (certificates, rest): (Vec<_>, Vec<_>) =
        boxes.into_iter().partition(|(language, text)| *language == "sh" && text.starts_with("openssl"));
    assert_eq!(certificates.len(), 1);
    run(&env, certificates[0].1);
    let (serve, port) = start(&env, with_tls);
    let mut script = String::new();
    for (language, text) in rest {
        match language {
            "sh" => script.push_str(text),
            "python" => script.push_str(&format!("python3 - <<'PYTHON'\n{text}\nPYTHON")),
            // With a client that `api` makes.
            "console" | "nginx" | "text" | "python client" => continue,
            other => panic!("a box in `{other}` is not run"),
        }
        script.push('\n');
    }
    assert!(script.lines().filter(|line| line.contains("ask ") || line.contains("curl ")).count() >= 20);
    let mut script = script.replace("localhost:7070", &format!("localhost:{port}"));
    if !with_tls {
        script = script.replace("https://", "http://").replace("--cacert ca.crt ", "");
    }
    let printed = run(&env, &script);
    assert!(printed.contains("\nhello\n"), "{printed}");
    let log = env.ok(["log", "images"]);
    for message in ["first", "second", "third", "form", "archive"] {
        assert!(log.contains(message), "{log}");
    }
    let metrics = env.read(env.work().join("metrics.txt"));
    assert!(metrics.ends_with("# EOF\n") && metrics.contains("operation=\"putFile\",status=\"2xx\""), "{metrics}");
    let first = std::fs::read(env.work().join("first-100.bin")).unwrap();
    assert_eq!(first, &std::fs::read(env.work().join("large.bin")).unwrap()[..100]);
    serve.send(nix::sys::signal::Signal::SIGTERM);
    serve.end().assert_code(0);
}

#[test]
fn everything_in_the_page_works_over_tls() {
    everything_in_the_page_works(true);
}

#[test]
fn everything_in_the_page_works_behind_a_proxy_that_speaks_tls() {
    everything_in_the_page_works(false);
}

#[test]
fn the_page_names_files_and_options_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(tests::map::missing_paths(&root, &page()), Vec::<String>::new());
    let help = test_env!().ok(["serve", "--help"]);
    let page = page();
    let options = page.split(|letter: char| letter.is_whitespace() || "`,;:)".contains(letter));
    let own = ["--listen", "--tls-cert", "--tls-key", "--insecure", "--base-path", "--trust-proxy", "--trust-header"];
    let used: Vec<&str> =
        options.filter(|word| own.contains(word) || ["--log", "--rate", "--grace"].contains(word)).collect();
    for option in own {
        assert!(used.contains(&option), "{option} is not in the page");
    }
    for option in used {
        assert!(help.contains(option), "{option}");
    }
}
