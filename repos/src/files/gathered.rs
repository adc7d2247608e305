//! The list of files to put: a million of them take less than 100 MB.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use specs::FilePath;

use super::ignore::{By, Decider, LeftOut, Pattern, Rules};
use super::stamp::Stamp;
use super::trust::Trust;
use crate::base::time::{Clock, SystemClock};

/// Files to put, sorted by path, each path once.
#[derive(Debug)]
pub struct Gathered {
    roots: Vec<Root>,
    folders: Vec<Folder>,
    files: Vec<GatheredFile>,
    /// The names of all files, concatenated.
    names: Vec<u8>,
    /// When the first file was examined, in nanoseconds since 1970.
    looked_at: i64,
    /// Total size in bytes, as far as it is known before reading.
    pub size_bytes: u64,
    /// Folders of stores found in the sources: they are left out.
    pub stores: Vec<PathBuf>,
    /// Files and folders left out by patterns.
    pub omitted: Omitted,
    /// Sources left out because they could not be read, with the reason; sorted.
    pub skipped: Vec<(PathBuf, String)>,
    /// Invalid lines in pattern files, which match nothing: the file, and what is wrong.
    pub wrong_patterns: Vec<(PathBuf, String)>,
    /// Patterns given by the user that matched nothing.
    pub unused: Vec<Pattern>,
    /// Tells for any path whether it was left out.
    pub left_out: LeftOut,
    rules: Vec<BTreeMap<Vec<u8>, Arc<Rules>>>,
    /// Whether all file systems count as local disks: only in tests.
    everywhere: bool,
}

/// Files and folders that patterns left out.
#[derive(Debug, Clone, Default)]
pub struct Omitted {
    counts: BTreeMap<By, u64>,
    named: Vec<(By, String)>,
}

impl Omitted {
    /// How many paths are stored.
    const NAMED: usize = 1_000;

    pub(super) fn add(&mut self, by: &By, relative: &[u8], is_folder: bool) {
        *self.counts.entry(by.clone()).or_default() += 1;
        if self.named.len() < Self::NAMED {
            let slash = if is_folder { "/" } else { "" };
            self.named.push((by.clone(), format!("{}{slash}", String::from_utf8_lossy(relative))));
        }
    }

    pub(super) fn append(&mut self, other: &mut Self) {
        for (by, count) in std::mem::take(&mut other.counts) {
            *self.counts.entry(by).or_default() += count;
        }
        self.named.append(&mut other.named);
    }

    /// Number of files and folders that this left out; the content of a left-out folder is not counted.
    pub fn count(&self, by: &By) -> u64 {
        self.counts.get(by).copied().unwrap_or_default()
    }

    /// Everything that left something out.
    pub fn by(&self) -> impl Iterator<Item = &By> {
        self.counts.keys()
    }

    /// Up to a thousand of these paths, relative to their sources, sorted; folders end with `/`.
    pub fn named(&self, by: &By) -> Vec<&str> {
        let mut named: Vec<&str> =
            self.named.iter().filter(|(own, _)| own == by).map(|(_, path)| path.as_str()).collect();
        named.sort_unstable();
        named.truncate(Self::NAMED);
        named
    }
}

/// The origin of a part of the files.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) source: PutSource,
    /// The path prefix in the commit for names relative to the source; for a single file, its whole path.
    pub(super) target: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PutSource {
    Stdin,
    File(PathBuf),
    /// A directory, and how much of it was examined.
    Directory(PathBuf, Extent),
}

/// How much of a directory was examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Part,
}

/// A directory of a source.
#[derive(Debug)]
struct Folder {
    root: u32,
    /// Relative to the source; empty, or ends with `/`.
    relative: Box<[u8]>,
}

#[derive(Debug)]
struct GatheredFile {
    folder: u32,
    name_length: u32,
    name_start: usize,
    stamp: Stamp,
}

/// The source of a file's content.
#[derive(Debug)]
pub(super) enum ContentSource {
    File(PathBuf),
    Stdin,
}

