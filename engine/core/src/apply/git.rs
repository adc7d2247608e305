//! Which parts of a pipeline are in a git commit: compares the stored files with those of the commit, one by one.
//!
//! It compares content and executable bits as stored, not the output of `git status`: files that git ignores or does not track count, and
//! changes elsewhere in the repository do not. If git stores different bytes than it checks out (line endings, Git LFS), the files differ,
//! and the result says how. A link counts as the file that it points to within the commit; a submodule as the files of its commit. The
//! commit is the one checked out where the code is, which need not be the spec's repository. Files of the commit that are excluded from the
//! code (`code`) are counted, but do not differ.
//!
//! Only the part of the commit below the folder is read. Git never makes an apply fail: what cannot be compared is `not checked`.
//!
//! More than 200,000 files, or more than 512 MiB in one file, are `not checked`. The comparison belongs to the apply that made the version;
//! a later equal apply does not repeat it.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use git2::{ErrorCode, ObjectType, Oid, Repository};
use repos::RepoError;
use repos::documents::{GitCheck, GitDifference, GitHow};
use repos::files::LeftOut;
use repos::hash::digest_of;
use repos::tree::FileEntry;

/// Maximum number of files compared in a commit's folder.
const MOST_FILES: usize = 200_000;
/// Maximum size in bytes of a compared file: git returns a file as a whole.
const MOST_BYTES: u64 = 512 << 20;
/// Maximum size in bytes of files that are read to find out how they differ.
const MOST_TO_EXPLAIN: u64 = 16 << 20;
/// Maximum length of a chain of links.
const MOST_LINKS: usize = 10;

/// Compares code as stored, by path, with the git commit checked out in its folder. What is excluded from the code is ignored in the commit
/// too. `read` reads a stored file, given its path too.
pub(super) fn check_code(
    folder: &Path,
    stored: &BTreeMap<String, FileEntry>,
    left_out: &LeftOut,
    read: &Read<'_>,
) -> GitCheck {
    let place = match WorkingTree::of(folder) {
        Ok(place) => place,
        Err(Elsewhere::NoRepository) => return GitCheck::in_no_commit("its folder is not in a git repository"),
        Err(Elsewhere::Known(check)) => return check,
    };
    match place.files() {
        Ok(mut files) => {
            let left_out = files.leave_out(stored, left_out);
            GitCheck { left_out, ..place.compared(files.differences(&place, stored, read)) }
        }
        Err(why) => place.refused(why),
    }
}

/// Compares a spec's file, as it was read, with the git commit checked out in its folder; `None` for a spec from no file (standard input),
/// and for a file outside any git repository.
pub(super) fn check_spec(file: &Path, text: &str) -> Option<GitCheck> {
    if !file.is_file() {
        return None;
    }
    match WorkingTree::of(file) {
        Ok(place) => Some(place.compared(place.difference_of_spec(file, text.as_bytes()))),
        Err(Elsewhere::NoRepository) => None,
        Err(Elsewhere::Known(check)) => Some(check),
    }
}

/// Why there is no commit to compare with.
enum Elsewhere {
    NoRepository,
    Known(GitCheck),
}

/// Why a comparison was not made.
enum Refusal {
    /// The commit does not have this path.
    NotThere,
    /// It is not possible, for this reason.
    Unknown(String),
}

impl From<git2::Error> for Refusal {
    fn from(error: git2::Error) -> Self {
        Self::Unknown(format!("git: {}", error.message()))
    }
}

/// A folder or file in a working tree, and the commit checked out there.
struct WorkingTree {
    repository: Rc<Repository>,
    commit: Oid,
    /// The path in the working tree; empty for the whole tree.
    path: String,
}

/// What a commit has at a path.
enum Found {
    File(Blob),
    Folder(Rc<Repository>, Oid),
    Link(Oid),
    Submodule(Oid),
}

/// A file of a commit.
struct Blob {
    repository: Rc<Repository>,
    id: Oid,
    executable: bool,
}

