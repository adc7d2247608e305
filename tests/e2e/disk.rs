//! Disks that are full or read-only: nothing is lost, nothing is partial, and the error says what to do.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tests::TestEnv;

use crate::support::*;

/// A small file system below the folder of a test.
struct Disk {
    env: TestEnv,
    dir: PathBuf,
}

impl Disk {
    /// Skips with a message and returns `None` if mounting is not allowed.
    fn of(megabytes: u32) -> Option<Self> {
        let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
        let dir = env.dir().join("disk");
        fs::create_dir(&dir).unwrap();
        let options = format!("size={megabytes}m,mode=0755");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "pv-test"]).arg(&dir).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self { env, dir });
        }
        skip("nothing can be mounted here");
        None
    }

    /// With a store that has `images` with `/first`.
    fn with_store(megabytes: u32) -> Option<Self> {
        let disk = Self::of(megabytes)?;
        disk.ok(&["init"]);
        disk.ok(&["repo", "create", "images"]);
        disk.env.write("first", "the first");
        disk.ok(&["put", "images", "first"]);
        Some(disk)
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--store", self.dir.to_str().unwrap()], args].concat()
    }

    fn pv(&self, args: &[&str]) -> Output {
        self.env.output(self.args(args))
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.pv(args);
        assert!(output.status.success(), "{args:?}: {}", self.env.shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether it succeeded. A failure must be caused by the disk, and must say that nothing was done, and what to try.
    #[track_caller]
    fn tried(&self, args: &[&str]) -> Result<(), Value> {
        let output = self.pv(&[&["--json"], args].concat());
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8(output.stderr).unwrap();
        let error: Value = serde_json::from_str(stderr.lines().last().unwrap_or_default()).unwrap();
        let error = error["error"].clone();
        assert_eq!((output.status.code(), &error["kind"]), (Some(6), &Value::from("unavailable")), "{args:?}: {error}");
        assert!(error["done"].as_str().unwrap().starts_with("nothing"), "{args:?}: {error}");
        assert!(error["hint"].is_string(), "{args:?}: {error}");
        Err(error)
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) -> Value {
        self.tried(args).unwrap_err()
    }

    /// Checks that everything committed is readable, and that the store is sound.
    #[track_caller]
    fn assert_readable(&self) {
        assert_eq!(self.ok(&["cat", "images:/first"]), "the first");
        for args in [&["ls", "-r", "images"][..], &["log"], &["log", "images"], &["status"]] {
            assert!(!self.ok(args).is_empty(), "{args:?}");
        }
        assert!(self.ok(&["--json", "fsck"]).contains("\"sound\":true"));
    }

    /// Takes all space except for about `pages` of 4 KiB.
    fn fill(&self, pages: usize) -> PathBuf {
        let path = self.dir.join("filler");
        let mut filler = File::create(&path).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(4096 * pages as u64)).unwrap();
        path
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.dir).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.dir).status().ok();
    }
}

/// Incompressible bytes.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(word).take(length).collect()
}

fn parts(dir: &Path) -> usize {
    let packs = fs::read_dir(dir.join(".pv/packs")).unwrap();
    packs.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "part")).count()
}

#[test]
fn a_put_that_does_not_fit_leaves_all_as_it_was() {
    let Some(disk) = Disk::with_store(8) else { return };
    disk.env.write("large", noise(20 << 20, 1));
    for number in 0..1500 {
        disk.env.write(format!("many/{number}"), noise(8 << 10, number));
    }
    for source in ["large", "many"] {
        let error = disk.refused(&["put", "images", source]);
        assert!(error["hint"].as_str().unwrap().contains("free"), "{error}");
        disk.assert_readable();
        assert_eq!((disk.ok(&["--json", "log", "images"]).lines().count(), parts(&disk.dir)), (1, 0));
    }
    disk.env.write("fits", noise(1 << 20, 2));
    disk.ok(&["put", "images", "fits"]);
    disk.assert_readable();
}

