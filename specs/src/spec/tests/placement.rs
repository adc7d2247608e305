//! What a spec says about pods: read in both spellings, kept as written, and refused where a cluster would refuse it.

use super::*;

/// A spec with every field about pods.
const ALL: &str = r#"pipeline: {name: a}
transform: {image: 'a:1', cmd: [a], imagePullSecrets: [registry, mirror]}
input: {pfs: {repo: b, glob: /}}
schedulingSpec: {nodeSelector: {disk: ssd, gpus: 2}, priorityClassName: high}
tolerations:
- {key: spot, operator: EQUAL, value: true, effect: NO_EXECUTE, tolerationSeconds: "60"}
- {operator: EXISTS, effect: ALL_EFFECTS}
podPatch: '[{"op": "add", "path": "/spec/hostname", "value": "a~b"}]'
"#;

#[test]
fn what_a_spec_says_of_pods_is_read_in_both_spellings_and_is_a_part_of_it() {
    let spec = only(ALL);
    insta::assert_snapshot!(canonical(&spec), @r#"{"pipeline":{"name":"a"},"transform":{"image":"a:1","cmd":["a"],"image_pull_secrets":["registry","mirror"]},"input":{"pfs":{"repo":"b","glob":"/"}},"scheduling_spec":{"node_selector":{"disk":"ssd","gpus":"2"},"priority_class_name":"high"},"tolerations":[{"key":"spot","operator":"EQUAL","value":"true","effect":"NO_EXECUTE","toleration_seconds":60},{"operator":"EXISTS"}],"pod_patch":"[{\"op\": \"add\", \"path\": \"/spec/hostname\", \"value\": \"a~b\"}]"}"#);
    assert_eq!(only(&canonical(&spec)), spec);
    assert_eq!(serde_json::from_str::<PipelineSpec>(&canonical(&spec)).unwrap(), spec);
    assert_eq!(spec.fields_for_pods(), ["scheduling_spec", "tolerations", "pod_patch", "image_pull_secrets"]);

    let of_cluster = with("tolerations: [{key: a, operator: Exists, effect: NoSchedule}, {key: b, operator: EMPTY}]");
    let tolerations = only(&of_cluster).placement.tolerations;
    assert_eq!(tolerations[0].operator.map(TolerationOperator::of_pods), Some("Exists"));
    assert_eq!(tolerations[0].effect.map(TaintEffect::of_pods), Some("NoSchedule"));
    assert_eq!((tolerations[1].operator, tolerations[1].effect), (None, None));
}

#[test]
fn a_stored_spec_has_no_other_fields() {
    let stored = canonical(&only(ALL));
    for place in ["\"pod_patch\"", "\"priority_class_name\"", "\"toleration_seconds\""] {
        let changed = stored.replace(place, &format!("\"more\":1,{place}"));
        assert!(changed != stored && serde_json::from_str::<PipelineSpec>(&changed).is_err(), "{changed}");
    }
}

#[test]
fn nothing_said_of_pods_leaves_a_spec_as_it_was() {
    let empty = "scheduling_spec: {}\ntolerations: []\npod_patch: ''";
    assert_eq!(canonical(&only(&with(empty))), canonical(&only(&with(""))));
    assert!(only(&with(empty)).fields_for_pods().is_empty());
}

#[test]
fn what_a_cluster_would_refuse_is_said_at_its_line() {
    let said: Vec<String> = [
        "scheduling_spec: high",
        "scheduling_spec: {nodeSelectors: {a: b}}",
        "tolerations: {key: a}",
        "tolerations: [{effect: NO_SCHEDULE}]",
        "tolerations: [{key: a, operator: EXISTS, value: b}]",
        "tolerations: [{key: a, effect: NO_SCHEDULE, toleration_seconds: 5}]",
        "tolerations: [{operator: LIKE}]",
        "tolerations: [{key: a, effect: NO_EXECUTE, toleration_seconds: -1}]",
    ]
    .iter()
    .map(|text| report(&parse(&with(text))))
    .collect();
    insta::assert_snapshot!(said.join(""), @r"
    error: p.yml:4:18: `scheduling_spec` of pipeline `detect` must be a mapping of fields, got `high`
    error: p.yml:4:19: unknown field `nodeSelectors` in `scheduling_spec` of pipeline `detect`
      hint: did you mean `nodeSelector`?
    error: p.yml:4:14: `tolerations`: expected a list, got a mapping
    error: p.yml:4:15: `tolerations`: an entry has no `key`, which only `operator: EXISTS` allows
      hint: `{operator: EXISTS}` alone stands for every taint
    error: p.yml:4:49: `value` has no meaning with `operator: EXISTS`
      hint: leave it out, or write `operator: EQUAL`
    error: p.yml:4:65: `toleration_seconds` needs `effect: NO_EXECUTE`
      hint: other effects do not end pods that run
    error: p.yml:4:26: `operator`: expected `EXISTS` or `EQUAL` or `EMPTY` or `Exists` or `Equal`, got `LIKE`
    error: p.yml:4:64: `toleration_seconds`: expected a whole number of seconds, got `-1`
    ");
}

#[test]
fn a_patch_is_a_list_of_operations_with_all_that_they_need() {
    let patch = |text: &str| parse(&with(&format!("pod_patch: '{text}'")));
    for fine in [
        "[]",
        r#"[{"op": "remove", "path": "/spec/containers/0/env"}, {"op": "copy", "from": "", "path": "/a~1b/c~0d"}]"#,
        r#"[{"op": "add", "path": "/spec/volumes/-", "value": null, "why": "ignored, says RFC 6902"}]"#,
    ] {
        assert_eq!(report(&patch(fine)), "", "{fine}");
    }
    for (wrong, why) in [
        ("{", "it is not JSON: EOF while parsing an object at line 1 column 1"),
        (r#"{"op": "remove", "path": "/a"}"#, "it is not a list of operations"),
        ("[1]", "operation 1 needs an `op`: `add`, `remove`, `replace`, `move`, `copy` or `test`"),
        (r#"[{"op": "remove", "path": "/a"}, {"op": "add", "path": "/a"}]"#, "operation 2 has no `value`"),
        (r#"[{"op": "move", "path": "/a"}]"#, "operation 1 needs a `from` that begins with `/`"),
        (r#"[{"op": "remove", "path": "spec"}]"#, "operation 1 needs a `path` that begins with `/`"),
        (r#"[{"op": "remove", "path": "/a~2"}]"#, "operation 1 needs a `path` that begins with `/`"),
    ] {
        let said = report(&patch(wrong));
        assert!(said.starts_with(&format!("error: p.yml:4:12: `pod_patch` is not a JSON Patch: {why}\n")), "{said}");
    }
    let listed = report(&parse(&with("pod_patch: [{op: remove, path: /a}]")));
    assert_eq!(listed, "error: p.yml:4:12: `pod_patch`: expected text, got a list\n");
}
