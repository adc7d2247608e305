//! The patterns that schemas state, against the parsers of their types.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

use std::str::FromStr;

use proptest::prelude::*;
use proptest::string::string_regex;
use schemars::JsonSchema;
use specs::{
    BranchName, CommitId, Duration, FilePath, IdPrefix, JobRef, Reference, RepoName, Revision, RunId, RunRef,
    SecretName, Source, pattern,
};

/// The pattern in the schema of a type.
fn of<T: JsonSchema>() -> String {
    schemars::schema_for!(T).as_value()["pattern"].as_str().unwrap().to_owned()
}

/// Texts that a pattern fits.
fn texts(pattern: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap()
}

fn fits(pattern: &str, text: &str) -> bool {
    fancy_regex::Regex::new(pattern).unwrap().is_match(text).unwrap()
}

fn is<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

proptest! {
    #[test]
    fn every_text_that_an_exact_pattern_fits_is_accepted(
        (repo, branch, secret) in (texts(&of::<RepoName>()), texts(&of::<BranchName>()), texts(&of::<SecretName>())),
        (digest, run_id, id) in (texts(&of::<CommitId>()), texts(&of::<RunId>()), texts(&of::<IdPrefix>())),
        (path, relative) in (texts(&of::<FilePath>()), texts(&pattern::relative_path())),
        (job, run) in (texts(&of::<JobRef>()), texts(&of::<RunRef>())),
    ) {
        prop_assert!(is::<RepoName>(&repo) && is::<BranchName>(&branch) && is::<SecretName>(&secret));
        prop_assert!(is::<CommitId>(&digest) && is::<RunId>(&run_id) && is::<IdPrefix>(&id));
        prop_assert!(is::<FilePath>(&path) && is::<FilePath>(&format!("/{relative}")), "{path:?} {relative:?}");
        prop_assert!(is::<JobRef>(&job) && is::<RunRef>(&run), "{job} {run}");
    }

    #[test]
    fn every_text_that_is_accepted_fits_its_pattern(text in "[a-f0-9/.@:{}~^µmsd -]{0,12}") {
        let rules: [(bool, String); 8] = [
            (is::<RepoName>(&text), of::<RepoName>()),
            (is::<BranchName>(&text), of::<BranchName>()),
            (is::<FilePath>(&text), of::<FilePath>()),
            (is::<Revision>(&text), of::<Revision>()),
            (is::<Reference>(&text), of::<Reference>()),
            (is::<Source>(&text), pattern::source()),
            (is::<JobRef>(&text), of::<JobRef>()),
            (is::<Duration>(&text), of::<Duration>()),
        ];
        for (accepted, pattern) in rules {
            prop_assert!(!accepted || fits(&pattern, &text), "{text:?} {pattern}");
        }
    }
}

#[test]
fn what_people_write_fits() {
    for text in ["images@main~2:/a/b c", "images@main@{3 days ago}^", "images@{2026-01-31 14:02}", "a@b/c@90c4d5e1"] {
        assert!(fits(&of::<Reference>(), text) && is::<Reference>(text), "{text}");
    }
    for text in ["1h30m", "1.5h", "3µs", ".5d"] {
        assert!(fits(&of::<Duration>(), text) && is::<Duration>(text), "{text}");
    }
    for text in ["/a/../b", "/a//b", "/.", "a", "/a/", "/a\n"] {
        assert!(!fits(&of::<FilePath>(), text), "{text}");
    }
    assert!(fits(&of::<FilePath>(), "/.a/..b/...") && fits(&of::<FilePath>(), "/"));
}
