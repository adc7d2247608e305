//! Which files of this machine a put means, and where they go. Nothing is read yet but names and sizes.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use specs::{FilePath, Glob, PathError};

use crate::error::RepoError;
use crate::store::{Result, Store};

/// What is put where.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// The target's repository and branch as the user wrote them, such as `images`; for hints.
    pub reference: String,
    /// The directory of the target; `None` for `/`.
    pub directory: Option<FilePath>,
    /// The files and directories to put; `-` is standard input and needs `as_path`.
    pub sources: Vec<PathBuf>,
    /// The whole path of the one file that is put.
    pub as_path: Option<FilePath>,
    /// Leaves out files and directories whose path relative to their source matches.
    pub excludes: Vec<Glob>,
    /// Puts only these paths, relative to the one source (`.` when there is none); see [`parse_list`].
    pub files_from: Option<Vec<PathBuf>>,
    /// Whether the sources are to stand for all of the directory; only directories can.
    pub mirror: bool,
}

/// Files to be put, sorted by path, each path once. About 100 bytes a file.
#[derive(Debug, Default)]
pub struct Gathered {
    roots: Vec<Root>,
    files: Vec<GatheredFile>,
    /// Bytes of all files, as far as they are known before they are read.
    pub size_bytes: u64,
}

/// Where a part of the files comes from.
#[derive(Debug)]
enum Root {
    File(PathBuf),
    Directory { source: PathBuf, target: FilePath },
    Stdin,
}

#[derive(Debug)]
struct GatheredFile {
    root: u32,
    path: FilePath,
    size_bytes: u64,
}

/// Where a file's content is read from.
#[derive(Debug)]
pub(super) enum Content {
    File(PathBuf),
    Stdin,
}

impl Gathered {
    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Source (`-` for standard input), target and size in bytes of each file, sorted by target.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, &FilePath, u64)> {
        self.files.iter().enumerate().map(|(at, file)| {
            let source = match self.content(at) {
                Content::File(source) => source,
                Content::Stdin => PathBuf::from("-"),
            };
            (source, &file.path, file.size_bytes)
        })
    }

    pub(super) fn content(&self, at: usize) -> Content {
        let file = &self.files[at];
        match &self.roots[file.root as usize] {
            Root::File(source) => Content::File(source.clone()),
            Root::Directory { source, target } => {
                Content::File(source.join(file.path.below(target).unwrap_or_default()))
            }
            Root::Stdin => Content::Stdin,
        }
    }

    pub(super) fn into_paths(self) -> impl Iterator<Item = FilePath> {
        self.files.into_iter().map(|file| file.path)
    }
}

/// Reads a list of paths, as `find` and `git ls-files` write it: each ends with a zero byte if there is one, else with a newline.
pub fn parse_list(bytes: &[u8]) -> Vec<PathBuf> {
    let end = if bytes.contains(&0) { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == end).filter(|line| !line.is_empty());
    lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect()
}

/// Finds all files of a put. All illegal paths, all bad sources and all double targets are told at once, each in an error of its own.
pub fn gather(options: &PutOptions) -> Result<Gathered> {
    let directory = options.directory.clone().unwrap_or_else(FilePath::root);
    let mut walk =
        Walk { excludes: &options.excludes, gathered: Gathered::default(), illegal: Vec::new(), bad: Vec::new() };
    match (&options.as_path, &options.files_from) {
        (Some(_), Some(_)) => return Err(usage("--as and --files-from exclude each other", None)),
        (Some(path), None) => walk.add_one(options, path)?,
        (None, Some(list)) => walk.add_listed(options, list, &directory)?,
        (None, None) => walk.add_sources(options, &directory)?,
    }
    walk.finish()
}

fn usage(what: impl Into<String>, hint: Option<String>) -> RepoError {
    RepoError::Usage { what: what.into(), hint }
}

