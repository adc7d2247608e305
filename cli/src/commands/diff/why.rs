//! Why two outputs differ: a few lines above the listing, or in full.

use answers::diff::{Entry, Ran, Sides, SourceCause, StageCause, Why, compare_files, why};
use answers::explain::FieldChange;
use compare::Options;
use specs::{CommitId, PipelineName};

use super::page::{Block, Page};
use super::{Args, detail, listing};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{count, plural};

/// Causes in the header, one per line.
const CAUSES: usize = 7;
/// Largest file in bytes that is compared for the header.
const COMPARED: u64 = 16 << 20;
/// Characters per line.
const CHARACTERS: usize = 160;

fn of(store: &Store, sides: &Sides) -> Result<Option<Why>> {
    match (&sides.old, &sides.new) {
        (Some(old), Some(new)) => Ok(why(store, old, new)?),
        _ => Ok(None),
    }
}

/// How many details a header shows for each cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasons {
    /// One line of limited length.
    Short,
    /// All values: they explain why decisions changed.
    Full,
}

impl Reasons {
    fn values(self) -> usize {
        if self == Self::Short { 2 } else { 20 }
    }
}

/// At most ten lines if `Short`; nothing unless both sides are commits of outputs.
pub(super) fn header(page: &Page<'_>, store: &Store, sides: &Sides, reasons: Reasons) -> Result<()> {
    let Some(why) = of(store, sides)? else { return Ok(()) };
    let mut lines = Vec::new();
    for cause in &why.sources {
        lines.push(format!("why   {}", source_line(store, cause, reasons)?));
    }
    lines.extend(why.stages.iter().map(|cause| format!("why   {}", stage_line(cause))));
    lines.extend(hidden_line(&why).map(|line| format!("why   {line}")));
    if lines.len() > CAUSES && reasons == Reasons::Short {
        let left = lines.len() - CAUSES + 1;
        lines.truncate(CAUSES - 1);
        lines.push(format!("why   … {} more: --why", count(left as u64)));
    }
    if why.is_empty() {
        lines.push("why   both have the same inputs and the same recipe".to_owned());
    }
    lines.extend(same_line(&why));
    lines.extend(ran_line(&why));
    let cut = |line: &String| if reasons == Reasons::Short { cut(line) } else { line.clone() };
    lines.iter().try_for_each(|line| page.item(&cut(line)))?;
    page.cx.out().line("")
}

/// Prints each cause as a difference of its own. Returns whether there are any.
pub(super) fn in_full(cx: &Context, args: &Args, sides: &Sides) -> Result<bool> {
    let store = cx.store()?;
    let Some(why) = of(store, sides)? else {
        let message = "`--why` compares two outputs of one pipeline".to_owned();
        return Err(CliError::usage(message, "pv diff without --why compares any two commits"));
    };
    if cx.out().is_json() {
        cx.out().json(&why)?;
        return Ok(!why.is_empty());
    }
    let page = Page::new(cx, args.md);
    page.title(&sides.title)?;
    for cause in &why.sources {
        page.heading(&source_title(store, cause)?)?;
        let sides = Sides::of_commits(store, cause.old, cause.new)?;
        let listed = listing::print(&page, args, store, &sides)?;
        page.line(&listing::counted(&listed.counts))?;
    }
    for cause in &why.stages {
        page.heading(&stage_title(cause))?;
        let rows = cause.changes.iter().map(|change| {
            let (old, new) = values(change);
            vec![change.field.clone(), old, new]
        });
        page.blocks(&[Block::Table(&["FIELD", "OLD", "NEW"], rows.collect())])?;
        if let Some((old, new)) = cause.code {
            listing::print(&page, args, store, &Sides::of_trees(old, new))?;
        }
    }
    hidden_line(&why).iter().try_for_each(|line| page.line(line))?;
    if why.is_empty() {
        page.line("both have the same inputs and the same recipe")?;
    }
    page.heading("otherwise")?;
    same_line(&why).iter().chain(ran_line(&why).iter()).try_for_each(|line| page.item(line))?;
    if sides.entries(store)?.next().is_none() {
        page.line("outputs are identical")?;
    }
    Ok(!why.is_empty())
}

/// What differs and is not visible.
fn hidden_line(why: &Why) -> Option<String> {
    (why.not_visible > 0).then(|| match why.not_visible {
        1 => "1 repository that is not visible to you differs".to_owned(),
        more => format!("{} repositories that are not visible to you differ", count(more)),
    })
}

/// Both values of a field, with digests shortened to their first digits.
fn values(change: &FieldChange) -> (String, String) {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let (old, new) = (value(&change.old), value(&change.new));
    let (short_old, short_new) = (short_digests(&old), short_digests(&new));
    if short_old == short_new { (old, new) } else { (short_old, short_new) }
}

