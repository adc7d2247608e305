//! `pv watch`: folders whose files are committed as they arrive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{TestEnv, test_env};

use crate::support::*;

const SETTLE: &str = "30ms";

/// A store with a repository `images` and a folder `in` with one file.
fn place() -> TestEnv {
    let env = test_env!();
    env.write("in/a.jpg", "one");
    env
}

fn paths(env: &TestEnv, reference: &str) -> Vec<String> {
    let files = env.json(["ls", "-r", reference]);
    files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn once_commits_what_is_there_and_ends() {
    let env = place();
    env.write("in/cam7/b.jpg", "two");
    env.write("in/c.part", "half");
    let made =
        &env.json(["watch", "in", "images:/raw", "--once", "--settle", SETTLE, "-m", "{files} from {folder}"])[0];
    assert_eq!((&made["added"], &made["repo"]), (&json!(2), &json!("images")));
    assert_eq!(paths(&env, "images"), ["/raw/a.jpg", "/raw/cam7/b.jpg"]);
    assert_eq!(env.json(["show", "images"])[0]["message"], "2 from in");
    assert_eq!(env.json(["watch", "in", "images:/raw", "--once", "--settle", SETTLE]), Vec::<Value>::new());
}

#[test]
fn files_are_committed_as_they_come_until_it_is_stopped() {
    let env = place();
    let watch = Background::start(&env, ["watch", "in", "images", "--settle", SETTLE]);
    until_true("the first commit", || watch.stdout().contains("1 added"));
    env.write("in/new/b.jpg", "two");
    until_true("the second commit", || watch.stdout().lines().count() == 2);
    watch.send(Signal::SIGTERM);
    let ended = watch.end().assert_code(0);
    assert!(ended.stderr.contains("Ctrl-C stops"), "{}", ended.stderr);
    assert_eq!(paths(&env, "images"), ["/a.jpg", "/new/b.jpg"]);
}

/// The signal comes while a commit is being made.
#[cfg(debug_assertions)]
#[test]
fn a_watch_that_is_stopped_prints_the_commit_that_it_makes_at_that_moment() {
    let env = place();
    let mut command = env.command(["watch", "in", "images", "--settle", SETTLE]);
    command.env("PV_STOP_AT", "pause:publish.begin");
    let watch = Background::of(&env, command);
    until_true("a commit that is being made", || watch.stands_still());
    watch.send(Signal::SIGTERM);
    watch.send(Signal::SIGCONT);
    let ended = watch.end().assert_code(0);
    assert!(ended.stdout.contains("1 added"), "{ended:?}");
    assert_eq!(paths(&env, "images"), ["/a.jpg"]);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_read() {
    let env = place();
    for (args, says) in [
        (&["watch", "nowhere", "images"][..], "is not a folder of this machine"),
        (&["watch", "in", "images", "--mirror", "--delete"], "would be removed from the branch by --mirror too"),
        (&["watch", "in", "images", "--move-to", "in/done"], "is in the watched folder"),
        (&["watch", "in", "images", "-m", "{nothing}"], "`{nothing}` is not known in a message"),
        (&["watch"], "pv watch"),
    ] {
        let output = env.output(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
    assert_eq!(env.exit_code(["watch", "in", "none", "--once"]), 3);
    assert_eq!(paths(&env, "images"), [""; 0]);
}

#[test]
fn what_cannot_be_committed_is_named_and_fails_only_at_the_end() {
    let env = place();
    std::os::unix::fs::symlink("nowhere", env.work().join("in/dangling")).unwrap();
    let output = env.output(["watch", "in", "images", "--once", "--settle", SETTLE]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("dangling` is a link to nothing"), "{said}");
    assert_eq!(paths(&env, "images"), ["/a.jpg"]);
}

#[test]
fn files_go_only_after_their_commit() {
    let env = place();
    env.ok(["watch", "in", "images", "--once", "--settle", SETTLE, "--move-to", "done"]);
    assert_eq!(env.read("done/a.jpg"), "one");
    env.write("in/b.jpg", "two");
    env.ok(["watch", "in", "images", "--once", "--settle", SETTLE, "--delete"]);
    assert!(!env.work().join("in/b.jpg").exists());
    assert_eq!(paths(&env, "images"), ["/a.jpg", "/b.jpg"]);
}

#[test]
fn the_store_keeps_watches_which_serve_runs() {
    let env = place();
    env.ok(["watch", "add", "in", "images", "--settle", SETTLE, "--name", "hall"]);
    assert_eq!(env.exit_code(["watch", "add", "in", "images", "--name", "hall"]), 4);
    let serve = serve(&env);
    until_true("the first file", || paths(&env, "images") == ["/a.jpg"]);
    let listed = || env.json(["watch", "list"])[0].clone();
    until_true("its state", || listed()["files"] == 1);
    assert!(listed()["last_commit_at"].is_string());

    env.ok(["watch", "pause", "hall"]);
    assert_eq!(listed()["paused"], true);
    env.ok(["watch", "add", "in", "images:/second", "--settle", SETTLE]);
    env.write("in/b.jpg", "two");
    until_true("the other watch", || paths(&env, "images").contains(&"/second/b.jpg".to_owned()));
    assert!(!paths(&env, "images").contains(&"/b.jpg".to_owned()));
    env.ok(["watch", "resume", "hall"]);
    until_true("what came meanwhile", || paths(&env, "images").contains(&"/b.jpg".to_owned()));

    std::os::unix::fs::symlink("nowhere", env.work().join("in/dangling")).unwrap();
    until_true("what needs the user", || {
        let status = &env.json(["status"])[0];
        status["needs_you"].as_array().unwrap().iter().any(|need| need["watch"] == "hall")
    });
    assert!(env.ok(["watch", "list"]).contains("needs you"));
    env.ok(["watch", "delete", "hall", "--yes"]);
    assert_eq!(env.exit_code(["watch", "delete", "hall", "--yes"]), 3);
    serve.send(Signal::SIGTERM);
    serve.end().assert_code(0);
    assert_eq!(env.json(["watch", "list"]).len(), 1);
    assert_sound(&env);
}

/// Whether the server watches itself or another process does.
#[test]
fn what_a_watch_commits_is_processed_by_the_engine() {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    env.write("in/standing", "one");
    env.ok(["watch", "add", "in", "notes", "--settle", SETTLE]);
    let serve = serve(&env);
    until_true("the output of what the server watches", || paths(&env, "copy").contains(&"/standing".to_owned()));
    env.write("other/passing", "two");
    let watch = Background::start(&env, ["watch", "other", "notes", "--settle", SETTLE]);
    until_true("the output of what another watches", || paths(&env, "copy").contains(&"/passing".to_owned()));
    for process in [watch, serve] {
        process.send(Signal::SIGTERM);
        process.end().assert_code(0);
    }
    assert_sound(&env);
}

/// Names of files and their content, as a writer leaves them: each is written in pieces, half of them under another name first.
fn write_files(folder: &Path, count: usize, random: &mut Random) {
    for number in 0..count {
        let name = folder.join(format!("f{number:05}"));
        let is_renamed = number % 2 == 0;
        let written = if is_renamed { name.with_extension("part") } else { name.clone() };
        let mut file = fs::File::create(&written).unwrap();
        file.write_all(format!("{number}").as_bytes()).unwrap();
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(20)));
        }
        file.write_all(" end".as_bytes()).unwrap();
        drop(file);
        if is_renamed {
            fs::rename(&written, &name).unwrap();
        }
    }
}

/// Checks that the branch has each of these files, whole, and that each was committed once.
fn assert_each_once(env: &TestEnv, count: usize) {
    let to = env.dir().join("got");
    env.ok(["get", "images", to.to_str().unwrap(), "--force"]);
    for number in 0..count {
        let content = fs::read_to_string(to.join(format!("f{number:05}"))).unwrap();
        assert_eq!(content, format!("{number} end"));
    }
    for number in 0..count {
        let changes = env.json(["log", &format!("images:/f{number:05}")]);
        assert_eq!(changes.len(), 1, "{changes:?}");
    }
}

/// `PV_KILLS` sets how often; `PV_SEED` when.
#[test]
fn nothing_is_lost_or_doubled_when_watchers_and_servers_are_killed() {
    let (kills, seed) = (number("PV_KILLS", 6), number("PV_SEED", 1));
    let env = place();
    fs::remove_file(env.work().join("in/a.jpg")).unwrap();
    // In the folder itself, by a server; and by one of its own, of the same folder.
    env.ok(["watch", "add", "in", "images", "--settle", SETTLE]);
    let count = 20 * kills;
    std::thread::scope(|scope| {
        let folder = env.work().join("in");
        let writer = scope.spawn(move || write_files(&folder, count, &mut Random(seed)));
        let mut random = Random(seed + 1);
        for kill in 0..kills {
            let both = [
                (kill % 3 != 0).then(|| Background::start(&env, ["watch", "in", "images", "--settle", SETTLE])),
                (kill % 3 != 1).then(|| Background::of(&env, env.command(["serve", "-j", "1"]))),
            ];
            std::thread::sleep(Duration::from_millis(random.below(900)));
            both.into_iter().flatten().for_each(|process| drop(process.kill_9()));
        }
        writer.join().unwrap();
    });
    env.ok(["watch", "in", "images", "--once", "--settle", SETTLE]);
    assert_each_once(&env, count);
    assert_sound(&env);
}

/// As above, but each file is moved once it is committed: none may be only in the folder it came from, or nowhere.
#[test]
fn no_file_is_lost_when_a_watch_that_moves_files_is_killed() {
    let (kills, seed) = (number("PV_KILLS", 4), number("PV_SEED", 1));
    let env = place();
    fs::remove_file(env.work().join("in/a.jpg")).unwrap();
    let count = 20 * kills;
    let args = ["watch", "in", "images", "--settle", SETTLE, "--move-to", "done"];
    std::thread::scope(|scope| {
        let folder = env.work().join("in");
        let writer = scope.spawn(move || write_files(&folder, count, &mut Random(seed)));
        let mut random = Random(seed + 2);
        for _ in 0..kills {
            let watch = Background::start(&env, args);
            std::thread::sleep(Duration::from_millis(random.below(700)));
            watch.kill_9();
        }
        writer.join().unwrap();
    });
    env.ok([&args[..], &["--once"]].concat());
    assert_each_once(&env, count);
    let left = fs::read_dir(env.work().join("in")).unwrap().count();
    let moved = fs::read_dir(env.work().join("done")).unwrap().count();
    assert_eq!((left, moved), (0, count));
}

#[test]
fn a_folder_with_more_folders_than_may_be_watched_is_looked_at_and_that_is_said() {
    let env = place();
    for number in 0..12 {
        env.write(format!("in/d{number:02}/b.jpg"), "two");
    }
    let mut command = Command::new("unshare");
    let limited = "echo 8 >/proc/sys/user/max_inotify_watches && exec \"$@\"";
    command.args(["-U", "-r", "sh", "-c", limited, "sh"]);
    let pv = env.command(["watch", "in", "images", "--settle", SETTLE]);
    command.arg(pv.get_program()).args(pv.get_args()).current_dir(env.work()).env_clear();
    command.envs(pv.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut watch = Background::of(&env, command);
    if watch.is_over() || cannot_unshare() {
        return skip("no user namespaces here");
    }
    until_true("all files", || paths(&env, "images").len() == 13);
    env.write("in/d11/c.jpg", "three");
    until_true("a file that came later", || paths(&env, "images").len() == 14);
    watch.send(Signal::SIGTERM);
    let said = watch.end().assert_code(0).stderr;
    assert!(said.contains("looking again and again: the kernel's limit of watched folders is reached"), "{said}");
    assert!(said.contains("fs.inotify.max_user_watches"), "{said}");
}

fn cannot_unshare() -> bool {
    let write = ["-U", "-r", "sh", "-c", "echo 8 >/proc/sys/user/max_inotify_watches"];
    !Command::new("unshare").args(write).output().is_ok_and(|done| done.status.success())
}

#[test]
fn a_full_disk_is_said_once_and_what_fits_is_committed() {
    let env = place();
    let disk = env.dir().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "pv-test"]).arg(&disk).output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        return skip("nothing can be mounted here");
    }
    let unmount = Unmount(disk.clone());
    let store = disk.to_str().unwrap();
    env.ok(["--store", store, "init"]);
    env.ok(["--store", store, "repo", "create", "images"]);
    fs::write(env.work().join("in/large.bin"), noise(40 << 20, 7)).unwrap();
    env.write("in/z.jpg", "last");
    let args = ["--store", store, "watch", "in", "images", "--settle", SETTLE];
    let watch = Background::start(&env, args);
    let listed = || {
        let files = env.json(["--store", store, "ls", "-r", "images"]);
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    until_true("the files that fit", || listed() == ["/a.jpg", "/z.jpg"]);
    until_true("what does not", || watch.stderr().contains("large.bin` does not fit"));
    env.write("in/more.jpg", "more");
    until_true("a file that comes later", || listed().len() == 3);
    assert_eq!(watch.stderr().matches("large.bin").count(), 1, "{}", watch.stderr());
    fs::remove_file(env.work().join("in/large.bin")).unwrap();
    watch.send(Signal::SIGTERM);
    watch.end().assert_code(0);
    drop(unmount);
}

/// A mounted folder, until this is dropped.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
