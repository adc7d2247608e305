//! Repairs a store: damaged data is restored from intact data here, or else from a mirror.
//!
//! 1. the file `format` and the journal (`lines`);
//! 2. packs with damage are rewritten from their intact entries (`packs`); damaged entries are set aside in `.pv/damaged`, so that nothing
//!    that may still be readable is thrown away;
//! 3. the index is rebuilt, with intact objects only;
//! 4. missing objects are taken from the mirror, then the objects these name, and so on.
//!
//! If something is still missing, `engine` may be able to compute it again, or a user with the same bytes can put them again. Stopping at
//! any point leaves the store no worse than before. All of it runs under the store's lock.

use std::collections::BTreeSet;

use specs::Digest;

use super::mirror::Mirror;
use super::{Progress, Report, Subject, check_reach};
use crate::access::Right;
use crate::base::durable::sync_folder;
use crate::base::error::{IoContext, RepoError};
use crate::base::kind::Kind;
use crate::journal::{Fork, Position, side};
use crate::store::{Lock, Result, Store, write_format};

mod lines;
mod packs;

use lines::LineSource;

/// What was done about a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What was damaged.
    pub subject: Subject,
    /// What was done, such as `taken from the mirror`, or why nothing could be.
    pub how: String,
    /// Whether it is intact now.
    pub is_healed: bool,
}

/// A repair in progress: it holds the store's lock until it is dropped.
#[derive(Debug)]
pub struct Repair {
    store: Store,
    _lock: Lock,
    /// What was done so far.
    pub done: Vec<Done>,
    /// Whether the journal is intact. If not, everything else is left alone: the existing index may be the only record of its content.
    pub has_journal: bool,
}

impl Repair {
    /// Does everything that needs no user code. `report` is the latest result of [`super::check`] for `store`, and `open` opens it again,
    /// as [`crate::OpenOptions::open_damaged`] does.
    pub fn begin(
        store: Store,
        report: &Report,
        mirror: Option<&Mirror>,
        open: impl Fn() -> Result<Store>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        store.ensure_may(Right::Collect)?;
        let lock = try_lock(&store)?;
        let mut done = Vec::new();
        let has = |subject| report.problems.iter().any(|problem| problem.subject == subject);
        if has(Subject::Format) {
            write_format(&store.folder())?;
            done.push(Done { subject: Subject::Format, how: "written again".to_owned(), is_healed: true });
        }
        if has(Subject::Journal) {
            let (mended, has_journal) = mend_journal(&store, mirror)?;
            done.push(mended);
            if !has_journal {
                drop(store);
                return Ok(Self { store: open()?, _lock: lock, done, has_journal });
            }
        } else {
            cut_journal(&store)?;
        }
        if !report.problems.is_empty() {
            packs::rewrite(&store, report, mirror, &mut done)?;
            store.forget_index()?;
        }
        if has(Subject::Index) {
            done.push(Done { subject: Subject::Index, how: "made anew".to_owned(), is_healed: true });
        }
        // This cache of earlier puts must not claim that missing objects exist.
        let cache = store.folder().join("stat");
        match std::fs::remove_dir_all(&cache) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.doing("remove", &cache)?,
        }
        drop(store);
        let mut repair = Self { store: open()?, _lock: lock, done, has_journal: true };
        repair.fetch(report, mirror, progress)?;
        Ok(repair)
    }

    /// The store in its repaired state so far.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes missing objects from the mirror until it has no more of them.
    fn fetch(&mut self, report: &Report, mirror: Option<&Mirror>, progress: Progress<'_>) -> Result<()> {
        let mut wanted: BTreeSet<(Kind, Digest)> =
            report.problems.iter().filter_map(|problem| problem.subject.object()).collect();
        for (kind, digest) in &wanted {
            if self.is_whole(*kind, digest) {
                let how = "another copy of it is intact".to_owned();
                self.done.push(Done { subject: Subject::Object(*kind, *digest), how, is_healed: true });
            }
        }
        while let Some(mirror) = mirror {
            let mut lacking: BTreeSet<_> =
                wanted.iter().filter(|(kind, digest)| !self.is_whole(*kind, digest)).copied().collect();
            // A completely missing file is reported as its single chunk, although it may have a manifest.
            let files = lacking.iter().filter(|(kind, _)| *kind == Kind::Chunk).map(|(_, digest)| *digest);
            let manifests: Vec<_> = files.map(|digest| (Kind::Manifest, digest)).collect();
            lacking.extend(manifests);
            let mut fetched = 0;
            let (store, done) = (&self.store, &mut self.done);
            mirror.fetch(&lacking, |kind, digest, bytes| {
                store.write(kind, digest, bytes)?;
                fetched += 1;
                progress("objects from the mirror", fetched, lacking.len() as u64);
                let how = "taken from the mirror".to_owned();
                done.push(Done { subject: Subject::Object(kind, digest), how, is_healed: true });
                Ok(())
            })?;
            if fetched == 0 {
                break;
            }
            self.store.finish_packs()?;
            // The fetched objects may name more objects that are missing.
            wanted = check_reach(&self.store, progress)?.problems.iter().filter_map(|p| p.subject.object()).collect();
        }
        Ok(())
    }

    fn is_whole(&self, kind: Kind, digest: &Digest) -> bool {
        matches!(self.store.find_object(kind, digest), Ok(Some(_)))
            || (kind == Kind::Chunk && matches!(self.store.has_content(digest), Ok(true)))
    }

    /// Ends the repair: everything made meanwhile is durable, and of the data set aside only what is still missing stays.
    pub fn finish(self) -> Result<Vec<Done>> {
        self.store.finish_packs()?;
        packs::clear_aside(&self.store)?;
        Ok(self.done)
    }
}

