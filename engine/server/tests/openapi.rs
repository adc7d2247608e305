//! The OpenAPI document, as a file: a change of the API is seen in review. `PV_SCHEMAS=write` writes it again.

use std::collections::BTreeSet;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

#[test]
fn the_document_is_the_one_in_the_repository() {
    let text = serde_json::to_string_pretty(&server::openapi("")).unwrap() + "\n";
    if std::env::var("PV_SCHEMAS").is_ok_and(|value| value == "write") {
        std::fs::write(FILE, &text).unwrap();
    }
    let known = std::fs::read_to_string(FILE).unwrap();
    assert!(text == known, "the API has changed: look at the change, then PV_SCHEMAS=write writes openapi.json again");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_path_states_its_parameters() {
    let operations = server::operations();
    let names: BTreeSet<_> = operations.iter().map(|operation| operation.id).collect();
    assert_eq!(names.len(), operations.len());
    let document = server::openapi("");
    for (path, methods) in document["paths"].as_object().unwrap() {
        let wanted: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let stated: BTreeSet<&str> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(stated, wanted, "{method} {path}");
        }
    }
}
