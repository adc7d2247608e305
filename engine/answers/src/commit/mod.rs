//! Commits: in short, in full with signatures and certificates, and their history.
//!
//! - `view` a commit
//! - `log` a commit and its ancestors, or those that changed a path
//! - `vouched` signatures and rerun certificates

mod log;
mod view;
mod vouched;

pub use log::{ChangedView, Log, PathChange, log};
pub use repos::documents::{Certificate, CertifiedStage, Repetition};
pub use view::{CommitChanges, CommitView, commit_changes, commit_view, first_changes, place_of};
pub use vouched::{
    CertificateView, CommitDetails, SignatureState, SignatureView, certificates, commit_details, signatures,
};
