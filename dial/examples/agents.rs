//! Many workers in one process, each as `pv worker join` is one, with a function in place of commands. `scripts/bench` runs it.
//!
//! ```text
//! agents URL COUNT FOLDER     with PV_TOKEN, and PV_CA if the server's certificate needs it
//! ```
//! Each has one slot, and a folder of its own for files below FOLDER. The function does what this command does for a datum of one file of
//! the repository `data`, and forks nothing:
//!
//! ```text
//! out="/pfs/out/${data#/pfs/data/}"; mkdir -p "${out%/*}"; sha256sum < "$data" > "$out"
//! ```
//! Once all have joined, it prints a line; then it works until it is killed.

use std::error::Error;
use std::future::pending;
use std::io::{Write, stdout};
use std::path::Path;
use std::sync::Arc;

use dial::{Server, Way};
use repos::hash::digest_of;
use sandbox::scripted::{Call, Reply, ScriptedExecutor};
use sandbox::{ExecError, WorkerNews, WorkerOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Bytes of input files that each worker keeps: none is needed twice.
const CACHE_BYTES: u64 = 64 << 10;
/// The folder of the repository among the inputs.
const REPO: &str = "data/";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, count, folder] = args.as_slice() else { return Err("usage: agents URL COUNT FOLDER".into()) };
    let (server, count) = (server(url)?, count.parse::<usize>()?);
    let (joined, mut joins) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    for number in 0..count {
        let options = options(Path::new(folder), number, joined.clone());
        workers.spawn(worker(server.clone(), options));
    }
    let mut missing = count;
    loop {
        tokio::select! {
            Some(()) = joins.recv(), if missing > 0 => {
                missing -= 1;
                if missing == 0 {
                    writeln!(stdout(), "{count} have joined")?;
                    stdout().flush()?;
                }
            }
            // None ends by itself unless it is refused.
            Some(ended) = workers.join_next() => ended??,
            else => return Ok(()),
        }
    }
}

/// The server, with token and certificates from the environment, as the command line has them.
fn server(url: &str) -> Result<Server> {
    let server = Server::at(url, false)?.with_token(std::env::var("PV_TOKEN")?);
    let Ok(file) = std::env::var("PV_CA") else { return Ok(server) };
    let pem = std::fs::read(&file)?;
    Ok(server.trusting(file, pem))
}

fn options(folder: &Path, number: usize, joined: mpsc::UnboundedSender<()>) -> WorkerOptions {
    let name = format!("agent-{number:05}");
    WorkerOptions {
        cache: folder.join(&name),
        name,
        slots: 1,
        cache_bytes: CACHE_BYTES,
        say: Arc::new(move |news| {
            if let WorkerNews::Joined { .. } = news {
                joined.send(()).ok();
            }
        }),
    }
}

async fn worker(server: Server, options: WorkerOptions) -> std::result::Result<(), ExecError> {
    let executor = Arc::new(ScriptedExecutor::new(digests));
    sandbox::work(&Way::to(server), executor, &options, pending()).await
}

/// For each input file its digest, as `sha256sum` prints it, in a file at the same path.
fn digests(call: Call) -> Reply {
    let mut reply = Reply::default();
    for (path, content) in call.inputs {
        if let Some(path) = path.strip_prefix(REPO) {
            reply.files.insert(path.to_owned(), format!("{}  -\n", digest_of(&content)).into_bytes());
        }
    }
    reply
}
