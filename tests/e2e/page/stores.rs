//! The stores that are looked at: one with a bit of everything, and a hostile one.

use std::path::PathBuf;

use tests::{TestEnv, test_env};

use crate::support::*;

/// A picture of one colour, as browsers and pv's decoder know it.
pub(super) fn bitmap(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let row = (width * 3).div_ceil(4) * 4;
    let size = 54 + row * height;
    let number = |number: u32| number.to_le_bytes().to_vec();
    let head = [b"BM".to_vec(), number(size), number(0), number(54), number(40), number(width), number(height)];
    let more =
        [number(1 | 24 << 16), number(0), number(row * height), number(2835), number(2835), number(0), number(0)];
    let mut bytes = [head.concat(), more.concat()].concat();
    for _ in 0..height {
        let pixels = colour.iter().copied().cycle().take(width as usize * 3);
        bytes.extend(pixels.chain(std::iter::repeat_n(0, (row - width * 3) as usize)));
    }
    bytes
}

/// A numpy array of eight numbers.
fn array() -> Vec<u8> {
    let head = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }");
    let numbers = (0..8_u8).flat_map(|number| f32::from(number).to_le_bytes());
    [b"\x93NUMPY\x01\x00\x76\x00".to_vec(), head.into_bytes(), numbers.collect()].concat()
}

/// A second of silence.
fn sound() -> Vec<u8> {
    let mut bytes = b"RIFF\x64\x1f\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00".to_vec();
    bytes.extend(b"\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x40\x1f\x00\x00");
    bytes.resize(44 + 8000, 128);
    bytes
}

/// Tensors as `safetensors` keeps them.
fn tensors() -> Vec<u8> {
    let head = r#"{"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
    let numbers = (1..5_u8).flat_map(|number| f32::from(number).to_le_bytes());
    [(head.len() as u64).to_le_bytes().to_vec(), head.as_bytes().to_vec(), numbers.collect()].concat()
}

/// A spec that runs a script for each file of `/`, with additional fields, each followed by a comma.
pub(super) fn stage(name: &str, repo: &str, script: &str, more: &str) -> String {
    spec(name, repo, script).replacen('{', &format!("{{{more}"), 1)
}

/// A store with a bit of everything: repositories with files of each kind, branches, tags, pipelines that succeed, fail, wait and are
/// stopped, runs, a watch, a notification, tokens, secrets.
pub(super) fn varied() -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "notes"]);
    for (number, colour) in [[40, 40, 200], [40, 200, 40], [200, 40, 40]].into_iter().enumerate() {
        env.write(format!("images/cam1/{number}.bmp"), bitmap(64, 48, colour));
    }
    env.ok(["put", "images", "images", "-m", "three frames of camera 1"]);
    let lines = (0..300).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
    for (name, bytes) in [
        ("a.txt", lines.into_bytes()),
        ("b.csv", b"camera,score,flag\n1,0.5,yes\n2,0.25,no\n".to_vec()),
        ("c.json", b"{\"accuracy\": 0.91, \"classes\": [\"cat\", \"dog\"], \"deep\": {\"er\": null}}\n".to_vec()),
        ("d.npy", array()),
        ("e.safetensors", tensors()),
        ("f.wav", sound()),
        (
            "g.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>".to_vec(),
        ),
        ("h.html", b"<!doctype html><title>h</title><p>a page\n".to_vec()),
        ("i.md", b"# Title\n\nSome *text*.\n".to_vec()),
        ("j.py", b"def main():\n    return 'x'\n".to_vec()),
        ("k.bin", noise(5000, 7)),
        ("l.pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n".to_vec()),
        ("folder/deep/one.txt", b"one\n".to_vec()),
    ] {
        env.write(format!("notes/{name}"), bytes);
    }
    env.ok(["put", "notes", "notes", "-m", "a file of each kind"]);
    apply(&env, &stage("copy", "notes", &format!("echo copying; echo careful >&2; {}", copy_of("notes")), ""));
    apply(
        &env,
        &stage("sizes", "copy", "wc -c < $copy > /pfs/out/${copy##*/}.txt", "\"description\": \"how long each is\","),
    );
    apply(
        &env,
        &stage(
            "careful",
            "notes",
            "case $notes in *k.bin) echo cannot read it >&2; exit 3;; esac",
            "\"datum_tries\": 1,",
        ),
    );
    apply(&env, &stage("after", "careful", "true", ""));
    apply(&env, &stage("resting", "images", "true", ""));
    env.ok(["pipeline", "stop", "resting"]);
    env.output(["run"]);
    env.write("notes/b.csv", "camera,score,flag\n1,0.5,yes\n2,0.75,yes\n");
    env.ok(["put", "notes", "notes/b.csv", "-m", "camera 2 again"]);
    env.write("images/cam1/1.bmp", bitmap(64, 48, [200, 200, 40]));
    env.ok(["put", "images:/cam1", "images/cam1/1.bmp", "-m", "frame 1 again"]);
    env.output(["run"]);
    env.ok(["branch", "create", "notes@draft"]);
    env.ok(["tag", "create", "notes@first"]);
    env.write("token", "a secret of the test");
    env.ok(["secret", "create", "mail", "token=token"]);
    let to = "https://hook.test/in";
    env.ok(["notify", "create", "alarm", "--on", "job failed", "--to", to]);
    std::fs::create_dir(env.work().join("incoming")).unwrap();
    env.ok(["watch", "add", "incoming", "images:/incoming"]);
    env
}

