//! Which repositories an access covers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Glob, RepoName};

/// Globs over the names of repositories. A repository is covered if one of them matches its whole name; without a glob, none is.
///
/// Shape in JSON: a list of texts, such as `["images", "cam*"]`. The text `*` alone covers all repositories, present and future.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct RepoGlobs {
    globs: Vec<Glob>,
    is_all: bool,
}

/// Why a text is not a glob over names of repositories.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not describe names of repositories: {why}", .text.escape_debug())]
pub struct RepoGlobsError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl RepoGlobs {
    /// All repositories.
    pub fn all() -> Self {
        Self { globs: vec![Glob::parse("*").expect("a glob")], is_all: true }
    }

    /// Parses globs. An error for the first that is not a glob, or that no name can match because it has a `/`.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, RepoGlobsError> {
        let globs = texts.iter().map(|text| glob(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let is_all = globs.iter().any(|glob| glob.as_str() == "*");
        Ok(Self { globs, is_all })
    }

    /// Whether they cover all repositories, present and future.
    pub fn is_all(&self) -> bool {
        self.is_all
    }

    /// Whether they cover no repository.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// Whether they cover a repository.
    pub fn fit(&self, repo: &RepoName) -> bool {
        if self.is_all {
            return true;
        }
        // Globs are made for paths.
        let path = format!("/{repo}");
        self.globs.iter().any(|glob| glob.matches(&path))
    }

    /// The globs as they were written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.globs.iter().map(Glob::as_str)
    }
}

fn glob(text: &str) -> Result<Glob, RepoGlobsError> {
    let refuse = |why: String| RepoGlobsError { text: text.to_owned(), why };
    if text.is_empty() {
        return Err(refuse("it is empty".to_owned()));
    }
    if text.contains('/') {
        return Err(refuse("no name of a repository contains `/`".to_owned()));
    }
    Glob::parse(text).map_err(|error| refuse(error.why.to_owned()))
}

impl fmt::Display for RepoGlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.texts().collect::<Vec<_>>().join(" "))
    }
}
impl fmt::Debug for RepoGlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts()).finish()
    }
}
impl TryFrom<Vec<String>> for RepoGlobs {
    type Error = RepoGlobsError;
    fn try_from(texts: Vec<String>) -> Result<Self, RepoGlobsError> {
        Self::parse(&texts)
    }
}
impl From<RepoGlobs> for Vec<String> {
    fn from(globs: RepoGlobs) -> Self {
        globs.texts().map(str::to_owned).collect()
    }
}
impl JsonSchema for RepoGlobs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RepoGlobs".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array",
            "items": { "type": "string", "format": "pv-repo-glob", "minLength": 1, "pattern": "^[^/]+$" },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fit(globs: &[&str], name: &str) -> bool {
        RepoGlobs::parse(globs).unwrap().fit(&name.parse().unwrap())
    }

    #[test]
    fn a_glob_covers_whole_names() {
        assert!(fit(&["images"], "images") && !fit(&["images"], "images2") && !fit(&["image"], "images"));
        assert!(fit(&["cam?"], "cam7") && fit(&["x", "cam*"], "cam-12") && !fit(&["cam?"], "cam12"));
        assert!(fit(&["{a,b}[0-9]"], "b3") && fit(&["*"], "anything") && fit(&["**"], "anything"));
        assert!(!fit(&[], "images"), "none without a glob");
    }

    #[test]
    fn only_the_star_alone_is_everything() {
        assert!(RepoGlobs::all().is_all() && RepoGlobs::parse(&["x", "*"]).unwrap().is_all());
        for some in ["**", "?*", "a*"] {
            assert!(!RepoGlobs::parse(&[some]).unwrap().is_all(), "{some}");
        }
    }

    #[test]
    fn texts_that_fit_no_name_are_refused() {
        for bad in ["", "/", "a/b", "/images", "[a"] {
            RepoGlobs::parse(&[bad]).unwrap_err();
            serde_json::from_value::<RepoGlobs>(serde_json::json!([bad])).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn a_name_covers_itself_alone(one in "[a-z][a-z0-9_-]{0,8}[a-z0-9]", other in "[a-z][a-z0-9_-]{0,8}[a-z0-9]") {
            let globs = RepoGlobs::parse(&[&one]).unwrap();
            prop_assert!(globs.fit(&one.parse().unwrap()));
            prop_assert_eq!(globs.fit(&other.parse().unwrap()), one == other);
            let json = serde_json::to_string(&globs).unwrap();
            prop_assert_eq!(serde_json::from_str::<RepoGlobs>(&json).unwrap(), globs);
        }
    }
}
