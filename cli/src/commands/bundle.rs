//! `pv bundle`

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use answers::proof::{self, BundleView, Contents};
use specs::Reference;

use super::names::shell_word;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::invocation::Far;
use crate::invocation::files::{Files, PathKind};
use crate::output::plural;
use crate::remote::client::Writes;

/// Export a file's provenance and its proof as one archive
///
/// For people without access to this store: `pv verify --bundle` checks the archive anywhere, and its README.txt explains how to check it
/// with sha256sum and openssl.
///
/// For a path, the archive holds the provenance of that file only. It contains the code of the stages; it contains data only with --data.
/// The command prints what the archive discloses.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit, or a file or directory in it
    #[arg(value_name = "REF[:/PATH]")]
    reference: Reference,
    /// File to write, such as `case.zip`
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Include the contents of files, and logs
    #[arg(long)]
    data: bool,
    /// Leave out the code of the stages
    #[arg(long)]
    no_code: bool,
    /// Overwrite FILE if it exists
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, files: &Files) {
        files.kind(&self.out);
    }

    /// What it writes there.
    pub(super) fn writes(&self) -> Writes {
        Writes::File(self.out.clone())
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    if cx.files().kind(&args.out) != PathKind::None && !args.force {
        let error = CliError::new(specs::ErrorKind::Conflict, format!("`{}` already exists", args.out.display()));
        return Err(error.hint("--force overwrites it"));
    }
    let store = cx.store()?;
    let at = store.resolve(&args.reference)?;
    let case = proof::gather(store, &at, Contents { data: args.data, code: !args.no_code })?;
    cx.notes().line("it discloses:");
    for line in case.discloses() {
        cx.notes().line(format!("  {line}"));
    }
    let (entries, size_bytes) = write(cx, &args.out, |file| Ok(case.write(store, file)?))?;
    if cx.out().is_json() {
        let (file, discloses) = (args.out.clone(), case.discloses().to_vec());
        return cx.out().json(&BundleView { discloses, entries, file, size_bytes });
    }
    cx.out().line(args.out.display().to_string())?;
    let size = crate::output::size(size_bytes);
    cx.notes().line(format!(
        "{}, {size}\nnext: pv key show > KEY.pem      then  pv verify --bundle {} --key KEY.pem",
        plural(entries as u64, "entry", "entries"),
        shell_word(&args.out.display().to_string())
    ));
    Ok(())
}

/// Writes to a temporary file and renames it, so no reader sees a partial file. Returns the result of `contents` and the length in bytes.
pub(super) fn write<T>(
    cx: &Context,
    given: &Path,
    contents: impl FnOnce(&mut BufWriter<File>) -> Result<T>,
) -> Result<(T, u64)> {
    if let Some(far) = cx.invocation().client.is_far() {
        return write_far(cx.store()?, far, given, contents);
    }
    let out = &cx.path(given)?;
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", repos::random_hex()));
    let part = out.with_file_name(name);
    let failed = |error: std::io::Error| CliError::io(format!("cannot write `{}`", out.display()), &error);
    let written = (|| {
        let mut file = BufWriter::new(File::create_new(&part).map_err(failed)?);
        let given = contents(&mut file)?;
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed)?;
        let length = file.get_ref().metadata().map_err(failed)?.len();
        std::fs::rename(&part, out).map_err(failed)?;
        Ok((given, length))
    })();
    if written.is_err() {
        // The file may not exist.
        std::fs::remove_file(&part).ok();
    }
    written
}

/// Like [`write()`], for a client on another machine: the contents are made in a file that has no name, and sent.
fn write_far<T>(
    store: &Store,
    far: &Far,
    given: &Path,
    contents: impl FnOnce(&mut BufWriter<File>) -> Result<T>,
) -> Result<(T, u64)> {
    let failed = |error: std::io::Error| CliError::io(format!("cannot write `{}`", given.display()), &error);
    let mut file = BufWriter::new(unnamed(store).map_err(failed)?);
    let given_back = contents(&mut file)?;
    let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    let length = file.metadata().map_err(failed)?.len();
    file.rewind().map_err(failed)?;
    far.write(given, file).map_err(failed)?;
    Ok((given_back, length))
}

/// A file in the store's folder that is gone when it is closed.
pub(super) fn unnamed(store: &Store) -> std::io::Result<File> {
    let path = store.folder().join(format!("{}.part", repos::random_hex()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
