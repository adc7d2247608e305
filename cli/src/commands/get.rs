//! `pv get`

use std::path::{Path, PathBuf};

use answers::file::{Download, download, download_elsewhere};
use engine::EngineError;
use repos::files::{GetItem, GetOptions, Got, get_from};
use specs::{Glob, Revision, Source};

use super::matching::literal;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{count, plural, size};
use crate::remote::client::Incoming;

/// Download files to this machine
///
/// A file is written to DEST/NAME, the contents of a directory to DEST/. Existing files with different content are replaced only with
/// --force. SRC may also be the code of a pipeline version (`detect@v3`), or the id of a datum, a result, a code tree or a file's content.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to download
    #[arg(value_name = "REF[:/PATH]|ID")]
    source: Source,
    /// Target folder; created if missing
    #[arg(default_value = ".")]
    dest: PathBuf,
    /// Download only files that the commit added or modified
    #[arg(long)]
    changed: bool,
    /// With `--changed`: compare with this revision instead of the parent
    #[arg(long, value_name = "REV", requires = "changed")]
    since: Option<Revision>,
    /// Download only files whose whole path matches this pipeline glob; a matching directory includes its files
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
    /// Overwrite files with different content; also replace a directory by a file, or a file by a directory
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Writes the files that a server names, on the caller's machine.
    pub(super) fn get(&self, cx: &Context, items: &[GetItem], force: bool, from: &Incoming) -> Result<Got> {
        let progress = cx.progress("get");
        let update = |files, bytes| progress.update(files, bytes, 0);
        get_items(cx, items, (&self.dest, force), from, &update)
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let progress = cx.progress("get");
    let update = |files, bytes| progress.update(files, bytes, 0);
    let (changed, since) = (args.changed, args.since.as_ref());
    let wanted = Download { changed, since, matching: args.matching.as_ref(), force: args.force, progress: &update };
    let hinted = |error| literal(error, args.source.path().filter(|_| args.matching.is_none()));
    let got = match cx.invocation().client.is_far() {
        None => download(cx.store()?, &args.source, (&cx.path(&args.dest)?, &args.dest), wanted).map_err(hinted)?,
        Some(far) => {
            // The client reports its own errors.
            let bring = |items| far.get(items, args.force).map_err(|_| Failed::Gone);
            match download_elsewhere(cx.store()?, &args.source, &args.dest, wanted, bring) {
                Ok(got) => got,
                Err(Failed::Gone) => return Err(CliError::Cancelled),
                Err(Failed::Engine(error)) => return Err(hinted(error)),
            }
        }
    };
    drop(progress);
    if cx.out().is_json() {
        return cx.out().json(&got);
    }
    let files = plural(got.files, "file", "files");
    let there = got.files - got.written;
    let there = if there == 0 { String::new() } else { format!(", {} unchanged", count(there)) };
    if got.removed > 0 {
        let gone = plural(got.removed, "file", "files");
        cx.notes().line(format!("removed {gone} in directories that were replaced by files"));
    }
    cx.notes().line(format!("{files} · {} → {}{there}", size(got.size_bytes), args.dest.display()));
    Ok(())
}

/// Why files for another machine were not got.
enum Failed {
    Engine(EngineError),
    /// The other machine is gone.
    Gone,
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// How many files are fetched from a server at the same time.
const AT_ONCE: usize = 8;

/// Writes files of a server to `dest`; `force` replaces what is in the way.
pub(super) fn get_items(
    cx: &Context,
    items: &[GetItem],
    (dest, force): (&Path, bool),
    from: &Incoming,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Got> {
    let all =
        || -> Result<repos::files::GetItems<'_>, repos::RepoError> { Ok(Box::new(items.iter().cloned().map(Ok))) };
    let options = GetOptions { since: None, matching: None, force, progress };
    Ok(get_from(from, AT_ONCE, &all, &cx.path(dest)?, options)?)
}
