//! `pv verify`

use repos::object::Kind;
use repos::packs::codec::unpack;
use repos::packs::writer::{PackWriter, read_index};
use repos::packs::{LocalPacks, PackStore};
use serde_json::json;
use tests::TestEnv;

use crate::damage::{flip, mirrored, restore};
use crate::support::{apply, copy_of, env_with_notes, spec, spec_with};

/// Notes copied by `say`, which also prints, and again by `last`.
fn env() -> TestEnv {
    let env = env_with_notes();
    apply(&env, &spec("say", "notes", &format!("echo it says; {}", copy_of("notes"))));
    apply(&env, &spec("last", "say", &copy_of("say")));
    env.ok(["run"]);
    env
}

#[test]
fn every_link_of_a_file_is_checked_and_told() {
    let env = env();
    insta::assert_snapshot!(env.pv(["verify", "last:/a"]), @r#"
    --- stdout
    ok  commit  last@[id 1]
    ok  signature  last@[id 1] by key [id 2]
    ok  tree  last@[id 1]:/a
    ok  bytes  last@[id 1]:/a sha256 [id 3]
    ok  lineage  last@[id 1]:/a by result [id 4]
    ok  result  result [id 4] of last
    ok  recipe  recipe [id 5] of last
    ok  commit  say@[id 6]
    ok  signature  say@[id 6] by key [id 2]
    ok  input  say:/a of recipe [id 5] of last
    ok  result  last@[id 1]:/a
    ok  tree  say@[id 6]:/a
    ok  lineage  say@[id 6]:/a by result [id 7]
    ok  result  result [id 7] of say
    ok  log  log [id 8] of result [id 7] of say
    ok  recipe  recipe [id 9] of say
    ok  commit  notes@[id 10]
    ok  signature  notes@[id 10] by key [id 2]
    ok  input  notes:/a of recipe [id 9] of say
    ok  result  say@[id 6]:/a
    ok  tree  notes@[id 10]:/a
    ok  source  notes@[id 10]:/a  Anna <anna@example.com>
    PROVEN  last@[id 1]:/a  22 links
    "#);
    let report = env.json(["verify", "last"]).remove(0);
    assert_eq!((&report["verdict"], &report["not_held"]), (&"proven".into(), &serde_json::json!([])));
    assert_eq!([&report["checked"]["bytes"], &report["checked"]["signature"]], [3, 3]);
    env.ok(["verify"]);
    assert_eq!(env.exit_code(["verify", "last:/none"]), 3);
}

/// Checks that an error names an object of this kind, or its owner.
fn named(env: &TestEnv, args: &[&str], word: &str) {
    let (error, code) = env.json_error(args);
    assert_eq!(code, 5, "{word}: {error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("{word} ")), "{word}: {message}");
}

#[test]
fn one_flipped_byte_is_found_and_named_whatever_it_is_in() {
    let env = env();
    let mirror = mirrored(&env);
    let kinds = [
        Kind::Chunk,
        Kind::Node,
        Kind::Commit,
        Kind::Spec,
        Kind::Transform,
        Kind::Recipe,
        Kind::Result,
        Kind::Log,
        Kind::Signature,
    ];
    for kind in kinds {
        for args in [&["verify", "last:/a"][..], &["verify", "last"], &["verify"]] {
            restore(&env, &mirror);
            env.ok(args);
            flip(&env, |found, _| found == kind);
            named(&env, args, kind.word());
        }
    }
    // The parts of packs outside objects.
    for at in [0, -1, -60] {
        restore(&env, &mirror);
        for pack in std::fs::read_dir(env.dir().join(".pv/packs")).unwrap() {
            let pack = pack.unwrap().path();
            let mut bytes = std::fs::read(&pack).unwrap();
            let place = if at < 0 { bytes.len() - usize::try_from(-at).unwrap() } else { 0 };
            bytes[place] ^= 1;
            std::fs::write(&pack, bytes).unwrap();
        }
        named(&env, &["verify", "last:/a"], "pack");
    }
}

/// Removes all signatures of commits from the packs.
fn drop_signatures(env: &TestEnv) {
    let folder = env.dir().join(".pv/packs");
    let packs = LocalPacks::new(folder.clone());
    for (name, length) in packs.list().unwrap() {
        let mut writer = PackWriter::new(name.class, 1 << 30);
        for row in read_index(&packs, &name, length).unwrap() {
            let kind = Kind::from_number(row.kind).unwrap();
            let bytes = unpack(&row, packs.read(&name, row.stored_range()).unwrap()).unwrap();
            if kind != Kind::Signature {
                writer.append(&packs, kind, row.digest, &bytes).unwrap();
            }
        }
        std::fs::remove_file(folder.join(name.to_string())).unwrap();
        writer.finish().unwrap();
    }
    std::fs::remove_dir_all(env.dir().join(".pv/index")).unwrap();
}

#[test]
fn a_commit_whose_signature_is_gone_is_not_proven() {
    let env = env();
    drop_signatures(&env);
    let (error, code) = env.json_error(["verify", "last:/a"]);
    assert_eq!(code, 1);
    assert!(error["message"].as_str().unwrap().contains("it is not signed"), "{error}");
    let shown = env.ok(["show", "last"]);
    assert!(shown.contains("unsigned"), "{shown}");
}

#[test]
fn what_is_run_again_is_identical_and_that_is_kept() {
    let env = env();
    insta::assert_snapshot!(env.pv(["verify", "last:/a", "--rerun", "--network", "-q"]), @r#"
    --- stdout
    ok  commit  last@[id 1]
    ok  signature  last@[id 1] by key [id 2]
    ok  tree  last@[id 1]:/a
    ok  bytes  last@[id 1]:/a sha256 [id 3]
    ok  lineage  last@[id 1]:/a by result [id 4]
    ok  result  result [id 4] of last
    ok  recipe  recipe [id 5] of last
    ok  commit  say@[id 6]
    ok  signature  say@[id 6] by key [id 2]
    ok  input  say:/a of recipe [id 5] of last
    ok  result  last@[id 1]:/a
    ok  tree  say@[id 6]:/a
    ok  lineage  say@[id 6]:/a by result [id 7]
    ok  result  result [id 7] of say
    ok  log  log [id 8] of result [id 7] of say
    ok  recipe  recipe [id 9] of say
    ok  commit  notes@[id 10]
    ok  signature  notes@[id 10] by key [id 2]
    ok  input  notes:/a of recipe [id 9] of say
    ok  result  say@[id 6]:/a
    ok  tree  notes@[id 10]:/a
    ok  source  notes@[id 10]:/a  Anna <anna@example.com>
    PROVEN  last@[id 1]:/a  22 links
    identical  last@[id 1]:/a  2 datums run again  certificate [id 11]
    "#);
    env.ok(["verify", "last", "--rerun", "--network"]);
    let shown = env.json(["show", "last"]).remove(0);
    let certificates = shown["certificates"].as_array().unwrap();
    let told: Vec<_> =
        certificates.iter().map(|it| (&it["outcome"], &it["path"], &it["stages"][1]["datums"])).collect();
    assert_eq!(told, [(&"identical".into(), &"/a".into(), &1.into()), (&"identical".into(), &().into(), &3.into())]);
    assert!(env.ok(["show", "last"]).contains("run again  identical"));
    // It had no other effects: no run, no result.
    assert_eq!(env.json(["log"]).len(), 3);
    env.ok(["gc"]);
    env.ok(["fsck", "--rebuild-index"]);
    assert_eq!(env.json(["show", "last"])[0]["certificates"], shown["certificates"]);
}

#[test]
fn a_stage_that_does_not_repeat_is_named_with_its_paths() {
    let env = env_with_notes();
    let script = "n=${notes##*/}; head -c 8 /dev/urandom | od > /pfs/out/thrown-$n; echo same > /pfs/out/same-$n";
    apply(&env, &spec("dice", "notes", script));
    apply(&env, &spec("after", "dice", &copy_of("dice")));
    env.ok(["run"]);
    env.ok(["verify", "after"]);
    let (error, code) = env.json_error(["verify", "after", "--rerun", "--network"]);
    assert_eq!(code, 1);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("dice   differs") && message.contains("/thrown-a") && !message.contains("same"),
        "{message}"
    );
    let certificate = env.json(["show", "after"])[0]["certificates"][0].clone();
    let stages: Vec<_> =
        certificate["stages"].as_array().unwrap().iter().map(|it| (&it["pipeline"], &it["outcome"])).collect();
    assert_eq!(stages, [(&"dice".into(), &"differs".into()), (&"after".into(), &"identical".into())]);
    assert_eq!(certificate["stages"][0]["paths"], serde_json::json!(["/thrown-a", "/thrown-b", "/thrown-c"]));
    env.ok(["verify", "after"]);
}

#[test]
fn what_cannot_be_run_again_says_why() {
    let env = env_with_notes();
    env.write("word", "sesame");
    env.ok(["secret", "create", "door", "word=word"]);
    let secrets = r#""secrets": [{"name": "door", "key": "word", "env_var": "WORD"}],"#;
    let script = "echo ${#WORD} > /pfs/out/${notes##*/}";
    apply(&env, &spec_with("open", r#"{"pfs": {"repo": "notes", "glob": "/*"}}"#, script, secrets));
    env.ok(["run"]);
    env.ok(["verify", "open:/a", "--rerun", "--network"]);
    env.ok(["secret", "delete", "door", "--yes"]);
    let (error, code) = env.json_error(["verify", "open:/a", "--rerun", "--network"]);
    assert_eq!(code, 6);
    assert!(error["message"].as_str().unwrap().contains("cannot run"), "{error}");
    let shown = env.pv(["verify", "open:/a", "--rerun", "--network"]);
    assert!(shown.contains("0 datums run again, 1 could not run (open)"), "{shown}");
    let stage = env.json(["show", "open"])[0]["certificates"][1]["stages"][0].clone();
    assert_eq!((&stage["datums"], &stage["not_run"]), (&json!(0), &json!(1)));
}

#[test]
fn what_reaches_the_network_is_run_again_only_when_that_is_allowed() {
    let env = env_with_notes();
    let quiet = r#""network": "none","#;
    apply(&env, &spec_with("quiet", r#"{"pfs": {"repo": "notes", "glob": "/*"}}"#, &copy_of("notes"), quiet));
    apply(&env, &spec("mailer", "quiet", &copy_of("quiet")));
    env.ok(["run"]);
    let shown = env.pv(["verify", "mailer:/a", "--rerun"]);
    for line in [
        "will run  quiet  1 datum",
        "network none",
        "left out  mailer  1 datum",
        "network default: --network also runs it",
        "left out  mailer@",
        "1 datum run again, 1 left out (mailer)",
        "--- exit 6",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let certificate = env.json(["show", "mailer"])[0]["certificates"][0].clone();
    let stages: Vec<_> = certificate["stages"].as_array().unwrap().iter().collect();
    assert_eq!(certificate["outcome"], "not_run");
    assert_eq!((&stages[0]["outcome"], &stages[0]["datums"]), (&json!("identical"), &json!(1)));
    assert_eq!((&stages[1]["outcome"], &stages[1]["left_out"]), (&json!("not_run"), &json!(1)));
    assert_eq!(stages[1]["datums"], 0);
    assert!(env.ok(["verify", "mailer:/a", "--rerun", "--network"]).contains("2 datums run again"));
    assert_eq!(env.exit_code(["verify", "mailer:/a", "--network"]), 2, "it is about running again");
}

#[test]
fn with_a_key_only_what_it_vouches_for_is_proven() {
    let env = env();
    env.write("first.pem", env.ok(["key", "show"]));
    let first = env.json(["key", "show"])[0]["fingerprint"].as_str().unwrap().to_owned();
    for args in [&["verify", "last:/a", "--key", "first.pem"][..], &["verify", "--key", &first]] {
        assert!(env.ok(args).contains("PROVEN"));
    }
    // A key that replaced it and is signed by it counts with it; the first does not count with the later one.
    env.ok(["key", "rotate"]);
    env.write("second.pem", env.ok(["key", "show"]));
    env.write("d", "4");
    env.ok(["put", "notes", "d"]);
    env.ok(["run"]);
    env.ok(["verify", "--key", "first.pem"]);
    env.ok(["verify", "notes:/d", "--key", "second.pem"]);
    let (error, code) = env.json_error(["verify", "notes:/a", "--key", "second.pem"]);
    assert_eq!(code, 1);
    assert!(error["message"].as_str().unwrap().contains("its key is neither the given key"), "{error}");
    env.ok(["verify", "notes:/a", "--key", "second.pem", "--key", &first]);
    // Another store's key, and one that does not exist.
    let other = env_with_notes();
    env.write("other.pem", other.ok(["key", "show"]));
    assert_eq!(env.exit_code(["verify", "last:/a", "--key", "other.pem"]), 1);
    assert_eq!(env.exit_code(["verify", "last:/a", "--key", &"0".repeat(64)]), 1);
    assert_eq!(env.exit_code(["verify", "last:/a", "--key", "none.pem"]), 3);
}

#[test]
fn a_store_whose_signatures_were_taken_away_is_not_proven() {
    let env = env();
    env.write("key.pem", env.ok(["key", "show"]));
    drop_signatures(&env);
    // As if written by a `pv` without keys: but signed commits say how far the journal went, which only versions with keys record.
    let journal = env.dir().join(".pv/journal");
    let (mut text, mut previous) = (String::new(), None);
    for line in std::fs::read_to_string(&journal).unwrap().lines() {
        let mut record: serde_json::Value = serde_json::from_str(&line[65..]).unwrap();
        record["format"] = 1.into();
        record.as_object_mut().unwrap().remove("signature");
        record["entries"].as_array_mut().unwrap().retain(|entry| entry["kind"] != "key");
        if let Some(previous) = previous {
            record["previous"] = serde_json::json!(previous);
        }
        let json = String::from_utf8(repos::documents::canonical(&record)).unwrap();
        let digest = repos::hash::digest_of(json.as_bytes()).to_string();
        text += &format!("{digest} {json}\n");
        previous = Some(digest);
    }
    std::fs::write(&journal, text).unwrap();
    std::fs::remove_dir_all(env.dir().join(".pv/index")).ok();
    std::fs::remove_file(env.dir().join(".pv/position")).unwrap();
    std::fs::remove_file(env.dir().join(".pv/key")).unwrap();
    for args in [["verify", "last:/a"].as_slice(), &["verify"], &["verify", "last:/a", "--key", "key.pem"]] {
        let (error, code) = env.json_error(args);
        assert!(code == 1 && error["message"].as_str().unwrap().contains("not proven"), "{args:?}: {error}");
    }
}
