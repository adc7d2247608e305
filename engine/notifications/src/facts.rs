//! From a record of the journal to facts: what rules can be about, and which of it matters to some.
//!
//! A function of the record and the store alone, so the same record always gives the same facts. Its cost is that of the change: of two
//! trees, only what differs is read. Through a limited handle, what is not visible gives no facts. Jobs of trials (`pv try`) give none.
//!
//! Of one change of a branch, up to [`EACH`] files or records are facts of their own; more are one fact, which counts them.

use std::ops::ControlFlow;

use repos::documents::JobDocument;
use repos::files::{FileChange, diff};
use repos::journal::{CauseKind, Entry, Move, Record, SealedState};
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store, Timestamp};
use specs::{CommitId, Digest, ErrorKind, Glob, PipelineName, RunId};

use crate::fact::{Fact, Head};
use crate::records::{self, Form, MOST_BYTES, new_records};
use crate::rule::{Field, Rule};

/// This many files or records of a change are told one by one.
pub(crate) const EACH: usize = records::KEPT;
/// Failed jobs that are counted before one that succeeds.
const FAILED_BEFORE: u64 = 1_000;

/// The facts of a record that match a rule, each once.
pub(crate) fn facts(store: &Store, rules: &[Rule], record: &Record) -> Result<Vec<Fact>, RepoError> {
    let mut facts = Vec::new();
    for entry in &record.entries {
        match entry {
            Entry::Run { cause, moves, .. } if cause.kind != CauseKind::Try => {
                for one in moves {
                    add_move(store, rules, one, &mut facts)?;
                }
            }
            Entry::Job { pipeline, run, state, document, moved, .. } => {
                if store.run(run)?.cause.kind == CauseKind::Try {
                    continue;
                }
                add_job(store, rules, (pipeline, run, *state, *document), &mut facts)?;
                if let Some(moved) = moved {
                    add_move(store, rules, moved, &mut facts)?;
                }
            }
            Entry::Run { .. }
            | Entry::Init { .. }
            | Entry::RepoCreate { .. }
            | Entry::RepoDelete { .. }
            | Entry::BranchDelete { .. }
            | Entry::TagCreate { .. }
            | Entry::TagDelete { .. }
            | Entry::Setting { .. }
            | Entry::PipelineApply { .. }
            | Entry::PipelineTry { .. }
            | Entry::PipelineDelete { .. }
            | Entry::PipelineStop { .. }
            | Entry::PipelineStart { .. }
            | Entry::Gc { .. }
            | Entry::CommitPrune { .. }
            | Entry::Key { .. }
            | Entry::KeyTrust { .. }
            | Entry::CommitDelete { .. } => {}
        }
    }
    Ok(facts)
}

type EndedJob<'e> = (&'e PipelineName, &'e RunId, SealedState, Option<Digest>);

fn add_job(
    store: &Store,
    rules: &[Rule],
    (pipeline, run, state, document): EndedJob<'_>,
    facts: &mut Vec<Fact>,
) -> Result<(), RepoError> {
    let wants = |is_it: fn(&Rule, &PipelineName) -> bool| rules.iter().any(|rule| is_it(rule, pipeline));
    match state {
        SealedState::Failure if wants(|rule, name| matches!(rule, Rule::JobFailed(of) if of.fit(name))) => {
            let document = document.map(|digest| store.document::<JobDocument>(&digest)).transpose();
            // Retention may have dropped it.
            let document = if is_lost(&document) { None } else { document? };
            let reason = document.and_then(|document| document.reason);
            facts.push(Fact::JobFailed { pipeline: pipeline.clone(), run: *run, reason });
        }
        SealedState::Success if wants(|rule, name| matches!(rule, Rule::JobRecovered(of) if of.fit(name))) => {
            let (failed, since) = failures_before(store, pipeline, run)?;
            if failed > 0 {
                facts.push(Fact::JobRecovered { pipeline: pipeline.clone(), run: *run, failed, since });
            }
        }
        // A killed job was stopped by somebody who knows; one that is unrunnable follows from another that failed.
        SealedState::Failure | SealedState::Success | SealedState::Killed | SealedState::Unrunnable => {}
    }
    Ok(())
}

