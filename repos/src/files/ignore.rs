//! What is left out of sources: patterns as in a `.gitignore`, with git's meaning.
//!
//! The first rule that matches a path decides:
//! 1. patterns given by the user, the last of them first;
//! 2. pattern files in the sources, from the path's own folder upwards; within a file, the last line first;
//! 3. built-in patterns.
//!
//! `!` includes again. A left-out folder is not entered, so nothing in it can be included again, as in git. Files called [`PATTERN_FILE`]
//! only say what is data; where they count, they are not data themselves.
//!
//! So patterns of `--exclude` are not the globs of pipelines (`specs::glob`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use specs::FilePath;

use super::walk::Refused;

/// The file in a source that says which files of its folder are left out.
pub const PATTERN_FILE: &str = ".pvignore";

/// Maximum size of a pattern file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A pattern as in a line of a `.gitignore`: without a slash except at its end it matches at any depth, otherwise relative to the source.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    rules: Gitignore,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a pattern: {why}", .text.escape_debug())]
pub struct PatternError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let refuse = |why: String| PatternError { text: text.to_owned(), why };
        if text.trim().is_empty() || text.contains('\n') {
            return Err(refuse("expected one line of a .gitignore".to_owned()));
        }
        // A pattern given by the user is never a comment.
        let line = if text.starts_with('#') { format!("\\{text}") } else { text.to_owned() };
        let mut builder = GitignoreBuilder::new("");
        builder.add_line(None, &translated(&line)).map_err(|error| refuse(in_words(error)))?;
        let rules = builder.build().map_err(|error| refuse(in_words(error)))?;
        Ok(Self { text: text.to_owned(), rules })
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn in_words(error: ignore::Error) -> String {
    match error {
        ignore::Error::Glob { err, .. } => err,
        error => error.to_string(),
    }
}

/// Named character classes, which git knows and the matcher does not.
const CLASSES: [(&str, &str); 8] = [
    ("[:digit:]", "0-9"),
    ("[:alpha:]", "a-zA-Z"),
    ("[:alnum:]", "a-zA-Z0-9"),
    ("[:upper:]", "A-Z"),
    ("[:lower:]", "a-z"),
    ("[:xdigit:]", "0-9a-fA-F"),
    ("[:space:]", " \t"),
    ("[:blank:]", " \t"),
];

/// Translates a line from git's syntax to the matcher's: git treats braces literally.
fn translated(line: &str) -> String {
    let line = CLASSES.iter().fold(line.to_owned(), |line, (name, set)| line.replace(name, set));
    let mut out = String::with_capacity(line.len());
    let (mut is_escaped, mut in_class) = (false, false);
    for letter in line.chars() {
        match letter {
            '{' | '}' if !is_escaped && !in_class => out.extend(['\\', letter]),
            letter => out.push(letter),
        }
        in_class = match letter {
            '[' if !is_escaped => true,
            ']' => false,
            _ => in_class,
        };
        is_escaped = letter == '\\' && !is_escaped;
    }
    out
}

/// What a put or a code folder leaves out, before the sources are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Excludes {
    /// Patterns given by the user.
    pub patterns: Vec<Pattern>,
    /// The names of pattern files, such as [`PATTERN_FILE`]; within a folder the last one wins.
    pub files: &'static [&'static str],
    /// Patterns with the lowest priority.
    pub built_in: &'static [&'static str],
}

/// What left something out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A pattern given by the user.
    Hand,
    /// A pattern file, by its name.
    File(&'static str),
    /// A built-in pattern.
    BuiltIn,
}

/// The patterns in a folder, and in those above it.
#[derive(Debug)]
pub(super) struct Rules {
    above: Option<Arc<Rules>>,
    /// Length of the folder's path relative to the source in bytes, including its final `/`.
    depth: usize,
    /// In the order of priority.
    own: Vec<Own>,
}

/// The patterns of one file.
#[derive(Debug)]
struct Own {
    name: &'static str,
    rules: Gitignore,
    text: String,
}

/// Decides what to leave out while sources are walked.
#[derive(Debug, Default)]
pub(super) struct Decider {
    excludes: Excludes,
    built_in: Option<Gitignore>,
    used: Vec<AtomicBool>,
}

