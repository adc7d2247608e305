//! `pv checkpoint` and `pv verify --checkpoint`, read by public implementations of signed notes and transparency logs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use signed_note::{Note, StandardVerifier, VerifierList};
use tests::{TestEnv, test_env};
use tlog_tiles::tlog::{Hash, HashReader, check_record, check_tree, record_hash, stored_hashes, tree_hash};

use crate::support::serve;

/// A store with a few commits.
fn env() -> TestEnv {
    let env = test_env!();
    for content in ["1", "2", "3"] {
        put(&env, content);
    }
    env
}

fn put(env: &TestEnv, content: &str) {
    env.write("a", content);
    env.ok(["put", "images", "a"]);
}

/// The JSON of each line of the journal.
fn records(env: &TestEnv) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(env.dir().join(".pv/journal")).unwrap();
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| line[65..].to_vec()).collect()
}

/// All hashes of a tree, as another implementation stores them.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

fn root_of(records: &[Vec<u8>]) -> Hash {
    let mut stored = Stored(Vec::new());
    for (number, record) in records.iter().enumerate() {
        let more = stored_hashes(number as u64, record, &stored).unwrap();
        stored.0.extend(more);
    }
    tree_hash(records.len() as u64, &stored).unwrap()
}

/// The lines of a note with a valid signature.
fn opened(env: &TestEnv, note: &str) -> Vec<String> {
    let keys = env.json(["key", "show"]);
    let own = keys.iter().find(|key| key["own"] == true).unwrap()["verifier_key"].as_str().unwrap();
    let verifiers = VerifierList::new(vec![Box::new(StandardVerifier::new(own).unwrap())]);
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, _) = note.verify(&verifiers).unwrap();
    assert_eq!(verified.len(), 1);
    String::from_utf8(note.text().to_vec()).unwrap().lines().map(str::to_owned).collect()
}

fn id(env: &TestEnv) -> String {
    let first: Value = serde_json::from_slice(&records(env)[0]).unwrap();
    first["entries"][0]["store"].as_str().unwrap().to_owned()
}

#[test]
fn public_implementations_read_a_checkpoint_and_find_the_same_root() {
    let env = env();
    let text = env.ok(["checkpoint"]);
    let lines = opened(&env, &text);
    let records = records(&env);
    assert_eq!(lines, [id(&env), records.len().to_string(), root_of(&records).to_string()]);
    let told = env.json(["checkpoint", "-o", "one.checkpoint"]).remove(0);
    assert_eq!((told["text"].as_str(), &told["records"]), (Some(text.as_str()), &records.len().into()));
    assert_eq!(env.read("one.checkpoint"), text);
    // Both ends of the chain of trust: the generated file, and a key in a format that others read.
    let shown = env.pv(["key", "show"]);
    assert!(shown.contains("for signed notes"), "{shown}");
}

#[test]
fn public_implementations_check_what_is_in_it_and_that_it_only_grew() {
    let env = env();
    let old = records(&env).len() as u64;
    let old_root = root_of(&records(&env));
    (4..12).for_each(|content| put(&env, &content.to_string()));
    let size = records(&env).len() as u64;
    let hashes = |lines: &str| lines.lines().map(|line| Hash::parse_hash(line).unwrap()).collect::<Vec<_>>();
    let root = root_of(&records(&env));

    let proof = env.ok(["checkpoint", "--inclusion", "images@main~3"]);
    let (head, note) = proof.split_once("\n\n").unwrap();
    assert_eq!(opened(&env, note)[2], root.to_string());
    let [first, extra, index, path @ ..] = &head.lines().collect::<Vec<_>>()[..] else { panic!("{proof}") };
    assert_eq!(*first, "c2sp.org/tlog-proof@v1");
    let index: u64 = index.strip_prefix("index ").unwrap().parse().unwrap();
    let record = decoded(&env, extra.strip_prefix("extra ").unwrap());
    let commit = env.json(["show", "images@main~3"])[0]["id"].as_str().unwrap().to_owned();
    assert!(String::from_utf8_lossy(&record).contains(&commit));
    check_record(&hashes(&path.join("\n")), size, root, index, record_hash(&record)).unwrap();
    assert!(check_record(&hashes(&path.join("\n")), size, root, index, record_hash(b"other")).is_err());

    let grown = env.ok(["checkpoint", "--since", &old.to_string()]);
    let (head, note) = grown.split_once("\n\n").unwrap();
    assert_eq!(opened(&env, note)[1], size.to_string());
    let (first, path) = head.split_once('\n').unwrap();
    assert_eq!(first, format!("old {old}"));
    check_tree(&hashes(path), size, root, old, old_root).unwrap();
    assert!(check_tree(&hashes(path), size, root, old, root).is_err());
    assert_eq!(env.exit_code(["checkpoint", "--since", "1000"]), 3);
}

