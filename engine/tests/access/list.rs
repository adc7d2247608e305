//! The list of all questions: every public function of `answers` that takes a store is asked through a limited handle.

use std::collections::BTreeSet;
use std::path::Path;

/// Functions that are not asked, each with a reason.
const NOT_ASKED: [(&str, &str); 17] = [
    ("job::pace", "needs a job that an engine runs now: its datums are those of `datum::running_datums`"),
    (
        "datum::running_datums",
        "needs an engine at work: the same inputs as `datum::datums_at_work`, by the same function",
    ),
    ("datum::datums_at_work", "needs an engine at work: its inputs come from the same function as `datum::paths_of`"),
    ("logs::of_printing", "needs an engine at work: its text is what `logs::at_work_log` titles"),
    ("datum::datums_in_order_within", "needs an engine: `datum::datums_in_order`, on a thread"),
    ("logs::at_work_log", "needs an engine at work: its title is `logs::title_of`"),
    ("file::download_elsewhere", "finds its files as `file::download` does, by the same function"),
    ("trial::trial_view", "a trial reads nothing that is hidden: `changes::what_is_tried_is_visible`"),
    ("proof::rerun", "needs executors; refused by the same function as `proof::gather`"),
    ("proof::write", "writes what `proof::gather` collected"),
    ("image::image_view", "describes an image that `image::images` found, from the folder of saved images"),
    ("image::image_views", "`image::image_view` of each of `image::images`"),
    ("image::save_images", "finds its images as `image::images_named` does"),
    ("image::load_images", "finds its images as `image::images_named` does"),
    ("watch::watch_view", "describes a watch that `watch::standing` found, which knows the limit of its handle"),
    ("job::job_view_among", "`job::job_view`, which asks it"),
    ("preview::proposed", "of specs that were checked by an apply: the same filter as `preview::pending`"),
];

/// Panics unless exactly the functions of `answers` that take a store were asked.
pub(super) fn assert_all_asked(asked: &BTreeSet<String>) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for file in walkdir::WalkDir::new(&src).into_iter().map(|entry| entry.unwrap().into_path()) {
        if file.extension().is_some_and(|ending| ending == "rs") && !file.ends_with("tests.rs") {
            let below = file.strip_prefix(&src).unwrap().display().to_string();
            let module = below.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            found.extend(functions(&text).into_iter().map(|name| format!("{module}::{name}")));
        }
    }
    let excused: BTreeSet<String> = NOT_ASKED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let expected: BTreeSet<String> = found.difference(&excused).cloned().collect();
    let missing: Vec<_> = expected.difference(asked).collect();
    let unknown: Vec<_> = asked.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not asked: {missing:?}; no longer questions: {unknown:?}");
    assert!(excused.is_subset(&found), "excused, but not there: {:?}", excused.difference(&found));
}

/// The names of public functions that take a store, also methods.
fn functions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) =
        ["pub fn ", "pub async fn "].iter().filter_map(|words| Some(rest.find(words)? + words.len())).min()
    {
        rest = &rest[at..];
        let end = rest.find(['{', ';']).unwrap_or(rest.len());
        let (head, name) = (&rest[..end], rest.split(['(', '<']).next().unwrap_or_default());
        if head.contains("store: &Store") || head.contains("store: &'s Store") || head.contains("store: &'r Store") {
            found.push(name.to_owned());
        }
    }
    found
}

/// Files that may use a store without the limit of its handle, each with a reason.
const WHOLE: [(&str, &str); 23] = [
    ("core/src/apply/checks.rs", "whether specs fit pipelines that are not visible: answered without a name"),
    ("core/src/apply/mod.rs", "the executor that the first apply settles"),
    ("core/src/apply/operate.rs", "jobs that follow, and pipelines that read an output: counted"),
    ("core/src/apply/publish.rs", "jobs that follow an apply"),
    ("core/src/changes.rs", "jobs and triggers that follow a change; readers of what is deleted: counted"),
    ("core/src/graph.rs", "the graph for consequences"),
    ("core/src/keep.rs", "who writes a branch: `ensure_not_output_branch` names only what is visible"),
    ("core/src/time/ticks.rs", "whether a clock still ticks"),
    ("core/src/transaction/mod.rs", "jobs that follow a transaction"),
    ("answers/src/datum/known.rs", "whether inputs are ready; the visible ones are returned"),
    ("answers/src/diff/why.rs", "what is visible behind what is not; the rest is counted"),
    ("answers/src/explain/datum.rs", "whether a hidden input changed"),
    ("answers/src/job/view.rs", "what a job waits for: named if it is visible"),
    ("answers/src/preview.rs", "what a job would do depends on all inputs"),
    ("answers/src/proof/bundle/gather.rs", "after it is sure that everything is visible"),
    ("answers/src/proof/verify/mod.rs", "everything is checked; links that are not visible are only counted"),
    ("answers/src/sight.rs", "counts what is not visible of an ancestry"),
    ("answers/src/status.rs", "whether specs differ from files on this machine"),
    ("answers/src/trace/back.rs", "who applied a version, by binary search; whether a file is a copy"),
    ("answers/src/trace/forward.rs", "which datums read a file depends on all inputs; hidden readers are counted"),
    ("notifications/src/desk.rs", "tells through `Definition::sight` alone; whether the creator's token works"),
    ("notifications/src/manage.rs", "the same: a test message, and why nothing is sent"),
    ("commands/notify/mod.rs", "the account for mail"),
];

#[test]
fn a_limit_is_lifted_only_where_the_list_says_why() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    for root in [engine.to_owned(), engine.parent().unwrap().join("cli/src")] {
        for file in walkdir::WalkDir::new(&root).into_iter().map(|entry| entry.unwrap().into_path()) {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            let is_source = Path::new(&name).extension().is_some_and(|of| of == "rs") && !name.starts_with("tests");
            if is_source
                && ["store.whole()", "Graph::whole("]
                    .iter()
                    .any(|call| std::fs::read_to_string(&file).unwrap().contains(call))
            {
                found.insert(name);
            }
        }
    }
    let listed: BTreeSet<String> = WHOLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed, "left: files that lift the limit; right: the list");
}

#[test]
fn functions_are_found_by_what_they_take() {
    let text = "pub fn a(store: &Store) -> X {}\nfn b(store: &Store) {}\n    pub async fn c<'s>(\n  store: &'s Store,\n x: u8,\n) -> Y {\n}\npub fn d(x: u8) { f(store: &Store) }\n";
    assert_eq!(functions(text), ["a", "c"]);
}
