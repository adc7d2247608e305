//! `pv put`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use answers::change::PutView;
use engine::put::{
    self, Caller, MAX_LIST_BYTES, PreparedPut, PutFiles, PutListing, PutPreview, PutProgress, PutRequest, PutSource,
    Upload,
};
use engine::target::TargetBranch;
use repos::files::{By, Gathered, PATTERN_FILE, Pattern, PutOptions, parse_list};
use repos::store::Sender;
use specs::{Digest, FilePath, Reference, RepoName, Revision};

use super::change::{Message, after, nothing_committed, report, summary_line};
use crate::author;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::invocation::{Far, Part};
use crate::output::count;
use crate::remote::client::{Outgoing, Remember};

/// Most bytes of a list of sources.
const MAX_SOURCES_BYTES: u64 = 64 << 20;

/// Commit files and directories from this machine
///
/// A file is stored as DIR/NAME, the contents of a directory as DIR/. All sources form one commit. If nothing differs, no commit is made.
///
/// A file `.pvignore`, in the format of .gitignore, excludes files of its directory. It is not stored itself.
///
/// A file that was put before from the same folder is read again only if its size, times, mode or inode changed, or if it changed shortly
/// before it was last read (about a minute; ten minutes on network file systems and FUSE). Files on tmpfs and overlayfs are always read,
/// since writes through mmap may not change their times. --checksum reads all files.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Target: `images`, `images@branch`, `images:/dir`
    #[arg(value_name = "REF[:/DIR]")]
    target: Reference,
    /// Files, directories and `https://` URLs; `-` is standard input and needs `--as` or `--untar`
    #[arg(value_name = "SRC", required_unless_present_any = ["files_from", "input_list"])]
    sources: Vec<PathBuf>,
    /// Also put the paths and URLs in this file, one per line, `#` for comments; `-` is standard input
    ///
    /// A URL may be followed by `sha256:HEX`, the required digest of its content.
    #[arg(short = 'i', long, value_name = "LIST")]
    input_list: Option<PathBuf>,
    /// Put the files inside the sources: tar archives, plain or compressed with gzip or zstd; `-` is standard input
    #[arg(long)]
    untar: bool,
    /// Required SHA-256 of the content, for a single URL
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    #[command(flatten)]
    message: Message,
    /// Full path for a single file
    #[arg(long = "as", value_name = "PATH")]
    as_path: Option<FilePath>,
    /// Also remove files below DIR that are not in SRC
    #[arg(long)]
    mirror: bool,
    /// Skip files that match this .gitignore pattern: `*.tmp` at any depth, `/top`, `cache/`; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,
    /// Skip and list files that cannot be read, that change while being read, or that are not regular files
    #[arg(long)]
    skip_unreadable: bool,
    /// Put only the paths in this file, relative to SRC; `-` is standard input
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Read all files, also those that look unchanged
    #[arg(long)]
    checksum: bool,
    /// Fail unless the branch is at this revision
    #[arg(long, value_name = "REV")]
    expect: Option<Revision>,
    /// Then run the jobs that the commit causes, or wait for them
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Show what would be committed; commit nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Sends the content of the sources to the store with this id, on the caller's machine.
    pub(super) fn upload(&self, cx: &Context, store: &str, to: &Outgoing) -> Result<(Vec<u8>, Remember)> {
        let files = self.files(cx).map_err(nothing_committed)?;
        let known = cx.stat_place(store);
        let how = Upload { to, known: known.as_ref(), dry_run: self.dry_run };
        let uploaded = put::upload(&self.target, &files, &how, &Shown { cx }).map_err(nothing_committed)?;
        let listing = uploaded.listing().encode();
        Ok((listing, Box::new(move || known.iter().for_each(|place| uploaded.remember(place)))))
    }

    /// The branch that similar files are on.
    pub(super) fn target(&self) -> &Reference {
        &self.target
    }

    /// What matters of the files in the store: the rest is done where they are.
    fn placed(&self) -> PutFiles {
        PutFiles {
            directory: self.target.path.clone(),
            as_path: self.as_path.clone(),
            mirror: self.mirror,
            untar: self.untar,
            ..PutFiles::default()
        }
    }

    /// Whether content or a list is read from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.sources.iter().any(|source| is_stdin(source)) || self.reads_list_from_stdin()
    }

    /// Whether a list is read from standard input.
    fn reads_list_from_stdin(&self) -> bool {
        [&self.files_from, &self.input_list].into_iter().flatten().any(|list| is_stdin(list))
    }

    /// Everything to put: the sources on the command line and those of the list.
    fn files(&self, cx: &Context) -> Result<PutFiles> {
        if self.sources.iter().any(|source| is_stdin(source)) && self.reads_list_from_stdin() {
            return Err(named_twice());
        }
        let given = self.sources.iter().map(|source| PutSource::parse(source));
        let mut sources: Vec<PutSource> = given.collect::<engine::Result<_>>()?;
        if let Some(list) = &self.input_list {
            sources.extend(sources_in(cx, list)?);
        }
        if self.reads_list_from_stdin() && sources.contains(&PutSource::Input) {
            return Err(named_twice());
        }
        if self.sha256.is_some() {
            let [PutSource::Web { digest, .. }] = sources.as_mut_slice() else {
                let hint = "in a list, write `sha256:HEX` after each URL";
                return Err(CliError::usage("--sha256 is for a single URL", hint));
            };
            *digest = self.sha256;
        }
        Ok(PutFiles {
            directory: self.target.path.clone(),
            sources,
            folder: folder(cx),
            as_path: self.as_path.clone(),
            untar: self.untar,
            mirror: self.mirror,
            exclude: self.exclude.clone(),
            skip_unreadable: self.skip_unreadable,
            files_from: self.files_from.as_ref().map(|list| paths_in(cx, list)).transpose()?,
            checksum: self.checksum,
        })
    }
}

