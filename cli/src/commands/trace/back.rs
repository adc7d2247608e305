//! What a file rests on, as a tree: a datum is a bullet, what it read hangs below it.

use engine::trace::{DatumNode, FileNode, Origin, SourceNode, Trace};
use repos::Store;
use specs::Reference;

use super::words::{code, command_line, file_line, short_job};
use crate::commands::views::{cause_words, first_line};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, duration, plural, short_digest};

/// Files of one datum that a terminal shows.
const ON_A_TERMINAL: usize = 20;

/// Prints the tree, then whether it is complete.
pub(super) fn print(cx: &Context, asked: &Reference, trace: &Trace) -> Result<()> {
    let most = if cx.out().is_terminal() { ON_A_TERMINAL } else { usize::MAX };
    let mut tree = Tree { cx, store: cx.store()?, human: cx.human(), most, is_cut: false };
    if matches!(trace.file.origin, Origin::Datum(_)) {
        cx.out().line(tree.file_line(&trace.file)? + "\n")?;
    }
    tree.origin(&trace.file, "", "")?;
    let counts = format!(
        "{}, {}, {}",
        plural(trace.datums as u64, "datum", "datums"),
        plural(trace.source_files as u64, "source file", "source files"),
        plural(trace.gaps.len() as u64, "gap", "gaps")
    );
    let verdict = match (trace.complete, tree.is_cut) {
        (true, false) => cx.out().paint(32, "complete"),
        (true, true) => "cut by --depth".to_owned(),
        (false, _) => cx.out().paint(31, "not complete"),
    };
    cx.out().line(format!("{verdict}: {counts}"))?;
    for gap in &trace.gaps {
        cx.out().line(format!("  gap: {gap}"))?;
    }
    cx.out().flush()?;
    if matches!(trace.file.origin, Origin::Datum(_)) {
        cx.notes().line(format!("logs: pv logs {asked}"));
    }
    Ok(())
}

struct Tree<'a> {
    cx: &'a Context,
    store: &'a Store,
    human: Human,
    most: usize,
    /// Whether something was not looked at because of `--depth`.
    is_cut: bool,
}

impl Tree<'_> {
    fn file_line(&self, file: &FileNode) -> Result<String> {
        // A source is told by the commit that brought it in.
        let commit = if let Origin::Source(source) = &file.origin { &source.commit } else { &file.commit };
        file_line(self.store, (&file.repo, commit, &file.path), file.size_bytes, &file.digest)
    }

    /// Prints where a file came from. `first` stands before its first line, `rest` before the others.
    fn origin(&mut self, file: &FileNode, first: &str, rest: &str) -> Result<()> {
        let what = match &file.origin {
            Origin::Datum(datum) => return self.datum(datum, file, first, rest),
            Origin::Source(_) => String::new(),
            Origin::SeenDatum(datum) => format!("   by datum {}, which stands above", datum.short(8)),
            Origin::Gap(why) => format!("   {}: {why}", self.cx.out().paint(31, "gap")),
            Origin::Cut => "   not followed further: --depth".to_owned(),
        };
        self.is_cut |= matches!(file.origin, Origin::Cut);
        let space = if first.is_empty() || first.ends_with(' ') { "" } else { " " };
        self.cx.out().line(format!("{first}{space}{}{what}", self.file_line(file)?))?;
        if let Origin::Source(source) = &file.origin { self.source(source, rest) } else { Ok(()) }
    }

    fn datum(&mut self, datum: &DatumNode, file: &FileNode, first: &str, rest: &str) -> Result<()> {
        self.cx.out().line(format!("{first}● {}", self.headline(datum)))?;
        let files: Vec<&FileNode> = datum.inputs.iter().flat_map(|input| &input.files).collect();
        let bar = if files.is_empty() { "  " } else { "│ " };
        for line in self.details(datum, file)?.into_iter().chain(Self::older(datum)) {
            self.cx.out().line(format!("{rest}{bar}  {line}"))?;
        }
        let shown = files.len().min(self.most);
        let more = files.len() - shown;
        for (number, file) in files.into_iter().take(shown).enumerate() {
            let (branch, below) = if number + 1 == shown && more == 0 { ("└─", "  ") } else { ("├─", "│ ") };
            self.origin(file, &format!("{rest}{branch}"), &format!("{rest}{below}"))?;
        }
        if more > 0 {
            self.cx.out().line(format!("{rest}└─…  {} more: --json", plural(more as u64, "file", "files")))?;
        }
        Ok(())
    }

    /// `threat v3   datum 0b77c1aa   exit 0   0.02 s   network none`
    fn headline(&self, datum: &DatumNode) -> String {
        let name = self.cx.out().paint(1, &format!("{} v{}", datum.pipeline, datum.version));
        let mut parts = vec![name, format!("datum {}", datum.id.short(8))];
        parts.extend(datum.exit_code.map(|exit_code| format!("exit {exit_code}")));
        if datum.tries > 1 {
            parts.push(plural(datum.tries as u64, "try", "tries"));
        }
        if let (Some(started), Some(finished)) = (datum.started_at, datum.finished_at) {
            parts.push(duration(finished.seconds_since(started)));
        }
        parts.push(match datum.network {
            specs::Network::None => "network none".to_owned(),
            specs::Network::Default => "network default: not hermetic".to_owned(),
        });
        parts.join("   ")
    }

    /// What a datum read of an older generation than there was.
    fn older(datum: &DatumNode) -> impl Iterator<Item = String> {
        let older = datum.inputs.iter().filter(|input| input.older && !input.files.is_empty());
        older.map(|input| format!("older: `{}` had a newer commit by that run", input.input))
    }

    fn details(&self, datum: &DatumNode, file: &FileNode) -> Result<Vec<String>> {
        let mut wrote = format!("wrote {}", self.file_line(file)?);
        if datum.by_reference {
            wrote.push_str("   by reference: the bytes of an input");
        }
        let mut job = vec![format!("job {}", short_job(self.store, &datum.job)?)];
        job.extend(datum.finished_at.map(|time| self.human.local_and_utc(time)));
        let executor = &datum.executor;
        job.push(format!("{} {} on {}", executor.kind, executor.version, executor.host));
        if let Some(cause) = &datum.cause {
            let who = cause.author.as_deref().unwrap_or(&cause.committer);
            job.push(format!("caused by {}, {who}", cause_words(cause.kind, &cause.refs)));
        }
        if datum.cached {
            job.push("cached since".to_owned());
        }
        let image = datum.image.as_ref().map_or_else(
            || "no image: this host's tools".to_owned(),
            |image| format!("image {} ({})", image.reference, short_digest(&image.digest)),
        );
        let mut made_by = vec![image, format!("cmd {}", command_line(&datum.cmd))];
        made_by.extend(code(datum.code.as_ref()));
        made_by.extend(datum.applied_at.map(|time| format!("applied {}", self.human.date(time))));
        Ok(vec![wrote, job.join("   "), made_by.join("   ")])
    }

    fn source(&mut self, source: &SourceNode, rest: &str) -> Result<()> {
        let time = self.human.local_and_utc(source.created_at);
        let SourceNode { author, committer, message, .. } = source;
        let line = format!("{rest}     {author} ({committer})   {time}   {}", first_line(message));
        self.cx.out().line(line.trim_end())?;
        if let Some(original) = &source.copied_from {
            self.origin(original, &format!("{rest}     copied from "), &format!("{rest}     "))?;
        }
        Ok(())
    }
}
