//! A watch of a folder on another machine than the store: what the side with the folder asks, and what the side with the store does.
//!
//! Content travels before ([`repos::files::Outbox`]). A question is asked again if its answer was lost: what is committed already is no
//! further commit.

use std::collections::{BTreeSet, HashSet};

use engine::run::Actor;
use engine::target::{CommitOutcome, TargetBranch};
use engine::{EngineError, Result};
use repos::Store;
use repos::files::Listing;
use repos::store::Sender;
use repos::tree::FileEntry;
use serde::{Deserialize, Serialize};
use specs::FilePath;

use crate::branch::{below, commit_edits};

/// The format of [`Ask::encode`].
const FORMAT: u8 = 1;

/// What the side with the folder asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Commit files, whose content was sent, and removals.
    Commit {
        /// The files.
        files: Listing,
        /// Files to remove.
        removed: Vec<FilePath>,
        /// The message.
        message: String,
    },
    /// May this branch get commits? Nothing is done.
    Check,
    /// Which files of the branch, below `directory`, are not among these?
    Lacking {
        /// The directory.
        directory: FilePath,
        /// The files of the folder.
        files: Vec<FilePath>,
    },
}

/// What the side with the store did.
#[derive(Debug)]
pub enum Done {
    /// The commit, and what was left out because a path would be both a file and a directory.
    Committed(Box<CommitOutcome>, BTreeSet<FilePath>),
    /// The branch may get commits.
    Checked,
    /// The files that the folder lacks.
    Lacking(Vec<FilePath>),
}

impl Ask {
    /// As bytes: a number for the format, then `postcard`.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        bytes.expect("memory has room for it, and it has no other way to fail")
    }

    /// From bytes that another machine sent. `Usage` unless they are a sound message.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let ask = match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| unreadable(&error.to_string()))?,
            Some((format, _)) => return Err(unreadable(&format!("its format {format} is not known here"))),
            None => return Err(unreadable("it is empty")),
        };
        if let Self::Commit { files, .. } = &ask {
            files.ensure_sound()?;
        }
        Ok(ask)
    }

    /// Does what is asked of a branch. `NotSent` if files are named whose content `from` neither sent nor may read.
    pub fn answer(self, store: &Store, target: &TargetBranch, by: &Actor, from: &Sender<'_>) -> Result<Done> {
        match self {
            Self::Check => Ok(Done::Checked),
            Self::Commit { files, removed, message } => commit(store, target, (&files, &removed), (by, &message), from),
            Self::Lacking { directory, files } => {
                let files: HashSet<FilePath> = files.into_iter().collect();
                let mut lacking = below(store, target, &directory)?;
                lacking.retain(|path| !files.contains(path));
                Ok(Done::Lacking(lacking))
            }
        }
    }
}

fn commit(
    store: &Store,
    target: &TargetBranch,
    (files, removed): (&Listing, &[FilePath]),
    (by, message): (&Actor, &str),
    from: &Sender<'_>,
) -> Result<Done> {
    let _operation = store.operation();
    let entries: Vec<FileEntry> = files.files().iter().map(repos::files::ListedFile::entry).collect();
    let (committed, summary, clashing) = commit_edits(store, target, (by, message), removed, |base| {
        // At every try: another head may lack files that this one has.
        store.ensure_may_name(from, &entries)?;
        files.edits(store, base)
    })?;
    if let Err(error) = store.release_sent(from, &entries) {
        tracing::warn!("what was sent is kept a little longer than necessary: {error}");
    }
    let outcome = CommitOutcome { target: target.clone(), committed, summary, skipped: Vec::new() };
    Ok(Done::Committed(Box::new(outcome), clashing))
}

fn unreadable(why: &str) -> EngineError {
    EngineError::Usage {
        what: format!("what the watch asks cannot be read: {why}"),
        hint: Some("use the same version of pv on both sides".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_were_written_and_others_are_refused() {
        let path = |text: &str| text.parse::<FilePath>().unwrap();
        let asked = [
            Ask::Check,
            Ask::Lacking { directory: path("/raw"), files: vec![path("/raw/a")] },
            Ask::Commit { files: Listing::default(), removed: vec![path("/b")], message: "one".to_owned() },
        ];
        for ask in asked {
            assert_eq!(Ask::decode(&ask.encode()).unwrap(), ask);
        }
        for bytes in [&b""[..], &[2], &[FORMAT], &[FORMAT, 7]] {
            let refused = Ask::decode(bytes).unwrap_err();
            assert_eq!(refused.kind(), specs::ErrorKind::Usage, "{bytes:?}");
        }
    }
}
