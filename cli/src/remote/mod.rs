//! Commands through a server on another machine.
//!
//! The command line runs in the server's process, on its engine, with the same code as everywhere, so that output and exit code are the
//! same by construction. The client parses its arguments only to see where the command runs and what it reads from the client's machine.
//! A connection is one command: messages over a WebSocket (`protocol` has their forms).
//!
//! ```text
//! client → hello                                  ← hello     both versions; a client of another protocol is refused
//!        → attached…, start                       ← taken     what the command reads, its arguments; from here on it runs
//!        → input, input end                       ← want      standard input, only as much as the command reads
//!        → took                                   ← output    a bounded amount of output is on its way
//!        → signal, resize, closed                 ← exit
//! ```
//! If the connection is lost, the server cancels the command; the client repeats what may be repeated (`Repeat`) and says of all else that
//! it is not known what was done.
//!
//! - `protocol` messages and their bytes
//! - `terminal` a pseudo-terminal for a stream that is a terminal at the client
//! - `streams` pipes and terminals of a command, and their other ends
//! - `running` a command that runs: what its client sends, and its end
//! - `session` the server's side: takes commands, each in a thread
//! - `orders` what a command has its client do: write files, send what its sources hold, get files
//! - `objects`, `outgoing` content that a client sends, on both sides; `incoming` content that it fetches
//! - `servers` which server to use, and the tokens of `pv login`
//! - `printing` writes what comes from a server
//! - `patience` how long a command is tried again
//! - `typed` standard input, read only when the command wants some
//! - `client` the client's side of a command
//!
//! Not here: what a command reads (`commands`), the way from a URL and a token to a WebSocket (the crate `dial`), HTTP and tokens on the
//! server's side (the crate `server`).

pub(crate) mod client;
mod incoming;
pub(crate) mod objects;
mod orders;
pub(crate) mod outgoing;
mod patience;
mod printing;
pub(crate) mod protocol;
mod running;
pub(crate) mod servers;
pub(crate) mod session;
mod streams;
mod terminal;
mod typed;
