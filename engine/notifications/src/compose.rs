//! From facts to a message: what happened, with the answer to the first questions about it.
//!
//! It is made when it is sent, through the sight of its notification: what that may not see is a named gap. What is gone since is left out;
//! a message is never held back because of it.

use answers::trace::{FileNode, Reach, Trace, trace};
use engine::live::job_id;
use repos::journal::Cause;
use repos::settings::SERVER_URL;
use repos::store::Resolved;
use repos::tree::FileEntry;
use repos::{RepoError, Store, Timestamp};
use serde_json::{Value, json};
use specs::words::{count, plural};
use specs::{FilePath, NotificationName, PipelineName, RunId};

use crate::fact::{Fact, Head};
use crate::message::{Message, Picture};
use crate::queue::Delivery;
use crate::story::{committed, is_image_name, moment, source, text, used, who};

/// A picture of more bytes is not sent.
const PICTURE_BYTES: u64 = 1 << 20;
/// A file of at most so many bytes is shown as its value.
const VALUE_BYTES: u64 = 2 << 10;
/// Of a digest, so many are listed.
const LISTED: usize = 50;

type Lines = Vec<(String, String)>;

/// Makes messages of one notification.
#[derive(Debug)]
pub(crate) struct Composer<'s> {
    /// The store as far as the notification may tell of it.
    pub(crate) store: &'s Store,
    pub(crate) name: &'s NotificationName,
}

/// What is said of a fact besides its subject.
#[derive(Default)]
struct Answer {
    lines: Lines,
    trace: Option<String>,
    link: Option<String>,
    picture: Option<Picture>,
    data: Vec<(&'static str, Value)>,
}

impl Answer {
    fn line(&mut self, word: &str, value: impl Into<String>) {
        self.lines.push((word.to_owned(), value.into()));
    }
}

impl Composer<'_> {
    /// The message of deliveries that are sent together; the first names it.
    pub(crate) fn message(&self, together: &[&Delivery]) -> Option<Message> {
        let (first, others) = together.split_first()?;
        Some(if others.is_empty() { self.alone(first) } else { self.digest(together) })
    }

    /// A message that says that messages arrive.
    pub(crate) fn test(&self, at: Timestamp) -> Message {
        Message {
            id: format!("msg_{}", repos::random_hex()),
            event: "test".to_owned(),
            at,
            subject: format!("test of notification {}", self.name),
            lines: vec![("notification".to_owned(), self.name.to_string())],
            trace: None,
            link: self.server(),
            picture: None,
            data: json!({ "notification": self.name }),
        }
    }

