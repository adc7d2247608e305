//! A journal, rewritten by an attacker without its key.

use std::path::Path;

use repos::documents::canonical;
use repos::hash::digest_of;
use serde_json::{Value, json};
use specs::Digest;

/// Pseudo-random numbers.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end.max(1)
    }

    pub(super) fn of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

/// The records of a journal; can be changed and written with matching digests.
pub(super) struct Records(pub(super) Vec<Value>);

impl Records {
    pub(super) fn read(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join(".pv/journal")).unwrap();
        Self(text.lines().map(|line| serde_json::from_str(&line[65..]).unwrap()).collect())
    }

    pub(super) fn write(mut self, dir: &Path) {
        let (mut text, mut previous) = (String::new(), None);
        for record in &mut self.0 {
            match previous {
                Some(digest) => record["previous"] = json!(digest),
                None => drop(record.as_object_mut().unwrap().remove("previous")),
            }
            let json = canonical(record);
            let digest: Digest = digest_of(&json);
            text.push_str(&format!("{digest} {}\n", String::from_utf8(json).unwrap()));
            previous = Some(digest);
        }
        std::fs::write(dir.join(".pv/journal"), text).unwrap();
    }

    /// Appends a record without a signature, or with that of another record.
    pub(super) fn append(&mut self, numbers: &mut Numbers, entries: &Value) {
        let at = self.0.last().unwrap()["at"].clone();
        let mut record = json!({"format": 1, "at": at, "entries": entries});
        if numbers.below(2) == 0 {
            record["format"] = json!(2);
            record["signature"] = numbers.of(&self.0)["signature"].clone();
        }
        self.0.push(record);
    }

    /// Rewrites the records as an old version that did not sign records.
    pub(super) fn unsign(&mut self) {
        for record in &mut self.0 {
            record["format"] = json!(1);
            record.as_object_mut().unwrap().remove("signature");
        }
    }

    /// The newest move of a branch.
    pub(super) fn head(&self, repo: &str, branch: &str) -> Value {
        let entries = self.0.iter().flat_map(|record| record["entries"].as_array().unwrap());
        let moves = entries.flat_map(|entry| {
            let moved = entry.get("moved").cloned().filter(|moved| !moved.is_null());
            entry["moves"].as_array().cloned().unwrap_or_default().into_iter().chain(moved)
        });
        let mut to =
            moves.filter(|moved| moved["repo"] == repo && moved["branch"] == branch).map(|moved| moved["to"].clone());
        to.next_back().unwrap_or(Value::Null)
    }

    /// Every commit that the journal names.
    pub(super) fn commits(&self) -> Vec<Value> {
        let text = serde_json::to_string(&self.0).unwrap();
        let ends = text.match_indices("\"to\":\"").map(|(at, found)| json!(&text[at + found.len()..][..64]));
        ends.collect()
    }
}

pub(super) fn run_entry(numbers: &mut Numbers, cause: &str, moved: &Value) -> Value {
    let run = format!("{:016x}{:016x}", numbers.below(1 << 30), numbers.below(1 << 30));
    let at = "2026-07-01T12:14:43.000123Z";
    json!({"kind": "run", "run": run, "cause": {"cause": cause, "committer": "uid:0@test", "at": at}, "moves": [moved]})
}
