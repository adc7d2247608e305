//! Parts of one file for those who look at it: a range of bytes, rows of a table, tensors, a small picture. Each has bounds, so that a page
//! about a large file costs no more than one about a small one.

use std::io::BufReader;

use compare::{Bounds, CompareError, Limits, Side};
use engine::Result;
use repos::{RepoError, Store};
use specs::FilePath;

use super::FileView;
use repos::tree::FileEntry;

pub use compare::{Kind, Picture, Shown, Statistics, TablePage, TensorFacts, TensorList};

/// Largest file that is decoded as an image.
const PICTURE_BYTES: u64 = 64 << 20;
/// Most pixels of an image that is decoded.
const PICTURE_PIXELS: u64 = 40_000_000;
/// Most bytes of a row of a table.
const ROW_BYTES: u64 = 1 << 20;
/// Most characters of a cell of a Parquet file.
const CELL_CHARACTERS: usize = 500;
/// Most bytes that the pages of a Parquet file may unpack to for one answer.
const PAGES_BYTES: u64 = 256 << 20;
/// Most bytes of tensors that are read for their statistics.
const STATISTICS_BYTES: u64 = 16 << 20;
/// Most bytes that an archive of tensors may unpack to.
const UNPACKED_BYTES: u64 = 64 << 20;

/// Some bytes of a file.
pub fn bytes(store: &Store, file: &FileView, from: u64, most: u64) -> Result<Vec<u8>> {
    let to = from.saturating_add(most).min(file.size_bytes);
    Ok(store.read_file(&entry(file), from.min(to)..to)?.to_vec())
}

/// Rows of a CSV, TSV or Parquet file, from the place on that the page before names; or why there are none.
pub fn rows(
    store: &Store,
    file: &FileView,
    (from, take): (Option<u64>, usize),
) -> Result<std::result::Result<TablePage, String>> {
    let limits = Limits {
        row_bytes: ROW_BYTES,
        columns: 1000,
        header_bytes: 4 << 20,
        inflated_bytes: PAGES_BYTES,
        shown_characters: CELL_CHARACTERS,
        ..Limits::default()
    };
    opened(store, file, |side| compare::rows(side, (from, take), &limits))
}

/// Tensors of a `.npy`, `.npz` or `.safetensors` file; or why there are none.
pub fn tensors(
    store: &Store,
    file: &FileView,
    (skip, take): (usize, usize),
) -> Result<std::result::Result<TensorList, String>> {
    let limits = Limits { inflated_bytes: UNPACKED_BYTES, header_bytes: 4 << 20, ..Limits::default() };
    opened(store, file, |side| compare::tensors(side, (skip, take), STATISTICS_BYTES, &limits))
}

/// A picture of an image whose longer side has at most so many pixels; or why there is none.
pub fn picture(store: &Store, file: &FileView, longer_side: u32) -> Result<std::result::Result<Picture, String>> {
    if file.size_bytes > PICTURE_BYTES {
        return Ok(Err(format!("the file is larger than {} MiB", PICTURE_BYTES >> 20)));
    }
    let bounds = Bounds { text_bytes: 0, picture_side: longer_side, tensors: 0 };
    let limits = Limits { pixels: PICTURE_PIXELS, ..Limits::default() };
    let start = bytes(store, file, 0, 16)?;
    if Kind::of(file.path.name(), &start) != Kind::Image {
        return Ok(Err("pv cannot read it as an image".to_owned()));
    }
    Ok(match opened(store, file, |side| compare::show(side, &bounds, &limits))? {
        Shown::Picture(picture) => Ok(picture),
        Shown::Nothing(why) => Err(why),
        Shown::Text(..) | Shown::Tensors(..) => Err("pv cannot read it as an image".to_owned()),
    })
}

fn opened<T>(
    store: &Store,
    file: &FileView,
    look: impl FnOnce(Side<'_>) -> std::result::Result<T, CompareError>,
) -> Result<T> {
    let mut content = BufReader::new(store.open_file(&entry(file))?);
    let side = Side { name: file.path.name(), size_bytes: file.size_bytes, content: &mut content, pieces: Vec::new() };
    Ok(look(side).map_err(|CompareError::Read(error)| store_error(error, &file.path))?)
}

fn entry(file: &FileView) -> FileEntry {
    FileEntry { digest: file.digest, size: file.size_bytes, executable: file.executable }
}

/// Restores an error of the store that passed through a reader.
fn store_error(error: std::io::Error, path: &FilePath) -> RepoError {
    match error.downcast::<RepoError>() {
        Ok(error) => error,
        Err(source) => RepoError::Io { doing: "read", path: path.as_str().into(), source },
    }
}
