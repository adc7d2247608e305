//! `pv cat`

use repos::files;
use repos::tree::PathKind;
use specs::Reference;

use super::rm::path_of;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Print files
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// One or several files
    #[arg(value_name = "REF:/PATH", required = true)]
    references: Vec<Reference>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    for reference in &args.references {
        path_of(reference)?;
        let at = store.resolve(reference)?;
        let PathKind::File(file) = files::kind_at(store, at.tree(), &at.place(), &at.path)? else {
            let message = format!("`{}` in {} is a directory", at.path, at.place());
            return Err(CliError::usage(message, format!("pv ls {reference}      pv get {reference}")));
        };
        store.refuse_pruned(&at.id, &at.path, &file)?;
        let mut reader = store.open_file(&file)?;
        while let Some(chunk) = reader.next_chunk()? {
            cx.out().bytes(&chunk)?;
        }
    }
    Ok(())
}
