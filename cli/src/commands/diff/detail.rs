//! What differs between two files, as blocks of a page and in one line.

use compare::{
    BytesDiff, Detail, Distance, ImageDiff, MetricChange, MetricsDiff, TableDiff, TensorDiff, TensorsDiff, TextDiff,
};

use super::number::{number, share, value};
use super::page::Block;
use crate::output::{count, plural, size};

/// Lines of a text and rows of a table that are shown, unless all are asked for.
const LINES: usize = 60;
const ROWS: usize = 20;
/// Values that are named in one line.
const IN_A_LINE: usize = 2;
/// Characters of a value in a table.
const CHARACTERS: usize = 60;

/// All that is told of a difference.
pub(super) fn blocks(detail: &Detail, all: bool) -> Vec<Block> {
    let rows = if all { usize::MAX } else { ROWS };
    match detail {
        Detail::Text(found) => text(found, if all { usize::MAX } else { LINES }),
        Detail::Metrics(found) => metrics(found, rows),
        Detail::Table(found) => table(found, rows),
        Detail::Image(found) => image(found),
        Detail::Tensors(found) => tensors(found, rows),
        Detail::Bytes(found) => vec![Block::Line(bytes(found))],
    }
}

/// The same in a few words.
pub(super) fn summary(detail: &Detail) -> String {
    match detail {
        Detail::Text(found) => {
            format!("+{} -{} lines", count(found.lines_added as u64), count(found.lines_removed as u64))
        }
        Detail::Metrics(found) => metrics_summary(found),
        Detail::Table(found) => {
            let rows = [("added", found.rows_added), ("removed", found.rows_removed), ("changed", found.rows_changed)];
            let rows = rows.iter().filter(|(_, rows)| *rows > 0).map(|(what, rows)| format!("{} {what}", count(*rows)));
            let rows: Vec<String> = rows.collect();
            if rows.is_empty() { "other columns or order".to_owned() } else { format!("rows: {}", rows.join(", ")) }
        }
        Detail::Image(found) => image_words(found),
        Detail::Tensors(found) => tensors_summary(found),
        Detail::Bytes(found) => format!("{} → {}", size(found.old_bytes), size(found.new_bytes)),
    }
}

fn more(left: usize, what: &str) -> Option<Block> {
    (left > 0).then(|| Block::Line(format!("… {} more {what}: --all shows more", count(left as u64))))
}

fn text(found: &TextDiff, most: usize) -> Vec<Block> {
    let mut lines = Vec::new();
    for hunk in &found.hunks {
        let (old, new) = ((hunk.old_start, hunk.old_lines), (hunk.new_start, hunk.new_lines));
        lines.push(format!("@@ -{},{} +{},{} @@", old.0, old.1, new.0, new.1));
        lines.extend(hunk.lines.iter().cloned());
    }
    let left = lines.len().saturating_sub(most) + found.lines_left_out;
    lines.truncate(most);
    [Some(Block::Patch(lines)), more(left, "lines")].into_iter().flatten().collect()
}

fn metrics(found: &MetricsDiff, most: usize) -> Vec<Block> {
    let total = found.changed + found.added + found.removed;
    if total == 0 {
        return vec![Block::Line("the same values, written otherwise".to_owned())];
    }
    let rows: Vec<Vec<String>> = found.values.iter().take(most).map(metric_row).collect();
    let left = total - rows.len();
    let table = Block::Table(&["VALUE", "OLD", "NEW", "CHANGE"], rows);
    [Some(table), more(left, "values")].into_iter().flatten().collect()
}

fn metric_row(change: &MetricChange) -> Vec<String> {
    let words = match (change.change, change.relative, &change.old, &change.new) {
        (_, _, None, _) => "added".to_owned(),
        (_, _, _, None) => "removed".to_owned(),
        (Some(change), relative, ..) => {
            let sign = if change > 0.0 { "+" } else { "" };
            let relative = relative.map_or_else(String::new, |relative| format!(" ({sign}{})", share(relative)));
            format!("{sign}{}{relative}", number(change))
        }
        _ => String::new(),
    };
    vec![change.path.clone(), short(&value(change.old.as_ref())), short(&value(change.new.as_ref())), words]
}

fn metrics_summary(found: &MetricsDiff) -> String {
    let total = found.changed + found.added + found.removed;
    let told = found.values.iter().take(IN_A_LINE).map(|change| match (&change.old, &change.new) {
        (None, _) => format!("{} added", change.path),
        (_, None) => format!("{} removed", change.path),
        (old, new) => format!("{} {} → {}", change.path, short(&value(old.as_ref())), short(&value(new.as_ref()))),
    });
    let mut told: Vec<String> = told.collect();
    match total - told.len() {
        0 if told.is_empty() => "the same values".to_owned(),
        0 => told.join(", "),
        left => {
            told.push(format!("{} more", count(left as u64)));
            told.join(", ")
        }
    }
}

