//! The differences between two files of each kind.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod common;

use std::io::{Cursor, Write};

use common::{compared, tight};
use compare::{Detail, Options};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::json as value;

/// The differences with default limits, as JSON.
fn json(name: &str, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> serde_json::Value {
    serde_json::to_value(compared(name, old.as_ref(), new.as_ref(), &Options::default()).detail).unwrap()
}

#[test]
fn texts_are_compared_by_lines() {
    let found = json("a.txt", "one\ntwo\nthree\n", "one\n2\nthree\nfour");
    assert_eq!(
        [&found["kind"], &found["lines_added"], &found["lines_removed"]],
        [&value!("text"), &value!(2), &value!(1)]
    );
    let lines = value!([" one", "-two", "+2", " three", "+four", "\\ no line end at the end of the file"]);
    assert_eq!(found["hunks"][0]["lines"], lines);
}

#[test]
fn values_are_compared_by_their_path() {
    let old = r#"{"a": {"b": [1, 2.0]}, "gone": null, "same": "x", "k.e": 10}"#;
    let new = r#"{"same": "x", "a": {"b": [1.0, 3, {"c": true}]}, "k.e": 5}"#;
    let found = json("a.json", old, new);
    let values = value!([
        {"path": "a.b.1", "old": 2.0, "new": 3, "change": 1.0, "relative": 0.5},
        {"path": "a.b.2.c", "new": true},
        {"path": "gone", "old": null},
        {"path": "\"k.e\"", "old": 10, "new": 5, "change": -5.0, "relative": -0.5},
    ]);
    assert_eq!(found["values"], values);
    let counts = ["changed", "added", "removed", "unchanged"].map(|name| found[name].clone());
    assert_eq!(counts, [value!(2), value!(1), value!(1), value!(2)]);
    let large = json("a.json", "[9007199254740993]", "[9007199254740994]");
    assert_eq!(large["values"][0]["change"], value!(1.0), "beyond what a float holds");
}

#[test]
fn yaml_is_read_as_its_values() {
    let old = "base: &b {rate: 0.5, steps: 0x10}\nrun:\n  <<: *b\n  name: \"1\"\n";
    let new = "base: &b {rate: 5e-1, steps: 17}\nrun: {<<: *b, name: 1}\n";
    let found = json("a.yml", old, new);
    let values = value!([
        {"path": "base.steps", "old": 16, "new": 17, "change": 1.0, "relative": 0.0625},
        {"path": "run.name", "old": "1", "new": 1, "sorts": ["text", "number"]},
        {"path": "run.steps", "old": 16, "new": 17, "change": 1.0, "relative": 0.0625},
    ]);
    assert_eq!(found["values"], values);
}

#[test]
fn tables_are_compared_by_rows_and_cells() {
    let old = "id,part,score,gone\n1,a,0.5,x\n1,b,0.6,x\n2,a,0.7,x\n";
    let new = "part,id,score,new\na,2,0.7,y\na,1,0.55,y\nb,3,\"1,5\",y\n";
    let found = json("a.csv", old, new);
    assert_eq!(found["key"], value!(["id", "part"]));
    assert_eq!([&found["columns_added"], &found["columns_removed"]], [&value!(["new"]), &value!(["gone"])]);
    assert_eq!([&found["added"], &found["removed"]], [&value!([["3", "b"]]), &value!([["1", "b"]])]);
    let cells = value!([{"key": ["1", "a"], "cells": [{"column": "score", "old": "0.5", "new": "0.55"}]}]);
    assert_eq!(found["changed"], cells);
}

#[test]
fn rows_without_a_key_are_compared_by_content_then_number() {
    let found = json("a.tsv", "x\ty\n1\t2\n1\t2\n", "x\ty\n1\t2\n1\t3\n1\t2\n");
    assert_eq!([&found["key"], &found["rows_added"], &found["added"]], [&value!([]), &value!(1), &value!([["2"]])]);
    assert_eq!([&found["by"], &found["rows_changed"]], [&value!("content"), &value!(0)], "equal rows are paired first");
    let disjoint = json("a.csv", "score\n0.1\n0.2\n", "score\n0.3\n0.4\n");
    assert_eq!([&disjoint["key"], &disjoint["rows_changed"]], [&value!([]), &value!(2)], "scores are no key");
}

#[test]
fn a_key_that_is_given_counts_also_when_it_is_not_unique() {
    let options = Options { key: vec!["k".to_owned()], ..Options::default() };
    let found = compared("a.csv", b"v,k\n1,a\n2,a\n3,b\n", b"v,k\n1,a\n5,a\n", &options).detail;
    let Detail::Table(found) = found else { panic!("{found:?}") };
    assert_eq!((found.rows_changed, found.rows_removed, found.changed[0].cells[0].new.as_str()), (1, 1, "5"));
    let options = Options { key: vec!["none".to_owned()], ..Options::default() };
    let found = compared("a.csv", b"v\n1\n", b"v\n2\n", &options);
    let key_use = found.key_use.unwrap();
    assert_eq!((key_use.lacking, key_use.columns), (vec!["none".to_owned()], vec!["v".to_owned()]));
    let Detail::Table(found) = found.detail else { panic!() };
    assert_eq!(found.notes, ["the key is ignored: column `none` is not on both sides"]);
}

#[test]
fn changed_rows_are_found_whatever_is_held_at_a_time() {
    let table = |shift: u32, step: usize| {
        let rows: Vec<String> =
            (0..19).map(|id| format!("{id},{}", id * 3 + if id % 2 == 0 { shift } else { 0 })).collect();
        let order = (0..19).map(|at| rows[at * step % 19].clone());
        format!("id,value\n{}\n", order.collect::<Vec<_>>().join("\n"))
    };
    let options = Options { limits: tight(), ..Options::default() };
    let Detail::Table(found) = compared("a.csv", table(0, 1).as_bytes(), table(1, 7).as_bytes(), &options).detail
    else {
        panic!("a table")
    };
    assert_eq!((found.rows_changed, found.cells_changed, found.changed.len()), (10, 10, 3));
    let first: Vec<&str> = found.changed.iter().map(|row| row.key[0].as_str()).collect();
    assert_eq!(first, ["0", "2", "4"], "the first of the old side");
}

fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb(pixel(x, y)));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn images_are_compared_by_pixels() {
    let pixel = |x: u32, y: u32| [(x * 9) as u8, (y * 9) as u8, 40];
    let old = png(20, 10, pixel);
    let new = png(20, 10, |x, y| if x < 5 { [200, 0, 40] } else { pixel(x, y) });
    let options = Options { picture: true, ..Options::default() };
    let found = compared("a.png", &old, &new, &options);
    let Detail::Image(image) = found.detail else { panic!() };
    assert_eq!(image.pixels_changed, Some(0.25));
    assert!(image.similarity.unwrap() < 0.95 && image.max_difference == Some(200.0));
    let picture = image::load_from_memory(&found.picture.unwrap()).unwrap().into_rgb8();
    let red = picture.pixels().filter(|pixel| pixel.0[0] > 100).count();
    assert_eq!((picture.dimensions(), red), ((20, 10), 50));
    let other_size = json("a.png", &old, png(10, 20, pixel));
    assert_eq!([&other_size["new"]["width"], &other_size["pixels_changed"]], [&value!(10), &value!(null)]);
}

