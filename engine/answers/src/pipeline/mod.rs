//! Pipelines: their state, their parts, and their versions.
//!
//! - `view` the current version of a pipeline, and its state
//! - `versions` all versions

mod versions;
mod view;

pub use engine::apply::differences;
pub use repos::documents::{CodeStamp, GitCheck};
pub use versions::{VersionDetails, VersionView, pipeline_versions, version_details};
pub use view::{
    PipelineDetails, PipelineLine, PipelineState, PipelineView, newest_of_version, pipeline_details, pipeline_view,
    pipelines,
};
