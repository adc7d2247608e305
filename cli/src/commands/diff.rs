//! `pv diff`: which paths differ.

use repos::Store;
use repos::files::{self, FileChange};
use repos::store::Resolved;
use repos::tree::Tree;
use serde::Serialize;
use specs::{FilePath, Reference};

use super::views::{ChangeKind, DiffView, FileView};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, count, size};

/// Show what differs between two commits, or what one commit changed
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The older side; alone, the commit that is compared with the one before
    #[arg(value_name = "A")]
    first: Reference,
    /// The newer side
    #[arg(value_name = "B")]
    second: Option<Reference>,
    /// Only the paths
    #[arg(long, conflicts_with = "stat")]
    name_only: bool,
    /// Only the counts
    #[arg(long)]
    stat: bool,
    /// Exit with 1 if something differs
    #[arg(long)]
    exit_code: bool,
}

/// How many paths differ, by kind.
#[derive(Debug, Default, Serialize)]
struct Counts {
    added: u64,
    removed: u64,
    modified: u64,
    renamed: u64,
    /// Bytes of the files of the newer side that differ.
    new_bytes: u64,
    /// Bytes of the files of the older side that differ.
    old_bytes: u64,
}

/// Two trees, and what is to be compared of them.
struct Sides {
    older: Tree,
    newer: Tree,
    below: FilePath,
    title: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let sides = sides(store, args)?;
    let changes = files::diff(store, sides.older, sides.newer, Some(&sides.below))?;
    let changes: Vec<FileChange> = changes.collect::<Result<_, _>>()?;
    let views = views(changes);
    let mut counts = Counts::default();
    for view in &views {
        counts.add(view);
    }
    if cx.out().is_json() {
        print_json(cx, args, &views, &counts)?;
    } else if args.name_only {
        views.iter().try_for_each(|view| cx.out().line(view.path.as_str()))?;
    } else {
        print_text(cx, args, &sides.title, &views, &counts)?;
    }
    if args.exit_code && !views.is_empty() { Err(CliError::Exit(1)) } else { Ok(()) }
}

fn sides(store: &Store, args: &Args) -> Result<Sides> {
    let first = store.resolve(&args.first)?;
    let Some(second) = &args.second else {
        let older = files::parent_tree(store, &first.commit)?;
        let title = match first.commit.parents.first() {
            Some(parent) => format!("{}@{} → {}", first.commit.repo, store.short_commit(parent)?, name(store, &first)?),
            None => format!("nothing → {}", name(store, &first)?),
        };
        return Ok(Sides { older, newer: first.tree(), below: first.path, title });
    };
    let second_at = store.resolve(second)?;
    let below = match (&args.first.path, &second.path) {
        (Some(one), Some(other)) if one != other => {
            let message = format!("`{one}` and `{other}` are two paths, and one is compared");
            return Err(CliError::usage(message, format!("pv diff {} {}", args.first, with_path(second, one))));
        }
        (one, other) => one.clone().or_else(|| other.clone()).unwrap_or_else(FilePath::root),
    };
    let title = format!("{} → {}", name(store, &first)?, name(store, &second_at)?);
    Ok(Sides { older: first.tree(), newer: second_at.tree(), below, title })
}

fn with_path(reference: &Reference, path: &FilePath) -> Reference {
    Reference { path: Some(path.clone()), ..reference.clone() }
}

fn name(store: &Store, at: &Resolved) -> Result<String> {
    Ok(format!("{}@{}", at.commit.repo, store.short_commit(&at.id)?))
}

/// All differences by path, with renames in the place of their removal and addition.
fn views(changes: Vec<FileChange>) -> Vec<DiffView> {
    let (renamed, rest) = files::pair_renames(changes);
    let mut views: Vec<DiffView> = rest.into_iter().map(DiffView::from).collect();
    views.extend(renamed.into_iter().map(|renamed| DiffView {
        change: ChangeKind::Renamed,
        old: Some(FileView::new(renamed.from, renamed.file)),
        new: Some(FileView::new(renamed.to.clone(), renamed.file)),
        path: renamed.to,
    }));
    views.sort_by(|one, other| one.path.cmp(&other.path));
    views
}

impl Counts {
    fn add(&mut self, view: &DiffView) {
        *match view.change {
            ChangeKind::Added => &mut self.added,
            ChangeKind::Removed => &mut self.removed,
            ChangeKind::Modified => &mut self.modified,
            ChangeKind::Renamed => &mut self.renamed,
        } += 1;
        self.old_bytes += view.old.as_ref().map_or(0, |file| file.size_bytes);
        self.new_bytes += view.new.as_ref().map_or(0, |file| file.size_bytes);
    }

    fn line(&self) -> String {
        format!(
            "{} added, {} removed, {} modified, {} renamed · {} → {}",
            count(self.added),
            count(self.removed),
            count(self.modified),
            count(self.renamed),
            size(self.old_bytes),
            size(self.new_bytes)
        )
    }
}

fn print_json(cx: &Context, args: &Args, views: &[DiffView], counts: &Counts) -> Result<()> {
    if args.stat {
        return cx.out().json(counts);
    }
    views.iter().try_for_each(|view| cx.out().json(view))
}

fn print_text(cx: &Context, args: &Args, title: &str, views: &[DiffView], counts: &Counts) -> Result<()> {
    cx.out().line(title)?;
    if !args.stat {
        views.iter().try_for_each(|view| cx.out().line(line(cx, view)))?;
    }
    cx.out().line(counts.line())
}

fn line(cx: &Context, view: &DiffView) -> String {
    let bytes = |file: &Option<FileView>| size(file.as_ref().map_or(0, |file| file.size_bytes));
    let (color, line) = match (view.change, &view.old) {
        (ChangeKind::Added, _) => (32, format!("+ {}   {}", view.path, bytes(&view.new))),
        (ChangeKind::Removed, _) => (31, format!("- {}   {}", view.path, bytes(&view.old))),
        (ChangeKind::Renamed, Some(old)) => (36, format!("> {} → {}", old.path, view.path)),
        _ if only_mode(view) => (33, format!("~ {}   executable bit", view.path)),
        _ => (33, format!("~ {}   {} → {}", view.path, bytes(&view.old), bytes(&view.new))),
    };
    cx.out().paint(color, &line)
}

/// Whether bytes are equal and only the executable bit is not.
fn only_mode(view: &DiffView) -> bool {
    matches!((&view.old, &view.new), (Some(old), Some(new)) if old.digest == new.digest)
}
