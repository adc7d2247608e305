//! A server over a store of its own, and requests to it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use engine::Engine;
use engine::executors::Executors;
use engine::run::Actor;
use repos::Store;
use repos::access::{RepoGlobs, Role};
use repos::place::Access;
use repos::tokens::{NewToken, Tokens};
use reqwest::{Method, Response};
use sandbox::scripted::{Call, Reply, ScriptedExecutor};
use serde_json::Value;
use server::{Machine, Options, Server};
use specs::BranchName;

/// Writes each input file again, and logs its command. The content `long` makes it print 2,500 lines; `bad` makes it fail, and print what a
/// page must not have; `large` needs 4 MiB of memory.
fn work(call: Call) -> Reply {
    if call.inputs.values().any(|content| content == b"bad") {
        let log =
            "start\n\u{1b}[31mERROR\u{1b}[0m: \u{202e}txt <img src=x onerror=alert(2)>\r\n<script>alert(1)</script>\n";
        return Reply { log: log.as_bytes().to_vec(), code: 3, ..Reply::default() };
    }
    let is_large = call.inputs.values().any(|content| content == b"large");
    if is_large && call.memory_bytes.is_some_and(|limit| limit < 4 << 20) {
        return Reply { code: 137, is_out_of_memory: true, ..Reply::default() };
    }
    let is_long = call.inputs.values().any(|content| content == b"long");
    let lines = || (1..=2500).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n") + "\n";
    let log = if is_long { lines() } else { call.cmd.join("\n") + "\n" }.into_bytes();
    let files = call.inputs.into_iter().filter_map(|(path, bytes)| Some((path.split_once('/')?.1.to_owned(), bytes)));
    Reply { files: files.collect(), log, ..Reply::default() }
}

/// A page without what its forms send, which is as people wrote it: fields, and the text of those with several lines.
pub(crate) fn without_what_forms_send(html: &str) -> String {
    let mut pieces = html.split('<');
    let mut rest = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
        match tag.split(' ').next() {
            Some("textarea") => {}
            Some("input" | "option") => rest.push_str(text),
            _ => {
                rest.push('<');
                rest.push_str(piece);
            }
        }
    }
    rest
}

/// Carries every message to nobody.
#[derive(Debug)]
struct Nobody;

impl notifications::Carrier for Nobody {
    fn send<'a>(
        &'a self,
        _: &'a notifications::Target,
        _: &'a notifications::Message,
    ) -> std::pin::Pin<Box<dyn Future<Output = notifications::Outcome> + Send + 'a>> {
        Box::pin(async { notifications::Outcome::Delivered })
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) engine: Arc<Engine>,
    client: reqwest::Client,
    answering: tokio::task::JoinHandle<()>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    folder: Option<tempfile::TempDir>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

