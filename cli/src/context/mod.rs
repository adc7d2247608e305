//! Everything outside that a command may use.
//!
//! A command never uses this process's own environment, folder or streams: the same code runs when another process handed the command over
//! (see `socket`), and then all of these are that process's.
//! - `clock` the system clock, except in tests that compare output
//! - `list` prints lists and tables

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use engine::Engine;
use repos::OpenOptions;
use repos::files::StatPlace;
use repos::place::Access;
use repos::time::Clock;
use sandbox::Workers;
use specs::ErrorKind;

use crate::error::{CliError, Result};
use crate::flags::Flags;
use crate::invocation::files::Question;
use crate::invocation::{Cancel, Environment, Files, Invocation};
use crate::known::{KnownStores, Standing};
use crate::output::{Human, Notes, Out, Progress, count, size};
use crate::socket::{Owner, RunFor};

mod clock;
mod list;

/// The store of a command, which passes it to `answers` for questions, and to `engine` for changes.
pub(crate) use repos::Store;

/// What a command works with.
pub(crate) struct Context {
    flags: Flags,
    invocation: Invocation,
    out: Out,
    notes: Notes,
    clock: Arc<dyn Clock>,
    store: OnceLock<Store>,
    /// Held while the store is opened, so that it is opened only once.
    opening: Mutex<()>,
    /// How the store compares with what was seen of it before; `None` if nothing is recorded.
    standing: OnceLock<Option<Standing>>,
    engine: Option<Arc<Engine>>,
    workers: Workers,
    run_for: RunFor,
}

impl Context {
    /// A context with the streams of `invocation`; the store is that of `engine`, else opened on first use. `run_for`: how this process
    /// runs commands for other processes once it owns the store.
    pub(crate) fn new(
        invocation: Invocation,
        flags: Flags,
        engine: Option<Arc<Engine>>,
        run_for: RunFor,
    ) -> std::io::Result<Self> {
        let notes = Notes::new(&invocation, &flags)?;
        let out = Out::new(&invocation, &flags, &notes)?;
        let opened = OnceLock::new();
        let clock = clock::of(&invocation.env);
        if let Some(engine) = &engine {
            let zone = Human::new(clock.now(), &invocation.env).zone().clone();
            let store = engine.store().in_zone(zone);
            let store = match invocation.client.is_far() {
                Some(far) => store.seen_by(far.caller.access.clone()),
                None => store,
            };
            opened.set(store).ok();
        }
        let workers = engine.as_ref().map_or_else(Workers::new, |engine| engine.workers().clone());
        Ok(Self {
            flags,
            clock,
            invocation,
            out,
            notes,
            store: opened,
            opening: Mutex::new(()),
            standing: OnceLock::new(),
            engine,
            workers,
            run_for,
        })
    }

    /// The global flags.
    pub(crate) fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Standard output, for results.
    pub(crate) fn out(&self) -> &Out {
        &self.out
    }

    /// Standard error, for everything that is not a result.
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The environment.
    pub(crate) fn env(&self) -> &Environment {
        &self.invocation.env
    }

    /// What the calling process provides.
    pub(crate) fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// The path for this process of `given`, which is relative to the caller's folder. Unchanged if possible, since messages contain it.
    /// An error if the caller is on another machine.
    pub(crate) fn path(&self, given: &Path) -> Result<PathBuf> {
        self.files().here(given).ok_or_else(|| {
            let what = format!("`{}` cannot be used through a server", given.display());
            CliError::usage(what, "run the command on the machine that holds the store")
        })
    }

    /// The files that the command may read.
    pub(crate) fn files(&self) -> &Files {
        &self.invocation.files
    }

    /// Reads a file, or standard input for `-`, of at most `most` bytes; messages call it `what`.
    pub(crate) fn read(&self, file: &Path, what: &str, most: u64) -> Result<Vec<u8>> {
        let bytes = if file.as_os_str() == "-" { self.read_stdin(most) } else { self.files().read(file, most) };
        let bytes = bytes.map_err(|error| CliError::io(format!("cannot read {what}"), &error))?;
        if bytes.len() as u64 > most {
            return Err(CliError::new(ErrorKind::Usage, format!("{what} is longer than {}", size(most))));
        }
        Ok(bytes)
    }

