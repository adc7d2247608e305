//! What a word may stand for, but for files by their content or name: runs, jobs, commits, files of commits, versions, ids, names.

use std::collections::BTreeSet;

use answers::datum::find_datum;
use answers::named::{Kind, Named, VersionOf, find_id, find_job, find_version};
use engine::EngineError;
use repos::tree::PathKind;
use repos::{RepoError, Store};
use specs::words::{plural, size as size_words};
use specs::{DatumRef, ErrorKind, IdPrefix, JobRef, PipelineName, Reference, RepoName, RunRef};

use crate::address::{self, Address};
use crate::look::Look;
use crate::views::Result;

/// Candidates of an id that are shown.
const CANDIDATES: usize = 20;

/// Something that a word stands for.
pub(super) struct Meaning {
    pub(super) sort: &'static str,
    pub(super) words: String,
    pub(super) to: Address,
    pub(super) about: String,
}

impl Meaning {
    pub(super) fn new(sort: &'static str, words: impl Into<String>, to: Address, about: impl Into<String>) -> Self {
        Self { sort, words: words.into(), to, about: about.into() }
    }
}

/// What a word stands for, and why it stands for nothing else.
pub(super) struct Meanings {
    pub(super) found: Vec<Meaning>,
    pub(super) problem: Option<EngineError>,
}

impl Meanings {
    pub(super) fn of(look: &Look<'_>, word: &str) -> Result<Self> {
        let mut meanings = Self { found: Vec::new(), problem: None };
        meanings.names(look.store, word)?;
        meanings.runs_and_jobs(look, word)?;
        meanings.reference(look.store, word)?;
        meanings.id(look, word)?;
        let mut seen = BTreeSet::new();
        meanings.found.retain(|meaning| seen.insert(meaning.to.under("")));
        Ok(meanings)
    }

    fn add(&mut self, sort: &'static str, words: impl Into<String>, to: Address, about: impl Into<String>) {
        self.found.push(Meaning::new(sort, words, to, about));
    }

