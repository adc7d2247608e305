//! What is too much for a comparison.

/// Bounds of what is read and told. What goes beyond them is compared by its bytes, or told in part with a count of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Lines of each side of a text that are held at a time, with 8 bytes each.
    pub text_held: usize,
    /// Lines of a unified difference.
    pub text_lines: usize,
    /// Characters of a line or of a value that are told.
    pub shown_characters: usize,
    /// Bytes of a JSON or YAML file.
    pub metrics_bytes: u64,
    /// Lists and mappings inside each other.
    pub nesting: usize,
    /// Values of a JSON or YAML file, those that aliases stand for included.
    pub values: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Columns of a table.
    pub columns: usize,
    /// Bytes of one row, and of the header of a table.
    pub row_bytes: u64,
    /// Bytes of changed rows that are held at a time.
    pub held_bytes: usize,
    /// Bytes of the file of an image.
    pub image_bytes: u64,
    /// Pixels of an image, and of one frame of several.
    pub pixels: u64,
    /// Frames or pages of an image that are compared.
    pub frames: u64,
    /// Pixels of all frames that are compared.
    pub frame_pixels: u64,
    /// Bytes of the header of a file of tensors.
    pub header_bytes: u64,
    /// Tensors of a file.
    pub tensors: usize,
    /// Bytes of a file of tensors when it is unpacked.
    pub inflated_bytes: u64,
    /// Values, rows or tensors that are told one by one.
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
