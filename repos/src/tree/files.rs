//! File trees: maps whose keys are whole paths (`/a/b`); directories exist only as ranges of keys.
//!
//! Everything below `/a` is one contiguous range, the keys that begin with `/a/`. But `/a-b` sorts before `/a/b`, because `-` sorts before
//! `/`: in key order, a directory `a` can come after a file `a-b`. A listing is sorted by name and therefore has to look ahead.

use std::collections::{BTreeSet, VecDeque};

use specs::FilePath;

use super::Map;
use super::cursor::{Cursor, Step};
use super::range::{KeyRange, Totals};
use super::store::{NodeStore, TreeError};
use super::value::FileEntry;

/// The files of a commit: path → digest, size and executable bit.
pub type Tree = Map<FileEntry>;

/// What a path is in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A file.
    File(FileEntry),
    /// A directory: something is below it.
    Directory {
        /// Number of files below, at any depth.
        files: u64,
        /// Sum of their sizes.
        size_bytes: u64,
    },
}

impl PathKind {
    fn directory(totals: Totals) -> Self {
        Self::Directory { files: totals.entries, size_bytes: totals.weight }
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The last part of the path.
    pub name: String,
    /// File or directory.
    pub kind: PathKind,
}

/// The keys of all files below `directory`.
pub fn directory_range(directory: &FilePath) -> KeyRange {
    KeyRange::prefix(directory.as_prefix())
}

/// The path that `key` encodes; every key of a valid file tree is a path ([`TreeError::NotAPath`]).
pub fn path_of(key: &[u8]) -> Result<FilePath, TreeError> {
    FilePath::from_bytes(key).map_err(|error| TreeError::NotAPath { key: error.text })
}

impl Tree {
    /// The file at `path`, if there is one.
    pub fn file<S: NodeStore + ?Sized>(self, store: &S, path: &FilePath) -> Result<Option<FileEntry>, S::Error> {
        self.get(store, path.as_str().as_bytes())
    }

    /// What is at `path`; `None` if nothing is. `/` is a directory even if it is empty.
    pub fn kind_at<S: NodeStore + ?Sized>(self, store: &S, path: &FilePath) -> Result<Option<PathKind>, S::Error> {
        if let Some(file) = self.file(store, path)? {
            return Ok(Some(PathKind::File(file)));
        }
        let totals = self.range_totals(store, &directory_range(path))?;
        Ok((totals.entries > 0 || path.is_root()).then(|| PathKind::directory(totals)))
    }

    /// The children of `directory`, each once, sorted by the bytes of their names; none if it is not a directory. Deeper levels are skipped
    /// unread.
    pub fn list_directory<'s, S>(self, store: &'s S, directory: &FilePath) -> Result<Listing<'s, S>, S::Error>
    where
        S: NodeStore + ?Sized,
    {
        self.list_directory_from(store, directory, "")
    }

    /// Like [`Self::list_directory`], without reading most children before `name`: those that come are a part of them, and all after it.
    pub fn list_directory_from<'s, S>(
        self,
        store: &'s S,
        directory: &FilePath,
        name: &str,
    ) -> Result<Listing<'s, S>, S::Error>
    where
        S: NodeStore + ?Sized,
    {
        let mut entries = self.cursor(store)?;
        let prefix = directory.as_prefix().into_bytes();
        // A child with a later name has later keys.
        entries.seek(&[prefix.as_slice(), name.as_bytes()].concat())?;
        let probe = self.cursor(store)?;
        Ok(Listing {
            tree: self,
            store,
            entries,
            probe,
            prefix,
            ready: VecDeque::new(),
            ahead: Vec::new(),
            failed: false,
        })
    }

    /// Paths that are both a file and a directory. Looks only at the `written` files and their ancestors, which is enough for a change to a
    /// valid tree. O(written · log n), cheapest if they are sorted.
    pub fn clashes<'p, S>(
        self,
        store: &S,
        written: impl IntoIterator<Item = &'p FilePath>,
    ) -> Result<BTreeSet<FilePath>, S::Error>
    where
        S: NodeStore + ?Sized,
    {
        let mut cursor = self.cursor(store)?;
        let mut clashes = BTreeSet::new();
        let mut directory = FilePath::root(); // this and all above it are looked up already
        for path in written {
            if has_entries_below(&mut cursor, path.as_prefix().as_bytes())? {
                clashes.insert(path.clone());
            }
            let parent = path.parent().unwrap_or_else(FilePath::root);
            for above in ancestors(&parent).take_while(|above| *above != directory) {
                if cursor.get(above.as_str().as_bytes())?.is_some() {
                    clashes.insert(above);
                }
            }
            directory = parent;
        }
        Ok(clashes)
    }
}

