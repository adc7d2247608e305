//! Objects that clients send: what a client must send, taking it, and what it may then name.
//!
//! A client cuts and hashes its files itself, asks which contents are [missing](Store::missing), [sends](Store::receive) the chunks that
//! are, says of which chunks a larger file [consists](Store::compose), and then names files by digest in a commit. What it has sent is kept
//! until it is [committed](Store::release_sent), at most for `gc_grace` (`ledger`), so a cut upload goes on where it ended. What was there
//! before is not kept for it: if that is collected before the commit, the commit is refused, and the client asks again.
//!
//! **A digest is no ticket.** To know a digest is not to know the content. A client whose view is limited to some repositories is told that
//! everything is missing which it neither may read nor has sent, and may name only what it may read or has sent. It may read what a path of
//! a visible repository has or had (the history index knows this; a commit that is not in it yet does not count), and the chunks of files
//! that its request names as similar.
//!
//! **No time tells the difference.** For content that a client may not name, the store is not asked whether it is there: the look-ups are
//! the same for hidden and for absent content. What such a client sends is always compressed, and written again even if another pack has it;
//! garbage collection drops the second copy.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocksdb::Direction;
use specs::{Digest, Reference, RepoName};

use super::content::MAX_CHUNK;
use super::ledger::{Client, Ledger, Note};
use super::objects::ObjectLocation;
use super::{Result, Store, Watch};
use crate::base::error::RepoError;
use crate::base::hash::digest_of;
use crate::base::kind::Kind;
use crate::base::parallel;
use crate::base::time::Timestamp;
use crate::index::keys;
use crate::objects::manifest::Manifest;
use crate::tree::FileEntry;

/// Most contents that a client asks for at once.
pub const MOST_ASKED: usize = 10_000;
/// Most similar files that a request names.
pub const MOST_LIKE: usize = 128;
/// Most chunks of a file: more than 1 TiB of content.
pub const MOST_CHUNKS: usize = 1 << 22;
/// Most repositories in which content is looked up for a limited client, the first by name.
const MOST_REPOS: usize = 256;
/// Most digests that an error names.
const NAMED: usize = 20;
/// Contents that one thread releases at a time.
const RELEASED_TOGETHER: usize = 256;
/// A client may name what it has sent at least for this time, also if `gc_grace` is shorter.
const SHORTEST: Duration = Duration::from_hours(1);
/// The ledger's folder, in the store's own folder.
const FOLDER: &str = "received";

/// A client that sends objects.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// Which client it is: [`crate::access::Access::client`]. What it sent counts for all of this name.
    pub name: &'a str,
    /// Which repositories it may see; `None` for all.
    pub sees: Option<&'a (dyn Fn(&RepoName) -> bool + Sync)>,
}

impl std::fmt::Debug for Sender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("name", &self.name).field("is_limited", &self.sees.is_some()).finish()
    }
}

impl Store {
    /// Those of these contents, in their order, that a client must send before it can name them.
    /// `like`: files whose chunks the client may have too, because its own files are similar; those that it may not see are ignored.
    ///
    /// `Usage` for more than [`MOST_ASKED`] contents, or more than [`MOST_LIKE`] files.
    pub fn missing(&self, from: &Sender<'_>, digests: &[Digest], like: &[Reference]) -> Result<Vec<Digest>> {
        at_most(digests.len(), MOST_ASKED, "digests")?;
        at_most(like.len(), MOST_LIKE, "similar files")?;
        let may_name = self.may_name(from, digests, like)?;
        let there = parallel::map(digests.len(), || (), |(), at| Ok(may_name[at] && self.has_content(&digests[at])?))?;
        Ok(digests.iter().zip(there).filter(|(_, there)| !there).map(|(digest, _)| *digest).collect())
    }

