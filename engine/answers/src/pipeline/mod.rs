//! Pipelines: how far each is, what it is made of, and the versions that it had.
//!
//! - `view`     a pipeline as it is
//! - `versions` the versions that it had

mod versions;
mod view;

pub use engine::apply::differences;
pub use repos::documents::{CodeStamp, GitCheck};
pub use versions::{VersionDetails, VersionView, pipeline_versions, version_details};
pub use view::{
    PipelineDetails, PipelineLine, PipelineState, PipelineView, newest_of_version, pipeline_details, pipeline_view,
    pipelines,
};
