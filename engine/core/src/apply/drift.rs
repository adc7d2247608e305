//! Whether specs and code on this machine's disk still match what was applied.
//!
//! An apply records, in `.pv/applied/<pipeline>` beside the store, which file a pipeline's spec came from. The record can be deleted, is
//! never copied, and does not contain what was applied: that is looked up in the store, so the comparison is correct even after the
//! pipeline was applied from elsewhere. A file that no longer exists, or no longer contains the pipeline, cannot be compared.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, Metadata};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use repos::Store;
use repos::documents::SpecDocument;
use repos::files::{self, UploadOptions};
use repos::tree::Tree;
use schemars::JsonSchema;
use serde::Serialize;
use specs::spec::{MAX_FILE_BYTES, Parsed};
use specs::{Digest, PipelineName, parse_specs};

use super::code::{CodeFolder, options};
use super::versions::value_of;
use crate::error::Result;
use crate::graph::{Graph, Pipeline};

/// The folder of these records, in the store's own folder.
const NOTES: &str = "applied";
/// Maximum size of code that is compared.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 256 << 20;

/// How a spec's file differs from what was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drift {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The spec's file.
    pub file: PathBuf,
    /// The differences; `errors` is always the only one.
    pub what: Vec<DriftPart>,
}

/// What differs on disk from the applied version of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriftPart {
    /// The spec.
    Spec,
    /// The code.
    Code,
    /// The file has no valid spec any more.
    Errors,
}

impl fmt::Display for DriftPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spec => "spec",
            Self::Code => "code",
            Self::Errors => "errors",
        })
    }
}

/// Records where specs came from; deletes the record of specs that came from no file. A failure only means that they are not compared
/// later.
pub(super) fn note(store: &Store, specs: &[Parsed], folders: &[Option<CodeFolder>]) {
    let place = store.folder().join(NOTES);
    for (parsed, folder) in specs.iter().zip(folders) {
        let note = place.join(parsed.spec.name.as_str());
        let noted = match folder.as_ref().and_then(CodeFolder::spec).filter(|file| file.is_absolute() && file.is_file())
        {
            Some(file) => write(&place, &note, file),
            None => fs::remove_file(&note).or(Ok(())),
        };
        if let Err(error) = noted {
            tracing::debug!("the place of the spec of {} is not noted: {error}", parsed.spec.name);
        }
    }
}

/// Written to a temporary file and renamed, so that nobody reads half a path.
fn write(place: &Path, note: &Path, file: &Path) -> std::io::Result<()> {
    fs::create_dir_all(place)?;
    let part = note.with_extension(format!("{}.part", std::process::id()));
    fs::File::create(&part)?.write_all(file.as_os_str().as_encoded_bytes())?;
    fs::rename(&part, note)
}

/// What a file said of a pipeline.
#[derive(Debug, Clone)]
enum Found {
    /// The file cannot be read, or has no such pipeline: it cannot be compared.
    Nothing,
    /// It has no valid spec.
    Errors,
    /// Its spec.
    Spec { differs: bool, code: Option<PathBuf> },
}

/// What tells that a file has not changed: its inode number, length, and times of change in nanoseconds.
type Identity = (u64, u64, [i64; 4]);

/// What was found in files, by the version that it was compared with, while these have not changed: to parse hundreds of specs takes longer
/// than somebody wants to wait for the state of a store.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
type Known = HashMap<(PathBuf, Digest), (Identity, Found)>;
/// Most of these.
const MOST_KNOWN: usize = 10_000;

/// The pipelines whose spec or code on this machine's disk differs from their current version.
pub fn drifts(store: &Store, graph: &Graph) -> Result<Vec<Drift>> {
    let mut files = BTreeMap::new();
    let mut found = Vec::new();
    for pipeline in graph.in_order() {
        let Some(file) = noted(store, pipeline.name()) else { continue };
        let what = match look(store, pipeline, &file, &mut files)? {
            Found::Nothing => Vec::new(),
            Found::Errors => vec![DriftPart::Errors],
            Found::Spec { differs, code } => differences(store, pipeline, differs, code.as_deref())?,
        };
        if !what.is_empty() {
            found.push(Drift { pipeline: pipeline.name().clone(), file, what });
        }
    }
    Ok(found)
}

