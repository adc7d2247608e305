//! Rows of a CSV, TSV or Parquet file, a page at a time.

use answers::file::shown::{TablePage, rows};
use maud::{Markup, html};
use specs::words::{count, plural};

use super::bytes::hex;
use super::{Part, text};
use crate::address::Address;
use crate::look::Look;
use crate::views::Result;
use crate::views::data::shared::{Place, ROWS, pager, shortened};

/// Most columns that are shown.
const COLUMNS: usize = 40;
/// Most characters of a cell.
const CELL: usize = 160;

/// A page of CSV or TSV; if it is none, its text with the reason.
pub(super) fn table(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let place = part.place();
    match rows(look.store, part.file, (place.map(|place| place.byte), ROWS))? {
        Ok(page) => {
            let first = place.map_or(1, |place| place.number);
            let next = page.next.map(|byte| Place { number: first + page.rows.len() as u64, byte });
            let next = next.map(|next| part.here().with("after", next));
            Ok(html! { (sheet(first, &page)) (pages(look, place.map(|_| part.here()), next)) })
        }
        Err(why) => Ok(html! { p .dim { "Shown as text, since it is no table: " (why) } (text::text(look, part)?) }),
    }
}

/// A page of Parquet; if it is none, its bytes with the reason.
pub(super) fn parquet(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let from = part.after.and_then(|after| after.parse().ok()).unwrap_or(0_u64);
    match rows(look.store, part.file, (Some(from), ROWS))? {
        Ok(page) => {
            let columns = plural(page.header.len() as u64, "column", "columns");
            let next = page.next.map(|next| part.here().with("after", next));
            Ok(html! {
                p .about { @if let Some(rows) = page.count { (plural(rows, "row", "rows")) ", " } (columns) }
                (sheet(from.saturating_add(1), &page))
                (pages(look, (from > 0).then(|| part.here()), next))
            })
        }
        Err(why) => Ok(html! { p .problem { "It cannot be shown as a table: " (why) } (hex(look, part)?) }),
    }
}

fn pages(look: &Look<'_>, first: Option<Address>, next: Option<Address>) -> Markup {
    pager(look, first, next, ("First rows", "Further rows"))
}

/// Rows, of which the first has this number.
fn sheet(first: u64, page: &TablePage) -> Markup {
    let hidden = page.header.len().saturating_sub(COLUMNS);
    html! {
        @if hidden > 0 { p .dim { "The first " (COLUMNS) " of " (page.header.len()) " columns." } }
        div .wide .sheet tabindex="0" role="region" aria-label="Table" {
            table {
                thead {
                    tr {
                        th .number scope="col" { "Row" }
                        @for (at, name) in page.header.iter().take(COLUMNS).enumerate() {
                            th scope="col" {
                                (shortened(name, CELL))
                                @if let Some(of) = page.types.get(at) { " " span .dim { (shortened(of, CELL)) } }
                            }
                        }
                    }
                }
                tbody {
                    @for (number, row) in (first..).zip(&page.rows) {
                        tr id={ "L" (number) } {
                            th .number scope="row" { (count(number)) }
                            @for cell in row.iter().take(COLUMNS) { td { (shortened(cell, CELL)) } }
                        }
                    }
                }
            }
        }
    }
}
