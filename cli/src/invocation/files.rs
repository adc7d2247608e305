//! The files of the calling user's machine, as far as a command reads them.
//!
//! A command runs in the called process, in another process of the same machine, or in a server. There it finds only what its caller has
//! sent along: the caller *notes* what the command line makes it read (by running the reading part of the command), and the server
//! answers the same questions from these notes. It never opens a path that a client names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PathKind {
    /// Nothing, or nothing that can be examined.
    None,
    File,
    Folder,
    /// A device, a socket, a pipe.
    Other,
}

/// A part of a command line that names files of the caller's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Files to put, or the code of specs.
    Sources,
    /// Folders that a trial mounts.
    Mounts,
}

/// What a command asks about a path or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Question {
    /// What is there.
    Kind,
    /// The bytes of a file.
    Content,
    /// The names in a folder, one per line of a list.
    Names,
    /// The digest of a file's bytes, as text.
    Digest,
    /// The bytes at a web address.
    Web,
    /// The text that a template becomes.
    Rendered,
    /// The bytes of standard input, which the caller's machine had to read itself.
    Stdin,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Noted {
    Kind(PathKind),
    Bytes(Vec<u8>),
    Names(Vec<OsString>),
    /// It failed: the number of the operating system's error, and the text for others.
    Failed {
        code: Option<i32>,
        text: String,
    },
}

impl Noted {
    fn failed(error: &io::Error) -> Self {
        Self::Failed { code: error.raw_os_error(), text: error.to_string() }
    }

    fn into_error(self) -> io::Error {
        match self {
            Self::Failed { code: Some(code), .. } => io::Error::from_raw_os_error(code),
            Self::Failed { code: None, text } => io::Error::other(text),
            Self::Kind(_) | Self::Bytes(_) | Self::Names(_) => io::Error::from(ErrorKind::InvalidData),
        }
    }
}

/// Questions and their answers.
pub(crate) type Notes = BTreeMap<(Question, PathBuf), Noted>;

/// The files that a command may read.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// Files of this machine. `base`: the folder of relative paths, if it is not that of this process.
    Here { base: Option<PathBuf>, noting: Option<Arc<Mutex<Notes>>> },
    /// What the caller has sent.
    Sent(Arc<Notes>),
}

impl Default for Files {
    fn default() -> Self {
        Self { way: Way::Here { base: None, noting: None } }
    }
}

impl Files {
    /// The files of this machine for another process, with relative paths below its folder.
    pub(crate) fn of_process_in(base: PathBuf) -> Self {
        Self { way: Way::Here { base: Some(base), noting: None } }
    }

    /// Only what was sent.
    pub(crate) fn sent(notes: Notes) -> Self {
        Self { way: Way::Sent(Arc::new(notes)) }
    }

    /// The files of this machine, with a note of everything that is read.
    pub(crate) fn noting() -> Self {
        Self { way: Way::Here { base: None, noting: Some(Arc::default()) } }
    }

    /// What was noted.
    pub(crate) fn take_notes(&self) -> Notes {
        match &self.way {
            Way::Here { noting: Some(notes), .. } => {
                std::mem::take(&mut *notes.lock().expect("no panic under this lock"))
            }
            _ => Notes::default(),
        }
    }

    /// Notes an answer that the caller's machine has computed.
    pub(crate) fn note(&self, question: Question, path: &Path, answer: Vec<u8>) {
        if let Way::Here { noting: Some(notes), .. } = &self.way {
            let mut notes = notes.lock().expect("no panic under this lock");
            notes.insert((question, path.to_owned()), Noted::Bytes(answer));
        }
    }

    /// The bytes that the caller's machine has computed, if it is another one.
    pub(crate) fn sent_bytes(&self, question: Question, path: &Path) -> io::Result<Vec<u8>> {
        if self.are_here() {
            return Err(io::Error::other("it is computed here"));
        }
        bytes(self.ask(question, path, |_| Err(ErrorKind::Unsupported.into()))?)
    }

    /// Like [`Self::sent_bytes`], as text.
    pub(crate) fn sent_text(&self, question: Question, path: &Path) -> io::Result<String> {
        String::from_utf8(self.sent_bytes(question, path)?).map_err(io::Error::other)
    }

    /// The path on this machine; `None` if the file is on another one.
    pub(crate) fn here(&self, given: &Path) -> Option<PathBuf> {
        match &self.way {
            Way::Here { base: Some(base), .. } => Some(base.join(given)),
            Way::Here { base: None, .. } => Some(given.to_owned()),
            Way::Sent(_) => None,
        }
    }

    /// Whether the files are on this machine.
    pub(crate) fn are_here(&self) -> bool {
        matches!(self.way, Way::Here { .. })
    }

