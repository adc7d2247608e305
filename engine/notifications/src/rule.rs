//! Rules: what a notification is about, as `--on` takes it. Pure.

use std::fmt;
use std::str::FromStr;

use repos::access::RepoGlobs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, Glob, PipelineName, Reference, RepoName};

/// The forms of rules, each with what it is about.
pub const FORMS: [(&str, &str); 6] = [
    ("job failed [PIPELINE-GLOB]", "a job ended with failed datums, or could not be run"),
    ("job recovered [PIPELINE-GLOB]", "a job succeeded, and the one before it had failed"),
    ("new file GLOB in REF", "a file that matches appeared on the branch, or its content changed"),
    (
        "record REF FIELD=VALUE",
        "a JSON, JSON Lines, CSV or TSV file on the branch has a new or changed record with this value",
    ),
    ("pipeline behind N [PIPELINE-GLOB]", "the last N runs of a pipeline have not succeeded, or not yet"),
    ("disk low", "less than twice the setting `min_free` is free"),
];

/// What a notification is about.
///
/// Shape: one of [`FORMS`], as text; it prints in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// A job ended with failed datums, or could not be run.
    JobFailed(Pipelines),
    /// A job succeeded, and the one before it had failed.
    JobRecovered(Pipelines),
    /// A file that matches appeared, or its content changed.
    NewFile(Glob, BranchRef),
    /// A file has a new or changed record in which a field has a value.
    Record(BranchRef, Field),
    /// A pipeline has not succeeded in its last runs.
    Behind(u64, Pipelines),
    /// Little disk space is left.
    DiskLow,
}

/// Pipelines whose names match; all without a glob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pipelines(Option<RepoGlobs>);

impl Pipelines {
    /// Whether this pipeline is one of them.
    pub fn fit(&self, pipeline: &PipelineName) -> bool {
        self.0.as_ref().is_none_or(|globs| globs.fit(&pipeline.output_repo()))
    }
}

/// A branch: `REPO` for the store's default branch, or `REPO@BRANCH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchRef {
    /// The repository.
    pub repo: RepoName,
    /// The branch; `None` for the store's default branch.
    pub branch: Option<BranchName>,
}

impl BranchRef {
    /// Whether it names this branch.
    pub fn is(&self, repo: &RepoName, branch: &BranchName, default: &BranchName) -> bool {
        self.repo == *repo && self.branch.as_ref().unwrap_or(default) == branch
    }
}

/// A field of records, with dots for a nested one, and the value that it has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The value: `true` also means `True`, `1` also `1.0`.
    pub value: String,
}

/// Why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    text: String,
    why: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not something to notify of: {}", self.text.escape_debug(), self.why)
    }
}
impl std::error::Error for RuleError {}

impl RuleError {
    /// The forms of rules, one a line.
    pub fn hint(&self) -> String {
        let forms: Vec<String> = FORMS.iter().map(|(form, _)| format!("--on '{form}'")).collect();
        format!("use one of\n{}", forms.join("\n"))
    }
}

impl Rule {
    /// Whether it is about files of this branch.
    pub fn is_of_branch(&self, repo: &RepoName, branch: &BranchName, default: &BranchName) -> bool {
        match self {
            Self::NewFile(_, of) | Self::Record(of, _) => of.is(repo, branch, default),
            Self::JobFailed(_) | Self::JobRecovered(_) | Self::Behind(..) | Self::DiskLow => false,
        }
    }

    /// The repository that it names, if it names one.
    pub fn repo(&self) -> Option<&RepoName> {
        match self {
            Self::NewFile(_, of) | Self::Record(of, _) => Some(&of.repo),
            Self::JobFailed(_) | Self::JobRecovered(_) | Self::Behind(..) | Self::DiskLow => None,
        }
    }

    /// Whether it is about the present state, not about a change.
    pub fn is_level(&self) -> bool {
        matches!(self, Self::Behind(..) | Self::DiskLow)
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let refuse = |why: String| RuleError { text: text.to_owned(), why };
        let trimmed = text.trim();
        if let Some(rest) = trimmed.strip_prefix("new file ") {
            return new_file(rest).map_err(refuse);
        }
        if let Some(rest) = trimmed.strip_prefix("record ") {
            return record(rest).map_err(refuse);
        }
        let words: Vec<&str> = trimmed.split_whitespace().collect();
        match words[..] {
            ["job", "failed"] => Ok(Self::JobFailed(Pipelines::default())),
            ["job", "failed", glob] => Ok(Self::JobFailed(pipelines(glob).map_err(refuse)?)),
            ["job", "recovered"] => Ok(Self::JobRecovered(Pipelines::default())),
            ["job", "recovered", glob] => Ok(Self::JobRecovered(pipelines(glob).map_err(refuse)?)),
            ["pipeline", "behind", runs] => Ok(Self::Behind(number(runs).map_err(refuse)?, Pipelines::default())),
            ["pipeline", "behind", runs, glob] => {
                Ok(Self::Behind(number(runs).map_err(refuse)?, pipelines(glob).map_err(refuse)?))
            }
            ["disk", "low"] => Ok(Self::DiskLow),
            ["new", "file"] => Err(refuse("a glob and a branch are missing".to_owned())),
            ["record"] => Err(refuse("a branch and a value are missing".to_owned())),
            ["pipeline", "behind"] => Err(refuse("a number of runs is missing".to_owned())),
            _ => Err(refuse("it has none of the known forms".to_owned())),
        }
    }
}

fn new_file(rest: &str) -> Result<Rule, String> {
    // A glob may have spaces, a reference has none.
    let (glob, of) = rest.rsplit_once(" in ").ok_or("` in REF` is missing: the branch to look at")?;
    let glob = Glob::parse(glob.trim()).map_err(|error| error.to_string())?;
    Ok(Rule::NewFile(glob, branch_ref(of.trim())?))
}

