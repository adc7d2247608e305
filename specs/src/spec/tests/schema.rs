//! The JSON Schema.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a snapshot")]
fn the_schema_has_what_acts_and_nothing_else() {
    let schema = schema();
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema["$defs"]["pfs"]).unwrap(), @r##"
    {
      "additionalProperties": false,
      "properties": {
        "branch": {
          "description": "branch (the store's default branch)",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "empty_files": {
          "description": "whether to provide files without content (false)",
          "enum": [
            true,
            false,
            "true",
            "false",
            "True",
            "False",
            "TRUE",
            "FALSE"
          ]
        },
        "glob": {
          "description": "each match is a datum",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "group_by": {
          "description": "group key, from the glob's captures, as in `$1`",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "join_on": {
          "description": "join key, from the glob's captures, as in `$1`",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "lazy": {
          "description": "accepted, without effect",
          "enum": [
            true,
            false,
            "true",
            "false",
            "True",
            "False",
            "TRUE",
            "FALSE"
          ]
        },
        "name": {
          "description": "directory below `/pfs` and environment variable (the repository's name)",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "outer_join": {
          "description": "whether to keep a match without a partner (false)",
          "enum": [
            true,
            false,
            "true",
            "false",
            "True",
            "False",
            "TRUE",
            "FALSE"
          ]
        },
        "project": {
          "deprecated": true,
          "description": "ignored"
        },
        "propagation_spec": {
          "$ref": "#/$defs/propagation_spec",
          "description": "whether new commits start jobs"
        },
        "reference": {
          "description": "whether changes of this input start no execution (false)",
          "enum": [
            true,
            false,
            "true",
            "false",
            "True",
            "False",
            "TRUE",
            "FALSE"
          ]
        },
        "repo": {
          "description": "repository",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "trigger": {
          "$ref": "#/$defs/trigger",
          "description": "when to use new commits of the branch (at once)"
        }
      },
      "required": [
        "repo",
        "glob"
      ],
      "type": "object"
    }
    "##);
    let transform = &schema["$defs"]["transform"]["properties"];
    assert!(
        transform["image"].is_object() && transform["err_cmd"].is_object() && transform["debug"]["deprecated"] == true
    );
    let memory = &schema["$defs"]["resource_limits"]["properties"]["memory"];
    assert_eq!(memory["anyOf"][1]["$ref"], "#/$defs/memory");
    assert_eq!(schema["$defs"]["memory"]["required"], serde_json::json!(["start", "factor", "max"]));
    assert!(schema["$defs"]["resource_requests"]["properties"]["memory"]["anyOf"].is_null(), "only a limit grows");
    assert_eq!(schema["properties"]["input"]["$ref"], "#/$defs/input");
    assert!(schema["properties"]["egress"].is_null() && schema["properties"]["version"].is_null());
}
