//! The figures in one file of the store.

use std::io::Cursor;

use compare::{CompareError, Figures, Limits, Side, may_have_figures};
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use specs::FilePath;

/// Maximum size in bytes of a file whose figures are read.
const MOST: u64 = 1 << 20;
/// Maximum number of values in such a file.
const VALUES: usize = 20_000;

/// The figures of a file; `Other`, without reading it, if its name and length rule out figures.
pub(super) fn figures_of(store: &Store, path: &FilePath, file: &FileEntry) -> Result<Figures, RepoError> {
    if !may_have_figures(path.name(), file.size) {
        return Ok(Figures::Other);
    }
    if file.size > MOST {
        return Ok(Figures::Unfit(format!("more than {MOST} bytes")));
    }
    if file.size > 0 && !store.has_content(&file.digest)? {
        return Ok(Figures::Unfit("its content is no longer stored".to_owned()));
    }
    let bytes = store.read_file(file, 0..MOST)?;
    let mut content = Cursor::new(bytes);
    let side = Side { name: path.name(), size_bytes: file.size, content: &mut content, pieces: Vec::new() };
    let limits = Limits { values: VALUES, ..Limits::default() };
    compare::figures(side, &limits).map_err(|CompareError::Read(source)| RepoError::Io {
        doing: "read",
        path: path.as_str().into(),
        source,
    })
}

/// The name of the only value in a metrics file: its extension, as in `a1.error`; without one, or for plain text, `value`, so that the
/// files of all rows share the column.
pub(super) fn metric_of_word(path: &FilePath) -> String {
    match path.name().rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.is_empty() && ending != "txt" => ending.to_owned(),
        _ => "value".to_owned(),
    }
}

/// The name of the only value of a file in a parameter directory: the file's name without its extension.
pub(super) fn parameter_of_word(path: &FilePath) -> String {
    let name = path.name();
    name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem }).to_owned()
}
