//! Commands of clients on other machines: the server's side, with real commands and clients that do not behave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dial::MESSAGE_MAX;
use engine::Engine;
use engine::run::Actor;
use repos::Store;
use repos::access::Access;
use sandbox::scripted::{Reply, ScriptedExecutor};
use server::Validity;
use specs::{BranchName, ErrorKind};
use tokio::sync::mpsc;

use super::RUN_FOR;
use crate::invocation::files::{Noted, Notes, Question};
use crate::invocation::{Caller, Environment};
use crate::remote::protocol::{Hello, OutputStream, PIECE, Start, Terminals, ToClient, ToServer, notes_to_bytes};
use crate::remote::session::Sessions;

/// A line of `pv txn` that makes a branch.
const LINE: &[u8] = b"{\"branch_create\": \"images@try\"}\n";
/// A bound on waits that should be short.
const LONG: Duration = Duration::from_mins(1);

/// A store with a server.
struct Server {
    sessions: Arc<Sessions>,
    store: Store,
    /// Whether tokens are.
    is_valid: Arc<AtomicBool>,
    _temporary: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let store = Store::init(temporary.path(), BranchName::main()).unwrap();
        store.own().unwrap();
        let by = Actor { author: "owner".to_owned(), committer: "owner".to_owned() };
        let executor = Arc::new(ScriptedExecutor::new(|_| Reply::default()));
        let engine = Arc::new(Engine::new(store.clone(), by, executor, 1).await.unwrap());
        let env = Environment::new([("PV_KNOWN_STORES".into(), "none".into()), ("PV_AUTHOR".into(), "server".into())]);
        Self {
            sessions: Arc::new(Sessions::new(engine, RUN_FOR, env)),
            store,
            is_valid: Arc::new(AtomicBool::new(true)),
            _temporary: temporary,
        }
    }

    fn connect(&self) -> Connection {
        let (to, from) = mpsc::channel(16);
        let (outgoing, incoming) = mpsc::channel(16);
        let caller = Caller {
            access: Access::full("anna"),
            address: "::1".to_owned(),
            request: String::new(),
            keeps_reads: false,
            expires_at: None,
        };
        let is_valid = self.is_valid.clone();
        let validity = Validity::new(move || is_valid.load(Ordering::SeqCst));
        tokio::spawn(self.sessions.clone().attend((caller, validity), from, outgoing));
        Connection { to, from: incoming }
    }

    async fn run(&self, argv: &[&str]) -> (String, String, ToClient) {
        let mut connection = self.connect();
        connection.start(argv, Terminals::default()).await;
        connection.rest().await
    }
}

struct Connection {
    to: mpsc::Sender<Bytes>,
    from: mpsc::Receiver<Bytes>,
}

impl Connection {
    async fn send(&self, message: ToServer) {
        self.to.send(message.to_bytes()).await.ok();
    }

