//! Which decisions changed: a table of the values, then the records, of which one can be opened with its pictures.

use std::collections::BTreeMap;

use answers::diff::{Decision, Entries, Entry, Flips, Move, Record, Verdict, flips, page};
use answers::named::commit_at;
use answers::trace::formats::{Story, shown_commit};
use answers::trace::{Reach, trace};
use compare::CellChange;
use maud::{Markup, html};
use repos::store::Resolved;
use specs::words::{count, plural};
use specs::{CommitId, FilePath, RepoName};

use super::pair::Pair;
use super::text::short;
use super::{Asked, given, is_shown_by_browsers};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::link;
use crate::views::Result;

/// Most files whose records are read.
const FILES: usize = 2_000;
/// Records on a page.
const PAGE: usize = 100;
/// Other fields of a record that are shown in its row.
const FIELDS: usize = 4;
/// Values that are told one by one.
const VALUES: usize = 5;
/// Pictures of a record.
const PICTURES: usize = 6;

/// Asks for a field.
pub(super) fn form(look: &Look<'_>, asked: &Asked, pair: &Pair) -> Markup {
    html! {
        form .compare action=(look.link(&Address::of(["diff"]))) {
            (super::table::hidden(&pair.here()))
            label {
                "Which decisions changed: field, or field=value"
                input name="flips" value=[given(&asked.flips)] placeholder="threat" required spellcheck="false";
            }
            label {
                "Fields that identify a record"
                input name="key" value=[given(&asked.key)] placeholder="found by itself" spellcheck="false";
            }
            button { "Show" }
        }
    }
}

/// Adds which decisions changed to a view.
pub(super) fn add(view: View, look: &Look<'_>, asked: &Asked, pair: &Pair, wanted: &str) -> Result<View> {
    let question = html! {
        h2 { "Which decisions changed" }
        (form(look, asked, pair))
        p { (link(look, &pair.here(), "Back to the files")) }
    };
    if !pair.sides.are_readable(look.store)? {
        let pruned =
            html! { (question) p .problem { "Files of these commits were pruned: their records cannot be read." } };
        return Ok(view.fixed("flips", pruned));
    }
    let (field, value) = wanted.split_once('=').unwrap_or((wanted, "true"));
    let decision = Decision { field: field.to_owned(), value: value.to_owned(), key: asked.key() };
    let (entries, is_cut) = if let Some(entry) = pair.file(look.store)? {
        (vec![entry], false)
    } else {
        let found = page(look.store, pair.trees(), &pair.path(), None, FILES, |_| true)?;
        (found.entries, found.next.is_some())
    };
    let found = flips(look.store, None, Entries::of(entries.clone()), &decision)?;
    let asks = Asks { look, pair, asked, wanted };
    Ok(view
        .fixed(
            "flips",
            html! {
                (question)
                (misspelt(&found))
                @if is_cut {
                    p .dim {
                        "Only the first " (plural(FILES as u64, "file", "files"))
                        " that differ were read: look at a folder for the others."
                    }
                }
                (values(&found))
            },
        )
        .fixed("records", asks.records(&found, &entries)?))
}

/// A field or key that no file has.
fn misspelt(found: &Flips) -> Markup {
    let near = specs::nearest(&found.field, found.seen.fields.iter().map(String::as_str));
    html! {
        @if !found.seen.has_field && found.seen.files_without > 0 {
            p .problem {
                "No record has the field " code { (found.field) } "."
                @if let Some(near) = near { " Did you mean " code { (near) } "?" }
                @else if !found.seen.fields.is_empty() {
                    " There are: " (found.seen.fields.iter().take(40).cloned().collect::<Vec<_>>().join(", ")) "."
                }
            }
        } @else if let Some(why) = &found.without_because {
            p .dim { (plural(found.files_without, "file has", "files have")) " no such records: " (why) }
        }
        @if let Some(key) = &found.seen.key {
            @if !key.lacking.is_empty() {
                p .problem {
                    "No key: " (key.lacking.join(", ")) " is missing. There are: " (key.columns.join(", ")) "."
                }
            }
        }
    }
}

