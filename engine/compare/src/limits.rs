//! Size limits of a comparison.

/// Limits for what is read and reported. Beyond them a file is compared by its bytes, or reported in part with a count of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Lines of each side of a text in memory at a time, at 8 bytes each.
    pub text_held: usize,
    /// Lines of a unified difference.
    pub text_lines: usize,
    /// Characters shown of a line or value.
    pub shown_characters: usize,
    /// Bytes of a JSON or YAML file.
    pub metrics_bytes: u64,
    /// Nesting depth of lists and mappings.
    pub nesting: usize,
    /// Values in a JSON or YAML file, including those that aliases expand to.
    pub values: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Columns of a table.
    pub columns: usize,
    /// Bytes in one row, and in the header of a table.
    pub row_bytes: u64,
    /// Bytes of changed rows in memory at a time.
    pub held_bytes: usize,
    /// Unchanged cells reported of each listed row.
    pub unchanged_cells: usize,
    /// Bytes in an image file.
    pub image_bytes: u64,
    /// Pixels in an image, or in one frame.
    pub pixels: u64,
    /// Frames or pages compared.
    pub frames: u64,
    /// Pixels in all compared frames together.
    pub frame_pixels: u64,
    /// Bytes in the header of a tensor file.
    pub header_bytes: u64,
    /// Maximum number of tensors.
    pub tensors: usize,
    /// Bytes in a tensor file after decompression.
    pub inflated_bytes: u64,
    /// Values, rows or tensors listed one by one.
    pub listed: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_held: 1 << 20,
            text_lines: 10_000,
            shown_characters: 2000,
            metrics_bytes: 16 << 20,
            nesting: 64,
            values: 1_000_000,
            rows: 2_000_000,
            columns: 10_000,
            row_bytes: 8 << 20,
            held_bytes: 64 << 20,
            unchanged_cells: 0,
            image_bytes: 256 << 20,
            pixels: 40_000_000,
            frames: 1000,
            frame_pixels: 400_000_000,
            header_bytes: 16 << 20,
            tensors: 100_000,
            inflated_bytes: 16 << 30,
            listed: 1000,
        }
    }
}