impl Gathered {
    /// An empty list.
    pub(super) fn new() -> Self {
        Self {
            roots: Vec::new(),
            folders: Vec::new(),
            files: Vec::new(),
            names: Vec::new(),
            // Not a store's clock, because it is compared with file times.
            looked_at: SystemClock.now().as_micros() * 1000,
            size_bytes: 0,
            stores: Vec::new(),
            omitted: Omitted::default(),
            skipped: Vec::new(),
            wrong_patterns: Vec::new(),
            unused: Vec::new(),
            left_out: LeftOut::default(),
            rules: Vec::new(),
            everywhere: false,
        }
    }

    pub(super) fn add_root(&mut self, source: PutSource, target: Vec<u8>) -> u32 {
        self.roots.push(Root { source, target });
        self.roots.len() as u32 - 1
    }

    /// `relative` is empty or ends with `/`.
    pub(super) fn add_folder(&mut self, root: u32, relative: &[u8]) -> u32 {
        self.folders.push(Folder { root, relative: relative.into() });
        self.folders.len() as u32 - 1
    }

    /// Adds a file; its whole path must be legal.
    pub(super) fn add(&mut self, folder: u32, name: &[u8], stamp: Stamp) {
        self.size_bytes += stamp.size_bytes;
        self.files.push(GatheredFile { folder, name_length: name.len() as u32, name_start: self.names.len(), stamp });
        self.names.extend_from_slice(name);
    }

    /// Records the patterns in the folders of a source.
    pub(super) fn add_rules(&mut self, root: u32, rules: Vec<(Vec<u8>, Arc<Rules>)>) {
        let root = root as usize;
        if self.rules.len() <= root {
            self.rules.resize_with(root + 1, BTreeMap::new);
        }
        self.rules[root].extend(rules);
    }

    /// Whether a source is a directory.
    pub(super) fn has_directory(&self) -> bool {
        self.roots.iter().any(|root| matches!(root.source, PutSource::Directory(..)))
    }

    /// Records at the end what was left out, and why.
    pub(super) fn say_left_out(
        &mut self,
        skipped: Vec<(PathBuf, String)>,
        wrong_patterns: Vec<(PathBuf, String)>,
        unused: Vec<Pattern>,
        decider: Decider,
    ) {
        let targets = skipped.iter().flat_map(|(path, _)| self.targets(path)).collect();
        self.left_out = LeftOut::new(decider, std::mem::take(&mut self.rules), targets);
        (self.skipped, self.wrong_patterns, self.unused) = (skipped, wrong_patterns, unused);
    }

    /// The target paths of a path in the sources.
    pub(super) fn targets(&self, path: &Path) -> Vec<FilePath> {
        let below = |root: &Root| match &root.source {
            PutSource::Directory(source, _) => {
                path.strip_prefix(source).ok().map(|below| [&root.target, below.as_os_str().as_bytes()].concat())
            }
            _ => None,
        };
        let target = |bytes: Vec<u8>| {
            let bytes = bytes.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(&bytes).to_vec();
            FilePath::from_bytes(&bytes).ok()
        };
        self.roots.iter().filter_map(below).filter_map(target).collect()
    }

    pub(super) fn reserve(&mut self, files: usize) {
        self.files.reserve(files);
    }

    /// Sorts files of several sources; returns each path that has two sources once.
    pub(super) fn sort(&mut self) -> Vec<FilePath> {
        let mut files = std::mem::take(&mut self.files);
        files.sort_by(|one, other| self.compare(one, other));
        let twice = files.windows(2).filter(|pair| self.compare(&pair[0], &pair[1]).is_eq());
        let mut twice: Vec<FilePath> = twice.map(|pair| self.path_of(&pair[0])).collect();
        twice.dedup();
        self.files = files;
        twice
    }

    fn compare(&self, one: &GatheredFile, other: &GatheredFile) -> Ordering {
        let [one, other] = [one, other].map(|file| self.parts(file).into_iter().flatten());
        one.cmp(other)
    }

    /// The parts of a file's path in the commit.
    fn parts(&self, file: &GatheredFile) -> [&[u8]; 3] {
        let folder = &self.folders[file.folder as usize];
        let name = &self.names[file.name_start..][..file.name_length as usize];
        [&self.roots[folder.root as usize].target, &folder.relative, name]
    }

