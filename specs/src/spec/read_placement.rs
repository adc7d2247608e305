//! Reads what a spec says about the pods of its stage.

use serde_json::Value;

use super::fields::{SCHEDULING, TOLERATION};
use super::node::Node;
use super::placement::{Placement, Scheduling, TaintEffect, Toleration, TolerationOperator};
use super::read::object;
use super::reader::{Fields, Reader};

/// Pachyderm's words, then those of Kubernetes.
const OPERATORS: [(&str, Option<TolerationOperator>); 5] = [
    ("EXISTS", Some(TolerationOperator::Exists)),
    ("EQUAL", Some(TolerationOperator::Equal)),
    ("EMPTY", None),
    ("Exists", Some(TolerationOperator::Exists)),
    ("Equal", Some(TolerationOperator::Equal)),
];
const EFFECTS: [(&str, Option<TaintEffect>); 7] = [
    ("NO_SCHEDULE", Some(TaintEffect::NoSchedule)),
    ("PREFER_NO_SCHEDULE", Some(TaintEffect::PreferNoSchedule)),
    ("NO_EXECUTE", Some(TaintEffect::NoExecute)),
    ("ALL_EFFECTS", None),
    ("NoSchedule", Some(TaintEffect::NoSchedule)),
    ("PreferNoSchedule", Some(TaintEffect::PreferNoSchedule)),
    ("NoExecute", Some(TaintEffect::NoExecute)),
];

/// Where the pods of a stage may run, and what they are given.
pub(super) fn placement(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Placement {
    Placement {
        scheduling: scheduling(reader, fields),
        tolerations: tolerations(reader, fields),
        pod_patch: pod_patch(reader, fields),
    }
}

fn scheduling(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Scheduling {
    object(reader, fields, "scheduling_spec", &SCHEDULING).map_or_else(Scheduling::default, |scheduling| Scheduling {
        node_selector: reader.text_map(&scheduling, "node_selector"),
        priority_class_name: reader.text(&scheduling, "priority_class_name"),
    })
}

fn tolerations(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Toleration> {
    let items = reader.list(fields, "tolerations");
    let place = fields.place("tolerations").unwrap_or(fields.place);
    let items = if reader.has_too_many("tolerations", place, items.len()) { &[] } else { items };
    items.iter().filter_map(|item| toleration(reader, item)).collect()
}

fn toleration(reader: &mut Reader<'_>, node: &Node) -> Option<Toleration> {
    let errors = reader.errors();
    let fields = reader.fields(&TOLERATION, node)?;
    let toleration = Toleration {
        key: reader.text(&fields, "key"),
        operator: reader.one_of(&fields, "operator", &OPERATORS).flatten(),
        value: reader.text(&fields, "value"),
        effect: reader.one_of(&fields, "effect", &EFFECTS).flatten(),
        toleration_seconds: reader.seconds(&fields, "toleration_seconds"),
    };
    if reader.errors() == errors {
        check_toleration(reader, &fields, &toleration);
    }
    Some(toleration)
}

/// Refuses what a cluster would refuse when the first pod is created.
fn check_toleration(reader: &mut Reader<'_>, fields: &Fields<'_>, toleration: &Toleration) {
    let takes_all = toleration.operator == Some(TolerationOperator::Exists);
    if toleration.key.is_none() && !takes_all {
        let message = "`tolerations`: an entry has no `key`, which only `operator: EXISTS` allows";
        reader.error_with_hint(fields.place, message, "`{operator: EXISTS}` alone stands for every taint");
    }
    if let (true, Some(place)) = (takes_all, fields.place("value")) {
        let message = "`value` has no meaning with `operator: EXISTS`";
        reader.error_with_hint(place, message, "leave it out, or write `operator: EQUAL`");
    }
    if let (true, Some(place)) = (toleration.effect != Some(TaintEffect::NoExecute), fields.place("toleration_seconds"))
    {
        let message = format!("`{}` needs `effect: NO_EXECUTE`", reader.styled("toleration_seconds"));
        reader.error_with_hint(place, message, "other effects do not end pods that run");
    }
}

/// A JSON Patch, kept as written. Whether it fits is known when there is a pod.
fn pod_patch(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let patch = reader.text(fields, "pod_patch")?;
    let Err(why) = check_patch(&patch) else { return Some(patch) };
    let message = format!("`{}` is not a JSON Patch: {why}", reader.styled("pod_patch"));
    let hint = "write a list of operations as text, as in `[{\"op\": \"add\", \"path\": \"/spec/hostname\", \"value\": \"a\"}]`";
    reader.error_with_hint(fields.place("pod_patch").unwrap_or(fields.place), message, hint);
    None
}

fn check_patch(text: &str) -> Result<(), String> {
    let patch: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let operations = patch.as_array().ok_or("it is not a list of operations")?;
    for (number, operation) in (1..).zip(operations) {
        check_operation(operation).map_err(|why| format!("operation {number} {why}"))?;
    }
    Ok(())
}

fn check_operation(operation: &Value) -> Result<(), String> {
    let pointers: &[&str] = match operation.get("op").and_then(Value::as_str) {
        Some("remove") => &["path"],
        Some("move" | "copy") => &["path", "from"],
        Some("add" | "replace" | "test") if operation.get("value").is_some() => &["path"],
        Some("add" | "replace" | "test") => return Err("has no `value`".to_owned()),
        _ => return Err("needs an `op`: `add`, `remove`, `replace`, `move`, `copy` or `test`".to_owned()),
    };
    for name in pointers {
        if !operation.get(name).and_then(Value::as_str).is_some_and(is_pointer) {
            return Err(format!("needs a `{name}` that begins with `/`"));
        }
    }
    Ok(())
}

/// Whether a text is a JSON Pointer (RFC 6901): empty, or parts after `/` in which `~` is only a part of `~0` and `~1`.
fn is_pointer(text: &str) -> bool {
    let is_escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    is_escaped && (text.is_empty() || text.starts_with('/'))
}
