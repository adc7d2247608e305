//! Commands of one process run by the owner of the store: both sides of the socket, with real commands.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::Engine;
use engine::run::Actor;
use repos::journal::{Entry, RepoKind};
use repos::{Change, Publisher, Store};
use sandbox::scripted::{Reply, ScriptedExecutor};
use specs::{BranchName, ErrorKind};

use super::RUN_FOR;
use crate::error::{CliError, Result};
use crate::invocation::{Cancel, Client, Environment, Files, Invocation, Streams};
use crate::socket::protocol::{
    Answer, Memory, Request, is_taken, receive_answer, receive_request, receive_with_output, send_request,
};
use crate::socket::server::{Limits, Serving, Work, serve_within, spawn};
use crate::socket::{HandedOver, Owner, Repeat, hand_over, short_path};

/// A store that this process owns and serves, in a folder whose path is longer than a socket address may be.
struct OwnedStore {
    dir: std::path::PathBuf,
    serving: Serving,
    _temporary: tempfile::TempDir,
}

fn place() -> OwnedStore {
    place_within(Limits::default())
}

fn place_within(limits: Limits) -> OwnedStore {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("deep".repeat(30)).join("deeper".repeat(20));
    std::fs::create_dir_all(&dir).unwrap();
    let store = Store::init(&dir, BranchName::main()).unwrap();
    store.own().unwrap();
    let by = Actor { author: "owner".to_owned(), committer: "owner".to_owned() };
    let executor = Arc::new(ScriptedExecutor::new(|_| Reply::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = runtime.block_on(Engine::new(store, by, executor, 1)).unwrap();
    let serving = serve_within(&Arc::new(engine), RUN_FOR, limits).unwrap();
    OwnedStore { dir, serving, _temporary: temporary }
}

fn connect(dir: &Path) -> UnixStream {
    let folder = File::open(dir.join(".pv")).unwrap();
    UnixStream::connect(short_path(&folder)).unwrap()
}

/// Waits for the end of a connection; returns what was received.
fn rest(mut stream: &UnixStream) -> String {
    let mut rest = Vec::new();
    // Closing a connection before everything was read gives an error.
    stream.read_to_end(&mut rest).ok();
    String::from_utf8(rest).unwrap()
}

/// Reads a pipe until all its writers are closed.
fn read_to_end(mut pipe: std::io::PipeReader) -> String {
    let mut all = String::new();
    pipe.read_to_string(&mut all).unwrap();
    all
}

/// A process that does not own the store, with files as its streams.
fn called_in(dir: &Path) -> (Invocation, File, File) {
    let file = || tempfile::tempfile().unwrap();
    let (stdin, stdout, stderr) = (file(), file(), file());
    let read = (stdout.try_clone().unwrap(), stderr.try_clone().unwrap());
    let invocation = Invocation {
        streams: Streams { stdin, stdout, stderr },
        cwd: dir.to_owned(),
        env: Environment::new([("PV_AUTHOR".into(), "Anna".into())]),
        uid: rustix::process::getuid().as_raw(),
        cancel: Cancel::default(),
        client: Client::default(),
        files: Files::default(),
    };
    (invocation, read.0, read.1)
}

/// Hands over a command of a process whose folder is the store's or below.
fn hand(called: &Invocation, argv: &[OsString], repeat: Repeat) -> Result<Option<HandedOver>> {
    hand_over(&Store::find(&called.cwd).unwrap(), called, argv, repeat)
}

fn text(mut file: &File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn call(dir: &Path, args: &[&str]) -> (u8, String, String) {
    let (called, stdout, stderr) = called_in(dir);
    let command_line: Vec<_> = ["pv"].iter().chain(args).map(Into::into).collect();
    let done = hand(&called, &command_line, Repeat::Never).unwrap().expect("somebody owns the store");
    let [printed, said] = done.output.map(|bytes| String::from_utf8(bytes).unwrap());
    (done.exit_code, text(&stdout) + &printed, text(&stderr) + &said)
}

#[test]
fn a_command_is_run_by_the_owner_over_the_callers_streams() {
    let place = place();
    assert_eq!(call(&place.dir, &["repo", "create", "images"]), (0, "images\n".to_owned(), String::new()));
    std::fs::create_dir(place.dir.join("work")).unwrap();
    std::fs::write(place.dir.join("work/a.jpg"), "a").unwrap();
    // Relative to the caller's folder, with the caller's identity.
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
        (ErrorKind::Conflict, "repository `images` already exists".to_owned())
    );
    // A store opened beside the owner uses the publisher automatically.
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
    let OwnedStore { dir, serving, _temporary } = place;
    drop(serving);
    assert!(!socket.exists());
    let (called, _, _) = called_in(&dir);
    assert!(hand(&called, &["pv".into(), "ls".into()], Repeat::Never).unwrap().is_none());
}

/// A command in the owner that waits for its standard input, with pipes as its streams.
struct Waiting {
    stream: UnixStream,
    stdin: std::io::PipeWriter,
    stdout: std::io::PipeReader,
}

fn put_from_pipe(dir: &Path) -> Waiting {
    let (read, stdin) = std::io::pipe().unwrap();
    let (stdout, write) = std::io::pipe().unwrap();
    let file = |fd: OwnedFd| File::from(fd);
    let streams = Streams {
        stdin: file(read.into()),
        stdout: file(write.try_clone().unwrap().into()),
        stderr: file(write.into()),
    };
    let stream = connect(dir);
    let argv = ["pv", "put", "images", "-", "--as", "/x"].map(Into::into).to_vec();
    let request = Request::Command { argv, cwd: dir.to_owned(), env: Vec::new(), takes_output: true };
    send_request(&stream, &request, Some(&streams)).unwrap();
    assert!(is_taken(&stream));
    Waiting { stream, stdin, stdout }
}

#[test]
fn the_end_of_the_connection_cancels_the_command() {
    let place = place();
    call(&place.dir, &["repo", "create", "images"]);
    // The command waits for its standard input, a pipe that stays open.
    let Waiting { stream, stdin, stdout } = put_from_pipe(&place.dir);
    drop(stream);
    // It releases its streams without output.
    assert_eq!(read_to_end(stdout), "");
    drop(stdin);
    assert_eq!(call(&place.dir, &["show", "images"]).0, 3, "the branch was not made");
}

#[test]
fn a_caller_whom_an_ending_owner_does_not_take_goes_on_by_itself() {
    let OwnedStore { dir, serving, _temporary } = place();
    drop(serving);
    let folder = File::open(dir.join(".pv")).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(short_path(&folder)).unwrap();
    let ending = std::thread::spawn(move || listener.incoming().take(2).for_each(drop));
    let (called, _, _) = called_in(&dir);
    assert!(hand(&called, &["pv".into(), "ls".into()], Repeat::Never).unwrap().is_none());
    assert_eq!(Owner::of(&dir).publish(&Change::of(Vec::new()), &[]).unwrap(), None);
    ending.join().unwrap();
}

#[test]
fn a_request_that_does_not_come_whole_in_its_time_is_not_taken() {
    let place = place_within(Limits { request: Duration::from_millis(50), ..Limits::default() });
    for begun in [&b""[..], b"{\"command\": {\"argv\"", b"no JSON\n"] {
        let mut stream = connect(&place.dir);
        stream.write_all(begun).unwrap();
        assert_eq!(rest(&stream), "", "nothing is done, and the caller knows");
    }
    assert_eq!(call(&place.dir, &["repo", "create", "images"]).0, 0);
}

#[test]
fn large_requests_share_a_bound_of_memory() {
    let bound = 1 << 20;
    let place = place_within(Limits { memory: bound, ..Limits::default() });
    // The beginnings of forty requests that would each need the whole memory; none of them is ever complete.
    let begin = format!("{{\"command\": {{\"argv\": \"{}", "x".repeat(bound / 2 + (2 << 16)));
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = connect(&place.dir);
        // Writing to a refused connection fails.
        stream.write_all(begin.as_bytes()).ok();
        streams.push(stream);
    }
    assert_eq!(call(&place.dir, &["repo", "create", "images"]).0, 0, "small ones are answered meanwhile");
    // One got its memory; the others were refused.
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
    }
    let is_open = |mut stream: &UnixStream| matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    while streams.iter().filter(|stream| is_open(stream)).count() > 1 {
        std::thread::yield_now();
    }
    drop(streams);
    // All memory is free again.
    let (called, _, _) = called_in(&place.dir);
    let command_line = ["pv".to_owned(), "cat".to_owned(), "x".repeat(bound / 8)].map(Into::into);
    while hand(&called, &command_line, Repeat::Never).is_ok_and(|done| done.is_none()) {
        std::thread::yield_now();
    }
}

