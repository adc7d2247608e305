//! What does not work, each said once until it is over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

/// Something that does not work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trouble {
    /// The file or folder; `None` for the watch as a whole.
    #[serde(serialize_with = "lossy")]
    pub path: Option<PathBuf>,
    /// What is wrong with it, as the end of a sentence.
    pub why: String,
}

/// Text has no form for each name that a file can have, and such names are among what does not work.
#[expect(clippy::ref_option, reason = "the shape that serde calls")]
fn lossy<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(to)
}

/// What showed that something does not work, and so shows that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// A look at the folder.
    Look,
    /// An attempt to commit, or to move or delete what is committed.
    Commit,
}

/// Everything that does not work now.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    known: BTreeMap<Option<PathBuf>, (Of, String)>,
    new: Vec<Trouble>,
}

impl Troubles {
    /// Something does not work.
    pub(crate) fn add(&mut self, of: Of, path: Option<PathBuf>, why: String) {
        let before = self.known.insert(path.clone(), (of, why.clone()));
        if before.is_none_or(|(_, before)| before != why) {
            self.new.push(Trouble { path, why });
        }
    }

    /// It works again.
    pub(crate) fn over(&mut self, path: Option<&PathBuf>) {
        self.known.remove(&path.cloned());
    }

    /// Of what looks found, only these are still so.
    pub(crate) fn keep_of_looks(&mut self, is_so: impl Fn(&PathBuf) -> bool) {
        self.known.retain(|path, (of, _)| *of == Of::Commit || path.as_ref().is_none_or(&is_so));
    }

    /// What was not said before.
    pub(crate) fn take_new(&mut self) -> Vec<Trouble> {
        std::mem::take(&mut self.new)
    }

    /// Whether one is of the watch as a whole.
    pub(crate) fn are_of_all(&self) -> bool {
        self.known.contains_key(&None)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Everything, files first to last; the watch as a whole before them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Trouble> {
        self.known.iter().map(|(path, (_, why))| Trouble { path: path.clone(), why: why.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_text_is_written_as_text() {
        use std::os::unix::ffi::OsStringExt;
        let path = Some(PathBuf::from(std::ffi::OsString::from_vec(b"bad\xff".to_vec())));
        let text = serde_json::to_string(&Trouble { path, why: "…".to_owned() }).unwrap();
        assert_eq!(text, "{\"path\":\"bad\u{fffd}\",\"why\":\"…\"}");
    }

    #[test]
    fn each_is_said_once_until_it_is_over() {
        let (mut troubles, file) = (Troubles::default(), PathBuf::from("a"));
        troubles.add(Of::Look, Some(file.clone()), "is a pipe".to_owned());
        troubles.add(Of::Look, Some(file.clone()), "is a pipe".to_owned());
        assert_eq!(troubles.take_new().len(), 1);
        troubles.add(Of::Look, Some(file.clone()), "is a socket".to_owned());
        troubles.over(Some(&file));
        troubles.add(Of::Look, Some(file.clone()), "is a socket".to_owned());
        assert_eq!((troubles.take_new().len(), troubles.len()), (2, 1));
        troubles.add(Of::Commit, Some(PathBuf::from("b")), "clashes".to_owned());
        troubles.add(Of::Commit, None, "no space".to_owned());
        troubles.keep_of_looks(|path| *path != file);
        let left: Vec<_> = troubles.all().map(|trouble| trouble.path).collect();
        assert_eq!(left, [None, Some(PathBuf::from("b"))]);
    }
}
