//! `pv get`

use std::path::PathBuf;

use answers::file::{Download, download};
use specs::{Glob, Revision, Source};

use super::matching::literal;
use crate::context::Context;
use crate::error::Result;
use crate::output::{count, plural, size};

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

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let dest = cx.path(&args.dest);
    let progress = cx.progress("get");
    let update = |files, bytes| progress.update(files, bytes, 0);
    let (changed, since) = (args.changed, args.since.as_ref());
    let wanted = Download { changed, since, matching: args.matching.as_ref(), force: args.force, progress: &update };
    let got = download(cx.store()?, &args.source, (&dest, &args.dest), wanted)
        .map_err(|error| literal(error, args.source.path().filter(|_| args.matching.is_none())))?;
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