#[test]
fn a_full_disk_keeps_nobody_from_reading_and_a_change_happens_or_does_not() {
    let Some(disk) = Disk::with_store(6) else { return };
    disk.env.write("steps", "{\"put\":\"images\",\"from\":\"next\"}\n{\"branch_create\":\"images@try\"}\n");
    let mut commits = 1;
    for pages in [0, 1, 2, 3, 4, 6, 8, 12] {
        let filler = disk.fill(pages);
        disk.assert_readable();
        disk.env.write("next", noise(300, pages as u64));
        for args in [&["put", "images", "next"][..], &["rm", "images:/next"]] {
            let there = disk.ok(&["ls", "-r", "images"]).contains("/next");
            if args[0] == "rm" && !there {
                continue;
            }
            commits += usize::from(disk.tried(args).is_ok());
            disk.assert_readable();
            assert_eq!(disk.ok(&["--json", "log", "images"]).lines().count(), commits, "{pages} pages, {args:?}");
        }
        if pages == 0 {
            disk.refused(&["txn", "steps"]);
            // A line of the journal, or the space of the old index, may be enough.
            for args in [&["repo", "create", "more"][..], &["fsck", "--rebuild-index"]] {
                disk.tried(args).ok();
                disk.assert_readable();
            }
        }
        fs::remove_file(filler).unwrap();
        disk.assert_readable();
    }
    disk.ok(&["fsck", "--rebuild-index"]);
    disk.ok(&["txn", "steps"]);
    disk.ok(&["run"]);
    disk.assert_readable();
    let filler = disk.fill(0);
    disk.assert_readable();
    disk.pv(&["run"]);
    disk.assert_readable();
    fs::remove_file(filler).unwrap();
    disk.env.write("last", "last");
    disk.ok(&["put", "images", "last"]);
    disk.assert_readable();
}

#[test]
fn an_index_that_is_far_behind_is_caught_up_when_there_is_room_again() {
    let Some(disk) = Disk::with_store(6) else { return };
    for number in 0..5000 {
        disk.env.write(format!("many/{number}"), format!("{number}"));
    }
    disk.ok(&["put", "images:/many", "many"]);
    fs::remove_dir_all(disk.dir.join(".pv/index")).unwrap();
    let filler = disk.fill(2);
    disk.assert_readable();
    fs::remove_file(filler).unwrap();
    disk.assert_readable();
    assert!(disk.dir.join(".pv/index/CURRENT").exists(), "more rows than are kept in memory");
}

#[test]
fn init_on_a_full_disk_says_so_and_works_when_there_is_room() {
    let Some(disk) = Disk::of(4) else { return };
    let filler = disk.fill(0);
    disk.refused(&["init"]);
    fs::remove_file(filler).unwrap();
    disk.ok(&["init"]);
    disk.ok(&["repo", "create", "images"]);
    assert!(disk.ok(&["--json", "fsck"]).contains("\"sound\":true"));
}

#[test]
fn a_read_only_store_is_read_as_ever() {
    let Some(disk) = Disk::with_store(6) else { return };
    disk.remount("ro");
    disk.assert_readable();
    disk.ok(&["get", "images", "out"]);
    assert_eq!(disk.env.read("out/first"), "the first");
    disk.env.write("second", "2");
    for args in [&["put", "images", "second"][..], &["rm", "images:/first"], &["repo", "create", "more"]] {
        let error = disk.refused(args);
        assert!(error["causes"].to_string().contains("Read-only"), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("writable"), "{error}");
    }
    disk.remount("rw");
    disk.ok(&["put", "images", "second"]);
    disk.assert_readable();
}

#[test]
fn a_store_of_another_user_can_be_read_and_not_changed() {
    let Some(disk) = Disk::with_store(6) else { return };
    for dir in [disk.env.dir().to_owned(), disk.env.work()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    disk.env.write("second", "2");
    // The binary may be in a folder that other users cannot access: it is open already.
    let binary = File::open(env!("CARGO_BIN_EXE_pv")).unwrap();
    let as_nobody = |args: &[&str]| {
        let plain = disk.env.command(disk.args(args));
        let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
        command.args(plain.get_args()).env_clear().current_dir(disk.env.work()).uid(65534).gid(65534);
        command.output().unwrap()
    };
    let read = as_nobody(&["cat", "images:/first"]);
    assert_eq!(read.stdout, b"the first", "{}", disk.env.shown(&read));
    let put = as_nobody(&["--json", "put", "images", "second"]);
    let told = String::from_utf8(put.stderr).unwrap();
    assert_eq!(put.status.code(), Some(6), "{told}");
    assert!(told.contains("nothing was committed") && told.contains("Permission denied"), "{told}");
    disk.assert_readable();
}
