//! A trace as nodes and arrows, for drawing programs: files point to the datums that read them, datums to the files that they wrote.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use specs::{CommitId, DatumId, FilePath, RepoName};

use super::story::shown_commit;
use super::words::{first_line, image, moment, place, size, visible};
use crate::trace::nodes::{BranchCommit, DatumNode, FileNode, InputNode, Origin, SourceNode, Trace};
use specs::words::plural;

/// Maximum number of files of a directory with their own node.
const OF_A_DIRECTORY: usize = 10;

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The requested file.
    Asked,
    /// A file that a datum wrote.
    File,
    /// A file that a user committed.
    Source,
    /// A matched directory.
    Directory,
    /// A datum.
    Datum,
    /// Something that was not, or could not be, followed.
    End,
}

/// A node and its text.
#[derive(Debug)]
pub struct Node<'t> {
    /// Its kind.
    pub sort: Sort,
    /// Unescaped text from users.
    pub lines: Vec<String>,
    /// The part of the trace that it stands for.
    pub about: About<'t>,
}

/// A part of a trace.
#[derive(Debug, Clone, Copy)]
pub enum About<'t> {
    /// A file.
    File(&'t FileNode),
    /// A matched directory.
    Directory(&'t InputNode),
    /// A datum.
    Datum(&'t DatumNode),
    /// What is not, or not here, in the trace.
    Nothing,
}

/// An arrow between two nodes by number.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrow {
    /// The number of the node where it starts.
    pub from: usize,
    /// The number of the node to which it points.
    pub to: usize,
    /// Unescaped text from users.
    pub label: String,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key<'t> {
    File(&'t RepoName, &'t CommitId, &'t FilePath),
    Directory(&'t RepoName, &'t CommitId, &'t FilePath),
    Datum(DatumId),
}

/// A trace, with each node and arrow once.
#[derive(Debug, Default)]
pub struct Graph<'t> {
    /// The nodes; the first is the requested file.
    pub nodes: Vec<Node<'t>>,
    /// The arrows.
    pub arrows: Vec<Arrow>,
    numbers: HashMap<Key<'t>, usize>,
}

impl<'t> Graph<'t> {
    /// The graph of a trace.
    pub fn of(trace: &'t Trace) -> Self {
        let mut graph = Self::default();
        let asked = graph.file(&trace.file);
        if let Some(node) = graph.nodes.get_mut(asked) {
            node.sort = Sort::Asked;
        }
        // A datum known only by a reference to another place, where it was not shown.
        for node in graph.nodes.iter_mut().filter(|node| node.lines.is_empty()) {
            node.lines.push("a datum that is not shown".to_owned());
        }
        graph
    }

    /// The number of a node, and whether it is new.
    fn number(&mut self, key: Key<'t>, sort: Sort) -> (usize, bool) {
        if let Some(known) = self.numbers.get(&key) {
            return (*known, false);
        }
        let number = self.end(sort, Vec::new());
        self.numbers.insert(key, number);
        (number, true)
    }

    fn end(&mut self, sort: Sort, lines: Vec<String>) -> usize {
        self.nodes.push(Node { sort, lines, about: About::Nothing });
        self.nodes.len() - 1
    }

    fn arrow(&mut self, from: usize, to: usize, label: &str) {
        let arrow = Arrow { from, to, label: label.to_owned() };
        if !self.arrows.contains(&arrow) {
            self.arrows.push(arrow);
        }
    }

    fn file(&mut self, file: &'t FileNode) -> usize {
        let sort = if matches!(file.origin, Origin::Source(_)) { Sort::Source } else { Sort::File };
        let (number, is_new) = self.number(Key::File(&file.repo, shown_commit(file), &file.path), sort);
        if !is_new {
            return number;
        }
        self.nodes[number].about = About::File(file);
        self.nodes[number].lines =
            vec![place(&file.repo, shown_commit(file), &file.path), format!("sha256 {}", file.digest.short(16))];
        match &file.origin {
            Origin::Datum(datum) => {
                let datum = self.datum(datum);
                self.arrow(datum, number, "");
            }
            Origin::SeenDatum(datum) => {
                let (datum, _) = self.number(Key::Datum(*datum), Sort::Datum);
                self.arrow(datum, number, "");
            }
            Origin::Source(source) => self.source(number, source),
            Origin::Gap(why) => {
                let gap = self.end(Sort::End, vec![format!("gap: {}", visible(why))]);
                self.arrow(gap, number, "");
            }
            Origin::Cut => {
                let cut = self.end(Sort::End, vec!["not followed further".to_owned()]);
                self.arrow(cut, number, "");
            }
        }
        number
    }

    fn source(&mut self, number: usize, source: &'t SourceNode) {
        let lines = &mut self.nodes[number].lines;
        lines.push(visible(&source.author));
        lines.push(moment(source.created_at, &TimeZone::UTC));
        lines.extend(Some(first_line(&source.message)).filter(|message| !message.is_empty()));
        if let Some(original) = &source.copied_from {
            let original = self.file(original);
            self.arrow(original, number, "copied");
        }
    }

    fn datum(&mut self, datum: &'t DatumNode) -> usize {
        let (number, _) = self.number(Key::Datum(datum.id), Sort::Datum);
        let mut lines = vec![
            format!("{} v{}", datum.pipeline, datum.version),
            format!("datum {}", datum.id.short(16)),
            image(datum.image.as_ref()).replace(" (sha256", "\n(sha256"),
            format!("network {}", datum.network),
        ];
        lines.extend(datum.finished_at.map(|time| moment(time, &TimeZone::UTC)));
        self.nodes[number].lines = lines;
        self.nodes[number].about = About::Datum(datum);
        for input in &datum.inputs {
            self.input(input, number);
        }
        if datum.more_inputs > 0 {
            let more = self.end(Sort::End, vec![plural(datum.more_inputs, "more file", "more files")]);
            self.arrow(more, number, "");
        }
        number
    }

    fn input(&mut self, input: &'t InputNode, datum: usize) {
        let (Some(extent), Some(BranchCommit { repo, id, .. })) = (input.directory, &input.commit) else {
            for file in &input.files {
                let file = self.file(file);
                self.arrow(file, datum, &input.input);
            }
            if input.commit.is_none() {
                let gap = self.end(Sort::End, vec![format!("gap: {}:{}", input.input, visible(input.path.as_str()))]);
                self.arrow(gap, datum, &input.input);
            }
            return;
        };
        let (directory, is_new) = self.number(Key::Directory(repo, id, &input.path), Sort::Directory);
        if is_new {
            let counts = format!("{}, {}", plural(extent.files, "file", "files"), size(extent.size_bytes));
            self.nodes[directory].lines = vec![place(repo, id, &input.path), counts];
            self.nodes[directory].about = About::Directory(input);
        }
        self.arrow(directory, datum, &input.input);
        if input.seen {
            return;
        }
        for file in input.files.iter().take(OF_A_DIRECTORY) {
            let file = self.file(file);
            self.arrow(file, directory, "");
        }
        let shown = input.files.len().min(OF_A_DIRECTORY) as u64;
        if extent.files > shown {
            let more = self.end(Sort::End, vec![plural(extent.files - shown, "more file", "more files")]);
            self.arrow(more, directory, "");
        }
    }
}
