//! Commands, jobs and code in words.

use std::collections::BTreeMap;

use answers::pipeline::CodeStamp;
use specs::{CommitId, Digest, FilePath, RepoName, RunId};

use crate::context::Store;
use crate::error::Result;
use crate::output::{short_digest, size};

/// `images@77ab01c2:/cam7.jpg   187 kB   sha256 e07c11d9`
pub(super) fn file_line(
    store: &Store,
    (repo, commit, path): (&RepoName, &CommitId, &FilePath),
    size_bytes: u64,
    digest: &Digest,
) -> Result<String> {
    let place = format!("{repo}@{}:{path}", store.short_commit(commit)?);
    Ok(format!("{place}   {}   sha256 {}", size(size_bytes), short_digest(digest)))
}

/// Shortens the whole id of a job to `detect@6e0b2f17`.
pub(super) fn short_job(store: &Store, job: &str) -> Result<String> {
    let parts = job.split_once('@').and_then(|(name, run)| Some((name, run.parse::<RunId>().ok()?)));
    Ok(match parts {
        Some((name, run)) => format!("{name}@{}", store.short_run(&run)?),
        None => job.to_owned(),
    })
}

/// Most characters of a command or a variable in a line.
const LONGEST: usize = 100;

/// The stdin and environment of a command: `stdin 'sort -u'`, `env LEVEL=2 MODE=fast`; empty if it has neither.
pub(super) fn environment(stdin: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
    let mut parts = Vec::new();
    if !stdin.is_empty() {
        parts.push(format!("stdin {}", command_line(stdin)));
    }
    if !env.is_empty() {
        let set: Vec<String> = env.iter().map(|(name, value)| command_line(&[format!("{name}={value}")])).collect();
        parts.push(format!("env {}", set.join(" ")));
    }
    parts
}

/// A command on one line, quoted for a shell; long ones are cut.
pub(super) fn command_line(words: &[String]) -> String {
    let quote = |word: &String| {
        let is_plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_-./=:,@%+".contains(c));
        if is_plain { word.clone() } else { format!("'{}'", word.replace('\n', "\\n").replace('\'', r"'\''")) }
    };
    let line = words.iter().map(quote).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// How code and spec compare with git, a line each: `code in commit 4e1d2f0a`, `code differs from 4e1d2f0a: 2 files: …`.
pub(super) fn code(stamp: Option<&CodeStamp>) -> Vec<String> {
    let Some(stamp) = stamp.map(CodeStamp::checked) else { return Vec::new() };
    let code = stamp.tree.map_or_else(|| "code".to_owned(), |tree| format!("code {}", short_digest(&tree)));
    let checks = [(code.as_str(), &stamp.git_code), ("spec", &stamp.git_spec)];
    checks.into_iter().filter_map(|(what, check)| Some(check.as_ref()?.in_words(what, 8, 3))).collect()
}

#[cfg(test)]
mod tests {
    use answers::pipeline::GitCheck;

    use super::*;

    #[test]
    fn a_command_is_quoted_and_cut() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(command_line(&words(&["sh", "-c", "echo 'a'\ncat", ""])), r"sh -c 'echo '\''a'\''\ncat' ''");
        assert_eq!(command_line(&words(&[&"x".repeat(200)])).chars().count(), 100);
    }

    #[test]
    fn code_is_told_by_what_was_compared() {
        let old = CodeStamp {
            tree: Some(Digest::from_bytes([0xab; 32])),
            git_commit: Some("0123456789abcdef".to_owned()),
            git_clean: Some(true),
            ..CodeStamp::default()
        };
        assert_eq!(
            code(Some(&old)),
            ["code abababab not checked against commit 01234567: it was applied by an older pv"]
        );
        let check = GitCheck::of(old.git_commit.clone(), String::new(), Vec::new());
        let new = CodeStamp { git_clean: None, git_code: Some(check.clone()), git_spec: Some(check), ..old };
        assert_eq!(code(Some(&new)), ["code abababab in commit 01234567", "spec in commit 01234567"]);
        assert_eq!(code(Some(&CodeStamp::default())), Vec::<String>::new());
    }
}