fn table(found: &TableDiff, most: usize) -> Vec<Block> {
    let key = if found.key.is_empty() { "the row's number".to_owned() } else { found.key.join(", ") };
    let mut blocks = vec![Block::Line(format!(
        "rows by {key}: {} added, {} removed, {} changed ({}) of {} → {}",
        count(found.rows_added),
        count(found.rows_removed),
        count(found.rows_changed),
        plural(found.cells_changed, "cell", "cells"),
        count(found.old_rows),
        count(found.new_rows),
    ))];
    let columns = [("added", &found.columns_added), ("removed", &found.columns_removed)];
    for (what, columns) in columns.into_iter().filter(|(_, columns)| !columns.is_empty()) {
        blocks.push(Block::Line(format!("columns {what}: {}", columns.join(", "))));
    }
    let mut rows = Vec::new();
    for row in &found.changed {
        let key = row.key.join(", ");
        let cell =
            |cell: &compare::CellChange| vec![short(&key), cell.column.clone(), short(&cell.old), short(&cell.new)];
        rows.extend(row.cells.iter().map(cell));
    }
    let left = usize::try_from(found.cells_changed).unwrap_or(usize::MAX) - rows.len().min(most);
    rows.truncate(most);
    if !rows.is_empty() {
        blocks.push(Block::Table(&["ROW", "COLUMN", "OLD", "NEW"], rows));
        blocks.extend(more(left, "cells"));
    }
    for (what, keys, total) in
        [("added", &found.added, found.rows_added), ("removed", &found.removed, found.rows_removed)]
    {
        let told: Vec<String> = keys.iter().take(most).map(|key| short(&key.join(", "))).collect();
        if told.is_empty() {
            continue;
        }
        let left = total - told.len() as u64;
        let more = if left > 0 { format!(", … {} more", count(left)) } else { String::new() };
        blocks.push(Block::Line(format!("{what}: {}{more}", told.join("; "))));
    }
    blocks
}

fn image(found: &ImageDiff) -> Vec<Block> {
    vec![Block::Line(image_words(found))]
}

fn image_words(found: &ImageDiff) -> String {
    let facts =
        |image: &compare::ImageFacts| format!("{} {} × {} {}", image.format, image.width, image.height, image.color);
    let (old, new) = (facts(&found.old), facts(&found.new));
    let kind = if old == new { new } else { format!("{old} → {new}") };
    match (found.pixels_changed, found.similarity) {
        (Some(changed), Some(similarity)) => format!(
            "{kind}   {} of pixels changed   mean difference {} of 255   similarity {}",
            share(changed),
            number(found.mean_difference.unwrap_or_default()),
            number(similarity)
        ),
        _ => kind,
    }
}

fn tensors(found: &TensorsDiff, most: usize) -> Vec<Block> {
    let counts = [
        (found.added, "added"),
        (found.removed, "removed"),
        (found.reshaped, "reshaped"),
        (found.retyped, "retyped"),
        (found.changed, "changed"),
        (found.unchanged, "unchanged"),
    ];
    let told: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let mut blocks = vec![Block::Line(format!("tensors: {}", told.join(", ")))];
    let total = found.added + found.removed + found.reshaped + found.retyped + found.changed;
    let rows: Vec<Vec<String>> = found.tensors.iter().take(most).map(tensor_row).collect();
    let left = total - rows.len();
    if !rows.is_empty() {
        blocks.push(Block::Table(&["TENSOR", "TYPE", "SHAPE", "L2", "RELATIVE", "MAX", "COSINE", "CHANGED"], rows));
    }
    blocks.extend(more(left, "tensors"));
    blocks
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

/// Elements that take no part in the sums.
fn not_numbers(distance: &Distance) -> String {
    let pairs = [("nan", distance.old_nan, distance.new_nan), ("inf", distance.old_infinite, distance.new_infinite)];
    let told =
        pairs.iter().filter(|(_, old, new)| old + new > 0).map(|(what, old, new)| format!(", {what} {old} → {new}"));
    told.collect()
}

fn tensors_summary(found: &TensorsDiff) -> String {
    let mut told = Vec::new();
    let both = found.changed + found.retyped;
    if both > 0 {
        let cosine = found.tensors.iter().filter_map(|tensor| tensor.distance.as_ref()?.cosine).reduce(f64::min);
        let cosine = cosine.map_or_else(String::new, |cosine| format!(", cosine {}", number(cosine)));
        told.push(format!("{}{cosine}", plural(both as u64, "tensor", "tensors")));
    }
    let others = [(found.added, "added"), (found.removed, "removed"), (found.reshaped, "reshaped")];
    told.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    if told.is_empty() { "the same tensors".to_owned() } else { told.join(", ") }
}

fn bytes(found: &BytesDiff) -> String {
    let first =
        found.first_difference.map_or_else(String::new, |at| format!(", first difference at byte {}", count(at)));
    let why = if found.why.is_empty() { String::new() } else { format!("   compared as bytes: {}", found.why) };
    let (old, new, shared) = (size(found.old_bytes), size(found.new_bytes), size(found.shared_bytes));
    format!("{old} → {new}, {shared} shared{first}{why}")
}

fn short(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