/// The base of relative paths in a request: the caller's folder, if the command was handed over.
pub(super) fn folder(cx: &Context) -> Option<PathBuf> {
    let invocation = cx.invocation();
    invocation.client.is_other().then(|| invocation.cwd.clone())
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn named_twice() -> CliError {
    CliError::usage("standard input is named twice", "name a file instead")
}

/// The sources in a list.
fn sources_in(cx: &Context, list: &Path) -> Result<Vec<PutSource>> {
    let shown = if is_stdin(list) { "standard input".to_owned() } else { list.display().to_string() };
    let bytes = cx.read(list, &format!("the list `{shown}`"), MAX_SOURCES_BYTES)?;
    put::sources_in(&shown, bytes).map_err(|error| CliError::of_lines(&shown, error))
}

/// The paths in a list.
fn paths_in(cx: &Context, list: &Path) -> Result<Arc<[PathBuf]>> {
    let name = if is_stdin(list) { "standard input".to_owned() } else { format!("`{}`", list.display()) };
    Ok(parse_list(&cx.read(list, &format!("the list {name}"), MAX_LIST_BYTES)?).into())
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    let target = TargetBranch::of(store, &args.target)?;
    let expect = args.expect.as_ref().map(|revision| target.revision(store, revision)).transpose()?;
    let far = cx.invocation().client.is_far();
    let files = if far.is_some() { args.placed() } else { args.files(cx).map_err(nothing_committed)? };
    let (by, message) = (author::by(cx, args.message.author.as_deref()), args.message.message.clone());
    let request = PutRequest { target, files, expect, by, message };
    let caller = Shown { cx };
    let sees = |repo: &RepoName| store.sees(repo);
    let sent = far.map(|far| sent(store, (far, Part::Sources), &sees)).transpose()?;
    if args.dry_run {
        let preview = match sent {
            None => put::preview(store, &request, &caller),
            Some((listing, from)) => {
                PutListing::decode(&listing).and_then(|listing| put::preview_listed(store, &request, listing, from))
            }
        };
        let preview = preview.map_err(nothing_committed)?;
        return print_preview(cx, &request.target, &preview).map_err(nothing_committed);
    }
    let prepared = match sent {
        None => put::prepare(store, &request, &caller),
        Some((listing, from)) => {
            PutListing::decode(&listing).and_then(|listing| put::prepare_listed(store, &request, listing, from))
        }
    };
    let prepared = prepared.map_err(nothing_committed)?;
    confirm_mirror(cx, &request, &prepared).map_err(nothing_committed)?;
    note_odd_place(cx, args, &prepared);
    let outcome = prepared.commit().map_err(nothing_committed)?;
    let run = outcome.run();
    report(cx, &outcome, started, args.wait).map_err(|error| after(run, error))?;
    match run.filter(|_| args.wait) {
        Some(run) => super::run::bring_to_end(cx, &run).map_err(|error| after(Some(run), error)),
        None => Ok(()),
    }
}

/// Has the client on another machine send what a part of its command line names; returns its message about it, and who it is.
pub(super) fn sent<'a>(
    store: &Store,
    (far, part): (&'a Far, Part),
    sees: &'a (dyn Fn(&RepoName) -> bool + Sync),
) -> Result<(Vec<u8>, Sender<'a>)> {
    // The client reports its own errors.
    let listing = far.upload(part).map_err(|_| CliError::Cancelled)?;
    Ok((listing, Sender { name: &far.caller.access.client, sees: store.is_limited().then_some(sees) }))
}

/// Asks before a mirror removes most of the existing files.
fn confirm_mirror(cx: &Context, request: &PutRequest, prepared: &PreparedPut<'_>) -> Result<()> {
    let Some(mirror) = prepared.mirror()?.filter(|mirror| mirror.is_drastic()) else { return Ok(()) };
    let (removed, before) = (count(mirror.removed), count(mirror.total_before));
    let place = format!("{}:{}", request.target.place(), request.files.directory());
    let refused = format!("this would remove more than half of the files in {place}");
    cx.confirm(&format!("This removes {removed} of {before} files in {place}."), &refused)
}

/// Notes where a file ends up if its directory looks like a file name.
fn note_odd_place(cx: &Context, args: &Args, prepared: &PreparedPut<'_>) {
    let (Some(stored), Some(path), [source]) = (prepared.odd_place(), &args.target.path, args.sources.as_slice())
    else {
        return;
    };
    let reference = Reference { path: None, ..args.target.clone() };
    let as_path = format!("pv put {reference} {} --as {path}", source.display());
    cx.notes().line(format!("it is stored as `{stored}`; to choose the name: {as_path}"));
}

/// `--dry-run`
fn print_preview(cx: &Context, target: &TargetBranch, preview: &PutPreview) -> Result<()> {
    if cx.out().is_json() {
        let view = PutView::new((&target.repo, &target.branch), &preview.summary, None, None);
        return cx.out().json(&view.skipped(&preview.skipped));
    }
    cx.out().line(summary_line(&preview.summary))?;
    cx.notes().line("dry run: nothing was committed");
    Ok(())
}

/// The command as the caller of a put: its standard input, its notes, its progress.
pub(super) struct Shown<'a> {
    pub(super) cx: &'a Context,
}

