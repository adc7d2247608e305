//! The datums of a job that read a file, or files of a directory.

use std::collections::BTreeSet;

use engine::Result;
use engine::datums::{DatumKey, DatumMap, Shape, prefix, result_in};
use engine::graph::Pipeline;
use engine::live::Live;
use repos::tree::{KeyRange, Tree};
use repos::{JobRow, Store};
use specs::FilePath;

use super::known::{Known, provenance_of};
use super::view::{DatumFilter, DatumView, datum_view, datums};

/// The first datums of a job that read a file, directly or in a directory; failing that, those that read something below the path.
///
/// Those of a job that has an output are found from the path, without visiting the others; of another job, all that ended are looked at.
pub fn datums_of_input(
    store: &Store,
    live: Option<&Live>,
    job: &JobRow,
    path: &FilePath,
    most: usize,
) -> Result<Vec<DatumView>> {
    let found = if let Some(keys) = readers(store, job, path)? {
        of_keys(store, live, job, keys.into_iter().take(most))?
    } else {
        let filter = DatumFilter { input: Some(path.clone()), ..DatumFilter::default() };
        datums(store, live, job, filter)?.take(most).collect::<Result<_>>()?
    };
    if found.is_empty() { below(store, live, job, path, most) } else { Ok(found) }
}

/// The keys of the datums that read a file; `None` if they cannot be found from its path.
fn readers(store: &Store, job: &JobRow, path: &FilePath) -> Result<Option<Vec<DatumKey>>> {
    let Some(commit) = job.commit else { return Ok(None) };
    if store.is_limited() {
        return Ok(None);
    }
    let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
    let provenance = provenance_of(store, job)?;
    let (mut trees, mut holders) = (Vec::new(), BTreeSet::new());
    for (number, leaf) in pipeline.spec.input.leaves().into_iter().enumerate() {
        let (repo, branch) = pipeline.input_branch(leaf);
        let origin = provenance.iter().find(|origin| origin.repo == repo && origin.branch == branch);
        let tree = match origin {
            Some(origin) => Tree::at(store.commit(&origin.commit)?.tree),
            None => Tree::empty(),
        };
        if tree.kind_at(store, path)?.is_some() {
            holders.insert(number);
        }
        trees.push(tree);
    }
    let map = store.commit(&commit)?.datums.map_or(DatumMap::empty(), DatumMap::at);
    let mut keys = Vec::new();
    let shape = Shape::of(&pipeline.spec.input);
    shape.readers(store, (trees, map), path, &holders, &mut |reader| {
        keys.push(reader.key);
        Ok(())
    })?;
    Ok(Some(keys))
}

fn of_keys(
    store: &Store,
    live: Option<&Live>,
    job: &JobRow,
    keys: impl IntoIterator<Item = DatumKey>,
) -> Result<Vec<DatumView>> {
    let known = Known::of(store, live, job)?;
    let Known::Map(map, _) = &known else { return Ok(Vec::new()) };
    let mut views = Vec::new();
    for key in keys {
        let Some(result) = map.get(store, &key.below(prefix::DATUM))?.as_deref().and_then(result_in) else { continue };
        views.push(datum_view(store, Some(job), &result, known.recovered(store, &key)?)?);
    }
    Ok(views)
}

/// The datums with an input below a path, as their keys tell it.
fn below(store: &Store, live: Option<&Live>, job: &JobRow, path: &FilePath, most: usize) -> Result<Vec<DatumView>> {
    // A key also names inputs that are not visible.
    let Some(commit) = job.commit.filter(|_| !store.is_limited()) else { return Ok(Vec::new()) };
    let map = store.commit(&commit)?.datums.map_or(DatumMap::empty(), DatumMap::at);
    let mut keys = Vec::new();
    for entry in map.range(store, KeyRange::prefix([prefix::DATUM]))? {
        let key = DatumKey::from_map(&entry?.0);
        let mut parts = key.parts().unwrap_or_default().into_iter();
        if parts.any(|(_, text)| text.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))) {
            keys.push(key);
        }
        if keys.len() == most {
            break;
        }
    }
    of_keys(store, live, job, keys)
}
