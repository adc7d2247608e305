//! Differences of two files by their kind: text, metrics, tables, images, tensors.
//!
//! Bytes of both sides in, findings out. Pure but for reading: nothing here knows of stores, commits or terminals. Not here: which files
//! differ (`repos::tree`), why they do (`engine`), how findings are printed (`cli`).
