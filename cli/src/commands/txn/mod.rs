//! `pv txn`

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use engine::EngineError;
use engine::graph::BranchOf;
use engine::transaction::{Action, BranchChange, MirrorOf, Outcome, Step, Transaction};
use repos::Store;
use repos::files::{Gathered, PutOptions};
use repos::tree::Tree;
use specs::{CommitId, ErrorKind, Reference};

use super::change::{Message, PutView, Target, after, nothing_committed, summary_line, took};
use super::next;
use super::put::{self, Put};
use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, count};

mod lines;

use lines::{Line, Verb};

/// The lines, for people.
pub(super) const FORMAT: &str = r#"One JSON object per line; its first field is the change:
  {"put": "images:/cam7", "from": ["batch", "x.jpg"]}
        optional: "as": "/PATH", "mirror": true, "exclude": ["*.tmp"],
        "files_from": "LIST", "checksum": true, "skip_unreadable": true
  {"rm": "images:/old.jpg"}
        or a list of paths; optional: "recursive": true
  {"mv": "images:/a", "to": "images:/b"}
  {"cp": "models@v2:/m.bin", "to": "images:/m.bin"}
        from any commit, to a branch
  {"branch_move": "images@release", "to": "images@main"}
  {"branch_create": "images@try", "at": "images@main~1"}
        default for "at": the head of the default branch

Every line may have "message": "TEXT". Every line except branch_create may
have "expect": "REV": the revision that its branch must have before the
transaction. The fields have the names and meanings of the flags of the
commands. Local paths are relative to the current folder.

Lines are applied in order: "images:/x" and "images@main" include the effects
of earlier lines. All changes to the files of a branch become one commit. After
a line that uses this commit ("branch_move" to it, or "cp" from it into another
repository), later lines cannot change its files.

Example: new images and matching rules, visible to all pipelines together
  {"put": "images", "from": "batch", "message": "camera 7 is back"}
  {"put": "rules", "from": "new.json", "as": "/rules.json", "expect": "v3"}
  {"branch_move": "rules@live", "to": "rules@main"}"#;

/// Bytes of all lines: about a million of them.
const MAX_BYTES: u64 = 256 << 20;

/// Apply several changes to files and branches as one run, or none of them
#[derive(clap::Args, Debug)]
#[command(after_long_help = FORMAT, after_help = "pv help txn describes the format")]
pub(crate) struct Args {
    /// Changes, one JSON object per line; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    message: Message,
    /// Then run the jobs that the changes cause, or wait for them
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Show what would change; change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Whether the lines come from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let name = if args.reads_stdin() { "standard input".to_owned() } else { args.file.display().to_string() };
    let outcome = act(cx, args, &name).map_err(nothing_committed)?;
    report(cx, args, &outcome, started).map_err(|error| after(outcome.run, error))?;
    match outcome.run.filter(|_| args.wait) {
        Some(run) => super::run::bring_to_end(cx, &run).map_err(|error| after(Some(run), error)),
        None => Ok(()),
    }
}

fn act(cx: &Context, args: &Args, name: &str) -> Result<Outcome> {
    let store = cx.store()?;
    let text = cx.read_text(&args.file, &format!("`{name}`"), MAX_BYTES, "pv help txn describes the format")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = lines::parse(name, text).map_err(|problems| CliError::in_file(ErrorKind::Usage, name, problems))?;
    let by = author::by(cx, args.message.author.as_deref());
    let steps = Steps { cx, store, dry_run: args.dry_run }.of(name, &lines)?;
    let transaction = Transaction { by: &by, message: &args.message.message, steps: &steps };
    let in_lines = |error| match error {
        EngineError::Lines(problems) => {
            CliError::in_lines(name, problems.into_iter().map(|(line, error)| (line, error.into())).collect())
        }
        error => error.into(),
    };
    let mirrors = |step: &Step| matches!(step.action, Action::Put { mirror: Some(_), .. });
    if args.dry_run || steps.iter().any(mirrors) {
        let preview = transaction.preview(store).map_err(in_lines)?;
        if args.dry_run {
            return Ok(preview);
        }
        confirm(cx, &preview)?;
    }
    match transaction.publish(store) {
        // What it builds on goes in once more.
        Err(EngineError::Store(error)) if Store::is_collected(&error) => {
            let steps = Steps { cx, store, dry_run: false }.of(name, &lines)?;
            Transaction { steps: &steps, ..transaction }.publish(store).map_err(in_lines)
        }
        done => done.map_err(in_lines),
    }
}

/// Asks before mirrors remove most of what is there.
fn confirm(cx: &Context, preview: &Outcome) -> Result<()> {
    for drastic in &preview.drastic {
        let (removed, before) = (count(drastic.removed), count(drastic.total_before));
        let goes = format!("Line {} removes {removed} of {before} files in {}.", drastic.line, drastic.place);
        cx.confirm(&goes, &format!("this would remove more than half of the files in {}", drastic.place))?;
    }
    Ok(())
}

/// Turns lines into steps: first everything is looked at, then content is stored.
struct Steps<'a> {
    cx: &'a Context,
    store: &'a Store,
    dry_run: bool,
}

/// A line whose names and sources were found.
struct Found<'a> {
    line: &'a Line,
    branch: BranchOf,
    expect: Option<CommitId>,
    gathered: Option<(PutOptions, Gathered)>,
}