/// What would run if any of it were taken for a page.
pub(super) const PWN: &str =
    "\"'><script>window.__pwned=1</script><img src=x onerror=\"window.__pwned=1\"><svg onload=window.__pwned=1>";
/// What is in each of them, and so has to be seen in each page that shows one.
pub(super) const TRACE: &str = "window.__pwned";
/// A script in a picture, and one in a page.
const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\" onload=\"window.__pwned=1\"><script>window.__pwned=1</script>\
                       <rect width=\"9\" height=\"9\"/></svg>";
const PAGE: &str = "<!doctype html><title>x</title><script>window.__pwned=1;document.title='pwned'</script><p>a page";

/// Names of files that are no names.
fn names() -> Vec<String> {
    vec![
        "<img src=x onerror=window.__pwned=1>.txt".to_owned(),
        "\"><svg onload=window.__pwned=1>.csv".to_owned(),
        "javascript:window.__pwned=1".to_owned(),
        "\u{202e}gnp.exe\u{2066}.txt".to_owned(),
        "zero\u{200b}width\u{feff}.txt".to_owned(),
        "a?b#c&d=e%2f%00 f.txt".to_owned(),
        "'+window.__pwned=1+'.json".to_owned(),
        "${window.__pwned=1}.md".to_owned(),
        ("x".repeat(200)),
    ]
}

/// A store in which every text tries to be more than text.
pub(super) fn hostile() -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "notes"]);
    env.set("PV_AUTHOR", &format!("{PWN} \u{202e}<a@example.com>"));
    for name in names() {
        write_raw(
            &env,
            &name,
            format!("{PWN}\n\u{202e}turned\u{202c} \u{0}\u{7}\u{1b}[31mred\u{1b}]0;title\u{7}\n").as_bytes(),
        );
    }
    write_raw(
        &env,
        "table.csv",
        format!("{0},javascript:{TRACE}=1\n\"<b>{1}</b>\",=cmd()\n", "<script>window.__pwned=1</script>", TRACE)
            .as_bytes(),
    );
    write_raw(&env, "object.json", serde_json::json!({ PWN: [PWN, { "__proto__": PWN }] }).to_string().as_bytes());
    write_raw(&env, "metrics.json", serde_json::json!({ PWN: 1.5 }).to_string().as_bytes());
    write_raw(&env, "readme.md", format!("# {PWN}\n[x](javascript:{TRACE}=1)\n").as_bytes());
    write_raw(&env, "picture.svg", PICTURE.as_bytes());
    write_raw(&env, "page.html", PAGE.as_bytes());
    write_raw(&env, "page.png", PAGE.as_bytes());
    write_raw(&env, "page.pdf", PAGE.as_bytes());
    write_raw(&env, "script.js", b"window.__pwned=1");
    let message = format!("{PWN}\n\njavascript:{TRACE}=1 \u{202e}turned\u{202c} \u{200b}");
    env.ok(["put", "notes", "hostile", "-m", &message]);
    let script = "printf '%s\\033[31m\\033]0;title\\007 \\342\\200\\256 turned\\n' \"$ODD\"; cat \"$notes\"; cp \"$notes\" /pfs/out/";
    let odd = serde_json::json!({ "ODD": PWN }).to_string();
    let more = format!("\"description\": {},", serde_json::json!(PWN));
    let text = spec_with("stage", &pfs("notes", "/*"), script, &format!("\"env\": {odd},"));
    apply(&env, &text.replacen('{', &format!("{{{more}"), 1));
    let script = format!("printf '%s\\n' '{}' >&2; exit 3", PWN.replace('\'', "'\\''"));
    apply(&env, &stage("fails", "notes", &script, "\"datum_tries\": 1,"));
    env.output(["run"]);
    write_raw(
        &env,
        "table.csv",
        format!("{0},javascript:{TRACE}=1\n\"<i>{1}</i>\",=cmd()\n", "<script>window.__pwned=1</script>", TRACE)
            .as_bytes(),
    );
    write_raw(&env, "picture.svg", PICTURE.replace('9', "10").as_bytes());
    env.ok(["put", "notes", "hostile", "-m", PWN]);
    env.output(["run"]);
    let folder = env.work().join("<img src=x onerror=window.__pwned=1>");
    std::fs::create_dir(&folder).unwrap();
    env.ok(["watch", "add", folder.to_str().unwrap(), "notes:/in", "--name", "odd", "-m", PWN]);
    env
}

fn write_raw(env: &TestEnv, name: &str, bytes: &[u8]) -> PathBuf {
    env.write(format!("hostile/{name}"), bytes)
}
