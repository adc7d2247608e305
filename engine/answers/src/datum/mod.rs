//! The datums of a job, live or ended; nothing is kept twice.
//!
//! - `view`    datums, as many as a filter lets through
//! - `list`    those that have ended, then those at work
//! - `known`   where the datums of a job are known from, whether it has ended or not
//! - `find`    references to datums, resolved
//! - `details` all about one datum, with what it read and wrote
//!
//! Not here: where bytes came from (`trace`).

mod details;
mod find;
mod known;
mod list;
mod view;

pub use details::{DatumDetails, datum_details, datum_with_files, last_words};
pub use find::{FoundDatum, find_datum, find_datums_of_input};
pub(crate) use known::Known;
pub use known::{provenance_of, results_of};
pub use list::datum_list;
pub use repos::documents::{ResultState, Try};
pub use view::{
    DatumFilter, DatumInput, DatumState, DatumView, Datums, TryView, datum_view, datums, datums_at_work, paths_of,
    running_datums,
};
