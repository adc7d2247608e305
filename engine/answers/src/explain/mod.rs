//! Explains why something ran, why it did not, and why its state is what it is.
//!
//! - `recipes`: which fields of two recipes differ, as text
//! - `sides`: two datums or jobs side by side: values, files, who committed them
//! - `pairs`: two that the user named
//! - `datum`: why a datum was executed, or was not, compared with the nearest earlier one
//! - `job`: why a job was created, what had changed, and what it did
//! - `pipeline`: why nothing runs for a pipeline
//!
//! Not here: what would run (`preview`), where a file came from (`trace`).

mod datum;
mod job;
mod pairs;
mod pipeline;
mod recipes;
mod sides;
mod subject;

pub use datum::{DatumExplained, Earlier, explain_datum};
pub use job::{InputChange, JobExplained, explain_job};
pub use pairs::{Compared, DatumSide, compare_datums, compare_jobs};
pub use pipeline::{InputExplained, PipelineExplained, explain_pipeline};
pub(crate) use recipes::changes_of_recipe;
pub(crate) use sides::transform_changes;
pub use sides::{Differences, FieldChange};
pub use subject::{Subject, one_job, subject};
