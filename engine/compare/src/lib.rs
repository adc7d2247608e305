//! Differences of two files by their kind: text, metrics, tables, images, tensors.
//!
//! Takes the bytes of both sides and returns findings. Apart from reading, it is pure: nothing here knows of stores, commits or terminals.
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! error     why a comparison failed, and what does not fit its kind
//! limits    size limits
//! options   how to compare
//! content   the bytes of a side, read in pieces and watched
//! kind      the kind of two files, by content and name: a table
//! bytes     every file without a better kind
//! sequence  which items of two lists are equal, by Myers
//! text      lines, unified
//! value     the meaning of values, and when they are equal: one rule for all kinds
//! keys      which columns or fields identify rows and records
//! pairing   which records belong together
//! metrics   JSON and YAML, value by value
//! table     CSV and TSV, by row and cell; rows of these and of Parquet, to show them
//! images    pixels
//! tensors   `.npy`, `.npz` and `.safetensors`, tensor by tensor
//! flips     one field of the records of JSON and CSV: which decisions changed
//! figures   the named values in one file: metrics, parameters
//! shown     what to show of one file: text, a small picture, tensors
//! ```
//! Anything malformed or beyond the [`Limits`] is compared by lines if it is text, otherwise by bytes; the finding then says why.
//!
//! Readers are streaming and bounded; a hostile file costs no more than a large one. Not here: which files differ (`repos::tree`), why they
//! differ (`engine`), how findings are printed (`cli`).

mod bytes;
mod content;
mod error;
mod figures;
mod flips;
mod images;
mod keys;
mod kind;
mod limits;
mod metrics;
mod options;
mod pairing;
mod sequence;
mod shown;
mod table;
mod tensors;
mod text;
mod value;

use schemars::JsonSchema;
use serde::Serialize;

pub use bytes::BytesDiff;
pub use content::{Content, Piece, Side};
pub use error::CompareError;
pub use figures::{Figures, Values, figures, may_have_figures};
pub use flips::{FileFlips, Flip, NoRecords, Query, flips};
pub use images::{FrameChange, ImageDiff, ImageFacts};
pub use kind::Kind;
pub use limits::Limits;
pub use metrics::{ListPairing, MetricChange, MetricsDiff};
pub use options::{KeyUse, Options};
pub use pairing::PairedBy;
pub use shown::{Bounds, Picture, Shown, show};
pub use table::{CellChange, ColumnChange, RowChange, TableDiff, TablePage, rows};
pub use tensors::{
    Distance, MetadataChange, Statistics, TensorChange, TensorDiff, TensorFacts, TensorList, TensorsDiff, tensors,
};
pub use text::{Hunk, TextDiff};

use content::Watched;
use error::{Fit, Unfit};

/// The differences between two files, by their kind.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
    /// Bytes, if there is nothing better.
    Bytes(BytesDiff),
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The differences.
    pub detail: Detail,
    /// A PNG of the differences between two images, if requested and they have the same size.
    pub picture: Option<Vec<u8>>,
    /// How the requested key was used; absent for files without rows or records.
    pub key_use: Option<KeyUse>,
}

/// Whether two values are equal as cells of a table: `1` and `1.0`, `true` and `True`.
pub fn is_same_value(one: &str, other: &str) -> bool {
    value::canonical_cell(one.as_bytes()) == value::canonical_cell(other.as_bytes())
}

/// Compares two files.
///
/// Fails only if a file cannot be read; a file that does not fit its kind is compared line by line if it is text, otherwise by its bytes,
/// and the finding says why.
pub fn compare<'c>(old: Side<'c>, new: Side<'c>, options: &Options) -> Result<Compared, CompareError> {
    let (mut old, mut new) = (Watched::new(old), Watched::new(new));
    let found = by_kind(&mut old, &mut new, options);
    old.check()?;
    new.check()?;
    let why = match found {
        Ok(compared) => return Ok(compared),
        Err(unfit) => unfit.0,
    };
    let detail = fallback(&mut old, &mut new, why, options);
    old.check()?;
    new.check()?;
    let detail = detail.map_err(|unfit| CompareError::Read(std::io::Error::other(unfit.0)))?;
    Ok(Compared { detail, picture: None, key_use: None })
}

/// Compares by lines, or by bytes if the files are not text.
fn fallback<'c>(old: &mut Watched<'c>, new: &mut Watched<'c>, why: String, options: &Options) -> Fit<Detail> {
    if kind::is_text(old)? && kind::is_text(new)? {
        let found = text::compare(old, new, &options.limits)?;
        return Ok(Detail::Text(TextDiff { why, ..found }));
    }
    Ok(Detail::Bytes(BytesDiff { why, ..bytes::compare(old, new)? }))
}

fn by_kind<'c>(old: &mut Watched<'c>, new: &mut Watched<'c>, options: &Options) -> Fit<Compared> {
    let kind = kind::common(old, new)?;
    let limits = &options.limits;
    let (mut picture, mut key_use) = (None, None);
    let detail = match kind {
        Kind::Text => Detail::Text(text::compare(old, new, limits)?),
        Kind::Json | Kind::JsonLines | Kind::Yaml => {
            let (found, key) = metrics::compare(kind, old, new, options)?;
            key_use = key;
            Detail::Metrics(found)
        }
        Kind::Csv | Kind::Tsv => {
            let (found, key) = table::compare(kind, old, new, options)?;
            key_use = Some(key);
            Detail::Table(found)
        }
        Kind::Image => {
            let (found, drawn) = images::compare(old, new, options)?;
            picture = drawn;
            Detail::Image(found)
        }
        Kind::Npy | Kind::Npz | Kind::Safetensors => Detail::Tensors(tensors::compare(kind, old, new, limits)?),
        Kind::Parquet => return Err(Unfit("Parquet is not compared by rows".to_owned())),
        Kind::Bytes => Detail::Bytes(bytes::compare(old, new)?),
    };
    Ok(Compared { detail, picture, key_use })
}
