//! The code of a pipeline, and how it compares with a git commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::Digest;

use super::is_default;

/// The code of a pipeline, and the result of comparing it with git at apply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CodeStamp {
    /// Root of the tree laid out at the transform's `code_path`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tree: Option<Digest>,
    /// The git commit that the code was compared with; without code, the one for the spec's file. In records that predate these checks: the
    /// commit checked out in the spec's folder, which says nothing about the code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub git_commit: Option<String>,
    /// Only in records that predate these checks, where it proves nothing: files ignored by git did not count. [`Self::checked`] drops it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub git_clean: Option<bool>,
    /// How the files of `tree` compare with a git commit; absent if there is no code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub git_code: Option<GitCheck>,
    /// How the spec's file, as it was read, compares with a git commit; absent if it is in no git repository.
    #[serde(default, skip_serializing_if = "is_default")]
    pub git_spec: Option<GitCheck>,
}

/// How files compare with a git commit: byte by byte, and by the executable bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitCheck {
    /// The result of the comparison.
    pub state: GitState,
    /// The commit that was compared; absent if there is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub commit: Option<String>,
    /// Path of the files in that commit: a folder or a file, without a leading slash; empty for the whole commit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: String,
    /// Why the files are in no commit, or were not compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub why: String,
    /// Number of files that differ.
    #[serde(default, skip_serializing_if = "is_default")]
    pub differ: u64,
    /// The first of these files, by path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub files: Vec<GitDifference>,
    /// Number of files in the commit that the code patterns in force at apply exclude; they do not count as differing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left_out: u64,
}

/// The result of a comparison with a git commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitState {
    /// The commit has exactly these files at this path, apart from excluded ones.
    InCommit,
    /// Some files differ.
    Differs,
    /// No commit could contain them.
    InNoCommit,
    /// Not known.
    NotChecked,
}

/// A file that differs from a git commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GitDifference {
    /// The file, relative to the compared folder, with a leading `/`.
    pub path: String,
    /// How it differs.
    pub how: GitHow,
}

/// How a file differs from a git commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitHow {
    /// The content differs.
    Content,
    /// Only the line endings differ, as where git converts them.
    LineEnds,
    /// The commit has a Git LFS pointer to exactly this content, not the content itself.
    LfsPointer,
    /// The content is equal; the executable bit differs.
    Executable,
    /// The commit has a link at this path that does not lead to this content within the commit.
    Link,
    /// The file belongs to a submodule whose commit is not available for comparison.
    Submodule,
    /// The commit does not have it.
    NotInCommit,
    /// Only the commit has it.
    OnlyInCommit,
}

impl CodeStamp {
    /// The stamp without what proves nothing: records that predate the checks become "not compared".
    #[must_use]
    pub fn checked(&self) -> Self {
        let mut stamp = Self { git_clean: None, ..self.clone() };
        if stamp.git_code.is_some() || stamp.git_spec.is_some() {
            return stamp;
        }
        let check =
            GitCheck { commit: stamp.git_commit.clone(), ..GitCheck::not_checked("it was applied by an older pv") };
        match stamp.tree {
            Some(_) => stamp.git_code = Some(check),
            None => stamp.git_spec = stamp.git_commit.is_some().then_some(check),
        }
        stamp
    }
}

impl GitCheck {
    /// The result is not known, for this reason.
    pub fn not_checked(why: impl Into<String>) -> Self {
        Self { state: GitState::NotChecked, why: why.into(), ..Self::of(None, String::new(), Vec::new()) }
    }

    /// There is no commit, for this reason.
    pub fn in_no_commit(why: impl Into<String>) -> Self {
        Self { state: GitState::InNoCommit, why: why.into(), ..Self::of(None, String::new(), Vec::new()) }
    }

    /// The result of a comparison, given all files that differ.
    pub fn of(commit: Option<String>, path: String, mut files: Vec<GitDifference>) -> Self {
        /// How many files are listed by name.
        const NAMED: usize = 10;
        let state = if files.is_empty() { GitState::InCommit } else { GitState::Differs };
        let differ = files.len() as u64;
        files.sort();
        files.truncate(NAMED);
        Self { state, commit, path, why: String::new(), differ, files, left_out: 0 }
    }

