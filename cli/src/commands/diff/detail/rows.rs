//! Rows of tables.

use compare::{CellChange, PairedBy, TableDiff};

use super::{Extent, short, short_pair};
use crate::commands::diff::page::Block;
use crate::output::{count, plural};

pub(super) fn blocks(found: &TableDiff, extent: Extent) -> Vec<Block> {
    let mut blocks = vec![Block::Line(counted(found))];
    blocks.extend(found.notes.iter().cloned().map(Block::Line));
    let columns = [("added", &found.columns_added), ("removed", &found.columns_removed)];
    for (what, columns) in columns.into_iter().filter(|(_, columns)| !columns.is_empty()) {
        blocks.push(Block::Line(format!("columns {what}: {}", columns.join(", "))));
    }
    if is_same(found) && found.notes.is_empty() {
        let words = if found.reordered { "the same rows" } else { "the same rows, formatted differently" };
        blocks.push(Block::Line(words.to_owned()));
    }
    blocks.extend(cells(found, extent));
    for (what, keys, total) in
        [("added", &found.added, found.rows_added), ("removed", &found.removed, found.rows_removed)]
    {
        let told: Vec<String> = keys.iter().take(extent.rows).map(|key| row(found, key)).collect();
        if told.is_empty() {
            continue;
        }
        let left = total - told.len() as u64;
        let more = if left > 0 { format!(", … {} more", count(left)) } else { String::new() };
        blocks.push(Block::Line(format!("{what}: {}{more}", told.join("; "))));
    }
    blocks
}

/// How the rows were paired, and how many were added, removed and changed.
fn counted(found: &TableDiff) -> String {
    let by = if found.by == PairedBy::Key {
        found.key.join(", ")
    } else {
        "content, because no columns identify them".to_owned()
    };
    format!(
        "rows by {by}: {} added, {} removed, {} changed ({}) of {} → {}{}",
        count(found.rows_added),
        count(found.rows_removed),
        count(found.rows_changed),
        plural(found.cells_changed, "cell", "cells"),
        count(found.old_rows),
        count(found.new_rows),
        if found.reordered { ", in another order" } else { "" },
    )
}

fn is_same(found: &TableDiff) -> bool {
    found.rows_added + found.rows_removed + found.rows_changed == 0
        && found.columns_added.is_empty()
        && found.columns_removed.is_empty()
}

/// A row, named by its key or its number.
fn row(found: &TableDiff, key: &[String]) -> String {
    let text = short(&key.join(", "));
    if found.by == PairedBy::Key { text } else { format!("row {text}") }
}

fn cells(found: &TableDiff, extent: Extent) -> Vec<Block> {
    let mut rows = Vec::new();
    for changed in &found.changed {
        let key = short(&changed.key.join(", "));
        let cell = |cell: &CellChange| {
            let (old, new) = short_pair(&cell.old, &cell.new);
            vec![key.clone(), cell.column.clone(), old, new]
        };
        rows.extend(changed.cells.iter().map(cell));
    }
    let left = found.cells_changed.saturating_sub(rows.len().min(extent.rows) as u64);
    rows.truncate(extent.rows);
    if rows.is_empty() {
        return extent.more(left, "cells").into_iter().collect();
    }
    let table = Block::Table(&["ROW", "COLUMN", "OLD", "NEW"], rows);
    [Some(table), extent.more(left, "cells")].into_iter().flatten().collect()
}

pub(super) fn summary(found: &TableDiff) -> String {
    let rows = [("added", found.rows_added), ("removed", found.rows_removed), ("changed", found.rows_changed)];
    let rows = rows.iter().filter(|(_, rows)| *rows > 0).map(|(what, rows)| format!("{} {what}", count(*rows)));
    let rows: Vec<String> = rows.collect();
    if !rows.is_empty() {
        return format!("rows: {}", rows.join(", "));
    }
    let words = match (is_same(found), found.reordered) {
        (false, _) => "different columns",
        (true, true) => "the same rows in another order",
        (true, false) => "the same rows",
    };
    words.to_owned()
}
