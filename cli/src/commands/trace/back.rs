//! The provenance of a file as a tree: each datum is a bullet, with its inputs below.

use std::cell::RefCell;
use std::collections::HashSet;

use answers::commit::{SignatureState, signatures};
use answers::datum::ResultState;
use answers::run::cause_words;
use answers::trace::{DatumNode, Extent, FileNode, InputNode, Origin, SourceNode, Trace};
use specs::{DatumId, Digest, Reference};

use super::grid::collapsed;
use super::words::{code, command_line, environment, file_line, short_job};
use crate::commands::views::first_line;
use crate::context::{Context, Store};
use crate::error::Result;
use crate::output::{Human, count, duration, plural, short_digest, size};

/// Files per datum or directory on a terminal.
const ON_A_TERMINAL: usize = 20;

/// Prints the tree, then whether it is complete.
pub(super) fn print(cx: &Context, asked: &Reference, trace: &Trace, in_full: bool) -> Result<()> {
    let most = if cx.out().is_terminal() { ON_A_TERMINAL } else { usize::MAX };
    let tree = Tree { cx, store: cx.store()?, human: cx.human(), most, in_full, hidden: RefCell::default() };
    if matches!(trace.file.origin, Origin::Datum(_)) {
        cx.out().wrapped(format!("{}   {}", tree.file_line(&trace.file)?, tree.signature(&trace.file.commit)?))?;
        if let Some(error) = &trace.version.error {
            let what = cx.out().paint(31, "its job did not succeed");
            cx.out().wrapped(format!("{what}: {error}; no branch ever pointed to this commit"))?;
        }
        cx.out().line("")?;
    }
    tree.file(&trace.file, "", "")?;
    tree.verdict(trace)?;
    cx.out().flush()?;
    if !trace.cut.is_empty() {
        cx.notes()
            .line("hint: without --depth and with --files everything is followed; --json lists everything left out");
    }
    if matches!(trace.file.origin, Origin::Datum(_)) {
        cx.notes().line(format!("logs: pv logs {asked}"));
    }
    Ok(())
}

struct Tree<'a> {
    cx: &'a Context,
    store: &'a Store,
    human: Human,
    most: usize,
    /// Whether every datum of a grid is shown.
    in_full: bool,
    /// Datums that are omitted.
    hidden: RefCell<HashSet<DatumId>>,
}