impl Steps<'_> {
    fn of(&self, name: &str, lines: &[Line]) -> Result<Vec<Step>> {
        let mut problems = Vec::new();
        let mut found = Vec::new();
        let mut made = HashSet::new();
        for line in lines {
            match self.find(line, &made) {
                Ok(line) => found.push(line),
                Err(problem) => problems.push((line.number, problem)),
            }
            if let Verb::BranchCreate { branch, .. } = &line.verb {
                made.insert((branch.repo.clone(), branch.name.clone()));
            }
        }
        if !problems.is_empty() {
            return Err(CliError::in_lines(name, problems));
        }
        found.into_iter().map(|found| self.step(found)).collect()
    }

    fn find<'l>(&self, line: &'l Line, made: &HashSet<BranchOf>) -> Result<Found<'l>> {
        let branch = match &line.verb {
            Verb::BranchMove { branch, .. } | Verb::BranchCreate { branch, .. } => {
                self.store.repo(&branch.repo)?;
                (branch.repo.clone(), branch.name.clone())
            }
            Verb::Put(args) => self.branch_of(&args.target, made)?,
            Verb::Rm { on: to, .. } | Verb::Mv { to, .. } | Verb::Cp { to, .. } => self.branch_of(to, made)?,
        };
        let expect = match &line.expect {
            Some(revision) => {
                let head = Reference { repo: branch.0.clone(), revision: Some(revision.clone()), path: None };
                Some(self.store.resolve(&head)?.id)
            }
            None => None,
        };
        let gathered = match &line.verb {
            Verb::Put(args) => Some(self.put(args, &target(&branch)).gather()?),
            _ => None,
        };
        Ok(Found { line, branch, expect, gathered })
    }

    /// The branch that gets a commit; it may be one that a line before made.
    fn branch_of(&self, reference: &Reference, made: &HashSet<BranchOf>) -> Result<BranchOf> {
        let named = reference.revision.as_ref().and_then(specs::Revision::as_branch);
        let of = named.map(|name| (reference.repo.clone(), name));
        if let Some(of) = of.filter(|of| made.contains(of)) {
            return Ok(of);
        }
        let Target { repo, branch } = Target::of(self.store, reference)?;
        Ok((repo, branch))
    }

    fn put<'s>(&'s self, args: &'s put::Args, target: &'s Target) -> Put<'s> {
        Put { cx: self.cx, store: self.store, target, args }
    }

    fn step(&self, found: Found<'_>) -> Result<Step> {
        let Found { line, branch, expect, gathered } = found;
        let action = match &line.verb {
            Verb::Put(args) => {
                let put_target = target(&branch);
                let put = self.put(args, &put_target);
                let (options, gathered) = gathered.expect("a put was gathered when it was found");
                let content = put.content(&options, gathered, self.dry_run)?;
                let left_out = content.left_out();
                let mirror = args.mirror.then(|| MirrorOf { directory: put.directory(), left_out });
                // All files, whatever the branch holds: steps before may change that.
                Action::Put { edits: put.edits(&content, Tree::empty())?.0, mirror }
            }
            Verb::Rm { paths, recursive, .. } => Action::Rm { paths: paths.clone(), recursive: *recursive },
            Verb::Mv { from, to } => Action::Mv { from: from.clone(), to: super::rm::path_of(to)? },
            Verb::Cp { from, to } => Action::Cp { from: from.clone(), to: super::rm::path_of(to)? },
            Verb::BranchMove { to, .. } => Action::Move { to: to.clone() },
            Verb::BranchCreate { at, .. } => Action::Create { at: at.clone() },
        };
        Ok(Step { line: line.number, message: line.message.clone(), expect, branch, action })
    }
}

fn target((repo, branch): &BranchOf) -> Target {
    Target { repo: repo.clone(), branch: branch.clone() }
}

/// A line for each branch where it is now; what happened to it on stderr.
fn report(cx: &Context, args: &Args, outcome: &Outcome, started: Instant) -> Result<()> {
    let store = cx.store()?;
    for change in &outcome.branches {
        let target = target(&(change.repo.clone(), change.branch.clone()));
        let commit = change.to.filter(|_| !args.dry_run);
        if cx.out().is_json() {
            let mut view = PutView::new(&target, &change.summary, commit, outcome.run.filter(|_| change.is_moved));
            view.changed = change.is_moved;
            cx.out().json(&view)?;
            continue;
        }
        cx.out().line(match commit {
            Some(commit) => format!("{}@{}", change.repo, store.short_commit(&commit)?),
            None => target.place(),
        })?;
        cx.out().flush()?;
        cx.notes().line(format!("{}: {}", target.place(), what_happened(change)));
    }
    if cx.out().is_json() {
        return Ok(());
    }
    match outcome.run {
        _ if args.dry_run => cx.notes().line("dry run: nothing was committed"),
        None => cx.notes().line("nothing differs: no commit was made"),
        Some(run) => {
            cx.notes().line(format!("run {} · {}", store.short_run(&run)?, took(started)));
            if !args.wait {
                next::after(cx, store, &run)?.iter().for_each(|next| cx.notes().line(next));
            }
        }
    }
    Ok(())
}

fn what_happened(change: &BranchChange) -> String {
    match change.is_moved {
        true if change.summary.is_change() => summary_line(&change.summary),
        true if change.from.is_none() => "new".to_owned(),
        true => "moved".to_owned(),
        false => "nothing differs".to_owned(),
    }
}
