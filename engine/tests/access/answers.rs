//! Nothing that `answers` returns through a limited handle, and no error, has a hidden name, id, digest or message.

use std::collections::BTreeSet;
use std::fmt::Debug;

use repos::gc::Selection;
use repos::object::Kind;
use repos::store::Resolved;
use repos::{JobRow, RepoError, Store};
use specs::reference::{DatumRef, IdPrefix, JobRef, Reference, RunRef};
use specs::{CommitId, FilePath, Glob, PipelineName, RepoName, Source, Target};

use super::World;
use super::list::assert_all_asked;
use answers::datum::{DatumFilter, DatumView};
use answers::explain::Subject;
use answers::metrics::{Question, Scope};
use answers::named::Named;
use answers::preview::Preview;
use answers::trace::{ForwardOptions, Reach};

/// The datums of a job.
pub(super) fn datums_of(store: &Store, job: &JobRow) -> Vec<DatumView> {
    answers::datum::datums(store, None, job, DatumFilter::default()).unwrap().map(Result::unwrap).collect()
}

/// What was asked, and every text that came back.
struct Asked<'w> {
    world: &'w World,
    names: BTreeSet<String>,
    texts: Vec<(String, String)>,
}

trait IsError: std::fmt::Display {
    fn hint(&self) -> Option<String>;
}
impl IsError for RepoError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}
impl IsError for engine::EngineError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

/// A text without what was asked for.
fn without(mut text: String, words: &[&str]) -> String {
    let mut parts: Vec<&str> =
        words.iter().flat_map(|word| word.split(['@', ':', '^', '/'])).chain(words.iter().copied()).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    for part in parts.into_iter().filter(|part| part.len() > 3) {
        text = text.replace(part, "…").replace(&part[..part.len().min(12)], "…");
    }
    text
}

impl Asked<'_> {
    /// Records an answer or an error. `words` are those that the question had: an answer may repeat them.
    fn note<T: Debug, E: IsError>(&mut self, name: &str, words: &[&str], answer: Result<T, E>) -> Option<T> {
        self.names.insert(name.to_owned());
        let (what, text, answer) = match answer {
            Ok(answer) => (format!("{name} {words:?}"), format!("{answer:?}"), Some(answer)),
            Err(error) => (format!("{name} {words:?} fails"), format!("{error} {:?}", error.hint()), None),
        };
        self.texts.push((what, without(text, words)));
        answer
    }

    /// Like [`Self::note`], for a list.
    fn list<T: Debug, E: IsError>(
        &mut self,
        name: &str,
        words: &[&str],
        answer: Result<impl Iterator<Item = Result<T, E>>, E>,
    ) -> Vec<T> {
        let Some(items) = answer.map_or_else(|error| self.note::<(), E>(name, words, Err(error)).and(None), Some)
        else {
            return Vec::new();
        };
        items.filter_map(|item| self.note(name, words, item)).collect()
    }
}