/// A child of a datum or a directory.
pub(super) enum Branch<'t> {
    File(&'t FileNode),
    Directory(&'t InputNode, Extent),
    /// An input whose commit was not found.
    Missing(&'t InputNode),
    /// The number of omitted files, and how to see them.
    More(u64, &'static str),
    /// A summary of datums like the previous one.
    Grid(String),
}

impl Tree<'_> {
    /// Whether a key of this store has signed a commit. Checks only that; `pv verify` checks everything below.
    fn signature(&self, commit: &specs::CommitId) -> Result<String> {
        let signed = signatures(self.store, commit)?;
        let out = self.cx.out();
        Ok(match signed.iter().find(|signed| signed.state == SignatureState::Good) {
            Some(_) => "signed (pv verify)".to_owned(),
            None if signed.is_empty() => out.paint(33, "unsigned"),
            None => out.paint(31, "signature is invalid (pv verify)"),
        })
    }

    fn verdict(&self, trace: &Trace) -> Result<()> {
        let mut counts = vec![
            plural(trace.datums as u64, "datum", "datums"),
            plural(trace.source_files as u64, "source file", "source files"),
            plural(trace.gaps.len() as u64, "gap", "gaps"),
        ];
        if !trace.cut.is_empty() {
            counts.push(format!("{} not followed", plural(trace.cut.len() as u64, "place", "places")));
        }
        let out = self.cx.out();
        let verdict = match (trace.gaps.is_empty(), trace.cut.is_empty()) {
            (true, true) => out.paint(32, "complete"),
            (true, false) => out.paint(33, "cut short"),
            (false, _) => out.paint(31, "not complete"),
        };
        out.wrapped(format!("{verdict}: {}", counts.join(", ")))?;
        trace.gaps.iter().try_for_each(|gap| out.wrapped(format!("  gap: {gap}")))
    }

    fn file_line(&self, file: &FileNode) -> Result<String> {
        // A source file is shown with the commit that added it.
        let commit = if let Origin::Source(source) = &file.origin { &source.commit } else { &file.commit };
        file_line(self.store, (&file.repo, commit, &file.path), file.size_bytes, &file.digest)
    }

    /// Prints the origin of a file. `first` precedes its first line, `rest` the others.
    fn file(&self, file: &FileNode, first: &str, rest: &str) -> Result<()> {
        if let Origin::Datum(datum) = &file.origin {
            return self.datum(datum, file, first, rest);
        }
        self.file_alone(file, first, rest)?;
        if let Origin::Source(source) = &file.origin { self.source(source, rest) } else { Ok(()) }
    }

    /// Prints only the line of a file.
    fn file_alone(&self, file: &FileNode, first: &str, rest: &str) -> Result<()> {
        let out = self.cx.out();
        let what = match &file.origin {
            Origin::Datum(_) | Origin::Source(_) => String::new(),
            Origin::SeenDatum(datum) => {
                let is_hidden = self.hidden.borrow().contains(datum);
                let place = if is_hidden { "omitted above" } else { "shown above" };
                format!("   by datum {}, {place}{}", datum.short(8), self.same_as(file)?)
            }
            Origin::Gap(why) => format!("   {}: {why}", out.paint(31, "gap")),
            Origin::Cut => format!("   {}: --depth", out.paint(33, "not followed further")),
        };
        out.branch(&spaced(first), &format!("{rest}     "), &format!("{}{what}", self.file_line(file)?))
    }

    fn datum(&self, datum: &DatumNode, file: &FileNode, first: &str, rest: &str) -> Result<()> {
        let out = self.cx.out();
        let branches = branches_of(datum);
        let bar = if branches.is_empty() { "  " } else { "│ " };
        let own = format!("{rest}{bar}  ");
        out.branch(&format!("{first}● "), &own, &self.headline(datum))?;
        // The requested file is printed at the top already.
        let wrote = if first.is_empty() && !datum.by_reference { None } else { Some(self.wrote(file)?) };
        for line in wrote.into_iter().chain(self.details(datum)?).chain(notes(datum)) {
            out.branch(&own, &format!("{own}  "), &line)?;
        }
        self.branches(branches, file.same_as.as_ref().map(|_| file.digest), rest)
    }

    /// Prints the children; of a grid, the datum that wrote the content `chosen`.
    fn branches(&self, mut branches: Vec<Branch<'_>>, chosen: Option<Digest>, rest: &str) -> Result<()> {
        if !self.in_full {
            branches = collapsed(branches, chosen, &mut self.hidden.borrow_mut());
        }
        if branches.len() > self.most {
            let hidden = branches.len() - self.most;
            branches.truncate(self.most);
            branches.push(Branch::More(hidden as u64, "--json, or print to a file"));
        }
        for (number, branch) in branches.iter().enumerate() {
            let next = branches.get(number + 1);
            let (stem, below) = if next.is_some() { ("├─", "│ ") } else { ("└─", "  ") };
            let (first, rest) = (format!("{rest}{stem}"), format!("{rest}{below}"));
            match branch {
                // Files of one commit share the line that names its author.
                Branch::File(file) if next.is_some_and(|next| is_of_one_commit(file, next)) => {
                    self.file_alone(file, &first, &rest)?;
                }
                Branch::File(file) => self.file(file, &first, &rest)?,
                Branch::Directory(input, extent) => self.directory((*input, *extent), chosen, &first, &rest)?,
                Branch::Missing(input) => {
                    let gap = self.cx.out().paint(31, "gap");
                    let text = format!("{}:{}   {gap}: not found again", input.input, input.path);
                    self.cx.out().branch(&format!("{first} "), &format!("{rest}     "), &text)?;
                }
                Branch::Grid(words) => self.cx.out().line(format!("{first}…  {words}: --files"))?,
                Branch::More(files, way) => {
                    self.cx.out().line(format!("{first}…  {}: {way}", plural(*files, "more file", "more files")))?;
                }
            }
        }
        Ok(())
    }

    /// `model@b21e07aa:/   2 files   42 MB`, followed by its files.
    fn directory(
        &self,
        (input, extent): (&InputNode, Extent),
        chosen: Option<Digest>,
        first: &str,
        rest: &str,
    ) -> Result<()> {
        let Some(found) = &input.commit else { return Ok(()) };
        let files = plural(extent.files, "file", "files");
        let place = format!("{}@{}:{}", found.repo, self.store.short_commit(&found.id)?, input.path);
        let seen = if input.seen { "   as above" } else { "" };
        let text = format!("{place}   {files}   {}{seen}", size(extent.size_bytes));
        self.cx.out().branch(&format!("{first} "), &format!("{rest}     "), &text)?;
        let mut branches: Vec<Branch<'_>> = input.files.iter().map(Branch::File).collect();
        let more = extent.files - input.files.len() as u64;
        if more > 0 && !input.seen {
            branches.push(Branch::More(more, "--files"));
        }
        self.branches(branches, chosen, rest)
    }

    /// `threat v3   datum 0b77c1aa   exit 0   0.02 s   network none`
    fn headline(&self, datum: &DatumNode) -> String {
        let out = self.cx.out();
        let name = out.paint(1, &format!("{} v{}", datum.pipeline, datum.version));
        let mut parts = vec![name, format!("datum {}", datum.id.short(8))];
        parts.extend(match datum.state {
            ResultState::Success => None,
            ResultState::Recovered => Some(out.paint(33, "recovered")),
            ResultState::Failed => Some(out.paint(31, "failed")),
        });
        parts.extend(datum.exit_code.map(|exit_code| format!("exit {exit_code}")));
        if datum.tries > 1 {
            parts.push(plural(datum.tries as u64, "try", "tries"));
        }
        if let (Some(started), Some(finished)) = (datum.started_at, datum.finished_at) {
            parts.push(duration(finished.seconds_since(started)));
        }
        parts.push(match datum.network {
            specs::Network::None => "network none".to_owned(),
            specs::Network::Default => "network default: not hermetic".to_owned(),
        });
        parts.join("   ")
    }

    fn wrote(&self, file: &FileNode) -> Result<String> {
        Ok(format!("wrote {}{}", self.file_line(file)?, self.same_as(file)?))
    }

    /// `   by reference: train@b21e07aa:/small/weights.npz`, if the file has the same bytes as an input.
    fn same_as(&self, file: &FileNode) -> Result<String> {
        let Some(same) = &file.same_as else { return Ok(String::new()) };
        Ok(format!("   by reference: {}@{}:{}", same.repo, self.store.short_commit(&same.commit)?, same.path))
    }

    fn details(&self, datum: &DatumNode) -> Result<Vec<String>> {
        let mut job = vec![format!("job {}", short_job(self.store, &datum.job)?)];
        job.extend(datum.finished_at.map(|time| self.human.local_and_utc(time)));
        job.push(datum.executor.on(datum.worker.as_deref()));
        if let Some(cause) = &datum.cause {
            job.push(format!("caused by {}, {}", cause_words(cause.kind, &cause.refs), name_of(cause.who())));
        }
        if datum.cached {
            let by = datum.taken_over_by.as_ref().map(|job| short_job(self.store, job)).transpose()?;
            job.push(format!("cached since{}", by.map_or_else(String::new, |job| format!(", for {job}"))));
        }
        let image = datum.image.as_ref().map_or_else(
            || "no image: this host's tools".to_owned(),
            |image| format!("image {} ({})", image.reference, short_digest(&image.digest)),
        );
        let mut made_by = vec![image, format!("cmd {}", command_line(&datum.cmd))];
        let git = code(datum.code.as_ref());
        made_by.extend(datum.applied_at.map(|time| {
            let by = datum.applied_by.as_ref().map_or_else(String::new, |by| format!(" by {}", name_of(by)));
            format!("applied {}{by}", self.human.date(time))
        }));
        let mut seen = environment(&datum.stdin, &datum.env);
        if !datum.secrets.is_empty() {
            seen.push(format!("secrets {}", datum.secrets.join(", ")));
        }
        let lines = [job, made_by, git, seen].into_iter().filter(|parts| !parts.is_empty());
        Ok(lines.map(|parts| parts.join("   ")).collect())
    }

    fn source(&self, source: &SourceNode, rest: &str) -> Result<()> {
        let time = self.human.local_and_utc(source.created_at);
        let SourceNode { author, committer, message, .. } = source;
        let (own, out) = (format!("{rest}     "), self.cx.out());
        let line = format!("{author} ({committer})   {time}   {}", first_line(message));
        out.branch(&own, &own, line.trim_end())?;
        if let Some(why) = &source.gone {
            out.branch(&own, &own, &format!("{}: {why}", out.paint(31, "gap")))?;
        }
        if let Some(address) = &source.read_from {
            self.cx.out().line(format!("{rest}     read from {address}"))?;
        }
        if let Some(original) = &source.copied_from {
            self.file(original, &format!("{rest}     copied from "), &format!("{rest}     "))?;
        }
        Ok(())
    }
}

fn branches_of(datum: &DatumNode) -> Vec<Branch<'_>> {
    let mut branches = Vec::new();
    for input in &datum.inputs {
        match input.directory {
            Some(extent) => branches.push(Branch::Directory(input, extent)),
            None if input.commit.is_none() => branches.push(Branch::Missing(input)),
            None => branches.extend(input.files.iter().map(Branch::File)),
        }
    }
    if datum.more_inputs > 0 {
        branches.push(Branch::More(datum.more_inputs, "--files"));
    }
    branches
}

/// Whether one commit added both, and the first needs no line of its own.
fn is_of_one_commit(file: &FileNode, next: &Branch<'_>) -> bool {
    let Branch::File(next) = next else { return false };
    match (&file.origin, &next.origin) {
        (Origin::Source(source), Origin::Source(next)) => {
            source.commit == next.commit
                && source.copied_from.is_none()
                && source.gone.is_none()
                && source.read_from.is_none()
        }
        _ => false,
    }
}

/// Remarks about the inputs of a datum.
fn notes(datum: &DatumNode) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |is_so: fn(&InputNode) -> bool, text: &str| {
        let mut named: Vec<String> =
            datum.inputs.iter().filter(|input| is_so(input)).map(|input| format!("`{}`", input.input)).collect();
        named.dedup();
        if !named.is_empty() {
            notes.push(text.replace("{}", &named.join(", ")));
        }
    };
    note(|input| input.older, "older: {} had a newer commit at that time");
    note(|input| input.reference, "reference: changes of {} do not cause a new execution");
    note(|input| input.empty_files, "names only: {} had empty files");
    if datum.more_inputs > 0 {
        notes.push(format!("a group of {} inputs", count(datum.inputs.len() as u64 + datum.more_inputs)));
    }
    notes
}

/// `Anna` from `Anna <anna@example.com>`.
fn name_of(author: &str) -> &str {
    author.split_once(" <").map_or(author, |(name, _)| name)
}

/// Adds a space after a stem that ends in a branch.
fn spaced(first: &str) -> String {
    let space = if first.is_empty() || first.ends_with(' ') { "" } else { " " };
    format!("{first}{space}")
}
