//! Applies one function to many items on all cores; the first error stops the rest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::Result;

/// Items a thread takes at a time: few enough to balance the load, enough that neighbouring items stay on one thread.
const BATCH: usize = 16;

/// The number of threads for `count` items.
pub(crate) fn threads(count: usize) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(count.div_ceil(BATCH)).max(1)
}

/// Calls `work` with every number below `count`, and returns the results in that order. Each thread has its own `state`.
pub(crate) fn map<S, T: Send>(
    count: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut values: Vec<Option<T>> = Vec::new();
    values.resize_with(count, || None);
    each(threads(count), values.iter_mut().map(Ok), state, |state, at, value| {
        *value = Some(work(state, at)?);
        Ok(())
    })?;
    Ok(values.into_iter().flatten().collect())
}

/// Calls `work` with every item and its number. Items are pulled as needed, so there can be any number of them; each thread has its own
/// `state`.
pub(crate) fn each<S, T: Send>(
    threads: usize,
    items: impl Iterator<Item = Result<T>> + Send,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, T) -> Result<()> + Sync,
) -> Result<()> {
    let source = Mutex::new(items.enumerate().fuse());
    let failed = AtomicBool::new(false);
    let run = || -> Result<()> {
        let mut state = state();
        let mut batch = Vec::with_capacity(BATCH);
        while !failed.load(Ordering::Relaxed) {
            batch.extend(source.lock().expect("no panic under this lock").by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            let done = batch.drain(..).try_for_each(|(at, item)| work(&mut state, at, item?));
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
            done?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        let ended =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.fold(own, Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::RepoError;

    fn numbers(count: usize) -> impl Iterator<Item = Result<usize>> + Send {
        (0..count).map(Ok)
    }

    #[test]
    fn every_item_is_taken_once_and_an_error_ends_it() {
        let squares = map(1000, || (), |(), at| Ok(at * at)).unwrap();
        assert!(squares.iter().enumerate().all(|(at, square)| at * at == *square) && squares.len() == 1000);
        assert!(map(0, || (), |(), at| Ok(at)).unwrap().is_empty());
        each(2, numbers(0), || (), |(), _, _| Err(RepoError::GraphMoved)).unwrap();
        let failed =
            each(2, numbers(1000), || (), |(), at, _| if at == 777 { Err(RepoError::GraphMoved) } else { Ok(()) });
        assert!(matches!(failed, Err(RepoError::GraphMoved)));
        let broken = (0..1000).map(|at| if at == 500 { Err(RepoError::GraphMoved) } else { Ok(at) });
        assert!(matches!(each(2, broken, || (), |(), _, _| Ok(())), Err(RepoError::GraphMoved)));
    }
}
