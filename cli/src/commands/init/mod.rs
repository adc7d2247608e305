//! `pv init`
//!
//! - `example` example content

mod example;

use std::path::PathBuf;

use repos::RepoError;
use serde::Serialize;
use specs::BranchName;

use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::known::Standing;

/// Create a store
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder to hold the store, as `.pv`; created if missing
    dir: Option<PathBuf>,
    /// Default branch; `master` suits existing Pachyderm specs
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    default_branch: BranchName,
    /// Add an example repository and two pipelines, which run anywhere
    #[arg(long)]
    example: bool,
    /// Do nothing if there is a store already
    #[arg(long, conflicts_with_all = ["example", "from"])]
    if_missing: bool,
    /// Keep packs and journal at this URL, such as `s3://bucket/prefix`; join the store that is there, if any
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    objects: Option<String>,
    /// Create the store from the mirror at this URL or in this folder
    #[arg(long, value_name = "URL", conflicts_with = "example")]
    from: Option<String>,
}

/// The new store, for programs.
#[derive(Serialize)]
struct StoreView {
    store: PathBuf,
    id: String,
    default_branch: BranchName,
    /// Where packs and journal are; null if in the folder itself.
    objects: Option<String>,
}

/// Records the new store as known. An existing store is first compared with what is known of it.
fn see(cx: &Context, args: &Args, store: &Store) {
    let is_new = args.from.is_none() && (args.objects.is_none() || store.position().records <= 1);
    let known = cx.known_stores().filter(|_| is_new || !matches!(cx.look_at(store), Some(Standing::Other(_))));
    if let Some(known) = known
        && let Err(error) = known.see(store, cx.human().now(), is_new)
    {
        tracing::debug!("the store is not noted: {error}");
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let dir = match (args.dir.clone(), cx.flags().store.clone()) {
        (Some(dir), Some(store)) if dir != store => {
            return Err(CliError::usage("DIR and --store name different folders", "leave one out"));
        }
        (dir, store) => dir.or(store).or_else(|| cx.env().get("PV_STORE").map(PathBuf::from)),
    };
    let dir = cx.invocation().cwd.join(dir.unwrap_or_default());
    std::fs::create_dir_all(&dir)
        .map_err(|error| CliError::io(format!("cannot create `{}`", dir.display()), &error))?;
    let dir = dir.canonicalize().unwrap_or(dir);
    let options = cx.open_options();
    let created = match (&args.objects, &args.from) {
        (Some(url), _) => options.init_shared(&dir, &cx.place_url(url)?, args.default_branch.clone()),
        (None, Some(url)) => {
            let progress = cx.progress("fetch");
            options.init_from(&dir, &cx.place_url(url)?, &|what, done, total| progress.count(what, done, total))
        }
        (None, None) => options.init(&dir, args.default_branch.clone()),
    };
    let store = match created {
        Err(RepoError::StoreExists { .. }) if args.if_missing => {
            cx.notes().line(format!("{} has a store already", dir.display()));
            return Ok(());
        }
        created => created?,
    };
    see(cx, args, &store);
    if args.example {
        example::fill(cx, &store, &dir)?;
    }
    if cx.out().is_json() {
        let (id, default_branch, objects) = (store.id()?, store.default_branch()?, store.objects_url()?);
        return cx.out().json(&StoreView { store: dir, id, default_branch, objects });
    }
    cx.out().line(dir.display().to_string())?;
    cx.notes().line(if args.example {
        "next: pv run      then  pv trace total:/total"
    } else if store.position().records > 1 {
        "the store is complete; next: pv status"
    } else {
        "next: pv repo create NAME      then  pv put NAME FILES"
    });
    Ok(())
}