    /// Takes chunks from a client: all or none. On return they survive the death of this process, and are kept for `gc_grace`.
    ///
    /// `Usage` names a chunk of more than [`MAX_CHUNK`] bytes, or whose bytes do not have its digest.
    pub fn receive(&self, from: &Sender<'_>, chunks: &[(Digest, Bytes)]) -> Result<()> {
        self.receive_for(from, chunks, Duration::ZERO)
    }

    /// Like [`Self::receive`]; the chunks are kept for this time at least, also if `gc_grace` is shorter now.
    pub fn receive_for(&self, from: &Sender<'_>, chunks: &[(Digest, Bytes)], keep: Duration) -> Result<()> {
        let threads = parallel::threads(chunks.len());
        parallel::each(threads, chunks.iter().map(Ok), || (), |(), _, (digest, bytes)| ensure_chunk(digest, bytes))?;
        // A pack that is finished meanwhile stays until its chunks are noted.
        let _operation = self.operation();
        let is_new = parallel::map(
            chunks.len(),
            || (),
            |(), at| {
                let (digest, bytes) = &chunks[at];
                match from.sees {
                    None => self.write(Kind::Chunk, *digest, bytes),
                    Some(_) => self.append(Kind::Chunk, *digest, bytes),
                }
            },
        )?;
        let there = chunks.iter().zip(is_new).filter_map(|(chunk, is_new)| (!is_new).then_some(chunk)).collect();
        self.flush_content()?;
        let beyond = keep.saturating_sub(self.gc_grace()?);
        self.note_sent_for(from, chunks.iter().map(|(digest, _)| *digest), beyond)?;
        self.write_swept(there)
    }

    /// Writes chunks again that were found and then collected, before they were noted. A sweep looks at the ledger under the same lock, and
    /// keeps it until garbage is gone: what is there now, stays.
    fn write_swept(&self, mut chunks: Vec<&(Digest, Bytes)>) -> Result<()> {
        let is_placed = |digest| matches!(self.place(Kind::Chunk as u8, digest), Ok(ObjectLocation::At(..)));
        while !chunks.is_empty() {
            // Not under the lock: who finishes a pack holds its writer, and waits for this lock.
            chunks.retain(|(digest, _)| !self.is_in_open_pack(Kind::Chunk, digest));
            let position = self.locked_position();
            chunks.retain(|(digest, _)| !is_placed(digest));
            drop(position);
            for (digest, bytes) in &chunks {
                self.append(Kind::Chunk, *digest, bytes)?;
            }
            self.flush_content()?;
        }
        Ok(())
    }

    /// Makes a file of several chunks, given as digest and length, in order. Reads them all, in constant memory, and checks that together they
    /// are the file. Returns its length in bytes. `like` as in [`Self::missing`].
    ///
    /// `NotSent` names chunks that are missing, `Usage` says why the chunks are not the file; then nothing was written.
    pub fn compose(
        &self,
        from: &Sender<'_>,
        file: Digest,
        chunks: &[(Digest, u32)],
        like: &[Reference],
    ) -> Result<u64> {
        at_most(chunks.len(), MOST_CHUNKS, "chunks")?;
        at_most(like.len(), MOST_LIKE, "similar files")?;
        if chunks.len() < 2 {
            return Err(usage(format!("{file}: a file of one chunk is that chunk")));
        }
        if from.sees.is_none()
            && let Some(size_bytes) = self.content_bytes(&file)?
        {
            self.note_sent(from, [file])?;
            return Ok(size_bytes);
        }
        let _operation = self.operation();
        let manifest = self.checked_chunks(from, chunks, like)?;
        let found = self.digest_of_chunks(&manifest)?;
        if found != file {
            return Err(usage(format!("{file}: together these chunks have SHA-256 {found}")));
        }
        // Also beside one that is damaged, or that names chunks that are gone: the newest complete one counts.
        self.append(Kind::Manifest, file, &manifest.encode())?;
        self.flush_content()?;
        self.note_sent(from, [file])?;
        Ok(manifest.size_bytes())
    }

