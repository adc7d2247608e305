//! `pv put`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use repos::files::{self, Census, Edits, PutOptions};
use repos::hash::Hasher;
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use specs::{CommitId, FilePath, Glob, Reference, Revision};

use super::change::{Commit, Message, PutView, Target, census_line, commit, nothing_committed};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::count;

/// Commit files and directories of this machine
///
/// A file lands as DIR/name, a directory's contents under DIR/; all in one commit, or nothing. Unchanged content makes no commit.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where to: `images`, `images@branch`, `images:/dir`
    #[arg(value_name = "REF[:/DIR]")]
    target: Reference,
    /// Files and directories; `-` is standard input and needs `--as`
    #[arg(value_name = "SRC", required_unless_present = "files_from")]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    message: Message,
    /// The whole path of the one file that is put
    #[arg(long = "as", value_name = "PATH")]
    as_path: Option<FilePath>,
    /// Also remove what is below DIR and not in SRC
    #[arg(long)]
    mirror: bool,
    /// Leave out what matches, relative to SRC; may be given several times
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<Glob>,
    /// Put only the paths in this list, relative to SRC; `-` is standard input
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Only if the branch is still at this revision
    #[arg(long, value_name = "REV")]
    expect: Option<Revision>,
    /// Then run what the commit causes, or wait for it, to its end
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Say what would be committed, and commit nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Whether content or a list comes from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.sources.iter().chain(&self.files_from).any(|source| source.as_os_str() == "-")
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    let target = Target::of(store, &args.target)?;
    let expect = args.expect.as_ref().map(|revision| expected(store, &target, revision)).transpose()?;
    let put = Put { cx, store, target: &target, args };
    if args.dry_run {
        return put.say_what_would_change().map_err(nothing_committed);
    }
    let options = put.options()?;
    let mut edits = put.edits(&options).map_err(nothing_committed)?;
    put.confirm_mirror(&edits)?;
    let new = Commit { target: &target, message: &args.message, expect, started };
    let mut tries = 0;
    let run = commit(cx, &new, |base| {
        tries += 1;
        if tries > 1 && put.is_any_gone(&edits)? {
            edits = put.edits_again(&options)?;
        }
        put.for_base(base, edits.clone()).map(|(edits, _)| edits)
    })?;
    match run.filter(|_| args.wait) {
        Some(run) => super::run::bring_to_end(cx, &run),
        None => Ok(()),
    }
}

/// The commit that `--expect` names.
fn expected(store: &Store, target: &Target, revision: &Revision) -> Result<CommitId> {
    let reference = Reference { repo: target.repo.clone(), revision: Some(revision.clone()), path: None };
    Ok(store.resolve(&reference)?.id)
}

struct Put<'a> {
    cx: &'a Context,
    store: &'a Store,
    target: &'a Target,
    args: &'a Args,
}