pub(super) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Every word that somebody could ask about: names, references and ids, visible and hidden.
fn words(world: &World) -> Vec<String> {
    let s = &world.s;
    let mut words: Vec<String> = [
        "mine-in",
        "mine-in@main",
        "mine-in@main^",
        "mine-in:/a.json",
        "mine-in:/copy.json",
        "mine-in:/",
        "mine-mixed",
        "mine-mixed:/a.json",
        "mine-mixed@main^:/a.json",
        "mine-end",
        "mine-end:/end",
        "mine-end@good",
        "mine-fails",
        "mine-after",
        "mine-mixed@v1",
        "mine-nothing",
        "hush-in",
        "hush-in@main",
        "hush-in@hush-tag",
        "hush-in@hush-branch",
        "hush-in:/hush-path-1",
        "hush-out",
        "hush-out@v1",
        "hush-end",
        "hush-fails",
        "hush-ot",
    ]
    .map(str::to_owned)
    .to_vec();
    for repo in ["mine-in", "mine-mixed", "mine-end", "hush-in", "hush-out", "hush-end"] {
        let repo: RepoName = repo.parse().unwrap();
        for id in world.commits_of(&repo) {
            let run = s.store.commit(&id).unwrap().run;
            words.extend([
                id.to_string(),
                format!("{repo}@{}", id.short(12)),
                run.to_string(),
                format!("mine-end@{}", run.short(12)),
            ]);
            words.push(format!("mine-mixed@{}", id.short(16)));
        }
    }
    for pipeline in ["mine-mixed", "mine-end", "mine-fails", "mine-after", "hush-out", "hush-end", "hush-fails"] {
        for job in s.jobs(pipeline) {
            words.push(format!("{pipeline}@{}", job.run.short(12)));
            words.extend(job.document.map(|document| document.to_string()));
            for datum in datums_of(&s.store, &job) {
                words.extend([datum.id.to_string(), format!("{pipeline}/{}", datum.id.short(12))]);
                words.extend(datum.result.map(|digest| digest.to_string()));
                words.extend(datum.log.map(|digest| digest.to_string()));
                words.extend(datum.inputs.iter().map(|input| input.digest.to_string()));
            }
        }
        for row in s.store.pipeline_versions(&pipeline.parse().unwrap()).unwrap() {
            let version: repos::documents::VersionDocument = s.store.document(&row.document).unwrap();
            words.extend([row.document, version.spec, version.transform].map(|digest| digest.to_string()));
        }
    }
    for repo in ["mine-mixed", "hush-out"] {
        let head = s.head(repo, "main").unwrap();
        words.extend(s.store.certificates(&head).unwrap().into_iter().map(|(digest, _)| digest.to_string()));
    }
    words.extend(s.store.signing_keys().unwrap().into_iter().map(|(key, _)| key.to_string()));
    let contents = ["quiet content 1", "quiet content 2", "quiet content hush-out 0", "{\"loss\": 1}"];
    words.extend(contents.map(|content| repos::hash::digest_of(content.as_bytes()).to_string()));
    words.sort();
    words.dedup();
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_has_anything_hidden() {
    let world = World::new().await;
    let marks = world.marks();
    let mut asked = Asked { world: &world, names: BTreeSet::new(), texts: Vec::new() };
    asked.about_the_whole();
    for word in words(&world) {
        asked.about_word(&word);
    }
    for repo in ["mine-in", "mine-mixed", "mine-end", "hush-in", "hush-out"] {
        asked.about_repo(&repo.parse().unwrap());
    }
    for pipeline in ["mine-mixed", "mine-end", "mine-fails", "mine-after", "hush-out", "hush-fails"] {
        asked.about_pipeline(&pipeline.parse().unwrap());
    }
    asked.about_pairs();
    let copied = repos::hash::digest_of(b"quiet content 2").to_string();
    let mut leaks = Vec::new();
    for (what, text) in &asked.texts {
        for mark in marks.iter().filter(|mark| !copied.starts_with(mark.as_str())) {
            leaks.extend(text.find(mark.as_str()).map(|at| format!("{what} has `{mark}`: {}", around(text, at))));
        }
    }
    assert!(leaks.is_empty(), "{} leaks, such as:\n{}", leaks.len(), leaks[..leaks.len().min(20)].join("\n"));
    assert_all_asked(&asked.names);
}

/// A part of a text.
fn around(text: &str, at: usize) -> String {
    text.chars().skip(at.saturating_sub(150)).take(300).collect()
}

impl Asked<'_> {
    fn about_the_whole(&mut self) {
        let store = &self.world.seen;
        let all: Vec<Preview> =
            self.note("preview::pending", &[], answers::preview::pending(store, &BTreeSet::new(), true, 2)).unwrap();
        assert!(all.iter().any(|preview| preview.pipeline.as_str() == "mine-mixed"), "{all:?}");
        let wanted =
            answers::status::Wanted { repos: answers::status::WantedRepos::All, folder: std::path::Path::new("/") };
        self.note("status::status", &[], answers::status::status(store, None, wanted));
        self.list("repo::repos", &[], answers::repo::repos(store, |_| true));
        let all = answers::pipeline::pipelines(store, None);
        let lines = all.as_ref().ok().cloned().map(|all| answers::pipeline::pipeline_lines(store, None, all));
        self.note("pipeline::pipelines", &[], all);
        self.list("pipeline::pipeline_lines", &[], Ok(lines.into_iter().flatten()));
        self.list("run::runs", &[], answers::run::runs(store, None, None, 1000));
        let since = repos::Timestamp::from_micros(0);
        self.note("run::run_marks", &[], answers::run::run_marks(store, None, since, 1000, |_| None));
        self.note("graph::graph", &[], answers::graph::graph(store, None, None));
        for run in store.runs_by_prefix("", 1000).unwrap_or_default() {
            let word = format!("@{run}");
            if let Some(moment) = self.note("moment::find", &[&word], answers::moment::Moment::find(store, &word)) {
                self.note("graph::graph", &[], answers::graph::graph(store, None, Some(&moment)));
            }
        }
        self.note("moment::find", &[], answers::moment::Moment::find(store, "now"));
        self.list("repo::repos_where", &[], answers::repo::repos_where(store, |_, _| true));
        self.list("pipeline::pipelines_after", &[], answers::pipeline::pipelines_after(store, None, None, ""));
        for repo in ["mine-in", "mine-mixed"] {
            let filter = answers::run::RunFilter { repo: Some(repo.parse().unwrap()), pipeline: None };
            self.list("run::runs_where", &[repo], answers::run::runs_where(store, None, None, filter));
        }
        self.list("run::runs_before", &[], answers::run::runs_before(store, None, None));
        self.list("job::jobs_after", &[], answers::job::jobs_after(store, None, None));
        self.note("tag::newest_tags", &[], answers::tag::newest_tags(store, None));
        self.note("image::images", &[], answers::image::images(store));
        self.note(
            "image::images_named",
            &["hush-out"],
            answers::image::images_named(store, &["hush-out".to_owned()], true),
        );
        let to_use = answers::image::saved_images_to_use(store).map(|_| ());
        assert_eq!(to_use.as_ref().unwrap_err().kind(), specs::ErrorKind::Refused);
        self.note("image::saved_images_to_use", &[], to_use);
        self.note("key::keys", &[], answers::key::keys(store));
        self.note("key::own_key", &[], answers::key::own_key(store));
        self.note("key::key_by_prefix", &["00000000"], answers::key::key_by_prefix(store, "00000000"));
        self.list("setting::settings", &[], Ok::<_, engine::EngineError>(answers::setting::settings(store)));
        for setting in answers::setting::ALL {
            self.note("setting::setting_view", &[], answers::setting::setting_view(store, setting));
        }
        self.note("setting::secrets", &[], answers::setting::secrets(store));
        self.note("setting::users_of_secret", &[], answers::setting::users_of_secret(store, &"mail".parse().unwrap()));
        self.note("storage::storage", &[], answers::storage::storage(store));
        self.note("token::tokens", &[], answers::token::tokens(store, true));
        self.note("watch::watches", &[], answers::watch::watches(store));
        self.note(
            "token::reads",
            &[],
            answers::token::reads(store, answers::token::AuditFilter::default()).map(Iterator::count),
        );
        self.note(
            "token::audit",
            &[],
            answers::token::audit(store, answers::token::AuditFilter::default()).map(Iterator::count),
        );
        let jobs = self.note("job::jobs", &[], answers::job::jobs(store, None, None, 1000)).unwrap();
        assert!(jobs.iter().any(|job| job.pipeline.as_str() == "mine-fails"));
        self.note(
            "proof::verify",
            &[],
            answers::proof::verify(store, None, &[]).map(|report| (report.bad, report.links)),
        );
        let shown =
            self.note("proof::checkpoint", &[], answers::proof::checkpoint(store, answers::proof::Shows::State));
        let inclusion = reference("mine-in");
        let wanted = answers::proof::Shows::Inclusion(&inclusion);
        self.note("proof::checkpoint", &[], answers::proof::checkpoint(store, wanted));
        let checkpoint = shown.unwrap().text.parse::<answers::proof::Checkpoint>().unwrap();
        let mut report = answers::proof::Report::default();
        let since = answers::proof::verify_checkpoint(store, &checkpoint, &[], &mut report);
        self.note("proof::verify_checkpoint", &[], since);
        let runs = store.runs_count().unwrap();
        for order in 1..=runs {
            if let Some(run) = store.run_at(order).unwrap() {
                self.note("run::run_view", &[], answers::run::run_view(store, run.clone(), None));
                self.note("run::of", &[], answers::run::CauseView::of(store, &run));
            }
        }
    }

    fn about_word(&mut self, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        if let Ok(prefix) = word.get(..word.len().min(64)).unwrap_or(word).parse::<IdPrefix>() {
            if let Some(named) = self.note("named::find_id", &words, answers::named::find_id(store, &prefix)) {
                self.about_named(&named, word);
            }
            let run = RunRef(prefix.clone());
            self.note("run::find_run", &words, answers::run::find_run(store, &run, None));
            self.note("diff::two_runs", &words, answers::diff::two_runs(store, &run, &run));
        }
        if let Ok(found) = answers::find::sought(store, word) {
            self.note("find::find", &words, answers::find::find(store, &found, word));
        }
        self.note("find::sought", &words, answers::find::sought(store, word));
        if let Ok(target) = word.parse::<Target>() {
            self.note("logs::subject", &words, answers::logs::subject(store, None, &target));
            self.note("job::awaited", &words, answers::job::awaited(store, &target))
                .and_then(|awaited| self.note("job::awaited_jobs", &words, answers::job::awaited_jobs(store, &awaited)))
                .map(|jobs| self.note("job::ended_view", &words, answers::job::ended_view(store, &jobs, None)));
            match self.note("explain::subject", &words, answers::explain::subject(store, &target)) {
                Some(Subject::Jobs(jobs)) => {
                    for job in &jobs {
                        self.note("explain::explain_job", &words, answers::explain::explain_job(store, job, None));
                    }
                    let one = answers::explain::one_job(store, Subject::Jobs(jobs), word);
                    self.note("explain::one_job", &words, one);
                }
                Some(Subject::Datum(datum)) => self.about_datum(&datum, word),
                Some(Subject::Pipeline(_)) | None => {}
            }
        }
        if let Ok(job) = word.parse::<JobRef>() {
            self.note("named::find_jobs", &words, answers::named::find_jobs(store, &job));
            self.note("named::is_pipelines", &words, answers::named::is_pipelines(store, &job));
            if let Some(job) = self.note("named::find_job", &words, answers::named::find_job(store, &job)) {
                self.about_job(&job, word);
            }
        }
        if let Ok(datum) = word.parse::<DatumRef>() {
            self.about_datum(&datum, word);
        }
        if let Ok(source) = word.parse::<Source>() {
            self.about_source(&source, word);
        }
    }

    fn about_source(&mut self, source: &Source, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        for raw in [false, true] {
            let subject = answers::object::subject(store, None, source, raw);
            if let Some(subject) = self.note("object::subject", &words, subject) {
                let document = answers::object::document_of(store, &subject);
                self.note(
                    "object::document_of",
                    &words,
                    document.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                );
            }
        }
        self.note("named::find_files", &words, answers::named::find_files(store, source));
        self.note("file::file_of", &words, answers::file::file_of(store, source));
        self.note("file::without_commits", &words, answers::file::without_commits(store, source));
        let all = Glob::parse("**").unwrap();
        let listing = answers::file::Listing { recursive: true, changed: false, matching: None };
        self.list("file::listing", &words, answers::file::listing(store, source, listing));
        self.list("file::listing_after", &words, answers::file::listing_after(store, source, listing, None));
        self.list("file::files_matching", &words, answers::file::files_matching(store, source, &all));
        let folder = tempfile::tempdir().unwrap();
        let wanted =
            answers::file::Download { changed: false, since: None, matching: None, force: true, progress: &|_, _| {} };
        let dest = folder.path().join("to");
        std::fs::create_dir(&dest).unwrap();
        let shown = std::path::Path::new("to");
        let got = answers::file::download(store, source, (&dest, shown), wanted);
        self.note("file::download", &words, got.map(|got| (got.repo, got.commit, got.files, got.size_bytes)));
        let sides = answers::diff::Sides::find(store, source, None);
        self.note("diff::find", &words, sides);
        if let Source::Reference(reference) = source {
            self.about_reference(reference, word);
        }
    }

    fn about_reference(&mut self, reference: &Reference, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        self.note("file::file_at", &words, answers::file::file_at(store, reference));
        let at = store.resolve(reference).map_err(engine::EngineError::from);
        self.note("file::file_in", &words, at.and_then(|at| answers::file::file_in(store, &at)));
        self.note("named::find_version", &words, answers::named::find_version(store, reference));
        match answers::commit::log(store, reference, None, None) {
            Ok(answers::commit::Log::Commits(commits)) => drop(self.list("commit::log", &words, Ok(commits))),
            Ok(answers::commit::Log::Changes(changes)) => drop(self.list("commit::log", &words, Ok(changes))),
            Err(error) => drop(self.note::<(), _>("commit::log", &words, Err(error))),
        }
        if let Some(at) = self.note("named::commit_at", &words, store.resolve(reference)) {
            self.about_commit(&at, word);
        }
    }

    fn about_commit(&mut self, at: &Resolved, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        let commit = at.commit.clone();
        self.note("named::commit_at", &words, answers::named::commit_at(store, at.id));
        self.note("commit::commit_view", &words, answers::commit::commit_view(store, at.id, commit.clone()));
        let view = answers::commit::commit_view(store, at.id, commit.clone())
            .map(|view| serde_json::to_string(&view).unwrap());
        self.note("commit::commit_view", &words, view);
        self.note("commit::commit_details", &words, answers::commit::commit_details(store, at.id, commit.clone()));
        self.note("commit::commit_changes", &words, answers::commit::commit_changes(store, &commit));
        self.note("commit::first_changes", &words, answers::commit::first_changes(store, &commit, 9));
        self.about_shown_file(at, word);
        self.note("commit::place_of", &words, answers::commit::place_of(store, &at.id));
        self.note("commit::signatures", &words, answers::commit::signatures(store, &at.id));
        self.note("commit::certificates", &words, answers::commit::certificates(store, &at.id));
        for root in [Some(commit.tree), commit.datums, commit.lineage].into_iter().flatten() {
            self.note("object::map_view", &words, answers::object::map_view(store, &root));
        }
        self.note("object::code_view", &words, answers::object::code_view(store, &commit.tree, &[]));
        self.note("file::older", &words, answers::file::older(store, at, None));
        let report = answers::proof::verify(store, Some(at), &[]);
        self.note("proof::verify", &words, report.map(|report| (report.verdict(), report.bad, report.links)));
        let contents = answers::proof::Contents { data: true, code: true };
        let case = answers::proof::gather(store, at, contents);
        self.note("proof::gather", &words, case.map(|case| format!("{case:?}")));
        self.note("trace::forward", &words, answers::trace::forward(store, at, ForwardOptions::default()));
        let all_runs = ForwardOptions { all_runs: true, ..ForwardOptions::default() };
        self.note("trace::forward", &words, answers::trace::forward(store, at, all_runs));
        if let Some(trace) = self.note("trace::trace", &words, answers::trace::trace(store, at, Reach::everything())) {
            self.texts.push((format!("trace formats {word}"), serde_json::to_string(&trace).unwrap()));
            self.texts.push((format!("trace formats {word}"), answers::trace::formats::dot(&trace)));
            self.texts.push((format!("trace formats {word}"), answers::trace::formats::mermaid(&trace)));
            let exhibits = self.note("trace::exhibits", &words, answers::trace::exhibits(store, &trace)).unwrap();
            let page = answers::trace::formats::page(&trace, &jiff::tz::TimeZone::UTC, &exhibits);
            self.texts.push((format!("trace formats {word}"), page));
            self.note("proof::statements", &words, answers::proof::statements(store, &trace));
            self.note("proof::envelopes", &words, answers::proof::envelopes(store, &trace).map(|all| all.len()));
        }
        let question = Question {
            places: std::slice::from_ref(at),
            scope: Scope::AllRuns(None),
            by: &[],
            only: &[],
            highest: &[],
            lowest: &[],
        };
        self.note("metrics::metrics", &words, answers::metrics::metrics(store, &question));
        if let Some(parent) = commit.parents.first() {
            self.about_two(*parent, at.id);
        }
    }

    /// A file as the page shows it.
    fn about_shown_file(&mut self, at: &Resolved, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        let Ok(entry) = answers::file::file_in(store, at) else { return };
        let file = answers::file::FileView::new(at.path.clone(), entry);
        self.note("file::bytes", &words, answers::file::shown::bytes(store, &file, 0, 99));
        self.note("file::rows", &words, answers::file::shown::rows(store, &file, (None, 9)).map(|_| ()));
        self.note("file::tensors", &words, answers::file::shown::tensors(store, &file, (0, 9)).map(|_| ()));
        self.note("file::picture", &words, answers::file::shown::picture(store, &file, 64).map(|_| ()));
        let tree = repos::tree::Tree::at(at.commit.tree);
        self.note("file::beside", &words, answers::file::beside(store, tree, &at.path));
    }

    fn about_two(&mut self, old: CommitId, new: CommitId) {
        let store = self.world.seen.clone();
        let store = &store;
        self.note("diff::why", &[], answers::diff::why(store, &old, &new));
        let sides =
            self.note("diff::of_commits", &[], answers::diff::Sides::of_commits(store, Some(old), Some(new))).unwrap();
        self.note("diff::are_readable", &[], sides.are_readable(store));
        let entries = self.list("diff::entries", &[], sides.entries(store));
        for entry in &entries {
            if let (Some(old), Some(new)) = (&entry.old, &entry.new) {
                let compared = answers::diff::compare_files(store, old, new, &compare::Options::default());
                self.note("diff::compare_files", &[], compared.map(|_| ()));
            }
        }
        let decision = answers::diff::Decision { field: "loss".to_owned(), value: "1".to_owned(), key: Vec::new() };
        let flips = answers::diff::flips(store, None, sides.entries(store).unwrap(), &decision);
        self.note("diff::flips", &[], flips);
        self.note("diff::why_up_to", &[], answers::diff::why_up_to(store, &old, &new, 9));
        let (trees, root) = ((sides.older, sides.newer), FilePath::root());
        self.note("diff::folders", &[], answers::diff::folders(store, trees, &root, 9));
        let page = answers::diff::page(store, trees, &root, None, 9, |_| true);
        self.note("diff::page", &[], page.map(|page| page.entries));
    }

    fn about_named(&mut self, named: &Named, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        self.note("named::files_of", &words, answers::named::files_of(store, named, None));
        match named {
            Named::Result(digest) => {
                drop(self.note("object::result_view", &words, answers::object::result_view(store, digest)));
            }
            Named::Code(root, versions) => {
                drop(self.note("object::code_view", &words, answers::object::code_view(store, root, versions)));
            }
            Named::Key(key) => {
                drop(self.note("object::signing_key_view", &words, answers::object::signing_key_view(store, key)));
            }
            Named::Certificate(digest) => {
                drop(self.note("object::certificate_view", &words, answers::object::certificate_view(store, digest)));
            }
            Named::Document(kind, digest) if *kind != Kind::Log => {
                self.note("object::document_view", &words, answers::object::document_view(store, *kind, digest));
            }
            Named::Map(root) => drop(self.note("object::map_view", &words, answers::object::map_view(store, root))),
            Named::Content(file) => {
                drop(self.note("object::content_view", &words, answers::object::content_view(store, file)));
            }
            _ => {}
        }
    }

    fn about_job(&mut self, job: &JobRow, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        let view = self.note("job::job_view", &words, answers::job::job_view(store, job, None)).unwrap();
        self.note("job::output_of", &words, answers::job::output_of(store, &view));
        self.note("job::job_details", &words, answers::job::job_details(store, job, None));
        self.note("job::short_job", &words, answers::job::short_job(store, job));
        self.note("job::document_of", &words, answers::job::document_of(store, job));
        self.note("job::why_ended", &words, answers::job::why_ended(store, job));
        self.note("job::job_now", &words, answers::job::job_now(store, job));
        self.names.insert("job::may_be_retried".to_owned());
        answers::job::may_be_retried(store, job);
        let most = answers::job::Most { datums: 9, inputs: 9, lines: 9 };
        self.note("job::failed_datums", &words, answers::job::failed_datums(store, None, job, most));
        self.note("explain::explain_job", &words, answers::explain::explain_job(store, job, None));
        self.note("datum::provenance_of", &words, answers::datum::provenance_of(store, job));
        self.note("datum::hidden_inputs", &words, answers::datum::hidden_inputs(store, job));
        self.list(
            "datum::results_of",
            &words,
            answers::datum::results_of(store, None, job)
                .map(|all| all.map(|one| one.map_err(engine::EngineError::from))),
        );
        self.list("datum::datum_list", &words, answers::datum::datum_list(store, None, job, (None, None)));
        let wanted = answers::logs::Wanted::default();
        self.list("logs::logs_of_job", &words, answers::logs::logs_of_job(store, None, job, wanted));
        let views =
            self.list("datum::datums", &words, answers::datum::datums(store, None, job, DatumFilter::default()));
        for view in views {
            self.note("datum::paths_of", &words, answers::datum::paths_of(store, job, &view.id));
            self.note("logs::title_of", &words, answers::logs::title_of(store, job, &view.id));
            if let Some(result) = view.result {
                self.note("datum::datum_view", &words, answers::datum::datum_view(store, Some(job), &result, None));
                self.note("datum::datum_view", &words, answers::datum::datum_view(store, None, &result, None));
                let result = self.note("logs::result_of", &words, answers::logs::result_of(store, &result)).unwrap();
                self.list("logs::tries_of", &words, Ok(answers::logs::tries_of(store, &result)));
                self.note("datum::last_words", &words, answers::datum::last_words(store, &result, 9));
            }
        }
        if let Some(order) =
            self.note("datum::datums_in_order", &words, answers::datum::datums_in_order(store, None, job))
        {
            for ranked in order.of(None) {
                self.note("datum::view", &words, ranked.view(store, job));
            }
        }
        for failed in [false, true] {
            let text = answers::logs::LogText::of_job(store, None, job, failed);
            self.note("logs::of_job", &words, text.and_then(|text| text.window(1, 99)).map(|_| ()));
        }
        for path in ["/hush-path-1", "/a.json"] {
            let path: FilePath = path.parse().unwrap();
            let read = answers::datum::datums_of_input(store, None, job, &path, 9);
            self.note(
                "datum::datums_of_input",
                &words,
                read.map_err(|_| engine::EngineError::from(repos::RepoError::AnswerLost)),
            );
            let found = answers::datum::find_datums_of_input(store, None, job, &path);
            // The path was asked for.
            if let Err(error) = found {
                self.note::<(), _>("datum::find_datums_of_input", &[word, path.as_str()], Err(error));
            } else {
                self.note("datum::find_datums_of_input", &words, found);
            }
        }
    }

    fn about_datum(&mut self, datum: &DatumRef, word: &str) {
        let (store, words) = (self.world.seen.clone(), [word]);
        let store = &store;
        let Some(found) = self.note("datum::find_datum", &words, answers::datum::find_datum(store, None, datum)) else {
            return;
        };
        self.note("datum::datum_details", &words, answers::datum::datum_details(store, &found));
        self.note("datum::datum_with_files", &words, answers::datum::datum_with_files(store, &found, 9));
        let text = answers::logs::LogText::of_datum(store, &found).window(1, 99);
        self.note("logs::of_datum", &words, text.map(|_| ()));
        self.note("explain::compare_datums", &words, answers::explain::compare_datums(store, &found, &found));
        self.note("explain::explain_datum", &words, answers::explain::explain_datum(store, None, found));
    }

    fn about_repo(&mut self, repo: &RepoName) {
        let (store, words) = (self.world.seen.clone(), [repo.as_str()]);
        let store = &store;
        self.note("repo::repo_view", &words, answers::repo::repo_view(store, repo));
        self.note("repo::repo_size", &words, answers::repo::repo_size(store, repo));
        self.note("branch::branches", &words, answers::branch::branches(store, repo));
        self.note("branch::newest_branches", &words, answers::branch::newest_branches(store, repo));
        self.note("tag::tags", &words, answers::tag::tags(store, repo));
        self.note("tag::newest_tags", &words, answers::tag::newest_tags(store, Some(repo)));
        for branch in ["main", "hush-branch"] {
            let (branch, asked) = (branch.parse().unwrap(), [repo.as_str(), branch]);
            self.note("branch::branch_view", &asked, answers::branch::branch_view(store, repo, &branch));
            self.list("branch::branch_moves", &asked, answers::branch::branch_moves(store, repo, &branch, None));
        }
        for moment in ["now", "1 minute ago"] {
            if let Some(moment) = self.note("moment::find", &[moment], answers::moment::Moment::find(store, moment)) {
                self.note("branch::branches_as_of", &words, answers::branch::branches_as_of(store, repo, &moment));
                let main = specs::BranchName::main();
                self.note("moment::head", &words, moment.head(store, repo, &main));
            }
        }
        let tag = "hush-tag".parse().unwrap();
        self.note("tag::find_tag", &[repo.as_str(), "hush-tag"], answers::tag::find_tag(store, repo, &tag));
        if let Ok(plan) = repos::gc::Plan::of_selection(store, repo, None, Selection::AllBut(1)) {
            self.note("upkeep::pruned_commits", &words, answers::upkeep::pruned_commits(store, &plan));
            self.note("upkeep::freed_by", &words, answers::upkeep::freed_by(store, &plan, &|_, _, _| {}).map(|_| ()));
        }
    }

    fn about_pipeline(&mut self, name: &PipelineName) {
        let (store, words) = (self.world.seen.clone(), [name.as_str()]);
        let store = &store;
        self.note("pipeline::pipeline_view", &words, answers::pipeline::pipeline_view(store, name, None));
        let details =
            self.note("pipeline::pipeline_details", &words, answers::pipeline::pipeline_details(store, name, None));
        if let Some(details) = details {
            self.texts.push(("pipeline::pipeline_details".to_owned(), serde_json::to_string(&details).unwrap()));
        }
        let selected = answers::job::Selected::of_pipelines(store, BTreeSet::from([name.clone()]));
        if let Some(selected) = self.note("job::of_pipelines", &words, selected) {
            let newest = self.note("job::newest", &words, selected.newest(store)).unwrap_or_default();
            for job in newest {
                let run: RunRef = format!("@{}", job.run).parse().unwrap();
                self.note("job::of_run", &words, answers::job::Selected::of_run(store, &run));
            }
        }
        self.note("job::newest_of_version", &words, answers::job::newest_of_version(store, name));
        self.note("pipeline::pipeline_versions", &words, answers::pipeline::pipeline_versions(store, name));
        self.note("pipeline::version_details", &words, answers::pipeline::version_details(store, name, 1));
        let now = answers::moment::Moment::find(store, "now").unwrap();
        self.note("pipeline::version_at", &words, answers::pipeline::version_at(store, name, &now));
        if let Some(row) = store.find_pipeline(name).unwrap() {
            self.note("explain::explain_pipeline", &words, answers::explain::explain_pipeline(store, &row, None));
        }
    }

    fn about_pairs(&mut self) {
        let store = self.world.seen.clone();
        let store = &store;
        let jobs = answers::job::jobs(store, None, None, 1000).unwrap();
        for old in jobs.iter().filter(|job| job.sealed.is_some()) {
            for new in jobs.iter().filter(|job| job.sealed.is_some()) {
                self.note("explain::compare_jobs", &[], answers::explain::compare_jobs(store, old, new));
                let pair = answers::diff::diff_of_runs(store, [old.run, new.run]);
                self.list("diff::diff_of_runs", &[], pair);
                let commits = answers::diff::commits_of_runs(store, [old.run, new.run]);
                self.note("diff::commits_of_runs", &[], commits);
            }
        }
    }
}
