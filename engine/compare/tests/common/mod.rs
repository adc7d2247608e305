//! Two files in memory.

use std::io::Cursor;

use compare::{Compared, Limits, Options, Side, compare};

/// Compares two files with one name.
pub(crate) fn compared(name: &str, old: &[u8], new: &[u8], options: &Options) -> Compared {
    let (mut one, mut other) = (Cursor::new(old), Cursor::new(new));
    let side = |content, bytes: &[u8]| Side { name, size_bytes: bytes.len() as u64, content, pieces: Vec::new() };
    compare(side(&mut one, old), side(&mut other, new), options).unwrap()
}

/// Limits that even a small file reaches.
#[allow(dead_code, reason = "each test binary has its own copy of this module")]
pub(crate) fn tight() -> Limits {
    Limits {
        unchanged_cells: 0,
        text_held: 4,
        text_lines: 5,
        shown_characters: 20,
        metrics_bytes: 1000,
        nesting: 8,
        values: 50,
        rows: 20,
        columns: 5,
        row_bytes: 200,
        held_bytes: 100,
        image_bytes: 1 << 20,
        pixels: 400,
        frames: 2,
        frame_pixels: 1000,
        header_bytes: 1000,
        tensors: 4,
        inflated_bytes: 4000,
        listed: 3,
    }
}
