//! Commits: one in short and with all that vouches for it, and those that came before it.
//!
//! - `view`    a commit
//! - `log`     a commit and those before it, or those that changed a path
//! - `vouched` signatures, and certificates that it was made again

mod log;
mod view;
mod vouched;

pub use log::{ChangedView, Log, PathChange, log};
pub use repos::documents::{Certificate, CertifiedStage, Repetition};
pub use view::{CommitChanges, CommitView, commit_changes, commit_view, place_of};
pub use vouched::{
    CertificateView, CommitDetails, SignatureState, SignatureView, certificates, commit_details, signatures,
};
