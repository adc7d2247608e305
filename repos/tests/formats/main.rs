//! The formats are frozen: these bytes and ids never change. A newer format gets another number, and old objects keep their ids.
//!
//! The expected values were computed independently by a program written only from the descriptions of the formats.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod documents;
mod journal;
mod keys;
mod objects;

use common::name;
use repos::Timestamp;
use repos::documents::{Commit, CommitKind, canonical};
use repos::hash::digest_of;
use repos::tree::Tree;
use specs::{BranchName, CommitId, Digest, RunId};

/// 2026-07-01T12:14:43.000123Z.
const AT: i64 = 1_782_908_083_000_123;

fn at() -> Timestamp {
    Timestamp::from_micros(AT)
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn commit_id(byte: u8) -> CommitId {
    CommitId::new(digest(byte))
}

fn run() -> RunId {
    RunId::from_bytes([0xab; 16])
}

/// Joins text that is broken into indented lines here but is one line in the format.
fn joined(text: &str) -> String {
    text.lines().map(str::trim_start).collect()
}

fn is<T: serde::Serialize>(document: &T, json: &str, id: &str) {
    let bytes = canonical(document);
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), joined(json));
    assert_eq!(digest_of(&bytes).to_string(), id);
}

fn user_commit() -> Commit {
    Commit {
        repo: name("images"),
        branch: BranchName::main(),
        parents: Vec::new(),
        tree: Tree::empty().root(),
        lineage: None,
        datums: None,
        run: run(),
        kind: CommitKind::User,
        author: String::new(),
        committer: "uid:1000@edge".to_owned(),
        message: String::new(),
        created_at: at(),
        provenance: Vec::new(),
        sources: Vec::new(),
        origins: Vec::new(),
        pipeline: None,
        job: None,
        error: None,
        journal: None,
    }
}
