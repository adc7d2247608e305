//! Images and tensors.

use answers::diff::words::{number, share};
use compare::{Distance, ImageDiff, ImageFacts, MetadataChange, TensorDiff, TensorsDiff};

use super::{Extent, short_pair};
use crate::commands::diff::page::Block;
use crate::output::{count, plural};

/// How many frames are named.
const FRAMES: usize = 10;

pub(super) fn image(found: &ImageDiff, extent: Extent) -> Vec<Block> {
    let mut blocks = vec![Block::Line(image_words(found))];
    let most = if extent.all { usize::MAX } else { FRAMES };
    let frames = found.frames.iter().take(most).map(|frame| match frame.pixels_changed {
        Some(changed) => format!("{} ({})", count(frame.number), share(changed)),
        None => count(frame.number),
    });
    let mut frames: Vec<String> = frames.collect();
    if let (Some(changed), false) = (found.frames_changed, frames.is_empty()) {
        let left = changed.saturating_sub(frames.len() as u64);
        if left > 0 {
            frames.push(format!("… {} more", count(left)));
        }
        blocks.push(Block::Line(format!("{} changed: {}", frames_name(found), frames.join(", "))));
    }
    blocks.extend(found.notes.iter().cloned().map(Block::Line));
    blocks
}

/// What the format calls its frames.
fn frames_name(found: &ImageDiff) -> &'static str {
    if found.new.format.starts_with("tif") { "pages" } else { "frames" }
}

/// `1 of 2 frames changed, `; empty if there is only one frame.
fn frames_words(found: &ImageDiff) -> String {
    let Some(changed) = found.frames_changed else { return String::new() };
    let total = match (found.old.frames, found.new.frames) {
        (Some(old), Some(new)) if old == new => format!(" of {}", count(old)),
        (Some(old), Some(new)) => format!(" of {} → {}", count(old), count(new)),
        _ => String::new(),
    };
    format!("{}{total} {} changed, ", count(changed), frames_name(found))
}

pub(super) fn image_words(found: &ImageDiff) -> String {
    let facts = |image: &ImageFacts| format!("{} {} × {} {}", image.format, image.width, image.height, image.color);
    let (old, new) = (facts(&found.old), facts(&found.new));
    let kind = if old == new { new } else { format!("{old} → {new}") };
    match (found.pixels_changed, found.similarity) {
        (Some(changed), Some(similarity)) => format!(
            "{kind}   {}{} of pixels changed   mean difference {} of 255   similarity {}",
            frames_words(found),
            share(changed),
            number(found.mean_difference.unwrap_or_default()),
            number(similarity)
        ),
        _ => format!("{kind}   {}", frames_words(found)).trim_end().to_owned(),
    }
}

pub(super) fn tensors(found: &TensorsDiff, extent: Extent) -> Vec<Block> {
    let counts = [
        (found.added, "added"),
        (found.removed, "removed"),
        (found.reshaped, "reshaped"),
        (found.retyped, "retyped"),
        (found.changed, "changed"),
        (found.unchanged, "unchanged"),
    ];
    let told: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let told = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
    let mut blocks = vec![Block::Line(format!("tensors: {told}"))];
    blocks.extend(metadata(found, extent));
    let total = found.added + found.removed + found.reshaped + found.retyped + found.changed;
    let rows: Vec<Vec<String>> = found.tensors.iter().take(extent.rows).map(tensor_row).collect();
    let left = total - rows.len();
    if !rows.is_empty() {
        blocks.push(Block::Table(&["TENSOR", "TYPE", "SHAPE", "L2", "RELATIVE", "MAX", "COSINE", "CHANGED"], rows));
    }
    blocks.extend(extent.more(left as u64, "tensors"));
    if total == 0 && found.metadata.is_empty() {
        blocks.push(Block::Line("the same tensors, stored differently".to_owned()));
    }
    blocks
}

/// Metadata of the file.
fn metadata(found: &TensorsDiff, extent: Extent) -> Vec<Block> {
    let total = found.metadata.len() + found.metadata_left_out;
    let row = |change: &MetadataChange| {
        let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        let (old, new) = short_pair(&text(&change.old), &text(&change.new));
        vec![change.key.clone(), old, new]
    };
    let rows: Vec<Vec<String>> = found.metadata.iter().take(extent.rows).map(row).collect();
    let left = total - rows.len();
    if total == 0 {
        return Vec::new();
    }
    let table = Block::Table(&["METADATA", "OLD", "NEW"], rows);
    [Some(table), extent.more(left as u64, "entries of metadata")].into_iter().flatten().collect()
}

fn tensor_row(tensor: &TensorDiff) -> Vec<String> {
    let shape = |shape: &Option<Vec<u64>>| {
        shape.as_ref().map(|shape| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "))
    };
    let both = |old: Option<String>, new: Option<String>| match (old, new) {
        (Some(old), Some(new)) if old == new => new,
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (old, new) => old.or(new).unwrap_or_default(),
    };
    let mut row = vec![
        tensor.name.clone(),
        both(tensor.old_type.clone(), tensor.new_type.clone()),
        both(shape(&tensor.old_shape), shape(&tensor.new_shape)),
    ];
    let Some(distance) = &tensor.distance else {
        let why = tensor.why.clone().unwrap_or_else(|| format!("{:?}", tensor.change).to_lowercase());
        row.extend([String::new(), String::new(), String::new(), String::new(), why]);
        return row;
    };
    let optional = |value: Option<f64>| value.map_or_else(String::new, number);
    row.extend([number(distance.l2), optional(distance.relative), number(distance.max_abs), optional(distance.cosine)]);
    row.push(format!("{} of {}{}", count(distance.changed), count(distance.elements), not_numbers(distance)));
    row
}

/// Elements that are excluded from the sums.
fn not_numbers(distance: &Distance) -> String {
    let pairs = [("nan", distance.old_nan, distance.new_nan), ("inf", distance.old_infinite, distance.new_infinite)];
    let told =
        pairs.iter().filter(|(_, old, new)| old + new > 0).map(|(what, old, new)| format!(", {what} {old} → {new}"));
    told.collect()
}

pub(super) fn tensors_summary(found: &TensorsDiff) -> String {
    let mut told = Vec::new();
    let both = found.changed + found.retyped;
    if both > 0 {
        let cosine = found.tensors.iter().filter_map(|tensor| tensor.distance.as_ref()?.cosine).reduce(f64::min);
        let cosine = cosine.map_or_else(String::new, |cosine| format!(", cosine {}", number(cosine)));
        told.push(format!("{}{cosine}", plural(both as u64, "tensor", "tensors")));
    }
    let others = [(found.added, "added"), (found.removed, "removed"), (found.reshaped, "reshaped")];
    told.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    let entries = found.metadata.len() + found.metadata_left_out;
    if entries > 0 {
        told.push(format!("{} of metadata", plural(entries as u64, "entry", "entries")));
    }
    if told.is_empty() { "the same tensors".to_owned() } else { told.join(", ") }
}