impl Decider {
    pub(super) fn new(excludes: &Excludes) -> Self {
        let built_in = (!excludes.built_in.is_empty()).then(|| parse(excludes.built_in.iter().copied()).0);
        let used = excludes.patterns.iter().map(|_| AtomicBool::new(false)).collect();
        Self { excludes: excludes.clone(), built_in, used }
    }

    /// What leaves a path out, if anything does; `rules` are those of its folder.
    pub(super) fn left_out(&self, rules: Option<&Rules>, relative: &[u8], is_folder: bool) -> Option<By> {
        let by_hand = self.by_hand(relative, is_folder);
        if let Some(is_out) = by_hand {
            return is_out.then_some(By::Hand);
        }
        let mut next = rules;
        while let Some(rules) = next {
            // Patterns do not apply to the folder that contains them, nor to those above.
            let below = relative.get(rules.depth..).filter(|below| !below.is_empty());
            for own in &rules.own {
                if let Some(is_out) = below.and_then(|below| verdict(&own.rules, below, is_folder)) {
                    return is_out.then_some(By::File(own.name));
                }
            }
            next = rules.above.as_deref();
        }
        let built_in = self.built_in.as_ref().and_then(|rules| verdict(rules, relative, is_folder));
        built_in.is_some_and(|is_out| is_out).then_some(By::BuiltIn)
    }

    /// The decision of the patterns given by the user. All that match are marked as used, even if a later one overrides them.
    fn by_hand(&self, relative: &[u8], is_folder: bool) -> Option<bool> {
        let mut said = None;
        for (pattern, used) in self.excludes.patterns.iter().zip(&self.used).rev() {
            if said.is_some() && used.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(is_out) = verdict(&pattern.rules, relative, is_folder) {
                used.store(true, Ordering::Relaxed);
                said = said.or(Some(is_out));
            }
        }
        said
    }

    /// Whether a file with this name only says what to leave out.
    pub(super) fn is_pattern_file(&self, name: &[u8]) -> bool {
        name == PATTERN_FILE.as_bytes() && self.excludes.files.contains(&PATTERN_FILE)
    }

    /// Whether there are no patterns that could leave anything out.
    pub(super) fn is_idle(&self, rules: Option<&Rules>) -> bool {
        rules.is_none() && self.excludes.patterns.is_empty() && self.built_in.is_none()
    }

    /// The patterns given by the user that matched nothing.
    pub(super) fn unused(&self) -> Vec<Pattern> {
        let patterns = self.excludes.patterns.iter().zip(&self.used);
        patterns.filter(|(_, used)| !used.load(Ordering::Relaxed)).map(|(pattern, _)| pattern.clone()).collect()
    }

    /// The rules for the folder open as `at`, at `relative` (empty, or ends with `/`) in `source`.
    pub(super) fn rules_in(
        &self,
        at: BorrowedFd<'_>,
        source: &Path,
        relative: &[u8],
        above: Option<Arc<Rules>>,
        refused: &mut Refused,
    ) -> Option<Arc<Rules>> {
        let mut own = Vec::new();
        for name in self.excludes.files.iter().rev() {
            let text = match read(at, name) {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(why) => {
                    let path = source.join(OsStr::from_bytes(relative)).join(name);
                    refused.bad.push((path, format!("cannot be read: {why}")));
                    continue;
                }
            };
            let (rules, wrong) = parse(text.lines());
            let path = || source.join(OsStr::from_bytes(relative)).join(name);
            refused.wrong_patterns.extend(wrong.into_iter().map(|wrong| (path(), wrong)));
            own.extend((!rules.is_empty()).then_some(Own { name, rules, text }));
        }
        if own.is_empty() { above } else { Some(Arc::new(Rules { above, depth: relative.len(), own })) }
    }

