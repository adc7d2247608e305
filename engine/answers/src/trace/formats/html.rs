//! One page for people without `pv`: it needs no script, no other file and no network, and can be printed.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::evidence;
use super::story::{Story, StoryStep, shown_commit};
use super::words::{code, command, image, moment, place, size, visible};
use crate::trace::Exhibits;
use crate::trace::nodes::{DatumNode, FileNode, InputNode, Origin, SourceNode, Trace};
use specs::words::{count, plural};

/// Maximum number of files named in a sentence; a table has them all.
const NAMED: usize = 8;

const STYLE: &str = include_str!("page.css");

/// A trace as an HTML page; times are in UTC.
pub fn html(trace: &Trace) -> String {
    html_in(trace, &TimeZone::UTC)
}

/// Like [`html`], with times in `zone`, with their offset, and in UTC.
pub fn html_in(trace: &Trace, zone: &TimeZone) -> String {
    page(trace, zone, &Exhibits::default())
}

/// Like [`page`], with times in UTC.
pub fn page_in_utc(trace: &Trace, exhibits: &Exhibits) -> String {
    page(trace, &TimeZone::UTC, exhibits)
}

/// Like [`html_in`], with the content of files, and who vouches for the commits.
pub fn page(trace: &Trace, zone: &TimeZone, exhibits: &Exhibits) -> String {
    let page = Page { trace, zone, story: Story::of(trace) };
    let title = format!("Where {} comes from", file_place(&trace.file));
    let mut text = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    text += "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n";
    text += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    let _ = write!(text, "<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n", escaped(&title));
    let _ = writeln!(text, "<h1>Where <code>{}</code> comes from</h1>", escaped(&file_place(&trace.file)));
    text += &page.claim();
    text += &evidence::exhibits(trace, exhibits);
    text += &page.steps();
    text += &page.files();
    text += &page.executions();
    text += &page.missing();
    text += &evidence::vouched(exhibits, zone);
    text += &page.how_to_check();
    text + WORDS + "</main>\n</body>\n</html>\n"
}

const WORDS: &str = "<section>\n<h2>Words</h2>\n<dl class=\"words\">\n\
<dt>SHA-256 digest</dt><dd>A number of 64 digits and letters that is computed from the bytes of a file. Other bytes give another number, so it \
tells whether two files are the same to the last bit.</dd>\n\
<dt>commit</dt><dd>A version of a set of files that nothing changes any more. Its id is the digest of its description.</dd>\n\
<dt>stage</dt><dd>A program with its inputs, which runs whenever its inputs change. Each change of the program is a new version of the stage.</dd>\n\
<dt>execution</dt><dd>One run of the program of a stage on certain input files and no others, shut off from everything else but what is named here.</dd>\n\
<dt>author, recorded by</dt><dd>The author is who is said to have made a commit; “recorded by” is the account that the system saw.</dd>\n\
</dl>\n</section>\n";

struct Page<'t> {
    trace: &'t Trace,
    zone: &'t TimeZone,
    story: Story<'t>,
}

