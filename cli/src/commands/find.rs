//! `pv find`

use std::path::Path;

use answers::find::{FoundView, PeriodView, Sought, digest_of, find, sought};
use specs::Digest;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::invocation::files::{Files, PathKind};
use crate::output::{Columns, plural, size};

/// Find every repository and path that has or had this content or name
///
/// For the id of a commit, a datum, a result or a code tree, each of its files is searched for.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Local file, SHA-256 or its first digits, glob for paths, or an id
    #[arg(value_name = "FILE|DIGEST|GLOB|ID")]
    what: String,
}

impl Args {
    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, files: &Files) {
        content(files, &self.what);
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let what = meant(cx, &args.what)?;
    if let Some((sort, files)) = what.cut {
        let digits = args.what.trim_start_matches("sha256:");
        cx.notes().line(format!(
            "{sort} {digits} has more than {files} different files: only {files} of them are searched for"
        ));
    }
    let found = find(store, &what, &args.what)?;
    if cx.out().is_json() {
        return found.iter().try_for_each(|found| cx.out().json(found));
    }
    let periods = found.iter().flat_map(|found| found.periods.iter().map(move |period| cells(cx, found, period)));
    let header = &["FILE", "SIZE", "FIRST", "LAST", "STILL AT HEAD"];
    cx.columns(&Columns { header, gives_up: &["SIZE"], shortens: &[] }, periods.collect::<Result<_>>()?)?;
    for found in found.iter().filter(|found| found.periods_before > 0) {
        let more = plural(found.periods_before, "period", "periods");
        cx.notes().line(format!("{}:{}: {more} earlier", found.repo, found.path));
    }
    Ok(())
}

/// An existing file means its content.
fn meant(cx: &Context, text: &str) -> Result<Sought> {
    match content(cx.files(), text) {
        Some(digest) => Ok(Sought::content(digest?)),
        None => Ok(sought(cx.store()?, text)?),
    }
}

/// The digest of the file with this name; `None` if there is none.
fn content(files: &Files, text: &str) -> Option<Result<Digest>> {
    let path = Path::new(text);
    if files.kind(path) != PathKind::File {
        return None;
    }
    let digest = files.digest(path, |file| Ok(digest_of(file)?.to_string()));
    let digest = digest.and_then(|digest| digest.parse().map_err(std::io::Error::other));
    Some(digest.map_err(|error| CliError::io(format!("cannot read `{text}`"), &error)))
}

fn cells(cx: &Context, found: &FoundView, period: &PeriodView) -> Result<Vec<String>> {
    let store = cx.store()?;
    Ok(vec![
        format!("{}:{}", found.repo, found.path),
        size(period.size_bytes),
        store.short_commit(&period.first)?,
        store.short_commit(&period.last)?,
        if period.at_head { "yes" } else { "no" }.to_owned(),
    ])
}
