//! Rows of a CSV or TSV file, a page at a time.

use answers::file::shown::{TablePage, rows};
use maud::{Markup, html};
use specs::words::count;

use super::{Part, text};
use crate::look::Look;
use crate::views::Result;
use crate::views::data::shared::{Place, ROWS, pager, shortened};

/// Most columns that are shown.
const COLUMNS: usize = 40;
/// Most characters of a cell.
const CELL: usize = 160;

/// A page of a table; if it is none, its text with the reason.
pub(super) fn table(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let place = part.place();
    match rows(look.store, part.file, (place.map(|place| place.byte), ROWS))? {
        Ok(page) => Ok(shown(look, part, place, &page)),
        Err(why) => Ok(html! { p .dim { "Shown as text, since it is no table: " (why) } (text::text(look, part)?) }),
    }
}

fn shown(look: &Look<'_>, part: &Part<'_>, place: Option<Place>, page: &TablePage) -> Markup {
    let first = place.map_or(1, |place| place.number);
    let next = page.next.map(|byte| Place { number: first + page.rows.len() as u64, byte });
    let hidden = page.header.len().saturating_sub(COLUMNS);
    html! {
        @if hidden > 0 { p .dim { "The first " (COLUMNS) " of " (page.header.len()) " columns." } }
        div .wide .sheet tabindex="0" role="region" aria-label="Table" {
            table {
                thead {
                    tr {
                        th .number scope="col" { "Row" }
                        @for name in page.header.iter().take(COLUMNS) { th scope="col" { (shortened(name, CELL)) } }
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
        (pager(
            look,
            place.map(|_| part.here()),
            next.map(|next| part.here().with("after", next)),
            ("First rows", "Further rows"),
        ))
    }
}
