//! `pv get` and `pv cat`.

use std::os::unix::fs::{PermissionsExt, symlink};

use tests::{TestEnv, test_env};

fn env_with_files() -> TestEnv {
    let env = test_env!();
    let script = env.write("d/run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    env.write("d/cam7/a.jpg", "a");
    env.ok(["put", "images", "d"]);
    env
}

#[test]
fn get_mirrors_put() {
    let env = env_with_files();
    insta::assert_snapshot!(env.pv(["get", "images", "out"]), @r"
    --- stderr
    2 files · 11 B → out
    ");
    assert_eq!(env.read("out/cam7/a.jpg"), "a");
    let mode = std::fs::metadata(env.work().join("out/run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    env.ok(["get", "images:/cam7/a.jpg", "file"]);
    env.ok(["get", "images:/cam7", "directory"]);
    assert_eq!([env.read("file/a.jpg"), env.read("directory/a.jpg")], ["a", "a"]);
    // Equal bytes are left alone.
    insta::assert_snapshot!(env.pv(["get", "images", "out"]), @r"
    --- stderr
    2 files · 11 B → out, 2 were there
    ");
    let got = env.json(["get", "images", "again"]).remove(0);
    assert_eq!(
        (got["files"].as_u64(), got["written"].as_u64(), got["size_bytes"].as_u64()),
        (Some(2), Some(2), Some(11))
    );
}

#[test]
fn other_bytes_are_a_conflict_and_nothing_is_written() {
    let env = env_with_files();
    env.write("out/run.sh", "mine");
    insta::assert_snapshot!(env.pv(["get", "images", "out"]), @r"
    --- stderr
    error: `out/run.sh` has other bytes
    hint: --force replaces them
    --- exit 4
    ");
    assert!(!env.work().join("out/cam7").exists());
    env.ok(["get", "images", "out", "--force"]);
    assert_eq!([env.read("out/run.sh"), env.read("out/cam7/a.jpg")], ["#!/bin/sh\n", "a"]);
}

#[test]
fn get_never_writes_through_a_link() {
    let env = env_with_files();
    std::fs::create_dir_all(env.work().join("out")).unwrap();
    std::fs::create_dir_all(env.work().join("elsewhere")).unwrap();
    symlink("../elsewhere", env.work().join("out/cam7")).unwrap();
    assert_eq!(env.exit_code(["get", "images", "out", "--force"]), 4);
    assert!(!env.work().join("elsewhere/a.jpg").exists());
}

#[test]
fn changed_files_alone_can_be_had() {
    let env = env_with_files();
    env.write("new.jpg", "new");
    env.ok(["put", "images", "new.jpg"]);
    env.write("newer.jpg", "newer");
    env.ok(["put", "images", "newer.jpg"]);
    env.ok(["get", "images", "last", "--changed"]);
    env.ok(["get", "images", "both", "--changed", "--since", "main~2"]);
    let names = |folder: &str| {
        let mut names: Vec<_> =
            std::fs::read_dir(env.work().join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("last"), ["newer.jpg"]);
    assert_eq!(names("both"), ["new.jpg", "newer.jpg"]);
    assert_eq!(env.exit_code(["get", "images", "x", "--since", "main"]), 2);
}

#[test]
fn cat_prints_files_and_nothing_else() {
    let env = env_with_files();
    assert_eq!(env.ok(["cat", "images:/cam7/a.jpg", "images:/run.sh"]), "a#!/bin/sh\n");
    insta::assert_snapshot!(env.pv(["cat", "images:/cam7"]), @r"
    --- stderr
    error: `/cam7` in images@[id 1] is a directory
    hint: pv ls images:/cam7  pv get images:/cam7
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["cat", "images:/cam7/b.jpg"]), @r"
    --- stderr
    error: `/cam7/b.jpg` not found in images@[id 1]
    hint: did you mean `/cam7/a.jpg`?
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["cat", "images"]), @r"
    --- stderr
    error: `images` names no path
    hint: write images:/PATH
    --- exit 2
    ");
}

#[test]
fn a_large_file_comes_back_whole() {
    let env = test_env!();
    let bytes: Vec<u8> = (0..6_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    env.write("large", &bytes);
    env.ok(["put", "images", "large"]);
    assert!(env.output(["cat", "images:/large"]).stdout == bytes);
}
