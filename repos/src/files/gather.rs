//! Which files of this machine a put includes, and their target paths. Reads only names and metadata.
//!
//! A link to a directory inside a source is refused with a suggestion. It is neither followed nor skipped, so that nothing is stored twice
//! unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType};
use specs::{FilePath, PathError};

use super::gathered::{Extent, Gathered, PutSource};
use super::ignore::{Decider, Excludes, Rules};
use super::stamp::Stamp;
use super::walk::{Refused, Walk, file_stamp};
use crate::base::error::RepoError;
use crate::store::{Result, Store};

/// What to put, and where.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// The target's repository and branch as the user wrote them, such as `images`; for hints.
    pub reference: String,
    /// The target directory; `None` for `/`.
    pub directory: Option<FilePath>,
    /// The files and directories to put; `-` is standard input and needs `as_path`.
    pub sources: Vec<PathBuf>,
    /// The whole target path of the single file to put.
    pub as_path: Option<FilePath>,
    /// What to leave out of directories.
    pub excludes: Excludes,
    /// Leaves out whatever cannot be read or is not a file, and reports it instead of failing.
    pub skip_unreadable: bool,
    /// Leaves out paths that no commit may contain, and reports them instead of failing.
    pub skip_illegal: bool,
    /// Puts only these paths, relative to the one source (`.` if there is none); see [`parse_list`].
    pub files_from: Option<Arc<[PathBuf]>>,
    /// Whether the sources replace the whole directory; all of them must be directories.
    pub mirror: bool,
}

/// Parses a list of paths as printed by `find` and `git ls-files`: paths end with a zero byte if there is any, else with a newline,
/// optionally preceded by a carriage return (which no path of a commit may contain).
pub fn parse_list(bytes: &[u8]) -> Vec<PathBuf> {
    let path = |line| PathBuf::from(OsStr::from_bytes(line));
    if bytes.contains(&0) {
        return bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty()).map(path).collect();
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).map(path).collect()
}

/// What Windows editors write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds all files of a put. All illegal paths are reported together, as are all bad sources, and all targets with two sources; each group
/// in its own error.
pub fn gather(options: &PutOptions) -> Result<Gathered> {
    ensure_no_store(&options.sources)?;
    let directory = options.directory.clone().unwrap_or_else(FilePath::root);
    let targets = options.as_path.iter().chain(&options.directory);
    let illegal: Vec<_> = targets.filter_map(|path| path.check_new().err()).collect();
    if !illegal.is_empty() {
        return Err(RepoError::IllegalPaths(illegal));
    }
    let mut gathering = Gathering {
        options,
        decider: Decider::new(&options.excludes),
        rules: BTreeMap::new(),
        gathered: Gathered::new(),
        refused: Refused::default(),
        pieces: 0,
        walked: BTreeSet::new(),
        again: Vec::new(),
    };
    match (&options.as_path, &options.files_from) {
        (Some(_), Some(_)) => return Err(usage("--as and --files-from cannot be combined", None)),
        (Some(path), None) => gathering.add_one(path)?,
        (None, Some(list)) => gathering.add_listed(list, &directory)?,
        (None, None) => gathering.add_sources(&directory)?,
    }
    gathering.finish()
}

/// A store's own folder must not be put: into itself that would never end, into another store it is rarely useful.
fn ensure_no_store(sources: &[PathBuf]) -> Result<()> {
    for source in sources {
        let Ok(whole) = source.canonicalize() else { continue };
        let is_store = |folder: &Path| folder.ends_with(Store::FOLDER) && folder.parent().is_some_and(Store::is_at);
        if let Some(folder) = whole.ancestors().find(|folder| is_store(folder)) {
            let inside = if folder == whole { "is a store" } else { "is a part of a store" };
            let hint = "to copy files out of a store: pv get; to copy a whole store: cp -r".to_owned();
            return Err(usage(format!("`{}` {inside}, not data", source.display()), Some(hint)));
        }
    }
    Ok(())
}

