//! Which datums of a pipeline to try, if not all.

use std::collections::BTreeSet;

use repos::Store;

use super::Sample;
use crate::datums::DatumKey;
use crate::error::{EngineError, Result};
use crate::execution::failed_keys;
use crate::graph::Pipeline;
use crate::plan::plan;
use crate::recipe::Leaf;

/// The keys of the datums in a sample; `None` for all. `NotFound` if there is none.
pub(super) fn keys(
    store: &Store,
    pipeline: &Pipeline,
    leaves: &[Leaf],
    sample: &Sample,
) -> Result<Option<BTreeSet<DatumKey>>> {
    if sample.is_all() {
        return Ok(None);
    }
    let planned = plan(store, pipeline, leaves, None)?;
    let total = usize::try_from(planned.total).unwrap_or(usize::MAX);
    let failed = match sample {
        Sample::Failed => match store.newest_job(pipeline.name())? {
            Some(job) => failed_keys(store, &job)?,
            None => BTreeSet::new(),
        },
        _ => BTreeSet::new(),
    };
    let is_wanted = |number: usize, key: &DatumKey, inputs: &[crate::datums::InputMatch]| match sample {
        Sample::All => true,
        // Of `total` items in a row, `count` evenly spread ones: where the share steps up.
        Sample::Some(count) => number * count / total != (number + 1) * count / total || *count >= total,
        Sample::Matching(glob) => inputs.iter().any(|input| glob.matches(input.path.as_str())),
        Sample::Failed => failed.contains(key),
    };
    let mut keys = BTreeSet::new();
    for (number, (key, inputs)) in planned.todo.into_iter().enumerate() {
        if is_wanted(number, &key, &inputs) {
            keys.insert(key);
        }
    }
    if keys.is_empty() {
        return Err(none(pipeline, sample));
    }
    Ok(Some(keys))
}

fn none(pipeline: &Pipeline, sample: &Sample) -> EngineError {
    let name = pipeline.name();
    let (what, hint) = match sample {
        Sample::Failed => (format!("no datum of the newest job of `{name}` failed"), format!("pv job show {name}")),
        Sample::Matching(glob) => {
            let hint = repos::files::glob_hint(glob.as_str()).unwrap_or_else(|| format!("pv plan {name} --datums"));
            (format!("no datum of `{name}` reads a path that matches `{glob}`"), hint)
        }
        Sample::All | Sample::Some(_) => {
            (format!("pipeline `{name}` has no datum with these inputs"), format!("pv explain {name}"))
        }
    };
    EngineError::NotFound { what, hint: Some(hint) }
}
