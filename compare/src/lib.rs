//! Differences of two files by their kind: text, metrics, tables, images, tensors.
//!
//! Bytes of both sides in, findings out. Pure but for reading: nothing here knows of stores, commits or terminals.
//! - `kind`    what two files are, by content and name: a table
//! - `text`    lines, unified
//! - `metrics` JSON and YAML, value by value
//! - `table`   CSV and TSV, by row and cell
//! - `images`  pixels
//! - `tensors` `.npy`, `.npz` and `.safetensors`, tensor by tensor
//! - `bytes`   everything else, and whatever is malformed or goes beyond the [`Limits`]: the finding then says why
//! - `figures` what one file says in values: metrics, parameters
//! - `shown`   what one file shows to people: text, a small picture, tensors
//! - `flips`   one field of the records of JSON and CSV: which decisions changed
//!
//! Readers are streaming and bounded; a hostile file costs no more than a large one. Not here: which files differ (`repos::tree`), why they
//! do (`engine`), how findings are printed (`cli`).

mod bytes;
mod content;
mod error;
mod figures;
mod flips;
mod images;
mod kind;
mod limits;
mod metrics;
mod shown;
mod table;
mod tensors;
mod text;

use serde::Serialize;

pub use bytes::BytesDiff;
pub use content::{Content, Piece, Side};
pub use error::CompareError;
pub use figures::{Figures, Values, figures, may_have_figures};
pub use flips::{FileFlips, Flip, Query, flips};
pub use images::{ImageDiff, ImageFacts};
pub use kind::Kind;
pub use limits::Limits;
pub use metrics::{MetricChange, MetricsDiff};
pub use shown::{Bounds, Picture, Shown, show};
pub use table::{CellChange, ColumnChange, RowChange, TableDiff};
pub use tensors::{Distance, TensorChange, TensorDiff, TensorsDiff};
pub use text::{Hunk, TextDiff};

use content::Watched;
use error::Fit;

/// What differs between two files, by their kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detail {
    /// Lines.
    Text(TextDiff),
    /// Values of JSON or YAML.
    Metrics(MetricsDiff),
    /// Rows and cells of CSV or TSV.
    Table(TableDiff),
    /// Pixels.
    Image(ImageDiff),
    /// Arrays of numbers.
    Tensors(TensorsDiff),
    /// Bytes, for want of something better.
    Bytes(BytesDiff),
}

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is too much.
    pub limits: Limits,
    /// Key columns of tables; empty to find them.
    pub key: Vec<String>,
    /// Whether to draw a picture of where two images differ.
    pub picture: bool,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What differs.
    pub detail: Detail,
    /// A PNG of where two images differ, if it was asked for and they have the same size.
    pub picture: Option<Vec<u8>>,
}

/// Compares two files.
///
/// The only errors are those of reading; a file that is not what its kind asks for is compared by its bytes, and the finding says why.
pub fn compare<'c>(old: Side<'c>, new: Side<'c>, options: &Options) -> Result<Compared, CompareError> {
    let (mut old, mut new) = (Watched::new(old), Watched::new(new));
    let found = by_kind(&mut old, &mut new, options);
    old.check()?;
    new.check()?;
    let why = match found {
        Ok(compared) => return Ok(compared),
        Err(unfit) => unfit.0,
    };
    let detail = bytes::compare(&mut old, &mut new);
    old.check()?;
    new.check()?;
    let mut detail = detail.map_err(|unfit| CompareError::Read(std::io::Error::other(unfit.0)))?;
    detail.why = why;
    Ok(Compared { detail: Detail::Bytes(detail), picture: None })
}

fn by_kind<'c>(old: &mut Watched<'c>, new: &mut Watched<'c>, options: &Options) -> Fit<Compared> {
    let kind = kind::common(old, new)?;
    let limits = &options.limits;
    let mut picture = None;
    let detail = match kind {
        Kind::Text => Detail::Text(text::compare(old, new, limits)?),
        Kind::Json | Kind::JsonLines | Kind::Yaml => Detail::Metrics(metrics::compare(kind, old, new, limits)?),
        Kind::Csv | Kind::Tsv => Detail::Table(table::compare(kind, old, new, options)?),
        Kind::Image => {
            let (found, drawn) = images::compare(old, new, options)?;
            picture = drawn;
            Detail::Image(found)
        }
        Kind::Npy | Kind::Npz | Kind::Safetensors => Detail::Tensors(tensors::compare(kind, old, new, limits)?),
        Kind::Bytes => Detail::Bytes(bytes::compare(old, new)?),
    };
    Ok(Compared { detail, picture })
}
