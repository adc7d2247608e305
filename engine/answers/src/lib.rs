//! Answers to questions about a store. Each question is a function, with its result type next to it.
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! words    numbers and words in texts that are part of answers
//! sorted   objects whose fields stand in the order of the alphabet
//! short    ids as people type them
//! named    what words name: ids of every sort, versions of pipelines, jobs; and the files that they stand for
//! file     files and directories: listed, read, copied
//! commit   commits, those before them, and what vouches for them
//! run      runs, and why they came about
//! repo     repositories
//! branch   branches, and how they moved
//! tag      tags
//! datum    the datums of a job
//! job      jobs: one in short, all about one
//! pipeline pipelines: how far each is, what it is made of, its versions
//! logs     what user code printed
//! status   the store at a glance, and what needs a person
//! setting  settings, and secrets by their names
//! key      the keys that commits are signed with
//! find     where a content, or a name, is and was
//! object   one thing, whatever its sort: what a word names first, and what there is to say about it
//! trace    where a file comes from, and what came of it
//! image    the images on record, and where each is
//! metrics  what files say in figures, beside the parameters that they came from
//! explain  why something ran, or did not
//! diff     what differs between two commits, and why
//! preview  what would run
//! trial    how the results of a trial compare with the current output
//! proof    claims that others can check: statements, envelopes; executing claimed results again
//! ```
//! Nothing here changes a store. Not here: what makes commits flow (`engine`), words and tables (`cli`).
//!
//! Parameters are plain data: a store, what an engine of this process does (`Live`), ids, filters, limits. So the command line, the
//! server and the page call the same functions. `tests/schemas.rs` holds the JSON form of every type that programs see.

pub mod branch;
pub mod commit;
pub mod datum;
pub mod diff;
pub mod explain;
pub mod file;
pub mod find;
pub mod image;
pub mod job;
pub mod key;
pub mod logs;
pub mod metrics;
pub mod named;
pub mod object;
pub mod pipeline;
pub mod preview;
pub mod proof;
pub mod repo;
pub mod run;
pub mod setting;
pub mod short;
pub mod sorted;
pub mod status;
pub mod tag;
pub mod trace;
pub mod trial;
pub mod upkeep;
pub mod words;
