//! The way to a server: from a URL and a token to a WebSocket.
//!
//! The command line goes this way for commands that a server runs and for `pv worker join`, and so does the benchmark of very many workers
//! (`examples/agents.rs`).
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! error       why a server cannot be used
//! server      which server, with which token, and whose certificates to trust
//! connection  from there to a WebSocket; who a token belongs to
//! joining     the connections of a worker
//! ```
//! Not here: which server a command uses, tokens that are kept, and what is said about commands (`cli`); what a worker says (`sandbox`).

mod connection;
mod error;
mod joining;
mod server;

pub use connection::{Again, COMMANDS, LoginLink, MESSAGE_MAX, NoConnection, Socket, TokenOwner};
pub use connection::{connect, login_link, token_owner};
pub use error::ServerError;
pub use joining::Way;
pub use server::Server;