    /// Reads standard input, unless the caller's machine had to read it already.
    fn read_stdin(&self, most: u64) -> std::io::Result<Vec<u8>> {
        let name = Path::new("-");
        if let Ok(sent) = self.files().sent_bytes(Question::Stdin, name) {
            return Ok(sent);
        }
        let mut bytes = Vec::new();
        self.invocation.stdin().take(most + 1).read_to_end(&mut bytes)?;
        self.files().note(Question::Stdin, name, bytes.clone());
        Ok(bytes)
    }

    /// Like [`Self::read`], as text; the error suggests `example`.
    pub(crate) fn read_text(&self, file: &Path, what: &str, most: u64, example: &str) -> Result<String> {
        String::from_utf8(self.read(file, what, most)?).map_err(|error| {
            let error = error.utf8_error().valid_up_to();
            CliError::usage(format!("{what} is not valid UTF-8: invalid byte at {}", count(error as u64)), example)
        })
    }

    /// Formats sizes and times for display.
    pub(crate) fn human(&self) -> Human {
        Human::new(self.clock.now(), self.env())
    }

    /// Shows the progress of an operation.
    pub(crate) fn progress(&self, verb: &'static str) -> Progress {
        Progress::new(&self.notes, verb)
    }

    /// Whether the caller still wants the answer. A command that calls this must check it often.
    pub(crate) fn cancel(&self) -> &Cancel {
        self.invocation.cancel.heed(1)
    }

    /// The folder of pv among what this user can do without.
    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        let home = || self.env().get("HOME").map(|home| Path::new(home).join(".cache"));
        let cache = self.env().get("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        Some(cache.or_else(home)?.join("pv"))
    }

    /// Where this machine keeps the digests of files that were put to the store with this id, through a server.
    pub(crate) fn stat_place(&self, store: &str) -> Option<StatPlace> {
        Some(StatPlace::in_cache(&self.cache_folder()?, store))
    }

    /// The folder that holds the store.
    pub(crate) fn store_dir(&self) -> Result<PathBuf> {
        if let Some(store) = self.store.get() {
            return Ok(store.dir().to_owned());
        }
        match self.flags.store.as_deref().or_else(|| self.env().get("PV_STORE").map(Path::new)) {
            Some(dir) => Ok(above_its_own(self.invocation.cwd.join(dir))),
            None => Ok(Store::find(&self.invocation.cwd)?),
        }
    }

    /// The store.
    pub(crate) fn store(&self) -> Result<&Store> {
        let _opening = self.opening.lock().expect("no panic under this lock");
        let store = if let Some(store) = self.store.get() {
            store
        } else {
            let store = self.open_options().open(&self.store_dir()?)?;
            store.set_publisher(Arc::new(Owner::of(store.dir())));
            self.store.get_or_init(|| store.in_zone(self.human().zone().clone()))
        };
        self.standing.get_or_init(|| self.look_at(store));
        Ok(store)
    }

    /// What an empty list means: `nothing`; for a caller who may not see everything only that none of `what` is visible.
    pub(crate) fn none_of(&self, what: &str, nothing: &str) -> Result<String> {
        Ok(if self.store()?.is_limited() { format!("no {what} are visible to you") } else { nothing.to_owned() })
    }

    /// The record of known stores, if there is one.
    pub(crate) fn known_stores(&self) -> Option<KnownStores> {
        KnownStores::of(self.env(), &self.invocation.cwd)
    }

    /// Compares a store with what was seen of it before; warns once if it is a different one now.
    pub(crate) fn look_at(&self, store: &Store) -> Option<Standing> {
        let known = self.known_stores()?;
        let standing = known.standing(store, self.clock.now());
        // The command itself reports errors of the store.
        let standing = standing.inspect_err(|error| tracing::debug!("the store is not compared: {error}")).ok()?;
        if let Standing::Other(other) = &standing
            && other.is_new()
        {
            self.notes.text(&other.warning(self.notes.color()));
            known.told(other);
        }
        Some(standing)
    }

