//! The figures of one file of the store.

use std::io::Cursor;

use compare::{CompareError, Figures, Limits, Side, may_have_figures};
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use specs::FilePath;

/// Bytes of a file whose figures are read.
const MOST: u64 = 1 << 20;
/// Values of such a file.
const VALUES: usize = 20_000;

/// The figures of a file; `Other` without a look at it when its name and length say that it has none.
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

/// What the only value of a file of metrics is called: its ending, as in `a1.error`; without one, or as plain text, `value`, so that files of
/// a row each share the column.
pub(super) fn metric_of_word(path: &FilePath) -> String {
    match path.name().rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.is_empty() && ending != "txt" => ending.to_owned(),
        _ => "value".to_owned(),
    }
}

/// What the only value of a file in a directory of parameters is called: the file's name without its ending.
pub(super) fn parameter_of_word(path: &FilePath) -> String {
    let name = path.name();
    name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem }).to_owned()
}
