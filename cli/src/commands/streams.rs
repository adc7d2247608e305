//! What `pv put` reads besides files of this machine: addresses on the web, archives, and lists of all these.
//!
//! Each is read once, as a stream into the store, before the branch is looked at; the commit names the addresses as `origins`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use repos::documents::Origin;
use repos::files::{self, Edits};
use repos::tree::FileEntry;
use repos::web::WebUrl;
use repos::{RepoError, Store};
use specs::{Digest, ErrorKind, FilePath};

use super::put;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Bytes of a list of sources.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Addresses that are read at the same time.
const AT_ONCE: usize = 8;
const MIRROR_HINT: &str = "download the files to a folder first, then put that folder";

/// Options of `pv put` for sources other than local files.
#[derive(clap::Args, Debug, Default, Clone)]
#[group(skip)]
pub(super) struct Args {
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
}

impl Args {
    /// Whether a list comes from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.input_list.as_deref().is_some_and(is_stdin)
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether a source is an address.
pub(super) fn is_address(source: &Path) -> bool {
    source.to_str().is_some_and(WebUrl::is_meant_by)
}

/// The text at a URL, limited to this many bytes.
pub(super) fn read_text(address: &str, most: usize) -> Result<String> {
    let url = WebUrl::parse(address)?;
    if !url.is_private() {
        let hint = format!("https{}", url.origin().trim_start_matches("http"));
        return Err(CliError::usage(format!("`{url}`: content sent over http can be changed on the way"), hint));
    }
    let mut bytes = Vec::new();
    let read = url.open()?.take(most as u64 + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| unreadable(&url.to_string(), error))?;
    let text = String::from_utf8(bytes).ok().filter(|_| length <= most);
    text.ok_or_else(|| CliError::usage(format!("`{url}` is not UTF-8 text, or is too long"), "name a spec"))
}

/// The sources of a put.
#[derive(Debug)]
pub(super) struct Sources {
    /// Files and directories of this machine, and standard input as one file.
    pub(super) local: Vec<PathBuf>,
    streams: Vec<Stream>,
}

/// A source that is read as a stream.
#[derive(Debug)]
struct Stream {
    from: From,
    /// What its bytes must have.
    digest: Option<Digest>,
    becomes: Becomes,
}

#[derive(Debug)]
enum From {
    Web(WebUrl),
    File(PathBuf),
    Stdin,
}

/// What a stream becomes in the commit.
#[derive(Debug, Clone)]
enum Becomes {
    File(FilePath),
    /// The files of the archive that it is, below this directory.
    Files(FilePath),
}

impl Sources {
    /// Those that the arguments and the list name.
    pub(super) fn of(cx: &Context, args: &put::Args) -> Result<Self> {
        let mut given: Vec<(PathBuf, Option<Digest>)> =
            args.sources.iter().map(|source| (source.clone(), None)).collect();
        let twice = || CliError::usage("standard input is named twice", "name a file instead");
        if args.sources.iter().any(|source| is_stdin(source)) && args.reads_list_from_stdin() {
            return Err(twice());
        }
        if let Some(list) = &args.streams.input_list {
            given.extend(read_list(cx, list)?);
        }
        let is_alone = given.len() == 1;
        let stdins = given.iter().filter(|(source, _)| is_stdin(source)).count();
        if stdins > 0 && (stdins > 1 || args.reads_list_from_stdin()) {
            return Err(twice());
        }
        if let Some(digest) = args.streams.sha256 {
            match given.as_mut_slice() {
                [(source, expected)] if is_address(source) => *expected = Some(digest),
                _ => {
                    let hint = "in a list, write `sha256:HEX` after each URL";
                    return Err(CliError::usage("--sha256 is for a single URL", hint));
                }
            }
        }
        let mut sources = Self { local: Vec::new(), streams: Vec::new() };
        for (source, digest) in given {
            sources.add(cx, args, source, digest, is_alone)?;
        }
        sources.ensure_stream_options(args)?;
        Ok(sources)
    }

