//! Rows and cells that differ: a table of the changed rows, with the changed columns only, unless all are wanted.

use compare::{PairedBy, RowChange, TableDiff};
use maud::{Markup, html};
use specs::words::{count, plural};

use super::content::state;
use super::pair::Pair;
use super::text::{short, short_pair};
use super::{Asked, given};
use crate::address::Address;
use crate::look::Look;

/// Of more columns, cells are listed one below the other.
const WIDE: usize = 60;
/// Rows that were added or removed and are named.
const NAMED: usize = 100;

pub(super) fn shown(look: &Look<'_>, asked: &Asked, pair: &Pair, found: &TableDiff, more: &Markup) -> Markup {
    let is_all = given(&asked.columns) == Some("all");
    let here = |columns: Option<&str>| {
        let asked = Asked { columns: columns.map(ToOwned::to_owned), ..asked.clone() };
        look.link(&state(pair, &asked).with_some("most", given(&asked.most)))
    };
    let left = found.rows_changed.saturating_sub(found.changed.len() as u64);
    html! {
        (summary(found))
        (key_form(look, asked, pair, found))
        @if !found.changed.is_empty() {
            nav .tabs aria-label="Columns" {
                a href=(here(None)) aria-current=[(!is_all).then_some("true")] { "Only changed columns" }
                a href=(here(Some("all"))) aria-current=[is_all.then_some("true")] { "All columns" }
            }
            div .wide tabindex="0" { (rows(found, is_all)) }
            @if left > 0 { p .dim { (plural(left, "more changed row", "more changed rows")) ": " (more) } }
        }
        (named(found, "Added rows", &found.added, found.rows_added))
        (named(found, "Removed rows", &found.removed, found.rows_removed))
    }
}

fn summary(found: &TableDiff) -> Markup {
    let by = if found.by == PairedBy::Key {
        found.key.join(", ")
    } else {
        "content, because no columns identify them".to_owned()
    };
    html! {
        p {
            "Rows by " (by) ": " (count(found.rows_added)) " added, " (count(found.rows_removed)) " removed, "
            (count(found.rows_changed)) " changed ("
            (plural(found.cells_changed, "cell", "cells")) ") of " (count(found.old_rows)) " → " (count(found.new_rows))
            @if found.reordered { ", in another order" } "."
            @for note in &found.notes { " " (note) "." }
        }
        @for (what, columns) in [("added", &found.columns_added), ("removed", &found.columns_removed)] {
            @if !columns.is_empty() { p { "Columns " (what) ": " (columns.join(", ")) "." } }
        }
        @if !found.columns.is_empty() {
            p .dim {
                "Changed cells by column: "
                @for (number, column) in found.columns.iter().enumerate().take(WIDE) {
                    @if number > 0 { ", " } (column.column) " " (count(column.cells))
                }
                "."
            }
        }
        @if found.rows_added + found.rows_removed + found.rows_changed == 0 && found.columns_added.is_empty() && found.columns_removed.is_empty() {
            p {
                @if found.reordered {
                    "The same rows, in another order."
                }  @else {
                    "The same rows, formatted differently."
                }
            }
        }
    }
}

/// Which columns identify a row.
fn key_form(look: &Look<'_>, asked: &Asked, pair: &Pair, found: &TableDiff) -> Markup {
    let here = pair.here();
    html! {
        form .compare action=(look.link(&Address::of(["diff"]))) {
            (hidden(&here))
            @if let Some(columns) = given(&asked.columns) { input type="hidden" name="columns" value=(columns); }
            label {
                "Columns that identify a row"
                input name="key" value=[given(&asked.key)] placeholder=(found.key.join(", ")) spellcheck="false";
            }
            button { "Compare again" }
        }
    }
}

/// The parameters of an address as hidden fields of a form.
pub(super) fn hidden(address: &Address) -> Markup {
    html! { @for (name, value) in address.parameters() { input type="hidden" name=(name) value=(value); } }
}

fn rows(found: &TableDiff, is_all: bool) -> Markup {
    let columns = columns(found, is_all);
    if columns.len() > WIDE {
        return long(found);
    }
    html! {
        table .cells {
            thead {
                tr {
                    th scope="col" { @if found.by == PairedBy::Key { (found.key.join(", ")) } @else { "Row" } }
                    @for column in &columns { th scope="col" { (column) } }
                }
            }
            tbody {
                @for row in &found.changed {
                    tr {
                        th scope="row" { (short(&row.key.join(", "))) }
                        @for column in &columns { (cell(row, column)) }
                    }
                }
            }
        }
    }
}

/// The columns that are shown: those with changed cells; with all, in the order in which rows have them.
fn columns(found: &TableDiff, is_all: bool) -> Vec<&str> {
    let changed = || found.columns.iter().map(|column| column.column.as_str());
    if !is_all {
        return changed().collect();
    }
    let mut columns: Vec<&str> = changed().collect();
    for (column, _) in found.changed.iter().flat_map(|row| &row.unchanged) {
        if columns.len() > WIDE + 1 {
            break;
        }
        if !columns.contains(&column.as_str()) && !found.key.contains(column) {
            columns.push(column);
        }
    }
    columns
}

fn cell(row: &RowChange, column: &str) -> Markup {
    if let Some(changed) = row.cells.iter().find(|cell| cell.column == column) {
        let (old, new) = short_pair(&changed.old, &changed.new);
        return html! { td .changed { del { (old) } " → " ins { (new) } } };
    }
    let same = row.unchanged.iter().find(|(name, _)| name == column);
    html! { td { @if let Some((_, value)) = same { (short(value)) } } }
}

/// One changed cell a line, for tables of very many columns.
fn long(found: &TableDiff) -> Markup {
    html! {
        table .cells {
            thead {
                tr {
                    th scope="col" { "Row" } th scope="col" { "Column" } th scope="col" { "Old" }
                    th scope="col" { "New" }
                }
            }
            tbody {
                @for row in &found.changed {
                    @for cell in &row.cells {
                        @let (old, new) = short_pair(&cell.old, &cell.new);
                        tr {
                            th scope="row" { (short(&row.key.join(", "))) } td { (cell.column) } td { del { (old) } }
                            td { ins { (new) } }
                        }
                    }
                }
            }
        }
    }
}

/// Rows that only one side has, by their keys or numbers.
fn named(found: &TableDiff, what: &str, keys: &[Vec<String>], total: u64) -> Markup {
    let shown = keys.len().min(NAMED);
    let left = total.saturating_sub(shown as u64);
    html! {
        @if !keys.is_empty() {
            details .words {
                summary { (what) ": " (count(total)) }
                ul {
                    @for key in keys.iter().take(NAMED) {
                        li { @if found.by != PairedBy::Key { "row " } (short(&key.join(", "))) }
                    }
                }
                @if left > 0 { p .dim { "and " (count(left)) " more." } }
            }
        }
    }
}