fn values(found: &Flips) -> Markup {
    let words = |group: &Move| match group.verdict {
        Verdict::Lost => format!("lost: no longer {}", found.value),
        Verdict::Gained => format!("new: now {}", found.value),
        Verdict::Other => "another value".to_owned(),
    };
    html! {
        div .wide tabindex="0" { table {
            thead {
                tr {
                    th scope="col" { (found.field) } th .number scope="col" { "Records" } th scope="col" { "Meaning" }
                }
            }
            tbody {
                @for group in &found.moves {
                    tr {
                        th scope="row" { (short(&group.old)) " → " (short(&group.new)) }
                        td .number { (count(group.records)) } td { (words(group)) }
                    }
                }
                tr {
                    th scope="row" { "unchanged, in the files that differ" } td .number { (count(found.unchanged)) }
                    td { (by_value(&found.unchanged_by_value)) }
                }
                @for (words, side) in [("only old", &found.old_only), ("only new", &found.new_only)] {
                    @if !side.is_empty() {
                        tr {
                            th scope="row" { (words) } td .number { (count(side.values().sum())) }
                            td { (by_value(side)) }
                        }
                    }
                }
            }
        } }
    }
}

/// `212 true, 49,747 false`: the most frequent values, and the number of all others.
fn by_value(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, u64)> = counts.iter().map(|(value, count)| (value, *count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let left: u64 = counts.iter().skip(VALUES).map(|(_, count)| count).sum();
    let mut told: Vec<String> =
        counts.iter().take(VALUES).map(|(value, number)| format!("{} {}", count(*number), short(value))).collect();
    if left > 0 {
        told.push(format!("{} others", count(left)));
    }
    told.join(", ")
}

/// The records of one question.
struct Asks<'a> {
    look: &'a Look<'a>,
    pair: &'a Pair,
    asked: &'a Asked,
    wanted: &'a str,
}

