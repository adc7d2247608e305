//! `pv serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::watch::Seen;
use answers::watch::TroubleView;
use engine::Engine;
use engine::executors::{max_pods, needs_server};
use nix::sys::signal::Signal;
use notifications::Carrier;
use server::{CommandLines, Machine, Options, Server, Tls, Traces};
use specs::{ErrorKind, WatchName};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::notify::carrier;
use super::run::{Board, end_now, introduce, with_engine};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::executors::executors;
use crate::notify::Manager;
use crate::remote::session::{Lines, Sessions};

/// How many signals it handles itself: the first one drains, the second stops at once.
const HEEDED: u32 = 2;

/// Run jobs as commits, ticks and triggers arrive, until stopped
///
/// Other commands run inside this process and print the same. SIGTERM or Ctrl-C stops it: running datums finish, and the next `pv serve` or
/// `pv run` continues with the rest. A second signal stops it at once.
///
/// Sends notifications: `pv notify create`.
///
/// With --listen it also answers HTTP at /api/v1, and `pv --server URL` on other machines. Every request needs a token: `pv token create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Datums to run at a time [default: setting `jobs`, or the number of cores]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// How long running datums may take to finish after a stop
    #[arg(long, value_name = "D", default_value = "60s")]
    grace: specs::Duration,
    /// Answer HTTP at this address, such as `127.0.0.1:7070`; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Certificate in PEM form, with those that lead to its root
    #[arg(long, value_name = "FILE", requires = "listen", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen beyond this machine without TLS: everyone between can read tokens and data
    #[arg(long, requires = "listen", conflicts_with = "tls_cert")]
    insecure: bool,
    /// Path before /api, for a proxy that keeps it: `/pv`
    #[arg(long, value_name = "PATH", requires = "listen", value_parser = base_path, default_value = "", hide_default_value = true)]
    base_path: String,
    /// Believe this proxy's X-Forwarded-For; may be repeated
    #[arg(long, value_name = "ADDR", requires = "listen")]
    trust_proxy: Vec<std::net::IpAddr>,
    /// Header in which a trusted proxy names the user: the name of a token
    #[arg(long, value_name = "HEADER", requires = "trust_proxy")]
    trust_header: Option<String>,
    /// Do not keep who read which content; `pv audit --reads` shows it
    #[arg(long, requires = "listen")]
    no_read_log: bool,
    /// Run only the jobs that commands such as `pv run` ask for
    #[arg(long, hide = true)]
    on_request: bool,
    /// Requests per second of one token, on average; 0 for no limit
    #[arg(long, value_name = "N", requires = "listen", default_value_t = server::REQUESTS_PER_SECOND)]
    rate: u32,
    /// Form of the messages on stderr: `json` is an object for each line. `PV_LOG` chooses them: `PV_LOG=warn,server=debug`
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogForm::Text)]
    log: LogForm,
}

/// The form of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogForm {
    /// For people
    Text,
    /// For programs
    Json,
}

impl Args {
    /// The form of its log messages.
    pub(crate) fn log(&self) -> LogForm {
        self.log
    }

    /// Whether it answers other machines.
    pub(crate) fn listens(&self) -> bool {
        self.listen.is_some()
    }
}

