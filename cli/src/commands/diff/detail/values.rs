//! Values of JSON and YAML.

use answers::diff::words::{self, value};
use compare::{ListPairing, MetricChange, MetricsDiff, PairedBy};

use super::{Extent, short_pair};
use crate::commands::diff::page::Block;
use crate::output::count;

/// How many lists and keys are named before the values.
const NAMED: usize = 5;

pub(super) fn blocks(found: &MetricsDiff, extent: Extent) -> Vec<Block> {
    let named = if extent.all { usize::MAX } else { NAMED };
    let mut blocks: Vec<Block> = found
        .lists
        .iter()
        .filter(|list| is_told(list))
        .take(named)
        .map(|list| Block::Line(words::pairing(list)))
        .collect();
    let repeated = found.repeated_keys.iter().take(named);
    blocks.extend(repeated.map(|key| {
        Block::Line(format!(
            "key `{key}` appears more than once in one mapping: each is compared, but most readers use the last"
        ))
    }));
    let left = found.lists.iter().filter(|list| is_told(list)).count().saturating_sub(named)
        + found.repeated_keys.len().saturating_sub(named)
        + found.left_out;
    blocks.extend(extent.more(left as u64, "lists and keys"));
    let total = found.changed + found.added + found.removed;
    if total == 0 {
        let is_reordered = found.lists.iter().any(|list| list.reordered);
        let words =
            if is_reordered { "the same values, in another order" } else { "the same values, formatted differently" };
        blocks.push(Block::Line(words.to_owned()));
        return blocks;
    }
    let rows: Vec<Vec<String>> = found.values.iter().take(extent.rows).map(row).collect();
    let left = total - rows.len();
    blocks.push(Block::Table(&["VALUE", "OLD", "NEW", "CHANGE"], rows));
    blocks.extend(extent.more(left as u64, "values"));
    blocks
}

fn is_told(list: &ListPairing) -> bool {
    list.by != PairedBy::Sequence || list.lacks_key
}

fn row(change: &MetricChange) -> Vec<String> {
    let (old, new) = short_pair(&value(change.old.as_ref()), &value(change.new.as_ref()));
    vec![change.path.clone(), old, new, words::change(change)]
}

pub(super) fn summary(found: &MetricsDiff, most: usize) -> String {
    let total = found.changed + found.added + found.removed;
    let told = found.values.iter().take(most).map(|change| match (&change.old, &change.new) {
        (None, _) => format!("{} added", change.path),
        (_, None) => format!("{} removed", change.path),
        (old, new) => {
            let (old, new) = short_pair(&value(old.as_ref()), &value(new.as_ref()));
            format!("{} {old} → {new}", change.path)
        }
    });
    let mut told: Vec<String> = told.collect();
    match total - told.len() {
        0 if told.is_empty() && found.lists.iter().any(|list| list.reordered) => {
            "the same values in another order".to_owned()
        }
        0 if told.is_empty() => "the same values".to_owned(),
        0 => told.join(", "),
        left => {
            told.push(format!("{} more", count(left as u64)));
            told.join(", ")
        }
    }
}
