//! Whatever the bytes, a comparison ends within its limits and without a panic.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod common;

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use common::{compared, tight};
use compare::{Detail, FileFlips, Options, Query, Side, compare, flips};
use proptest::prelude::*;

const NAMES: [&str; 11] =
    ["a.txt", "a.json", "a.jsonl", "a.yaml", "a.csv", "a.tsv", "a.png", "a.npy", "a.npz", "a.safetensors", "a.bin"];

/// Valid files, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let image = image::RgbImage::from_fn(9, 9, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let images = [image::ImageFormat::Png, image::ImageFormat::Bmp, image::ImageFormat::Gif, image::ImageFormat::Tiff];
    let mut seeds: Vec<Vec<u8>> = images
        .into_iter()
        .map(|format| {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        })
        .collect();
    let npy =
        b"\x93NUMPY\x01\0\x40\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }     \n0123456789abcdef"
            .to_vec();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&npy).unwrap();
    seeds.push(writer.finish().unwrap().into_inner());
    seeds.push(npy);
    let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    seeds.push([&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), b"01234567"].concat());
    seeds.push(b"a,b\n1,2\n3,\"x\ny\"\n".to_vec());
    seeds.push(b"{\"a\": [1, {\"b\": null}], \"c\": \"x\"}\n".to_vec());
    seeds.push(b"a: &x [1, 2]\nb: *x\n? [c]\n: |\n  text\n".to_vec());
    seeds
}

