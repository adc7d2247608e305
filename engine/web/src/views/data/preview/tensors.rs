//! Arrays of numbers: name, shape, type and statistics of each.

use answers::file::shown::{Statistics, TensorFacts, TensorList, tensors as list};
use maud::{Markup, html};
use specs::words::{count, plural};

use super::Part;
use super::bytes::hex;
use crate::look::Look;
use crate::views::Result;
use crate::views::data::shared::{ROWS, pager, shortened};

/// Most characters of a text of the file.
const TEXT: usize = 300;

/// The tensors of a file.
pub(super) fn tensors(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let skip = part.after.and_then(|after| after.parse().ok()).unwrap_or(0);
    Ok(match list(look.store, part.file, (skip, ROWS))? {
        Err(why) => html! { p .problem { "It cannot be read: " (why) } (hex(look, part)?) },
        Ok(found) => shown(look, part, skip, &found),
    })
}

fn shown(look: &Look<'_>, part: &Part<'_>, skip: usize, found: &TensorList) -> Markup {
    let seen = skip + found.tensors.len();
    html! {
        p .about { (plural(found.count as u64, "tensor", "tensors")) }
        div .wide {
            table {
                thead {
                    tr {
                        th scope="col" { "Name" } th scope="col" { "Type" } th scope="col" { "Shape" } th .number scope="col" { "Elements" }
                        th .number scope="col" { "Least" } th .number scope="col" { "Mean" } th .number scope="col" { "Most" }
                        th .number scope="col" { "Deviation" } th scope="col" { "Notes" }
                    }
                }
                tbody { @for tensor in &found.tensors { (row(tensor)) } }
            }
        }
        (pager(
            look,
            (skip > 0).then(|| part.here()),
            (seen < found.count).then(|| part.here().with("after", seen)),
            ("First tensors", "Further tensors"),
        ))
        @if !found.metadata.is_empty() && skip == 0 {
            h3 { "Texts" }
            dl {
                @for (key, text) in found.metadata.iter().take(ROWS) { dt { (key) } dd { (shortened(text, TEXT)) } }
            }
        }
    }
}

fn row(tensor: &TensorFacts) -> Markup {
    let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    html! {
        tr {
            th scope="row" { code { (tensor.name) } }
            td { (tensor.type_name) }
            td { @if shape.is_empty() { "one number" } @else { (shape.join(" × ")) } }
            td .number { (count(tensor.elements)) }
            @match &tensor.statistics {
                Ok(told) => {
                    td .number { (number(told.least)) }
                    td .number { (number(told.mean)) }
                    td .number { (number(told.most)) }
                    td .number { (number(told.deviation)) }
                    td { (notes(told, tensor.elements)) }
                }
                Err(why) => { td .number {} td .number {} td .number {} td .number {} td .dim { (why) } }
            }
        }
    }
}

/// A number with a few digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&size) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.3e}")
    }
}

fn notes(told: &Statistics, elements: u64) -> String {
    let counts = [(told.nan, "NaN"), (told.infinite, "infinite"), (told.zeros, "zero")];
    let notes: Vec<String> = counts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(*number)))
        .collect();
    if told.zeros == elements { "all zero".to_owned() } else { notes.join(", ") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_have_a_few_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (0.000_12, "1.200e-4"),
            (123_456.789, "123456.789"),
            (2e9, "2.000e9"),
        ];
        for (value, text) in cases {
            assert_eq!(super::number(value), text);
        }
    }
}