impl Caller for Shown<'_> {
    /// Standard input of the calling process, which may be another process.
    fn input(&self) -> Box<dyn Read + '_> {
        Box::new(self.cx.invocation().stdin())
    }

    /// Reports which sources are left out, and why.
    fn gathered(&self, options: &PutOptions, gathered: &Gathered) {
        let notes = self.cx.notes();
        for folder in &gathered.stores {
            notes.line(format!("skipped: `{}`, which is a store", folder.display()));
        }
        for (file, wrong) in &gathered.wrong_patterns {
            notes.line(format!("`{}`, {wrong}; it excludes nothing", file.display()));
        }
        let by = By::File(PATTERN_FILE);
        let named = gathered.omitted.named(&by);
        if !named.is_empty() {
            notes.line(format!("excluded by {PATTERN_FILE}: {}", some_of(&named, gathered.omitted.count(&by))));
        }
        for pattern in &gathered.unused {
            notes.line(format!("--exclude `{pattern}` matched nothing{}", why_unused(pattern)));
        }
        self.skipped(&gathered.skipped);
        // For example, the source is a folder that is not mounted; a mirror asks instead.
        if gathered.is_empty() && !options.mirror {
            notes.line("the sources contain no files");
        }
    }

    fn skipped(&self, skipped: &[(PathBuf, String)]) {
        for (path, why) in skipped {
            self.cx.notes().line(format!("skipped: `{}` {why}", path.display()));
        }
    }

    fn progress(&self) -> PutProgress<'_> {
        let progress = self.cx.progress("put");
        Box::new(move |files, bytes, total| progress.update(files, bytes, total))
    }

    fn is_gone(&self) -> bool {
        self.cx.invocation().cancel.is_asked()
    }
}

/// The first few of several names, and how many more there are.
fn some_of(named: &[&str], all: u64) -> String {
    const NAMED: usize = 5;
    let shown = &named[..named.len().min(NAMED)];
    let more = all.saturating_sub(shown.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" and {} more", count(more)) };
    format!("{}{more}", shown.join(", "))
}

/// A hint for a pattern that matched nothing.
fn why_unused(pattern: &Pattern) -> &'static str {
    if pattern.as_str().contains('{') { "; braces are literal, as in .gitignore: repeat --exclude instead" } else { "" }
}