impl Page<'_> {
    fn claim(&self) -> String {
        let Trace { file, version, .. } = self.trace;
        let mut facts = vec![
            ("File", text_code(file.path.as_str())),
            ("Size", size(file.size_bytes)),
            ("SHA-256 digest", text_code(&file.digest.to_string())),
            (
                "Version",
                format!("commit {} of <b>{}</b>", text_code(&file.commit.to_string()), escaped(file.repo.as_str())),
            ),
            ("Made", escaped(&moment(version.created_at, self.zone))),
        ];
        facts.extend(version.job.as_ref().map(|job| ("Made by", format!("job {}", text_code(job)))));
        if !version.author.is_empty() {
            let role = if version.job.is_some() { "Its job was caused by" } else { "Author" };
            facts.push((role, escaped(&version.author)));
        }
        facts.push(("Recorded by", escaped(&version.committer)));
        facts.extend(version.error.as_ref().map(|error| ("The job did not succeed", escaped(error))));
        facts.push(("Result", self.verdict()));
        let mut text = String::from("<section>\n<h2>What is claimed</h2>\n");
        text += self.sentence();
        text + &table_of(&facts) + "</section>\n"
    }

    /// What the page claims, and no more than the executions support.
    fn sentence(&self) -> &'static str {
        let datums = || {
            self.story
                .steps
                .iter()
                .filter_map(|step| if let StoryStep::Datum { datum, .. } = step { Some(datum) } else { None })
        };
        if datums().next().is_none() {
            return "<p>A person committed the file below. This page says who and when.</p>\n";
        }
        if datums().any(|datum| datum.network == specs::Network::Default) {
            return "<p>The file below was made from the files, by the programs and at the times that this page lists. Some executions \
                    could reach a network: what came from there is not recorded.</p>\n";
        }
        if datums().any(|datum| datum.image.is_none()) {
            return "<p>The file below was made from the files, by the programs and at the times that this page lists. Some executions \
                    used the tools of a host in place of an image: these are not recorded whole.</p>\n";
        }
        "<p>The file below was made from the files, by the programs and at the times listed on this page, and from nothing else.</p>\n"
    }

    fn verdict(&self) -> String {
        let Trace { datums, source_files, complete, gaps, cut, .. } = self.trace;
        let counts = format!(
            "{}, {}",
            plural(*datums as u64, "execution", "executions"),
            plural(
                *source_files as u64,
                "file that a person or a schedule committed",
                "files that people or schedules committed"
            )
        );
        if *complete {
            return format!("<b class=\"good\">Complete</b>: traced back to its sources without a gap. {counts}.");
        }
        let missing = plural(gaps.len() as u64, "gap", "gaps");
        let left = plural(cut.len() as u64, "place was omitted", "places were omitted");
        format!("<b class=\"bad\">Not complete</b>: {missing}; {left} (listed below). {counts}.")
    }

    fn steps(&self) -> String {
        let mut text = String::from(
            "<section>\n<h2>How it was made</h2>\n<p>Each step is listed before the steps that depend on it.</p>\n<ol>\n",
        );
        let mut told = Told::default();
        for step in &self.story.steps {
            let step = match step {
                StoryStep::Commit { repo, source, files } => self.committed(repo.as_str(), source, files),
                StoryStep::Datum { datum, wrote } if told.is_one_of_many(datum) => repeated(datum, wrote),
                StoryStep::Datum { datum, wrote } => self.executed(datum, wrote),
            };
            let _ = writeln!(text, "<li>{step}</li>");
        }
        text + "</ol>\n</section>\n"
    }

    fn committed(&self, repo: &str, source: &SourceNode, files: &[&FileNode]) -> String {
        let author = if source.author.is_empty() { &source.committer } else { &source.author };
        let mut text = format!(
            "<b>{}</b> committed {} to <b>{}</b> on {}, commit {}.",
            escaped(author),
            names(files.iter().map(|file| file.path.as_str()), files.len()),
            escaped(repo),
            escaped(&moment(source.created_at, self.zone)),
            text_code(&source.commit.short(16)),
        );
        if !source.message.is_empty() {
            let _ = write!(text, " <q>{}</q>", escaped(&source.message));
        }
        let _ = write!(text, " <span class=\"small\">Recorded by {}.</span>", escaped(&source.committer));
        for file in files {
            let Origin::Source(own) = &file.origin else { continue };
            if let Some(original) = &own.copied_from {
                let (copy, original) = (text_code(file.path.as_str()), text_code(&file_place(original)));
                let _ = write!(text, " {copy} is a copy of {original}.");
            }
            if let Some(why) = &own.gone {
                let _ = write!(
                    text,
                    " <b class=\"bad\">The content of {} is no longer stored: {}.</b>",
                    text_code(file.path.as_str()),
                    escaped(why)
                );
            }
        }
        text
    }

    fn executed(&self, datum: &DatumNode, wrote: &[&FileNode]) -> String {
        let mut text = format!("Stage <b>{}</b>, version {}, ran", escaped(datum.pipeline.as_str()), datum.version);
        if !datum.cmd.is_empty() {
            let _ = write!(text, " {}", text_code(&command(&datum.cmd)));
        }
        if let Some(image) = &datum.image {
            let _ = write!(text, " in image {}", text_code(&image.reference));
        }
        if let Some(time) = datum.finished_at {
            let _ = write!(text, ", ended on {}", escaped(&moment(time, self.zone)));
        }
        text += match datum.network {
            specs::Network::None => ". It had no network.",
            specs::Network::Default => {
                ". <b>It could reach a network</b>, so it may have read more than is listed here."
            }
        };
        let read: Vec<String> = datum.inputs.iter().map(input_words).collect();
        let more =
            if datum.more_inputs > 0 { format!(", and {} more", count(datum.more_inputs)) } else { String::new() };
        if read.is_empty() {
            text += " It read no files.";
        } else {
            let _ = write!(text, " It read {}{more}.", read.join("; "));
        }
        let _ = write!(text, " It wrote {}", names(wrote.iter().map(|file| file.path.as_str()), wrote.len()));
        let same = wrote.iter().find_map(|file| Some((file, file.same_as.as_ref()?)));
        if let Some((file, same)) = same {
            let (file, same) = (text_code(file.path.as_str()), text_code(&place(&same.repo, &same.commit, &same.path)));
            let _ = write!(text, "; {file} has the same content as its input {same}.");
        } else {
            text += ".";
        }
        if let (true, Some(job)) = (datum.cached, &datum.taken_over_by) {
            let _ = write!(
                text,
                " Later jobs reused this result without running it again, most recently {}.",
                text_code(job)
            );
        }
        text
    }

    fn files(&self) -> String {
        let mut text = String::from(
            "<section>\n<h2>All files</h2>\n<table class=\"wide\">\n<thead><tr><th>File and SHA-256 digest</th><th>Size</th><th>From</th></tr></thead>\n<tbody>\n",
        );
        for file in self.story.files.iter().rev() {
            let from = match &file.origin {
                Origin::Datum(datum) => format!("execution {}", text_code(&datum.id.short(16))),
                Origin::SeenDatum(datum) => format!("execution {}", text_code(&datum.short(16))),
                Origin::Source(source) => {
                    let author = if source.author.is_empty() { &source.committer } else { &source.author };
                    format!("{}, {}", escaped(author), escaped(&moment(source.created_at, self.zone)))
                }
                Origin::Gap(why) => format!("<b class=\"bad\">gap: {}</b>", escaped(why)),
                Origin::Cut => "<b class=\"bad\">not followed</b>".to_owned(),
            };
            let (name, digest) = (text_code(&file_place(file)), text_code(&file.digest.to_string()));
            let _ = writeln!(
                text,
                "<tr><td>{name}<br>{digest}</td><td class=\"number\">{}</td><td>{from}</td></tr>",
                count(file.size_bytes)
            );
        }
        text + "</tbody>\n</table>\n<p class=\"small\">Sizes in bytes. Directories that were read as a whole are listed with the executions.</p>\n</section>\n"
    }

    fn executions(&self) -> String {
        let mut text = String::from("<section>\n<h2>What was executed</h2>\n");
        let mut told = Told::default();
        let mut others: Vec<(&DatumNode, &[&FileNode])> = Vec::new();
        for step in &self.story.steps {
            if let StoryStep::Datum { datum, wrote } = step {
                if told.is_one_of_many(datum) {
                    others.push((*datum, wrote.as_slice()));
                    continue;
                }
                let title = format!("{} version {}, execution {}", datum.pipeline, datum.version, datum.id.short(16));
                let _ = writeln!(text, "<h3>{}</h3>\n{}", escaped(&title), table_of(&self.facts(datum, wrote)));
            }
        }
        text + &self.others(&others) + "</section>\n"
    }

    /// Further executions like those above, one row each.
    fn others(&self, others: &[(&DatumNode, &[&FileNode])]) -> String {
        if others.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "<h3>Executions of the same command, image and code as one above</h3>\n<table class=\"wide\">\n<thead><tr><th>Stage and \
             execution</th><th>Read and wrote</th><th>Ended, outcome, digests</th></tr></thead>\n<tbody>\n",
        );
        for (datum, wrote) in others {
            let stage = escaped(&format!("{} version {}", datum.pipeline, datum.version));
            let read: Vec<String> = datum.inputs.iter().map(input_line).collect();
            let files: Vec<String> = wrote.iter().map(|file| text_code(&file_place(file))).collect();
            let ended = datum.finished_at.map_or_else(String::new, |time| escaped(&moment(time, self.zone)));
            let _ = writeln!(
                text,
                "<tr><td>{stage}<br>{}</td><td>{}<br>wrote {}</td><td>{ended}<br>{}<br>result sha256 {}</td></tr>",
                text_code(&datum.id.to_string()),
                read.join("<br>"),
                files.join("<br>"),
                outcome(datum),
                text_code(&datum.result.to_string()),
            );
        }
        text + "</tbody>\n</table>\n"
    }

    fn facts(&self, datum: &DatumNode, wrote: &[&FileNode]) -> Vec<(&'static str, String)> {
        let when = |time: Option<repos::Timestamp>| time.map(|time| escaped(&moment(time, self.zone)));
        let mut facts = vec![("Command", text_code(&command(&datum.cmd)))];
        facts.extend((!datum.stdin.is_empty()).then(|| ("Standard input", text_code(&datum.stdin.join("\n")))));
        facts.push(("Image", escaped(&image(datum.image.as_ref()))));
        facts.extend(code(datum.code.as_ref()).map(|code| ("Code", escaped(&code))));
        let env: Vec<String> = datum.env.iter().map(|(name, value)| text_code(&format!("{name}={value}"))).collect();
        facts.extend((!env.is_empty()).then(|| ("Environment", env.join("<br>"))));
        facts.extend((!datum.secrets.is_empty()).then(|| ("Secrets, by name", escaped(&datum.secrets.join(", ")))));
        let host: Vec<String> =
            datum.host_files.iter().map(|(path, digest)| text_code(&format!("{path} sha256 {digest}"))).collect();
        facts.extend((!host.is_empty()).then(|| ("Files of the host", host.join("<br>"))));
        facts.push((
            "Network",
            match datum.network {
                specs::Network::None => "none".to_owned(),
                specs::Network::Default => "<b>available</b>".to_owned(),
            },
        ));
        facts.push(("Executed by", escaped(&datum.executor.on(datum.worker.as_deref()))));
        facts.push(("Job", text_code(&datum.job)));
        facts.extend(when(datum.started_at).map(|time| ("Began", time)));
        facts.extend(when(datum.finished_at).map(|time| ("Ended", time)));
        facts.push(("Outcome", outcome(datum)));
        let applied = datum.applied_by.as_ref().map_or_else(String::new, |by| format!(", by {}", escaped(by)));
        facts
            .extend(when(datum.applied_at).map(|time| ("This version of the stage", format!("since {time}{applied}"))));
        facts.push(("Read", datum.inputs.iter().map(input_line).collect::<Vec<_>>().join("<br>")));
        facts.push((
            "Wrote, of this trace",
            wrote.iter().map(|file| text_code(&file_place(file))).collect::<Vec<_>>().join("<br>"),
        ));
        facts.push(("Recipe", format!("sha256 {}", text_code(&datum.id.to_string()))));
        facts.push(("Result", format!("sha256 {}", text_code(&datum.result.to_string()))));
        facts.extend(datum.log.map(|log| ("Output (log)", format!("sha256 {}", text_code(&log.to_string())))));
        facts
    }

    fn missing(&self) -> String {
        let Trace { gaps, cut, .. } = self.trace;
        let mut text = String::from("<section>\n<h2>What is missing</h2>\n");
        if gaps.is_empty() && cut.is_empty() {
            return text + "<p>Nothing: every file was followed to its sources.</p>\n</section>\n";
        }
        for (title, list) in [("Unknown", gaps), ("Omitted", cut)] {
            if !list.is_empty() {
                let items =
                    list.iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect::<Vec<_>>().concat();
                let _ = write!(text, "<h3>{title}</h3>\n<ul>\n{items}</ul>\n");
            }
        }
        text + "</section>\n"
    }

    fn how_to_check(&self) -> String {
        let FileNode { repo, commit, path, .. } = &self.trace.file;
        let reference = command(&[format!("{repo}@{commit}:{path}")]);
        let mut text = String::from(
            "<section>\n<h2>How to check this</h2>\n<p>This page is a report, not a proof: its author could have written anything. To check it:</p>\n<ul>\n",
        );
        text += "<li>For a file that you have: <code>sha256sum FILE</code> must print the digest on this page.</li>\n";
        for (what, verb) in [
            ("With access to the store: every digest of the chain, and the signatures", "verify"),
            ("The same report again", "trace"),
            ("The bytes themselves", "cat"),
        ] {
            let _ = writeln!(text, "<li>{what}: {}</li>", text_code(&format!("pv {verb} {reference}")));
        }
        text + "<li>Without access: ask for a bundle (<code>pv bundle</code>). It contains the signed documents and explains how to check them with common tools.</li>\n</ul>\n</section>\n"
    }
}