    /// Makes a file of chunks that the client has sent, given as digest and length, in order: like [`Self::compose`], for a client that does
    /// not know the file's digest. Returns the digest and the length in bytes. No chunks are the empty file.
    pub fn join(&self, from: &Sender<'_>, chunks: &[(Digest, u32)]) -> Result<(Digest, u64)> {
        at_most(chunks.len(), MOST_CHUNKS, "chunks")?;
        let _operation = self.operation();
        match chunks {
            [] => {
                let empty = self.put_bytes(&[])?;
                self.flush_content()?;
                self.note_sent(from, [empty.digest])?;
                return Ok((empty.digest, 0));
            }
            [(only, length)] => {
                self.checked_chunks(from, &[(*only, *length)], &[])?;
                return Ok((*only, u64::from(*length)));
            }
            _ => {}
        }
        let manifest = self.checked_chunks(from, chunks, &[])?;
        let file = self.digest_of_chunks(&manifest)?;
        if from.sees.is_some() || !self.has_content(&file)? {
            self.append(Kind::Manifest, file, &manifest.encode())?;
            self.flush_content()?;
        }
        self.note_sent(from, [file])?;
        Ok((file, manifest.size_bytes()))
    }

    /// Refuses files that a client may not name in a commit, or that are not there, or not as long as it says. The repositories that it sees
    /// and what it has sent decide, as in [`Self::missing`]; hidden and absent content is refused alike.
    ///
    /// `NotSent` names such content, `Usage` a wrong length.
    pub fn ensure_may_name<'f>(&self, from: &Sender<'_>, files: impl IntoIterator<Item = &'f FileEntry>) -> Result<()> {
        let mut files = files.into_iter();
        let (mut refused, mut more) = (Vec::new(), 0);
        loop {
            let some: Vec<&FileEntry> = files.by_ref().take(MOST_ASKED).collect();
            if some.is_empty() {
                break;
            }
            let digests: Vec<Digest> = some.iter().map(|file| file.digest).collect();
            let may_name = self.may_name(from, &digests, &[])?;
            let sizes = parallel::map(
                some.len(),
                || (),
                |(), at| {
                    if may_name[at] { self.content_bytes(&digests[at]) } else { Ok(None) }
                },
            )?;
            for (file, size_bytes) in some.into_iter().zip(sizes) {
                match size_bytes {
                    Some(bytes) if bytes == file.size => {}
                    Some(bytes) => {
                        return Err(usage(format!(
                            "{}: this content has {bytes} bytes, not {}",
                            file.digest, file.size
                        )));
                    }
                    None if refused.len() < NAMED => refused.push(file.digest),
                    None => more += 1,
                }
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(RepoError::NotSent { digests: refused, more }) }
    }

    /// The chunks of a file to make, if the client may have them and they are there. One that is itself stored as several chunks is replaced
    /// by these.
    fn checked_chunks(&self, from: &Sender<'_>, chunks: &[(Digest, u32)], like: &[Reference]) -> Result<Manifest> {
        let mut manifest = Manifest { chunks: Vec::with_capacity(chunks.len()) };
        let (mut refused, mut more) = (Vec::new(), 0);
        for some in chunks.chunks(MOST_ASKED) {
            let digests: Vec<Digest> = some.iter().map(|(digest, _)| *digest).collect();
            let may_name = self.may_name(from, &digests, like)?;
            for ((digest, length), may_name) in some.iter().zip(may_name) {
                let bytes = if may_name { self.content_bytes(digest)? } else { None };
                match bytes {
                    None if refused.len() < NAMED => refused.push(*digest),
                    None => more += 1,
                    Some(bytes) if bytes != u64::from(*length) || *length == 0 || *length as usize > MAX_CHUNK => {
                        return Err(usage(format!(
                            "chunk {digest} has {bytes} bytes, which is not {length} or not allowed"
                        )));
                    }
                    Some(_) if self.contains(Kind::Chunk, digest)? => manifest.chunks.push((*digest, *length)),
                    Some(_) => manifest.chunks.extend(self.chunks_of(digest)?),
                }
            }
        }
        if refused.is_empty() { Ok(manifest) } else { Err(RepoError::NotSent { digests: refused, more }) }
    }

