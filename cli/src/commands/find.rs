//! `pv find`

use std::fs::File;
use std::io::Read;
use std::path::Path;

use repos::files::{self, Found};
use repos::hash::Hasher;
use repos::history::What;
use serde::Serialize;
use specs::{CommitId, Digest, ErrorKind, FilePath, Glob, RepoName};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{Human, Row, ShortIds, size};

/// Find every repository and path that has or had these bytes, or this name
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A file of this machine, a SHA-256, or a glob for paths
    #[arg(value_name = "FILE|DIGEST|GLOB")]
    what: String,
}

/// A hit.
#[derive(Serialize)]
struct FoundView {
    repo: RepoName,
    path: FilePath,
    digest: Digest,
    size_bytes: u64,
    first: CommitId,
    last: CommitId,
    at_head: bool,
    #[serde(skip)]
    short: (String, String),
}

impl Row for FoundView {
    const HEADER: &'static [&'static str] = &["FILE", "SIZE", "FIRST", "LAST", "STILL AT HEAD"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let (first, last) = self.short.clone();
        let still = if self.at_head { "yes" } else { "no" }.to_owned();
        vec![format!("{}:{}", self.repo, self.path), size(self.size_bytes), first, last, still]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let what = meant(cx, &args.what)?;
    let found = files::find(store, &what)?;
    if found.is_empty() {
        let message = match what {
            What::Bytes(digest) => format!("no commit has a file with the bytes of {digest}"),
            What::Path(_) => format!("no commit has a file that matches `{}`", args.what),
        };
        return Err(CliError::new(ErrorKind::NotFound, message));
    }
    cx.list(
        None,
        found.into_iter().map(|found| {
            let Found { repo, path, file, first, last, at_head, .. } = found;
            let short = (store.short_commit(&first)?, store.short_commit(&last)?);
            Ok(FoundView { repo, path, digest: file.digest, size_bytes: file.size, first, last, at_head, short })
        }),
    )
}

/// A file that is there counts as one; then 64 hex digits; anything else is a glob, at any depth unless it has a `/`.
fn meant(cx: &Context, text: &str) -> Result<What> {
    let path = cx.path(Path::new(text));
    if path.is_file() {
        let digest = hash(&path).map_err(|error| CliError::io(format!("cannot read `{text}`"), &error))?;
        return Ok(What::Bytes(digest));
    }
    if let Ok(digest) = text.trim_start_matches("sha256:").parse() {
        return Ok(What::Bytes(digest));
    }
    let glob = if text.contains('/') { text.to_owned() } else { format!("/{{**/,}}{text}") };
    Ok(What::Path(Glob::parse(&glob)?))
}

fn hash(path: &Path) -> std::io::Result<Digest> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Hasher::default(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