static NO_THREADS: AtomicBool = AtomicBool::new(false);

#[test]
fn a_thread_that_cannot_be_made_is_an_error_and_the_listener_lives_on() {
    fn sometimes(work: Work) -> std::io::Result<()> {
        if NO_THREADS.load(Ordering::SeqCst) { Err(std::io::ErrorKind::WouldBlock.into()) } else { spawn(work) }
    }
    let place = place_within(Limits { spawn: sometimes, ..Limits::default() });
    for _ in 0..3 {
        NO_THREADS.store(true, Ordering::SeqCst);
        let (called, _, _) = called_in(&place.dir);
        let error = hand(&called, &["pv".into(), "ls".into()], Repeat::Unprinted).unwrap_err();
        let CliError::Failure(failure) = error else { panic!("no failure") };
        assert_eq!(failure.kind, ErrorKind::Unavailable);
        assert!(failure.message.contains("cannot start a thread"), "{}", failure.message);
        NO_THREADS.store(false, Ordering::SeqCst);
        assert_eq!(call(&place.dir, &["ls"]).0, 0);
    }
}

#[test]
fn more_connections_than_there_may_be_are_refused_in_words() {
    let place = place_within(Limits { connections: 2, ..Limits::default() });
    call(&place.dir, &["repo", "create", "images"]);
    let idle = [connect(&place.dir), connect(&place.dir)];
    let third = connect(&place.dir);
    assert!(is_taken(&third));
    let Ok(Answer::Error { message, .. }) = receive_answer(&third) else { panic!("no answer") };
    assert!(message.contains("too many commands"), "{message}");
    drop(idle);
    let (called, _, _) = called_in(&place.dir);
    while hand(&called, &["pv".into(), "ls".into()], Repeat::Never).is_err() {
        std::thread::yield_now();
    }
}

