//! `pv put`

use std::path::{Path, PathBuf};
use std::time::Instant;

use repos::files::{
    self, By, Edits, Excludes, Gathered, LeftOut, Mirror, PATTERN_FILE, Pattern, PutOptions, UploadOptions, Uploaded,
};
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use specs::{CommitId, ErrorKind, FilePath, Reference, Revision};

use super::change::{Commit, Message, PutView, Target, after, commit_then, nothing_committed, summary_line};
use super::streams::{self, Sources};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::count;

/// Commit files and directories from this machine
///
/// A file is stored as DIR/NAME, the contents of a directory as DIR/. All sources form one commit. If nothing differs, no commit is made.
///
/// A file `.pvignore`, in the format of .gitignore, excludes files of its directory. It is not stored itself.
///
/// A file that was put before from the same folder is read again only if its size, times, mode or inode changed, or if it changed shortly
/// before it was last read (about a minute; ten minutes on network file systems and FUSE). Files on tmpfs and overlayfs are always read,
/// since writes through mmap may not change their times. --checksum reads all files.
#[derive(clap::Args, Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Target: `images`, `images@branch`, `images:/dir`
    #[arg(value_name = "REF[:/DIR]")]
    pub(super) target: Reference,
    /// Files, directories and `https://` URLs; `-` is standard input and needs `--as` or `--untar`
    #[arg(value_name = "SRC", required_unless_present_any = ["files_from", "input_list"])]
    pub(super) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) streams: streams::Args,
    #[command(flatten)]
    pub(super) message: Message,
    /// Full path for a single file
    #[arg(long = "as", value_name = "PATH")]
    pub(super) as_path: Option<FilePath>,
    /// Also remove files below DIR that are not in SRC
    #[arg(long)]
    pub(super) mirror: bool,
    /// Skip files that match this .gitignore pattern: `*.tmp` at any depth, `/top`, `cache/`; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude: Vec<Pattern>,
    /// Skip and list files that cannot be read, that change while being read, or that are not regular files
    #[arg(long)]
    pub(super) skip_unreadable: bool,
    /// Put only the paths in this file, relative to SRC; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) files_from: Option<PathBuf>,
    /// Read all files, also those that look unchanged
    #[arg(long)]
    pub(super) checksum: bool,
    /// Fail unless the branch is at this revision
    #[arg(long, value_name = "REV")]
    pub(super) expect: Option<Revision>,
    /// Then run the jobs that the commit causes, or wait for them
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) wait: bool,
    /// Show what would be committed; commit nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Args {
    /// Whether content or a list comes from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.sources.iter().any(|source| source.as_os_str() == "-") || self.reads_list_from_stdin()
    }

    /// Whether a list comes from standard input.
    pub(super) fn reads_list_from_stdin(&self) -> bool {
        self.files_from.as_ref().is_some_and(|list| list.as_os_str() == "-") || self.streams.reads_stdin()
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    let target = Target::of(store, &args.target)?;
    let expect = args.expect.as_ref().map(|revision| expected(store, &target, revision)).transpose()?;
    let sources = Sources::of(cx, args).map_err(nothing_committed)?;
    let args = &Args { sources: sources.local.clone(), ..args.clone() };
    let put = Put { cx, store, target: &target, args };
    if args.dry_run {
        return put.say_what_would_change().map_err(nothing_committed);
    }
    let streamed = sources.store(cx, store).map_err(nothing_committed)?;
    let mut local = put.local(&sources, &streamed).map_err(nothing_committed)?;
    put.note_odd_directory();
    let skipped = local.as_ref().map(|(_, content)| content.skipped()).unwrap_or_default();
    let new = Commit { target: &target, message: &args.message, expect, started, skipped: &skipped };
    let mut tries = 0;
    let made = commit_then(cx, &new, args.wait, |base| {
        tries += 1;
        let edits = put.all_edits(local.as_ref(), &streamed, base)?;
        if tries == 1 || !put.is_any_gone(&edits)? {
            return Ok(edits);
        }
        if !streamed.files.is_empty() {
            return Err(read_only_once("a stream"));
        }
        if let Some((options, content)) = &mut local {
            *content = put.content_again(options)?;
        }
        put.all_edits(local.as_ref(), &streamed, base)
    });
    let run = made.map_err(|error| put.hint_at_name(error))?;
    if let Some((_, Content::Files(gathered, uploaded))) = &local {
        uploaded.remember(store, gathered);
    }
    match run.filter(|_| args.wait) {
        Some(run) => super::run::bring_to_end(cx, &run).map_err(|error| after(Some(run), error)),
        None => Ok(()),
    }
}