    fn alone(&self, one: &Delivery) -> Message {
        let answer = self.answer(&one.fact);
        let mut lines = answer.lines;
        lines.push(("when".to_owned(), moment(one.at)));
        lines.push(("notification".to_owned(), self.name.to_string()));
        let mut data = json!({ "notification": self.name, "fact": one.fact });
        data.as_object_mut().into_iter().for_each(|data| {
            data.extend(answer.data.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        });
        Message {
            id: one.id.clone(),
            event: one.fact.event().to_owned(),
            at: one.at,
            subject: one.fact.subject(),
            lines,
            trace: answer.trace,
            link: answer.link,
            picture: answer.picture,
            data,
        }
    }

    fn digest(&self, together: &[&Delivery]) -> Message {
        let listed = together.iter().take(LISTED);
        let mut lines: Lines = listed.clone().map(|one| (moment(one.at), one.fact.subject())).collect();
        if together.len() > LISTED {
            let more = plural((together.len() - LISTED) as u64, "more", "more");
            lines.push(("…".to_owned(), format!("and {more}: pv notify deliveries {}", self.name)));
        }
        lines.push(("notification".to_owned(), self.name.to_string()));
        let facts: Vec<Value> = listed
            .map(|one| json!({ "id": one.id, "event": one.fact.event(), "at": one.at, "fact": one.fact }))
            .collect();
        let last = together.last().map_or(Timestamp::from_micros(0), |one| one.at);
        let first = together.first().map_or_else(String::new, |one| one.fact.subject());
        let others = plural(together.len() as u64 - 1, "other notification", "other notifications");
        Message {
            id: together.first().map_or_else(String::new, |one| one.id.clone()),
            event: "digest".to_owned(),
            at: last,
            subject: format!("{first}, and {others}"),
            lines,
            trace: None,
            link: self.server(),
            picture: None,
            data: json!({ "notification": self.name, "count": together.len(), "facts": facts }),
        }
    }

    /// What is known of a fact now. What cannot be found is left out, and said in the log.
    fn answer(&self, fact: &Fact) -> Answer {
        let mut answer = Answer::default();
        let found = match fact {
            Fact::JobFailed { pipeline, run, reason } => {
                answer.lines.extend(reason.iter().map(|why| ("reason".to_owned(), why.clone())));
                self.add_job(&mut answer, pipeline, run, "pv logs {job} --failed")
            }
            Fact::JobRecovered { pipeline, run, failed, since } => {
                let since = since.map_or_else(String::new, |at| format!(", since {}", moment(at)));
                answer.line("before", format!("{}{since}", plural(*failed, "failed job", "failed jobs")));
                self.add_job(&mut answer, pipeline, run, "pv job show {job}")
            }
            Fact::NewFile { at, path, .. } => self.add_file(&mut answer, at, path, true),
            Fact::Record { at, path, place, field, value, record } => {
                answer.line("value", format!("{field}={value}"));
                if !place.is_empty() {
                    answer.line("place", place.clone());
                }
                answer.line("record", record.to_string());
                self.add_file(&mut answer, at, path, false)
            }
            Fact::NewFiles { at, files, first } => self.add_files(&mut answer, at, *files, first),
            Fact::Records { at, records, first, .. } => self.add_files(&mut answer, at, *records, first),
            Fact::Behind { pipeline, runs, .. } => {
                answer.line("pipeline", pipeline.to_string());
                answer.line("runs since it succeeded", count(*runs));
                answer.line("look", format!("pv pipeline show {pipeline}"));
                answer.link = self.link(&["pipelines", pipeline.as_str()]);
                Ok(())
            }
            Fact::DiskLow { free_bytes, least_bytes } => {
                answer.line("free", format!("{} MB", count(free_bytes / 1_000_000)));
                answer.line("jobs wait below", format!("{} MB", count(least_bytes / 1_000_000)));
                answer.line("look", "pv gc --dry-run");
                answer.link = self.server();
                Ok(())
            }
            Fact::Unreadable { at, why } => {
                answer.line("why", why.clone());
                answer.line("look", format!("pv show {}@{}", at.repo, at.commit.short(12)));
                Ok(())
            }
        };
        if let Err(error) = found {
            tracing::warn!("a notification of `{}` says less than it could: {error}", self.name);
            answer.line("not found", error.to_string());
        }
        answer
    }

    fn add_job(&self, answer: &mut Answer, pipeline: &PipelineName, run: &RunId, look: &str) -> engine::Result<()> {
        let job = job_id(pipeline, run);
        answer.line("pipeline", pipeline.to_string());
        answer.line("job", job.clone());
        answer.line("look", look.replace("{job}", &format!("{pipeline}@{}", run.short(12))));
        answer.link = self.link(&["jobs", &job]);
        let row = self.store.run(run)?;
        let Cause { kind, author, committer, refs, .. } = &row.cause;
        let by = who(author.as_deref().unwrap_or_default(), committer);
        answer.line("caused by", format!("{} of {}, {by}", kind.word(), refs.join(", ")));
        if let Some(job) = self.store.job(row.order, pipeline)?
            && let Some(digest) = job.document
        {
            let counts: repos::documents::JobDocument = self.store.document(&digest)?;
            let failed = format!("{} of {} failed", count(counts.datums_failed), count(counts.datums_total));
            answer.line("datums", failed);
            answer.line("version", format!("{pipeline} v{}", job.version));
        }
        answer.data.push(("job", json!({ "id": job, "pipeline": pipeline, "run": run, "cause": row.cause })));
        Ok(())
    }

    fn add_files(&self, answer: &mut Answer, at: &Head, number: u64, first: &[FilePath]) -> engine::Result<()> {
        for path in first {
            answer.line("file", at.reference(path));
        }
        if number > first.len() as u64 {
            answer.line("all", count(number));
        }
        answer.line("look", format!("pv show {}@{}", at.repo, at.commit.short(12)));
        answer.link = self.link(&["repos", at.repo.as_str(), "commits", &at.commit.to_string()]);
        self.add_commit(answer, at)
    }

    fn add_commit(&self, answer: &mut Answer, at: &Head) -> engine::Result<()> {
        let commit = self.store.commit(&at.commit)?;
        let by = commit.job.clone().unwrap_or_else(|| who(&commit.author, &commit.committer));
        answer.line("committed by", by);
        answer.data.push(("commit", json!({ "repo": at.repo, "branch": at.branch, "commit": at.commit })));
        Ok(())
    }

    fn add_file(&self, answer: &mut Answer, at: &Head, path: &FilePath, shows_value: bool) -> engine::Result<()> {
        answer.line("file", at.reference(path));
        answer.line("look", format!("pv trace {}", at.reference(path)));
        answer.link = self.link_to_file(at, path);
        let commit = self.store.commit(&at.commit)?;
        let resolved = Resolved { id: at.commit, commit, path: path.clone() };
        let found = trace(self.store, &resolved, Reach::default())?;
        if shows_value {
            self.add_value(answer, &found.file)?;
        }
        Self::add_origins(answer, &found);
        answer.picture = self.picture(&found)?;
        answer.trace = Some(text(&found));
        Ok(())
    }

    /// A small text as it is; of anything else, its size.
    fn add_value(&self, answer: &mut Answer, file: &FileNode) -> engine::Result<()> {
        let entry = entry_of(file);
        if entry.size <= VALUE_BYTES && self.store.has_content(&entry.digest)? {
            let bytes = self.store.read_file(&entry, 0..VALUE_BYTES)?;
            if let Ok(text) = std::str::from_utf8(&bytes)
                && !text.trim().is_empty()
                && !text.contains('\0')
            {
                answer.line("value", text.trim());
                return Ok(());
            }
        }
        answer.line("size", plural(entry.size, "byte", "bytes"));
        Ok(())
    }

    fn add_origins(answer: &mut Answer, found: &Trace) {
        let file = &found.file;
        answer.data.push((
            "file",
            json!({ "repo": file.repo, "commit": file.commit, "path": file.path, "digest": file.digest, "size_bytes": file.size_bytes }),
        ));
        if let Some(job) = &found.version.job {
            answer.line("made by", job.clone());
        }
        if let Some((file, node)) = source(found) {
            answer.line("source", format!("{}@{}:{}", file.repo, node.commit.short(12), file.path));
            answer.line("committed by", committed(node));
            answer.data.push((
                "source",
                json!({
                    "repo": file.repo, "commit": node.commit, "path": file.path, "digest": file.digest,
                    "author": node.author, "committer": node.committer, "message": node.message, "at": node.created_at,
                }),
            ));
        }
        let used = used(found);
        for one in &used {
            answer.line(&one.repo, one.words());
        }
        answer.data.push(("inputs", used.iter().map(crate::story::Used::json).collect()));
        if !found.gaps.is_empty() {
            answer.line("not complete", found.gaps.join("; "));
        }
    }

    /// The file itself, or the source that it was made from, if that is a small picture.
    fn picture(&self, found: &Trace) -> engine::Result<Option<Picture>> {
        let source = source(found).map(|(file, _)| file);
        for file in [Some(&found.file), source].into_iter().flatten() {
            let entry = entry_of(file);
            let is_small = (1..PICTURE_BYTES).contains(&entry.size);
            if !is_small || !is_image_name(file.path.name()) || !self.store.has_content(&entry.digest)? {
                continue;
            }
            let bytes = self.store.read_file(&entry, 0..entry.size)?.to_vec();
            if let Some(media_type) = media_type(&bytes) {
                return Ok(Some(Picture { name: file.path.name().to_owned(), media_type, bytes }));
            }
        }
        Ok(None)
    }

    /// The server's address, if it is known.
    fn server(&self) -> Option<String> {
        let url = self.store.setting(&SERVER_URL).unwrap_or_else(|error: RepoError| {
            tracing::warn!("the address of the server is not known: {error}");
            None
        });
        url.map(|url| url.0)
    }

    fn link_to_file(&self, at: &Head, path: &FilePath) -> Option<String> {
        let commit = at.commit.to_string();
        let parts = ["repos", at.repo.as_str(), "commits", &commit, "files"];
        self.link(&parts.into_iter().chain(path.as_str().split('/').skip(1)).collect::<Vec<_>>())
    }

    /// The address of a resource of the server.
    fn link(&self, parts: &[&str]) -> Option<String> {
        let mut url = format!("{}/api/v1", self.server()?);
        for part in parts {
            url.push('/');
            url.extend(part.bytes().map(quoted));
        }
        Some(url)
    }
}

/// A byte of a part of a path of a URL.
fn quoted(byte: u8) -> String {
    let is_plain = byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte);
    if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

fn entry_of(file: &FileNode) -> FileEntry {
    FileEntry { digest: file.digest, size: file.size_bytes, executable: file.executable }
}

/// What a picture is, by its first bytes; only kinds that every reader of mail shows.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_bytes() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        assert_eq!(media_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(media_type(b"GIF89a..."), Some("image/gif"));
        assert_eq!(media_type(b"RIFF....WEBPVP8 "), Some("image/webp"));
        assert_eq!((media_type(b"<svg onload=x>"), media_type(b"")), (None, None));
    }

    #[test]
    fn what_is_not_plain_is_quoted_in_addresses() {
        let text = |bytes: &str| bytes.bytes().map(quoted).collect::<String>();
        assert_eq!(text("a b?ü@x"), "a%20b%3F%C3%BC@x");
    }
}
