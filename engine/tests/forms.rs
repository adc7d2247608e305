//! Answers about jobs that really ran: their JSON is as their schemas say, and reads back as the same.

use std::collections::BTreeSet;

use answers::branch::{branch_moves, branches};
use answers::commit::{Log, commit_details, log};
use answers::datum::{DatumFilter, datum_details, datums, find_datum};
use answers::diff::{Sides, why};
use answers::explain::{compare_jobs, explain_datum, explain_job, explain_pipeline};
use answers::file::{Listing, listing};
use answers::find::{find, sought};
use answers::job::{job_details, job_view};
use answers::pipeline::{pipeline_details, pipeline_versions, pipelines, version_details};
use answers::proof::{verify, verify_view};
use answers::repo::repos;
use answers::run::runs;
use answers::status::{Wanted, WantedRepos, status};
use answers::trace::{ForwardOptions, Reach, forward, trace};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::setting::Setting;

const UPPER: &str = "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";

/// Panics unless an answer's JSON has the fields and values that its schema allows, all of those that it requires, and no others.
fn has_its_form<T: Serialize + JsonSchema>(answer: &T) {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    let (schema, json) = (schema.to_value(), serde_json::to_value(answer).unwrap());
    if let Err(why) = fits(&json, &schema, &schema, true) {
        panic!("{}: {why}\n{json:#}", T::schema_name());
    }
}

/// The same, and that what a program reads back from it is written as the same.
fn reads_back<T: Serialize + DeserializeOwned + JsonSchema>(answer: &T) {
    has_its_form(answer);
    let text = serde_json::to_string(answer).unwrap();
    let again: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", T::schema_name()));
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
}

/// Whether a value is as a schema says, as far as ours say anything: types, constants, elements, choices, fields. A `closed` one has no
/// fields but those of the schema.
fn fits(value: &Value, schema: &Value, root: &Value, closed: bool) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        return fits(value, part_of(root, name), root, closed);
    }
    if !is_of_type(value, &schema["type"]) {
        return Err(format!("{value} is not of type {}", schema["type"]));
    }
    let is_other = schema.get("const").is_some_and(|only| only != value);
    if is_other || schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        return Err(format!("{value} is none of {} {}", schema["const"], schema["enum"]));
    }
    let has_fields = schema.get("properties").is_some();
    for choices in ["anyOf", "oneOf"].iter().filter_map(|word| schema[*word].as_array()) {
        let fit = |choice| fits(value, choice, root, closed && !has_fields).err();
        let bad: Vec<String> = choices.iter().filter_map(fit).collect();
        if bad.len() == choices.len() {
            return Err(bad.join("; or "));
        }
    }
    for element in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        fits(element, &schema["items"], root, true)?;
    }
    let Some(fields) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        fields.get(name).ok_or_else(|| format!("field `{name}` is missing"))?;
    }
    for (name, field) in fields {
        let others = schema.get("additionalProperties").filter(|of| of.is_object());
        if let Some(of) = schema["properties"].get(name).or(others) {
            fits(field, of, root, true).map_err(|why| format!("{name}: {why}"))?;
        } else if closed && has_fields && !names(schema, root).contains(name) {
            return Err(format!("the schema has no field `{name}`"));
        }
    }
    Ok(())
}

fn is_of_type(value: &Value, types: &Value) -> bool {
    let is = |word: &str| match word {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    match types {
        Value::Array(types) => types.iter().filter_map(Value::as_str).any(is),
        Value::String(word) => is(word),
        _ => true,
    }
}

/// All fields that a schema knows, those of its choices included.
fn names(schema: &Value, root: &Value) -> BTreeSet<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return names(part_of(root, name), root);
    }
    let choices = ["anyOf", "oneOf"].iter().filter_map(|word| schema[*word].as_array()).flatten();
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    choices.flat_map(|choice| names(choice, root)).chain(own).collect()
}

fn part_of<'a>(root: &'a Value, name: &str) -> &'a Value {
    root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is not in the schema"))
}

