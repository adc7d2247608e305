//! Writes a spec as YAML, with its fields in the customary order.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use specs::PipelineSpec;

/// The fields that come first, in this order; all others follow by name.
const ORDER: [&str; 13] = [
    "pipeline",
    "description",
    "metadata",
    "transform",
    "input", // of a spec
    "image",
    "cmd",
    "stdin",
    "code", // of its transform
    "name",
    "repo",
    "branch",
    "glob", // of its inputs
];

/// A spec as one YAML document.
pub fn spec_text(spec: &PipelineSpec) -> String {
    spec_value_text(&serde_json::to_value(spec).expect("specs have a JSON form"))
}

/// A spec in normal form as one YAML document.
pub fn spec_value_text(spec: &Value) -> String {
    let mut lines = String::new();
    if let Value::Object(fields) = spec {
        write_fields(&mut lines, fields, 0);
    }
    lines
}

fn write_fields(lines: &mut String, fields: &Map<String, Value>, depth: usize) {
    let mut keys: Vec<&String> = fields.keys().collect();
    keys.sort_by_key(|key| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
    for key in keys {
        lines.push_str(&"  ".repeat(depth));
        lines.push_str(&scalar(key));
        lines.push(':');
        write_value(lines, &fields[key], depth);
    }
}

fn write_value(lines: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            lines.push('\n');
            write_fields(lines, fields, depth + 1);
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            lines.push('\n');
            for item in items {
                write_item(lines, item, depth + 1);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            let _ = writeln!(lines, " [{}]", items.join(", "));
        }
        other => {
            let _ = writeln!(lines, " {}", flow(other));
        }
    }
}

/// Writes `- ` and the item, whose first line follows it.
fn write_item(lines: &mut String, item: &Value, depth: usize) {
    let mut block = String::new();
    match item {
        Value::Object(fields) => write_fields(&mut block, fields, depth + 1),
        other => block = format!("{}{}\n", "  ".repeat(depth + 1), flow(other)),
    }
    block.replace_range(depth * 2..=depth * 2, "-");
    lines.push_str(&block);
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A YAML scalar that cannot be misread: plain if safe, else as a JSON string, which is valid YAML.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@+".contains(c))
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_spec_reads_as_people_write_it() {
        let json = r#"{"pipeline":{"name":"edges"},"transform":{"cmd":["sh","-c","cat /pfs/images/* > /pfs/out/all\necho no"]},
            "input":{"cross":[{"pfs":{"repo":"images","glob":"/*"}},{"pfs":{"name":"m","repo":"model","branch":"v1.2","glob":"/"}}]}}"#;
        let spec: PipelineSpec = serde_json::from_str(json).unwrap();
        let expected = [
            r"pipeline:",
            r"  name: edges",
            r"transform:",
            r#"  cmd: [sh, "-c", "cat /pfs/images/* > /pfs/out/all\necho no"]"#,
            r"input:",
            r"  cross:",
            r"    - pfs:",
            r"        repo: images",
            r#"        glob: "/*""#,
            r"    - pfs:",
            r"        name: m",
            r"        repo: model",
            r"        branch: v1.2",
            r"        glob: /",
        ];
        assert_eq!(spec_text(&spec).lines().collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(words in proptest::collection::vec("\\PC{0,12}", 1..4), value in "\\PC{0,12}") {
            let json = serde_json::json!({
                "pipeline": {"name": "no"},
                "transform": {"cmd": words, "env": {"KEY": value, "no": "1.0"}},
                "input": {"pfs": {"repo": "on", "glob": "/*"}},
            });
            let spec: PipelineSpec = serde_json::from_value(json).unwrap();
            let set = specs::parse_specs(&[("spec".to_owned(), spec_text(&spec))]);
            prop_assert_eq!(set.specs.first().map(|parsed| &parsed.spec), Some(&spec), "{:?}", set.diagnostics);
        }
    }
}