/// Limits for an owner that does not wait long at shutdown.
fn hasty() -> Limits {
    let (patience, to_end) = (Duration::from_millis(50), Duration::from_secs(30));
    Limits { patience, to_end, ..Limits::default() }
}

#[test]
fn an_owner_at_its_end_cuts_off_whoever_does_not_come_to_his_own() {
    for is_urgent in [false, true] {
        let mut place = place_within(hasty());
        call(&place.dir, &["repo", "create", "images"]);
        let idle = connect(&place.dir);
        let waiting = put_from_pipe(&place.dir);
        assert_eq!(place.serving.end(|| is_urgent), 0, "none is left behind");
        assert_eq!(rest(&idle), "");
        let Ok(Answer::Error { message, .. }) = receive_answer(&waiting.stream) else { panic!("no answer") };
        assert!(message.contains("ended before this command did"), "{message}");
        assert_eq!(read_to_end(waiting.stdout), "");
        drop(waiting.stdin);
    }
}

#[test]
fn what_does_not_end_is_left_behind() {
    #[expect(clippy::unnecessary_wraps, reason = "it stands for a function that can fail")]
    fn lost(work: Work) -> std::io::Result<()> {
        std::mem::forget(work);
        Ok(())
    }
    let mut place = place_within(Limits { spawn: lost, to_end: Duration::from_millis(50), ..hasty() });
    let stuck = connect(&place.dir);
    // From then on the connection is registered.
    while place.serving.clients() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(place.serving.end(|| false), 1);
    drop(stuck);
}

#[test]
fn what_only_reads_is_done_again_after_a_sudden_end_unless_it_has_printed() {
    let OwnedStore { dir, serving, _temporary } = place();
    drop(serving);
    let folder = File::open(dir.join(".pv")).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(short_path(&folder)).unwrap();
    // An owner that ends before anything was printed, after a part of it, and in the middle of the answer.
    let ends = [&b"\n"[..], b"\n ", b"\n{\"printed\":{\"exit\":0,\"stdout\":9,\"stderr\":0}}\nhalf"];
    let calls = [(0, Repeat::Unprinted, true), (0, Repeat::Never, false), (1, Repeat::Unprinted, false)];
    let calls = [calls.as_slice(), &[(1, Repeat::Always, true), (2, Repeat::Unprinted, true)]].concat();
    for (end, repeat, is_done_again) in calls {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                receive_request(&stream, Duration::from_secs(90), &Memory::of(0)).unwrap();
                stream.write_all(ends[end]).unwrap();
            });
            let (called, stdout, _) = called_in(&dir);
            let handed_over = hand(&called, &["pv".into(), "ls".into()], repeat);
            assert_eq!(matches!(handed_over, Ok(None)), is_done_again, "{end} {repeat:?}");
            assert_eq!(handed_over.is_err(), !is_done_again, "{end} {repeat:?}");
            assert_eq!(text(&stdout), "", "half of an answer is not printed");
        });
    }
}

#[test]
fn a_reader_who_stands_still_does_not_hold_up_a_command_of_which_the_output_is_short() {
    let place = place();
    call(&place.dir, &["repo", "create", "images"]);
    // A full pipe.
    let (mut read, mut write) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&write).unwrap();
    rustix::fs::fcntl_setfl(&write, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while write.write(&[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&write, flags).unwrap();
    let file = |fd: OwnedFd| File::from(fd);
    let stdin = tempfile::tempfile().unwrap();
    let streams = Streams { stdin, stdout: file(write.try_clone().unwrap().into()), stderr: file(write.into()) };
    let stream = connect(&place.dir);
    let argv = ["pv", "repo", "list", "--json"].map(Into::into).to_vec();
    let request = Request::Command { argv, cwd: place.dir.clone(), env: Vec::new(), takes_output: true };
    send_request(&stream, &request, Some(&streams)).unwrap();
    assert!(is_taken(&stream));
    let Ok((Answer::Printed { exit: 0, .. }, [stdout, stderr])) = receive_with_output(&stream) else { panic!() };
    assert!(String::from_utf8(stdout).unwrap().contains("\"images\"") && stderr.is_empty());
    drop(streams);
    let mut all = Vec::new();
    read.read_to_end(&mut all).unwrap();
    assert!(all.iter().all(|byte| *byte == b'x'), "the owner wrote nothing there");
}
