//! Specs: applied, checked, planned. A client sends their texts; code is sent as objects, and named here.

use std::collections::{BTreeMap, BTreeSet};

use ::repos::Store;
use ::repos::access::{Access, Role};
use ::repos::files::ListedFile;
use answers::pipeline::{AppliedView, CheckedView, checked_view};
use answers::preview::{self, Preview};
use engine::apply::{self, AppliedState, Request, SpecFolder, SpecListing, SpecSources};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{PipelineName, SpecSet, parse_specs};

use super::objects::with_sender;
use super::uploads::NamedFile;
use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Json};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/pipelines", ("applyPipelines", "Create or update pipelines, all together or none"), applied)
            .needs(Role::Admin),
        post("/pipelines/check", ("checkPipelines", "Report all errors in specs; changes nothing"), checked)
            .after_crash(AfterCrash::Repeat),
        post("/plan", ("planPipelines", "Show what would run if these specs were applied"), planned)
            .needs(Role::Admin)
            .after_crash(AfterCrash::Repeat),
        get("/schema", ("showSpecSchema", "The JSON Schema of pipeline specs, for editors"), schema),
    ]
}

/// Most datums of a preview that are listed.
pub(super) const PREVIEWED: usize = 100;

/// A file with specs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecFile {
    /// Its name, for messages.
    #[schemars(length(min = 1))]
    name: String,
    /// Its text: YAML or JSON, one or more specs.
    text: String,
    /// The code folders that the specs name as `transform.code`, each with its files, whose content was sent as objects.
    #[serde(default)]
    code: BTreeMap<String, Vec<NamedFile>>,
}

/// Specs, and where their code is.
pub(super) struct Sent {
    pub(super) set: SpecSet,
    pub(super) sources: SpecSources,
    listings: Vec<SpecListing>,
}

impl Sent {
    /// Parses the specs. An error if the client may not name the content of their code.
    pub(super) fn read(store: &Store, access: &Access, files: Vec<SpecFile>) -> Result<Self> {
        if files.is_empty() || files.iter().any(|file| file.name.is_empty()) {
            return Err(Problem::usage("specs are missing, or a file has no name", "send at least one, with its name"));
        }
        let texts: Vec<(String, String)> = files.iter().map(|file| (file.name.clone(), file.text.clone())).collect();
        let (mut sources, mut listings) = (SpecSources::new(), Vec::new());
        for file in files {
            let listed = |files: Vec<NamedFile>| files.iter().map(NamedFile::listed).collect::<Vec<ListedFile>>();
            let codes = file.code.into_iter().map(|(folder, files)| (folder, listed(files)));
            let listing = SpecListing::of_files(codes.collect());
            let folder = with_sender(access, |sender| SpecFolder::listed(store, listing.clone(), sender))?;
            listings.push(listing);
            if sources.insert(file.name.clone(), folder).is_some() {
                return Err(Problem::usage(
                    format!("two files are named `{}`", file.name),
                    "give each a name of its own",
                ));
            }
        }
        Ok(Self { set: parse_specs(&texts), sources, listings })
    }

    /// What was sent of the code need not be kept for the client any more: versions of pipelines have it.
    fn release(&self, store: &Store, access: &Access) -> Result<()> {
        with_sender(access, |sender| self.listings.iter().try_for_each(|listing| listing.release(store, sender)))
            .map_err(Problem::from)
    }
}

/// Specs to apply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpecsToApply {
    /// The files.
    #[schemars(length(min = 1))]
    specs: Vec<SpecFile>,
    /// Who applies them, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
}

async fn applied(call: Call, Json(new): Json<SpecsToApply>) -> Result<Answer<AppliedView>> {
    let SpecsToApply { specs, author, dry_run } = new;
    let (engine, by, access) = (call.engine(), call.actor(author), call.access().clone());
    let done = call.change(move |store| {
        let sent = Sent::read(store, &access, specs)?;
        let request = Request {
            set: &sent.set,
            sources: &sent.sources,
            by: &by,
            dry: dry_run,
            on_pull: &|_| {},
            announce: &|_| {},
        };
        let executor = engine.executor_handle();
        let applied = engine.runtime().block_on(apply::apply(store, executor.as_ref(), request))?;
        if !dry_run {
            sent.release(store, &access)?;
        }
        Ok::<_, Problem>(AppliedView::from(&applied))
    });
    done.await.map(Answer)
}

/// Specs to look at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpecsToSee {
    /// The files.
    #[schemars(length(min = 1))]
    specs: Vec<SpecFile>,
}

async fn checked(call: Call, Json(SpecsToSee { specs }): Json<SpecsToSee>) -> Result<Answer<CheckedView>> {
    let access = call.access().clone();
    let checked = call.ask(move |store, _| {
        let sent = Sent::read(store, &access, specs)?;
        let warnings = apply::check(&sent.set, &sent.sources)?;
        Ok::<_, Problem>(checked_view(&sent.set, &warnings))
    });
    checked.await.map(Answer)
}

async fn planned(call: Call, Json(SpecsToSee { specs }): Json<SpecsToSee>) -> Result<Answer<Vec<Preview>>> {
    let (engine, by, access) = (call.engine(), call.actor(None), call.access().clone());
    let planned = call.change(move |store| {
        let sent = Sent::read(store, &access, specs)?;
        let request =
            Request { set: &sent.set, sources: &sent.sources, by: &by, dry: true, on_pull: &|_| {}, announce: &|_| {} };
        let executor = engine.executor_handle();
        let applied = engine.runtime().block_on(apply::apply(store, executor.as_ref(), request))?;
        let changed = applied.pipelines.iter().filter(|pipeline| pipeline.state != AppliedState::Unchanged);
        let changed: BTreeSet<PipelineName> = changed.map(|pipeline| pipeline.name.clone()).collect();
        Ok::<_, Problem>(preview::proposed(store, &applied.graph, &changed, false, PREVIEWED)?)
    });
    planned.await.map(Answer)
}

async fn schema(_: Call) -> Result<Answer<serde_json::Value>> {
    Ok(Answer(specs::spec::schema()))
}
