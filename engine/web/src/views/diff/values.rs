//! Values of JSON and YAML that differ, and tensors.

use answers::diff::words::{self, number, value};
use compare::{Distance, MetricChange, MetricsDiff, PairedBy, TensorDiff, TensorsDiff};
use maud::{Markup, html};
use specs::words::{count, plural};

use super::text::{short, short_pair};

/// How many lists and keys are named before the values.
const NAMED: usize = 20;

pub(super) fn metrics(found: &MetricsDiff, more: &Markup) -> Markup {
    let total = found.changed + found.added + found.removed;
    let left = total.saturating_sub(found.values.len());
    let lists = found.lists.iter().filter(|list| list.by != PairedBy::Sequence || list.lacks_key);
    html! {
        p {
            (plural(found.changed as u64, "value", "values")) " changed, " (count(found.added as u64)) " added, "
            (count(found.removed as u64)) " removed, "
            (count(found.unchanged as u64)) " the same."
        }
        @for list in lists.take(NAMED) { p .dim { (words::pairing(list)) "." } }
        @for key in found.repeated_keys.iter().take(NAMED) {
            p .dim {
                "Key " code { (key) }
                " is more than once in one mapping: each is compared, but most readers use the last."
            }
        }
        @if total == 0 {
            p {
                @if found.lists.iter().any(|list| list.reordered) {
                    "The same values, in another order."
                }  @else {
                    "The same values, formatted differently."
                }
            }
        } @else {
            div .wide tabindex="0" { table .cells {
                thead {
                    tr {
                        th scope="col" { "Value" } th scope="col" { "Old" } th scope="col" { "New" }
                        th .number scope="col" { "Change" }
                    }
                }
                tbody { @for change in &found.values { (metric(change)) } }
            } }
        }
        @if left > 0 { p .dim { (plural(left as u64, "more value", "more values")) ": " (more) } }
    }
}

fn metric(change: &MetricChange) -> Markup {
    let (old, new) = short_pair(&value(change.old.as_ref()), &value(change.new.as_ref()));
    html! {
        tr {
            th scope="row" { (short(&change.path)) }
            td { @if change.old.is_some() { del { (old) } } }
            td { @if change.new.is_some() { ins { (new) } } }
            td .number { (words::change(change)) }
        }
    }
}

pub(super) fn tensors(found: &TensorsDiff, more: &Markup) -> Markup {
    let counts = [
        (found.added, "added"),
        (found.removed, "removed"),
        (found.reshaped, "reshaped"),
        (found.retyped, "of another type"),
        (found.changed, "changed"),
        (found.unchanged, "the same"),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n as u64))).collect();
    let total = found.added + found.removed + found.reshaped + found.retyped + found.changed;
    let left = total.saturating_sub(found.tensors.len());
    html! {
        p { "Tensors: " @if told.is_empty() { "none" } @else { (told.join(", ")) } "." }
        @if !found.metadata.is_empty() {
            div .wide tabindex="0" { table .cells {
                thead { tr { th scope="col" { "Metadata" } th scope="col" { "Old" } th scope="col" { "New" } } }
                tbody {
                    @for change in &found.metadata {
                        tr {
                            th scope="row" { (short(&change.key)) }
                            td { @if let Some(old) = &change.old { del { (short(old)) } } }
                            td { @if let Some(new) = &change.new { ins { (short(new)) } } }
                        }
                    }
                }
            } }
            @if found.metadata_left_out > 0 {
                p .dim { (plural(found.metadata_left_out as u64, "more entry", "more entries")) " of metadata." }
            }
        }
        @if !found.tensors.is_empty() {
            div .wide tabindex="0" { table {
                thead { tr {
                    th scope="col" { "Tensor" } th scope="col" { "Type" } th scope="col" { "Shape" }
                    @for word in ["Distance", "Relative", "Largest", "Cosine", "Changed"] {
                        th .number scope="col" { (word) }
                    }
                } }
                tbody { @for tensor in &found.tensors { (tensor_row(tensor)) } }
            } }
            @if left > 0 { p .dim { (plural(left as u64, "more tensor", "more tensors")) ": " (more) } }
        }
        @if total == 0 && found.metadata.is_empty() { p { "The same tensors, stored differently." } }
    }
}

fn tensor_row(tensor: &TensorDiff) -> Markup {
    let shape = |shape: &Option<Vec<u64>>| {
        shape.as_ref().map(|shape| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "))
    };
    let both = |old: Option<String>, new: Option<String>| match (old, new) {
        (Some(old), Some(new)) if old == new => new,
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (old, new) => old.or(new).unwrap_or_default(),
    };
    let optional = |value: Option<f64>| value.map_or_else(String::new, number);
    html! {
        tr {
            th scope="row" { (short(&tensor.name)) }
            td { (both(tensor.old_type.clone(), tensor.new_type.clone())) }
            td { (both(shape(&tensor.old_shape), shape(&tensor.new_shape))) }
            @match &tensor.distance {
                Some(distance) => {
                    td .number { (number(distance.l2)) }
                    td .number { (optional(distance.relative)) }
                    td .number { (number(distance.max_abs)) }
                    td .number { (optional(distance.cosine)) }
                    td .number { (count(distance.changed)) " of " (count(distance.elements)) (not_numbers(distance)) }
                }
                None => {
                    td colspan="5" {
                        (tensor.why.clone().unwrap_or_else(|| format!("{:?}", tensor.change).to_lowercase()))
                    }
                }
            }
        }
    }
}

/// Elements that are excluded from the sums.
fn not_numbers(distance: &Distance) -> String {
    let pairs =
        [("NaN", distance.old_nan, distance.new_nan), ("infinite", distance.old_infinite, distance.new_infinite)];
    let told = pairs.iter().filter(|(_, old, new)| old + new > 0);
    told.map(|(what, old, new)| format!(", {what} {old} → {new}")).collect::<Vec<_>>().concat()
}