    /// Keeps why a word is not what it could be; other errors are errors.
    fn missed(&mut self, error: EngineError) -> Result<()> {
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Usage | ErrorKind::Conflict) {
            return Err(error);
        }
        self.problem.get_or_insert(error);
        Ok(())
    }

    /// Repositories and pipelines.
    fn names(&mut self, store: &Store, word: &str) -> Result<()> {
        let pipeline = word.parse::<PipelineName>().ok();
        let pipeline =
            pipeline.map(|name| Ok::<_, RepoError>(store.find_pipeline(&name)?.map(|_| name))).transpose()?.flatten();
        if let Some(name) = pipeline {
            self.add("pipeline", name.as_str(), address::pipeline(&name), "what it does, its versions and jobs");
        }
        if let Ok(name) = word.parse::<RepoName>()
            && store.has_repo(&name)?
        {
            self.add("repository", name.as_str(), address::repo(&name), "its branches and files");
        }
        Ok(())
    }

    fn runs_and_jobs(&mut self, look: &Look<'_>, word: &str) -> Result<()> {
        if let Ok(RunRef(prefix)) = word.parse::<RunRef>() {
            match look.store.run_by_prefix(&prefix) {
                Ok(run) => self.add("run", format!("@{run}"), address::run(&run.to_string()), "all its jobs"),
                Err(error) => self.missed(error.into())?,
            }
        }
        if let Ok(job @ JobRef::InRun { .. }) = word.parse::<JobRef>()
            && let Ok(row) = find_job(look.store, &job)
        {
            let job = format!("{}@{}", row.pipeline, row.run);
            self.add("job", job.clone(), address::job(&job), "its datums and log");
        }
        if let Ok(datum @ DatumRef::InJob { .. }) = word.parse::<DatumRef>() {
            self.datum(look, &datum);
        }
        Ok(())
    }

    fn datum(&mut self, look: &Look<'_>, datum: &DatumRef) {
        // What has no job that is visible has no page.
        if let Ok(found) = find_datum(look.store, Some(look.live), datum) {
            let (job, datum) = (format!("{}@{}", found.job.pipeline, found.job.run), found.view.id.to_string());
            self.add("datum", datum.clone(), address::datum(&job, &datum), format!("of {job}"));
        }
    }

    /// Commits, files, versions.
    fn reference(&mut self, store: &Store, word: &str) -> Result<()> {
        let reference = match word.parse::<Reference>() {
            Ok(reference) => reference,
            Err(error) if word.contains(['@', ':']) && !word.starts_with('@') => {
                return self.missed(EngineError::Usage { what: error.to_string(), hint: error.hint() });
            }
            Err(_) => return Ok(()),
        };
        if reference.revision.is_none() && reference.path.is_none() {
            return Ok(());
        }
        match find_version(store, &reference) {
            Ok(Some((of, _))) => {
                self.version(&of);
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => return self.missed(error),
        }
        let at = match store.resolve(&reference) {
            Ok(at) => at,
            Err(error) => return self.missed(error.into()),
        };
        let repo = &at.commit.repo;
        match &reference.path {
            None => self.add(
                "commit",
                at.place(),
                address::commit(repo, &at.id),
                at.commit.message.lines().next().unwrap_or_default(),
            ),
            Some(path) => match repos::files::kind_at(store, at.tree(), &at.place(), path) {
                Ok(PathKind::File(file)) => {
                    self.add(
                        "file",
                        format!("{}:{path}", at.place()),
                        address::files(repo, &at.id, Some(path)),
                        size_words(file.size),
                    );
                }
                Ok(PathKind::Directory { files, .. }) => {
                    let path = (!path.is_root()).then_some(path);
                    self.add("folder", word, address::files(repo, &at.id, path), plural(files, "file", "files"));
                }
                Err(error) => self.missed(error.into())?,
            },
        }
        Ok(())
    }

    fn version(&mut self, of: &VersionOf) {
        let to = address::pipeline(&of.pipeline).with("version", of.version);
        self.add("version", of.to_string(), to, "a version of a pipeline");
    }

    /// Anything by the first digits of its id.
    fn id(&mut self, look: &Look<'_>, word: &str) -> Result<()> {
        let digits = word.strip_prefix("sha256:").unwrap_or(word).to_ascii_lowercase();
        let Ok(prefix) = digits.parse::<IdPrefix>() else { return Ok(()) };
        match find_id(look.store, &prefix) {
            Ok(named) => self.named(look, &named)?,
            Err(EngineError::Store(RepoError::AmbiguousId { candidates, .. })) => {
                for candidate in candidates.iter().take(CANDIDATES) {
                    let digits = candidate.rsplit(' ').next().unwrap_or_default();
                    self.add("several", candidate.as_str(), address::find(digits), "more digits tell them apart");
                }
            }
            Err(error) => self.missed(error)?,
        }
        Ok(())
    }

    fn named(&mut self, look: &Look<'_>, named: &Named) -> Result<()> {
        let store = look.store;
        match named {
            Named::Commit(id) => {
                let commit = store.commit(id)?;
                self.add(
                    "commit",
                    format!("{}@{id}", commit.repo),
                    address::commit(&commit.repo, id),
                    commit.message.lines().next().unwrap_or_default(),
                );
            }
            Named::Run(run) => self.add("run", format!("@{run}"), address::run(&run.to_string()), "all its jobs"),
            Named::Datum(datum) => {
                if let Ok(prefix) = datum.to_string().parse() {
                    self.datum(look, &DatumRef::Id(prefix));
                }
            }
            Named::Code(_, versions) | Named::Image(_, versions) => {
                let sort = named.sort();
                for of in versions.iter().take(CANDIDATES) {
                    let to = address::pipeline(&of.pipeline).with("version", of.version);
                    self.add(sort, of.to_string(), to, format!("its {sort} is {}", named.id()));
                }
            }
            Named::Key(_) => self.add("key", named.id(), address::place("settings"), "signs commits"),
            // The files with this content are listed, with where they are and were.
            Named::Content(_) => {}
            Named::Document(Kind::Log, _) | Named::Map(_) => {
                self.add(named.sort(), named.id(), document(named), "as it is stored");
            }
            Named::Result(_) | Named::Certificate(_) | Named::Document(..) => {
                self.add(named.sort(), named.id(), document(named), "the exact document");
            }
        }
        Ok(())
    }
}

fn document(named: &Named) -> Address {
    address::api(["document"]).with("of", named.id())
}
