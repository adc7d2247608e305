//! `pv cat`

use answers::file::{FileEntry, file_of, files_matching};
use specs::{Glob, Source};

use super::matching::literal;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Print the contents of files
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files: `REF:/PATH`, the id of a file's content, or code of a pipeline version such as `detect@v3:/run.py`
    #[arg(value_name = "REF:/PATH|ID", required = true)]
    sources: Vec<Source>,
    /// Print all files whose whole path matches this pipeline glob; a matching directory includes its files
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    for source in &args.sources {
        if let Some(glob) = &args.matching {
            files_matching(store, source, glob)?.try_for_each(|file| print(cx, &file?))?;
        } else {
            let file = file_of(store, source).map_err(CliError::from);
            file.and_then(|file| print(cx, &file)).map_err(|error| literal(error, source.path()))?;
        }
    }
    Ok(())
}

fn print(cx: &Context, file: &FileEntry) -> Result<()> {
    let mut reader = cx.store()?.open_file(file)?;
    while let Some(chunk) = reader.next_chunk()? {
        cx.out().bytes(&chunk)?;
    }
    Ok(())
}
