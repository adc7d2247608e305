//! Tests of the `pv` binary from outside: one file per command, then one per promise that involves several.
//!
//! - `run` `failures` `sandbox` `hostile` `executors` pipelines: how they end, what they see, that executors agree
//! - `reuse` computed results are not computed again
//! - `serve` the long-running engine; `deploy` service managers, containers, logs; `server_page` the page about the server; `api` the API
//!   as tools of others see it; `server_load` the server under load; `server_keys` a killed server; `stranger` a server and its client on
//!   two bare machines
//! - `page` the page in a real browser
//! - `watching` what a running job shows
//! - `workers` other machines that execute datums
//! - `kubernetes` pods of a real cluster, which `make test-kubernetes` starts; `manifests` the chart and the manifests for one
//! - `outcome` changes whose answer was lost
//! - `beside` `kill` `chain` concurrent processes and crashes during a run
//! - `damage` damaged stores
//! - `time` pipelines that are stopped and started, cron inputs, triggers
//! - `stories` typical tasks of users, from the first command to the answer
//! - `first_week` an analyst's three days, a model builder's grid, an auditor's page, a lost image
//! - `pachyderm` specs and habits of Pachyderm users, and the page for them
//! - `web` files from the web, from lists and from archives
//! - `threat` `training` `classics` the complete examples
//! - `gc_beside` garbage collection during other work, and killed collections
//! - `terminal` untrusted text does not control a terminal; `screen` what a terminal shows
//! - `checkpoint` `known` proofs that a journal only grew, for others and for the user's own machine
//! - `ids` `as_of` `versions` `matching` `excludes` what can be named: ids, times, versions of pipelines, patterns
//! - `names` `disk` `waiting` odd names, failing disks, two processes on one store
//! - `documents` `hints` `help` suggested commands work as written
//! - `support` events to wait for, pipelines to wait in

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod api;
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
mod deploy;
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
mod kubernetes;
mod log;
mod ls;
mod manifests;
mod matching;
mod metrics;
mod names;
mod notify;
mod objects;
mod outage;
mod outcome;
mod output;
mod owner;
mod pachyderm;
mod page;
mod pipeline;
mod published;
mod put;
mod remote;
mod repo;
mod reuse;
mod rework;
mod round_trip;
mod run;
mod sandbox;
mod screen;
mod secret;
mod serve;
mod server_keys;
mod server_load;
mod server_page;
mod show;
mod status;
mod stories;
mod stranger;
mod support;
mod tag;
mod terminal;
mod threat;
mod through;
mod time;
mod token;
mod trace;
mod training;
mod tries;
mod txn;
mod verify;
mod versions;
mod waiting;
mod watch;
mod watching;
mod web;
mod workers;