/// Number of executions of one stage that are shown in full.
const IN_FULL: usize = 3;

/// Which executions were shown: of many that do the same with other files, the first are shown in full.
#[derive(Default)]
struct Told(HashMap<(String, u32, specs::Digest), usize>);

impl Told {
    /// Whether enough similar ones were shown in full, so that a line suffices.
    fn is_one_of_many(&mut self, datum: &DatumNode) -> bool {
        let count = self.0.entry((datum.pipeline.to_string(), datum.version, datum.transform)).or_default();
        *count += 1;
        *count > IN_FULL
    }
}

/// An execution similar to an earlier one.
fn repeated(datum: &DatumNode, wrote: &[&FileNode]) -> String {
    let read: Vec<String> = datum.inputs.iter().map(input_words).collect();
    let stage = escaped(datum.pipeline.as_str());
    let wrote = names(wrote.iter().map(|file| file.path.as_str()), wrote.len());
    format!("The same stage <b>{stage}</b>, version {}, on {}. It wrote {wrote}.", datum.version, read.join("; "))
}

/// `success, exit code 0, at the third try`
fn outcome(datum: &DatumNode) -> String {
    let state = match datum.state {
        repos::documents::ResultState::Success => "success",
        repos::documents::ResultState::Recovered => "failed, then recovered by the error command",
        repos::documents::ResultState::Failed => "failed",
    };
    let code = datum.exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
    let tries = if datum.tries > 1 { format!(", after {} tries", datum.tries) } else { String::new() };
    format!("{state}{code}{tries}")
}