    /// Like [`Self::rules_in`], for a folder that is not reached by a walk; `relative` is empty or ends with `/`.
    pub(super) fn rules_at(&self, source: &Path, relative: &[u8], refused: &mut Refused) -> Option<Arc<Rules>> {
        if self.excludes.files.is_empty() {
            return None;
        }
        let ends = relative.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        let mut rules = None;
        for end in std::iter::once(0).chain(ends) {
            let folder = &relative[..end];
            if let Ok(at) = open_folder(&source.join(OsStr::from_bytes(folder))) {
                rules = self.rules_in(at.as_fd(), source, folder, rules, refused);
            }
        }
        rules
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn verdict(rules: &Gitignore, relative: &[u8], is_folder: bool) -> Option<bool> {
    match rules.matched(Path::new(OsStr::from_bytes(relative)), is_folder) {
        Match::None => None,
        Match::Ignore(_) => Some(true),
        Match::Whitelist(_) => Some(false),
    }
}

/// Parses lines; also returns the invalid ones with the reason. They match nothing, as in git.
fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> (Gitignore, Vec<String>) {
    let mut builder = GitignoreBuilder::new("");
    let mut wrong = Vec::new();
    for (at, line) in lines.enumerate() {
        let line = if at == 0 { line.trim_start_matches('\u{feff}') } else { line };
        if let Err(error) = builder.add_line(None, &translated(line)) {
            wrong.push(format!("line {}, `{}`: {}", at + 1, line.escape_debug(), in_words(error)));
        }
    }
    match builder.build() {
        Ok(rules) => (rules, wrong),
        Err(error) => (Gitignore::empty(), vec![in_words(error)]),
    }
}

/// The text of a pattern file; `None` if it does not exist or is not a file.
fn read(at: BorrowedFd<'_>, name: &str) -> std::io::Result<Option<String>> {
    match rustix::fs::statat(at, name, AtFlags::empty()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {}
        Ok(_) | Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::openat(at, name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is longer than 1 MiB"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What was left out of sources, as a test for other paths: what a mirror keeps, which files of a git commit are not code.
#[derive(Debug, Clone, Default)]
pub struct LeftOut {
    by_patterns: Arc<ByPatterns>,
    /// Target paths of unreadable files and folders.
    skipped: BTreeSet<FilePath>,
}

#[derive(Debug, Default)]
struct ByPatterns {
    decider: Decider,
    /// For each source: its folders that have their own patterns.
    sources: Vec<BTreeMap<Vec<u8>, Arc<Rules>>>,
}

impl LeftOut {
    /// By patterns alone, without sources.
    pub fn by(excludes: &Excludes) -> Self {
        Self::new(Decider::new(excludes), Vec::new(), BTreeSet::new())
    }

    pub(super) fn new(
        decider: Decider,
        sources: Vec<BTreeMap<Vec<u8>, Arc<Rules>>>,
        skipped: BTreeSet<FilePath>,
    ) -> Self {
        Self { by_patterns: Arc::new(ByPatterns { decider, sources }), skipped }
    }

    /// The same, with more unreadable paths.
    pub(super) fn with_skipped(&self, more: impl IntoIterator<Item = FilePath>) -> Self {
        let mut left_out = self.clone();
        left_out.skipped.extend(more);
        left_out
    }

    /// Whether a file at this path, relative to a source, is left out, itself or through a folder above it.
    pub fn covers(&self, relative: &str) -> bool {
        let none = [BTreeMap::new()];
        let by_patterns = &self.by_patterns;
        let sources = if by_patterns.sources.is_empty() { &none[..] } else { &by_patterns.sources };
        sources.iter().any(|folders| by_patterns.covers(folders, relative))
    }

    /// Whether a file of the target, or a folder above it, could not be read in the sources.
    pub fn is_skipped(&self, path: &FilePath) -> bool {
        let above = std::iter::successors(path.parent(), FilePath::parent);
        !self.skipped.is_empty() && std::iter::once(path.clone()).chain(above).any(|path| self.skipped.contains(&path))
    }
}

/// [`LeftOut`] of a put, as a message to another machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutText {
    /// Patterns given by the user.
    patterns: Vec<String>,
    /// For each source, the folders that have a [`PATTERN_FILE`] of their own (empty, or ending in `/`), sorted, and its text.
    sources: Vec<Vec<(Vec<u8>, String)>>,
    /// Target paths of unreadable files and folders.
    skipped: Vec<FilePath>,
}

impl LeftOut {
    /// As a message. Contains patterns given by the user and those of files called [`PATTERN_FILE`], as a put has them; no others.
    pub fn to_text(&self) -> LeftOutText {
        let ByPatterns { decider, sources } = &*self.by_patterns;
        let own = |(folder, rules): (&Vec<u8>, &Arc<Rules>)| {
            let own = rules.own.iter().find(|own| own.name == PATTERN_FILE && rules.depth == folder.len())?;
            Some((folder.clone(), own.text.clone()))
        };
        LeftOutText {
            patterns: decider.excludes.patterns.iter().map(|pattern| pattern.text.clone()).collect(),
            sources: sources.iter().map(|folders| folders.iter().filter_map(own).collect()).collect(),
            skipped: self.skipped.iter().cloned().collect(),
        }
    }

    /// From a message.
    pub fn of_text(text: &LeftOutText) -> Result<Self, PatternError> {
        let patterns = text.patterns.iter().map(|pattern| pattern.parse()).collect::<Result<Vec<Pattern>, _>>()?;
        let decider = Decider::new(&Excludes { patterns, files: &[PATTERN_FILE], built_in: &[] });
        let sources = text.sources.iter().map(|folders| folders_of(folders)).collect();
        Ok(Self::new(decider, sources, text.skipped.iter().cloned().collect()))
    }
}

/// The rules of the folders of one source, sorted so that a folder comes before those in it.
fn folders_of(texts: &[(Vec<u8>, String)]) -> BTreeMap<Vec<u8>, Arc<Rules>> {
    let mut folders: BTreeMap<Vec<u8>, Arc<Rules>> = BTreeMap::new();
    for (folder, text) in texts {
        let ends = folder.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        let ends: Vec<usize> = std::iter::once(0).chain(ends).filter(|end| *end < folder.len()).collect();
        let above = ends.into_iter().rev().find_map(|end| folders.get(&folder[..end])).cloned();
        let own = vec![Own { name: PATTERN_FILE, rules: parse(text.lines()).0, text: text.clone() }];
        folders.insert(folder.clone(), Arc::new(Rules { above, depth: folder.len(), own }));
    }
    folders
}

impl ByPatterns {
    fn covers(&self, folders: &BTreeMap<Vec<u8>, Arc<Rules>>, relative: &str) -> bool {
        let name = relative.rsplit('/').next().unwrap_or_default();
        if self.decider.is_pattern_file(name.as_bytes()) {
            return true;
        }
        let mut rules = folders.get(&b""[..]);
        for (end, _) in relative.match_indices('/') {
            if self.decider.left_out(rules.map(AsRef::as_ref), &relative.as_bytes()[..end], true).is_some() {
                return true;
            }
            rules = folders.get(&relative.as_bytes()[..=end]).or(rules);
        }
        self.decider.left_out(rules.map(AsRef::as_ref), relative.as_bytes(), false).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(patterns: &[&str], relative: &str) -> bool {
        let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        LeftOut::by(&Excludes { patterns, ..Excludes::default() }).covers(relative)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        for relative in ["a.tmp", "sub/a.tmp", "sub/deep/a.tmp"] {
            assert!(covers(&["*.tmp"], relative), "{relative}");
        }
        assert!(covers(&["/a.tmp"], "a.tmp") && !covers(&["/a.tmp"], "sub/a.tmp"));
        assert!(covers(&["sub/a"], "sub/a") && !covers(&["sub/a"], "x/sub/a"));
        assert!(covers(&["cache/"], "x/cache/y") && !covers(&["cache/"], "x/cache"));
        assert!(covers(&["**/cache/*.bin"], "x/cache/y.bin") && covers(&["a/**/z"], "a/z"));
        assert!(covers(&["#notes#"], "#notes#") && covers(&["a{b,c}"], "a{b,c}") && !covers(&["a{b,c}"], "ab"));
        assert!(covers(&["[[:digit:]]*"], "7a") && !covers(&["[[:digit:]]*"], "a7") && covers(&["[!a]b"], "xb"));
        assert!(!covers(&["*.log", "!keep.log"], "keep.log") && covers(&["*.log", "!keep.log"], "x.log"));
        assert!(covers(&["logs", "!keep.log"], "logs/keep.log"), "its folder is left out");
    }

    #[test]
    fn a_text_that_is_no_pattern_is_refused() {
        for text in ["", "  ", "a\nb", "[z-a]"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_known() {
        let patterns = ["*.tmp", "b.tmp", "none"].map(|pattern| pattern.parse().unwrap()).to_vec();
        let decider = Decider::new(&Excludes { patterns, ..Excludes::default() });
        assert_eq!(decider.left_out(None, b"b.tmp", false), Some(By::Hand));
        let unused = decider.unused();
        assert_eq!(unused.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["none"]);
    }
}