/// Truncates what a crashed writer left after the last record, and records the new end.
fn cut_journal(store: &Store) -> Result<()> {
    let path = store.folder().join("journal");
    let end = store.journal().visit(Position::default(), |_, _, _| Ok(()))?;
    if store.journal().length()? != end.bytes {
        let file = std::fs::OpenOptions::new().write(true).open(&path).doing("open", &path)?;
        file.set_len(end.bytes).and_then(|()| file.sync_all()).doing("truncate", &path)?;
    }
    store.note_position(&end);
    Ok(())
}

/// Adopts the records of the shared place instead of this machine's, and reports which those were.
fn follow_place(store: &Store, fork: &Fork) -> Result<Done> {
    let path = store.folder().join("journal");
    packs::put_aside(store, "journal", &std::fs::read(&path).doing("read", &path)?)?;
    write_journal(store, &store.journal().with_side_of_place(fork)?)?;
    store.note_position(&store.journal().visit(Position::default(), |_, _, _| Ok(()))?);
    let lost: Vec<String> = fork.ours.iter().take(10).map(|line| side(line)).collect();
    let how = format!(
        "record {}: {}; the journal there is used now. Superseded: {}; the old journal is in .pv/damaged. Repeat those changes, such as pv put",
        fork.record,
        fork.words(),
        lost.join(", ")
    );
    Ok(Done { subject: Subject::Journal, how, is_healed: true })
}

fn write_journal(store: &Store, bytes: &[u8]) -> Result<()> {
    let path = store.folder().join("journal");
    let beside = store.folder().join("journal.mended");
    let write = || {
        use std::io::Write;
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    };
    write().doing("write", &beside)?;
    sync_folder(&store.folder())
}

/// What was done about the journal, and whether it is intact now: a truncated journal is, although it lacks records.
fn mend_journal(store: &Store, mirror: Option<&Mirror>) -> Result<(Done, bool)> {
    if let Some(fork) = store.journal().fork()? {
        return Ok((follow_place(store, &fork)?, true));
    }
    let path = store.folder().join("journal");
    let own = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.doing("read", &path)?,
    };
    let known = store.known_position();
    let mended = match lines::mend(&own, mirror.map_or(&[], Mirror::journal), known) {
        Ok(mended) => mended,
        Err(lost) => {
            let how = format!("cannot be repaired: {lost}");
            return Ok((Done { subject: Subject::Journal, how, is_healed: false }, false));
        }
    };
    if mended.bytes == own {
        let how = "cannot be repaired: the missing data is not in a mirror either".to_owned();
        return Ok((Done { subject: Subject::Journal, how, is_healed: false }, true));
    }
    packs::put_aside(store, "journal", &own)?;
    write_journal(store, &mended.bytes)?;
    let part = |source: LineSource, words: &str| mended.sources.get(&source).map(|count| format!("{count} {words}"));
    let parts = [
        part(LineSource::Own, "intact records"),
        part(LineSource::Mended, "with one byte corrected"),
        part(LineSource::Mirror, "from the mirror"),
        (mended.dropped > 0).then(|| format!("{} lines dropped that were not records", mended.dropped)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let how = format!("reassembled: {}; the damaged journal is in .pv/damaged", parts.join(", "));
    Ok((Done { subject: Subject::Journal, how, is_healed: true }, true))
}

/// Takes the lock without waiting; nothing may change the store during a repair.
fn try_lock(store: &Store) -> Result<Lock> {
    let path = store.lock_path();
    Lock::try_take(&path)?.ok_or_else(|| RepoError::InUse { holder: Lock::holder(&path) })
}
