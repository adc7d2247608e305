//! References: how a command line names data, runs, jobs and datums.
//!
//! - [`Reference`] `REPO[@REV][:/PATH]`: data. The first `:/` ends the revision, so a path may contain `@`, `:` or `^`.
//! - [`RunRef`] `@RUN`, [`JobRef`] `PIPELINE`, `PIPELINE@RUN` or `@RUN`, [`DatumRef`] `ID`, `JOB/ID` or a file.
//! - [`Target`] for commands that accept several of these.
//!
//! Not here: whether a word is a branch, a tag or the prefix of an id; only a store can tell.

use std::fmt;
use std::str::FromStr;

use crate::as_of::{self, AsOf};
use crate::digest::serde_as_text;
use crate::names::{BranchName, NameError, PipelineName, RepoName};
use crate::path::{FilePath, PathError};
use crate::pattern;

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The name of the repository, pipeline or branch is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The path is not valid.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A `:` without the `/` that starts a path.
    #[error("`{}` is not a reference: a path starts with `:/`", .text.escape_debug())]
    PathWithoutSlash {
        /// The text.
        text: String,
    },
    /// The part after `@` is not a revision.
    #[error("`{}` is not a revision: {why}", .text.escape_debug())]
    Revision {
        /// The part after `@`.
        text: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The text is not a prefix of an id.
    #[error("`{}` is not an id: expected 4 to 64 lower-case hex digits", .text.escape_debug())]
    Id {
        /// The text.
        text: String,
    },
    /// The text names data where a run is expected.
    #[error("`{}` is not a run: expected `@` and an id", .text.escape_debug())]
    NotARun {
        /// The text.
        text: String,
    },
}

impl ReferenceError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::PathWithoutSlash { text } => {
                let at = colon(text)?;
                Some(format!("write `{}:/{}`", &text[..at], &text[at + 1..]))
            }
            Self::Revision { why, .. } if *why == NO_TIME => Some(as_of::FORMS.to_owned()),
            Self::Path(PathError { text, .. }) if text.len() > 1 && text.ends_with('/') => {
                Some(format!("remove the last `/`: `{}`", text.trim_end_matches('/')))
            }
            Self::Revision { .. } => {
                Some("write a branch, a tag or an id, then `^` or `~2` for earlier commits".to_owned())
            }
            Self::Id { text } if text.chars().all(|c| c.is_ascii_hexdigit()) && text.len() >= 4 => {
                Some(format!("did you mean `{}`?", text.to_lowercase())).filter(|_| text.len() <= 64)
            }
            Self::NotARun { text } => {
                let id = text.rsplit('@').next().filter(|id| is_id_prefix(id))?;
                Some(format!("did you mean `@{id}`?"))
            }
            Self::Name(_) | Self::Path(_) | Self::Id { .. } => None,
        }
    }
}

/// The rule for braces that do not contain a time.
const NO_TIME: &str = "the braces do not contain a point in time";

/// The position of the first `:` outside the braces of a time.
fn colon(text: &str) -> Option<usize> {
    let mut is_time = false;
    text.char_indices().find_map(|(at, letter)| {
        is_time = match letter {
            '{' if text[..at].ends_with('@') => true,
            '}' => false,
            _ => is_time,
        };
        (letter == ':' && !is_time).then_some(at)
    })
}

/// The part of a reference before its path, and the path; `None` for a `:` without a path.
pub(crate) fn split_path(text: &str) -> Option<(&str, Option<&str>)> {
    match colon(text) {
        None => Some((text, None)),
        // No other `:` may come before the first `:/`.
        Some(at) if text[at..].starts_with(":/") => Some((&text[..at], Some(&text[at + 1..]))),
        Some(_) => None,
    }
}

pub(crate) fn is_id_prefix(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first digits of the id of a commit, run or datum.
///
/// Shape: 4 to 64 lower-case hex digits. Only a store can tell whether it is unique or exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl FromStr for IdPrefix {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if is_id_prefix(text) { Ok(Self(text.to_owned())) } else { Err(ReferenceError::Id { text: text.to_owned() }) }
    }
}