    fn add(
        &mut self,
        cx: &Context,
        args: &put::Args,
        source: PathBuf,
        digest: Option<Digest>,
        is_alone: bool,
    ) -> Result<()> {
        let directory = args.target.path.clone().unwrap_or_else(FilePath::root);
        let web = source.to_str().filter(|text| WebUrl::is_meant_by(text)).map(WebUrl::parse).transpose()?;
        let unpacks = args.streams.untar;
        let from = match web {
            Some(url) => From::Web(url),
            None if unpacks && is_stdin(&source) => From::Stdin,
            None if unpacks => From::File(cx.path(&source)),
            None => {
                self.local.push(source);
                return Ok(());
            }
        };
        if let From::Web(url) = &from
            && !url.is_private()
            && digest.is_none()
        {
            let hint = format!(
                "give the expected content with --sha256 HEX, or use https{}",
                url.origin().trim_start_matches("http")
            );
            return Err(CliError::usage(format!("`{url}`: content sent over http can be changed on the way"), hint));
        }
        let becomes = match (&from, &args.as_path) {
            _ if unpacks => Becomes::Files(directory),
            (_, Some(path)) if is_alone => Becomes::File(path.clone()),
            (_, Some(_)) => {
                return Err(CliError::usage("--as is the path of a single file", "leave it out, or put one source"));
            }
            (From::Web(url), None) => Becomes::File(directory_with(&directory, url)?),
            _ => return Ok(()),
        };
        if let Becomes::File(path) = &becomes {
            path.check_new().map_err(|error| RepoError::IllegalPaths(vec![error]))?;
        }
        self.streams.push(Stream { from, digest, becomes });
        Ok(())
    }

    /// Refuses what means nothing for streams.
    fn ensure_stream_options(&self, args: &put::Args) -> Result<()> {
        if args.streams.untar && args.as_path.is_some() {
            let hint = "REF:/DIR is the target of the archive's files";
            return Err(CliError::usage("--as is the path of a single file, and --untar puts many", hint));
        }
        if self.streams.is_empty() {
            return Ok(());
        }
        let others = [
            ("--mirror", args.mirror),
            ("--exclude", !args.exclude.is_empty()),
            ("--files-from", args.files_from.is_some()),
            ("--dry-run", args.dry_run),
        ];
        let what = if args.streams.untar { "an archive" } else { "a URL" };
        match others.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => {
                Err(CliError::usage(format!("{option} is for local files, not for {what}"), MIRROR_HINT))
            }
        }
    }

    /// Whether nothing is read as a stream.
    pub(super) fn is_local(&self) -> bool {
        self.streams.is_empty()
    }

    /// Reads all streams and stores what they hold; nothing is committed yet.
    pub(super) fn store(&self, cx: &Context, store: &Store) -> Result<Edits> {
        let progress = cx.progress("put");
        let (files, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let tell = |more: u64| {
            let bytes = bytes.fetch_add(more, Ordering::Relaxed) + more;
            progress.update(files.load(Ordering::Relaxed), bytes, 0);
        };
        let next = AtomicUsize::new(0);
        let done: Mutex<BTreeMap<usize, Result<Edits>>> = Mutex::default();
        let work = || {
            while let Some((number, stream)) = self.take(&next) {
                let edits = stream.store(cx, store, &tell);
                let has_failed = edits.is_err();
                files.fetch_add(1, Ordering::Relaxed);
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, edits);
                if has_failed {
                    next.store(self.streams.len(), Ordering::Relaxed); // nothing will be committed
                }
            }
        };
        std::thread::scope(|scope| {
            let others = self.streams.len().min(AT_ONCE).saturating_sub(1);
            for _ in 0..others {
                scope.spawn(work);
            }
            work();
        });
        let mut all = Edits::default();
        for edits in done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
            join(&mut all, edits?)?;
        }
        Ok(all)
    }

    fn take(&self, next: &AtomicUsize) -> Option<(usize, &Stream)> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        Some((number, self.streams.get(number)?))
    }
}

/// Adds edits to others; a path written by both is an error.
pub(super) fn join(all: &mut Edits, more: Edits) -> Result<(), RepoError> {
    let twice: Vec<FilePath> = more.files.keys().filter(|path| all.files.contains_key(*path)).cloned().collect();
    if !twice.is_empty() {
        return Err(RepoError::SameTarget { paths: twice });
    }
    all.files.extend(more.files);
    all.origins.extend(more.origins);
    all.new_bytes += more.new_bytes;
    Ok(())
}

/// The path of an address's file in a directory.
fn directory_with(directory: &FilePath, url: &WebUrl) -> Result<FilePath> {
    let unnamed = || CliError::usage(format!("`{url}` does not name a file"), "--as PATH names the file");
    let name = url.name().ok_or_else(unnamed)?;
    directory.join(&name).map_err(|error| RepoError::IllegalPaths(vec![error]).into())
}