    /// Describes `what` (`code`, `spec`) in words: `code in commit 4e1d2f0a`, `code differs from 4e1d2f0a: 2 files: /a (content), …`,
    /// `code in no commit: …`, `code not checked against commit 4e1d2f0a: …`.
    ///
    /// Ids are cut to `digits`; with full ids the path in the commit is included too. At most `names` of the differing files are named.
    pub fn in_words(&self, what: &str, digits: usize, names: usize) -> String {
        let id = self.commit.as_deref().unwrap_or_default();
        let is_whole = digits >= id.len() && !self.path.is_empty();
        let id = id.get(..digits).unwrap_or(id);
        let at = if is_whole { format!(" at {}", self.path) } else { String::new() };
        let less = match self.left_out {
            0 => String::new(),
            1 => ", without 1 excluded file".to_owned(),
            more => format!(", without {more} excluded files"),
        };
        match self.state {
            GitState::InCommit => format!("{what} in commit {id}{at}{less}"),
            GitState::InNoCommit => format!("{what} in no commit: {}", self.why),
            GitState::NotChecked if id.is_empty() => format!("{what} not checked against git: {}", self.why),
            GitState::NotChecked => format!("{what} not checked against commit {id}: {}", self.why),
            GitState::Differs => {
                let plural = if self.differ == 1 { "file" } else { "files" };
                let first = self.files.iter().take(names);
                let mut list: Vec<String> = first.map(|file| format!("{} ({})", file.path, file.how)).collect();
                let more = self.differ.saturating_sub(list.len() as u64);
                list.extend((more > 0).then(|| format!("{more} more")));
                format!("{what} differs from {id}{at}{less}: {} {plural}: {}", self.differ, list.join(", "))
            }
        }
    }
}

impl std::fmt::Display for GitHow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Content => "other bytes",
            Self::LineEnds => "different line ends",
            Self::LfsPointer => "a Git LFS pointer in the commit",
            Self::Executable => "different executable bit",
            Self::Link => "a link in the commit",
            Self::Submodule => "in a submodule that cannot be compared",
            Self::NotInCommit => "not in the commit",
            Self::OnlyInCommit => "only in the commit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(count: usize) -> Vec<GitDifference> {
        (0..count).map(|at| GitDifference { path: format!("/{at:02}"), how: GitHow::Content }).collect()
    }

    #[test]
    fn what_differs_is_named_and_counted() {
        let id = Some("0123456789abcdef".to_owned());
        let words = |files| GitCheck::of(id.clone(), String::new(), files).in_words("code", 8, 3);
        assert_eq!(words(Vec::new()), "code in commit 01234567");
        let less = GitCheck { left_out: 2, ..GitCheck::of(id.clone(), String::new(), Vec::new()) };
        assert_eq!(less.in_words("code", 8, 3), "code in commit 01234567, without 2 excluded files");
        assert_eq!(words(differing(1)), "code differs from 01234567: 1 file: /00 (other bytes)");
        let many = GitCheck::of(id.clone(), String::new(), differing(12));
        assert_eq!((many.differ, many.files.len()), (12, 10));
        assert!(many.in_words("code", 8, 10).ends_with("/09 (other bytes), 2 more"));
        assert!(words(differing(5)).ends_with("/02 (other bytes), 2 more"));
    }

    #[test]
    fn a_record_from_before_there_were_checks_says_that_nothing_was_compared() {
        let old = CodeStamp {
            tree: Some(crate::base::hash::digest_of(b"x")),
            git_commit: Some("0123456789abcdef".to_owned()),
            git_clean: Some(true),
            ..CodeStamp::default()
        };
        let told = old.checked();
        assert_eq!(told.git_clean, None);
        let words = told.git_code.unwrap().in_words("code", 8, 3);
        assert_eq!(words, "code not checked against commit 01234567: it was applied by an older pv");
        assert_eq!(CodeStamp { tree: None, ..old }.checked().git_spec.unwrap().state, GitState::NotChecked);
        assert_eq!(CodeStamp::default().checked(), CodeStamp::default());
    }
}