/// A path that begins with `/` and does not end with one.
fn base_path(text: &str) -> std::result::Result<String, String> {
    let path = text.trim_end_matches('/');
    let is_plain = path.split('/').skip(1).all(|part| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    });
    if path.is_empty() || (path.starts_with('/') && is_plain) {
        return Ok(path.to_owned());
    }
    Err("expected a path such as `/pv`: `/`, then letters, digits, `-`, `.`, `_`, `~`".to_owned())
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let tls = tls(cx, args)?;
    let store = cx.store()?;
    with_engine(cx, store, args.jobs, !args.on_request, async |engine, board| {
        cx.cancel().heed(HEEDED);
        let traces = Traces::from_variables(|name| cx.env().get(name));
        let listening = listen(cx, engine, args, tls, traces.clone()).await?;
        let engine_handle = engine.clone();
        let tracing = traces.map(|traces| Beside::start(|stop| traces.export(engine_handle, stop)));
        let (sent_store, carrier) = (engine.store().clone(), carrier(engine.store()));
        let telling = Beside::start(|stop| tell(sent_store, carrier, stop));
        let watching = (!args.on_request).then(|| Watching::start(engine)).transpose()?;
        introduce(cx, engine)?;
        if needs_server(engine.executor().kind) && !args.listens() {
            cx.notes().line("no worker can join without --listen, so no datum runs");
        }
        let manager = Manager::of(cx.env());
        manager.ready();
        let served = tokio::select! {
            served = serve(cx, engine, board, args, &manager) => served,
            () = manager.live() => Ok(()),
        };
        if let Some(watching) = watching {
            watching.end().await;
        }
        // While workers are still connected, so that their sandboxes are closed and not lost.
        engine.close().await;
        for beside in listening.into_iter().chain(tracing).chain([telling]) {
            beside.end().await;
        }
        served
    })?;
    // Service managers stop services by this signal: that is not a failure.
    cx.cancel().obeyed(Signal::SIGTERM);
    Ok(())
}

/// The certificate, if there is one. Beyond this machine one is required, unless `--insecure` says otherwise.
fn tls(cx: &Context, args: &Args) -> Result<Option<Tls>> {
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let tls = Tls::read(&cx.path(certificate)?, &cx.path(key)?);
        return tls.map(Some).map_err(|error| CliError::new(ErrorKind::Usage, error.to_string()));
    }
    match args.listen {
        Some(address) if !address.ip().is_loopback() && !args.insecure => {
            let error =
                CliError::new(ErrorKind::Usage, format!("{address} is not of this machine alone, and there is no TLS"));
            Err(error.hint("add --tls-cert and --tls-key, or --insecure behind a proxy that speaks TLS"))
        }
        _ => Ok(None),
    }
}

/// The certificate's text, which pods are told to trust.
fn certificate(cx: &Context, args: &Args) -> Result<Option<String>> {
    let Some(file) = &args.tls_cert else { return Ok(None) };
    let text = std::fs::read_to_string(cx.path(file)?);
    text.map(Some).map_err(|error| CliError::io(format!("cannot read `{}`", file.display()), &error))
}

/// Work beside the engine, which ends when it is asked to.
struct Beside {
    stop: oneshot::Sender<()>,
    work: JoinHandle<()>,
}

impl Beside {
    /// Starts work that gets a future to stop at.
    fn start<F: Future<Output = ()> + Send + 'static>(work: impl FnOnce(Stop) -> F) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stopped: Stop = Box::pin(async {
            stopped.await.ok();
        });
        Self { stop, work: tokio::spawn(work(stopped)) }
    }

    /// Asks it to end, and waits for that.
    async fn end(self) {
        self.stop.send(()).ok();
        self.work.await.ok();
    }
}

/// The watched folders that the store keeps, in threads of their own.
struct Watching {
    is_over: Arc<AtomicBool>,
    ended: oneshot::Receiver<()>,
}

impl Watching {
    /// How long a commit that is being made may take once the server ends: then it is made by the next one.
    const TO_END: Duration = Duration::from_secs(10);

    fn start(engine: &Arc<Engine>) -> Result<Self> {
        let (is_over, engine) = (Arc::new(AtomicBool::new(false)), engine.clone());
        let (over, (end, ended)) = (is_over.clone(), oneshot::channel());
        let work = move || {
            let store = engine.store().clone();
            let see = move |name: &WatchName, seen: &Seen| {
                log_watch(name, seen);
                if matches!(seen, Seen::Batch(_)) {
                    // Its jobs are to be run.
                    engine.look_again();
                }
            };
            ::watch::keep(&store, || over.load(Ordering::Relaxed), see);
            end.send(()).ok();
        };
        let thread = std::thread::Builder::new().name("watches".to_owned()).spawn(work);
        thread.map(|_| Self { is_over, ended }).map_err(|error| CliError::io("cannot start a thread", &error))
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        if tokio::time::timeout(Self::TO_END, self.ended).await.is_err() {
            tracing::warn!("a watch was ended in the middle of a commit, which is made when it begins again");
        }
    }
}