    /// Answers a question by `look`, or from what was sent; notes the answer if wanted.
    fn ask(&self, question: Question, path: &Path, look: impl FnOnce(&Path) -> io::Result<Noted>) -> io::Result<Noted> {
        let (base, noting) = match &self.way {
            Way::Sent(notes) => {
                let answer = notes.get(&(question, path.to_owned())).cloned();
                let answer = answer.ok_or_else(|| io::Error::other("the client did not send it"))?;
                return if matches!(answer, Noted::Failed { .. }) { Err(answer.into_error()) } else { Ok(answer) };
            }
            Way::Here { base, noting } => (base, noting),
        };
        let place =
            base.as_ref().filter(|_| question != Question::Web).map_or_else(|| path.to_owned(), |base| base.join(path));
        let found = look(&place);
        if let Some(notes) = noting {
            let noted = found.as_ref().map_or_else(Noted::failed, Clone::clone);
            notes.lock().expect("no panic under this lock").insert((question, path.to_owned()), noted);
        }
        found
    }

    /// What is at a path; links are followed.
    pub(crate) fn kind(&self, path: &Path) -> PathKind {
        let look = |path: &Path| {
            Ok(Noted::Kind(match std::fs::metadata(path) {
                Ok(found) if found.is_file() => PathKind::File,
                Ok(found) if found.is_dir() => PathKind::Folder,
                Ok(_) => PathKind::Other,
                Err(_) => PathKind::None,
            }))
        };
        match self.ask(Question::Kind, path, look) {
            Ok(Noted::Kind(kind)) => kind,
            _ => PathKind::None,
        }
    }

    /// The first `most` bytes of a file, and one more to show that there are more.
    pub(crate) fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        bytes(self.ask(Question::Content, path, |path| {
            let mut bytes = Vec::new();
            File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
            Ok(Noted::Bytes(bytes))
        })?)
    }

    /// The names in a folder, in no order.
    pub(crate) fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let look = |folder: &Path| {
            let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
            Ok(Noted::Names(names.collect::<io::Result<_>>()?))
        };
        match self.ask(Question::Names, folder, look)? {
            Noted::Names(names) => Ok(names),
            other => Err(other.into_error()),
        }
    }

    /// What `digest` makes of a file, as text.
    pub(crate) fn digest(&self, path: &Path, digest: impl FnOnce(File) -> io::Result<String>) -> io::Result<String> {
        let text =
            bytes(self.ask(Question::Digest, path, |path| Ok(Noted::Bytes(digest(File::open(path)?)?.into_bytes())))?)?;
        String::from_utf8(text).map_err(io::Error::other)
    }

    /// The bytes at a web address, which the caller's machine fetches with `fetch`.
    pub(crate) fn web(&self, address: &str, fetch: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
        bytes(self.ask(Question::Web, Path::new(address), |_| Ok(Noted::Bytes(fetch()?)))?)
    }
}

fn bytes(noted: Noted) -> io::Result<Vec<u8>> {
    match noted {
        Noted::Bytes(bytes) => Ok(bytes),
        other => Err(other.into_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All answers about these paths, as text.
    fn answers(files: &Files, folder: &Path) -> Vec<String> {
        let at = |name: &str| folder.join(name);
        vec![
            format!("{:?}", files.kind(&at("a"))),
            format!("{:?}", files.kind(&at("none"))),
            format!("{:?}", files.kind(folder)),
            format!("{:?}", files.read(&at("a"), 3).map_err(|error| (error.kind(), error.to_string()))),
            format!("{:?}", files.read(&at("none"), 3).map_err(|error| (error.kind(), error.to_string()))),
            format!("{:?}", files.read(folder, 3).map_err(|error| error.to_string())),
            format!("{:?}", files.names(folder)),
            format!("{:?}", files.names(&at("a")).map_err(|error| error.to_string())),
            format!("{:?}", files.digest(&at("a"), |_| Ok("12".to_owned()))),
            format!("{:?}", files.web("https://h/x", || Ok(b"x".to_vec()))),
            format!(
                "{:?}",
                files.web("https://h/y", || Err(io::Error::other("no"))).map_err(|error| error.to_string())
            ),
        ]
    }

    #[test]
    fn what_was_noted_gives_the_same_answers_elsewhere_and_nothing_else_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "abcdef").unwrap();
        let noting = Files::noting();
        let here = answers(&noting, folder.path());
        let sent = Files::sent(noting.take_notes());
        std::fs::write(folder.path().join("a"), "other").unwrap();
        assert_eq!(answers(&sent, folder.path()), here);
        assert_eq!(here[3], r"Ok([97, 98, 99, 100])");
        let unsent = sent.read(Path::new("/etc/hostname"), 9).unwrap_err();
        assert_eq!(unsent.to_string(), "the client did not send it");
        assert_eq!([sent.kind(Path::new("/etc")), sent.kind(folder.path())], [PathKind::None, PathKind::Folder]);
        assert_eq!(sent.here(folder.path()), None);
    }
}