#[test]
fn what_a_schema_does_not_allow_is_reported() {
    let schema = serde_json::json!({
        "properties": { "a": { "type": "integer" }, "b": { "anyOf": [{ "$ref": "#/$defs/B" }, { "type": "null" }] } },
        "required": ["a"],
        "oneOf": [{ "properties": { "c": { "const": "x" } }, "required": ["c"] }, { "properties": {} }],
        "$defs": { "B": { "properties": { "d": { "items": { "enum": ["y"] } } } } },
    });
    let why = |value: Value| fits(&value, &schema, &schema, true).err().unwrap_or_default();
    for good in [
        serde_json::json!({ "a": 1 }),
        serde_json::json!({ "a": 1, "b": null, "c": "x" }),
        serde_json::json!({ "a": 1, "b": { "d": ["y"] } }),
    ] {
        assert_eq!(why(good), "");
    }
    assert_eq!(why(serde_json::json!({})), "field `a` is missing");
    assert_eq!(why(serde_json::json!({ "a": "1" })), "a: \"1\" is not of type \"integer\"");
    assert_eq!(why(serde_json::json!({ "a": 1, "e": 2 })), "the schema has no field `e`");
    assert!(why(serde_json::json!({ "a": 1, "b": { "d": ["z"] } })).contains("none of"));
    assert!(why(serde_json::json!({ "a": 1, "b": { "f": 1 } })).contains("no field `f`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_form_of_their_schemas_and_read_back() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    s.run().await;
    let earlier = (s.head("upper", "main").unwrap(), s.job("upper"));
    s.put("images", [("/c", Some("3")), ("/a", None)]);
    s.run().await;
    of_jobs(&s);
    of_commits(&s, earlier.0);
    has_its_form(&compare_jobs(&s.store, &earlier.1, &s.job("upper")).unwrap());
    let wanted = Wanted { repos: WantedRepos::All, folder: std::path::Path::new("/") };
    has_its_form(&status(&s.store, None, wanted).unwrap());
    has_its_form(&verify_view("all", &verify(&s.store, None, &[]).unwrap(), None));
}

fn of_jobs(s: &Setting) {
    let (store, job) = (&s.store, s.job("upper"));
    reads_back(&job_view(store, &job, None).unwrap());
    reads_back(&job_details(store, &job, None).unwrap());
    reads_back(&explain_job(store, &job, None).unwrap());
    for datum in datums(store, None, &job, DatumFilter::default()).unwrap() {
        reads_back(&datum.unwrap());
    }
    let found = find_datum(store, None, &"upper:/c".parse().unwrap()).unwrap();
    reads_back(&datum_details(store, &found).unwrap());
    has_its_form(&explain_datum(store, None, found).unwrap());
    let name = "upper".parse().unwrap();
    reads_back(&pipeline_details(store, &name, None).unwrap());
    reads_back(&explain_pipeline(store, &store.pipeline(&name).unwrap(), None).unwrap());
    reads_back(&version_details(store, &name, 1).unwrap());
    pipelines(store, None).unwrap().iter().for_each(reads_back);
    pipeline_versions(store, &name).unwrap().iter().for_each(reads_back);
    for run in runs(store, None, None, 10).unwrap() {
        reads_back(&run.unwrap());
    }
}

fn of_commits(s: &Setting, earlier: specs::CommitId) {
    let store = &s.store;
    let at = store.resolve(&"upper:/c".parse().unwrap()).unwrap();
    has_its_form(&commit_details(store, at.id, at.commit.clone()).unwrap());
    let Log::Commits(commits) = log(store, &"upper".parse().unwrap(), None, None).unwrap() else { panic!("no path") };
    commits.for_each(|commit| has_its_form(&commit.unwrap()));
    let Log::Changes(changes) = log(store, &"images:/a".parse().unwrap(), None, None).unwrap() else {
        panic!("a path")
    };
    changes.for_each(|change| has_its_form(&change.unwrap()));
    for repo in repos(store, |_| true).unwrap() {
        reads_back(&repo.unwrap());
    }
    let (images, main) = ("images".parse().unwrap(), "main".parse().unwrap());
    branches(store, &images).unwrap().iter().for_each(reads_back);
    for moved in branch_moves(store, &images, &main, None).unwrap() {
        reads_back(&moved.unwrap());
    }
    let source = "images".parse().unwrap();
    for line in listing(store, &source, Listing::default()).unwrap() {
        reads_back(&line.unwrap());
    }
    find(store, &sought(store, "a").unwrap(), "a").unwrap().iter().for_each(reads_back);
    reads_back(&trace(store, &at, Reach::everything()).unwrap());
    let image = store.resolve(&"images:/c".parse().unwrap()).unwrap();
    let all = ForwardOptions { all_runs: true, depth: None, brought: false, all_files: true, most: None };
    reads_back(&forward(store, &image, all).unwrap());
    has_its_form(&why(store, &earlier, &at.id).unwrap().unwrap());
    let sides = Sides::find(store, &source, None).unwrap();
    for entry in sides.entries(store).unwrap() {
        has_its_form(&answers::diff::DiffView::new(entry.unwrap(), None, None));
    }
}