/// `path` and the directories above it, except `/`.
fn ancestors(path: &FilePath) -> impl Iterator<Item = FilePath> {
    std::iter::successors(Some(path.clone()), FilePath::parent).filter(|path| !path.is_root())
}

fn has_entries_below<S>(cursor: &mut Cursor<'_, FileEntry, S>, prefix: &[u8]) -> Result<bool, S::Error>
where
    S: NodeStore + ?Sized,
{
    cursor.seek(prefix)?;
    Ok(matches!(cursor.peek(), Some(Step::Entry { key, .. }) if key.starts_with(prefix)))
}

/// The children of a directory, read lazily. Ends after the first error.
#[derive(Debug)]
pub struct Listing<'s, S: ?Sized> {
    tree: Tree,
    store: &'s S,
    /// Scans the directory once, in key order.
    entries: Cursor<'s, FileEntry, S>,
    /// Looks for directories ahead of `entries`.
    probe: Cursor<'s, FileEntry, S>,
    prefix: Vec<u8>,
    /// Children found but not yet returned.
    ready: VecDeque<DirEntry>,
    /// Proper prefixes of the newest child's name that, as directories, would come later in key order but earlier in the listing; shortest
    /// first. Each was looked up, and listed if it is a directory.
    ahead: Vec<Vec<u8>>,
    failed: bool,
}

/// The next child in key order: a file, or a directory if there is no entry.
struct NextChild {
    name: Vec<u8>,
    file: Option<FileEntry>,
}

impl<S: NodeStore + ?Sized> Listing<'_, S> {
    fn advance(&mut self) -> Result<Option<DirEntry>, S::Error> {
        while self.ready.is_empty() {
            let Some(NextChild { name, file }) = self.next_child()? else { return Ok(None) };
            self.ahead.retain(|before| name.starts_with(before));
            self.list_directories_before(&name)?;
            match file {
                Some(file) => {
                    self.entries.skip();
                    self.list(&name, PathKind::File(file))?;
                }
                None => self.pass_directory(&name)?,
            }
        }
        Ok(self.ready.pop_front())
    }

    fn next_child(&mut self) -> Result<Option<NextChild>, S::Error> {
        loop {
            match self.entries.peek() {
                Some(Step::Subtree { .. }) => {}
                Some(Step::Entry { key, value }) => {
                    let Some(below) = key.strip_prefix(self.prefix.as_slice()) else { return Ok(None) };
                    let slash = below.iter().position(|byte| *byte == b'/');
                    let name = &below[..slash.unwrap_or(below.len())];
                    return Ok(Some(NextChild { name: name.to_vec(), file: slash.is_none().then_some(*value) }));
                }
                None => return Ok(None),
            }
            self.entries.enter()?;
        }
    }

    /// Lists the directories whose names are prefixes of `name` and that come after it in key order.
    fn list_directories_before(&mut self, name: &[u8]) -> Result<(), S::Error> {
        let known = self.ahead.last().map_or(0, Vec::len);
        for length in known + 1..name.len() {
            if name[length] < b'/' {
                let before = &name[..length];
                let range = self.range_below(before);
                if has_entries_below(&mut self.probe, &range.from)? {
                    let totals = self.tree.range_totals(self.store, &range)?;
                    self.list(before, PathKind::directory(totals))?;
                }
                self.ahead.push(before.to_vec());
            }
        }
        Ok(())
    }

    /// Skips the next directory in key order and lists it, unless it was listed before.
    fn pass_directory(&mut self, name: &[u8]) -> Result<(), S::Error> {
        let totals = self.entries.sum_to(self.range_below(name).to.as_deref())?;
        if self.ahead.last().is_some_and(|before| before == name) {
            return Ok(());
        }
        self.list(name, PathKind::directory(totals))
    }

    fn range_below(&self, name: &[u8]) -> KeyRange {
        KeyRange::prefix([&self.prefix, name, b"/"].concat())
    }

    fn list(&mut self, name: &[u8], kind: PathKind) -> Result<(), S::Error> {
        let name = match std::str::from_utf8(name) {
            Ok(name) if !name.is_empty() => name.to_owned(),
            _ => return Err(TreeError::NotAPath { key: String::from_utf8_lossy(name).into_owned() }.into()),
        };
        self.ready.push_back(DirEntry { name, kind });
        Ok(())
    }
}

impl<S: NodeStore + ?Sized> Iterator for Listing<'_, S> {
    type Item = Result<DirEntry, S::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}