/// Content is gone that cannot be read again.
fn read_only_once(source: &str) -> RepoError {
    let what = format!("garbage collection removed content that {source} also contained");
    RepoError::Conflict { what, hint: Some("repeat the command".to_owned()) }
}

/// The commit that `--expect` names.
fn expected(store: &Store, target: &Target, revision: &Revision) -> Result<CommitId> {
    let reference = Reference { repo: target.repo.clone(), revision: Some(revision.clone()), path: None };
    Ok(store.resolve(&reference)?.id)
}

/// The sources of a put on their way into the store.
pub(super) struct Put<'a> {
    pub(super) cx: &'a Context,
    pub(super) store: &'a Store,
    pub(super) target: &'a Target,
    pub(super) args: &'a Args,
}

/// What is put, read and stored already.
pub(super) enum Content {
    Files(Box<Gathered>, Uploaded),
    /// Standard input, which can be read only once.
    Stdin(Edits),
}

impl Content {
    /// What was left out of the sources.
    pub(super) fn left_out(&self) -> LeftOut {
        match self {
            Self::Files(gathered, uploaded) => uploaded.left_out(gathered),
            Self::Stdin(_) => LeftOut::default(),
        }
    }

    /// What could not be read and was left out for it, and why.
    fn skipped(&self) -> Vec<(PathBuf, String)> {
        match self {
            Self::Files(gathered, uploaded) => [gathered.skipped.as_slice(), &uploaded.skipped].concat(),
            Self::Stdin(_) => Vec::new(),
        }
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

/// What a pattern that fits nothing may have been meant as.
fn why_unused(pattern: &Pattern) -> &'static str {
    if pattern.as_str().contains('{') { "; braces are literal, as in .gitignore: repeat --exclude instead" } else { "" }
}

/// Bytes of a list of files: about ten million of them.
const MAX_LIST_BYTES: u64 = 1 << 30;

impl Put<'_> {
    /// The content of files of this machine, read and stored; `None` when all sources are streams.
    fn local(&self, sources: &Sources, streamed: &Edits) -> Result<Option<(PutOptions, Content)>> {
        if !sources.is_local() && sources.local.is_empty() {
            return Ok(None);
        }
        let (options, gathered) = self.gather()?;
        let content = self.content(&options, gathered, false)?;
        self.confirm_mirror(&content)?;
        if !streamed.files.is_empty() {
            // All files, not only those that differ: none may be written twice.
            streams::join(&mut self.edits(&content, Tree::empty())?.0, streamed.clone())?;
        }
        Ok(Some((options, content)))
    }

    fn all_edits(
        &self,
        local: Option<&(PutOptions, Content)>,
        streamed: &Edits,
        base: Tree,
    ) -> Result<Edits, RepoError> {
        let mut edits = match local {
            Some((_, content)) => self.edits(content, base)?.0,
            None => Edits::default(),
        };
        streams::join(&mut edits, streamed.clone())?;
        Ok(edits)
    }

    pub(super) fn directory(&self) -> FilePath {
        self.args.target.path.clone().unwrap_or_else(FilePath::root)
    }

    fn options(&self) -> Result<PutOptions> {
        let list = self.args.files_from.as_ref().map(|file| self.read_list(file)).transpose()?;
        let mut sources: Vec<PathBuf> = self.args.sources.iter().map(|source| self.source(source)).collect();
        if list.is_some() && sources.is_empty() {
            sources.push(self.cx.path(".".as_ref()));
        }
        Ok(PutOptions {
            reference: Reference { path: None, ..self.args.target.clone() }.to_string(),
            directory: self.args.target.path.clone(),
            sources,
            as_path: self.args.as_path.clone(),
            excludes: Excludes { patterns: self.args.exclude.clone(), files: &[PATTERN_FILE], built_in: &[] },
            skip_unreadable: self.args.skip_unreadable,
            files_from: list,
            mirror: self.args.mirror,
        })
    }