    fn path_of(&self, file: &GatheredFile) -> FilePath {
        FilePath::from_bytes(&self.parts(file).concat()).expect("it was checked before it was added")
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Source (`-` for standard input), target and size in bytes of each file, sorted by target.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, FilePath, u64)> {
        (0..self.len()).map(|at| {
            let source = match self.content(at) {
                ContentSource::File(source) => source,
                ContentSource::Stdin => PathBuf::from("-"),
            };
            (source, self.path(at), self.stamp(at).size_bytes)
        })
    }

    /// Target and stamp of each file, sorted by target.
    pub fn stamps(&self) -> impl Iterator<Item = (FilePath, Stamp)> {
        (0..self.len()).map(|at| (self.path(at), *self.stamp(at)))
    }

    /// Drops files that are not to be kept, as if they had not been found.
    pub fn retain(&mut self, mut keep: impl FnMut(&FilePath, &Stamp) -> bool) {
        let files = std::mem::take(&mut self.files);
        self.files = files.into_iter().filter(|file| keep(&self.path_of(file), &file.stamp)).collect();
        self.size_bytes = self.files.iter().map(|file| file.stamp.size_bytes).sum();
    }

    pub(super) fn path(&self, at: usize) -> FilePath {
        self.path_of(&self.files[at])
    }

    /// Sets `key` to the path of a file in the commit.
    pub(super) fn key(&self, at: usize, key: &mut Vec<u8>) {
        key.clear();
        self.parts(&self.files[at]).iter().for_each(|part| key.extend_from_slice(part));
    }

    /// Sets `relative` to the path of a file in its source; empty if the source is a file.
    pub(super) fn relative(&self, at: usize, relative: &mut Vec<u8>) {
        relative.clear();
        let file = &self.files[at];
        if matches!(self.roots[self.root(at)].source, PutSource::Directory(..)) {
            self.parts(file)[1..].iter().for_each(|part| relative.extend_from_slice(part));
        }
    }

    pub(super) fn stamp(&self, at: usize) -> &Stamp {
        &self.files[at].stamp
    }

    pub(super) fn root(&self, at: usize) -> usize {
        self.folders[self.files[at].folder as usize].root as usize
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    pub(super) fn content(&self, at: usize) -> ContentSource {
        let [_, folder, name] = self.parts(&self.files[at]);
        match &self.roots[self.root(at)].source {
            PutSource::Stdin => ContentSource::Stdin,
            PutSource::File(source) => ContentSource::File(source.clone()),
            PutSource::Directory(source, _) => ContentSource::File(below(source, folder, name)),
        }
    }

    /// Decides which files' metadata reveals every change made after gathering.
    pub(super) fn trust(&self) -> Trust {
        Trust::new(self.looked_at, self.everywhere)
    }

    /// Whether the metadata of this file does.
    pub(super) fn is_trusted(&self, at: usize, trust: &mut Trust) -> bool {
        trust.covers(self.stamp(at), || match self.content(at) {
            ContentSource::File(path) => Some(path),
            ContentSource::Stdin => None,
        })
    }

    /// As if they had been gathered later by this much: for tests, which cannot create old files.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn as_if_later(mut self, by: std::time::Duration) -> Self {
        self.looked_at += i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self
    }

    /// As if they were on a local disk: for tests, whose folders may be in memory.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn as_if_on_disk(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// Whether one of the files has this path.
    pub(super) fn holds(&self, path: &FilePath) -> bool {
        let path = path.as_str().as_bytes();
        self.files.binary_search_by(|file| self.parts(file).into_iter().flatten().cmp(path)).is_ok()
    }
}

fn below(source: &Path, folder: &[u8], name: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(source.as_os_str().len() + 1 + folder.len() + name.len());
    path.extend_from_slice(source.as_os_str().as_bytes());
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(folder);
    path.extend_from_slice(name);
    PathBuf::from(OsStr::from_bytes(&path).to_owned())
}
