//! Host files named in a command, under the process executor: no image contains them, so their digests are part of the transform. Those on
//! the machines of workers are not known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use repos::documents::Host;
use repos::hash::Hasher;
use specs::Digest;

/// The parts of this host that the process executor shows to every command.
const SHOWN: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc"];
/// Characters that end a path in a command line, besides white space.
const ENDS: &[char] = &['\'', '"', '(', ')', ';', '|', '&', '<', '>', '=', '$', '`', ',', '{', '}'];

/// This machine, described as in an image.
pub(super) fn this_host() -> Host {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Host { os: std::env::consts::OS.to_owned(), architecture: architecture.to_owned() }
}

/// Digests of the files that the words of a command name by an absolute path, below what every command sees or below `more`. Files that a
/// command could not read either are left out, and so is anything that is not a file.
pub(super) fn named_files<'a>(
    words: impl IntoIterator<Item = &'a String>,
    more: &[PathBuf],
) -> BTreeMap<String, Digest> {
    let paths: BTreeSet<&str> = words
        .into_iter()
        .flat_map(|text| text.split(|c: char| c.is_whitespace() || ENDS.contains(&c)))
        .filter(|word| word.starts_with('/') && word.len() > 1)
        .collect();
    let readable = SHOWN.iter().map(Path::new).chain(more.iter().map(PathBuf::as_path));
    let readable: Vec<PathBuf> = readable.filter_map(|path| path.canonicalize().ok()).collect();
    paths.into_iter().filter_map(|path| Some((path.to_owned(), digest_of(Path::new(path), &readable)?))).collect()
}

fn digest_of(path: &Path, readable: &[PathBuf]) -> Option<Digest> {
    let real = path.canonicalize().ok()?;
    if !readable.iter().any(|shown| real.starts_with(shown)) {
        return None;
    }
    let mut file = File::open(&real).ok()?;
    let data = file.metadata().ok()?;
    if !data.is_file() || data.permissions().mode() & 0o004 == 0 {
        return None;
    }
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.update(&buffer[..length]),
        }
    }
}