/// The sources of a list, each with the digest after it.
fn read_list(cx: &Context, list: &Path) -> Result<Vec<(PathBuf, Option<Digest>)>> {
    let shown = if is_stdin(list) { "standard input".to_owned() } else { list.display().to_string() };
    let bytes = cx.read(list, &format!("the list `{shown}`"), MAX_LIST_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        CliError::usage(format!("the list `{shown}` is not UTF-8"), "name such files with --files-from")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match of_line(line) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push((number, problem)),
        }
    }
    if !problems.is_empty() {
        return Err(CliError::in_lines(&shown, problems));
    }
    if sources.is_empty() {
        return Err(CliError::usage(format!("the list `{shown}` names nothing"), "write one path or URL per line"));
    }
    Ok(sources)
}

/// A path, which may have spaces in it, or an address, which has none.
fn of_line(line: &str) -> Result<(PathBuf, Option<Digest>)> {
    if !WebUrl::is_meant_by(line) {
        return Ok((line.into(), None));
    }
    let mut words = line.split_whitespace();
    let address = words.next().unwrap_or_default();
    WebUrl::parse(address)?;
    let mut digest = None;
    for word in words {
        let hex = word.strip_prefix("sha256:").or_else(|| word.strip_prefix("sha256="));
        let expected = hex.and_then(|hex| hex.parse::<Digest>().ok()).filter(|_| digest.is_none());
        digest = Some(expected.ok_or_else(|| {
            let message = format!("`{}` after a URL is not a digest", word.escape_debug());
            CliError::usage(message, "write `sha256:` and 64 hex digits, or nothing")
        })?);
    }
    Ok((address.into(), digest))
}

impl Stream {
    fn store(&self, cx: &Context, store: &Store, tell: &(dyn Fn(u64) + Sync)) -> Result<Edits> {
        match &self.from {
            From::Web(url) => {
                let mut edits = self.keep(store, Told { source: url.open()?, cx, tell }, &url.to_string())?;
                let (Becomes::File(path) | Becomes::Files(path)) = &self.becomes;
                edits.origins.push(Origin { path: path.clone(), url: url.origin() });
                Ok(edits)
            }
            From::File(path) => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| CliError::io(format!("cannot read `{name}`"), &error))?;
                self.keep(store, Told { source: file, cx, tell }, &name)
            }
            From::Stdin => self.keep(store, Told { source: cx.invocation().stdin(), cx, tell }, "standard input"),
        }
    }

    fn keep(&self, store: &Store, source: impl Read, name: &str) -> Result<Edits> {
        let (edits, digest) = match &self.becomes {
            Becomes::File(path) => {
                let stored = store.put_content(source).map_err(|error| unreadable(name, error))?;
                let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
                let files = [(path.clone(), Some(file))].into();
                (Edits { files, new_bytes: stored.new_bytes, ..Edits::default() }, stored.digest)
            }
            Becomes::Files(directory) => {
                let unpacked = files::unpack(store, source, directory, name)?;
                (unpacked.edits, unpacked.digest)
            }
        };
        match self.digest {
            Some(expected) if expected != digest => {
                let message = format!("`{name}` has unexpected content: SHA-256 {digest}, not {expected}");
                Err(CliError::new(ErrorKind::Conflict, message)
                    .hint("check with the source of the digest which one is right"))
            }
            _ => Ok(edits),
        }
    }
}

fn unreadable(name: &str, error: std::io::Error) -> CliError {
    match error.downcast::<RepoError>() {
        Ok(error) => error.into(),
        Err(error) => CliError::io(format!("cannot read `{name}`"), &error),
    }
}

/// Shows how many bytes were read, and stops if the caller is gone.
struct Told<'a, R> {
    source: R,
    cx: &'a Context,
    tell: &'a (dyn Fn(u64) + Sync),
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cx.invocation().cancel.is_asked() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        let read = self.source.read(buffer)?;
        (self.tell)(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_list_is_a_path_or_an_address_with_a_digest() {
        let hex = "ab".repeat(32);
        let path =
            |text: &str| of_line(text).ok().map(|(source, digest)| (source, digest.map(|digest| digest.to_string())));
        assert_eq!(path("a b/c.jpg"), Some(("a b/c.jpg".into(), None)));
        assert_eq!(path("https://h.org/x"), Some(("https://h.org/x".into(), None)));
        assert_eq!(path(&format!("https://h.org/x sha256:{hex}")), Some(("https://h.org/x".into(), Some(hex.clone()))));
        for line in [
            "https://h.org/x y",
            "https://h.org/x sha256:12",
            "s3://b/k",
            &format!("https://h/x sha256:{hex} sha256:{hex}"),
        ] {
            assert!(of_line(line).is_err(), "{line}");
        }
    }
}
