//! The `pv` binary from outside: one file a command, then one a promise that takes several.
//!
//! - `run` `failures` `sandbox` `hostile` `executors` pipelines: how they end, what they see, that executors agree
//! - `reuse` what is computed once is not computed again
//! - `serve` the engine that lives on
//! - `watching` what is seen of a job while it runs
//! - `outcome` changes whose answer was lost
//! - `beside` `kill` `chain` what other processes and sudden ends do to a run
//! - `damage` stores of which something is damaged
//! - `time` pipelines that stop and start, clocks, triggers
//! - `stories` what people come with, from the first command to the answer
//! - `first_week` an analyst's three days, a model builder's grid, an auditor's page, an image that is lost
//! - `pachyderm` what its users bring: their specs, their habits, the page for them
//! - `web` files from the web, from lists and from archives
//! - `threat` `training` `classics` the examples as a whole
//! - `gc_beside` garbage collected while others work, and killed
//! - `terminal` what others wrote does not act on a terminal; `screen` what is to be seen there
//! - `checkpoint` `known` that a journal only grew, shown to others and noted by oneself
//! - `ids` `as_of` `versions` `matching` `excludes` what can be named: ids, times, versions of pipelines, patterns
//! - `names` `disk` `waiting` odd names, disks that fail, two processes at one store
//! - `documents` `hints` `help` what people are told to type is done as it stands
//! - `support` events to wait for, pipelines to wait in

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod as_of;
mod beside;
mod bounds;
mod branch;
mod bundle;
mod chain;
mod checkpoint;
mod classics;
mod config;
mod damage;
mod datum;
mod diff;
mod disk;
mod documents;
mod errors;
mod excludes;
mod executors;
mod explain;
mod failures;
mod find;
mod first_week;
mod flow;
mod forged;
mod fsck;
mod gc;
mod gc_beside;
mod get;
mod help;
mod hints;
mod hostile;
mod ids;
mod init;
mod intoto;
mod job;
mod key;
mod kill;
mod known;
mod log;
mod ls;
mod matching;
mod metrics;
mod names;
mod objects;
mod outage;
mod outcome;
mod output;
mod owner;
mod pachyderm;
mod pipeline;
mod published;
mod put;
mod repo;
mod reuse;
mod rework;
mod round_trip;
mod run;
mod sandbox;
mod screen;
mod secret;
mod serve;
mod show;
mod status;
mod stories;
mod support;
mod tag;
mod terminal;
mod threat;
mod time;
mod trace;
mod training;
mod tries;
mod txn;
mod verify;
mod versions;
mod waiting;
mod watching;
mod web;