    /// How the store compared before this command; `None` if nothing is recorded, or no store was opened.
    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.standing.get()?.as_ref()
    }

    /// Records the state of the store at the end of a command.
    pub(crate) fn note_seen(&self) {
        let Some(store) = self.store.get() else { return };
        let (is_news, was_told) = match self.standing() {
            None | Some(Standing::Other(_)) => (false, false),
            Some(Standing::New) => (true, false),
            Some(Standing::Same(seen)) => (seen.records < store.position().records, seen.was_told()),
        };
        if (is_news || was_told)
            && let Some(known) = self.known_stores()
            && let Err(error) = known.see(store, self.clock.now(), was_told)
        {
            tracing::debug!("the store is not noted: {error}");
        }
    }

    /// The engine of this process, if the command was handed over to it.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_deref()
    }

    /// Like [`Self::engine`], but may outlive this command.
    pub(crate) fn engine_handle(&self) -> Option<Arc<Engine>> {
        self.engine.clone()
    }

    /// The machines that have joined this process as workers.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// How this process runs commands for other processes while it owns the store.
    pub(crate) fn run_for(&self) -> RunFor {
        self.run_for
    }

    /// Waits for asynchronous work of the engine, on a separate runtime.
    #[expect(clippy::unused_self, reason = "what a command needs it asks of its context")]
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::io("cannot start the asynchronous runtime", &error))?;
        Ok(runtime.block_on(work))
    }

    /// The options to open or create a store.
    pub(crate) fn open_options(&self) -> OpenOptions {
        let notes = self.notes.another();
        let mut options = OpenOptions::default().clock(self.clock.clone()).access(self.access());
        if let Some(key) = self.env().get("PV_KEY") {
            options = options.key(self.invocation.cwd.join(key));
        }
        options.notify(move |what| notes.line(what))
    }

    /// The URL of an object store, given as a URL or as the path of a folder. An error for a folder of another machine.
    pub(crate) fn place_url(&self, given: &str) -> Result<String> {
        if !self.files().are_here() && (!given.contains("://") || given.starts_with("file:")) {
            self.path(Path::new(given))?;
        }
        if given.contains("://") {
            return Ok(given.to_owned());
        }
        let path = self.invocation.cwd.join(given);
        // The folder itself may not exist yet; its parent must.
        let whole =
            path.canonicalize().ok().or_else(|| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)));
        Ok(format!("file://{}", whole.unwrap_or(path).display()))
    }

    /// How to reach object stores, from the environment.
    pub(crate) fn access(&self) -> Access {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Access::new(self.env().pairs().into_iter().filter_map(text))
    }

    /// Reports success: in words, or as a JSON object.
    pub(crate) fn done(&self, words: &str, object: &serde_json::Value) -> Result<()> {
        if self.out.is_json() {
            return self.out.json(object);
        }
        self.notes.line(words);
        Ok(())
    }

    /// Prints what will be deleted and asks for confirmation: on a terminal by a prompt, elsewhere only `--yes` confirms.
    pub(crate) fn confirm(&self, goes: &str, refused: &str) -> Result<()> {
        self.notes.line(goes);
        if self.flags.yes {
            return Ok(());
        }
        if self.invocation.is_interactive() {
            self.notes.text("Continue? [y/N] ");
            return match self.invocation.answer().as_deref() {
                Some("y" | "Y" | "yes") => Ok(()),
                _ => Err(CliError::new(ErrorKind::Refused, refused)),
            };
        }
        Err(CliError::new(ErrorKind::Refused, refused).hint("--yes answers yes to the prompt"))
    }
}

/// The folder that holds a store, also if its `.pv` was named instead.
fn above_its_own(dir: PathBuf) -> PathBuf {
    let above = dir.parent().filter(|above| dir.ends_with(Store::FOLDER) && Store::is_at(above) && !Store::is_at(&dir));
    above.map(Path::to_owned).unwrap_or(dir)
}