impl Asks<'_> {
    fn address(&self) -> Address {
        self.pair.here().with("flips", self.wanted).with_some("key", given(&self.asked.key))
    }

    fn records(&self, found: &Flips, entries: &[Entry]) -> Result<Markup> {
        let number = |text: &Option<String>| given(text).and_then(|text| text.parse::<usize>().ok());
        let from = number(&self.asked.after).unwrap_or(0).min(found.records.len());
        let until = found.records.len().min(from + PAGE);
        let open = number(&self.asked.record).filter(|open| (from..until).contains(open));
        let opened = if let Some(record) = open.and_then(|open| found.records.get(open)) {
            self.opened(record, entries)?
        } else {
            html! {}
        };
        let page = |after: usize| self.address().with_some("after", (after > 0).then_some(after));
        Ok(html! {
            h2 { "Records" }
            @if found.records.is_empty() { p { "No record has another value." } } @else {
                div .wide tabindex="0" { table .cells {
                    thead {
                        tr {
                            th scope="col" { "Verdict" } th scope="col" { "Record" } th scope="col" { (found.field) }
                            th scope="col" { "Other fields that differ" }
                        }
                    }
                    tbody {
                        @for (number, record) in found.records.iter().enumerate().take(until).skip(from) {
                            @let is_open = open == Some(number);
                            @let to = page(from).with_some("record", (!is_open).then_some(number)).at(&format!("record-{number}"));
                            tr id={ "record-" (number) } {
                                td { (verdict(record.verdict)) }
                                th scope="row" {
                                    a href=(self.look.link(&to)) aria-expanded=(is_open) { (place(record)) }
                                }
                                td { del { (short(&record.flip.old)) } " → " ins { (short(&record.flip.new)) } }
                                td { (fields(record)) }
                            }
                            @if is_open { tr .open { td colspan="4" { (opened) } } }
                        }
                    }
                } }
                @if from > 0 || until < found.records.len() {
                    nav .pages aria-label="Pages" {
                        span .dim {
                            (count(from as u64 + 1)) " to " (count(until as u64)) " of "
                            (count(found.records.len() as u64 + found.records_left_out))
                        }
                        @if from > 0 {
                            a rel="prev" href=(self.look.link(&page(from.saturating_sub(PAGE)).at("records"))) {
                                "Previous page"
                            }
                        }
                        @if until < found.records.len() {
                            a rel="next" href=(self.look.link(&page(until).at("records"))) { "Next page" }
                        }
                    }
                }
            }
        })
    }

    /// A record in full: all fields that differ, and the pictures that it is about.
    fn opened(&self, record: &Record, entries: &[Entry]) -> Result<Markup> {
        let entry = entries.iter().find(|entry| entry.path == record.path);
        let pictures = self.pictures(&record.path)?;
        Ok(html! {
            @if !record.flip.fields.is_empty() {
                table .cells {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Old" } th scope="col" { "New" } } }
                    tbody {
                        @for CellChange { column, old, new }
                        in &record.flip.fields {
                            tr { th scope="row" { (column) } td { del { (old) } } td { ins { (new) } } }
                        }
                    }
                }
            }
            @if record.flip.fields_left_out > 0 {
                p .dim { (plural(record.flip.fields_left_out as u64, "more field", "more fields")) }
            }
            @if pictures.is_empty() { p .dim { "No picture is among its sources." } }
            div .shots {
                @for (words, repo, commit, path) in &pictures {
                    figure {
                        a href=(self.look.link(&address::files(repo, commit, Some(path)))) {
                            img src=(self.look.link(&address::content(repo, commit, path))) alt={ (words) ": " (path) } loading="lazy";
                        }
                        figcaption { (words) ": " (repo) ":" (path) }
                    }
                }
            }
            p {
                @if let Some(entry) = entry {
                    (link(self.look, &self.pair.entry(entry), "All that differs in this file"))
                }
                @if let Some(reference) = self.pair.reference(true, &record.path) {
                    " · " (link(self.look, &address::trace(reference), "Where it comes from"))
                }
            }
        })
    }

    /// The pictures beside the record's file, and those that it was made from.
    fn pictures(&self, path: &FilePath) -> Result<Vec<(&'static str, RepoName, CommitId, FilePath)>> {
        let (id, tree, is_new) = match self.pair.sides.newer.file(self.look.store, path)? {
            Some(_) => (self.pair.sides.new, self.pair.sides.newer, true),
            None => (self.pair.sides.old, self.pair.sides.older, false),
        };
        let Some(id) = id else { return Ok(Vec::new()) };
        let at = Resolved { path: path.clone(), ..commit_at(self.look.store, id)? };
        let mut found = Vec::new();
        let stem = path.as_str().rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem);
        for ending in ["jpg", "jpeg", "png", "webp"] {
            let Ok(beside) = format!("{stem}.{ending}").parse::<FilePath>() else { continue };
            if beside != *path && tree.file(self.look.store, &beside)?.is_some() {
                found.push((if is_new { "New" } else { "Old" }, at.commit.repo.clone(), id, beside));
            }
        }
        let trace = trace(self.look.store, &at, Reach { depth: Some(8), all_files: false })?;
        let story = Story::of(&trace);
        for file in story.files.iter().filter(|file| is_shown_by_browsers(&file.path)) {
            if found.len() < PICTURES
                && !found.iter().any(|(_, repo, _, path)| (repo, path) == (&file.repo, &file.path))
            {
                found.push(("Source", file.repo.clone(), *shown_commit(file), file.path.clone()));
            }
        }
        Ok(found)
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Lost => "lost",
        Verdict::Gained => "new",
        Verdict::Other => "other",
    }
}

/// Where a record is: its file, and its key there.
fn place(record: &Record) -> String {
    if record.flip.key.is_empty() {
        return record.path.to_string();
    }
    format!("{} {}", record.path, record.flip.key.join(", "))
}

/// The first other fields that differ in a record, and the names of more.
fn fields(record: &Record) -> String {
    let fields = &record.flip.fields;
    let told = |field: &CellChange| format!("{} {} → {}", field.column, short(&field.old), short(&field.new));
    let mut words: Vec<String> = fields.iter().take(FIELDS).map(told).collect();
    let left = fields.len().saturating_sub(FIELDS) + record.flip.fields_left_out;
    if left > 0 {
        words.push(format!("and {} more", count(left as u64)));
    }
    words.join(", ")
}