/// A valid file with some bytes changed, removed or duplicated.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6);
    (prop::sample::select(seeds()), edits).prop_map(|(mut bytes, edits)| {
        for (at, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => bytes = [&bytes[..at], &bytes[at / 2..]].concat(),
            }
        }
        bytes
    })
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        broken(),
        prop::collection::vec(any::<u8>(), 0..300),
        "[\\[\\]{}:,\"\\\\ \n*&a1.-]{0,200}".prop_map(String::into_bytes)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_two_files_can_be_compared(name in prop::sample::select(&NAMES[..]), old in anything(), new in anything()) {
        for limits in [compare::Limits::default(), tight()] {
            let listed = limits.listed;
            let options = Options { limits, picture: true, key: Vec::new() };
            match compared(name, &old, &new, &options).detail {
                Detail::Bytes(found) => {
                    prop_assert_eq!(found.first_difference.is_none(), old == new);
                    prop_assert!(found.common_prefix + found.common_suffix <= old.len().min(new.len()) as u64);
                }
                Detail::Metrics(found) => prop_assert!(found.values.len() <= listed),
                Detail::Table(found) => {
                    prop_assert_eq!(found.old_rows + found.rows_added, found.new_rows + found.rows_removed);
                }
                Detail::Text(_) | Detail::Image(_) | Detail::Tensors(_) => {}
            }
        }
    }

    #[test]
    fn a_file_does_not_differ_from_itself(name in prop::sample::select(&NAMES[..]), file in anything()) {
        match compared(name, &file, &file, &Options::default()).detail {
            Detail::Text(found) => prop_assert!(found.hunks.is_empty()),
            Detail::Metrics(found) => prop_assert_eq!(found.changed + found.added + found.removed, 0),
            Detail::Table(found) => prop_assert_eq!(found.rows_changed + found.rows_added + found.rows_removed, 0),
            Detail::Image(found) => {
                prop_assert_eq!(found.pixels_changed, Some(0.0));
                prop_assert!((found.similarity.unwrap() - 1.0).abs() < 1e-9);
            }
            Detail::Tensors(found) => prop_assert!(found.tensors.is_empty(), "{:?}", found.tensors),
            Detail::Bytes(found) => prop_assert_eq!(found.first_difference, None),
        }
    }

    /// Compares rows by key, in any order, with maps.
    #[test]
    fn tables_agree_with_maps(old in rows(), new in rows(), seed in any::<u64>()) {
        let order = |rows: &std::collections::BTreeMap<u8, u8>, seed: u64| {
            let mut lines: Vec<String> = rows.iter().map(|(key, value)| format!("{key},{value}")).collect();
            let turn = seed as usize % lines.len().max(1);
            lines.rotate_left(turn);
            format!("key,value\n{}\n", lines.join("\n"))
        };
        let options = Options { key: vec!["key".to_owned()], ..Options::default() };
        let detail = compared("a.csv", order(&old, 0).as_bytes(), order(&new, seed).as_bytes(), &options).detail;
        let Detail::Table(found) = detail else { panic!("{detail:?}") };
        let both = |key: &&u8| old.contains_key(key) && new.contains_key(key);
        let changed = old.keys().filter(both).filter(|key| old[key] != new[key]).count() as u64;
        prop_assert_eq!(found.rows_changed, changed);
        prop_assert_eq!(found.rows_removed, old.len() as u64 - old.keys().filter(both).count() as u64);
        prop_assert_eq!(found.rows_added, new.len() as u64 - new.keys().filter(both).count() as u64);
    }

    #[test]
    fn every_record_is_counted_once(old in rows(), new in rows(), as_table in any::<bool>()) {
        let file = |rows: &std::collections::BTreeMap<u8, u8>| {
            let flag = |value: &u8| value % 3;
            if as_table {
                let lines: Vec<String> = rows.iter().map(|(key, value)| format!("{key},{},{value}", flag(value))).collect();
                format!("key,flag,value\n{}\n", lines.join("\n"))
            } else {
                let lines: Vec<String> =
                    rows.iter().map(|(key, value)| format!("{{\"key\": {key}, \"flag\": {}}}", flag(value))).collect();
                format!("[{}]", lines.join(","))
            }
        };
        let (old_file, new_file) = (file(&old), file(&new));
        let name = if as_table { "a.csv" } else { "a.json" };
        let (mut one, mut other) = (Cursor::new(&old_file), Cursor::new(&new_file));
        let query = Query { field: "flag".to_owned(), key: vec!["key".to_owned()], listed: 1000 };
        let found = flips(
            Some(Side { name, size_bytes: old_file.len() as u64, content: &mut one, pieces: Vec::new() }),
            Some(Side { name, size_bytes: new_file.len() as u64, content: &mut other, pieces: Vec::new() }),
            &query,
            &compare::Limits::default(),
        ).unwrap().unwrap_or_default();
        let FileFlips { unchanged, old_only, new_only, moves, flipped, .. } = found;
        let sum = |counts: &std::collections::BTreeMap<String, u64>| counts.values().sum::<u64>();
        let moved: u64 = moves.values().sum();
        prop_assert_eq!(sum(&unchanged) + sum(&old_only) + moved, old.len() as u64);
        prop_assert_eq!(sum(&unchanged) + sum(&new_only) + moved, new.len() as u64);
        let expected = old.iter().filter(|(key, value)| new.get(key).is_some_and(|new| new % 3 != **value % 3)).count();
        prop_assert_eq!((moved, flipped.len()), (expected as u64, expected));
    }
}

fn rows() -> impl Strategy<Value = std::collections::BTreeMap<u8, u8>> {
    prop::collection::btree_map(any::<u8>(), any::<u8>(), 0..40)
}

/// Fails after this many bytes.
struct Failing(Cursor<Vec<u8>>, u64);

impl Read for Failing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.position() >= self.1 { Err(io::Error::other("the disk is gone")) } else { self.0.read(into) }
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_side_that_cannot_be_read_is_an_error_and_no_malformed_file() {
    for seed in seeds() {
        for name in NAMES {
            let size_bytes = seed.len() as u64;
            let (mut sound, mut failing) = (Cursor::new(seed.clone()), Failing(Cursor::new(seed.clone()), 0));
            let old = Side { name, size_bytes, content: &mut sound, pieces: Vec::new() };
            let new = Side { name, size_bytes, content: &mut failing, pieces: Vec::new() };
            assert!(compare(old, new, &Options::default()).is_err(), "{name}");
        }
    }
}