/// What a file says of a pipeline; it is read only if it is not known. `files`: those that were read for this answer.
fn look(
    store: &Store,
    pipeline: &Pipeline,
    file: &Path,
    files: &mut BTreeMap<PathBuf, Option<Vec<Parsed>>>,
) -> Result<Found> {
    // First, so that a change while it is read is seen the next time.
    let Ok(identity) = fs::metadata(file).map(|data| identity(&data)) else { return Ok(Found::Nothing) };
    let key = (file.to_owned(), pipeline.document);
    let known = KNOWN.lock().expect("no panic under this lock").get(&key).cloned();
    if let Some((_, found)) = known.filter(|(of, _)| *of == identity) {
        return Ok(found);
    }
    let parsed = files.entry(file.to_owned()).or_insert_with(|| read(file));
    let found = match parsed {
        None => Found::Nothing,
        Some(parsed) => match parsed.iter().find(|parsed| parsed.spec.name == *pipeline.name()) {
            Some(parsed) => {
                let SpecDocument(applied) = store.document(&pipeline.version.spec)?;
                let code = parsed.spec.transform.code.as_ref().and_then(|code| Some(file.parent()?.join(code)));
                Found::Spec { differs: value_of(&parsed.spec) != applied, code }
            }
            // A file with errors yields no specs at all.
            None if parsed.is_empty() => Found::Errors,
            None => Found::Nothing,
        },
    };
    let mut known = KNOWN.lock().expect("no panic under this lock");
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(key, (identity, found.clone()));
    Ok(found)
}

fn identity(data: &Metadata) -> Identity {
    (data.ino(), data.len(), [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()])
}

/// The recorded file of a pipeline's spec.
fn noted(store: &Store, name: &PipelineName) -> Option<PathBuf> {
    let path = fs::read_to_string(store.folder().join(NOTES).join(name.as_str())).ok()?;
    Some(PathBuf::from(path)).filter(|file| file.is_absolute())
}

/// The specs of a file; `None` if it cannot be read, empty if they have errors.
fn read(file: &Path) -> Option<Vec<Parsed>> {
    let is_small = fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= MAX_FILE_BYTES as u64);
    let text = is_small.then(|| fs::read_to_string(file).ok())??;
    let set = parse_specs(&[(file.display().to_string(), text)]);
    Some(if set.has_errors() { Vec::new() } else { set.specs })
}

fn differences(store: &Store, pipeline: &Pipeline, differs: bool, code: Option<&Path>) -> Result<Vec<DriftPart>> {
    let mut what = Vec::new();
    if differs {
        what.push(DriftPart::Spec);
    }
    let applied = pipeline.version.code.as_ref().and_then(|code| code.tree);
    if let (Some(folder), Some(tree)) = (code, applied)
        && code_differs(store, folder, Tree::at(tree))?
    {
        what.push(DriftPart::Code);
    }
    Ok(what)
}

/// Whether a folder's files differ from those stored. Nothing is stored; a folder that is too large or unreadable is not compared.
fn code_differs(store: &Store, folder: &Path, stored: Tree) -> Result<bool> {
    let Ok(gathered) = files::gather(&options(folder)) else { return Ok(false) };
    if gathered.len() > MOST_FILES || gathered.size_bytes > MOST_BYTES {
        return Ok(false);
    }
    let options =
        UploadOptions { base: stored, trust_stat: true, dry_run: true, skip_unreadable: false, progress: &|_, _| {} };
    let Ok(looked_at) = files::upload_with(store, &gathered, &options) else { return Ok(false) };
    let edits = looked_at.edits(store, stored, &gathered)?;
    Ok(!edits.files.is_empty() || edits.unchanged != stored.totals(store)?.entries)
}