/// Shortens each digest in the text to its first digits.
fn short_digests(text: &str) -> String {
    const DIGITS: usize = 64;
    const SHOWN: usize = 8;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| is_digit(*byte)).count();
        let (word, after) = rest.split_at(digits);
        shown.push_str(if digits == DIGITS { &word[..SHOWN] } else { word });
        let other = after.bytes().take_while(|byte| !is_digit(*byte)).count();
        shown.push_str(&after[..other]);
        rest = &after[other..];
    }
    shown
}

fn commits(store: &Store, old: Option<CommitId>, new: Option<CommitId>) -> Result<String> {
    let short = |id: Option<CommitId>| id.map_or(Ok("nothing".to_owned()), |id| store.short_commit(&id));
    Ok(format!("{} → {}", short(old)?, short(new)?))
}

fn source_title(store: &Store, cause: &SourceCause) -> Result<String> {
    let commits = commits(store, cause.old, cause.new)?;
    Ok(format!("{} {commits}   {}   {}", cause.repo, cause.author, cause.message).trim_end().to_owned())
}

fn source_line(store: &Store, cause: &SourceCause, reasons: Reasons) -> Result<String> {
    let mut told = Vec::new();
    for entry in &cause.first {
        told.push(entry_words(store, cause, entry, reasons)?);
    }
    let left = cause.files.total() - told.len() as u64;
    if left > 0 {
        told.push(format!("{} more files", count(left)));
    }
    Ok(format!("{} {}   {}", cause.repo, commits(store, cause.old, cause.new)?, told.join("; ")))
}

/// How a source file of a cause changed, in a few words.
fn entry_words(store: &Store, cause: &SourceCause, entry: &Entry, reasons: Reasons) -> Result<String> {
    let path = entry.path.as_str().trim_start_matches('/');
    let is_small =
        |entry: &Entry| [&entry.old, &entry.new].into_iter().flatten().all(|named| named.file.size <= COMPARED);
    let sides = Sides::of_commits(store, cause.old, cause.new)?;
    match entry.other_bytes() {
        Some((old, new)) if is_small(entry) && sides.are_readable(store)? => {
            let compared = compare_files(store, old, new, &Options::default())?;
            Ok(format!("{path} {}", detail::summary(&compared.detail, reasons.values())))
        }
        Some(_) => Ok(format!("{path} modified")),
        None => Ok(format!("{path} {}", format!("{:?}", entry.change).to_lowercase())),
    }
}

fn stage_title(cause: &StageCause) -> String {
    let version = |version: Option<u32>| version.map_or_else(|| "nothing".to_owned(), |version| format!("v{version}"));
    format!("{} {} → {}", cause.pipeline, version(cause.old_version), version(cause.new_version))
}

fn stage_line(cause: &StageCause) -> String {
    let changes = cause.changes.iter().map(|change| {
        let (old, new) = values(change);
        format!("{} {old} → {new}", change.field)
    });
    format!("{}   {}", stage_title(cause), changes.collect::<Vec<_>>().join("; "))
}

fn same_line(why: &Why) -> Option<String> {
    let mut told: Vec<String> = why.same_sources.iter().map(ToString::to_string).collect();
    if !why.stages.is_empty() && !why.same_fields.is_empty() {
        told.push(format!("{} of all stages", why.same_fields.join(" ")));
    }
    if !why.same_stages.is_empty() {
        let names: Vec<&str> = why.same_stages.iter().map(PipelineName::as_str).collect();
        let verb = if names.len() == 1 { "does" } else { "do" };
        told.push(format!("what {} {verb}", names.join(", ")));
    }
    (!told.is_empty()).then(|| format!("same  {}", told.join("; ")))
}

fn ran_line(why: &Why) -> Option<String> {
    let told: Vec<String> = why.ran.iter().map(ran_words).collect();
    (!told.is_empty()).then(|| format!("ran   {}", told.join(" · ")))
}

/// `detect 41 of 60 in detect@3fa9c1d2`: names the job that executed most of them.
fn ran_words(ran: &Ran) -> String {
    let words = format!("{} {} of {}", ran.pipeline, count(ran.ran), count(ran.total));
    let Some((job, _)) = ran.jobs.first() else { return words };
    let job = job.split_once('@').map_or(job.clone(), |(name, run)| format!("{name}@{}", run.get(..8).unwrap_or(run)));
    match ran.jobs.len() {
        1 => format!("{words} in {job}"),
        jobs => format!("{words} in {job} and {}", plural(jobs as u64 - 1, "earlier job", "earlier jobs")),
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_their_first_digits() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(
            short_digests(&format!("sha256:{digest} é deadbeef {digest}0")),
            format!("sha256:01234567 é deadbeef {digest}0")
        );
        let change = |old: &str, new: &str| FieldChange {
            field: "image".to_owned(),
            old: Some(old.to_owned()),
            new: Some(new.to_owned()),
            old_by: None,
            new_by: None,
        };
        let other = format!("{}{}", &digest[..60], "ffff");
        assert_eq!(values(&change(&digest, &other)), (digest.clone(), other), "two that begin alike are told apart");
    }
}
