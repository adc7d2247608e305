//! The one rule of equality, and the handling of odd files written by programs.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod common;

use std::io::Cursor;

use common::{compared, tight};
use compare::{Detail, FileFlips, Limits, NoRecords, Options, PairedBy, Query, Side, TableDiff, TextDiff, flips};
use serde_json::{Value, json as value};

fn detail(name: &str, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Detail {
    compared(name, old.as_ref(), new.as_ref(), &Options::default()).detail
}

fn json(name: &str, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Value {
    serde_json::to_value(detail(name, old, new)).unwrap()
}

fn text(name: &str, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> TextDiff {
    match detail(name, old, new) {
        Detail::Text(found) => found,
        other => panic!("{name}: {other:?}"),
    }
}

fn table(name: &str, old: &str, new: &str) -> TableDiff {
    match detail(name, old, new) {
        Detail::Table(found) => found,
        other => panic!("{name}: {other:?}"),
    }
}

fn turned(name: &str, old: &str, new: &str, field: &str, key: &[&str]) -> Result<FileFlips, NoRecords> {
    let (mut one, mut other) = (Cursor::new(old), Cursor::new(new));
    let query = Query { field: field.to_owned(), key: key.iter().map(ToString::to_string).collect(), listed: 100 };
    let side = |content, text: &str| Side { name, size_bytes: text.len() as u64, content, pieces: Vec::new() };
    flips(Some(side(&mut one, old)), Some(side(&mut other, new)), &query, &Limits::default()).unwrap()
}

/// Changed, added, removed.
fn counts(found: &Value) -> [u64; 3] {
    ["changed", "added", "removed"].map(|name| found[name].as_u64().unwrap())
}

#[test]
fn numbers_are_equal_when_they_are_the_same_number_in_every_kind_of_file() {
    let cases = [
        ("1", "1.0", true),
        ("1e3", "1000", true),
        ("0.10", "0.1", true),
        ("-0", "0", true),
        ("18446744073709551617", "18446744073709551616", false),
        ("123456789012345678901234", "123456789012345678901235", false),
        ("9007199254740993", "9007199254740992", false),
        ("0.1", "0.10000000000000000001", false),
        ("1", "2", false),
    ];
    for (old, new, are_equal) in cases {
        for name in ["a.json", "a.yaml", "a.jsonl"] {
            let file = |number: &str| {
                if name == "a.yaml" { format!("id: {number}\n") } else { format!("{{\"id\": {number}}}") }
            };
            let found = json(name, file(old), file(new));
            assert_eq!(counts(&found), [u64::from(!are_equal), 0, 0], "{name} {old} {new}");
        }
        let file = |number: &str| format!("k,v\na,{number}\n");
        let found = table("a.csv", &file(old), &file(new));
        assert_eq!(
            (found.rows_changed, found.cells_changed),
            (u64::from(!are_equal), u64::from(!are_equal)),
            "{old} {new}"
        );
        for name in ["a.csv", "a.jsonl"] {
            let file = |number: &str| match name {
                "a.csv" => format!("k,v\na,{number}\n"),
                _ => format!("{{\"k\": \"a\", \"v\": {number}}}\n"),
            };
            let found = turned(name, &file(old), &file(new), "v", &[]).unwrap();
            assert_eq!(found.moves.is_empty(), are_equal, "{name} {old} {new}");
        }
    }
    let found = json("a.json", r#"{"id": 123456789012345678901234}"#, r#"{"id": 123456789012345678901235}"#);
    let told = value!([{"path": "id", "old": "123456789012345678901234", "new": "123456789012345678901235", "change": 1.0, "relative": 1.0 / 123_456_789_012_345_678_901_234.0}]);
    assert_eq!(found["values"], told);
}

#[test]
fn spellings_of_true_are_equal_where_the_format_has_them_and_sorts_are_told_apart() {
    assert_eq!(counts(&json("a.yaml", "a: True\n", "a: true\n")), [0; 3]);
    assert_eq!(table("a.csv", "k,v\na,True\nb,FALSE\n", "k,v\na,true\nb,false\n").rows_changed, 0);
    let found = json("a.json", r#"{"a": "true", "b": "1"}"#, r#"{"a": true, "b": 1}"#);
    assert_eq!(counts(&found), [2, 0, 0]);
    assert_eq!(found["values"][1]["sorts"], value!(["text", "number"]));
    assert_eq!(table("a.csv", "k,v\na,007\n", "k,v\na,7\n").cells_changed, 1, "with zeros in front it is a name");
    let found = turned("a.jsonl", "{\"v\": \"true\"}\n", "{\"v\": true}\n", "v", &[]).unwrap();
    assert_eq!(found.moves.keys().next().unwrap(), &("\"true\"".to_owned(), "true".to_owned()));
    let found = turned("a.csv", "k,v\na,True\nb,no\n", "k,v\nb,no\na,TRUE\n", "v", &[]).unwrap();
    assert_eq!(found.unchanged.get("true"), Some(&1));
}

#[test]
fn a_key_that_is_given_twice_is_compared_each_time_and_said() {
    let found =
        json("a.json", r#"{"a": 1, "b": {"a": 5, "a": 6}, "a": 2}"#, r#"{"a": 3, "b": {"a": 5, "a": 7}, "a": 2}"#);
    let paths: Vec<&Value> = found["values"].as_array().unwrap().iter().map(|change| &change["path"]).collect();
    assert_eq!(value!(paths), value!(["a", "b.a#2"]));
    assert_eq!(found["repeated_keys"], value!(["a", "b.a"]));
    assert_eq!(counts(&json("a.yaml", "a: 1\na: 2\n", "a: 2\n")), [1, 0, 1]);
}

#[test]
fn what_python_writes_is_read() {
    let found = json(
        "a.json",
        "{\"loss\": NaN, \"acc\": 0.5, \"big\": Infinity}",
        "{\"loss\": 0.25, \"acc\": 0.75, \"big\": Infinity}",
    );
    let values = value!([
        {"path": "acc", "old": 0.5, "new": 0.75, "change": 0.25, "relative": 0.5},
        {"path": "loss", "old": "NaN", "new": 0.25},
    ]);
    assert_eq!([&found["values"], &found["unchanged"]], [&values, &value!(1)]);
    assert_eq!(counts(&json("a.json", "[NaN]", "[ NaN ]")), [0; 3], "what stays no number did not change");
}

#[test]
fn what_cannot_be_read_as_its_kind_is_compared_as_text_and_says_why() {
    let cases: [(&str, &[u8], &[u8], &str); 9] = [
        (
            "a.json",
            b"{\"x\": 1 // one\n}\n",
            b"{\"x\": 2 // one\n}\n",
            "the old side is malformed JSON: expected `,` or `}` at line 1 column 9",
        ),
        (
            "a.json",
            b"[1,\n2,\n]\n",
            b"[1,\n3,\n]\n",
            "the old side is malformed JSON: a trailing comma at line 3 column 1",
        ),
        (
            "a.json",
            b"{\"x\": 1}\n",
            b"{\"x\": 1e400}\n",
            "the new side is malformed JSON: a number out of the range of floats at line 1 column 7",
        ),
        (
            "a.json",
            b"{\"x\": \"a\tb\"}\n",
            b"{\"x\": 1}\n",
            "the old side is malformed JSON: a control character in a string at line 1 column 9",
        ),
        (
            "a.json",
            b"{\"x\": \"caf\xe9\"}\n",
            b"{\"x\": \"caf\xe8\"}\n",
            "the old side is malformed JSON: invalid utf-8 sequence of 1 bytes from index 10",
        ),
        ("a.yaml", b"a:\n\t- 1\n", b"a:\n\t- 2\n", "the old side is malformed YAML"),
        (
            "a.csv",
            b"a,b\n1,2\n",
            b"a,b\n1,2,3\n",
            "the new side is malformed CSV: line 2 has 3 cells, but the first line has 2",
        ),
        ("a.csv", b"x\n1\n", b"y\n1\n", "the two tables have no column in common"),
        ("a.npy", b"no array\n", b"nor this\n", "the old side is malformed numpy array: it does not start like one"),
    ];
    for (name, old, new, why) in cases {
        let found = text(name, old, new);
        assert!(found.why.starts_with(why), "{name}: {}", found.why);
        assert!(found.lines_added > 0, "{name}");
    }
    let latin = text("a.json", b"\"caf\xe9\"\n", b"\"caf\xe8\"\n");
    assert_eq!(latin.hunks[0].lines, ["-\"caf\\xe9\"", "+\"caf\\xe8\""], "other bytes look otherwise");
    let Detail::Bytes(found) = detail("a.json", b"{\"a\": 1}\0", b"{\"a\": 2}\0") else { panic!() };
    assert!(found.why.is_empty(), "a file with zeros is no JSON at all");
}

#[test]
fn long_texts_are_compared_whatever_is_held_at_a_time() {
    let lines: Vec<String> = (0..400).map(|number| format!("line {number}\n")).collect();
    let old = lines.concat();
    let mut new = lines.clone();
    new.remove(350);
    new.insert(100, "inserted\n".to_owned());
    new[20] = "changed\n".to_owned();
    let found = text("a.txt", &old, new.concat());
    assert_eq!((found.lines_added, found.lines_removed, found.hunks.len()), (2, 2, 3));
    assert_eq!(found.hunks[1].lines[3], "+inserted");
    assert_eq!((found.hunks[1].old_start, found.hunks[1].old_lines, found.hunks[1].new_lines), (98, 6, 7));
    // Only four lines a side at a time: more is shown than necessary, but it still leads from one to the other.
    let options =
        Options { limits: Limits { text_held: 50, text_lines: 10_000, ..Limits::default() }, ..Options::default() };
    let Detail::Text(found) = compared("a.txt", old.as_bytes(), new.concat().as_bytes(), &options).detail else {
        panic!()
    };
    assert_eq!((found.lines_added, found.lines_removed), (2, 2), "what is found within the parts is as little");
    assert_eq!(found.notes, ["compared in parts of 50 lines: lines that moved further count as removed and added"]);
    let Detail::Text(found) =
        compared("a.txt", old.as_bytes(), new.concat().as_bytes(), &Options { limits: tight(), ..Options::default() })
            .detail
    else {
        panic!()
    };
    assert!(found.lines_left_out > 0 && found.hunks.iter().map(|hunk| hunk.lines.len()).sum::<usize>() <= 5);
}

#[test]
fn where_long_lines_differ_is_shown() {
    let line = |end: &str| format!("{}{end}{}\n", "x".repeat(30_000), "y".repeat(30_000));
    let found = text("a.txt", line("1"), line("2"));
    let shown = &found.hunks[0].lines;
    assert!(shown[0].contains("x1y") && shown[1].contains("x2y"), "{shown:?}");
    assert!(shown.iter().all(|line| line.chars().count() < 2100));
    let value = |end: &str| format!("{{\"a\": \"{}{end}\"}}", "x".repeat(5000));
    let found = json("a.json", value("1"), value("2"));
    assert!(found["values"][0]["new"].as_str().unwrap().ends_with("x2"));
}

#[test]
fn line_ends_that_differ_are_said() {
    let found = text("a.txt", "a\nb\n", "a\r\nb\r\n");
    assert_eq!((found.lines_added, found.notes), (2, vec!["line ends of the differences: LF → CRLF".to_owned()]));
}

fn records(ids: impl IntoIterator<Item = u32>, label: impl Fn(u32) -> &'static str) -> String {
    let records =
        ids.into_iter().map(|id| format!("{{\"id\": \"r{id}\", \"label\": \"{}\", \"s\": 0.{id}}}", label(id)));
    format!("[{}]", records.collect::<Vec<_>>().join(", "))
}

#[test]
fn records_of_lists_find_a_key_and_say_so() {
    let old = records(1..=9, |_| "a");
    let new = records([42].into_iter().chain(1..=9), |id| if id == 4 { "b" } else { "a" });
    let found = json("a.json", &old, &new);
    assert_eq!(counts(&found), [1, 1, 0]);
    let list =
        value!([{"path": "(all)", "by": "key", "key": ["id"], "old_items": 9, "new_items": 10, "reordered": false}]);
    assert_eq!(found["lists"], list);
    let paths: Vec<&Value> = found["values"].as_array().unwrap().iter().map(|change| &change["path"]).collect();
    assert_eq!(value!(paths), value!(["[id=r42]", "[id=r4].label"]));
    assert_eq!(found["values"][0]["new"], value!({"id": "r42", "label": "a", "s": 0.42}));
    let found = json("a.json", &old, records((1..=9).rev(), |_| "a"));
    assert_eq!((counts(&found), &found["lists"][0]["reordered"]), ([0; 3], &value!(true)));
    let found = turned("a.json", &old, &new, "label", &[]).unwrap();
    assert_eq!((found.unchanged["a"], found.moves.len(), found.new_only["a"]), (8, 1, 1));
    assert_eq!(found.flipped[0].key, ["r4"]);
    let inside = |records: &str| format!("{{\"model\": \"m\", \"results\": {records}}}");
    let found = turned("a.json", &inside(&old), &inside(&new), "label", &[]).unwrap();
    assert_eq!((found.unchanged["a"], found.flipped[0].key.clone()), (8, vec!["results".to_owned(), "r4".to_owned()]));
}

#[test]
fn records_without_a_key_are_paired_by_content() {
    let row = |part: &str, n: u32| format!("{{\"part\": \"{part}\", \"n\": {n}}}");
    let list = |rows: &[String]| format!("[{}]", rows.join(","));
    let old: Vec<String> = (0..40).map(|at| row(["a", "b"][at % 2], at as u32 % 3)).collect();
    let mut new = old.clone();
    new.insert(0, row("c", 9));
    let found = json("a.json", list(&old), list(&new));
    assert_eq!((counts(&found), &found["lists"][0]["by"]), ([0, 1, 0], &value!("content")));
    new[7] = row("a", 77);
    let found = json("a.json", list(&old), list(&new));
    assert_eq!(counts(&found), [1, 1, 0], "the row that differs in one field is that row");
    let (one, other) = (row("a", 1), row("b", 2));
    let found = json(
        "a.json",
        list(&[one.clone(), other.clone(), one.clone()]),
        list(&[one.clone(), one.clone(), other.clone(), one]),
    );
    assert_eq!(
        (counts(&found), &found["lists"][0]["reordered"]),
        ([0, 1, 0], &value!(false)),
        "one more of what is there twice"
    );
    // Lists of anything other than records are sequences.
    assert_eq!(counts(&json("a.json", "[1, 2, 3]", "[0, 1, 2, 3]")), [0, 1, 0]);
    assert_eq!(counts(&json("a.json", "[1, 2, 3]", "[3, 2, 1]")), [2, 0, 0], "order is what a sequence says");
    assert_eq!(counts(&json("a.json", "[]", "[{\"a\": 1}]")), [0, 1, 0]);
}

#[test]
fn equal_rows_are_paired_before_keys() {
    let options = Options { key: vec!["c1".to_owned()], ..Options::default() };
    let (old, new) = (b"c1,c2\na,1\na,2\nb,3\nc,4\nb,5\n", b"c1,c2\na,2\nb,3\nc,4\n");
    let Detail::Table(found) = compared("a.csv", old, new, &options).detail else { panic!() };
    assert_eq!((found.rows_removed, found.rows_added, found.rows_changed), (2, 0, 0));
    let found = table("a.csv", "id,v\n1,a\n1,a\n2,b\n", "id,v\n2,c\n1,a\n1,a\n");
    assert_eq!(
        (found.key, found.rows_changed, found.reordered),
        (vec!["id".to_owned()], 1, true),
        "a row that is there twice hides no key"
    );
}

#[test]
fn a_value_column_is_no_key() {
    let found = table("a.csv", "score,id\n0.91,cat\n0.82,dog\n0.33,owl\n", "score,id\n0.91,cat\n0.85,dog\n0.33,owl\n");
    assert_eq!((found.key, found.rows_changed, found.rows_added), (vec!["id".to_owned()], 1, 0));
    let found = table("a.csv", "count,label\n9,cat\n8,dog\n3,owl\n", "count,label\n7,cat\n6,dog\n3,owl\n");
    assert_eq!((found.key, found.rows_changed), (vec!["label".to_owned()], 2), "more rows are found again");
    let found = table("a.csv", "name,count\n", "name,count\n");
    assert_eq!((found.by, found.rows_changed), (PairedBy::Content, 0));
    let counted = |names: &[String]| {
        let rows = names.iter().enumerate().map(|(at, name)| format!("{at},{name},{}\n", name.len()));
        format!(",name,n\n{}", rows.collect::<String>())
    };
    let names: Vec<String> = (0..12).map(|at| format!("name-{at}")).collect();
    let more = [&["first".to_owned()], &names[..]].concat();
    let found = table("a.csv", &counted(&names), &counted(&more));
    assert_eq!((found.key, found.rows_added), (vec!["name".to_owned()], 1), "the number of the row is no key either");
    let found = turned("a.csv", "label,id\ncat,1\ndog,2\n", "label,id\ndog,1\ncat,2\n", "label", &[]).unwrap();
    assert_eq!(found.flipped.len(), 2, "a decision is no key");
}

#[test]
fn a_row_that_was_inserted_is_one_row() {
    let rows: Vec<String> =
        (0..200).map(|at| format!("{},{},{}", ["INFO", "WARN"][at % 2], ["a", "b", "c"][at % 3], at % 4)).collect();
    let file = |rows: &[String]| format!("level,part,n\n{}\n", rows.join("\n"));
    let new = [&["WARN,NEW,9".to_owned()], &rows[..]].concat();
    let found = table("a.csv", &file(&rows), &file(&new));
    assert_eq!(
        (found.rows_added, found.rows_removed, found.rows_changed, found.added),
        (1, 0, 0, vec![vec!["1".to_owned()]])
    );
    let found = table("a.csv", "k,v\na,1\nb,2\na,1\n", "k,v\na,1\na,1\nb,2\na,1\n");
    assert_eq!((found.rows_added, found.reordered), (1, false), "one more of what is there twice");
    let mut new = rows.clone();
    new[50] = "INFO,c,99".to_owned();
    new.insert(3, "X,Y,1".to_owned());
    let found = table("a.csv", &file(&rows), &file(&new));
    assert_eq!((found.rows_added, found.rows_removed, found.rows_changed, found.cells_changed), (1, 0, 1, 1));
}

#[test]
fn the_delimiter_of_each_side_is_found_by_parsing() {
    let found = table("a.csv", "id,v\n1,\"a;b;c\"\n2,x\n", "id;v\n1;\"a;b;c\"\n2;y\n");
    assert_eq!((found.rows_changed, found.cells_changed), (1, 1));
    assert_eq!(found.notes, ["the separator changed: `,` → `;`"]);
    let found = table("a.csv", "\"last, first, middle\";id\nx;1\ny;2\n", "\"last, first, middle\";id\nx;1\nz;2\n");
    assert_eq!(found.key, ["id"]);
    let found = table("a.csv", "a;b\n1,5;2\n2,5;3\n", "a;b\n1,5;2\n2,5;4\n");
    assert_eq!((found.columns.len(), found.cells_changed), (1, 1));
    let found = table("a.tsv", "id\tv\n1\ta, b\n", "id\tv\n1\ta, c\n");
    assert_eq!(found.changed[0].cells[0].new, "a, c");
}

#[test]
fn a_table_without_header_has_numbers_for_names() {
    let found = table("a.csv", "1,cat,0.5\n2,dog,0.6\n", "7,owl,0.1\n1,cat,0.5\n2,dog,0.7\n");
    assert_eq!((found.old_rows, found.rows_added, found.rows_changed), (2, 1, 1));
    assert_eq!(found.notes, ["there is no header: columns are named by number"]);
}

#[test]
fn a_field_or_key_that_is_nowhere_is_said_with_those_that_there_are() {
    let none = turned("a.csv", "id,flag\n1,true\n", "id,flag\n1,false\n", "flga", &[]).unwrap_err();
    assert_eq!(
        (none.why.as_str(), none.fields),
        ("there is no column `flga`", vec!["id".to_owned(), "flag".to_owned()])
    );
    let none = turned("a.json", "[{\"id\": 1, \"flag\": true}]", "[]", "flga", &[]).unwrap_err();
    assert_eq!(none.fields, ["flag", "id"]);
    let found =
        turned("a.json", "[{\"id\": 1, \"flag\": true}]", "[{\"id\": 1, \"flag\": false}]", "flag", &["idd"]).unwrap();
    assert_eq!(found.key_use.unwrap().lacking, ["idd"]);
}

/// A `.safetensors` file with one tensor.
fn safetensors(metadata: &str) -> Vec<u8> {
    let header = format!(r#"{{"__metadata__":{metadata},"w":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &1.0_f32.to_le_bytes()].concat()
}

#[test]
fn metadata_of_safetensors_is_compared() {
    let old = safetensors(r#"{"format": "pt", "epoch": "1", "gone": "x"}"#);
    let new = safetensors(r#"{"format": "pt", "epoch": "2", "new": "y"}"#);
    let found = json("a.safetensors", old, new);
    let metadata =
        value!([{"key": "epoch", "old": "1", "new": "2"}, {"key": "gone", "old": "x"}, {"key": "new", "new": "y"}]);
    assert_eq!([&found["metadata"], &found["unchanged"]], [&metadata, &value!(1)]);
}

/// An animation whose frames each have one colour.
fn gif(colors: &[u8], delay: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    let frames = colors.iter().map(|color| {
        let image = image::RgbaImage::from_pixel(8, 8, image::Rgba([*color, 0, 0, 255]));
        image::Frame::from_parts(image, 0, 0, image::Delay::from_numer_denom_ms(delay, 1))
    });
    encoder.encode_frames(frames).unwrap();
    drop(encoder);
    bytes
}

#[test]
fn all_frames_of_an_animation_are_compared() {
    let found = json("a.gif", gif(&[0, 100, 200], 100), gif(&[0, 150, 200], 100));
    assert_eq!(
        [&found["frames_changed"], &found["frames"]],
        [&value!(1), &value!([{"number": 2, "pixels_changed": 1.0}])]
    );
    assert!((found["pixels_changed"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9);
    let found = json("a.gif", gif(&[0, 100], 100), gif(&[0, 100, 100], 100));
    assert_eq!(
        [&found["old"]["frames"], &found["new"]["frames"], &found["frames_changed"]],
        [&value!(2), &value!(3), &value!(0)]
    );
    let found = json("a.gif", gif(&[0, 100], 100), gif(&[0, 100], 200));
    assert_eq!(found["notes"], value!(["2 frames have a different display time"]));
    let options = Options { limits: tight(), ..Options::default() };
    let Detail::Image(found) = compared("a.gif", &gif(&[0, 1, 2, 3], 1), &gif(&[0, 1, 2, 9], 1), &options).detail
    else {
        panic!()
    };
    assert_eq!(found.notes, ["frames after the first 2 were not compared"], "nothing is said of what was not read");
}

#[test]
fn an_image_that_is_only_packed_otherwise_says_so() {
    let png = |text: &[u8]| {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbImage::from_pixel(4, 4, image::Rgb([9, 9, 9])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        [&bytes.into_inner()[..], text].concat()
    };
    let found = json("a.png", png(b""), png(b"behind"));
    assert_eq!(found["notes"], value!(["no pixel differs: the files differ in metadata or in compression"]));
}