    fn source(&self, given: &Path) -> PathBuf {
        if given.as_os_str() == "-" { given.to_owned() } else { self.cx.path(given) }
    }

    fn read_list(&self, file: &Path) -> Result<Vec<PathBuf>> {
        let name = if file.as_os_str() == "-" { "standard input".to_owned() } else { format!("`{}`", file.display()) };
        let bytes = self.cx.read(file, &format!("the list {name}"), MAX_LIST_BYTES)?;
        Ok(files::parse_list(&bytes))
    }

    /// Finds all files that are meant; nothing is read yet.
    pub(super) fn gather(&self) -> Result<(PutOptions, Gathered)> {
        let options = self.options()?;
        let gathered = files::gather(&options)?;
        Ok((options, gathered))
    }

    /// Reads the content of all sources as far as it is not known, and stores it unless this is a `dry_run`.
    pub(super) fn content(&self, options: &PutOptions, gathered: Gathered, dry_run: bool) -> Result<Content> {
        if let (Some(path), true) = (&options.as_path, options.sources == [PathBuf::from("-")]) {
            return Ok(Content::Stdin(self.put_stdin(path)?));
        }
        self.say_left_out(&gathered);
        // A folder that is not mounted, say; a mirror asks about it.
        if gathered.is_empty() && !self.args.mirror {
            self.cx.notes().line("the sources contain no files");
        }
        let progress = self.cx.progress("put");
        let total = gathered.size_bytes;
        let progress = |files, bytes| progress.update(files, bytes, total);
        let base = self.target.files(self.store)?;
        let options = UploadOptions {
            base,
            trust_stat: !self.args.checksum,
            dry_run,
            skip_unreadable: self.args.skip_unreadable,
            progress: &progress,
        };
        let uploaded = files::upload_with(self.store, &gathered, &options)?;
        self.say_skipped(&uploaded.skipped);
        Ok(Content::Files(Box::new(gathered), uploaded))
    }

    /// The changes to `base`; for a mirror also how much it removes.
    pub(super) fn edits(&self, content: &Content, base: Tree) -> Result<(Edits, Option<Mirror>), RepoError> {
        let (gathered, uploaded) = match content {
            Content::Files(gathered, uploaded) => (gathered, uploaded),
            Content::Stdin(edits) => return Ok((edits.clone(), None)),
        };
        let mut edits = uploaded.edits(self.store, base, gathered)?;
        if !self.args.mirror {
            return Ok((edits, None));
        }
        let mirror = files::mirror_gathered(self.store, base, &self.directory(), gathered, &mut edits)?;
        Ok((edits, Some(mirror)))
    }