impl WorkingTree {
    fn of(at: &Path) -> std::result::Result<Self, Elsewhere> {
        let not_checked = |why: String| Elsewhere::Known(GitCheck::not_checked(why));
        let in_none = |why: &str| Elsewhere::Known(GitCheck::in_no_commit(why));
        let at = at.canonicalize().map_err(|error| not_checked(error.to_string()))?;
        let folder = if at.is_dir() { &at } else { at.parent().unwrap_or(&at) };
        let repository = Repository::discover(folder).map_err(|error| match error.code() {
            ErrorCode::NotFound => Elsewhere::NoRepository,
            ErrorCode::Owner => not_checked("git does not trust the repository (safe.directory)".to_owned()),
            _ => not_checked(format!("git: {}", error.message())),
        })?;
        let root = repository.workdir().and_then(|root| root.canonicalize().ok());
        let path = root.and_then(|root| at.strip_prefix(root).ok().map(Path::to_owned));
        let Some(path) = path else { return Err(in_none("it is not in the working tree of its git repository")) };
        let Some(path) = path.to_str().map(str::to_owned) else {
            return Err(not_checked("its path is not valid UTF-8".to_owned()));
        };
        let head = repository.head().and_then(|head| head.peel_to_commit());
        let commit = match head.map(|commit| commit.id()) {
            Ok(commit) => commit,
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                return Err(in_none("its git repository has no commit yet"));
            }
            Err(error) => return Err(not_checked(format!("git: {}", error.message()))),
        };
        Ok(Self { repository: Rc::new(repository), commit, path })
    }

    /// What the commit has at this path.
    fn whole(&self) -> std::result::Result<Found, Refusal> {
        let root = self.repository.find_commit(self.commit)?.tree_id();
        look_up(&self.repository, root, &self.path)?.ok_or(Refusal::NotThere)
    }

    /// All files of the commit below this path.
    fn files(&self) -> std::result::Result<Files, Refusal> {
        let Found::Folder(repository, tree) = self.whole()? else { return Err(Refusal::NotThere) };
        let mut files = Files::default();
        files.collect(&repository, tree, &self.path, "")?;
        Ok(files)
    }

    /// The executable bit does not matter: a spec is only read.
    fn difference_of_spec(&self, file: &Path, bytes: &[u8]) -> std::result::Result<Vec<GitDifference>, Refusal> {
        let Found::File(blob) = self.whole()? else { return Err(Refusal::NotThere) };
        let stored = FileEntry { digest: digest_of(bytes), size: bytes.len() as u64, executable: blob.executable };
        let how = blob.difference(&stored, "", &|_, _| Ok(bytes.to_vec()))?;
        let path = format!("/{}", file.file_name().unwrap_or_default().to_string_lossy());
        Ok(how.map(|how| GitDifference { path, how }).into_iter().collect())
    }

    fn compared(&self, differ: std::result::Result<Vec<GitDifference>, Refusal>) -> GitCheck {
        match differ {
            Ok(differ) => GitCheck::of(Some(self.commit.to_string()), self.path.clone(), differ),
            Err(why) => self.refused(why),
        }
    }

    fn refused(&self, why: Refusal) -> GitCheck {
        match why {
            Refusal::NotThere => {
                let id = self.commit.to_string();
                let id = id.get(..12).unwrap_or(&id);
                GitCheck::in_no_commit(format!("git commit {id} does not have `{}`", self.path))
            }
            Refusal::Unknown(why) => {
                let commit = Some(self.commit.to_string());
                GitCheck { commit, path: self.path.clone(), ..GitCheck::not_checked(why) }
            }
        }
    }
}