/// A commit of a repository, before a store resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The starting point.
    pub base: RevisionBase,
    /// How many commits to go back from there.
    pub back: u32,
}

/// The starting point of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RevisionBase {
    /// A branch, a tag, or the prefix of a commit's or run's id, tried in this order: a name wins over an id.
    ///
    /// Shape: a branch name, or 64 hex digits.
    Word(String),
    /// `REPO@BRANCH@RUN`: the commit that a run made or used on this branch.
    BranchOfRun {
        /// The branch.
        branch: BranchName,
        /// The run, or a commit of it.
        run: IdPrefix,
    },
    /// `REPO@BRANCH@{TIME}`: the branch's commit at that time; without a branch, that of the store's default branch.
    BranchThen {
        /// The branch.
        branch: Option<BranchName>,
        /// The time.
        time: AsOf,
    },
}

impl Revision {
    /// The head of a branch.
    pub fn branch(name: &BranchName) -> Self {
        Self { base: RevisionBase::Word(name.as_str().to_owned()), back: 0 }
    }

    /// The branch, if this is only a branch name: a target for new commits.
    pub fn as_branch(&self) -> Option<BranchName> {
        match &self.base {
            RevisionBase::Word(word) if self.back == 0 => word.parse().ok(),
            _ => None,
        }
    }

    /// The word as the prefix of an id: 4 to 64 lower-case hex digits. It may also be the name of a branch or tag.
    pub fn as_hex_prefix(&self) -> Option<&str> {
        match &self.base {
            RevisionBase::Word(word) if is_id_prefix(word) => Some(word),
            _ => None,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            RevisionBase::Word(word) => f.write_str(word)?,
            RevisionBase::BranchOfRun { branch, run } => write!(f, "{branch}@{run}")?,
            RevisionBase::BranchThen { branch: Some(branch), time } => write!(f, "{branch}@{time}")?,
            RevisionBase::BranchThen { branch: None, time } => time.fmt(f)?,
        }
        match self.back {
            0 => Ok(()),
            1 => f.write_str("^"),
            back => write!(f, "~{back}"),
        }
    }
}

impl FromStr for Revision {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse = |why| ReferenceError::Revision { text: text.to_owned(), why };
        let after_time = text.rfind('}').map_or(0, |at| at + 1);
        let steps_at = text[after_time..].find(['^', '~']).map_or(text.len(), |at| after_time + at);
        let (base, steps) = text.split_at(steps_at);
        let base = if base.is_empty() {
            return Err(refuse("expected a branch, tag or id after `@`"));
        } else if let Some((branch, time)) = split_time(base) {
            let time = AsOf::parse(time).ok_or_else(|| refuse(NO_TIME))?;
            RevisionBase::BranchThen { branch: branch.map(str::parse).transpose()?, time }
        } else if let Some((branch, run)) = base.split_once('@') {
            RevisionBase::BranchOfRun { branch: branch.parse()?, run: run.parse()? }
        } else {
            if !is_id_prefix(base) {
                base.parse::<BranchName>()?;
            }
            RevisionBase::Word(base.to_owned())
        };
        Ok(Self { base, back: steps_back(steps).map_err(refuse)? })
    }
}

/// The branch, if any, and the text between the braces after it.
fn split_time(base: &str) -> Option<(Option<&str>, &str)> {
    let (branch, time) = match base.split_once("@{") {
        Some((branch, time)) => (Some(branch), time),
        None => (None, base.strip_prefix('{')?),
    };
    Some((branch, time.strip_suffix('}')?))
}

/// Number of commits that any combination of `^`, `^N`, `~` and `~N` goes back.
fn steps_back(steps: &str) -> Result<u32, &'static str> {
    const TOO_FAR: &str = "it goes back too far";
    let Some(steps) = steps.strip_prefix(['^', '~']) else { return Ok(0) };
    steps.split(['^', '~']).try_fold(0u32, |total, count| {
        let count = match count {
            "" => 1,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| TOO_FAR)?,
            _ => return Err("only a number may follow `^` and `~`"),
        };
        total.checked_add(count).ok_or(TOO_FAR)
    })
}