fn usage(what: impl Into<String>, hint: Option<String>) -> RepoError {
    RepoError::Usage { what: what.into(), hint }
}

/// The metadata of the sources, following links; the error for missing ones names all of them.
fn stat_sources(sources: &[PathBuf]) -> Result<Vec<Metadata>> {
    let (found, bad) = stat_all(sources)?;
    if bad.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(RepoError::BadSources(bad)) }
}

/// Sources with what is wrong with each.
type Bad = Vec<(PathBuf, String)>;

/// Like [`stat_sources`], but also returns what is wrong with sources that exist and cannot be read.
fn stat_all(sources: &[PathBuf]) -> Result<(Vec<Option<Metadata>>, Bad)> {
    let mut missing = Vec::new();
    let mut bad = Vec::new();
    let mut found = Vec::new();
    for source in sources {
        match std::fs::metadata(source) {
            Ok(data) => found.push(Some(data)),
            Err(error) if is_absent(&error) && source.symlink_metadata().is_err() => missing.push(source.clone()),
            Err(error) => {
                found.push(None);
                bad.push((source.clone(), why_bad_link(&error)));
            }
        }
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(RepoError::NotFound {
            what: format!("{} not found on this machine", names.join(", ")),
            hint: None,
        });
    }
    Ok((found, bad))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

pub(super) fn why_bad_link(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is a link to nothing".to_owned(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            "is a link that leads to itself".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

struct Gathering<'o> {
    options: &'o PutOptions,
    decider: Decider,
    /// The patterns of folders that contain listed paths; by source and folder.
    rules: BTreeMap<(u32, Vec<u8>), Option<Arc<Rules>>>,
    gathered: Gathered,
    refused: Refused,
    /// Folders of a list that were walked.
    walked: BTreeSet<Vec<u8>>,
    /// Folders listed again: their paths have two sources; they are not walked a second time to find that out.
    again: Vec<FilePath>,
    /// How often files were added, each time in order.
    pieces: usize,
}

impl Gathering<'_> {
    fn finish(mut self) -> Result<Gathered> {
        let Refused { mut bad, mut illegal, mut wrong_patterns } = self.refused;
        if self.options.skip_illegal {
            let named = std::mem::take(&mut illegal).into_iter();
            bad.extend(named.map(|(file, PathError { why, .. })| (file, format!("cannot be in a commit: {why}"))));
        }
        bad.sort_unstable();
        bad.dedup();
        if !bad.is_empty() && !self.options.skip_unreadable {
            return Err(RepoError::BadSources(bad));
        }
        wrong_patterns.sort_unstable();
        wrong_patterns.dedup();
        if !illegal.is_empty() {
            illegal.sort_unstable_by(|(_, one), (_, other)| one.text.cmp(&other.text));
            return Err(RepoError::IllegalPaths(illegal.into_iter().map(|(_, error)| error).collect()));
        }
        if !self.again.is_empty() {
            self.again.sort();
            self.again.dedup();
            return Err(RepoError::SameTarget { paths: self.again });
        }
        let unused = if self.gathered.has_directory() { self.decider.unused() } else { Vec::new() };
        self.gathered.say_left_out(bad, wrong_patterns, unused, self.decider);
        let twice = if self.pieces > 1 { self.gathered.sort() } else { Vec::new() };
        if twice.is_empty() { Ok(self.gathered) } else { Err(RepoError::SameTarget { paths: twice }) }
    }

    /// `--as`: one file, or standard input.
    fn add_one(&mut self, path: &FilePath) -> Result<()> {
        let options = self.options;
        if options.directory.as_ref().is_some_and(|directory| !directory.is_root()) {
            return Err(usage("--as is the full path: give the target without a path", None));
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
            self.add(PutSource::Stdin, path, Stamp::nothing());
            return Ok(());
        }
        let (found, mut bad) = stat_all(std::slice::from_ref(source))?;
        self.refused.bad.append(&mut bad);
        let Some(data) = found.into_iter().flatten().next() else { return Ok(()) };
        if data.is_dir() {
            let hint = format!("pv put {}:{path} {}", options.reference, source.display());
            return Err(usage(format!("`{}` is a directory: --as is for a single file", source.display()), Some(hint)));
        }
        self.add_file_source(source, path, &data);
        Ok(())
    }

    fn add_sources(&mut self, directory: &FilePath) -> Result<()> {
        let options = self.options;
        if options.sources.iter().any(|source| source.as_os_str() == "-") {
            let hint = format!("pv put {} - --as /PATH", options.reference);
            return Err(usage("standard input needs --as", Some(hint)));
        }
        if options.sources.is_empty() {
            return Err(usage("nothing to put", None));
        }
        let (found, mut bad) = stat_all(&options.sources)?;
        self.refused.bad.append(&mut bad);
        for (source, data) in options.sources.iter().zip(found) {
            let Some(data) = data else { continue };
            if data.is_dir() {
                let root = self.add_directory(source, directory, Extent::Whole);
                self.walk(root, source, directory, b"", None);
                continue;
            }
            if options.mirror {
                return Err(usage(format!("--mirror needs a directory, and `{}` is not one", source.display()), None));
            }
            let Some(name) = source.file_name() else {
                return Err(usage(format!("`{}` has no name to keep", source.display()), None));
            };
            ensure_not_own_name(options, directory, source, name)?;
            match new_path(&[directory.as_prefix().as_bytes(), name.as_bytes()].concat()) {
                Ok(path) => self.add_file_source(source, &path, &data),
                Err(error) => self.refused.illegal.push((source.clone(), error)),
            }
        }
        Ok(())
    }

    fn add_file_source(&mut self, source: &Path, path: &FilePath, data: &Metadata) {
        match special(data.mode()) {
            Some(why) => self.refused.bad.push((source.to_owned(), why.to_owned())),
            None => self.add(PutSource::File(source.to_owned()), path, Stamp::of_metadata(data)),
        }
    }

    /// Adds a source that is a single file.
    fn add(&mut self, source: PutSource, path: &FilePath, stamp: Stamp) {
        let root = self.gathered.add_root(source, Vec::new());
        let folder = self.gathered.add_folder(root, b"");
        self.gathered.add(folder, path.as_str().as_bytes(), stamp);
        self.pieces += 1;
    }

    fn add_directory(&mut self, source: &Path, target: &FilePath, extent: Extent) -> u32 {
        self.gathered.add_root(PutSource::Directory(source.to_owned(), extent), target.as_prefix().into_bytes())
    }

    fn walk(&mut self, root: u32, source: &Path, target: &FilePath, relative: &[u8], rules: Option<Arc<Rules>>) {
        let target = target.as_prefix();
        let walk = Walk { source, target: target.as_bytes(), decider: &self.decider };
        walk.run(root, relative, rules, &mut self.gathered, &mut self.refused);
        self.pieces += 1;
    }

    /// `--files-from`: paths relative to the one source.
    fn add_listed(&mut self, list: &[PathBuf], target: &FilePath) -> Result<()> {
        let options = self.options;
        let source = match options.sources.as_slice() {
            [] => Path::new("."),
            [source] => source,
            _ => return Err(usage("--files-from takes at most one source, the base of its paths", None)),
        };
        if !stat_sources(&[source.to_owned()])?[0].is_dir() {
            return Err(usage(format!("`{}` is not a directory: --files-from needs one", source.display()), None));
        }
        if options.mirror {
            return Err(usage("--files-from and --mirror cannot be combined", None));
        }
        let root = self.add_directory(source, target, Extent::Part);
        let folder = self.gathered.add_folder(root, b"");
        for path in list {
            self.add_listed_path((root, folder), source, target, path);
        }
        Ok(())
    }

    fn add_listed_path(&mut self, (root, folder): (u32, u32), source: &Path, target: &FilePath, path: &Path) {
        let relative = path.strip_prefix(".").unwrap_or(path).as_os_str().as_bytes();
        let relative = relative.strip_suffix(b"/").unwrap_or(relative);
        let whole = source.join(path);
        let stamp = stamp_at(&whole);
        let Some(rules) = self.rules_of_listed(root, source, relative, matches!(stamp, Ok(None))) else { return };
        match stamp {
            Ok(Some(stamp)) => match new_path(&[target.as_prefix().as_bytes(), relative].concat()) {
                Ok(_) => {
                    self.gathered.add(folder, relative, stamp);
                    self.pieces += 1;
                }
                Err(error) => self.refused.illegal.push((whole, error)),
            },
            Ok(None) if !self.walked.insert(relative.to_vec()) => {
                let below = if relative.is_empty() {
                    Ok(target.clone())
                } else {
                    new_path(&[target.as_prefix().as_bytes(), relative].concat())
                };
                self.again.extend(below.ok());
            }
            Ok(None) if relative.is_empty() => self.walk(root, source, target, b"", None),
            Ok(None) => self.walk(root, source, target, &[relative, b"/"].concat(), rules),
            Err(why) => self.refused.bad.push((whole, why)),
        }
    }

    /// The patterns for the folder of a listed path; `None` if the path or a folder above it is left out.
    #[expect(clippy::option_option, reason = "the outer one: is it wanted; the inner one: has it rules")]
    fn rules_of_listed(
        &mut self,
        root: u32,
        source: &Path,
        relative: &[u8],
        is_folder: bool,
    ) -> Option<Option<Arc<Rules>>> {
        let name = relative.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if !is_folder && self.decider.is_pattern_file(name) {
            return None;
        }
        let folder = &relative[..relative.len() - name.len()];
        let key = (root, folder.to_vec());
        let (decider, refused) = (&self.decider, &mut self.refused);
        let rules = self.rules.entry(key).or_insert_with(|| decider.rules_at(source, folder, refused)).clone();
        if self.decider.is_idle(rules.as_deref()) {
            return Some(rules);
        }
        let by = ends_of(relative).find_map(|end| {
            let is_folder = is_folder || end < relative.len();
            self.decider.left_out(rules.as_deref(), &relative[..end], is_folder)
        });
        if let Some(by) = &by {
            self.gathered.omitted.add(by, relative, is_folder);
        }
        by.is_none().then_some(rules)
    }
}

/// The lengths of all prefixes of a listed path that end at a folder (without `/`), and of the whole path.
fn ends_of(relative: &[u8]) -> impl Iterator<Item = usize> {
    relative.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([relative.len()])
}

/// The path of a name in a commit.
pub(super) fn new_path(bytes: &[u8]) -> Result<FilePath, PathError> {
    let path = FilePath::from_bytes(bytes)?;
    path.check_new().map(|()| path)
}

/// The stamp of a file; `None` for a folder.
fn stamp_at(path: &Path) -> Result<Option<Stamp>, String> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| "has a NUL byte in its name".to_owned())?;
    file_stamp(CWD, &name)
}

pub(super) fn why_unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}

/// The kind of a file with this mode, if it has no content to store.
pub(super) fn special(mode: u32) -> Option<&'static str> {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("is a directory"),
        FileType::Fifo => Some("is a pipe"),
        FileType::Socket => Some("is a socket"),
        _ => Some("is a device"),
    }
}

/// The mistake in `put images:/cam7/x.jpg x.jpg`: the target's path is a directory, not the file's new name.
fn ensure_not_own_name(options: &PutOptions, directory: &FilePath, source: &Path, name: &OsStr) -> Result<()> {
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
