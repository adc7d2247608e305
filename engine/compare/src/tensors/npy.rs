//! The header of numpy's format: a Python literal, of which only the three fields that numpy writes are read.
//!
//! It is parsed here rather than by a library, since shapes and nesting are untrusted: sizes are checked before they are multiplied, and
//! nothing is recursive.

use std::io::Read;

use super::element::Element;
use super::open::Tensor;
use crate::content::read_full;
use crate::error::{Fit, Unfit};

/// Maximum size of a header in bytes; numpy itself reads only 10,000 by default.
const MOST: usize = 1 << 16;

/// Reads the header, up to the first element. Returns the tensor and the header's length.
pub(super) fn header(from: &mut (impl Read + ?Sized), name: &str) -> Fit<(Tensor, u64)> {
    let malformed = |why: &str| Unfit::malformed("numpy array", why);
    let mut start = [0; 10];
    if read_full(from, &mut start)? < start.len() || !start.starts_with(b"\x93NUMPY") {
        return Err(malformed("it does not start like one"));
    }
    let (length, before) = match start[6] {
        1 => (usize::from(u16::from_le_bytes([start[8], start[9]])), 10),
        2 | 3 => {
            let mut more = [0; 2];
            read_full(from, &mut more)?;
            (u32::from_le_bytes([start[8], start[9], more[0], more[1]]) as usize, 12)
        }
        _ => return Err(malformed("its version is unknown")),
    };
    if length > MOST {
        return Err(malformed("its header is too long"));
    }
    let mut text = vec![0; length];
    if read_full(from, &mut text)? < length {
        return Err(malformed("it ends within its header"));
    }
    let text = String::from_utf8_lossy(&text);
    let shape = shape(&text).ok_or_else(|| malformed("its header has no shape"))?;
    let by_columns = match value(&text, "fortran_order") {
        Some(rest) if rest.starts_with("True") => true,
        Some(rest) if rest.starts_with("False") => false,
        _ => return Err(malformed("its header has no order")),
    };
    let descr = value(&text, "descr").ok_or_else(|| malformed("its header has no type"))?;
    let (element, type_name) = match quoted(descr) {
        Some(text) => Element::of_numpy(text),
        None => (None, "a structure".to_owned()),
    };
    let elements = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    let elements = elements.ok_or_else(|| malformed("its shape is too large"))?;
    let tensor = Tensor { name: name.to_owned(), shape, type_name, element, by_columns, elements, place: 0 };
    Ok((tensor, before + length as u64))
}

/// The text after the key `'name':`.
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let at = ['\'', '"'].iter().find_map(|quote| {
        let key = format!("{quote}{name}{quote}");
        text.find(&key).map(|at| at + key.len())
    })?;
    text[at..].trim_start().strip_prefix(':').map(str::trim_start)
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|first| ['\'', '"'].contains(first))?;
    text[1..].split_once(quote).map(|(inner, _)| inner)
}

fn shape(text: &str) -> Option<Vec<u64>> {
    let (inner, _) = value(text, "shape")?.strip_prefix('(')?.split_once(')')?;
    let parts = inner.split(',').map(|part| part.trim().trim_end_matches('L')).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}
