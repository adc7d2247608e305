//! What an image is, seen from inside a container with it, and left as that container's last words.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::account;

/// Where a container's last words are read.
const LAST_WORDS: &str = "/dev/termination-log";
/// Maximum size of last words in bytes.
const LAST_WORDS_MAX: usize = 4096;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Variables of the image, by name.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) working_dir: String,
    /// As images name it: `amd64`, `arm64`.
    pub(crate) architecture: String,
    /// Whether there is anything at each path that was asked for.
    pub(crate) has_content: Vec<bool>,
}

/// `pv worker look PATH…`: looks, and writes what it found as the container's last words.
pub(super) fn look_around(paths: &[&str]) -> std::io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let home = account::home(uid);
    let found = Found {
        env: of_image(std::env::vars(), home.as_deref()),
        uid,
        gid,
        working_dir: std::env::current_dir()?.display().to_string(),
        architecture: architecture(std::env::consts::ARCH).to_owned(),
        has_content: paths.iter().map(|path| has_content(Path::new(path))).collect(),
    };
    let words = serde_json::to_vec(&found)?;
    if words.len() > LAST_WORDS_MAX {
        return Err(std::io::Error::other("the image has too many variables"));
    }
    std::fs::write(LAST_WORDS, words)
}

/// Without the variables that the cluster sets in every container.
fn of_image(all: impl Iterator<Item = (String, String)>, home: Option<&str>) -> Vec<(String, String)> {
    let is_of_cluster = |name: &str, value: &str| {
        name == "HOSTNAME" || name.starts_with("KUBERNETES_") || (name == "HOME" && value == home.unwrap_or("/"))
    };
    let mut env: Vec<_> = all.filter(|(name, value)| !is_of_cluster(name, value)).collect();
    env.sort();
    env
}

fn architecture(of_rust: &str) -> &str {
    match of_rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether a directory mounted there would hide anything.
fn has_content(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Err(_) => false,
        Ok(about) if about.is_dir() => std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_some()),
        Ok(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_cluster_are_not_those_of_the_image() {
        let all = [("PATH", "/bin"), ("HOSTNAME", "p"), ("KUBERNETES_PORT", "x"), ("HOME", "/root"), ("A", "1")];
        let all = || all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let names = |home| of_image(all(), home).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Some("/root")), ["A", "PATH"]);
        assert_eq!(names(Some("/home/x")), ["A", "HOME", "PATH"], "the image has set it");
    }

    #[test]
    fn an_empty_directory_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_content(folder.path()));
        assert!(!has_content(&folder.path().join("missing")));
        std::fs::write(folder.path().join("a"), "").unwrap();
        assert!(has_content(folder.path()));
        assert!(has_content(&folder.path().join("a")));
    }
}