/// What a tree has at a path; `None` for nothing. Links on the way are not followed.
fn look_up(repository: &Rc<Repository>, root: Oid, path: &str) -> std::result::Result<Option<Found>, git2::Error> {
    if path.is_empty() {
        return Ok(Some(Found::Folder(repository.clone(), root)));
    }
    let tree = repository.find_tree(root)?;
    match tree.get_path(Path::new(path)) {
        Ok(entry) => Ok(found(repository, &entry)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn found(repository: &Rc<Repository>, entry: &git2::TreeEntry<'_>) -> Option<Found> {
    const LINK: i32 = 0o120_000;
    let id = entry.id();
    Some(match (entry.kind()?, entry.filemode()) {
        (ObjectType::Tree, _) => Found::Folder(repository.clone(), id),
        (ObjectType::Blob, LINK) => Found::Link(id),
        (ObjectType::Blob, mode) => {
            Found::File(Blob { repository: repository.clone(), id, executable: mode & 0o111 != 0 })
        }
        (ObjectType::Commit, _) => Found::Submodule(id),
        _ => return None,
    })
}

/// The files of a commit below a folder.
#[derive(Default)]
struct Files {
    /// By path below the folder, with a leading `/`.
    files: BTreeMap<String, Entry>,
    /// Paths of submodules whose commits are not available; they end in `/`.
    unknown: Vec<String>,
}

enum Entry {
    File(Blob),
    /// A link, with its own path in the repository.
    Link {
        repository: Rc<Repository>,
        root: Oid,
        at: String,
        id: Oid,
    },
}

impl Files {
    /// Adds all files below a tree that is at `at` in its repository, and at `below` in the folder.
    fn collect(
        &mut self,
        repository: &Rc<Repository>,
        tree: Oid,
        at: &str,
        below: &str,
    ) -> std::result::Result<(), Refusal> {
        let root = tree;
        self.collect_below(repository, (root, at), tree, "", below)
    }

    fn collect_below(
        &mut self,
        repository: &Rc<Repository>,
        top: (Oid, &str),
        tree: Oid,
        inside: &str,
        below: &str,
    ) -> std::result::Result<(), Refusal> {
        for entry in &repository.find_tree(tree)? {
            let name = shown(entry.name_bytes());
            let path = format!("{below}/{name}");
            let own = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            match found(repository, &entry) {
                None => {}
                Some(Found::Folder(_, id)) => self.collect_below(repository, top, id, &own, &path)?,
                Some(Found::File(blob)) => {
                    self.files.insert(path, Entry::File(blob));
                }
                Some(Found::Link(id)) => {
                    let repository = repository.clone();
                    self.files.insert(path, Entry::Link { repository, root: top.0, at: own, id });
                }
                Some(Found::Submodule(id)) => {
                    let at = if top.1.is_empty() { own } else { format!("{}/{own}", top.1) };
                    self.submodule(repository, &at, id, &path)?;
                }
            }
            if self.files.len() > MOST_FILES {
                let why = format!("the commit has more than {MOST_FILES} files there");
                return Err(Refusal::Unknown(why));
            }
        }
        Ok(())
    }

    /// Adds the files of a submodule, in the commit named by the commit above.
    fn submodule(
        &mut self,
        above: &Repository,
        at: &str,
        commit: Oid,
        below: &str,
    ) -> std::result::Result<(), Refusal> {
        let opened = above.workdir().and_then(|root| Repository::open(root.join(at)).ok()).map(Rc::new);
        let tree = opened.as_ref().and_then(|own| Some(own.find_commit(commit).ok()?.tree_id()));
        if let Some((own, tree)) = opened.zip(tree) {
            return self.collect(&own, tree, "", below);
        }
        self.unknown.push(format!("{below}/"));
        Ok(())
    }

    /// Removes files that are excluded from the code; returns their number.
    fn leave_out(&mut self, stored: &BTreeMap<String, FileEntry>, left_out: &LeftOut) -> u64 {
        let before = self.files.len();
        self.files.retain(|path, _| stored.contains_key(path) || !left_out.covers(path.trim_start_matches('/')));
        (before - self.files.len()) as u64
    }

    /// The files that differ, and how; `read` reads a stored file.
    fn differences(
        mut self,
        place: &WorkingTree,
        stored: &BTreeMap<String, FileEntry>,
        read: &Read<'_>,
    ) -> std::result::Result<Vec<GitDifference>, Refusal> {
        let mut differ = Vec::new();
        let mut add = |path: &str, how| differ.push(GitDifference { path: path.replace('\0', ""), how });
        for (path, file) in stored {
            let how = match self.files.remove(path) {
                Some(Entry::File(blob)) => blob.difference(file, path, read)?,
                Some(Entry::Link { repository, root, at, id }) => {
                    let target = followed(&repository, root, place, &at, id)?;
                    let same = target.map(|blob| blob.difference(file, path, read)).transpose()?;
                    if same == Some(None) { None } else { Some(GitHow::Link) }
                }
                None if self.unknown.iter().any(|below| path.starts_with(below.as_str())) => Some(GitHow::Submodule),
                None => Some(GitHow::NotInCommit),
            };
            if let Some(how) = how {
                add(path, how);
            }
        }
        self.files.keys().for_each(|path| add(path, GitHow::OnlyInCommit));
        let is_empty = |below: &&String| !stored.keys().any(|path| path.starts_with(below.as_str()));
        self.unknown.iter().filter(is_empty).for_each(|below| add(below.trim_end_matches('/'), GitHow::Submodule));
        Ok(differ)
    }
}

/// Reads a stored file, given its path too.
pub(super) type Read<'a> = dyn Fn(&FileEntry, &str) -> std::result::Result<Vec<u8>, RepoError> + 'a;

impl Blob {
    /// How the stored file at a path differs; `None` if it does not.
    fn difference(
        &self,
        stored: &FileEntry,
        path: &str,
        read: &Read<'_>,
    ) -> std::result::Result<Option<GitHow>, Refusal> {
        let (size, _) = self.repository.odb()?.read_header(self.id)?;
        let size = size as u64;
        if size == stored.size && size > MOST_BYTES {
            return Err(Refusal::Unknown(format!("a file is larger than {} MiB", MOST_BYTES >> 20)));
        }
        if size != stored.size && size.max(stored.size) > MOST_TO_EXPLAIN {
            // A pointer is small, whatever it points to.
            let is_pointer =
                size <= LONGEST_POINTER && is_pointer(self.repository.find_blob(self.id)?.content(), stored);
            return Ok(Some(if is_pointer { GitHow::LfsPointer } else { GitHow::Content }));
        }
        let blob = self.repository.find_blob(self.id)?;
        let bytes = blob.content();
        if size == stored.size && digest_of(bytes) == stored.digest {
            return Ok((self.executable != stored.executable).then_some(GitHow::Executable));
        }
        if is_pointer(bytes, stored) {
            return Ok(Some(GitHow::LfsPointer));
        }
        let is_small = size.max(stored.size) <= MOST_TO_EXPLAIN;
        // It certainly differs; its content, if readable, only tells how.
        let ends_only = is_small && read(stored, path).is_ok_and(|stored| one_line_end(&stored) == one_line_end(bytes));
        Ok(Some(if ends_only { GitHow::LineEnds } else { GitHow::Content }))
    }
}

/// Maximum size of a Git LFS pointer in bytes, from its specification.
const LONGEST_POINTER: u64 = 1024;

/// Whether these bytes are a Git LFS pointer to the stored file, which is also identified by SHA-256.
fn is_pointer(bytes: &[u8], stored: &FileEntry) -> bool {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= LONGEST_POINTER);
    let names = |text: &str| text.lines().any(|line| line == format!("oid sha256:{}", stored.digest));
    text.is_some_and(|text| text.starts_with("version https://git-lfs.github.com/spec/") && names(text))
}

/// The bytes with `\n` for each `\r\n`.
fn one_line_end(bytes: &[u8]) -> Vec<u8> {
    let is_kept = |at: &usize| !(bytes[*at] == b'\r' && bytes.get(at + 1) == Some(&b'\n'));
    (0..bytes.len()).filter(is_kept).map(|at| bytes[at]).collect()
}

/// The file that a link points to within its commit; `None` if it points out of the commit, to nothing or to a folder.
fn followed(
    repository: &Rc<Repository>,
    tree: Oid,
    place: &WorkingTree,
    at: &str,
    link: Oid,
) -> std::result::Result<Option<Blob>, Refusal> {
    // Links may point outside the folder, so they are followed from the root of the commit; those of a submodule from its own root.
    let is_own = Rc::ptr_eq(repository, &place.repository);
    let root = if is_own { repository.find_commit(place.commit)?.tree_id() } else { tree };
    let mut at = if is_own && !place.path.is_empty() { format!("{}/{at}", place.path) } else { at.to_owned() };
    let mut link = link;
    for _ in 0..MOST_LINKS {
        let blob = repository.find_blob(link)?;
        let target = std::str::from_utf8(blob.content()).ok().and_then(|target| joined(&at, target));
        let Some(target) = target else { return Ok(None) };
        match look_up(repository, root, &target)? {
            Some(Found::File(blob)) => return Ok(Some(blob)),
            Some(Found::Link(next)) => (at, link) = (target, next),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The target of a link at `at`, within the repository; `None` if it is outside.
fn joined(at: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = at.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A name in comparable form which, without its zero byte, can be shown. Names that are not UTF-8 or have control characters get a zero
/// byte: no stored file has such a name.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) if !name.chars().any(char::is_control) => name.to_owned(),
        _ => format!("\0{}", name.escape_ascii()),
    }
}