/// Data: `REPO[@REV][:/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The repository.
    pub repo: RepoName,
    /// The commit; `None` for the head of the store's default branch.
    pub revision: Option<Revision>,
    /// A file or directory; `None` for the commit itself.
    pub path: Option<FilePath>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(path) = &self.path {
            write!(f, ":{path}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let without_slash = || ReferenceError::PathWithoutSlash { text: text.to_owned() };
        let (head, path) = split_path(text).ok_or_else(without_slash)?;
        let path = path.map(str::parse).transpose()?;
        let (repo, revision) = match head.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (head, None),
        };
        Ok(Self { repo: repo.parse()?, revision: revision.map(str::parse).transpose()?, path })
    }
}

/// A whole run: `@RUN`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunRef(pub IdPrefix);

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}
impl FromStr for RunRef {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let id = text.strip_prefix('@').ok_or_else(|| ReferenceError::NotARun { text: text.to_owned() })?;
        Ok(Self(id.parse()?))
    }
}

/// One job, or all jobs of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobRef {
    /// `PIPELINE`: its newest job.
    Newest(PipelineName),
    /// `PIPELINE@RUN`: its job in this run.
    InRun {
        /// The pipeline.
        pipeline: PipelineName,
        /// The run, or a commit of it.
        run: IdPrefix,
    },
    /// `@RUN`: every job of the run.
    Run(RunRef),
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(pipeline) => pipeline.fmt(f),
            Self::InRun { pipeline, run } => write!(f, "{pipeline}@{run}"),
            Self::Run(run) => run.fmt(f),
        }
    }
}
impl FromStr for JobRef {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Ok(match text.split_once('@') {
            None => Self::Newest(text.parse()?),
            Some(("", _)) => Self::Run(text.parse()?),
            Some((pipeline, run)) => Self::InRun { pipeline: pipeline.parse()?, run: run.parse()? },
        })
    }
}

/// One datum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DatumRef {
    /// `ID`: by the prefix of its id.
    Id(IdPrefix),
    /// `JOB/ID`: the same, within a job.
    InJob {
        /// The job.
        job: JobRef,
        /// The prefix of the datum's id.
        id: IdPrefix,
    },
    /// `REPO[@REV]:/PATH`: the datum that wrote this file.
    Writer(Reference),
}

impl fmt::Display for DatumRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::InJob { job, id } => write!(f, "{job}/{id}"),
            Self::Writer(reference) => reference.fmt(f),
        }
    }
}
impl FromStr for DatumRef {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if colon(text).is_some() {
            return text.parse().map(Self::Writer);
        }
        Ok(match text.rsplit_once('/') {
            Some((job, id)) => Self::InJob { job: job.parse()?, id: id.parse()? },
            None => Self::Id(text.parse()?),
        })
    }
}

/// What an argument refers to, as far as its text shows, for commands that accept several kinds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// It begins with `@`.
    Run(RunRef),
    /// It contains `:/`; `path` is always set.
    File(Reference),
    /// Anything else. The names of pipelines and repositories and the ids of datums look alike: a store tries them in this order.
    Word(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::File(reference) => reference.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Classifies the argument of a command that accepts a run, a file, a job, a repository or a datum.
pub fn parse_target(text: &str) -> Result<Target, ReferenceError> {
    if text.starts_with('@') {
        text.parse().map(Target::Run)
    } else if text.strip_prefix("sha256:").is_some_and(is_id_prefix) {
        Ok(Target::Word(text.to_owned()))
    } else if colon(text).is_some() {
        text.parse().map(Target::File)
    } else {
        Ok(Target::Word(text.to_owned()))
    }
}

impl FromStr for Target {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse_target(text)
    }
}

