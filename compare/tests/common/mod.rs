//! Two files in memory.

use std::io::Cursor;

use compare::{Compared, Detail, Limits, Options, Side, compare};

/// Compares two files of one name.
pub(crate) fn compared(name: &str, old: &[u8], new: &[u8], options: &Options) -> Compared {
    let (mut one, mut other) = (Cursor::new(old), Cursor::new(new));
    let side = |content, bytes: &[u8]| Side { name, size_bytes: bytes.len() as u64, content, pieces: Vec::new() };
    compare(side(&mut one, old), side(&mut other, new), options).unwrap()
}

/// What differs, by the usual limits.
pub(crate) fn detail(name: &str, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Detail {
    compared(name, old.as_ref(), new.as_ref(), &Options::default()).detail
}

/// The same as JSON.
pub(crate) fn json(name: &str, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> serde_json::Value {
    serde_json::to_value(detail(name, old, new)).unwrap()
}

/// Limits that a small file reaches.
pub(crate) fn tight() -> Limits {
    Limits {
        text_bytes: 2000,
        text_lines: 5,
        shown_characters: 20,
        metrics_bytes: 1000,
        nesting: 8,
        values: 50,
        rows: 20,
        columns: 5,
        row_bytes: 200,
        held_bytes: 100,
        pixels: 400,
        header_bytes: 1000,
        tensors: 4,
        inflated_bytes: 4000,
        listed: 3,
    }
}
