//! Pipelines: their state, their parts, and their versions.
//!
//! - `view` the current version of a pipeline, and its state
//! - `versions` all versions
//! - `yaml` a spec as people write it
//! - `applied` what an apply, a check or a rollback did

mod applied;
mod versions;
mod view;
mod yaml;

pub use applied::{AppliedView, CheckedView, RolledView, WarningView, checked_view, rolled_view};
pub use engine::apply::differences;
pub use repos::documents::{CodeStamp, GitCheck};
pub use versions::{VersionDetails, VersionView, pipeline_versions, version_at, version_details};
pub use view::{
    PipelineDetails, PipelineLine, PipelineState, PipelineView, pipeline_details, pipeline_lines, pipeline_view,
    pipelines, pipelines_after,
};
pub use yaml::{spec_text, spec_value_text};
