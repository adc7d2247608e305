//! `pv init`
//!
//! - `example` something to play with

mod example;

use std::path::PathBuf;

use serde::Serialize;
use specs::BranchName;

use crate::context::Context;
use crate::error::{CliError, Result};

/// Make a store
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The folder to hold it, as `.pv`; made if it is missing
    dir: Option<PathBuf>,
    /// The branch of references that name none; `master` suits existing Pachyderm specs
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    default_branch: BranchName,
    /// Add a tiny repository and two pipelines to play with; they run anywhere
    #[arg(long)]
    example: bool,
    /// Keep packs and journal at this URL
    #[arg(long, value_name = "URL", hide = true)]
    objects: Option<String>,
}

/// The new store as programs read it.
#[derive(Serialize)]
struct StoreView {
    store: PathBuf,
    id: String,
    default_branch: BranchName,
}

pub(crate) fn run(cx: &Context, args: Args) -> Result<()> {
    if args.objects.is_some() {
        return Err(CliError::not_in_this_version("--objects"));
    }
    let dir = match (args.dir, cx.flags().store.clone()) {
        (Some(dir), Some(store)) if dir != store => {
            return Err(CliError::usage("DIR and --store name two folders", "leave one out"));
        }
        (dir, store) => dir.or(store).or_else(|| cx.env().get("PV_STORE").map(PathBuf::from)),
    };
    let dir = cx.outside().cwd.join(dir.unwrap_or_default());
    std::fs::create_dir_all(&dir)
        .map_err(|error| CliError::io(format!("cannot create `{}`", dir.display()), &error))?;
    let dir = dir.canonicalize().unwrap_or(dir);
    let store = cx.open_options()?.init(&dir, args.default_branch)?;
    if args.example {
        example::fill(cx, &store, &dir)?;
    }
    if cx.out().is_json() {
        let (id, default_branch) = (store.id()?, store.default_branch()?);
        return cx.out().json(&StoreView { store: dir, id, default_branch });
    }
    cx.out().line(dir.display().to_string())?;
    cx.notes().line(if args.example {
        "next: pv run      then  pv trace total:/total"
    } else {
        "next: pv repo create NAME      then  pv put NAME FILES"
    });
    Ok(())
}
