//! Whatever is put can be read back.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tests::{strategies, test_env};

fn read_all(folder: &Path, below: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, below, files);
        } else {
            let name = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn get_brings_back_what_was_put(files in strategies::files()) {
        let env = test_env!();
        for (path, bytes) in &files {
            env.write(format!("in/{path}"), bytes);
        }
        env.ok(["put", "images", "in"]);
        env.ok(["get", "images", "out"]);
        let mut found = BTreeMap::new();
        read_all(&env.work().join("out"), &env.work().join("out"), &mut found);
        prop_assert_eq!(&found, &files);
        let listed = env.json(["ls", "-r", "images"]);
        let listed: Vec<&str> = listed.iter().map(|file| &file["path"].as_str().unwrap()[1..]).collect();
        let mut expected: Vec<&String> = files.keys().collect();
        expected.sort();
        prop_assert_eq!(listed, expected);
        prop_assert!(env.json(["put", "images", "out"])[0]["changed"] == false);
    }
}
