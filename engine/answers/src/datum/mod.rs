//! The datums of a job, running or ended.
//!
//! - `view` datums that match a filter
//! - `list` ended datums, then running ones
//! - `known` the sources of a job's datums, whether it has ended or not
//! - `find` resolves references to datums
//! - `input` those that read a file, found from its path
//! - `order` failed ones first, then the slowest
//! - `details` one datum in full, with its inputs and outputs
//!
//! Not here: where bytes came from (`trace`).

mod details;
mod find;
mod input;
mod known;
mod list;
mod order;
mod view;

pub use details::{DatumDetails, datum_details, datum_with_files, last_words};
pub use find::{FoundDatum, find_datum, find_datums_of_input};
pub use input::datums_of_input;
pub(crate) use known::Known;
pub use known::{hidden_inputs, provenance_of, results_of};
pub use list::datum_list;
pub use order::{DatumOrder, Ranked, datums_in_order, datums_in_order_within};
pub use repos::documents::{ResultState, Try};
pub use view::{
    DatumFilter, DatumInput, DatumState, DatumView, Datums, TryView, datum_view, datums, datums_at_work,
    growth_in_words, paths_of, running_datums,
};