    /// What a client sent of these files was committed, and need not be kept for it any more.
    pub fn release_sent<'f>(&self, from: &Sender<'_>, files: impl IntoIterator<Item = &'f FileEntry>) -> Result<()> {
        let (ledger, client) = (self.ledger()?, Client::named(from.name));
        let release = |digests: &[Digest]| -> Result<Vec<Digest>> {
            let notes = digests.iter().zip(ledger.notes(client, digests)?);
            let open = notes.filter_map(|(digest, note)| Some((*digest, note.filter(|note| !note.is_committed)?)));
            let committed: Vec<_> = open.map(|(digest, note)| (digest, Note { is_committed: true, ..note })).collect();
            ledger.write(client, &committed)?;
            Ok(committed.into_iter().map(|(digest, _)| digest).collect())
        };
        let digests: Vec<Digest> = files.into_iter().map(|file| file.digest).collect();
        let groups = digests.chunks(RELEASED_TOGETHER);
        parallel::each(
            parallel::threads(groups.len()),
            groups.map(Ok),
            || (),
            |(), _, some| {
                // Whoever sent chunks also said of which file.
                for file in release(some)? {
                    let chunks = self.chunks_of(&file)?.into_iter().map(|(digest, _)| digest);
                    // A file of one chunk is that chunk.
                    let chunks: Vec<Digest> = chunks.filter(|chunk| *chunk != file).collect();
                    chunks.chunks(MOST_ASKED).try_for_each(|some| release(some).map(drop))?;
                }
                Ok(())
            },
        )
    }

    /// What a client sent is given up, and need not be kept for it any more.
    pub fn forget_sent(&self, from: &Sender<'_>, digests: &[Digest]) -> Result<()> {
        let (ledger, client) = (self.ledger()?, Client::named(from.name));
        for some in digests.chunks(MOST_ASKED) {
            let notes = some.iter().zip(ledger.notes(client, some)?);
            let given_up: Vec<(Digest, Note)> =
                notes.filter_map(|(digest, note)| Some((*digest, Note { is_committed: true, ..note? }))).collect();
            ledger.write(client, &given_up)?;
        }
        Ok(())
    }

    fn note_sent(&self, from: &Sender<'_>, digests: impl IntoIterator<Item = Digest>) -> Result<()> {
        self.note_sent_for(from, digests, Duration::ZERO)
    }

    /// Notes what a client sent, as if it came so much later.
    fn note_sent_for(
        &self,
        from: &Sender<'_>,
        digests: impl IntoIterator<Item = Digest>,
        later: Duration,
    ) -> Result<()> {
        let later = i64::try_from(later.as_micros()).unwrap_or(i64::MAX);
        let at = Timestamp::from_micros(self.clock().now().as_micros().saturating_add(later));
        let note = Note { at, is_committed: false };
        let notes: Vec<(Digest, Note)> = digests.into_iter().map(|digest| (digest, note)).collect();
        self.ledger()?.write(Client::named(from.name), &notes)
    }

    /// For each content, whether the client may name it if it is there. Does not ask whether it is.
    fn may_name(&self, from: &Sender<'_>, digests: &[Digest], like: &[Reference]) -> Result<Vec<bool>> {
        let Some(sees) = from.sees else { return Ok(vec![true; digests.len()]) };
        let (noted_since, _) = self.received_since()?;
        let notes = self.ledger()?.notes(Client::named(from.name), digests)?;
        let readable = readable(self, sees, digests, like)?;
        let is_sent = |note: &Option<Note>| note.is_some_and(|note| note.at >= noted_since);
        Ok(notes.iter().zip(readable).map(|(note, readable)| readable | is_sent(note)).collect())
    }

    /// The ledger, which is made if it is missing.
    fn ledger(&self) -> Result<Arc<Ledger>> {
        let mut open = self.inner.ledger.lock().expect("no panic under this lock");
        if let Some(ledger) = &*open {
            return Ok(ledger.clone());
        }
        let ledger = Arc::new(Ledger::open(&self.folder().join(FOLDER))?);
        *open = Some(ledger.clone());
        Ok(ledger)
    }

    /// Watches what clients send while garbage is collected; `None` if no client ever sent anything.
    pub(crate) fn watch_received(&self) -> Result<Option<Watch>> {
        let is_there = self.folder().join(FOLDER).is_dir();
        is_there.then(|| self.ledger().map(Watch::new)).transpose()
    }

    /// Since when a client may name what it has sent, and since when that is kept for it.
    pub(crate) fn received_since(&self) -> Result<(Timestamp, Timestamp)> {
        let (now, grace) = (self.clock().now().as_micros(), self.gc_grace()?);
        let before = |span: Duration| {
            let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
            Timestamp::from_micros(now.saturating_sub(micros).max(0))
        };
        Ok((before(grace.max(SHORTEST)), before(grace)))
    }
}