fn log_watch(name: &WatchName, seen: &Seen) {
    match seen {
        Seen::Batch(batch) => tracing::info!("watch `{name}`: {} settled, {} put away", batch.files, batch.put_away),
        Seen::Trouble(trouble) => tracing::warn!("watch `{name}`: {}", TroubleView::from(trouble.clone()).sentence()),
        Seen::Polls(why) => tracing::warn!("watch `{name}` looks again and again: {why}"),
    }
}

/// When work has to end.
type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Sends notifications until it is asked to stop.
async fn tell(store: Store, carrier: Arc<dyn Carrier>, stop: Stop) {
    let (end, ended) = watch::channel(false);
    let mut telling = pin!(notifications::run(store, carrier, ended));
    tokio::select! {
        () = &mut telling => return,
        () = stop => {}
    }
    end.send(true).ok();
    telling.await;
}

/// Listens and answers, if that is wanted.
async fn listen(
    cx: &Context,
    engine: &Arc<Engine>,
    args: &Args,
    tls: Option<Tls>,
    traces: Option<Traces>,
) -> Result<Option<Beside>> {
    let Some(address) = args.listen else { return Ok(None) };
    let options = Options {
        base_path: args.base_path.clone(),
        trusted_proxies: args.trust_proxy.clone(),
        user_header: args.trust_header.clone(),
        requests_per_second: args.rate,
        keeps_reads: !args.no_read_log,
        traces,
    };
    let failed = |error: std::io::Error| CliError::io(format!("cannot listen at {address}"), &error);
    let server = Server::bind(engine.clone(), address, tls, options).await.map_err(failed)?;
    let sessions = Sessions::new(engine.clone(), cx.run_for(), cx.env().clone());
    let lines: Arc<dyn CommandLines> = Arc::new(Lines::of(sessions));
    cx.workers().admit_pods(max_pods(cx.store()?)?, certificate(cx, args)?);
    let machine = Machine { executors: executors(cx, cx.store()?)?, places: cx.access() };
    let server = server.with_command_lines(lines.clone()).with_machine(machine).with_carrier(carrier(engine.store()));
    let stopper = server.stopper();
    cx.notes().line(format!("listening at {}", server.url().map_err(failed)?));
    Ok(Some(Beside::start(|stop| {
        server.serve(async move {
            stop.await;
            stopper.stop();
            lines.end().await;
        })
    })))
}

/// Runs the engine until it is asked to stop, and shows its activity.
async fn serve(cx: &Context, engine: &Engine, board: &mut Board<'_>, args: &Args, manager: &Manager) -> Result<()> {
    // Each is a future of its own type.
    let work = async { if args.on_request { engine.attend().await } else { engine.serve().await } };
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return Ok(done?),
        error = show(board) => return end_now(engine, work).await.and(Err(error)),
        () = cx.cancel().asked(1) => {}
    }
    cx.notes().farewell("stopping after running datums finish; the next pv serve or pv run continues with the rest");
    manager.stopping();
    engine.drain();
    tokio::select! {
        done = &mut work => return Ok(done?),
        error = show(board) => return end_now(engine, work).await.and(Err(error)),
        () = cx.cancel().asked(HEEDED) => {}
        () = tokio::time::sleep(args.grace.get()) => {}
    }
    end_now(engine, work).await
}

/// Shows the activity. If the output is closed, jobs still run.
async fn show(board: &mut Board<'_>) -> CliError {
    match board.show().await {
        Err(CliError::ClosedPipe) => std::future::pending().await,
        Err(error) => error,
    }
}
