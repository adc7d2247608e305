//! One datum in full.

use repos::documents::ResultDocument;
use repos::tree::{KeyRange, Tree, path_of};
use repos::{JobRow, RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::ErrorKind;

use super::find::FoundDatum;
use super::known::provenance_of;
use super::view::DatumView;
use crate::file::FileView;
use engine::Result;
use engine::live::job_id;

/// Maximum number of output files of a datum that are listed.
const FILES: usize = 1000;
/// Number of final log lines reported.
const LINES: usize = 3;

/// Everything about a datum in a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatumDetails {
    /// The datum, with the sizes of the files that it read.
    #[serde(flatten)]
    pub view: DatumView,
    /// The job from which it is viewed.
    pub job: String,
    /// The first files that it wrote, sorted by path.
    pub outputs: Vec<FileView>,
    /// Number of further files that it wrote.
    pub outputs_left_out: u64,
    /// The last lines of its last try's log; empty if the log is no longer stored.
    pub last_words: Vec<String>,
}

/// All about a datum, with the first thousand files that it wrote.
pub fn datum_details(store: &Store, found: &FoundDatum) -> Result<DatumDetails> {
    datum_with_files(store, found, FILES)
}

/// All about a datum, with at most this many of the files that it wrote.
pub fn datum_with_files(store: &Store, found: &FoundDatum, most: usize) -> Result<DatumDetails> {
    let FoundDatum { job, view, result } = found;
    let mut view = view.clone();
    let origins = trees_of(store, job)?;
    for input in &mut view.inputs {
        for tree in &origins {
            let file = tree.file(store, &input.path)?.filter(|file| file.digest == input.digest);
            input.size_bytes = input.size_bytes.or(file.map(|file| file.size));
        }
    }
    let outputs = outputs_of(store, result, most)?;
    let outputs_left_out = result.outputs_count.saturating_sub(outputs.len() as u64);
    let last_words = last_words(store, result, LINES)?;
    Ok(DatumDetails { view, job: job_id(&job.pipeline, &job.run), outputs, outputs_left_out, last_words })
}

/// The files that a job could read.
fn trees_of(store: &Store, job: &JobRow) -> Result<Vec<Tree>> {
    let origins = provenance_of(store, job)?;
    origins.iter().map(|origin| Ok(Tree::at(store.commit(&origin.commit)?.tree))).collect()
}

fn outputs_of(store: &Store, result: &ResultDocument, most: usize) -> Result<Vec<FileView>> {
    let Some(outputs) = result.outputs else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in Tree::at(outputs).range(store, KeyRange::all())?.take(most) {
        let (key, file) = entry?;
        let path = path_of(&key).map_err(RepoError::from)?;
        files.push(FileView::new(path, file));
    }
    Ok(files)
}

/// The last non-blank lines of the last try's log.
pub fn last_words(store: &Store, result: &ResultDocument, lines: usize) -> Result<Vec<String>> {
    let Some(log) = result.tries.last().and_then(|last| last.log) else { return Ok(Vec::new()) };
    let log = match store.log_of(result, &log) {
        // Legitimately given up: the failure is reported without it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let text = String::from_utf8_lossy(&log);
    let said: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(said[said.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect())
}