/// How many jobs in a row failed before this run, and when the first of them ended.
fn failures_before(store: &Store, pipeline: &PipelineName, run: &RunId) -> Result<(u64, Option<Timestamp>), RepoError> {
    let Some(before) = store.run_order(run)?.and_then(|order| order.checked_sub(1)) else { return Ok((0, None)) };
    let mut jobs = Vec::new();
    store.visit_jobs(pipeline, before, |job| {
        let is_end = job.sealed == Some(SealedState::Success) || jobs.len() as u64 >= FAILED_BEFORE;
        jobs.extend((job.sealed == Some(SealedState::Failure)).then_some(job));
        if is_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let (mut failed, mut since) = (0, None);
    for job in jobs {
        if store.run(&job.run)?.cause.kind != CauseKind::Try {
            failed += 1;
            since = job.sealed_at;
        }
    }
    Ok((failed, since))
}

fn add_move(store: &Store, rules: &[Rule], moved: &Move, facts: &mut Vec<Fact>) -> Result<(), RepoError> {
    let Some(commit) = moved.to else { return Ok(()) };
    let default = store.default_branch()?;
    let rules: Vec<&Rule> =
        rules.iter().filter(|rule| rule.is_of_branch(&moved.repo, &moved.branch, &default)).collect();
    if rules.is_empty() {
        return Ok(());
    }
    let at = Head { repo: moved.repo.clone(), branch: moved.branch.clone(), commit };
    let mut of_move = OfMove::new(store, &rules, at.clone());
    match of_move.look(moved.from) {
        Ok(()) => facts.extend(of_move.finish()),
        // Nobody will ever know; and what comes later must not wait for ever.
        Err(error) if is_for_ever(&error) => facts.push(Fact::Unreadable { at, why: error.to_string() }),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether what is read is damaged or gone, and not only out of reach now.
fn is_for_ever(error: &RepoError) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound | ErrorKind::Conflict)
}

fn is_lost<T>(read: &Result<T, RepoError>) -> bool {
    read.as_ref().is_err_and(is_for_ever)
}

/// What a move of a branch brought.
struct OfMove<'r> {
    store: &'r Store,
    at: Head,
    globs: Vec<&'r Glob>,
    /// The fields of rules about records, with what was found of each.
    fields: Vec<(&'r Field, Many)>,
    files: Many,
    /// Files that are too large to be read.
    too_large: Vec<Fact>,
}

/// Facts of one kind: the first ones, and how many there are.
#[derive(Default)]
struct Many {
    first: Vec<Fact>,
    count: u64,
}

impl Many {
    fn add(&mut self, fact: Fact) {
        self.count += 1;
        if self.first.len() < EACH {
            self.first.push(fact);
        }
    }
}

impl<'r> OfMove<'r> {
    fn new(store: &'r Store, rules: &[&'r Rule], at: Head) -> Self {
        let globs = rules.iter().filter_map(|rule| if let Rule::NewFile(glob, _) = rule { Some(glob) } else { None });
        let mut fields: Vec<(&Field, Many)> = Vec::new();
        for rule in rules {
            if let Rule::Record(_, field) = rule
                && fields.iter().all(|(known, _)| known != &field)
            {
                fields.push((field, Many::default()));
            }
        }
        Self { store, at, globs: globs.collect(), fields, files: Many::default(), too_large: Vec::new() }
    }

    fn look(&mut self, from: Option<CommitId>) -> Result<(), RepoError> {
        let tree = |id: &CommitId| Ok::<_, RepoError>(Tree::at(self.store.commit(id)?.tree));
        let (old, new) = (from.as_ref().map_or(Ok(Tree::empty()), tree)?, tree(&self.at.commit)?);
        for change in diff(self.store, old, new, None)? {
            let FileChange { path, old, new } = change?;
            let Some(new) = new else { continue };
            // A changed executable bit does not count: the content is the same.
            if old.is_some_and(|old| old.digest == new.digest) {
                continue;
            }
            if self.globs.iter().any(|glob| glob.matches(path.as_str())) {
                let (at, path, is_changed) = (self.at.clone(), path.clone(), old.is_some());
                self.files.add(Fact::NewFile { at, path, digest: new.digest, size_bytes: new.size, is_changed });
            }
            if !self.fields.is_empty()
                && let Some(form) = Form::of(path.name())
            {
                self.look_into(form, &FileChange { path, old, new: Some(new) }, &new)?;
            }
        }
        Ok(())
    }

    fn look_into(&mut self, form: Form, change: &FileChange, new: &FileEntry) -> Result<(), RepoError> {
        let old = change.old.as_ref().filter(|old| old.size <= MOST_BYTES);
        if new.size > MOST_BYTES {
            let why =
                format!("{} has more than {} MiB: it was not searched for records", change.path, MOST_BYTES >> 20);
            if self.too_large.is_empty() {
                self.too_large.push(Fact::Unreadable { at: self.at.clone(), why });
            }
            return Ok(());
        }
        let read = |file: &FileEntry| self.store.read_file(file, 0..file.size);
        let (old, bytes) = (old.map(read).transpose()?, read(new)?);
        for (field, many) in &mut self.fields {
            let (first, count) = new_records(form, old.as_deref(), &bytes, field);
            let shown = first.len() as u64;
            for found in first {
                many.add(Fact::Record {
                    at: self.at.clone(),
                    path: change.path.clone(),
                    place: found.place,
                    field: field.name.clone(),
                    value: field.value.clone(),
                    record: found.record,
                });
            }
            many.count += count - shown;
        }
        Ok(())
    }

    fn finish(self) -> Vec<Fact> {
        let path_of = |fact: &Fact| match fact {
            Fact::NewFile { path, .. } | Fact::Record { path, .. } => Some(path.clone()),
            _ => None,
        };
        let paths = |facts: &[Fact]| {
            let mut paths: Vec<_> = facts.iter().filter_map(path_of).collect();
            paths.dedup();
            paths
        };
        let mut facts = self.too_large;
        let Many { first, count } = self.files;
        if count > EACH as u64 {
            facts.push(Fact::NewFiles { at: self.at.clone(), files: count, first: paths(&first) });
        } else {
            facts.extend(first);
        }
        for (Field { name, value }, Many { first, count }) in self.fields {
            if count > EACH as u64 {
                let (at, first) = (self.at.clone(), paths(&first));
                let (field, value) = (name.clone(), value.clone());
                facts.push(Fact::Records { at, field, value, records: count, first });
            } else {
                facts.extend(first);
            }
        }
        facts
    }
}
