//! The meaning of table cells. Tables have no types: a cell that reads as a JSON number is one, and `True` is `true`.
//!
//! A number with leading zeros or a plus sign is a text: it is a name, such as a postcode.

use std::borrow::Cow;
use std::hash::Hasher;

use super::number;
use crate::text::lossless;

/// The canonical form of a cell, shared by all cells with the same meaning, with a letter for its type.
pub(crate) fn canonical_cell(cell: &[u8]) -> (u8, Cow<'_, [u8]>) {
    match cell {
        b"true" | b"True" | b"TRUE" => (b'b', Cow::Borrowed(b"true")),
        b"false" | b"False" | b"FALSE" => (b'b', Cow::Borrowed(b"false")),
        _ => match number::of_cell(cell) {
            Some(number) => (b'n', Cow::Owned(number.canonical().into_bytes())),
            None => (b't', Cow::Borrowed(cell)),
        },
    }
}

/// Hashes a cell so that equal cells have equal hashes.
pub(crate) fn hash_cell(cell: &[u8], hasher: &mut impl Hasher) {
    let (sort, text) = canonical_cell(cell);
    hasher.write_u8(sort);
    hasher.write_usize(text.len());
    hasher.write(&text);
}

/// Whether a cell is a measurement, which does not identify rows: a number with digits after the decimal point.
pub(crate) fn is_value_cell(cell: &[u8]) -> bool {
    number::of_cell(cell).is_some_and(|number| !number.is_whole())
}

/// A cell as displayed: equal cells look the same.
pub(crate) fn shown_cell(cell: &[u8]) -> String {
    match canonical_cell(cell) {
        (b'n', _) => number::of_cell(cell).map_or_else(String::new, |number| number.plain()),
        (_, text) => lossless(&text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_say_the_same_are_one() {
        for group in
            [&["1", "1.0", "1e0"][..], &["true", "True", "TRUE"], &["a"], &["007"], &["7"], &[""], &["+7"], &[" 7"]]
        {
            assert!(group.iter().all(|cell| canonical_cell(cell.as_bytes()) == canonical_cell(group[0].as_bytes())));
        }
        assert_ne!(canonical_cell(b"007"), canonical_cell(b"7"), "a name");
        assert_ne!(canonical_cell(b"1e0"), canonical_cell(b"t1e0"));
        assert!(is_value_cell(b"0.5") && !is_value_cell(b"5.0") && !is_value_cell(b"v0.5"));
        assert_eq!(["1.50", "TRUE", "caf\u{e9}"].map(|cell| shown_cell(cell.as_bytes())), ["1.5", "true", "café"]);
        assert_eq!(shown_cell(b"caf\xe9"), "caf\\xe9");
    }
}
