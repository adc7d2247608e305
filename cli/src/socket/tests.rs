use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use engine::Engine;
use engine::changes::By;
use engine::executor::scripted::{Reply, ScriptedExecutor};
use repos::journal::{Entry, RepoKind};
use repos::{Change, Publisher, Store};
use specs::{BranchName, ErrorKind};

use super::client::{Owner, hand_over};
use super::server::{Serving, serve};
use crate::args::Flags;
use crate::context::{Cancel, Context, Environment, Outside, Streams};

/// A store that this process owns and serves, in a folder whose path is longer than a socket's address may be.
struct Place {
    dir: std::path::PathBuf,
    _serving: Serving,
    _temporary: tempfile::TempDir,
}

fn place() -> Place {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("deep".repeat(30)).join("deeper".repeat(20));
    std::fs::create_dir_all(&dir).unwrap();
    let store = Store::init(&dir, BranchName::main()).unwrap();
    store.own().unwrap();
    let by = By { author: "owner".to_owned(), committer: "owner".to_owned() };
    let executor = Arc::new(ScriptedExecutor::new(|_| Reply::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = runtime.block_on(Engine::new(store, by, executor, 1)).unwrap();
    let serving = serve(&Arc::new(engine)).unwrap();
    Place { dir, _serving: serving, _temporary: temporary }
}

/// A context of a process that does not own the store, with files as its streams.
fn called_in(dir: &std::path::Path) -> (Context, File, File) {
    let file = || tempfile::tempfile().unwrap();
    let (stdin, stdout, stderr) = (file(), file(), file());
    let read = (stdout.try_clone().unwrap(), stderr.try_clone().unwrap());
    let outside = Outside {
        streams: Streams { stdin, stdout, stderr },
        cwd: dir.to_owned(),
        env: Environment::new([("PV_AUTHOR".into(), "Anna".into())]),
        uid: rustix::process::getuid().as_raw(),
        cancel: Cancel::default(),
        is_handed_over: false,
    };
    (Context::new(outside, Flags::default(), None).unwrap(), read.0, read.1)
}

fn text(mut file: &File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn call(dir: &std::path::Path, args: &[&str]) -> (u8, String, String) {
    let (cx, stdout, stderr) = called_in(dir);
    let command_line: Vec<_> = ["pv"].iter().chain(args).map(Into::into).collect();
    let exit_code = hand_over(&cx, &command_line, false).unwrap().expect("somebody owns the store");
    (exit_code, text(&stdout), text(&stderr))
}

#[test]
fn a_command_is_run_by_the_owner_over_the_callers_streams() {
    let place = place();
    assert_eq!(call(&place.dir, &["repo", "create", "images"]), (0, "images\n".to_owned(), String::new()));
    std::fs::create_dir(place.dir.join("work")).unwrap();
    std::fs::write(place.dir.join("work/a.jpg"), "a").unwrap();
    // Relative to the caller's folder, in the caller's name.
    let (exit_code, put, _) = call(&place.dir.join("work"), &["put", "images", "a.jpg"]);
    assert!(exit_code == 0 && put.starts_with("images@"), "{put}");
    let (_, shown, _) = call(&place.dir, &["show", "images"]);
    assert!(shown.contains("author     Anna\n"), "{shown}");
    let uid = rustix::process::getuid().as_raw();
    assert!(shown.contains(&format!("committer  uid:{uid}@")), "{shown}");
    let (exit_code, printed, error) = call(&place.dir, &["cat", "imags:/a.jpg"]);
    assert_eq!((exit_code, printed.as_str()), (3, ""));
    assert_eq!(error, "error: repository `imags` not found\nhint: did you mean `images`?\n");
}

#[test]
fn the_last_step_of_a_change_is_made_by_the_owner() {
    let place = place();
    let owner = Owner::of(&place.dir);
    let entry = Entry::RepoCreate { repo: "images".parse().unwrap(), repo_kind: RepoKind::User };
    let change = Change::of(vec![entry]);
    assert_eq!(owner.publish(&change, &[]).unwrap(), Some(()));
    let error = owner.publish(&change, &[]).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Conflict, "repository `images` exists already".to_owned())
    );
    // A store that was opened beside the owner uses this by itself.
    let other = Store::open(&place.dir).unwrap();
    other.set_publisher(Arc::new(Owner::of(&place.dir)));
    let entry = Entry::RepoCreate { repo: "rules".parse().unwrap(), repo_kind: RepoKind::User };
    other.publish(&Change::of(vec![entry])).unwrap();
    assert_eq!(call(&place.dir, &["repo", "list", "--json"]).1.lines().count(), 2);
}

#[test]
fn only_the_owners_user_may_connect_and_nobody_answers_afterwards() {
    let place = place();
    let socket = place.dir.join(".pv/socket");
    assert_eq!(std::fs::symlink_metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let Place { dir, _serving: serving, _temporary } = place;
    drop(serving);
    assert!(!socket.exists());
    let (cx, _, _) = called_in(&dir);
    assert!(hand_over(&cx, &["pv".into(), "ls".into()], false).unwrap().is_none());
}

#[test]
fn the_end_of_the_connection_cancels_the_command() {
    let place = place();
    call(&place.dir, &["repo", "create", "images"]);
    // The command waits for its standard input, a pipe that stays open until it is cancelled.
    let (reader, writer) = std::io::pipe().unwrap();
    let (cx, stdout, _) = called_in(&place.dir);
    let streams = Streams {
        stdin: std::os::fd::OwnedFd::from(reader).into(),
        stdout: stdout.try_clone().unwrap(),
        stderr: cx.outside().streams.stderr.try_clone().unwrap(),
    };
    let folder = File::open(place.dir.join(".pv")).unwrap();
    let stream = std::os::unix::net::UnixStream::connect(super::short_path(&folder)).unwrap();
    let request = super::protocol::Request::Command {
        argv: ["pv", "put", "images", "-", "--as", "/x"].map(Into::into).to_vec(),
        cwd: place.dir.clone(),
        env: Vec::new(),
    };
    super::protocol::send_request(&stream, &request, Some(&streams)).unwrap();
    drop((streams, stream));
    // The owner goes on answering others, and by then it has long seen that nobody waits for the first answer.
    for _ in 0..50 {
        let (exit_code, _, _) = call(&place.dir, &["ls", "--json"]);
        assert_eq!(exit_code, 0);
    }
    // Whatever it was about to say is not said any more.
    drop(writer);
    let (exit_code, _, _) = call(&place.dir, &["ls", "--json"]);
    assert_eq!(exit_code, 0);
    assert_eq!(text(&stdout), "");
}

#[test]
fn a_caller_whom_an_ending_owner_does_not_take_goes_on_by_itself() {
    let Place { dir, _serving: serving, _temporary } = place();
    drop(serving);
    let folder = File::open(dir.join(".pv")).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(super::short_path(&folder)).unwrap();
    let ending = std::thread::spawn(move || listener.incoming().take(2).for_each(drop));
    let (cx, _, _) = called_in(&dir);
    assert!(hand_over(&cx, &["pv".into(), "ls".into()], false).unwrap().is_none());
    assert_eq!(Owner::of(&dir).publish(&Change::of(Vec::new()), &[]).unwrap(), None);
    ending.join().unwrap();
}
