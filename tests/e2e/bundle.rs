//! `pv bundle`, and `pv verify --bundle` on a machine without a store.

use std::path::Path;
use std::process::{Command, Output};

use tests::TestEnv;
use tests::tools::python_of;

use crate::support::{apply, copy_of, env_with_notes, skip, spec};

/// Notes that are copied twice; `case.zip` proves one file, `key.pem` is the store's key.
fn env() -> TestEnv {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &format!("echo it says; {}", copy_of("notes"))));
    apply(&env, &spec("last", "copy", &copy_of("copy")));
    env.ok(["run"]);
    env.ok(["bundle", "last:/a", "-o", "case.zip"]);
    env.write("key.pem", env.ok(["key", "show"]));
    env
}

/// A folder without a store, with the bundle and the key.
fn elsewhere(env: &TestEnv) -> TestEnv {
    let there = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    for file in ["case.zip", "key.pem"] {
        std::fs::copy(env.work().join(file), there.work().join(file)).unwrap();
    }
    there
}

fn sh(folder: &Path, script: &str) -> Output {
    Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap()
}

fn unpacked(env: &TestEnv, bundle: &str) -> std::path::PathBuf {
    let folder = env.work().join("unpacked");
    let output = sh(&env.work(), &format!("rm -rf unpacked && unzip -q {bundle} -d unpacked"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

#[test]
fn a_bundle_says_what_it_discloses_and_is_the_same_each_time() {
    let env = env();
    let told = env.json(["bundle", "last:/a", "-o", "again.zip"]).remove(0);
    let discloses: Vec<&str> = told["discloses"].as_array().unwrap().iter().filter_map(|line| line.as_str()).collect();
    insta::assert_snapshot!(discloses.join("\n"), @r"
    3 commits of copy, last, notes, with their messages
    their authors: Anna <anna@example.com>
    specs, commands and environment of pipeline versions: 2
    names, sizes and digests of files, and of their neighbours in a tree
    no contents of files, and no logs (--data adds them)
    ");
    let bytes = |name: &str| std::fs::read(env.work().join(name)).unwrap();
    assert_eq!(bytes("case.zip"), bytes("again.zip"));
    let (error, code) = env.json_error(["bundle", "last:/a", "-o", "again.zip"]);
    assert_eq!((code, &error["hint"]), (4, &"--force overwrites it".into()));
    env.ok(["bundle", "last", "-o", "again.zip", "--force"]);
    assert_ne!(bytes("case.zip"), bytes("again.zip"));
    assert!(env.ok(["verify", "--bundle", "again.zip", "--key", "key.pem"]).contains("PROVEN"));
    let left = std::fs::read_dir(env.work()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains(".part")));
}

#[test]
fn its_own_instructions_work_where_there_is_neither_pv_nor_a_store() {
    let env = env();
    let folder = unpacked(&env, "case.zip");
    let text = std::fs::read_to_string(folder.join("README.txt")).unwrap();
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with("pv ")).collect();
    let outputs: Vec<String> = commands
        .iter()
        .map(|command| {
            let output = sh(&folder, command);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    let [whole, vouched, fingerprint, signed, named] = &outputs[..] else { panic!("{commands:?}") };
    assert_eq!(whole, "whole\n");
    assert_eq!(vouched, "Signature Verified Successfully\n");
    let key = env.json(["key", "show"]).remove(0);
    assert_eq!(fingerprint.split(' ').next(), key["fingerprint"].as_str());
    let mut ids: Vec<String> = ["notes", "copy", "last"]
        .map(|repo| format!("signed {}", env.json(["show", repo])[0]["id"].as_str().unwrap()))
        .to_vec();
    ids.sort();
    assert_eq!(signed.lines().collect::<Vec<_>>(), ids);
    assert_eq!(named, "named by content\n");
    for told in ["index.html", "trace.json", "intoto.jsonl", "claim.json"] {
        assert!(folder.join(told).exists(), "{told}");
    }
    assert!(!folder.join("files").exists() && !folder.join("objects/log").exists(), "no data unless it is asked for");
    let Some(python) = python_of("proof-tools") else {
        skip("in-toto-attestation and securesystemslib are not there: scripts/setup.sh proof");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/check_intoto.py");
    let mut check = Command::new(python);
    let output = check.arg(script).arg(folder.join("intoto.jsonl")).arg(env.work().join("key.pem")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_is_checked_on_a_machine_without_a_store() {
    let env = env();
    let there = elsewhere(&env);
    let proven = there.ok(["verify", "--bundle", "case.zip", "--key", "key.pem"]);
    assert!(proven.contains("PROVEN   last@"), "{proven}");
    // Without a key no signature is checked, which does not count as success.
    let whole = there.pv(["verify", "--bundle", "case.zip"]);
    assert!(whole.contains("WHOLE, SIGNER NOT CHECKED") && !whole.contains("PROVEN"), "{whole}");
    let whole = there.output(["verify", "--bundle", "case.zip", "--json"]);
    assert_eq!(whole.status.code(), Some(9));
    let report: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(report["verdict"], "whole");
    let (error, _) = there.json_error(["verify", "--bundle", "case.zip"]);
    assert_eq!((&error["kind"], &error["exit_code"]), (&"unchecked".into(), &9.into()));
    // The fingerprint is enough: the key is in the bundle.
    let fingerprint = env.json(["key", "show"])[0]["fingerprint"].as_str().unwrap().to_owned();
    assert!(there.ok(["verify", "--bundle", "case.zip", "--key", &fingerprint]).contains("PROVEN   last@"));
    let other = "0".repeat(64);
    assert_eq!(there.exit_code(["verify", "--bundle", "case.zip", "--key", &other]), 1);
    let other = env_with_notes();
    there.write("other.pem", other.ok(["key", "show"]));
    let (error, code) = there.json_error(["verify", "--bundle", "case.zip", "--key", "other.pem"]);
    assert_eq!(code, 1);
    assert!(error["message"].as_str().unwrap().contains("not the key that was given"), "{error}");
    assert_eq!(there.exit_code(["verify", "--bundle", "none.zip"]), 3);
}

#[test]
fn with_data_it_holds_the_files() {
    let env = env();
    env.ok(["bundle", "last:/a", "--data", "-o", "full.zip"]);
    let report = env.json(["verify", "--bundle", "full.zip", "--key", "key.pem"]).remove(0);
    assert_eq!((&report["verdict"], &report["not_held"]), (&"proven".into(), &serde_json::json!([])));
    let folder = unpacked(&env, "full.zip");
    let digest = env.json(["show", "last:/a"])[0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(folder.join("files").join(digest)).unwrap(), "a\n");
    assert_eq!(std::fs::read_dir(folder.join("files")).unwrap().count(), 1, "the bytes of no other file");
    assert_eq!(std::fs::read_dir(folder.join("objects/log")).unwrap().count(), 1);
}

#[test]
fn a_byte_that_was_changed_anywhere_is_found_and_named() {
    let env = env();
    env.ok(["bundle", "last:/a", "--data", "-o", "case.zip", "--force"]);
    let there = elsewhere(&env);
    let bytes = std::fs::read(there.work().join("case.zip")).unwrap();
    // Positions all over the file, and every byte at its end, where the zip directory is.
    let step = bytes.len() / 60;
    let places = (0..bytes.len()).step_by(step).chain(bytes.len() - 22..bytes.len());
    for at in places {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        there.write("case.zip", &changed);
        let (error, code) = there.json_error(["verify", "--bundle", "case.zip", "--key", "key.pem"]);
        assert_eq!(code, 5, "byte {at} of {}: {error}", bytes.len());
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("entry") || message.contains("archive"), "byte {at}: {message}");
    }
    there.write("case.zip", &bytes[..bytes.len() - 1]);
    assert_eq!(there.exit_code(["verify", "--bundle", "case.zip", "--key", "key.pem"]), 5);
}

/// Packs a bundle with different content, with a tool other than pv.
const FORGE: &str = "
import sys, zipfile
sort = sys.argv[1]
entries = [(i.filename, zipfile.ZipFile('case.zip').read(i)) for i in zipfile.ZipFile('case.zip').infolist()]
out = zipfile.ZipFile('forged.zip', 'w', zipfile.ZIP_DEFLATED if sort == 'compressed' else zipfile.ZIP_STORED)
for name, data in entries:
    if sort == 'missing' and name.startswith('objects/recipe/'): continue
    if sort == 'sums' and name == 'index.html':
        data = data.replace(b'notes', b'other')
    out.writestr(name, data)
if sort == 'escape': out.writestr('../escaped', b'x')
if sort == 'absolute': out.writestr('/tmp/escaped', b'x')
if sort == 'folder': out.writestr('objects/', b'')
if sort == 'more': out.writestr('objects/commit/' + '0' * 64, b'{}')
";

#[test]
fn hostile_archives_are_refused_and_write_nothing() {
    let env = env();
    let there = elsewhere(&env);
    let before = std::fs::read_dir(there.dir()).unwrap().count();
    for sort in ["compressed", "missing", "sums", "escape", "absolute", "folder", "more"] {
        let forged = Command::new("python3").args(["-c", FORGE, sort]).current_dir(there.work()).output().unwrap();
        assert!(forged.status.success(), "{}", String::from_utf8_lossy(&forged.stderr));
        let (error, code) = there.json_error(["verify", "--bundle", "forged.zip", "--key", "key.pem"]);
        assert_eq!(code, 5, "{sort}: {error}");
    }
    assert_eq!(std::fs::read_dir(there.dir()).unwrap().count(), before);
    there.write("forged.zip", "no archive at all");
    assert_eq!(there.exit_code(["verify", "--bundle", "forged.zip"]), 5);
}

/// Notes copied by a script beside the spec; `code.zip` proves one of the copies.
fn env_with_code() -> TestEnv {
    let env = env_with_notes();
    env.write("scripts/copy.sh", "cp /pfs/notes/* /pfs/out/\n");
    env.write("scripts/lib/words.txt", "some words\n");
    let code = r#""code": "scripts", "cmd": ["sh", "/code/copy.sh"]"#;
    env.write(
        "coded.json",
        format!(r#"{{"pipeline": {{"name": "coded"}}, "input": {{"pfs": {{"repo": "notes", "glob": "/*"}}}}, "transform": {{{code}}}}}"#),
    );
    env.ok(["pipeline", "apply", "-f", "coded.json"]);
    env.ok(["run"]);
    env.ok(["bundle", "coded:/a", "-o", "case.zip"]);
    env.write("key.pem", env.ok(["key", "show"]));
    env
}

#[test]
fn the_code_of_the_stages_is_in_it_and_checked() {
    let env = env_with_code();
    let stored = env.ok(["verify", "coded:/a"]);
    assert!(
        stored.contains("code") && stored.contains(": /copy.sh") && stored.contains(": /lib/words.txt"),
        "{stored}"
    );
    let folder = unpacked(&env, "case.zip");
    let readme = std::fs::read_to_string(folder.join("README.txt")).unwrap();
    let listed: Vec<(&str, &str)> =
        readme.lines().filter_map(|line| line.strip_prefix("  files/")?.split_once("  ")).collect();
    let [(script, "/copy.sh"), (words, "/lib/words.txt")] = listed[..] else { panic!("{readme}") };
    assert_eq!(std::fs::read_to_string(folder.join("files").join(script)).unwrap(), "cp /pfs/notes/* /pfs/out/\n");
    assert_eq!(std::fs::read_to_string(folder.join("files").join(words)).unwrap(), "some words\n");
    assert_eq!(std::fs::read_dir(folder.join("files")).unwrap().count(), 2, "the bytes of no other file");
    let there = elsewhere(&env);
    let proven = there.ok(["verify", "--bundle", "case.zip", "--key", "key.pem"]);
    assert!(proven.contains(": /copy.sh") && proven.contains("PROVEN   coded@"), "{proven}");

    let told = env.json(["bundle", "coded:/a", "-o", "case.zip", "--no-code", "--force"]).remove(0);
    assert!(!told["discloses"].to_string().contains("the code of"), "{told}");
    let folder = unpacked(&env, "case.zip");
    assert!(!folder.join("files").exists());
    let there = elsewhere(&env);
    // Like bundles from before they contained code.
    assert!(!std::fs::read_to_string(folder.join("claim.json")).unwrap().contains("\"code\""));
    let proven = there.ok(["verify", "--bundle", "case.zip", "--key", "key.pem"]);
    assert!(proven.contains("1 code link: it is not in the bundle"), "{proven}");
}

/// Repacks a bundle, correctly signed, with other code in it or with parts missing.
const FORGE_CODE: &str = "
import sys, zipfile, hashlib
sort = sys.argv[1]
entries = {i.filename: zipfile.ZipFile('case.zip').read(i) for i in zipfile.ZipFile('case.zip').infolist()}
script = [name for name, data in entries.items() if data == b'cp /pfs/notes/* /pfs/out/\\n'][0]
if sort == 'missing': del entries[script]
if sort == 'other':
    del entries[script]
    data = b'rm -rf /'
    entries['files/' + hashlib.sha256(data).hexdigest()] = data
if sort == 'bytes': entries[script] = b'rm -rf /'
rest = {name: data for name, data in entries.items() if name not in ('SHA256SUMS', 'SHA256SUMS.sig')}
entries['SHA256SUMS'] = ''.join(f'{hashlib.sha256(data).hexdigest()}  {name}\\n' for name, data in sorted(rest.items())).encode()
out = zipfile.ZipFile('forged.zip', 'w', zipfile.ZIP_STORED)
for name, data in sorted(entries.items()): out.writestr(name, data)
";

#[test]
fn code_that_is_other_or_missing_is_found() {
    let env = env_with_code();
    let there = elsewhere(&env);
    for sort in ["missing", "other", "bytes"] {
        let forged = Command::new("python3").args(["-c", FORGE_CODE, sort]).current_dir(there.work()).output().unwrap();
        assert!(forged.status.success(), "{}", String::from_utf8_lossy(&forged.stderr));
        // A forger who cannot sign is detected anyway; so check what is reported about the code itself.
        let report = there.output(["verify", "--bundle", "forged.zip", "--json"]);
        assert_eq!(report.status.code(), Some(5));
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        let bad = report["not_held"].as_array().unwrap();
        let found = bad.iter().any(|link| link["link"] == "code" && link["state"] == "damaged");
        assert!(found, "{sort}: {bad:?}");
    }
}
