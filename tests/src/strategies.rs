//! Values for property tests.

use proptest::prelude::*;

/// The name of one component of a path that every file system accepts, including odd ones.
pub fn file_name() -> impl Strategy<Value = String> {
    let odd = prop_oneof![
        Just("-r".to_owned()),
        Just("a b".to_owned()),
        Just("ä€".to_owned()),
        Just("*?[]".to_owned()),
        Just("@main".to_owned())
    ];
    prop_oneof![3 => "[A-Za-z0-9_.-]{1,12}", 1 => odd].prop_filter("no way out", |name| name != "." && name != "..")
}

/// A path of one to three components, without a leading `/`.
pub fn relative_path() -> impl Strategy<Value = String> {
    proptest::collection::vec(file_name(), 1..=3).prop_map(|parts| parts.join("/"))
}

/// Some files whose paths do not conflict.
pub fn files() -> impl Strategy<Value = std::collections::BTreeMap<String, Vec<u8>>> {
    let some = proptest::collection::btree_map(relative_path(), proptest::collection::vec(any::<u8>(), 0..64), 1..12);
    some.prop_map(|files| {
        let paths: Vec<String> = files.keys().cloned().collect();
        let is_directory = |path: &String| paths.iter().any(|other| other.starts_with(&format!("{path}/")));
        files
            .iter()
            .filter(|(path, _)| !is_directory(path))
            .map(|(path, bytes)| (path.clone(), bytes.clone()))
            .collect()
    })
}