/// `the file <code>/a</code> of <b>images</b>`
fn input_words(input: &InputNode) -> String {
    let repo = input.commit.as_ref().map_or(input.input.as_str(), |commit| commit.repo.as_str());
    let repo = format!("<b>{}</b>", escaped(repo));
    match input.directory {
        Some(extent) if input.path.is_root() && extent.files == 1 => format!("the only file of {repo}"),
        Some(extent) if input.path.is_root() => {
            format!("all {} of {repo}", plural(extent.files, "file", "files"))
        }
        Some(extent) => {
            format!("the {} below {} in {repo}", plural(extent.files, "file", "files"), text_code(input.path.as_str()))
        }
        None => format!("{} of {repo}", text_code(input.path.as_str())),
    }
}

/// An input with its digest, and its peculiarities.
fn input_line(input: &InputNode) -> String {
    let from = input
        .commit
        .as_ref()
        .map_or_else(|| input.input.clone(), |commit| format!("{}@{}", commit.repo, commit.id.short(16)));
    let mut text = text_code(&format!("{from}:{}", input.path));
    if let Some(extent) = input.directory {
        let _ = write!(text, ", {}, {}", plural(extent.files, "file", "files"), size(extent.size_bytes));
    }
    if let Some(digest) = input.digest {
        let _ = write!(text, ", sha256 {}", text_code(&digest.to_string()));
    }
    if input.commit.is_none() {
        text += ", <b class=\"bad\">gap: not found</b>";
    }
    if input.empty_files {
        text += ", names only, no bytes";
    }
    if input.reference {
        text += ", by reference: a change of it alone does not cause a new execution";
    }
    if input.older {
        text += ", <b>older</b>: a newer version existed at that time";
    }
    text
}

/// The first of several names, and how many more there are.
fn names<'n>(names: impl Iterator<Item = &'n str>, total: usize) -> String {
    let mut list: Vec<String> = names.take(NAMED).map(text_code).collect();
    if total > NAMED {
        list.push(format!("{} more", count((total - NAMED) as u64)));
    }
    match list.split_last() {
        Some((end, others)) if !others.is_empty() => format!("{} and {end}", others.join(", ")),
        _ => list.concat(),
    }
}

fn file_place(file: &FileNode) -> String {
    place(&file.repo, shown_commit(file), &file.path)
}

pub(super) fn table_of(facts: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| format!("<tr><th>{name}</th><td>{value}</td></tr>\n");
    let rows = facts.iter().map(row).collect::<Vec<_>>().concat();
    format!("<table class=\"facts\">\n{rows}</table>\n")
}

pub(super) fn text_code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// Escapes user text for the page: nothing in it is markup, and nothing reverses or hides the text around it.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            c => shown.push(c),
        }
    }
    shown
}
