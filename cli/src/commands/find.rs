//! `pv find`

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use answers::named::{Files, files_of, find_id};
use repos::Store;
use repos::files::{self, Found, Period};
use repos::hash::Hasher;
use repos::history::What;
use repos::tree::PathKind;
use serde::Serialize;
use specs::{CommitId, Digest, ErrorKind, FilePath, Glob, IdPrefix, RepoName};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{Human, Row, ShortIds, plural, size};

/// Find every repository and path that has or had this content or name
///
/// For the id of a commit, a datum, a result or a code tree, each of its files is searched for.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Local file, SHA-256 or its first digits, glob for paths, or an id
    #[arg(value_name = "FILE|DIGEST|GLOB|ID")]
    what: String,
}

/// A match. It may have been absent between its first and last commit: see the periods.
#[derive(Serialize)]
struct FoundView {
    repo: RepoName,
    path: FilePath,
    digest: Digest,
    size_bytes: u64,
    first: CommitId,
    last: CommitId,
    at_head: bool,
    /// Oldest first.
    periods: Vec<PeriodView>,
    /// How many older periods were left out.
    periods_before: u64,
}

/// Consecutive commits that each have the match.
#[derive(Serialize)]
struct PeriodView {
    first: CommitId,
    last: CommitId,
    /// The first commit without the match; `null` while the period reaches the head of a branch or tag.
    ended_by: Option<CommitId>,
    at_head: bool,
    /// As in the last commit.
    digest: Digest,
    size_bytes: u64,
}

/// One period of a match, as a table row.
#[derive(Serialize)]
struct PeriodRow {
    file: String,
    size_bytes: u64,
    first: String,
    last: String,
    at_head: bool,
}

impl Row for PeriodRow {
    const HEADER: &'static [&'static str] = &["FILE", "SIZE", "FIRST", "LAST", "STILL AT HEAD"];
    const GIVES_UP: &'static [&'static str] = &["SIZE"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let still = if self.at_head { "yes" } else { "no" }.to_owned();
        vec![self.file.clone(), size(self.size_bytes), self.first.clone(), self.last.clone(), still]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let what = meant(cx, store, &args.what)?;
    let mut found = Vec::new();
    for what in &what {
        found.extend(files::find(store, what)?);
    }
    if found.is_empty() {
        return Err(nothing(args, &what));
    }
    if cx.out().is_json() {
        return found.into_iter().try_for_each(|found| cx.out().json(&FoundView::from(found)));
    }
    let more: Vec<(String, u64)> = found
        .iter()
        .filter(|found| found.periods_before > 0)
        .map(|found| (format!("{}:{}", found.repo, found.path), found.periods_before))
        .collect();
    cx.list(None, found.iter().flat_map(|found| found.periods.iter().map(move |period| row(store, found, period))))?;
    for (file, more) in more {
        cx.notes().line(format!("{file}: {} earlier", plural(more, "period", "periods")));
    }
    Ok(())
}

fn row(store: &Store, found: &Found, period: &Period) -> Result<PeriodRow> {
    Ok(PeriodRow {
        file: format!("{}:{}", found.repo, found.path),
        size_bytes: period.file.size,
        first: store.short_commit(&period.first)?,
        last: store.short_commit(&period.last)?,
        at_head: period.at_head,
    })
}

impl From<Found> for FoundView {
    fn from(found: Found) -> Self {
        let Found { repo, path, file, first, last, at_head, periods, periods_before } = found;
        let periods = periods.into_iter().map(|period| {
            let Period { first, last, file, ended_by, at_head } = period;
            PeriodView { first, last, ended_by, at_head, digest: file.digest, size_bytes: file.size }
        });
        let periods = periods.collect();
        Self { repo, path, digest: file.digest, size_bytes: file.size, first, last, at_head, periods, periods_before }
    }
}

/// The minimum number of digits of printed ids.
const PRINTED: usize = 8;
/// Most files of an id that are searched for.
const FILES: usize = 1_000;

fn nothing(args: &Args, what: &[What]) -> CliError {
    let (message, hint) = match what {
        [What::Bytes(digest)] => (format!("no commit contains a file with SHA-256 {digest}"), None),
        [What::Path(_)] => {
            (format!("no commit contains a file that matches `{}`", args.what), files::glob_hint(&args.what))
        }
        _ => (format!("no commit contains any file of `{}`", args.what), None),
    };
    let error = CliError::new(ErrorKind::NotFound, message);
    hint.into_iter().fold(error, CliError::hint)
}

/// Resolves the argument: an existing file means its content; then an id of at least the printed length; else a glob, at any depth without
/// `/`.
fn meant(cx: &Context, store: &Store, text: &str) -> Result<Vec<What>> {
    let path = cx.path(Path::new(text));
    if path.is_file() {
        let digest = hash(&path).map_err(|error| CliError::io(format!("cannot read `{text}`"), &error))?;
        return Ok(vec![What::Bytes(digest)]);
    }
    let digits = text.trim_start_matches("sha256:");
    if let Ok(digest) = digits.parse() {
        let files = by_id(cx, store, digits)?;
        return Ok(files.unwrap_or_else(|| vec![What::Bytes(digest)]));
    }
    if let Some(files) = by_id(cx, store, digits)? {
        return Ok(files);
    }
    let glob = if text.contains('/') { text.to_owned() } else { format!("/{{**/,}}{text}") };
    Ok(vec![What::Path(Glob::parse(&glob)?)])
}

/// The files of an id; `None` if it is not an id or has no files: then it may be a name. An ambiguous id is an error.
fn by_id(cx: &Context, store: &Store, digits: &str) -> Result<Option<Vec<What>>> {
    // Shorter ids are never printed, and may well be names.
    let Some(prefix) = digits.parse::<IdPrefix>().ok().filter(|_| digits.len() >= PRINTED) else { return Ok(None) };
    let named = match find_id(store, &prefix) {
        Ok(named) => named,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (tree, path) = match files_of(store, &named, None) {
        Ok(Files::One { file, .. }) => return Ok(Some(vec![What::Bytes(file.digest)])),
        Ok(Files::Commit(at)) => (at.tree(), at.path.clone()),
        Ok(Files::Tree { tree, path, .. }) => (tree, path),
        Err(_) => return Ok(None),
    };
    let mut files = BTreeSet::new();
    for file in files::list_tree(store, tree, digits, &path, true)? {
        let PathKind::File(file) = file?.kind else { continue };
        if files.len() < FILES {
            files.insert(file.digest);
        } else if !files.contains(&file.digest) {
            cx.notes().line(format!(
                "{} {digits} has more than {FILES} different files: only {FILES} of them are searched for",
                named.sort()
            ));
            break;
        }
    }
    Ok(Some(files.into_iter().map(What::Bytes).collect()))
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
