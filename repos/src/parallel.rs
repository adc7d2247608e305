//! Does the same with many things on all cores; the first error stops the rest.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::store::Result;

/// Items a thread takes at a time: few enough to share the work evenly, enough that neighbours stay with one thread.
const BATCH: usize = 32;

/// Calls `work` with every number below `count`, and gives the values in that order. Each thread has a `state` of its own.
pub(crate) fn map<S, T: Send>(
    count: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count.div_ceil(BATCH)).max(1);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let run = || -> Result<Vec<(usize, Vec<T>)>> {
        let mut state = state();
        let mut batches = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            if start >= count {
                break;
            }
            let batch: Result<Vec<T>> = (start..count.min(start + BATCH)).map(|at| work(&mut state, at)).collect();
            failed.fetch_or(batch.is_err(), Ordering::Relaxed);
            batches.push((start, batch?));
        }
        Ok(batches)
    };
    let per_thread: Result<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    });
    let mut batches: Vec<_> = per_thread?.into_iter().flatten().collect();
    batches.sort_unstable_by_key(|(start, _)| *start);
    Ok(batches.into_iter().flat_map(|(_, values)| values).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RepoError;

    #[test]
    fn values_keep_their_order_and_an_error_ends_it() {
        let squares = map(1000, || (), |(), at| Ok(at * at)).unwrap();
        assert!(squares.iter().enumerate().all(|(at, square)| at * at == *square) && squares.len() == 1000);
        assert!(map(0, || (), |(), at| Ok(at)).unwrap().is_empty());
        let failed = map(1000, || (), |(), at| if at == 777 { Err(RepoError::GraphMoved) } else { Ok(at) });
        assert!(matches!(failed, Err(RepoError::GraphMoved)));
    }
}
