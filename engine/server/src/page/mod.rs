//! The page: the views of `web` at their addresses, for browsers with a session and for clients that send a token.
//!
//! - `routes`: which view is where
//! - `documents`: documents as answers; what fails is shown as one too
//! - `act`: forms, as calls of the API's operations
//! - `session`: logging in without the command line
//! - `forward`: what else is a request of the API: files of a form, a new branch, pictures, sound and films
//! - `pictures`: small pictures of images
//! - `pinned`: from the name of a branch or revision to its commit
//! - `differences`: what differs between two pictures, as a picture
//! - `proofs`: verdicts of verifications, and traces as one file
//!
//! A view sees the store as the API's handlers do, through [`Call`]; a form is a request of the API. So a page shows and changes exactly what
//! its reader may.

mod act;
mod differences;
mod documents;
mod forward;
mod pictures;
mod pinned;
mod proofs;
mod routes;
mod session;

pub(crate) use documents::nothing_here;
pub(crate) use routes::router;