fn record(rest: &str) -> Result<Rule, String> {
    let (of, field) = rest.trim().split_once(' ').ok_or("FIELD=VALUE is missing")?;
    let (name, value) = field.split_once('=').ok_or("FIELD=VALUE has no `=`")?;
    if name.trim().is_empty() {
        return Err("the name of the field is missing before `=`".to_owned());
    }
    let field = Field { name: name.trim().to_owned(), value: value.trim().to_owned() };
    Ok(Rule::Record(branch_ref(of)?, field))
}

fn branch_ref(text: &str) -> Result<BranchRef, String> {
    let reference: Reference = text.parse().map_err(|error: specs::ReferenceError| error.to_string())?;
    if reference.path.is_some() {
        return Err(format!("`{text}` has a path: name only the branch, such as `{}`", reference.repo));
    }
    let not_a_branch = || format!("`{text}` is not a branch: use REPO or REPO@BRANCH");
    let branch = reference.revision.map(|revision| revision.as_branch().ok_or_else(not_a_branch)).transpose()?;
    Ok(BranchRef { repo: reference.repo, branch })
}

fn pipelines(glob: &str) -> Result<Pipelines, String> {
    RepoGlobs::parse(&[glob]).map(|globs| Pipelines(Some(globs))).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is not a number of runs from 1", text.escape_debug());
    text.parse().ok().filter(|runs| *runs > 0).ok_or_else(wrong)
}

impl fmt::Display for Pipelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |globs| write!(f, " {globs}"))
    }
}
impl fmt::Display for BranchRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        self.branch.as_ref().map_or(Ok(()), |branch| write!(f, "@{branch}"))
    }
}
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JobFailed(of) => write!(f, "job failed{of}"),
            Self::JobRecovered(of) => write!(f, "job recovered{of}"),
            Self::NewFile(glob, of) => write!(f, "new file {} in {of}", glob.as_str()),
            Self::Record(of, Field { name, value }) => write!(f, "record {of} {name}={value}"),
            Self::Behind(runs, of) => write!(f, "pipeline behind {runs}{of}"),
            Self::DiskLow => f.write_str("disk low"),
        }
    }
}
impl TryFrom<String> for Rule {
    type Error = RuleError;
    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}
impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}
impl JsonSchema for Rule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rule".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let forms: Vec<String> = FORMS.iter().map(|(form, _)| format!("`{form}`")).collect();
        schemars::json_schema!({
            "type": "string",
            "description": format!("One of {}.", forms.join(", ")),
            "format": "pv-rule",
            "pattern": "^(job (failed|recovered)|new file .+ in .+|record .+=.*|pipeline behind [0-9]+|disk low)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn rules_print_as_they_are_written_and_parse_back() {
        for text in [
            "job failed",
            "job failed cam*",
            "job recovered",
            "new file /flags/** in threat",
            "new file /a b/*.json in threat@night",
            "record detect label=person",
            "record detect@main a.b=1 2",
            "pipeline behind 3",
            "pipeline behind 3 cam*",
            "disk low",
        ] {
            assert_eq!(rule(text).to_string(), text);
            let json = serde_json::to_string(&rule(text)).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule(text));
        }
        assert_eq!(rule("  job   failed  ").to_string(), "job failed");
        assert_eq!(rule("new file /x in y in threat"), rule("new file /x in y in threat"));
        assert!(matches!(rule("new file /x in y in threat"), Rule::NewFile(glob, _) if glob.as_str() == "/x in y"));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_forms() {
        for (text, why) in [
            ("", "none of the known forms"),
            ("job succeeded", "none of the known forms"),
            ("new file", "a glob and a branch are missing"),
            ("new file /flags/**", "` in REF` is missing"),
            ("new file /[ in threat", "["),
            ("new file /* in threat:/x", "has a path"),
            ("new file /* in threat@main~1", "is not a branch"),
            ("new file /* in .x", "is not a legal"),
            ("record detect", "FIELD=VALUE is missing"),
            ("record detect label", "no `=`"),
            ("record detect =x", "name of the field is missing"),
            ("pipeline behind", "a number of runs is missing"),
            ("pipeline behind 0", "is not a number of runs from 1"),
            ("pipeline behind -1", "is not a number of runs from 1"),
            ("job failed a/b", "does not describe names"),
            ("disk full", "none of the known forms"),
        ] {
            let error = text.parse::<Rule>().unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert!(FORMS.iter().all(|(form, _)| error.hint().contains(form)));
        }
    }

    #[test]
    fn a_rule_names_a_branch_or_the_default_one() {
        let (threat, main, night) = ("threat".parse().unwrap(), BranchName::main(), "night".parse().unwrap());
        assert!(rule("new file /* in threat").is_of_branch(&threat, &main, &main));
        assert!(!rule("new file /* in threat").is_of_branch(&threat, &night, &main));
        assert!(rule("record threat@night a=1").is_of_branch(&threat, &night, &main));
        assert!(rule("new file /* in threat").is_of_branch(&threat, &night, &night));
        assert!(!rule("job failed").is_of_branch(&threat, &main, &main));
    }

    #[test]
    fn pipelines_are_those_that_match() {
        let Rule::JobFailed(some) = rule("job failed cam*") else { panic!() };
        assert!(some.fit(&"cam7".parse().unwrap()) && !some.fit(&"detect".parse().unwrap()));
        let Rule::JobFailed(all) = rule("job failed") else { panic!() };
        assert!(all.fit(&"detect".parse().unwrap()));
    }
}
