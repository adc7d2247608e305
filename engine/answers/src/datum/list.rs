//! The datums of a job as a list: ended ones, then running ones.

use engine::Result;
use engine::live::{JobKey, Live};
use repos::{JobRow, Store, Timestamp};

use super::view::{DatumFilter, DatumState, DatumView, datums, datums_at_work};

/// The datums of a job in a state: those that ended since a time, then the running ones; read lazily.
pub fn datum_list<'s>(
    store: &'s Store,
    live: Option<&Live>,
    job: &JobRow,
    (state, since): (Option<DatumState>, Option<Timestamp>),
) -> Result<impl Iterator<Item = Result<DatumView>> + use<'s>> {
    let mut running = Vec::new();
    if job.sealed.is_none() {
        // Read before the ended datums, so that none is missed in between.
        let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
        let known = live.and_then(|live| live.job(&key));
        running = known.map(|known| datums_at_work(store, job, &known)).transpose()?.unwrap_or_default();
        running.retain(|datum| state.is_none_or(|state| state == datum.state));
    }
    let mut ended = datums(store, live, job, DatumFilter { state, ..DatumFilter::default() })?;
    let is_since =
        move |datum: &DatumView| datum.finished_at.is_none_or(|ended| since.is_none_or(|since| ended >= since));
    Ok(std::iter::from_fn(move || {
        for datum in ended.by_ref() {
            match datum {
                Ok(datum) if is_since(&datum) => {
                    // It has ended since, so it is not running any more.
                    running.retain(|other| other.id != datum.id);
                    return Some(Ok(datum));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        if running.is_empty() { None } else { Some(Ok(running.remove(0))) }
    }))
}
