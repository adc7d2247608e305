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
          "description": "whether files are seen without their content (false)",
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
          "description": "key in a group, of the glob's captures, as in `$1`",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "join_on": {
          "description": "key in a join, of the glob's captures, as in `$1`",
          "type": [
            "string",
            "number",
            "boolean"
          ]
        },
        "lazy": {
          "description": "accepted; files are plain files either way",
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
          "description": "whether a match without a partner is kept (false)",
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
          "description": "whether a new commit starts a job"
        },
        "reference": {
          "description": "whether a change of this input makes no datum run again (false)",
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
          "description": "when commits of the branch are taken (each as it comes)"
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
    assert_eq!(schema["properties"]["input"]["$ref"], "#/$defs/input");
    assert!(schema["properties"]["egress"].is_null() && schema["properties"]["version"].is_null());
}
