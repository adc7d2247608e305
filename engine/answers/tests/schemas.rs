//! The JSON schema of every answer: programs that read `--json`, the HTTP API or the web page rely on it.
//!
//! Each file in `schemas/` has the types of one module, and the types that they contain. `PV_SCHEMAS=write` writes them again: any change
//! other than an addition breaks readers.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Names of types, each with the schema of its JSON form.
type Types = Vec<(&'static str, Schema)>;

/// A module's name, and what makes the schemas of its types.
type Module = (&'static str, fn(&mut SchemaGenerator) -> Types);

/// The types of a module.
macro_rules! types {
    ($module:ident: $($name:ident $(<$of:ty>)?),+ $(,)?) => {
        (stringify!($module), (|generator: &mut SchemaGenerator| {
            vec![$((stringify!($name), schema::<answers::$module::$name $(<$of>)?>(generator))),+]
        }) as fn(&mut SchemaGenerator) -> Types)
    };
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Every answer, by module. A missing type is detected in the source.
fn all() -> Vec<Module> {
    vec![
        types!(file: DirectoryView, FileView, GetView, ListedView),
        types!(commit: CertificateView, ChangedView, CommitDetails, CommitView, PathChange, SignatureState, SignatureView),
        types!(run: CauseView, MoveView, RunState, RunView),
        types!(change: PutView, SkippedView),
        types!(repo: RepoView),
        types!(branch: BranchMoveView, BranchView, MoveKind),
        types!(tag: TagView),
        types!(datum: DatumDetails, DatumInput, DatumState, DatumView, TryView),
        types!(job: EndedView, JobDetails, JobView),
        types!(pipeline: AppliedView, CheckedView, PipelineDetails, PipelineLine, PipelineState, PipelineView, RolledView, VersionDetails, VersionView, WarningView),
        types!(logs: LogView),
        types!(status: Need, StatusView),
        types!(setting: SecretView, SettingView),
        types!(key: KeyView, RotatedView, TrustedView),
        types!(event: EventView, Happened),
        types!(token: CreatedToken, TokenView),
        types!(watch: TroubleView, WatchView),
        types!(worker: WorkerView),
        types!(find: FoundView, PeriodView),
        types!(object: CodeView, ContentView, ImageUse, MapView, ResultView, SigningKeyView),
        types!(trace: AtHead, BranchCommit, Brought, DatumNode, Extent, FileNode, Forward, ForwardPeriod, ForwardPlace, InputNode, Made, Mention, Now, Origin, Reader, SameAs, SourceNode, Start, Trace, VersionNode),
        types!(image: ImageLoadedView, ImageSavedView, ImageView, SavedView),
        types!(metrics: Goal, Metric, Row, RowView, SideBySide, Sides, Table),
        types!(explain: Compared<answers::explain::DatumSide>, DatumExplained, DatumSide, Differences, Earlier, FieldChange, InputChange, InputExplained, JobExplained, PipelineExplained),
        types!(diff: Change, Counts, DiffView, Flips, Move, Named, Ran, Record, RepoDiff, SourceCause, StageCause, Verdict, Why),
        types!(preview: Preview, PreviewDatum, PreviewInput, PreviewLine, PreviewReason),
        types!(trial: Compared, TrialView, TriedDatum, TriedJobView, TriedPath, Verdict),
        types!(proof: BundleView, CheckpointView, Descriptor, Envelope, EnvelopeSignature, Intended, Link, LinkKind, SinceView, State, Statement, Verdict, VerifyView),
        types!(upkeep: DeletedCommitView, DoneView, GcView, GoneView, HolderView, KeptView, MirrorView, ProblemView, PruneView, PrunedView, ReportView),
    ]
}

/// Removes descriptions: they come from the documentation, which may change at any time; the schema may not change with them.
fn without_words(schema: &mut Schema) {
    let drop = |schema: &mut Schema| {
        schema.remove("description");
        schema.remove("title");
    };
    RecursiveTransform(drop).transform(schema);
}

/// The schemas of a module in one document: those of its types, and the types that they contain.
fn document(types: fn(&mut SchemaGenerator) -> Types) -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let answers: Map<String, Value> = types(&mut generator)
        .into_iter()
        .map(|(name, mut schema)| {
            without_words(&mut schema);
            (name.to_owned(), schema.to_value())
        })
        .collect();
    let parts: Map<String, Value> = generator
        .take_definitions(false)
        .into_iter()
        .map(|(name, part)| {
            let mut part = Schema::try_from(part).unwrap();
            without_words(&mut part);
            (name, part.to_value())
        })
        .collect();
    json!({ "answers": answers, "$defs": parts })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas")
}

#[test]
fn the_json_form_of_every_answer_is_as_it_was() {
    let mut faults = Vec::new();
    let mut known = Vec::new();
    for (module, types) in all() {
        let file = folder().join(format!("{module}.json"));
        let now = serde_json::to_string_pretty(&document(types)).unwrap() + "\n";
        if std::env::var_os("PV_SCHEMAS").is_some_and(|what| what == "write") {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&file, &now).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != now {
            faults.push(format!("the JSON form of `{module}` changed: PV_SCHEMAS=write, then look at git diff"));
        }
        known.push(file);
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().path();
        if !known.contains(&file) {
            faults.push(format!("{}: no module has these answers", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_answer_is_missing() {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let listed: BTreeMap<String, Vec<String>> = all()
        .into_iter()
        .map(|(module, types)| {
            let mut names: Vec<String> = types(&mut generator).iter().map(|(name, _)| (*name).to_owned()).collect();
            names.sort();
            (module.to_owned(), names)
        })
        .collect();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, file) in sources(&src) {
        found.entry(module).or_default().extend(serialized(&std::fs::read_to_string(file).unwrap()));
    }
    for names in found.values_mut() {
        names.sort();
    }
    found.retain(|_, names| !names.is_empty());
    assert_eq!(listed, found, "left: the list in this file; right: public types in src that derive Serialize");
}

/// The source files, each with its module at the top.
fn sources(src: &Path) -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = walkdir::WalkDir::new(&path).into_iter().map(|entry| entry.unwrap().into_path());
            let below = below.filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
            all.extend(below.map(|file| (module.clone(), file)));
        } else if module != "lib" {
            all.push((module, path));
        }
    }
    all
}

/// Public types of a file that derive `Serialize`.
fn serialized(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut derives = false;
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("#[derive(") {
            derives = code.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Serialize");
        } else if let Some(rest) = ["pub struct ", "pub enum "].iter().find_map(|word| line.strip_prefix(word)) {
            if derives {
                names.push(rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned());
            }
            derives = false;
        } else if !code.starts_with("#[") && !code.starts_with("//") {
            derives = false;
        }
    }
    names
}

#[test]
fn types_are_found_by_what_they_derive() {
    let text = "#[derive(Debug, Serialize, JsonSchema)]\n#[serde(untagged)]\npub enum A {}\n#[derive(Debug)]\npub struct B;\n#[derive(Serialize)]\nstruct C;\n    #[derive(Serialize)]\npub struct D<T> {}\n";
    assert_eq!(serialized(text), ["A", "D"]);
}
