//! A trace as text, for mail, and what of it a message says in lines: the source, who committed it, the model, the rules.

use answers::trace::{DatumNode, FileNode, InputNode, Origin, SourceNode, Trace};
use repos::Timestamp;
use serde_json::{Value, json};
use specs::words::plural;

/// Lines of a trace as text; more are cut.
const LINES: usize = 200;
/// Characters of a line of a message of a commit.
const MESSAGE: usize = 200;

/// The first file that a user committed, in the order of the inputs: of several, the first image.
pub(crate) fn source(trace: &Trace) -> Option<(&FileNode, &SourceNode)> {
    let mut sources = Vec::new();
    collect_sources(&trace.file, &mut sources);
    let image = sources.iter().position(|(file, _)| is_image_name(file.path.name()));
    sources.get(image.unwrap_or(0)).copied()
}

fn collect_sources<'t>(file: &'t FileNode, sources: &mut Vec<(&'t FileNode, &'t SourceNode)>) {
    match &file.origin {
        Origin::Source(source) => sources.push((file, &**source)),
        Origin::Datum(datum) => {
            datum.inputs.iter().flat_map(|input| &input.files).for_each(|file| collect_sources(file, sources));
        }
        Origin::SeenDatum(_) | Origin::Gap(_) | Origin::Cut => {}
    }
}

/// Whether a name has an ending of pictures.
pub(crate) fn is_image_name(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ["jpg", "jpeg", "png", "gif", "webp", "bmp"].contains(&ending.as_str()))
}

/// An input that users commit, and the commit of it that a datum of the trace read: a model, rules.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Used {
    pub(crate) repo: String,
    pub(crate) branch: Option<String>,
    pub(crate) commit: String,
}

impl Used {
    /// `model@1a2b3c4d5e6f`
    pub(crate) fn words(&self) -> String {
        let commit: String = self.commit.chars().take(12).collect();
        format!("{}@{commit}", self.repo)
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "repo": self.repo, "branch": self.branch, "commit": self.commit })
    }
}

/// The inputs besides that of the source, each once, nearest to the file first.
pub(crate) fn used(trace: &Trace) -> Vec<Used> {
    let source = source(trace).map(|(file, _)| &file.repo);
    let mut found = Vec::new();
    collect_used(&trace.file, &mut |input: &InputNode| {
        let Some(at) = &input.commit else { return };
        let is_of_users = input.files.iter().all(|file| matches!(file.origin, Origin::Source(_)));
        let one = Used {
            repo: at.repo.to_string(),
            branch: at.branch.as_ref().map(ToString::to_string),
            commit: at.id.to_string(),
        };
        if is_of_users && Some(&at.repo) != source && !found.contains(&one) {
            found.push(one);
        }
    });
    found
}

fn collect_used(file: &FileNode, visit: &mut dyn FnMut(&InputNode)) {
    let Origin::Datum(datum) = &file.origin else { return };
    datum.inputs.iter().for_each(&mut *visit);
    datum.inputs.iter().flat_map(|input| &input.files).for_each(|file| collect_used(file, visit));
}

/// `Anna <anna@example.com> (uid:0@host), 2026-07-01T12:14:43Z: camera batch`
pub(crate) fn committed(source: &SourceNode) -> String {
    let who = who(&source.author, &source.committer);
    let message: String = source.message.lines().next().unwrap_or_default().chars().take(MESSAGE).collect();
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("{who}, {}{message}", moment(source.created_at))
}

/// The claimed author, and who it was.
pub(crate) fn who(author: &str, committer: &str) -> String {
    if author.is_empty() || author == committer { committer.to_owned() } else { format!("{author} ({committer})") }
}

/// A time to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// A trace as an indented list: each file with what made it, down to the commits of users.
pub(crate) fn text(trace: &Trace) -> String {
    let mut lines = Vec::new();
    file_lines(&trace.file, 0, &mut lines);
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    if more > 0 {
        lines.push(format!("… and {}", plural(more as u64, "more line", "more lines")));
    }
    let verdict = if trace.complete { "complete" } else { "not complete" };
    let counts = [
        plural(trace.datums as u64, "datum", "datums"),
        plural(trace.source_files as u64, "source file", "source files"),
        plural(trace.gaps.len() as u64, "gap", "gaps"),
    ];
    lines.push(format!("{verdict}: {}", counts.join(", ")));
    lines.extend(trace.gaps.iter().take(LINES).map(|gap| format!("  gap: {gap}")));
    lines.join("\n")
}

fn file_lines(file: &FileNode, depth: usize, lines: &mut Vec<String>) {
    // Enough to know that something is cut.
    if lines.len() > 10 * LINES {
        return;
    }
    let indent = "  ".repeat(depth);
    let commit = if let Origin::Source(source) = &file.origin { &source.commit } else { &file.commit };
    let (place, digest) = (format!("{}@{}:{}", file.repo, commit.short(12), file.path), file.digest.short(12));
    lines.push(format!("{indent}{place}   {} bytes   sha256 {digest}…", file.size_bytes));
    match &file.origin {
        Origin::Source(source) => {
            lines.push(format!("{indent}  committed by {}", committed(source)));
            lines.extend(source.gone.iter().map(|why| format!("{indent}  gap: {why}")));
            lines.extend(source.read_from.iter().map(|url| format!("{indent}  read from {url}")));
            if let Some(original) = &source.copied_from {
                lines.push(format!("{indent}  copied from"));
                file_lines(original, depth + 2, lines);
            }
        }
        Origin::Datum(datum) => datum_lines(datum, depth, lines),
        Origin::SeenDatum(datum) => lines.push(format!("{indent}  made by datum {}, above", datum.short(12))),
        Origin::Gap(why) => lines.push(format!("{indent}  gap: {why}")),
        Origin::Cut => lines.push(format!("{indent}  not followed further")),
    }
}

fn datum_lines(datum: &DatumNode, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth + 1);
    let ended = datum.finished_at.map_or_else(String::new, |at| format!(", {}", moment(at)));
    let image = datum.image.as_ref().map_or_else(String::new, |image| format!(", image {}", image.reference));
    let made = format!("made by {} v{}, datum {}", datum.pipeline, datum.version, datum.id.short(12));
    lines.push(format!("{indent}{made}{image}{ended}"));
    for input in &datum.inputs {
        if let (Some(extent), Some(at)) = (input.directory, &input.commit) {
            let files = plural(extent.files, "file", "files");
            lines.push(format!("{indent}  {}@{}:{}   {files}", at.repo, at.id.short(12), input.path));
        }
        input.files.iter().for_each(|file| file_lines(file, depth + 2, lines));
    }
    if datum.more_inputs > 0 {
        lines.push(format!("{indent}  {}", plural(datum.more_inputs, "more input", "more inputs")));
    }
}
