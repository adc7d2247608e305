//! The audit log: who did what, when, from where, with what outcome.
//!
//! One JSON object a line, appended with one write each, so lines of several processes never mix. Lines are not synced one by one: after a
//! power cut the last seconds may be missing, after a crash of the process nothing is. A line that is cut off is skipped when reading, and
//! the next writer begins a new line. Nothing shortens the log of changes; whoever wants to rotate it may rename it at any time.
//!
//! What is read is kept apart, in `.pv/reads`: there is much more of it. When that file is long, it becomes `.pv/reads.1`, that one
//! `.pv/reads.2`, and the oldest is removed.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::access::Right;
use crate::base::error::{IoContext, Result};
use crate::base::time::Timestamp;
use crate::store::Store;

/// The longest text of a field, in characters: a line stays short whatever a client sends.
const LONGEST: usize = 300;
/// A file of reads is this long, at most.
const READS_BYTES: u64 = 32 << 20;
/// How many older files of reads are kept.
const READS_KEPT: u32 = 3;
/// How much is read at a time.
const BLOCK: u64 = 64 << 10;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditLine {
    /// When it ended.
    pub at: Timestamp,
    /// The name of the token; empty if it is not known.
    pub who: String,
    /// The address of the client; absent on the machine itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The operation: its id in the API, or the command.
    pub operation: String,
    /// What it was about: names only, never content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The HTTP status, or the exit code of a command.
    pub outcome: u16,
    /// What the client was not told: why its token is not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The id of the request, which the client got too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Which lines to read.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this name.
    pub who: Option<String>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
}

impl AuditFilter {
    fn fits(&self, line: &AuditLine) -> bool {
        self.who.as_ref().is_none_or(|who| line.who == *who) && self.since.is_none_or(|since| line.at >= since)
    }
}

/// The audit log of a store.
#[derive(Debug, Clone)]
pub struct Audit {
    store: Store,
    path: PathBuf,
    /// At this length the file is put aside; `None` for never.
    most_bytes: Option<u64>,
}

impl Audit {
    /// The audit log of a store: what was changed and refused.
    pub fn of(store: &Store) -> Self {
        Self { store: store.clone(), path: store.folder().join("audit"), most_bytes: None }
    }

    /// The log of what was read from a store, bounded in length.
    pub fn of_reads(store: &Store) -> Self {
        Self { store: store.clone(), path: store.folder().join("reads"), most_bytes: Some(READS_BYTES) }
    }

    /// Appends a line. Texts that are too long are cut.
    pub fn append(&self, line: &AuditLine) -> Result<()> {
        self.append_all(std::slice::from_ref(line))
    }

    /// Appends lines, in one write.
    pub fn append_all(&self, lines: &[AuditLine]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.read(true).append(true).create(true).mode(0o600).open(&self.path).doing("open", &self.path)?;
        let mut length = file.metadata().doing("look at", &self.path)?.len();
        if self.most_bytes.is_some_and(|most| length >= most) {
            self.put_aside()?;
            file = options.open(&self.path).doing("open", &self.path)?;
            length = 0;
        }
        let mut last = *b"\n";
        if length > 0 {
            file.read_at(&mut last, length - 1).doing("read", &self.path)?;
        }
        // Behind a line that a crash cut off, a new one begins.
        let mut bytes = if last == *b"\n" { Vec::new() } else { vec![b'\n'] };
        for line in lines {
            serde_json::to_writer(&mut bytes, &short(line)).expect("lines have a JSON form");
            bytes.push(b'\n');
        }
        file.write_all(&bytes).doing("write", &self.path)
    }

    /// The file becomes the newest of the older ones.
    fn put_aside(&self) -> Result<()> {
        for number in (0..READS_KEPT).rev() {
            let (from, to) = (self.older(number), self.older(number + 1));
            match fs::rename(&from, to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing("rename", &from),
                _ => {}
            }
        }
        Ok(())
    }

    /// The file itself, or an older one.
    fn older(&self, number: u32) -> PathBuf {
        if number == 0 { self.path.clone() } else { self.path.with_extension(number.to_string()) }
    }