/// A file in numpy's format, version 1.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn numbers_that_are_none_are_counted_and_not_spread() {
    let old = npy("<f4", "(2, 2)", &floats(&[3.0, 4.0, f32::NAN, 1.0]));
    let new = npy("<f4", "(2, 2)", &floats(&[3.0, 2.0, f32::NAN, f32::INFINITY]));
    let found = &json("a.npy", old, new)["tensors"][0];
    let numbers = ["elements", "changed", "l2", "relative", "max_abs", "old_nan", "new_nan", "new_infinite"];
    let numbers = numbers.map(|name| found[name].as_f64().unwrap());
    assert_eq!(value!(numbers), value!([4.0, 2.0, 2.0, 0.4, 2.0, 1.0, 1.0, 1.0]));
}

#[test]
fn integers_are_compared_exactly() {
    let bytes = |value: i64| npy("<i8", "(1,)", &value.to_le_bytes());
    let found = &json("a.npy", bytes(i64::MAX), bytes(i64::MAX - 1))["tensors"][0];
    assert_eq!([&found["max_abs"], &found["changed"]], [&value!(1.0), &value!(1)]);
    let wide = &json("a.npy", bytes(7), npy(">i2", "(1,)", &7_i16.to_be_bytes()))["tensors"][0];
    assert_eq!([&wide["change"], &wide["changed"]], [&value!("retyped"), &value!(0)]);
}

#[test]
fn archives_are_compared_tensor_by_tensor() {
    let archive = |files: &[(&str, Vec<u8>)]| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    let tensor = |values: &[f32]| npy("<f4", &format!("({},)", values.len()), &floats(values));
    let old =
        archive(&[("a", tensor(&[1.0, 2.0])), ("b", tensor(&[1.0])), ("c", tensor(&[1.0])), ("d", tensor(&[5.0]))]);
    let new = archive(&[
        ("a", tensor(&[1.0, 2.5])),
        ("b", tensor(&[9.0])),
        ("c", tensor(&[1.0, 1.0])),
        ("e", tensor(&[5.0])),
    ]);
    let found = json("a.npz", &old, new);
    let names: Vec<_> =
        found["tensors"].as_array().unwrap().iter().map(|tensor| [&tensor["name"], &tensor["change"]]).collect();
    let expected = [["e", "added"], ["d", "removed"], ["c", "reshaped"], ["b", "changed"], ["a", "changed"]];
    assert_eq!(value!(names), value!(expected), "and the most changed first");
    assert_eq!(json("a.npz", &old, &old)["unchanged"], value!(4));
}

