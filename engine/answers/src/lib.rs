//! Answers to questions about a store. Each question is a function, with its result type next to it.
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! words    commands as a shell reads them
//! sorted   objects with their fields in alphabetical order
//! sight    what of an answer is not visible to the one who asks
//! named    resolves words: all kinds of ids, versions of pipelines, jobs; and the files that they stand for
//! file     files and directories: listed, read, copied
//! moment   a point in the past: after a run, or at a time
//! commit   commits, their history, signatures and certificates
//! run      runs and their causes
//! change   what a change of files did
//! repo     repositories
//! branch   branches and their moves
//! tag      tags
//! datum    the datums of a job
//! job      jobs: in short, in full
//! pipeline pipelines: their state, their parts, their versions
//! graph    the graph of repositories and pipelines, now or at an earlier moment
//! logs     output of user code
//! watch    watched folders, and how they are doing
//! worker   machines that have joined the engine of this process
//! status   an overview of the store, and what needs the user
//! storage  what takes how much of the disk
//! setting  settings, and the names of secrets
//! key      the keys that sign commits
//! event    changes of the store, in order
//! token    the tokens that a server accepts, and the log of what was done with them
//! find     where a content or a name is and was
//! object   anything that a word names, and its description
//! trace    where a file comes from, and what was derived from it
//! image    the images in the records, and where each is
//! metrics  the figures in files, with the parameters that led to them
//! explain  why something ran, or did not
//! diff     what differs between two commits, and why
//! preview  what would run
//! trial    how the results of a trial compare with the current output
//! proof    claims that others can verify: statements, envelopes; reruns of claimed results
//! upkeep   findings of a check of the store, and what garbage collection and pruning free
//! ```
//! Nothing here changes a store. Not here: what makes commits flow (`engine`), words and tables (`cli`).
//!
//! A store handle with limited access (`Store::seen_by`) gets an answer without what it may not see; where something leads there, the
//! answer says how much is missing (`sight`).
//!
//! Parameters are plain data: a store, what an engine of this process does (`Live`), ids, filters, limits. So the command line, the
//! server and the web page call the same functions. `tests/schemas.rs` holds the JSON schema of every type that programs see.

pub mod branch;
pub mod change;
pub mod commit;
pub mod datum;
pub mod diff;
pub mod event;
pub mod explain;
pub mod file;
pub mod find;
pub mod graph;
pub mod image;
pub mod job;
pub mod key;
pub mod logs;
pub mod metrics;
pub mod moment;
pub mod named;
pub mod object;
pub mod pipeline;
pub mod preview;
pub mod proof;
pub mod repo;
pub mod run;
pub mod setting;
pub mod sight;
pub mod sorted;
pub mod status;
pub mod storage;
pub mod tag;
pub mod token;
pub mod trace;
pub mod trial;
pub mod upkeep;
pub mod watch;
pub mod words;
pub mod worker;
