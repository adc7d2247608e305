//! Compares `pv diff --json` on pairs of each kind with results of numpy, pandas and Pillow.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::test_env;

#[test]
fn details_are_what_numpy_pandas_and_pillow_reckon() {
    let env = test_env!();
    let Some(printed) = tests::numpy::run(include_str!("pairs.py"), &env.work()) else { return };
    let expected: BTreeMap<String, Value> = serde_json::from_str(&printed).unwrap();
    env.ok(["put", "images", "old"]);
    env.ok(["put", "images", "new", "--mirror"]);
    let entries = env.json(["diff", "images"]);
    let found: BTreeMap<&str, &Value> =
        entries.iter().map(|entry| (entry["path"].as_str().unwrap(), &entry["detail"])).collect();
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), names, "each differs");
    for (path, expected) in &expected {
        compare(path, found[path.as_str()], expected);
    }
}

/// 75 pairs, most of them unusual in one way.
#[test]
fn odd_pairs_are_what_others_reckon() {
    let env = test_env!();
    let Some(printed) = tests::numpy::run(include_str!("odd.py"), &env.work()) else { return };
    let expected: BTreeMap<String, Value> = serde_json::from_str(&printed).unwrap();
    assert!(expected.len() >= 60, "{}", expected.len());
    env.ok(["put", "images", "old"]);
    env.ok(["put", "images", "new", "--mirror"]);
    let entries = env.json(["diff", "images"]);
    let found: BTreeMap<&str, &Value> =
        entries.iter().map(|entry| (entry["path"].as_str().unwrap(), &entry["detail"])).collect();
    for (path, expected) in &expected {
        compare(path, found[path.as_str()], expected);
    }
    // Swapping the sides swaps the result.
    let back = env.json(["diff", "images", "images@main^"]);
    for entry in back {
        let (path, back) = (entry["path"].as_str().unwrap(), &entry["detail"]);
        for (one, other) in [
            ("added", "removed"),
            ("rows_added", "rows_removed"),
            ("lines_added", "lines_removed"),
            ("changed", "changed"),
        ] {
            if back["kind"] != "bytes" && back[one].is_number() {
                assert_eq!(back[one], found[path][other], "{path} {one}");
            }
        }
    }
}

/// Compares with the expected values: tensors by name, numbers approximately.
fn compare(place: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Array(found), Value::Object(expected)) => {
            for (name, expected) in expected {
                let tensor = found.iter().find(|tensor| tensor["name"] == **name);
                let tensor = tensor.unwrap_or_else(|| panic!("{place}: `{name}` is not told"));
                compare(&format!("{place} {name}"), tensor, expected);
            }
        }
        (Value::Object(_), Value::Object(expected)) => {
            for (name, expected) in expected {
                compare(&format!("{place} {name}"), &found[name], expected);
            }
        }
        (Value::String(found), Value::Object(has)) => {
            let part = has["has"].as_str().unwrap();
            assert!(found.contains(part), "{place}: no `{part}` in `{found}`");
        }
        (Value::Number(found), Value::Array(about)) => {
            let (found, near, by) = (found.as_f64().unwrap(), about[1].as_f64().unwrap(), about[2].as_f64().unwrap());
            assert!((found - near).abs() <= by, "{place}: {found} is not about {near}");
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}");
            found.iter().zip(expected).for_each(|(found, expected)| compare(place, found, expected));
        }
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            let scale = one.abs().max(other.abs()).max(1e-9);
            assert!((one - other).abs() <= 1e-9 * scale, "{place}: {one} is not {other}");
        }
        (found, expected) => assert_eq!(found, expected, "{place}"),
    }
}
