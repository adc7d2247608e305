//! Damaged stores: damaged data is never served, `pv fsck` names it, `pv fsck --repair` repairs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use repos::hash::digest_of;
use repos::object::Kind;
use repos::packs::writer::read_index;
use repos::packs::{LocalPacks, PackStore};
use serde_json::json;
use specs::Digest;
use tests::TestEnv;

use crate::flow;
use crate::support::{apply, env_with_notes, spec};

/// Where an object is stored: the pack, and the first and last position of its bytes.
fn places(env: &TestEnv, is: impl Fn(Kind, &Digest) -> bool) -> Vec<(PathBuf, u64, u64)> {
    let folder = env.dir().join(".pv/packs");
    let packs = LocalPacks::new(folder.clone());
    let mut found = Vec::new();
    for (name, length) in packs.list().unwrap() {
        for row in read_index(&packs, &name, length).unwrap() {
            let range = row.stored_range();
            if !range.is_empty() && Kind::from_number(row.kind).is_some_and(|kind| is(kind, &row.digest)) {
                found.push((folder.join(name.to_string()), range.start, range.end - 1));
            }
        }
    }
    assert!(!found.is_empty(), "there is such an object");
    found
}

/// Flips a bit in the middle of objects.
pub(crate) fn flip(env: &TestEnv, is: impl Fn(Kind, &Digest) -> bool) {
    for (pack, first, last) in places(env, is) {
        let mut bytes = std::fs::read(&pack).unwrap();
        bytes[usize::midpoint(first as usize, last as usize)] ^= 4;
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, bytes).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// A second copy of the store in its current state.
pub(crate) fn mirrored(env: &TestEnv) -> PathBuf {
    let mirror = env.dir().join("mirror");
    std::fs::create_dir(&mirror).unwrap();
    copy(&env.dir().join(".pv"), &mirror);
    mirror
}

/// Restores the store from its mirror.
pub(crate) fn restore(env: &TestEnv, mirror: &Path) {
    std::fs::remove_dir_all(env.dir().join(".pv")).unwrap();
    copy(&mirror.join(".pv"), env.dir());
}

/// All commands that read.
const READS: [&[&str]; 9] = [
    &["cat", "images:/a"],
    &["cat", "count:/count"],
    &["--json", "ls", "-r", "upper"],
    &["--json", "log", "count"],
    &["--json", "show", "upper"],
    &["diff", "--name-only", "upper"],
    &["trace", "count:/count", "--format", "json"],
    &["logs", "upper"],
    &["--json", "datum", "list", "upper"],
];

#[test]
fn a_flipped_bit_never_comes_out_as_data() {
    let env = flow::run();
    let mirror = mirrored(&env);
    let from = mirror.to_str().unwrap();
    let sound: Vec<String> = READS.iter().map(|args| env.ok(*args)).collect();
    for kind in [Kind::Chunk, Kind::Node, Kind::Commit, Kind::Result, Kind::Recipe, Kind::Transform, Kind::Version] {
        restore(&env, &mirror);
        flip(&env, |found, _| found == kind);
        let mut refused = 0;
        for (args, sound) in READS.iter().zip(&sound) {
            let output = env.output(*args);
            if output.status.code() == Some(5) {
                refused += 1;
                let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(stderr.contains("pv fsck --repair --from MIRROR"), "{kind} {args:?}: {stderr}");
                let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
                // A trace continues past damaged data, and reports the gap.
                let is_gap = args[0] == "trace" && stdout.contains("\"complete\":false");
                assert!(sound.starts_with(&stdout) || is_gap, "{kind} {args:?}: {stdout}");
            } else {
                assert_eq!(env.ok(*args), *sound, "{kind} {args:?}");
            }
        }
        assert!(refused > 0, "{kind}");
        let (_, code) = env.json_error(["fsck"]);
        assert_eq!(code, 5, "{kind}");
        env.ok(["fsck", "--repair", "--from", from]);
        for (args, sound) in READS.iter().zip(&sound) {
            assert_eq!(env.ok(*args), *sound, "{kind} {args:?} after repair");
        }
        assert!(env.ok(["fsck"]).starts_with("sound: "));
    }
}

#[test]
fn a_pack_without_its_index_costs_nothing_and_is_written_anew() {
    let env = flow::run();
    let sound: Vec<String> = READS.iter().map(|args| env.ok(*args)).collect();
    for entry in std::fs::read_dir(env.dir().join(".pv/packs")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[length - 20] ^= 1;
        bytes.truncate(length - 3);
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::remove_dir_all(env.dir().join(".pv/index")).ok();
    for (args, sound) in READS.iter().zip(&sound) {
        assert_eq!(env.ok(*args), *sound, "{args:?}");
    }
    assert_eq!(env.exit_code(["fsck"]), 5);
    assert!(env.ok(["fsck", "--repair"]).contains("rewritten from its"));
    assert!(env.ok(["fsck"]).starts_with("sound: "));
}

#[test]
fn an_output_is_made_again_by_its_recipe() {
    let env = env_with_notes();
    apply(&env, &spec("loud", "notes", "for f in /pfs/notes/*; do tr a-z A-Z < $f > /pfs/out/$(basename $f); done"));
    env.ok(["run"]);
    let sound = env.ok(["cat", "loud:/b"]);
    flip(&env, |kind, digest| kind == Kind::Chunk && *digest == digest_of(b"B\n"));
    assert_eq!(env.exit_code(["cat", "loud:/b"]), 5);
    let said = env.ok(["fsck", "--repair", "--network"]);
    assert!(said.contains("remade by running loud again (datum "), "{said}");
    assert_eq!(env.ok(["cat", "loud:/b"]), sound);
    assert!(env.ok(["fsck"]).starts_with("sound: "));
    // It had no other effects.
    env.ok(["run"]);
    assert_eq!(env.json(["job", "list", "loud"]).len(), 1);
    assert!(!env.dir().join(".pv/damaged").exists());
}

#[test]
fn an_output_that_rests_on_another_is_made_after_it() {
    let env = env_with_notes();
    env.write("more/x/1", "one\n");
    env.write("more/x/2", "two\n");
    env.ok(["put", "notes", "more"]);
    apply(
        &env,
        &spec("tree", "notes", "mkdir /pfs/out/t; find /pfs/notes -type f | sort > /pfs/out/t/$(ls /pfs/notes)"),
    );
    apply(&env, &spec("count", "tree", "wc -l /pfs/tree/t/* | tr -d ' ' > /pfs/out/all"));
    env.ok(["run"]);
    assert!(env.ok(["fsck"]).starts_with("sound: "));
    let sound = [env.ok(["cat", "tree:/t/x"]), env.ok(["cat", "count:/all"])];
    let wanted = sound.clone().map(|text| digest_of(text.as_bytes()));
    flip(&env, |kind, digest| kind == Kind::Chunk && wanted.contains(digest));
    assert_eq!([env.exit_code(["cat", "tree:/t/x"]), env.exit_code(["cat", "count:/all"])], [5, 5]);
    let said = env.ok(["fsck", "--repair", "--network"]);
    assert!(said.contains("running tree again") && said.contains("running count again"), "{said}");
    assert_eq!([env.ok(["cat", "tree:/t/x"]), env.ok(["cat", "count:/all"])], sound);
}

#[test]
fn what_reaches_the_network_is_not_run_for_a_repair_unless_that_is_allowed() {
    let env = env_with_notes();
    apply(&env, &spec("loud", "notes", "for f in /pfs/notes/*; do tr a-z A-Z < $f > /pfs/out/$(basename $f); done"));
    env.ok(["run"]);
    flip(&env, |kind, digest| kind == Kind::Chunk && *digest == digest_of(b"B\n"));
    let output = env.output(["fsck", "--repair"]);
    assert_eq!(output.status.code(), Some(5), "{}", env.shown(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("running loud again") && said.contains("would use the network: --network runs it"), "{said}");
    assert!(env.ok(["fsck", "--repair", "--network"]).contains("remade by running loud again"));
    assert_eq!(env.ok(["cat", "loud:/b"]), "B\n");
}

#[test]
fn what_gives_other_bytes_now_heals_nothing() {
    let env = env_with_notes();
    apply(&env, &spec("draw", "notes", "cat /proc/sys/kernel/random/uuid > /pfs/out/$(ls /pfs/notes)"));
    env.ok(["run"]);
    let drawn = env.ok(["cat", "draw:/a"]);
    flip(&env, |kind, digest| kind == Kind::Chunk && *digest == digest_of(drawn.as_bytes()));
    let output = env.output(["fsck", "--repair", "--network"]);
    assert_eq!(output.status.code(), Some(5), "{}", env.shown(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("gives different content") && said.contains(":/a"), "{said}");
    assert_eq!(env.exit_code(["cat", "draw:/a"]), 5);
    // What is left of it is set aside; everything else is unchanged.
    assert_eq!(std::fs::read_dir(env.dir().join(".pv/damaged")).unwrap().count(), 1);
    env.ok(["cat", "draw:/b"]);
}

#[test]
fn putting_the_same_bytes_again_heals_a_file_of_the_user() {
    let env = env_with_notes();
    let large: Vec<u8> = (0..600_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    env.write("large", &large);
    env.ok(["put", "notes", "large"]);
    flip(&env, |kind, digest| kind == Kind::Chunk && *digest == digest_of(b"b\n"));
    let mut chunks = places(&env, |kind, _| kind == Kind::Chunk);
    chunks.sort_by_key(|(_, first, last)| last - first);
    let (pack, first, _) = chunks.pop().unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[first as usize] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let output = env.output(["fsck", "--repair"]);
    assert_eq!(output.status.code(), Some(5));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("a pv put of the same content repairs it"), "{said}");
    assert_eq!([env.exit_code(["cat", "notes:/b"]), env.exit_code(["cat", "notes:/large"])], [5, 5]);
    env.ok(["put", "notes", "notes/b", "large"]);
    assert_eq!(env.ok(["cat", "notes:/b"]), "b\n");
    assert_eq!(env.output(["cat", "notes:/large"]).stdout, large);
    assert!(env.ok(["fsck", "--repair"]).starts_with("sound: "));
}

#[test]
fn a_damaged_journal_is_put_together_again_or_taken_from_a_mirror() {
    let env = flow::run();
    let mirror = mirrored(&env);
    let sound = env.ok(["--json", "log"]);
    let journal = env.dir().join(".pv/journal");
    let bytes = std::fs::read(&journal).unwrap();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    // A single byte is repaired without a mirror.
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 2;
    std::fs::write(&journal, &damaged).unwrap();
    std::fs::remove_dir_all(env.dir().join(".pv/index")).ok();
    assert_eq!([env.exit_code(["log"]), env.exit_code(["fsck"])], [5, 5]);
    env.ok(["fsck", "--repair"]);
    assert_eq!(env.ok(["--json", "log"]), sound);
    // A lost record and a lost end are repaired only from a mirror, and the report says what would be lost.
    for left in [[&lines[..2], &lines[3..]].concat().concat(), lines[..lines.len() - 1].concat()] {
        std::fs::write(&journal, left).unwrap();
        std::fs::remove_dir_all(env.dir().join(".pv/index")).ok();
        let output = env.output(["fsck", "--repair"]);
        assert_eq!(output.status.code(), Some(5));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("not repaired journal: cannot be repaired: record"), "{said}");
        env.ok(["fsck", "--repair", "--from", mirror.to_str().unwrap()]);
        assert_eq!(env.ok(["--json", "log"]), sound);
    }
    assert_eq!(std::fs::read(&journal).unwrap(), bytes);
}

#[test]
fn a_lost_pack_and_a_lost_format_come_back() {
    let env = flow::run();
    // With an index on disk, which still names the packs.
    env.ok(["fsck", "--rebuild-index"]);
    let mirror = mirrored(&env);
    let sound = env.ok(["trace", "count:/count", "--format", "json"]);
    for entry in std::fs::read_dir(env.dir().join(".pv/packs")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    std::fs::remove_file(env.dir().join(".pv/format")).unwrap();
    assert_eq!(env.exit_code(["ls", "images"]), 5);
    let report = env.output(["--json", "fsck"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["sound"], json!(false));
    assert!(report["problems"].as_array().unwrap().iter().any(|problem| problem["what"] == "format"), "{report}");
    let (error, code) = env.json_error(["fsck", "--repair"]);
    assert_eq!((&error["kind"], code), (&json!("damaged"), 5));
    assert_eq!(env.exit_code(["fsck", "--repair", "--from", "nowhere"]), 3);
    env.ok(["fsck", "--repair", "--from", mirror.to_str().unwrap()]);
    assert_eq!(env.ok(["trace", "count:/count", "--format", "json"]), sound);
    // A wrong mirror is reported before it is needed.
    assert_eq!(env.exit_code(["fsck", "--repair", "--from", "nowhere"]), 3);
}
