//! Sources of a put.

use std::path::{Path, PathBuf};

use repos::files::{Excludes, PATTERN_FILE, PutOptions};
use repos::web::WebUrl;
use specs::{Digest, Reference};

use super::PutFiles;
use crate::error::{EngineError, Result};

/// One source of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutSource {
    /// A local file or folder of the machine that runs the request.
    Path(PathBuf),
    /// A file on the web.
    Web {
        /// Its address.
        url: WebUrl,
        /// The digest that its content must have.
        digest: Option<Digest>,
    },
    /// Data sent by the caller: standard input, the body of a request.
    Input,
}

impl PutSource {
    /// Parses a source: `-` for the input, an address, else a path.
    pub fn parse(word: &Path) -> Result<Self> {
        Ok(match word.to_str() {
            Some("-") => Self::Input,
            Some(text) if WebUrl::is_meant_by(text) => Self::Web { url: WebUrl::parse(text)?, digest: None },
            _ => Self::Path(word.to_owned()),
        })
    }
}

impl PutFiles {
    /// The single source, if it is a local file; as the caller wrote it.
    pub(super) fn single_file(&self) -> Option<&Path> {
        match self.sources.as_slice() {
            [PutSource::Path(path)] if self.path(path).is_file() => Some(path),
            _ => None,
        }
    }

    /// The path for this process of a path that the caller wrote. Unchanged if possible, since messages contain it.
    pub(crate) fn path(&self, given: &Path) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join(given),
            // A file of this name is not the input.
            None if given.as_os_str() == "-" => Path::new(".").join(given),
            None => given.to_owned(),
        }
    }

    /// The options for local files, or for the input as one file.
    pub(super) fn options(&self, named: &Reference) -> PutOptions {
        let local = self.sources.iter().filter_map(|source| match source {
            PutSource::Path(path) => Some(self.path(path)),
            PutSource::Input => Some(PathBuf::from("-")),
            PutSource::Web { .. } => None,
        });
        let mut sources: Vec<PathBuf> = local.collect();
        if self.files_from.is_some() && sources.is_empty() {
            sources.push(self.path(".".as_ref()));
        }
        PutOptions {
            reference: named.to_string(),
            directory: self.directory.clone(),
            sources,
            as_path: self.as_path.clone(),
            excludes: Excludes { patterns: self.exclude.clone(), files: &[PATTERN_FILE], built_in: &[] },
            skip_unreadable: self.skip_unreadable,
            skip_illegal: false,
            files_from: self.files_from.clone(),
            mirror: self.mirror,
        }
    }

    /// Refuses sources that cannot be read together.
    pub(super) fn ensure_one_input(&self) -> Result<()> {
        let inputs = self.sources.iter().filter(|source| matches!(source, PutSource::Input)).count();
        if inputs > 1 {
            return Err(EngineError::usage("standard input is named twice", "name a file instead"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_not_a_file_and_a_file_is_not_the_input() {
        let parsed = ["-", "./-", "a b", "https://h.org/x"].map(|word| PutSource::parse(word.as_ref()).unwrap());
        let url = WebUrl::parse("https://h.org/x").unwrap();
        let path = |path: &str| PutSource::Path(path.into());
        assert_eq!(parsed, [PutSource::Input, path("./-"), path("a b"), PutSource::Web { url, digest: None }]);
        assert!(PutSource::parse("s3://b/k".as_ref()).is_err());
        let here = PutFiles::default();
        let there = PutFiles { folder: Some("/work".into()), ..PutFiles::default() };
        for (given, from_here, from_there) in [("-", "./-", "/work/-"), ("a", "a", "/work/a"), ("/a", "/a", "/a")] {
            assert_eq!(
                [here.path(given.as_ref()), there.path(given.as_ref())],
                [from_here, from_there].map(PathBuf::from)
            );
        }
    }
}
