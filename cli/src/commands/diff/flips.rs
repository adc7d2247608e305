//! Which decisions changed: a table, then the records.

use std::collections::BTreeMap;
use std::str::FromStr;

use answers::diff::words::cut;
use answers::diff::{Decision, Flips, Record, Sides, Verdict, flips};
use compare::CellChange;
use specs::ErrorKind;

use super::page::Page;
use super::{Args, listing, misspelt, why};
use crate::error::{CliError, Result};
use crate::output::count;

/// Records of each verdict that are shown without `--all`.
const RECORDS: usize = 10;
/// Other fields of a record that are shown with their values; of further ones only the names.
const FIELDS: usize = 8;
/// Prefixes of fields that explain why a decision was taken: these fields come first.
const REASONS: [&str; 16] = [
    "reason",
    "why",
    "because",
    "cause",
    "rule",
    "message",
    "note",
    "explanation",
    "error",
    "score",
    "confidence",
    "prob",
    "threshold",
    "zone",
    "class",
    "label",
];
/// Characters of a value.
const CHARACTERS: usize = 60;

/// `FIELD` or `FIELD=VALUE`.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    field: String,
    value: String,
}

impl FromStr for Wanted {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (field, value) = text.split_once('=').unwrap_or((text, "true"));
        if field.is_empty() {
            return Err("the field is missing: write `FIELD` or `FIELD=VALUE`".to_owned());
        }
        Ok(Self { field: field.to_owned(), value: value.to_owned() })
    }
}

/// Prints which decisions changed. Returns whether any did.
pub(super) fn print(page: &Page<'_>, args: &Args, sides: &Sides, wanted: &Wanted) -> Result<bool> {
    let (cx, store) = (page.cx, page.cx.store()?);
    if !sides.are_readable(store)? {
        let message = "files of these commits were pruned: their records cannot be read";
        return Err(CliError::new(ErrorKind::NotFound, message).hint("pv diff without --flips compares their paths"));
    }
    let decision = Decision { field: wanted.field.clone(), value: wanted.value.clone(), key: args.key.clone() };
    let found = flips(store, sides.path().map(|path| (sides.older, path)), sides.entries(store)?, &decision)?;
    misspelt::check(&found.seen, &wanted.field)?;
    let differs = !found.moves.is_empty() || !found.old_only.is_empty() || !found.new_only.is_empty();
    if cx.out().is_json() {
        cx.out().json(&found)?;
        return Ok(differs);
    }
    if args.csv {
        csv(page, &found)?;
        return Ok(differs);
    }
    if args.why {
        page.line("")?;
    } else {
        page.title(&sides.title)?;
        why::header(page, store, sides, why::Reasons::Full)?;
    }
    let rows = rows(&found);
    let total = found.lost + found.gained + found.other + found.unchanged;
    page.line(&format!("{}   {} records on both sides", found.field, count(total)))?;
    page.table(&["VALUE", "RECORDS", ""], rows)?;
    records(page, args, &found)?;
    if let Some(why) = &found.without_because {
        let files = count(found.files_without);
        page.cx.notes().line(format!("{files} of the differing files contain no such records: {why}"));
    }
    let mut counts = answers::diff::Counts::default();
    for entry in sides.entries(store)? {
        counts.add(&entry?);
    }
    page.line(&format!("files: {}", listing::counted(&counts)))?;
    Ok(differs)
}

fn rows(found: &Flips) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for group in &found.moves {
        let words = match group.verdict {
            Verdict::Lost => format!("lost: no longer {}", found.value),
            Verdict::Gained => format!("new: now {}", found.value),
            Verdict::Other => "another value".to_owned(),
        };
        rows.push(vec![format!("{} → {}", group.old, group.new), count(group.records), words]);
    }
    let mut split = by_value(&found.unchanged_by_value);
    let told: u64 = found.unchanged_by_value.values().sum();
    if told < found.unchanged {
        let rest = count(found.unchanged - told);
        split = if split.is_empty() { format!("{rest} not read") } else { format!("{split}, {rest} not read") };
    }
    rows.push(vec!["unchanged".to_owned(), count(found.unchanged), split]);
    for (words, side) in [("only old", &found.old_only), ("only new", &found.new_only)] {
        if !side.is_empty() {
            rows.push(vec![words.to_owned(), count(side.values().sum()), by_value(side)]);
        }
    }
    rows
}