    /// Sends a command, and waits for the greeting.
    async fn start(&mut self, argv: &[&str], terminals: Terminals) {
        self.to.send(Hello::own().to_bytes()).await.unwrap();
        let env = [("PV_AUTHOR", "Anna"), ("TZ", "UTC"), ("HOME", "/of/the/client")];
        self.send(ToServer::Start(Box::new(Start {
            argv: ["pv"].iter().chain(argv).map(Into::into).collect(),
            cwd: "/of/the/client".into(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            terminals,
        })))
        .await;
        assert_eq!(Hello::of(&self.from.recv().await.unwrap()), Some(Hello::own()));
    }

    /// Waits until the command wants input.
    async fn until_wanted(&mut self) {
        while !matches!(self.next().await.expect("a command that reads"), ToClient::Want) {}
    }

    async fn next(&mut self) -> Option<ToClient> {
        let message = tokio::time::timeout(LONG, self.from.recv()).await.expect("a message in time")?;
        assert!(message.len() <= MESSAGE_MAX);
        Some(ToClient::of(&message).unwrap())
    }

    /// All output, and how the command ended; takes what is sent.
    async fn rest(&mut self) -> (String, String, ToClient) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            match self.next().await.expect("an end") {
                ToClient::Taken | ToClient::Want => {}
                ToClient::Output(stream, bytes) => {
                    let to = if stream == OutputStream::Stdout { &mut stdout } else { &mut stderr };
                    to.extend_from_slice(&bytes);
                    self.send(ToServer::Took(bytes.len() as u32)).await;
                }
                end => return (text(stdout), text(stderr), end),
            }
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_with_the_streams_and_the_author_of_its_client() {
    let server = Server::start().await;
    let made = server.run(&["repo", "create", "images"]).await;
    assert_eq!(made, ("images\n".to_owned(), String::new(), ToClient::Exit(0)));
    let (stdout, stderr, end) = server.run(&["ls", "none"]).await;
    assert_eq!((stdout.as_str(), end), ("", ToClient::Exit(3)));
    assert!(stderr.contains("`none`"), "{stderr}");
    let mut txn = server.connect();
    txn.start(&["txn", "-"], Terminals::default()).await;
    // Often, since the command reads what it gets at the same time as it is given.
    let padded = [&b" ".repeat(300), LINE].concat();
    for byte in padded {
        txn.until_wanted().await;
        txn.send(ToServer::Input(Bytes::from(vec![byte]))).await;
    }
    txn.until_wanted().await;
    txn.send(ToServer::InputEnd).await;
    let (_, stderr, end) = txn.rest().await;
    assert_eq!(end, ToClient::Exit(0), "{stderr}");
    let (branches, _, _) = server.run(&["branch", "list", "images"]).await;
    assert!(branches.contains("try"), "{branches}");
    let (who, _, _) = server.run(&["--json", "whoami"]).await;
    assert!(who.contains(r#""author":"Anna""#) && who.contains(r#""name":"anna""#), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_a_client_names_is_never_opened() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let here = server.store.dir().join("secret.txt");
    std::fs::write(&here, "of the server").unwrap();
    let here = here.to_str().unwrap();
    let folder = server.store.dir().to_str().unwrap();
    for argv in [
        &["put", "images", here][..],
        &["put", "images", folder],
        &["put", "images", "--untar", here],
        &["put", "images", "-i", here],
        &["put", "images", folder, "--files-from", here],
        &["put", "images", folder, "--dry-run"],
        &["txn", here],
        &["secret", "create", "s", &format!("key={here}")],
        &["pipeline", "apply", "-f", here],
        &["pipeline", "apply", "-f", folder],
        &["pipeline", "apply", "--jsonnet", here],
        &["plan", "-f", here],
        &["verify", "--checkpoint", here],
        &["verify", "--bundle", here],
        &["verify", "--key", here],
        &["find", here],
        &["get", "images", folder],
        &["mirror", "--to", folder],
        &["mirror", "--to", &format!("file://{folder}/m")],
        &["fsck", "--repair", "--from", folder],
        &["bundle", "images", "-o", here],
        &["checkpoint", "-o", here],
        &["try", "--with", here],
        &["try", "p", "--mount", &format!("{folder}:/x")],
        &["try", "p", "--out", folder],
        &["--store", folder, "secret", "create", "s", &format!("key={here}")],
    ] {
        let mut connection = server.connect();
        connection.start(argv, Terminals::default()).await;
        let mut said = String::new();
        while let Some(message) = connection.next().await {
            match message {
                ToClient::Output(_, bytes) => said += &String::from_utf8_lossy(&bytes),
                ToClient::FileEnd => {
                    let error = std::io::Error::other("no");
                    connection.send(ToServer::Written(Err((&error).into()))).await;
                }
                ToClient::Want => connection.send(ToServer::InputEnd).await,
                ToClient::Upload { .. } => connection.send(ToServer::Uploaded).await,
                ToClient::Get { .. } => break,
                ToClient::Exit(exit_code) => {
                    assert_ne!(exit_code, 0, "{argv:?}: {said}");
                    break;
                }
                _ => {}
            }
        }
        assert!(!said.contains("of the server"), "{argv:?}: {said}");
        assert!(!said.contains("No such file"), "{argv:?}: {said}");
    }
    let left = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name != ".pv" && name != "secret.txt").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_files_are_what_the_command_reads() {
    let server = Server::start().await;
    let notes = Notes::from([(
        (Question::Content, "lines.jsonl".into()),
        Noted::Bytes(br#"{"op":"branch-create","branch":"images@x"}"#.to_vec()),
    )]);
    server.run(&["repo", "create", "images"]).await;
    let mut connection = server.connect();
    connection.to.send(Hello::own().to_bytes()).await.unwrap();
    for piece in notes_to_bytes(notes).chunks(7) {
        connection.send(ToServer::Attached(Bytes::copy_from_slice(piece))).await;
    }
    connection
        .send(ToServer::Start(Box::new(Start {
            argv: ["pv", "txn", "lines.jsonl"].map(Into::into).into(),
            cwd: "/x".into(),
            env: Vec::new(),
            terminals: Terminals::default(),
        })))
        .await;
    connection.from.recv().await.unwrap();
    let (_, stderr, end) = connection.rest().await;
    assert!(!stderr.contains("cannot read"), "{stderr} {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_ends_its_command() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let mut txn = server.connect();
    txn.start(&["txn", "-"], Terminals::default()).await;
    txn.until_wanted().await;
    txn.send(ToServer::Input(Bytes::from_static(LINE))).await;
    drop(txn);
    tokio::time::timeout(LONG, server.sessions.ended()).await.expect("the command ends");
    let (branches, _, _) = server.run(&["branch", "list", "images"]).await;
    assert!(!branches.contains("try"), "a part of the input was taken for all: {branches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_client_ends_its_own_connection_only() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let hello = || Hello::own().to_bytes();
    let message = |message: ToServer| message.to_bytes();
    let put = Start {
        argv: ["pv", "txn", "-"].map(Into::into).into(),
        cwd: "/x".into(),
        env: Vec::new(),
        terminals: Terminals::default(),
    };
    let start = || message(ToServer::Start(Box::new(put.clone())));
    let other = Hello { protocol: 99, version: "9".to_owned() };
    for (what, messages) in [
        ("nothing", vec![]),
        ("no greeting", vec![start()]),
        ("odd bytes", vec![Bytes::from_static(b"\xff\xff")]),
        ("another protocol", vec![other.to_bytes(), start()]),
        ("odd after the greeting", vec![hello(), Bytes::from_static(b"\x09")]),
        ("an empty message", vec![hello(), Bytes::new()]),
        ("input before the start", vec![hello(), message(ToServer::Input(Bytes::new()))]),
        ("notes that are none", vec![hello(), message(ToServer::Attached(vec![0xff; 100].into())), start()]),
        ("two starts", vec![hello(), start(), start()]),
        ("more taken than sent", vec![hello(), start(), message(ToServer::Took(u32::MAX))]),
        ("taken without end", [vec![hello(), start()], vec![message(ToServer::Took(PIECE as u32)); 100]].concat()),
        ("a file that was not sent", vec![hello(), start(), message(ToServer::Written(Ok(())))]),
        ("an odd signal", vec![hello(), start(), message(ToServer::Signal(9))]),
        ("input that is too long", vec![hello(), start(), message(ToServer::Input(vec![0; PIECE + 1].into()))]),
        ("attached later", vec![hello(), start(), message(ToServer::Attached(Bytes::new()))]),
    ] {
        let mut connection = server.connect();
        for message in messages {
            connection.to.send(message).await.ok();
        }
        let Connection { to, from } = &mut connection;
        if what == "nothing" {
            *to = mpsc::channel(1).0;
        }
        let ended = tokio::time::timeout(LONG, async { while from.recv().await.is_some() {} }).await;
        assert!(ended.is_ok(), "{what}: the connection is still open");
    }
    tokio::time::timeout(LONG, server.sessions.ended()).await.expect("all commands end");
    assert_eq!(server.run(&["ls", "images"]).await.2, ToClient::Exit(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_terminal_at_the_client_is_one_for_the_command() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let terminals = Terminals { stdin: true, stdout: true, stderr: true, columns: 40, rows: 20 };
    for (answer, exit_code) in [("n\n", 7), ("y\n", 0)] {
        let mut delete = server.connect();
        delete.start(&["repo", "delete", "images"], terminals).await;
        let mut said = String::new();
        let end = loop {
            match delete.next().await.unwrap() {
                ToClient::Output(stream, bytes) => {
                    assert_eq!(stream, OutputStream::Stdout, "one terminal for both");
                    said += &String::from_utf8_lossy(&bytes);
                    delete.send(ToServer::Took(bytes.len() as u32)).await;
                }
                ToClient::Want => delete.send(ToServer::Input(Bytes::from_static(answer.as_bytes()))).await,
                ToClient::Taken => {}
                end => break end,
            }
        };
        assert!(said.contains("Continue? [y/N] "), "{said}");
        assert_eq!(end, ToClient::Exit(exit_code), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_command_as_on_the_clients_own_machine() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let mut txn = server.connect();
    txn.start(&["txn", "-"], Terminals::default()).await;
    txn.until_wanted().await;
    txn.send(ToServer::Signal(2)).await;
    assert_eq!(txn.rest().await.2, ToClient::Exit(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_its_token_is_revoked_and_publishes_nothing() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let mut txn = server.connect();
    txn.start(&["txn", "-"], Terminals::default()).await;
    txn.until_wanted().await;
    txn.send(ToServer::Input(Bytes::from_static(LINE))).await;
    txn.until_wanted().await;
    server.is_valid.store(false, Ordering::SeqCst);
    let ToClient::Failed { kind: ErrorKind::Refused, message, .. } = txn.rest().await.2 else { panic!("a refusal") };
    assert!(message.contains("revoked or has expired"), "{message}");
    tokio::time::timeout(LONG, server.sessions.ended()).await.expect("the command ends");
    server.is_valid.store(true, Ordering::SeqCst);
    let (branches, _, _) = server.run(&["branch", "list", "images"]).await;
    assert!(!branches.contains("try"), "{branches}");
    // What was uploaded is not committed, even between two looks at the token.
    let mut put = server.connect();
    put.start(&["put", "images", "x"], Terminals::default()).await;
    while !matches!(put.next().await.expect("an order"), ToClient::Upload { .. }) {}
    server.is_valid.store(false, Ordering::SeqCst);
    put.send(ToServer::Uploaded).await;
    assert!(matches!(put.rest().await.2, ToClient::Failed { kind: ErrorKind::Refused, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_commands_run_at_once() {
    let server = Arc::new(Server::start().await);
    let all = (0..100).map(|number| {
        let server = server.clone();
        tokio::spawn(async move { server.run(&["repo", "create", &format!("r{number}")]).await.2 })
    });
    for ended in all.collect::<Vec<_>>() {
        assert_eq!(ended.await.unwrap(), ToClient::Exit(0));
    }
    assert_eq!(server.run(&["--json", "repo", "list"]).await.0.lines().count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_ends_its_commands_and_says_so() {
    let server = Server::start().await;
    server.run(&["repo", "create", "images"]).await;
    let mut txn = server.connect();
    txn.start(&["txn", "-"], Terminals::default()).await;
    txn.until_wanted().await;
    server.sessions.end();
    let ToClient::Failed { message, nothing_done: false, .. } = txn.rest().await.2 else { panic!("a failure") };
    assert_eq!(message, "the server ended before this command did");
    assert_eq!(server.run(&["ls", "images"]).await.2, ToClient::Leaving);
    tokio::time::timeout(LONG, server.sessions.ended()).await.expect("all commands end");
}