impl Running {
    /// A server on a free port of this machine.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        // The client's, which asks for one even without TLS.
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::init(folder.path(), BranchName::main()).unwrap();
        Self::over(folder, store, options).await
    }

    /// Stops the server in order, and waits for that.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.answering).await.unwrap();
    }

    /// The same store in another server, after this one has ended.
    pub(crate) async fn restart(mut self) -> Self {
        let folder = self.folder.take().unwrap();
        self.answering.abort();
        (&mut self.answering).await.ok();
        let weak = Arc::downgrade(&self.engine);
        drop(self);
        // What it was still doing, such as counting jobs, ends by itself.
        for _ in 0..1000 {
            if weak.strong_count() == 0 {
                break;
            }
            tokio::task::yield_now().await;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let store = Store::open(folder.path()).unwrap();
        Self::over(folder, store, Options::default()).await
    }

    /// The folder that contains `.pv`.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().unwrap().path()
    }

    async fn over(folder: tempfile::TempDir, store: Store, options: Options) -> Self {
        store.own().unwrap();
        let by = Actor { author: "owner".to_owned(), committer: "owner".to_owned() };
        let executor = Arc::new(ScriptedExecutor::new(work));
        let engine = Arc::new(Engine::new(store, by, executor.clone(), 1).await.unwrap());
        let server = Server::bind(engine.clone(), "127.0.0.1:0".parse().unwrap(), None, options).await.unwrap();
        // Nothing listens there.
        let places = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_MAX_ATTEMPTS", "1")];
        let places = Access::new(places.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let server = server
            .with_machine(Machine {
                executors: Executors {
                    docker: executor.clone(),
                    process: executor.clone(),
                    workers: executor.clone(),
                    kubernetes: executor,
                },
                places,
            })
            .with_carrier(Arc::new(Nobody));
        let url = server.url().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let answering = tokio::spawn(server.serve(async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { url, engine, client: reqwest::Client::new(), answering, stop: Some(stop), folder: Some(folder) }
    }

    /// What sends requests.
    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// From now on jobs run.
    pub(crate) fn run_jobs(&self) {
        let engine = self.engine.clone();
        tokio::spawn(async move { engine.serve().await });
    }

    /// A new token.
    pub(crate) fn token(&self, name: &str, role: Role, repos: &[&str]) -> String {
        let new = NewToken {
            name: name.parse().unwrap(),
            role,
            repos: RepoGlobs::parse(repos).unwrap(),
            expires: None,
            by: "tests".to_owned(),
        };
        Tokens::of(self.engine.store()).create(new).unwrap().0.text().to_owned()
    }

    /// A token whose time is over.
    pub(crate) fn expired_token(&self, name: &str) -> String {
        let new = NewToken {
            name: name.parse().unwrap(),
            role: Role::Admin,
            repos: RepoGlobs::all(),
            expires: Some(std::time::Duration::from_micros(1)),
            by: "tests".to_owned(),
        };
        Tokens::of(self.engine.store()).create(new).unwrap().0.text().to_owned()
    }

    /// A request with a token, to a path below `/api/v1`.
    pub(crate) fn ask(&self, token: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(token)
    }

    /// Gets JSON.
    pub(crate) async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        json(self.ask(token, Method::GET, path).send().await.unwrap()).await
    }

    /// Sends JSON.
    pub(crate) async fn send(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.ask(token, method, path).header("content-type", "application/json").body(body.to_string());
        json(request.send().await.unwrap()).await
    }

    /// Puts a file.
    pub(crate) async fn put(&self, token: &str, place: &str, content: &str) -> (u16, Value) {
        let request = self.ask(token, Method::PUT, place).body(content.to_owned());
        json(request.send().await.unwrap()).await
    }
}

impl Running {
    /// Applies a pipeline that reads a repository, file by file, and whose command is its name and these words.
    pub(crate) async fn pipeline(&self, name: &str, repo: &str, words: &[&str]) {
        self.pipeline_of(name, (repo, "/*"), words).await;
    }

    /// The same, with a glob.
    pub(crate) async fn pipeline_of(&self, name: &str, (repo, glob): (&str, &str), words: &[&str]) {
        let cmd: Vec<&str> = std::iter::once(name).chain(words.iter().copied()).collect();
        self.apply(&serde_json::json!({
            "pipeline": { "name": name },
            "input": { "pfs": { "repo": repo, "glob": glob } },
            "transform": { "image": "img", "cmd": cmd },
        }))
        .await;
    }

    /// Applies a spec.
    pub(crate) async fn apply(&self, spec: &Value) {
        let set = specs::parse_specs(&[("p.json".to_owned(), spec.to_string())]);
        let sources = [("p.json".to_owned(), "/nonexistent".into())].into();
        let by = Actor { author: "owner".to_owned(), committer: "owner".to_owned() };
        let request = engine::apply::Request {
            set: &set,
            sources: &sources,
            by: &by,
            dry: false,
            on_pull: &|_| {},
            announce: &|_| {},
        };
        engine::apply::apply(self.engine.store(), &ScriptedExecutor::new(work), request).await.unwrap();
    }
}

/// The status and the JSON of an answer; `null` without one.
pub(crate) async fn json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}
