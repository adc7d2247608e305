//! Sandboxes on other machines: the engine's half, and that of a worker.
//!
//! A *worker* is a process with an executor of its own. It dials the engine, joins, and opens sandboxes as the engine asks. Each sandbox,
//! and each question about an image, is a *stream* of numbered messages; stream 0 is for the worker as a whole.
//!
//! ```text
//! link     worker: Register | Return        engine: Welcome | Refused      once a link
//! streams  engine: Open                     worker: Want* Opened
//!          engine: Run (Next|Typed)*        worker: (Want|WantTyped|Event)* Ended     for each try
//!          engine: Close                    worker: Closed
//!          engine: Resolve | …              worker: Pull* Resolved | …
//! 0                                         worker: Going Gone
//! any      engine: Content*  after each Want; both: Taken, Alive
//! ```
//!
//! *Files*: the worker asks for those that it does not have, by digest, and the engine sends only files of the sandbox or try at hand. Any
//! other ask ends the worker. The worker checks the SHA-256 of each whole file, and keeps files for later tries (`cache`).
//!
//! *Links break*: each side keeps what the other has not taken yet, at most 4 MiB a stream, then the sender waits. After a new link both send
//! what the other lacks, so a running try goes on. After 15 s of silence the engine gives a worker up: its sandboxes are lost
//! ([`ExecError::WorkerLost`](crate::ExecError::WorkerLost)). A worker that returns later is refused; it closes its sandboxes and joins anew.
//!
//! *Slots*: a worker runs at most as many tries at once as it has slots. A try waits for a slot at its sandbox's worker, so sandboxes that
//! are idle keep nobody waiting.
//!
//! *Ending*: a worker that is going away says so, starts nothing more, lets running tries end for at most 15 s, and leaves.
//!
//! The modules, from ground to roof:
//!
//! ```text
//! link       a connection, and how a worker makes one
//! streams    numbered messages over links that may break
//! messages   what engine and worker say
//! workers    the engine's side: who has joined, slots, silence
//! elsewhere  the engine's half of a sandbox
//! images     the workers as an executor: open, and questions about images
//! cache      files that a worker keeps
//! files      the files of one sandbox, as they arrive at a worker
//! serve      what a worker does in one stream
//! work       the worker's side: join, return, end
//! tests      engine and worker in one process
//! ```
//! Not here: how links travel (`server`), who may join, images saved beside the store, folders of the host in sandboxes.

mod cache;
mod elsewhere;
mod files;
mod images;
mod link;
mod messages;
mod serve;
mod streams;
#[cfg(test)]
mod tests;
mod work;
mod workers;

pub(crate) use images::open_with;
pub use link::{Dial, DialError, Link};
pub use work::{WorkerNews, WorkerOptions, work};
pub use workers::{WorkerState, Workers};
