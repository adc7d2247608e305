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
    // Files with the same bytes are left untouched.
    insta::assert_snapshot!(env.pv(["get", "images", "out"]), @r"
    --- stderr
    2 files · 11 B → out, 2 unchanged
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
    error: `out/run.sh` has different content
    hint: --force replaces them
    --- exit 4
    ");
    assert!(!env.work().join("out/cam7").exists());
    env.ok(["get", "images", "out", "--force"]);
    assert_eq!([env.read("out/run.sh"), env.read("out/cam7/a.jpg")], ["#!/bin/sh\n", "a"]);
}

#[test]
fn by_force_a_directory_takes_the_place_of_a_file_and_the_reverse() {
    let env = env_with_files();
    env.write("out/cam7", "a file");
    env.write("out/run.sh/deep/x", "in a directory");
    env.write("out/run.sh/y", "too");
    let before = env.pv(["get", "images", "out"]);
    assert!(before.contains("`out/cam7` is a file where a directory is needed"), "{before}");
    assert!(before.contains("`out/run.sh` is a directory"), "{before}");
    assert!(before.contains("removes the 2 files") && before.ends_with("--- exit 4"), "{before}");
    assert_eq!(env.read("out/cam7"), "a file");
    insta::assert_snapshot!(env.pv(["get", "images", "out", "--force"]), @r"
    --- stderr
    removed 2 files in directories that were replaced by files
    2 files · 11 B → out
    ");
    assert_eq!([env.read("out/run.sh"), env.read("out/cam7/a.jpg")], ["#!/bin/sh\n", "a"]);
    let left: Vec<_> = std::fs::read_dir(env.work().join("out")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // A store is not overwritten by a file.
    std::fs::remove_file(env.work().join("out/run.sh")).unwrap();
    env.ok(["init", "out/run.sh"]);
    assert_eq!(env.exit_code(["get", "images", "out", "--force"]), 4);
    assert!(env.work().join("out/run.sh/.pv/format").exists());
}

#[test]
fn a_sparse_file_comes_back_sparse() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let env = test_env!();
    let file = std::fs::File::create(env.work().join("sparse")).unwrap();
    file.set_len(24 << 20).unwrap();
    file.write_all_at(b"in the middle", 11 << 20).unwrap();
    env.ok(["put", "images", "sparse"]);
    env.ok(["get", "images", "out"]);
    let back = std::fs::metadata(env.work().join("out/sparse")).unwrap();
    assert_eq!(back.len(), 24 << 20);
    assert!(back.blocks() * 512 < 1 << 20, "{} bytes on the disk", back.blocks() * 512);
    let bytes = |path: &str| std::fs::read(env.work().join(path)).unwrap();
    assert!(bytes("out/sparse") == bytes("sparse"));
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
    error: `images` has no path
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