/// Decodes base64 with a tool other than pv.
fn decoded(env: &TestEnv, text: &str) -> Vec<u8> {
    env.write("base64", text);
    Command::new("base64").args(["-d", "base64"]).current_dir(env.work()).output().unwrap().stdout
}

/// Why `pv verify --checkpoint one.checkpoint` fails.
fn refused(env: &TestEnv) -> String {
    let (error, code) = env.json_error(["verify", "--checkpoint", "one.checkpoint"]);
    assert_eq!(code, 1, "{error}");
    error["message"].as_str().unwrap().to_owned()
}

fn write_journal(dir: &Path, records: &[Vec<u8>]) {
    let mut text = Vec::new();
    for record in records {
        text.extend_from_slice(format!("{} ", repos::hash::digest_of(record)).as_bytes());
        text.extend_from_slice(record);
        text.push(b'\n');
    }
    std::fs::write(dir.join(".pv/journal"), text).unwrap();
    for disposable in ["index", "position"] {
        let path = dir.join(".pv").join(disposable);
        std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)).ok();
    }
}

#[test]
fn a_store_contains_the_checkpoints_that_it_signed_and_says_what_came_since() {
    let env = env();
    env.ok(["checkpoint", "-o", "one.checkpoint"]);
    insta::assert_snapshot!(env.pv(["verify", "--checkpoint", "one.checkpoint"]), @r#"
    --- stdout
    ok  signature  checkpoint of 5 records by key [id 1]
    ok  checkpoint  of 5 records
    PROVEN  the journal  2 links
    since  nothing  5 records now
    "#);
    put(&env, "4");
    env.ok(["config", "set", "jobs", "3"]);
    insta::assert_snapshot!(env.pv(["verify", "--checkpoint", "one.checkpoint"]), @r#"
    --- stdout
    ok  signature  checkpoint of 5 records by key [id 1]
    ok  checkpoint  of 5 records
    PROVEN  the journal  2 links
    since  1 run, 1 setting  7 records now
    "#);
    let report = env.json(["verify", "--checkpoint", "one.checkpoint"]).remove(0);
    assert_eq!((&report["verdict"], &report["since"]["entries"]["run"]), (&"proven".into(), &1.into()));
    // Together with a claim, after a key rotation, and while another process owns the store.
    env.ok(["key", "rotate"]);
    let both = env.ok(["verify", "images:/a", "--checkpoint", "one.checkpoint"]);
    assert!(both.contains("PROVEN   images@"), "{both}");
    let server = serve(&env);
    env.ok(["verify", "--checkpoint", "one.checkpoint"]);
    env.ok(["checkpoint", "-o", "two.checkpoint"]);
    drop(server);
    env.ok(["verify", "--checkpoint", "two.checkpoint"]);
    // A witness's signature line is ignored by pv.
    let signed = env.read("one.checkpoint");
    env.write("one.checkpoint", format!("{signed}— witness.example/w {}\n", "jWbPPwAAAABkGFDL"));
    env.ok(["verify", "--checkpoint", "one.checkpoint"]);
}

#[test]
fn a_journal_that_was_cut_back_or_goes_another_way_is_not_proven() {
    let env = env();
    let before = records(&env);
    put(&env, "4");
    env.ok(["checkpoint", "-o", "one.checkpoint"]);
    let size = before.len() + 1;

    write_journal(env.dir(), &before);
    insta::assert_snapshot!(env.pv(["verify", "--checkpoint", "one.checkpoint"]), @r#"
    --- stdout
    ok  signature  checkpoint of 6 records by key [id 1]
    NO  checkpoint  of 6 records  the journal was truncated: it has 5 records
    NOT PROVEN: checkpoint of 6 records: the journal was truncated: it has 5 records
    --- stderr
    error: the journal is not proven: checkpoint of 6 records: the journal was truncated: it has 5 records
    --- exit 1
    "#);
    assert!(refused(&env).contains("the journal was truncated"));
    put(&env, "5");
    insta::assert_snapshot!(env.pv(["verify", "--checkpoint", "one.checkpoint"]), @r#"
    --- stdout
    ok  signature  checkpoint of 6 records by key [id 1]
    NO  checkpoint  of 6 records  the journal is a different one: it differs at record 6 or earlier
    NOT PROVEN: checkpoint of 6 records: the journal is a different one: it differs at record 6 or earlier
    --- stderr
    error: the journal is not proven: checkpoint of 6 records: the journal is a different one: it differs at record 6 or earlier
    --- exit 1
    "#);
    assert!(refused(&env).contains(&format!("it differs at record {size} or earlier")));

    // Bytes that change while index and length stay are detected anyway.
    let path = env.dir().join(".pv/journal");
    env.ok(["checkpoint", "-o", "one.checkpoint"]);
    let mut lines = records(&env);
    let last = lines.len() - 1;
    let text = String::from_utf8(lines[last].clone()).unwrap().replace("Anna", "Anne");
    lines[last] = text.into_bytes();
    let mut changed = Vec::new();
    for record in &lines {
        changed.extend_from_slice(format!("{} ", repos::hash::digest_of(record)).as_bytes());
        changed.extend_from_slice(record);
        changed.push(b'\n');
    }
    assert_eq!(changed.len(), std::fs::read(&path).unwrap().len());
    std::fs::write(&path, changed).unwrap();
    assert!(refused(&env).contains("the journal is a different one: it differs at record"));
}

#[test]
fn another_store_another_key_and_a_changed_note_are_not_proven() {
    let env = env();
    env.ok(["checkpoint", "-o", "one.checkpoint"]);
    let text = env.read("one.checkpoint");
    let other = self::env();
    let its = other.ok(["checkpoint"]);
    env.write("one.checkpoint", &its);
    assert!(refused(&env).contains("it belongs to another store"));
    // The same text, signed by another key under the store's name.
    let forged = its.replace(&id(&other), &id(&env));
    env.write("one.checkpoint", forged);
    assert!(refused(&env).contains("a key that is unknown to the store"));
    let unsigned = format!("{}\n\n— nobody.example AAAAAAAA\n", text.split("\n\n").next().unwrap());
    env.write("one.checkpoint", unsigned);
    assert!(refused(&env).contains("no key of the store has signed it"));
    // The right name and key, but another text.
    env.write("one.checkpoint", text.replacen(&format!("\n{}\n", records(&env).len()), "\n1\n", 1));
    assert!(refused(&env).contains("is invalid"));
    env.write("one.checkpoint", "nothing of the kind");
    assert!(refused(&env).contains("not a checkpoint"));
    assert_eq!(env.exit_code(["verify", "--checkpoint", "none.checkpoint"]), 3);
    // A key other than the requested one.
    env.write("one.checkpoint", text);
    env.write("other.pem", other.ok(["key", "show"]));
    env.write("key.pem", env.ok(["key", "show"]));
    env.ok(["verify", "--checkpoint", "one.checkpoint", "--key", "key.pem"]);
    assert_eq!(env.exit_code(["verify", "--checkpoint", "one.checkpoint", "--key", "other.pem"]), 1);
}