impl Put<'_> {
    fn directory(&self) -> FilePath {
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
            excludes: self.args.exclude.clone(),
            files_from: list,
            mirror: self.args.mirror,
        })
    }

    fn source(&self, given: &Path) -> PathBuf {
        if given.as_os_str() == "-" { given.to_owned() } else { self.cx.path(given) }
    }

    fn read_list(&self, file: &Path) -> Result<Vec<PathBuf>> {
        let mut bytes = Vec::new();
        let read = if file.as_os_str() == "-" {
            (&self.cx.outside().streams.stdin).read_to_end(&mut bytes)
        } else {
            std::fs::File::open(self.cx.path(file)).and_then(|mut file| file.read_to_end(&mut bytes))
        };
        read.map_err(|error| CliError::io(format!("cannot read the list `{}`", file.display()), &error))?;
        Ok(files::parse_list(&bytes))
    }

    /// Stores the content of all sources; what is to change, but for what a mirror removes.
    fn edits(&self, options: &PutOptions) -> Result<Edits> {
        let gathered = files::gather(options)?;
        if let (Some(path), true) = (&options.as_path, options.sources == [PathBuf::from("-")]) {
            return self.put_stdin(path);
        }
        // A folder that is not mounted, say; a mirror asks about it.
        if gathered.is_empty() && !self.args.mirror {
            self.cx.notes().line("the sources hold no file");
        }
        let progress = self.cx.progress("put");
        let total = gathered.size_bytes;
        let uploaded = files::upload(self.store, &gathered, &|files, bytes| progress.update(files, bytes, total))?;
        Ok(uploaded.into_edits(gathered))
    }

    /// Whether garbage collection took content that the store held when the sources were read.
    fn is_any_gone(&self, edits: &Edits) -> Result<bool, RepoError> {
        for file in edits.files.values().flatten() {
            if !self.store.has_content(&file.digest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores the content of all sources once more.
    fn edits_again(&self, options: &PutOptions) -> Result<Edits, RepoError> {
        if options.sources.contains(&PathBuf::from("-")) {
            return Err(RepoError::Conflict {
                what: "garbage collection took content that standard input had too".to_owned(),
                hint: Some("repeat the command".to_owned()),
            });
        }
        let gathered = files::gather(options)?;
        let uploaded = files::upload(self.store, &gathered, &|_, _| {})?;
        Ok(uploaded.into_edits(gathered))
    }

    /// Standard input is that of the process that was called, which need not be this one.
    fn put_stdin(&self, path: &FilePath) -> Result<Edits> {
        let stored = self.store.put_content(&self.cx.outside().streams.stdin);
        let stored = stored.map_err(|error| match error.downcast::<RepoError>() {
            Ok(error) => CliError::from(error),
            Err(error) => CliError::io("cannot read standard input", &error),
        })?;
        let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        let files = [(path.clone(), Some(file))].into();
        Ok(Edits { files, new_bytes: stored.new_bytes, ..Edits::default() })
    }

    /// Adds what a mirror removes from these files; refuses when that looks like a mistake.
    fn for_base(&self, base: Tree, mut edits: Edits) -> Result<(Edits, Option<files::Mirror>), RepoError> {
        if !self.args.mirror {
            return Ok((edits, None));
        }
        let mirror = files::mirror(self.store, base, &self.directory(), &self.args.exclude, &mut edits)?;
        Ok((edits, Some(mirror)))
    }

    /// Asks before a mirror removes most of what is there.
    fn confirm_mirror(&self, edits: &Edits) -> Result<()> {
        let base = self.target.files(self.store)?;
        let (_, mirror) = self.for_base(base, edits.clone())?;
        match mirror {
            Some(mirror) if mirror.is_drastic() => {
                let (removed, before) = (count(mirror.removed), count(mirror.total_before));
                let goes =
                    format!("this removes {removed} of {before} files in {}:{}", self.target.place(), self.directory());
                let refused =
                    format!("more than half of the files in {}:{} would go", self.target.place(), self.directory());
                self.cx.confirm(&goes, &refused).map_err(nothing_committed)
            }
            _ => Ok(()),
        }
    }

    /// `--dry-run`: reads and hashes the sources, and stores nothing.
    fn say_what_would_change(&self) -> Result<()> {
        let options = self.options()?;
        if options.sources.contains(&PathBuf::from("-")) {
            return Err(CliError::usage("--dry-run does not read standard input", "name a file"));
        }
        let gathered = files::gather(&options)?;
        let mut edits = Edits::default();
        for (source, path, _) in gathered.files() {
            edits.files.insert(path.clone(), Some(hash(&source)?));
        }
        let base = self.target.files(self.store)?;
        let (edits, _) = self.for_base(base, edits)?;
        let mut census = Census::default();
        for (path, new) in &edits.files {
            self.count(&mut census, base.file(self.store, path)?, *new)?;
        }
        if self.cx.out().is_json() {
            return self.cx.out().json(&PutView::new(self.target, &census, None, None));
        }
        self.cx.out().line(census_line(&census))?;
        self.cx.notes().line("nothing was committed: --dry-run");
        Ok(())
    }

    fn count(&self, census: &mut Census, old: Option<FileEntry>, new: Option<FileEntry>) -> Result<()> {
        match (old, new) {
            (None, Some(_)) => census.added += 1,
            (Some(old), Some(new)) if old == new => census.unchanged += 1,
            (Some(_), Some(_)) => census.modified += 1,
            (Some(_), None) => census.removed += 1,
            (None, None) => {}
        }
        if let Some(new) = new {
            census.size_bytes += new.size;
            if !self.store.has_content(&new.digest)? {
                census.new_bytes += new.size;
            }
        }
        Ok(())
    }
}

fn hash(source: &Path) -> Result<FileEntry> {
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |error: std::io::Error| CliError::io(format!("cannot read `{}`", source.display()), &error);
    let mut file = std::fs::File::open(source).map_err(unreadable)?;
    let executable = file.metadata().map_err(unreadable)?.permissions().mode() & 0o111 != 0;
    let (mut hasher, mut size, mut buffer) = (Hasher::default(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            return Ok(FileEntry { digest: hasher.finish(), size, executable });
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}