    /// The lines that fit, the newest first, read backwards in blocks: the length of the log does not matter for the newest lines.
    pub fn read(&self, filter: AuditFilter) -> Result<impl Iterator<Item = Result<AuditLine>> + use<>> {
        self.store.ensure_may(Right::Tokens)?;
        let path = self.path.clone();
        let mut files = Vec::new();
        for number in 0..=self.most_bytes.map_or(0, |_| READS_KEPT) {
            match fs::File::open(self.older(number)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                opened => files.push(opened.and_then(Backwards::new).doing("open", &path)?),
            }
        }
        let mut files = files.into_iter();
        let mut lines = files.next();
        let next = move || {
            loop {
                match lines.as_mut()?.next_line().doing("read", &path).transpose() {
                    None => lines = files.next(),
                    line => return line,
                }
            }
        };
        Ok(std::iter::from_fn(next).filter_map(move |line| match line {
            Ok(line) => serde_json::from_slice(&line).ok().filter(|line| filter.fits(line)).map(Ok),
            Err(error) => Some(Err(error)),
        }))
    }
}

/// The same line with texts that are not too long.
fn short(line: &AuditLine) -> AuditLine {
    let short = |text: &String| text.chars().take(LONGEST).collect::<String>();
    AuditLine {
        who: short(&line.who),
        from: line.from.as_ref().map(short),
        operation: short(&line.operation),
        on: line.on.as_ref().map(short),
        why: line.why.as_ref().map(short),
        request: line.request.as_ref().map(short),
        ..line.clone()
    }
}

/// The lines of a file from its end, without their line ends.
struct Backwards {
    file: fs::File,
    /// Everything from here on was read.
    start: u64,
    /// What was read and not returned yet.
    rest: Vec<u8>,
    /// Set after an error: nothing more comes.
    ended: bool,
}

impl Backwards {
    fn new(file: fs::File) -> std::io::Result<Self> {
        let start = file.metadata()?.len();
        Ok(Self { file, start, rest: Vec::new(), ended: false })
    }

    fn next_line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        while !self.ended {
            if let Some(at) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let line = self.rest.split_off(at + 1);
                self.rest.truncate(at);
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.start == 0 {
                self.ended = true;
                return Ok(Some(std::mem::take(&mut self.rest)).filter(|line| !line.is_empty()));
            }
            self.read_block().inspect_err(|_| self.ended = true)?;
        }
        Ok(None)
    }

    fn read_block(&mut self) -> std::io::Result<()> {
        let from = self.start.saturating_sub(BLOCK);
        let mut block = vec![0; (self.start - from) as usize];
        self.file.seek(SeekFrom::Start(from))?;
        self.file.read_exact(&mut block)?;
        block.append(&mut self.rest);
        (self.rest, self.start) = (block, from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_kept_in_files_of_a_bounded_length_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::init(folder.path(), specs::BranchName::main()).unwrap();
        let reads = Audit { most_bytes: Some(1000), ..Audit::of_reads(&store) };
        let line = |number: i64| AuditLine {
            at: Timestamp::from_micros(number),
            who: "ben".to_owned(),
            from: None,
            operation: "readFile".to_owned(),
            on: Some("/a".to_owned()),
            outcome: 200,
            why: None,
            request: None,
        };
        for number in 0..200 {
            reads.append_all(&[line(2 * number), line(2 * number + 1)]).unwrap();
        }
        let names =
            fs::read_dir(store.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("reads")).collect();
        names.sort();
        assert_eq!(names, ["reads", "reads.1", "reads.2", "reads.3"]);
        let longest = names.iter().map(|name| fs::metadata(store.folder().join(name)).unwrap().len()).max();
        assert!(longest.unwrap() < 1300, "{longest:?}");
        let kept: Vec<i64> =
            reads.read(AuditFilter::default()).unwrap().map(|line| line.unwrap().at.as_micros()).collect();
        assert_eq!(kept[0], 399, "the newest first");
        assert!(kept.len() > 20 && kept.windows(2).all(|pair| pair[0] == pair[1] + 1), "{kept:?}");
        assert_eq!(Audit::of(&store).read(AuditFilter::default()).unwrap().count(), 0, "it is another log");
    }
}