#[test]
fn safetensors_are_compared_tensor_by_tensor() {
    let file = |last: f32| {
        let data = floats(&[1.0, last]);
        let half = 0x3c00_u16.to_le_bytes();
        let brain = 0x3f80_u16.to_le_bytes();
        let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"h":{"dtype":"F16","shape":[1],"data_offsets":[8,10]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[10,12]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data, &half, &brain].concat()
    };
    let found = json("a.safetensors", file(2.0), file(3.0));
    assert_eq!(
        [&found["changed"], &found["unchanged"], &found["tensors"][0]["l2"]],
        [&value!(1), &value!(2), &value!(1.0)]
    );
}

#[test]
fn what_is_malformed_or_too_large_is_compared_as_text_or_bytes_and_says_why() {
    let why = |name: &str, old: &[u8], new: &[u8]| {
        let options = Options { limits: tight(), ..Options::default() };
        match compared(name, old, new, &options).detail {
            Detail::Bytes(found) if new.contains(&0) => found.why,
            Detail::Text(found) if found.lines_added > 0 => found.why,
            other => panic!("{name}: {other:?}"),
        }
    };
    let deep = "[".repeat(20) + &"]".repeat(20);
    let bomb = format!(
        "a: &a [1, 2, 3]\n{}",
        (b'b'..b'h')
            .map(|c| format!("{0}: &{0} [*{1}, *{1}, *{1}]\n", c as char, (c - 1) as char))
            .collect::<Vec<_>>()
            .concat()
    );
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("a.json", b"{\"a\": }".to_vec(), "the new side is malformed JSON: expected value at line 1 column 7"),
        ("a.json", deep.clone().into_bytes(), "the new side is too much: it is nested too deep"),
        (
            "a.json",
            format!("[{}1]", "1,".repeat(60)).into_bytes(),
            "the new side is too much: it has more than 50 values",
        ),
        ("a.yaml", deep.into_bytes(), "the new side is too much: it is nested too deep"),
        ("a.yaml", bomb.into_bytes(), "the new side is too much: it has more than 50 values"),
        ("a.csv", b"a,b\n1\n".to_vec(), "the new side is malformed CSV: line 2 has 1 cell, but the first line has 2"),
        (
            "a.csv",
            format!("a,b\n1,\"{}", "x".repeat(9000)).into_bytes(),
            "the new side is malformed CSV: a row is too large",
        ),
        (
            "a.csv",
            "a,b\n".to_owned().into_bytes().into_iter().chain("1,2\n".repeat(30).into_bytes()).collect(),
            "the new side is too much: it has more than 20 rows",
        ),
        (
            "a.png",
            png(30, 30, |_, _| [0, 0, 0]),
            "the new side is too large an image: 30 × 30 pixels; at most 400 are compared",
        ),
        (
            "a.npy",
            npy("<f4", "(18446744073709551615, 3)", b"\0"),
            "the new side is malformed numpy array: its shape is too large",
        ),
        (
            "a.npy",
            npy("<f4", "(5,)", &[0; 8]),
            "the new side is malformed tensors: `array` has fewer bytes than its shape requires",
        ),
    ];
    let sound = |name: &str| match name {
        "a.json" => b"{\"a\": 1}".to_vec(),
        "a.yaml" => b"a: 1\n".to_vec(),
        "a.csv" => b"a,b\n1,2\n".to_vec(),
        "a.png" => png(3, 3, |_, _| [0, 0, 0]),
        "a.npy" => npy("<f4", "(1,)", &[0; 4]),
        _ => b"text\n".to_vec(),
    };
    for (name, new, expected) in cases {
        assert_eq!(why(name, &sound(name), &new), expected, "{name}");
    }
}

#[test]
fn bytes_tell_where_they_begin_to_differ() {
    let old: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut new = old.clone();
    new[600_000] ^= 1;
    new.splice(700_000..700_000, *b"\0\0more");
    let found = json("a.bin", &old, &new);
    let numbers = ["old_bytes", "new_bytes", "first_difference", "common_prefix", "common_suffix", "shared_bytes"];
    let numbers = numbers.map(|name| found[name].as_u64().unwrap());
    assert_eq!(numbers, [1_000_000, 1_000_006, 600_000, 600_000, 300_000, 900_000]);
    assert_eq!(json("a.bin", [0, 1], [0, 1])["first_difference"], value!(null));
}
