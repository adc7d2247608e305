//! Compares two files of the store, by their kind.

use compare::{CompareError, Compared, Options, Piece, Side};
use repos::store::FileReader;
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::Serialize;
use specs::FilePath;

/// A file and its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct Named {
    pub path: FilePath,
    #[serde(skip)]
    pub file: FileEntry,
}

/// Compares two files. Reads only what is necessary: pieces that both share often need not be read.
pub fn compare_files(store: &Store, old: &Named, new: &Named, options: &Options) -> Result<Compared, RepoError> {
    let (mut old_reader, mut new_reader) = (store.open_file(&old.file)?, store.open_file(&new.file)?);
    let compared = compare::compare(side(old, &mut old_reader), side(new, &mut new_reader), options);
    compared.map_err(|CompareError::Read(error)| store_error(error, new))
}

pub(super) fn side<'a>(named: &'a Named, reader: &'a mut FileReader) -> Side<'a> {
    let piece =
        |(digest, length): &(specs::Digest, u32)| Piece { id: *digest.as_bytes(), size_bytes: (*length).into() };
    let pieces = reader.chunks().iter().map(piece).collect();
    Side { name: named.path.name(), size_bytes: named.file.size, content: reader, pieces }
}

/// Restores an error of the store that passed through a reader.
pub(super) fn store_error(error: std::io::Error, of: &Named) -> RepoError {
    match error.downcast::<RepoError>() {
        Ok(error) => error,
        Err(source) => RepoError::Io { doing: "read", path: of.path.as_str().into(), source },
    }
}
