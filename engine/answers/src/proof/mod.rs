//! Proof: a store's claims, checked, and in forms that others can check.
//!
//! - `verify`: whether a claim is true, link by link
//! - `statement`: claims about the commits in a trace: in-toto Statements with SLSA provenance
//! - `evidence`: which files, datums and logs of a trace belong to which commit
//! - `envelope`: a signed statement: DSSE
//! - `bundle`: a claim with everything needed to convince others of it, in one file
//! - `rerun`: executes the provenance of a claim again
//!
//! Not here: keys and signatures of commits (`repos::keys`), how a trace is found (`trace`).

mod bundle;
mod envelope;
mod evidence;
mod rerun;
mod statement;
mod verify;
mod views;

use repos::Store;

use crate::trace::Trace;
use engine::Result;

pub use repos::keys::PublicKey;
pub use repos::log::checkpoint::Checkpoint;

pub use bundle::{Case, Contents, gather, verify_bundle};
pub use envelope::{Envelope, EnvelopeSignature, PAYLOAD_TYPE, authenticated};
pub use rerun::{Intended, Repeat, rerun};
pub use statement::{COMMIT_PREDICATE, Descriptor, JOB_BUILD_TYPE, SLSA_PREDICATE, Statement, statements};
pub use verify::{Link, LinkKind, Report, Since, State, TrustedKey, Verdict, verify, verify_checkpoint};
pub use views::{BundleView, CheckpointView, Shows, SinceView, VerifyView, checkpoint, verify_view};

/// All statements about a trace, signed with the key of this place.
pub fn envelopes(store: &Store, trace: &Trace) -> Result<Vec<Envelope>> {
    let signed = |statement| Envelope::seal(statement, |bytes| Ok(store.sign_bytes(bytes)?));
    statements(store, trace)?.iter().map(signed).collect()
}
