//! Explain: why something ran, why it did not, and why it is as it is.
//!
//! - `recipes`  two recipes, field by field
//! - `datum`    why a datum was executed, or was not, against the nearest earlier one
//! - `job`      why a job came about, what had changed, and what it did
//! - `pipeline` why nothing runs for a pipeline
//!
//! Not here: what would run (`outlook`), where a file came from (`trace`).

mod datum;
mod job;
mod pipeline;
mod recipes;

pub use datum::{DatumExplained, Earlier, explain_datum, explain_datum_against};
pub use job::{InputChange, JobExplained, explain_job};
pub use pipeline::{InputExplained, PipelineExplained, explain_pipeline};
pub use recipes::{FieldChange, RecipeSides};
pub(crate) use recipes::{changes_of_recipe, words_of};
