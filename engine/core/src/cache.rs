//! The global cache: a recipe that was executed once need not be executed again, for any pipeline, branch or time. Only results that this
//! place executed or a signed commit names count (`repos::Store::vouched_result`).

use repos::documents::ResultState;
use repos::object::Kind;
use repos::tree::{KeyRange, Tree};
use repos::{RepoError, Store};
use specs::{DatumId, Digest, PipelineName, RunId};

use crate::graph::Pipeline;

/// A result that can replace another execution of its recipe.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its digest.
    pub result: Digest,
    /// Root of its map of output files.
    pub outputs: Digest,
    /// The job that executed it.
    pub pipeline: PipelineName,
    /// The run of that job.
    pub run: RunId,
}

/// The newest result of a recipe whose exit code the pipeline's spec accepts and whose output is completely available.
pub fn cached(store: &Store, pipeline: &Pipeline, recipe: &DatumId) -> Result<Option<Known>, RepoError> {
    let accepts = |code: i32| code == 0 || pipeline.spec.transform.accept_return_code.contains(&code);
    for (digest, state, exit_code) in store.results(recipe)? {
        // After a power cut the index may contain a result whose bytes never reached the disk.
        if state != ResultState::Success || !exit_code.is_some_and(accepts) || !store.contains(Kind::Result, &digest)? {
            continue;
        }
        // A result injected into the packs is ignored.
        let Some(result) = store.vouched_result(&digest)? else { continue };
        if let Some(outputs) = result.outputs
            && is_whole(store, Tree::at(outputs))?
        {
            return Ok(Some(Known { result: digest, outputs, pipeline: result.pipeline, run: result.run }));
        }
    }
    Ok(None)
}

fn is_whole(store: &Store, outputs: Tree) -> Result<bool, RepoError> {
    for entry in outputs.range(store, KeyRange::all())? {
        if !store.has_content(&entry?.1.digest)? {
            return Ok(false);
        }
    }
    Ok(true)
}