serde_as_text!(IdPrefix, { "pattern": pattern::id() });
serde_as_text!(Revision, { "format": "pv-revision", "pattern": pattern::revision() });
serde_as_text!(Reference, { "format": "pv-reference", "pattern": pattern::reference() });
serde_as_text!(RunRef, { "pattern": pattern::run() });
serde_as_text!(JobRef, { "pattern": pattern::job() });
serde_as_text!(DatumRef);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }
    fn back(text: &str) -> u32 {
        reference(text).revision.unwrap().back
    }
    fn refusal<T: FromStr<Err = ReferenceError> + fmt::Debug>(text: &str) -> String {
        let error = text.parse::<T>().unwrap_err();
        error.to_string() + &error.hint().map_or(String::new(), |hint| format!("\n  {hint}"))
    }

    #[test]
    fn the_first_colon_slash_ends_the_revision() {
        let parsed = reference("images@feature/x.1^:/a@b:/c^d");
        assert_eq!(parsed.repo.as_str(), "images");
        assert_eq!(parsed.revision.as_ref().unwrap().back, 1);
        assert_eq!(parsed.path.as_ref().unwrap().as_str(), "/a@b:/c^d");
        assert_eq!(reference("images:/").path, Some(FilePath::root()));
        assert_eq!(reference("images"), Reference { repo: "images".parse().unwrap(), revision: None, path: None });
    }

    #[test]
    fn steps_back_add_up() {
        let cases = [("^", 1), ("^^", 2), ("^3", 3), ("~2", 2), ("~", 1), ("^^2~3^", 7), ("^0", 0)];
        for (steps, expected) in cases {
            assert_eq!(back(&format!("images@main{steps}")), expected, "{steps}");
        }
    }

    #[test]
    fn a_time_in_braces_is_of_a_branch() {
        let then = |text: &str| match reference(text).revision.unwrap().base {
            RevisionBase::BranchThen { branch, time } => {
                (branch.map(|branch| branch.to_string()), time.as_str().to_owned())
            }
            other => panic!("{other:?}"),
        };
        let at = |branch: &str, time: &str| (Some(branch.to_owned()), time.to_owned());
        assert_eq!(then("images@main@{2026-09-01 14:02}:/a"), at("main", "2026-09-01 14:02"));
        assert_eq!(then("images@{3 days ago}"), (None, "3 days ago".to_owned()));
        assert_eq!(back("images@main@{3 days ago}~2"), 2);
        assert_eq!(reference("images@main@{2026-09-01T14:02:05Z}:/a{b:c}").path.unwrap().as_str(), "/a{b:c}");
        assert_eq!(reference("images@main@{now}").revision.unwrap().as_branch(), None);
        assert!(matches!("images@main@{2026-09-01 14:02}".parse().unwrap(), Target::Word(_)));
        assert_eq!(
            refusal::<Reference>("images@main@{3}"),
            format!("`main@{{3}}` is not a revision: {NO_TIME}\n  {}", as_of::FORMS)
        );
    }

    #[test]
    fn a_word_may_be_a_branch_and_an_id_at_once() {
        let revision = reference("images@beef").revision.unwrap();
        assert_eq!(revision.as_hex_prefix(), Some("beef"));
        assert_eq!(revision.as_branch().unwrap().as_str(), "beef");
        let full = reference(&format!("images@{}", "0f".repeat(32))).revision.unwrap();
        assert_eq!((full.as_hex_prefix().unwrap().len(), full.as_branch()), (64, None));
        assert_eq!(reference("images@main^").revision.unwrap().as_branch(), None);
        assert_eq!(reference("images@bee").revision.unwrap().as_hex_prefix(), None);
        let base = reference("threat@main@90c4d5e1").revision.unwrap().base;
        assert!(matches!(base, RevisionBase::BranchOfRun { run, .. } if run.as_str() == "90c4d5e1"));
    }

    #[test]
    fn refusals_say_what_to_write() {
        let refusals = [
            refusal::<Reference>("images:cam7"),
            refusal::<Reference>("images@main:cam7/x"),
            refusal::<Reference>("images:/cam7/"),
            refusal::<Reference>("images@"),
            refusal::<Reference>("images@^"),
            refusal::<Reference>("images@main^x"),
            refusal::<Reference>("images@main~4294967295^"),
            refusal::<Reference>("images@main@BEEF"),
            refusal::<Reference>("im ages@main"),
            refusal::<Reference>("@90c4d5e1"),
            refusal::<RunRef>("threat@90c4d5e1"),
            refusal::<JobRef>("threat@main"),
            refusal::<DatumRef>("xyz"),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @r##"
        `images:cam7` is not a reference: a path starts with `:/`
          write `images:/cam7`
        `images@main:cam7/x` is not a reference: a path starts with `:/`
          write `images@main:/cam7/x`
        `/cam7/` is not a legal path: it has an empty part
          remove the last `/`: `/cam7`
        `` is not a revision: expected a branch, tag or id after `@`
          write a branch, a tag or an id, then `^` or `~2` for earlier commits
        `^` is not a revision: expected a branch, tag or id after `@`
          write a branch, a tag or an id, then `^` or `~2` for earlier commits
        `main^x` is not a revision: only a number may follow `^` and `~`
          write a branch, a tag or an id, then `^` or `~2` for earlier commits
        `main~4294967295^` is not a revision: it goes back too far
          write a branch, a tag or an id, then `^` or `~2` for earlier commits
        `BEEF` is not an id: expected 4 to 64 lower-case hex digits
          did you mean `beef`?
        `im ages` is not a legal repository name: only letters, digits, `-` and `_` are allowed
        `` is not a legal repository name: it must have 1 to 63 characters
        `threat@90c4d5e1` is not a run: expected `@` and an id
          did you mean `@90c4d5e1`?
        `main` is not an id: expected 4 to 64 lower-case hex digits
        `xyz` is not an id: expected 4 to 64 lower-case hex digits
        "##);
    }

    #[test]
    fn a_target_is_sorted_by_its_text_alone() {
        assert!(matches!("@90c4".parse().unwrap(), Target::Run(_)));
        assert!(matches!("threat:/a@b".parse().unwrap(), Target::File(_)));
        assert!(matches!("detect@90c4/91ce".parse().unwrap(), Target::Word(_)));
        assert!(matches!("sha256:91ce22aa".parse().unwrap(), Target::Word(_)));
        assert!(parse_target("threat:a").is_err());
    }

    #[test]
    fn jobs_and_datums_have_their_forms() {
        assert!(matches!("detect".parse().unwrap(), JobRef::Newest(_)));
        assert!(matches!("detect@90c4".parse().unwrap(), JobRef::InRun { .. }));
        assert!(matches!("@90c4".parse().unwrap(), JobRef::Run(_)));
        assert!(matches!("91ce22aa".parse().unwrap(), DatumRef::Id(_)));
        assert!(matches!("detect@90c4/91ce".parse().unwrap(), DatumRef::InJob { .. }));
        assert!(matches!("detect:/a/b".parse().unwrap(), DatumRef::Writer(_)));
    }

    prop_compose! {
        fn references()(
            repo in "[a-z][a-z0-9_-]{0,8}[a-z0-9]",
            base in proptest::option::of(prop_oneof!["[a-z][a-z0-9./_-]{0,8}[a-z0-9]", "[a-z]{1,5}@[0-9a-f]{4,64}", "[0-9a-f]{64}", r"[a-z]{1,5}@\{[1-9] days ago\}", r"\{2026-09-0[1-9] 1[0-9]:30\}"]),
            steps in "([~^][0-9]{0,3}){0,3}",
            path in proptest::option::of("(/[a-z@:^~ é]{1,5}){1,4}"),
        ) -> String {
            let revision = base.map_or(String::new(), |base| format!("@{base}{steps}"));
            format!("{repo}{revision}{}", path.map_or(String::new(), |path| format!(":{path}")))
        }
    }
    proptest! {
        #[test]
        fn printing_parses_back(text in references()) {
            let parsed: Reference = text.parse().unwrap();
            prop_assert_eq!(parsed.to_string().parse::<Reference>().unwrap(), parsed);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-f0-9@:/^~é]{0,12}") {
            if let Ok(parsed) = text.parse::<Reference>() {
                prop_assert_eq!(parsed.to_string().parse::<Reference>().unwrap(), parsed);
            }
            if let Ok(parsed) = text.parse::<JobRef>() {
                prop_assert_eq!(parsed.to_string(), text.clone());
            }
            if let Ok(parsed) = text.parse::<DatumRef>() {
                prop_assert_eq!(parsed.to_string().parse::<DatumRef>().unwrap(), parsed);
            }
            if let Ok(parsed) = parse_target(&text) {
                prop_assert_eq!(parse_target(&parsed.to_string()).unwrap(), parsed);
            }
        }
    }
}