fn at_most(count: usize, most: usize, what: &str) -> Result<()> {
    if count <= most { Ok(()) } else { Err(usage(format!("a request names at most {most} {what}, not {count}"))) }
}

fn usage(what: String) -> RepoError {
    RepoError::Usage { what, hint: None }
}

fn ensure_chunk(digest: &Digest, bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_CHUNK {
        return Err(usage(format!("chunk {digest} has {} bytes; at most {MAX_CHUNK} are allowed", bytes.len())));
    }
    let found = digest_of(bytes);
    if found == *digest { Ok(()) } else { Err(usage(format!("chunk {digest}: the bytes sent have SHA-256 {found}"))) }
}

/// For each content, whether a path of a visible repository has or had it, or a file that is named as similar has it as a chunk.
fn readable(
    store: &Store,
    sees: &(dyn Fn(&RepoName) -> bool + Sync),
    digests: &[Digest],
    like: &[Reference],
) -> Result<Vec<bool>> {
    let visible = store.repos()?.into_iter().map(|(repo, _)| repo).filter(|repo| sees(repo));
    let visible: Vec<RepoName> = visible.take(MOST_REPOS).collect();
    let index = store.index();
    let mut readable = parallel::map(
        digests.len(),
        || (),
        |(), at| {
            let mut found = false;
            for repo in &visible {
                // Half of a digest is in the key: nobody can make other content with the same half.
                let prefix = keys::holder(&digests[at], repo, "");
                index.try_visit(&prefix, &prefix, Direction::Forward, |_, _| {
                    found = true;
                    Ok(ControlFlow::Break(()))
                })?;
            }
            Ok(found)
        },
    )?;
    for reference in like.iter().filter(|reference| sees(&reference.repo)) {
        let chunks = chunks_like(store, sees, reference).unwrap_or_default();
        for (digest, readable) in digests.iter().zip(&mut readable) {
            *readable |= chunks.contains(digest);
        }
    }
    Ok(readable)
}

/// The chunks of a file; empty if the client may not see it, or if it has one chunk.
fn chunks_like(store: &Store, sees: &dyn Fn(&RepoName) -> bool, reference: &Reference) -> Result<HashSet<Digest>> {
    let found = store.resolve(reference)?;
    if !sees(&found.commit.repo) {
        return Ok(HashSet::new());
    }
    let Some(file) = found.tree().file(store, &found.path)? else { return Ok(HashSet::new()) };
    store.ensure_not_pruned(&found.id, &found.path, &file)?;
    Ok(store.chunks_of(&file.digest)?.into_iter().map(|(digest, _)| digest).collect())
}