/// The sources' metadata, links followed; a missing one is an error that names all that are.
fn stat_sources(sources: &[PathBuf]) -> Result<Vec<Metadata>> {
    let mut missing = Vec::new();
    let mut bad = Vec::new();
    let mut found = Vec::new();
    for source in sources {
        match std::fs::metadata(source) {
            Ok(data) => found.push(data),
            Err(error) if is_absent(&error) && source.symlink_metadata().is_err() => missing.push(source.clone()),
            Err(error) => bad.push((source.clone(), why_bad_link(&error))),
        }
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(RepoError::NotFound {
            what: format!("{} not found on this machine", names.join(", ")),
            hint: None,
        });
    }
    if bad.is_empty() { Ok(found) } else { Err(RepoError::BadSources(bad)) }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn why_bad_link(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is a link to nothing".to_owned(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            "is a link that leads to itself".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

struct Walk<'o> {
    excludes: &'o [Glob],
    gathered: Gathered,
    illegal: Vec<PathError>,
    bad: Vec<(PathBuf, String)>,
}

impl Walk<'_> {
    fn finish(mut self) -> Result<Gathered> {
        if !self.bad.is_empty() {
            self.bad.sort_unstable();
            return Err(RepoError::BadSources(self.bad));
        }
        if !self.illegal.is_empty() {
            self.illegal.sort_unstable_by(|one, other| one.text.cmp(&other.text));
            return Err(RepoError::IllegalPaths(self.illegal));
        }
        let files = &mut self.gathered.files;
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let mut twice: Vec<FilePath> =
            files.windows(2).filter(|pair| pair[0].path == pair[1].path).map(|pair| pair[0].path.clone()).collect();
        twice.dedup();
        if twice.is_empty() { Ok(self.gathered) } else { Err(RepoError::SameTarget { paths: twice }) }
    }

    /// `--as`: one file, or standard input.
    fn add_one(&mut self, options: &PutOptions, path: &FilePath) -> Result<()> {
        if options.directory.as_ref().is_some_and(|directory| !directory.is_root()) {
            return Err(usage("--as is the whole path: name the target without a path", None));
        }
        let [source] = options.sources.as_slice() else {
            return Err(usage("--as takes exactly one file", None));
        };
        if path.is_root() || options.mirror {
            return Err(usage(
                format!("a file cannot be put as `{path}`{}", if options.mirror { " with --mirror" } else { "" }),
                None,
            ));
        }
        if source.as_os_str() == "-" {
            self.add(Root::Stdin, path.clone(), 0);
            return Ok(());
        }
        let data = stat_sources(std::slice::from_ref(source))?.remove(0);
        if data.is_dir() {
            let hint = format!("pv put {}:{path} {}", options.reference, source.display());
            return Err(usage(format!("`{}` is a directory: --as names one file", source.display()), Some(hint)));
        }
        self.add_file_source(source, path.clone(), &data);
        Ok(())
    }

    fn add_sources(&mut self, options: &PutOptions, directory: &FilePath) -> Result<()> {
        if options.sources.iter().any(|source| source.as_os_str() == "-") {
            let hint = format!("pv put {} - --as /PATH", options.reference);
            return Err(usage("standard input needs --as", Some(hint)));
        }
        if options.sources.is_empty() {
            return Err(usage("nothing to put", None));
        }
        for (source, data) in options.sources.iter().zip(stat_sources(&options.sources)?) {
            if data.is_dir() {
                self.add_directory(source, directory);
                continue;
            }
            if options.mirror {
                return Err(usage(format!("--mirror takes directories, `{}` is none", source.display()), None));
            }
            let Some(name) = source.file_name() else {
                return Err(usage(format!("`{}` has no name to keep", source.display()), None));
            };
            refuse_own_name(options, directory, source, name)?;
            let target = [directory.as_prefix().as_bytes(), name.as_bytes()].concat();
            match FilePath::from_bytes(&target) {
                Ok(path) => self.add_file_source(source, path, &data),
                Err(error) => self.illegal.push(error),
            }
        }
        Ok(())
    }

    fn add_file_source(&mut self, source: &Path, path: FilePath, data: &Metadata) {
        match special(data) {
            Some(why) => self.bad.push((source.to_owned(), why.to_owned())),
            None => self.add(Root::File(source.to_owned()), path, data.len()),
        }
    }

    fn add(&mut self, root: Root, path: FilePath, size_bytes: u64) {
        self.gathered.roots.push(root);
        self.push(path, size_bytes);
    }

    /// Adds a file of the newest root.
    fn push(&mut self, path: FilePath, size_bytes: u64) {
        let root = self.gathered.roots.len() as u32 - 1;
        self.gathered.size_bytes += size_bytes;
        self.gathered.files.push(GatheredFile { root, path, size_bytes });
    }

    fn add_directory(&mut self, source: &Path, target: &FilePath) {
        self.gathered.roots.push(Root::Directory { source: source.to_owned(), target: target.clone() });
        self.walk(source, target, Vec::new());
    }

    /// `--files-from`: paths relative to the one source.
    fn add_listed(&mut self, options: &PutOptions, list: &[PathBuf], target: &FilePath) -> Result<()> {
        let source = match options.sources.as_slice() {
            [] => Path::new("."),
            [source] => source,
            _ => return Err(usage("--files-from takes at most one source, to which its paths are relative", None)),
        };
        if !stat_sources(&[source.to_owned()])?[0].is_dir() {
            return Err(usage(format!("`{}` is no directory: --files-from needs one", source.display()), None));
        }
        if options.mirror {
            return Err(usage("--files-from and --mirror exclude each other", None));
        }
        self.gathered.roots.push(Root::Directory { source: source.to_owned(), target: target.clone() });
        for path in list {
            let relative = path.strip_prefix(".").unwrap_or(path).as_os_str().as_bytes();
            let relative = relative.strip_suffix(b"/").unwrap_or(relative).to_vec();
            match source.join(path).symlink_metadata() {
                Ok(data) => self.visit(source, target, relative, &data),
                Err(error) => self.bad.push((source.join(path), why_unreadable(&error))),
            }
        }
        Ok(())
    }

    /// Visits all that lies in `source/relative`, deeper directories one after another. A store that lies there is no data of its own.
    fn walk(&mut self, source: &Path, target: &FilePath, relative: Vec<u8>) {
        let mut open = vec![relative];
        while let Some(directory) = open.pop() {
            let path = source.join(OsStr::from_bytes(&directory));
            let entries = match std::fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) => {
                    self.bad.push((path, why_unreadable(&error)));
                    continue;
                }
            };
            for entry in entries {
                let (name, data) = match entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?))) {
                    Ok(found) => found,
                    Err(error) => {
                        self.bad.push((path.clone(), why_unreadable(&error)));
                        continue;
                    }
                };
                let mut relative = directory.clone();
                if !relative.is_empty() {
                    relative.push(b'/');
                }
                relative.extend_from_slice(name.as_bytes());
                if !data.is_dir() {
                    self.visit(source, target, relative, &data);
                } else if !(self.is_excluded(&relative) || (name == Store::FOLDER && Store::is_at(&path))) {
                    open.push(relative);
                }
            }
        }
    }

    /// Takes one path of a source; `data` is that of a link itself.
    fn visit(&mut self, source: &Path, target: &FilePath, relative: Vec<u8>, data: &Metadata) {
        if self.is_excluded(&relative) {
            return;
        }
        if data.is_dir() {
            return self.walk(source, target, relative);
        }
        let path = || source.join(OsStr::from_bytes(&relative));
        let size_bytes = match file_size(path, data) {
            Ok(size_bytes) => size_bytes,
            Err(why) => return self.bad.push((path(), why)),
        };
        match FilePath::from_bytes(&[target.as_prefix().as_bytes(), &relative].concat()) {
            Ok(path) => self.push(path, size_bytes),
            Err(error) => self.illegal.push(error),
        }
    }

    fn is_excluded(&self, relative: &[u8]) -> bool {
        !self.excludes.is_empty() && excluded(self.excludes, &String::from_utf8_lossy(relative))
    }
}

