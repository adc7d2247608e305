//! `pv fsck`

use serde_json::json;
use tests::{TestEnv, test_env};

fn env_with_file() -> TestEnv {
    let env = test_env!();
    env.write("cam7/a.jpg", "a picture with some bytes");
    env.ok(["put", "images", "."]);
    env
}

/// The packs that hold files' bytes.
fn data_packs(env: &TestEnv) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(env.dir().join(".pv/packs")).unwrap();
    let packs = folder.map(|entry| entry.unwrap().path());
    packs.filter(|path| path.to_str().unwrap().ends_with(".data.pack")).collect()
}

#[test]
fn a_sound_store_is_told_so() {
    let env = env_with_file();
    assert!(env.ok(["fsck"]).starts_with("sound: "));
    let report = env.json(["fsck"]).remove(0);
    assert_eq!([&report["sound"], &report["problems"]], [&json!(true), &json!([])]);
    assert_eq!([&report["commits"], &report["files"]], [&json!(1), &json!(1)]);
}

#[test]
fn damage_is_told_with_who_needs_it() {
    let env = env_with_file();
    let pack = data_packs(&env).remove(0);
    let mut bytes = std::fs::read(&pack).unwrap();
    let at = bytes.windows(9).position(|window| window == b"a picture").unwrap();
    bytes[at] ^= 1;
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    let output = env.output(["fsck"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stdout).contains(":/cam7/a.jpg"), "{}", env.shown(&output));
    assert_eq!(env.exit_code(["cat", "images:/cam7/a.jpg"]), 5);
}

#[test]
fn the_index_can_be_made_anew() {
    let env = env_with_file();
    let before = env.json(["log", "images"]);
    env.ok(["fsck", "--rebuild-index"]);
    assert_eq!(env.json(["log", "images"]), before);
    std::fs::remove_dir_all(env.dir().join(".pv/index")).unwrap();
    assert_eq!(env.json(["log", "images"]), before);
}

#[test]
fn a_journal_that_lost_its_end_is_damage_and_not_made_true_by_a_new_index() {
    let env = test_env!();
    // More than fits in memory, so that the index on disk has the records.
    for number in 0..5000 {
        env.write(format!("many/{number}"), number.to_string());
    }
    env.ok(["put", "images", "many"]);
    let journal = env.dir().join(".pv/journal");
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 10]).unwrap();
    for args in [&["ls", "images"][..], &["rm", "images:/1"], &["fsck"], &["fsck", "--rebuild-index"]] {
        assert_eq!(env.exit_code(args), 5, "{args:?}");
    }
    std::fs::write(&journal, &bytes).unwrap();
    env.ok(["fsck"]);
    assert_eq!(env.json(["ls", "images"]).len(), 5000);
}