/// `212 true, 49,747 false`: the most frequent values, and the number of all others.
fn by_value(counts: &BTreeMap<String, u64>) -> String {
    const VALUES: usize = 5;
    let mut counts: Vec<(&String, u64)> = counts.iter().map(|(value, count)| (value, *count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let left: u64 = counts.iter().skip(VALUES).map(|(_, count)| count).sum();
    let mut told: Vec<String> =
        counts.iter().take(VALUES).map(|(value, number)| format!("{} {value}", count(*number))).collect();
    if left > 0 {
        told.push(format!("{} others", count(left)));
    }
    told.join(", ")
}

fn records(page: &Page<'_>, args: &Args, found: &Flips) -> Result<()> {
    let most = if args.all { usize::MAX } else { RECORDS };
    let groups = [
        (Verdict::Lost, "lost", found.lost),
        (Verdict::Gained, "new", found.gained),
        (Verdict::Other, "other", found.other),
    ];
    let mut rows = Vec::new();
    let mut left = Vec::new();
    for (verdict, word, total) in groups {
        let all = found.records.iter().filter(|record| record.verdict == verdict);
        let shown: Vec<&Record> = all.take(most).collect();
        if total > shown.len() as u64 {
            left.push(format!("{} more {word}", count(total - shown.len() as u64)));
        }
        rows.extend(shown.into_iter().map(|record| {
            let flip = &record.flip;
            let value = format!("{} {} → {}", found.field, flip.old, flip.new);
            vec![word.to_owned(), place(record), value, fields(record, args.all)]
        }));
    }
    if !rows.is_empty() {
        page.table(&["", "RECORD", "VALUE", "OTHER FIELDS"], rows)?;
    }
    let hint = if args.all { "more than are listed" } else { "--all" };
    if left.is_empty() { Ok(()) } else { page.line(&format!("… {}: {hint}", left.join(", "))) }
}

/// Where a record is: its file, and its key there.
fn place(record: &Record) -> String {
    if record.flip.key.is_empty() {
        return record.path.to_string();
    }
    format!("{} {}", record.path, record.flip.key.join(", "))
}

/// The other fields that differ in a record: explanatory ones first, with values; names only beyond a line.
fn fields(record: &Record, all: bool) -> String {
    let mut fields: Vec<&CellChange> = record.flip.fields.iter().collect();
    fields.sort_by_key(|field| !may_say_why(&field.column));
    let most = if all { usize::MAX } else { FIELDS };
    let told = |field: &&CellChange| format!("{} {} → {}", field.column, short(&field.old), short(&field.new));
    let mut words: Vec<String> = fields.iter().take(most).map(told).collect();
    let rest: Vec<&str> = fields.iter().skip(most).map(|field| field.column.as_str()).collect();
    if !rest.is_empty() {
        words.push(format!("also {}", rest.join(" ")));
    }
    if record.flip.fields_left_out > 0 {
        words.push(format!("and {} fields not shown", count(record.flip.fields_left_out as u64)));
    }
    words.join(", ")
}

fn may_say_why(field: &str) -> bool {
    let name = field.rsplit('.').next().unwrap_or(field).to_lowercase();
    REASONS.iter().any(|reason| name.contains(reason))
}

fn short(text: &str) -> String {
    cut(text, CHARACTERS)
}

/// The records as CSV: path, key, verdict, old, new, and the other changed fields as JSON.
fn csv(page: &Page<'_>, found: &Flips) -> Result<()> {
    let cell = |text: &str| {
        let needs_quotes = text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ');
        if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let mut out = String::from("path,key,verdict,old,new,fields\n");
    for record in &found.records {
        let word = match record.verdict {
            Verdict::Lost => "lost",
            Verdict::Gained => "gained",
            Verdict::Other => "other",
        };
        let flip = &record.flip;
        let changed: BTreeMap<&str, [&str; 2]> =
            flip.fields.iter().map(|field| (field.column.as_str(), [field.old.as_str(), field.new.as_str()])).collect();
        let changed = serde_json::to_string(&changed).expect("texts have a JSON form");
        let cells = [record.path.as_str(), &flip.key.join(","), word, &flip.old, &flip.new, &changed];
        out.push_str(&(cells.map(cell).join(",") + "\n"));
    }
    page.cx.out().text(out)
}