/// Whether a path relative to its source, or a directory above it, is left out.
pub(super) fn excluded(excludes: &[Glob], relative: &str) -> bool {
    let path = format!("/{relative}");
    excludes.iter().any(|glob| glob.matches(&path))
}

fn file_size(path: impl Fn() -> PathBuf, data: &Metadata) -> Result<u64, String> {
    if !data.is_symlink() {
        return special(data).map_or(Ok(data.len()), |why| Err(why.to_owned()));
    }
    let behind = std::fs::metadata(path()).map_err(|error| why_bad_link(&error))?;
    if behind.is_dir() {
        // Followed, it could lead round in a circle or out of the source; left out, its files would be missing unnoticed.
        return Err(
            "is a link to a directory; put that directory itself, or leave the link out with --exclude".to_owned()
        );
    }
    special(&behind).map_or(Ok(behind.len()), |why| Err(why.to_owned()))
}

fn why_unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}

/// What a file is that has no content to keep.
pub(super) fn special(data: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = data.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("is a directory"),
        () if kind.is_fifo() => Some("is a pipe"),
        () if kind.is_socket() => Some("is a socket"),
        () => Some("is a device"),
    }
}

/// The trap of `put images:/cam7/x.jpg x.jpg`: the target's path is a directory, not the file's new name.
fn refuse_own_name(options: &PutOptions, directory: &FilePath, source: &Path, name: &OsStr) -> Result<()> {
    if directory.is_root() || directory.name().as_bytes() != name.as_bytes() {
        return Ok(());
    }
    let (reference, source) = (&options.reference, source.display());
    let parent = match directory.parent() {
        Some(parent) if !parent.is_root() => format!("{reference}:{parent}"),
        _ => reference.clone(),
    };
    let what = format!("this would store `{}{}`", directory.as_prefix(), name.to_string_lossy());
    let hint =
        format!("pv put {parent} {source}      or, to choose the name: pv put {reference} {source} --as {directory}");
    Err(usage(what, Some(hint)))
}