    /// Whether garbage collection took content since it was looked for.
    fn is_any_gone(&self, edits: &Edits) -> Result<bool, RepoError> {
        for file in edits.files.values().flatten() {
            if !self.store.has_content(&file.digest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores the content of all sources once more.
    fn content_again(&self, options: &PutOptions) -> Result<Content, RepoError> {
        if options.sources.contains(&PathBuf::from("-")) {
            return Err(read_only_once("standard input"));
        }
        let gathered = files::gather(options)?;
        let skip_unreadable = self.args.skip_unreadable;
        let (base, progress) = (Tree::empty(), &|_, _| {});
        let how = UploadOptions { base, trust_stat: false, dry_run: false, skip_unreadable, progress };
        let uploaded = files::upload_with(self.store, &gathered, &how)?;
        Ok(Content::Files(Box::new(gathered), uploaded))
    }

    /// Says where a file lands when its directory looks like a file's name.
    fn note_odd_directory(&self) {
        let (Some(path), [source]) = (&self.args.target.path, self.args.sources.as_slice()) else { return };
        let extension = |name: &str| Path::new(name).extension().map(std::ffi::OsStr::to_ascii_lowercase);
        let Some(name) = source.file_name().and_then(|name| name.to_str()) else { return };
        let is_alike = extension(name).is_some() && extension(name) == extension(path.name());
        let is_directory =
            || self.target.files(self.store).is_ok_and(|tree| matches!(tree.kind_at(self.store, path), Ok(Some(_))));
        if is_alike && self.args.as_path.is_none() && self.cx.path(source).is_file() && !is_directory() {
            let reference = Reference { path: None, ..self.args.target.clone() };
            let as_path = format!("pv put {reference} {} --as {path}", source.display());
            self.cx
                .notes()
                .line(format!("it is stored as `{}{name}`; to choose the name: {as_path}", path.as_prefix()));
        }
    }

    /// A target that is a file is most likely meant as the new file's name.
    fn hint_at_name(&self, error: CliError) -> CliError {
        let (Some(path), [source]) = (&self.args.target.path, self.args.sources.as_slice()) else { return error };
        let is_file = |tree: Tree| tree.file(self.store, path).is_ok_and(|file| file.is_some());
        if error.kind() != Some(ErrorKind::Usage) || !self.cx.path(source).is_file() {
            return error;
        }
        match self.target.files(self.store) {
            Ok(tree) if is_file(tree) => {
                let reference = Reference { path: None, ..self.args.target.clone() };
                error.hint(format!("to choose the name: pv put {reference} {} --as {path}", source.display()))
            }
            _ => error,
        }
    }

    /// Says what of the sources is left out, and why.
    fn say_left_out(&self, gathered: &Gathered) {
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
        self.say_skipped(&gathered.skipped);
    }

    /// Lists what could not be read.
    fn say_skipped(&self, skipped: &[(PathBuf, String)]) {
        for (path, why) in skipped {
            self.cx.notes().line(format!("skipped: `{}` {why}", path.display()));
        }
    }

    /// Standard input is that of the process that was called, which need not be this one.
    fn put_stdin(&self, path: &FilePath) -> Result<Edits> {
        let stored = self.store.put_content(self.cx.invocation().stdin());
        let stored = stored.map_err(|error| match error.downcast::<RepoError>() {
            Ok(error) => CliError::from(error),
            Err(error) => CliError::io("cannot read standard input", &error),
        })?;
        let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        let files = [(path.clone(), Some(file))].into();
        Ok(Edits { files, new_bytes: stored.new_bytes, ..Edits::default() })
    }

    /// Asks before a mirror removes most of what is there.
    fn confirm_mirror(&self, content: &Content) -> Result<()> {
        if !self.args.mirror {
            return Ok(());
        }
        match self.edits(content, self.target.files(self.store)?)?.1 {
            Some(mirror) if mirror.is_drastic() => {
                let (removed, before) = (count(mirror.removed), count(mirror.total_before));
                let goes = format!(
                    "This removes {removed} of {before} files in {}:{}.",
                    self.target.place(),
                    self.directory()
                );
                let refused = format!(
                    "this would remove more than half of the files in {}:{}",
                    self.target.place(),
                    self.directory()
                );
                self.cx.confirm(&goes, &refused).map_err(nothing_committed)
            }
            _ => Ok(()),
        }
    }

    /// `--dry-run`: reads and hashes the sources, and stores nothing.
    fn say_what_would_change(&self) -> Result<()> {
        if self.args.sources.contains(&PathBuf::from("-")) {
            return Err(CliError::usage("--dry-run does not read standard input", "name a file"));
        }
        let (options, gathered) = self.gather()?;
        let content = self.content(&options, gathered, true)?;
        let base = self.target.files(self.store)?;
        let (edits, _) = self.edits(&content, base)?;
        let summary = files::preview(self.store, base, &edits)?;
        if self.cx.out().is_json() {
            let view = PutView::new(self.target, &summary, None, None);
            return self.cx.out().json(&view.skipped(&content.skipped()));
        }
        self.cx.out().line(summary_line(&summary))?;
        self.cx.notes().line("dry run: nothing was committed");
        Ok(())
    }
}
