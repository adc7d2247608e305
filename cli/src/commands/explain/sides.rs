//! What differs between two datums or jobs, as a table: a line per field, and who introduced the difference.

use answers::explain::{Compared, DatumExplained, DatumSide, Differences, FieldChange};
use answers::job::JobView;
use answers::trace::Brought;

use super::print::short_job;
use crate::commands::views::first_line;
use crate::context::{Context, Store};
use crate::error::Result;
use crate::output::Human;

/// Characters of a value in a table.
const LONGEST: usize = 64;
/// Characters of context before the first difference of long values.
const BEFORE: usize = 16;
const HEADER: [&str; 3] = ["FIELD", "EARLIER", "NOW"];

/// Prints a datum next to its predecessor.
pub(super) fn earlier(cx: &Context, store: &Store, explained: &DatumExplained) -> Result<()> {
    let Some(earlier) = &explained.earlier else { return Ok(()) };
    let executed = explained.datum.executed_by().as_deref().map_or_else(|| "not yet".to_owned(), short_job);
    let facts = vec![
        fact("datum", earlier.id.short(8), explained.datum.id.short(8)),
        fact("executed by", short_job(&earlier.executed_by), executed),
        fact("state", earlier.state.to_string(), explained.datum.state.to_string()),
    ];
    print(cx, store, facts, &explained.differences)
}

/// Prints two datums that the user named.
pub(super) fn datums(cx: &Context, store: &Store, compared: &Compared<DatumSide>) -> Result<()> {
    let Compared { old, new, differences } = compared;
    let code = |side: &DatumSide| side.exit_code.map_or_else(String::new, |code| format!(", exit {code}"));
    let facts = vec![
        fact("datum", old.id.short(8), new.id.short(8)),
        fact("of", short_job(&old.job), short_job(&new.job)),
        fact("executed by", short_job(&old.executed_by), short_job(&new.executed_by)),
        fact("state", format!("{}{}", old.state, code(old)), format!("{}{}", new.state, code(new))),
    ];
    print(cx, store, facts, differences)
}

/// Prints two jobs that the user named.
pub(super) fn jobs(cx: &Context, store: &Store, compared: &Compared<JobView>) -> Result<()> {
    let Compared { old, new, differences } = compared;
    let datums = |job: &JobView| {
        let JobView { datums_total, datums_processed, datums_cached, datums_failed, .. } = job;
        format!("{datums_total}: {datums_processed} run, {datums_cached} cached, {datums_failed} failed")
    };
    let facts = vec![
        fact("job", short_job(&old.id), short_job(&new.id)),
        fact("state", old.state.to_string(), new.state.to_string()),
        fact("datums", datums(old), datums(new)),
    ];
    print(cx, store, facts, differences)
}

/// Prints how a version's execution differs from the previous version; nothing if it does not.
pub(super) fn transform(cx: &Context, store: &Store, changes: &[FieldChange]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    cx.out().line("")?;
    let rows = changes.iter().map(|change| cells(store, change));
    cx.table(&HEADER, rows.collect::<Result<_>>()?)
}

fn fact(name: &str, old: String, new: String) -> Vec<String> {
    vec![name.to_owned(), old, new]
}

fn print(cx: &Context, store: &Store, mut rows: Vec<Vec<String>>, differences: &Differences) -> Result<()> {
    let human = cx.human();
    for change in &differences.changes {
        rows.push(cells(store, change)?);
        for line in by_lines(&human, change) {
            rows.push(line);
        }
    }
    cx.table(&HEADER, rows)?;
    let mut same: Vec<&str> = differences.same.iter().map(|field| short_field(field)).collect();
    same.dedup();
    if same.is_empty() { Ok(()) } else { cx.out().wrapped(format!("same  {}", same.join(", "))) }
}

fn cells(store: &Store, change: &FieldChange) -> Result<Vec<String>> {
    let [old, new] = [&change.old, &change.new].map(|value| value.as_deref().map(|text| shown(store, text)));
    let (old, new) = (old.transpose()?, new.transpose()?);
    let (old, new) = around_the_difference(old.as_deref().unwrap_or("nothing"), new.as_deref().unwrap_or("nothing"));
    Ok(vec![short_field(&change.field).to_owned(), old, new])
}

/// Who introduced the difference, below the values: a line for whom and when, one for why.
fn by_lines(human: &Human, change: &FieldChange) -> Vec<Vec<String>> {
    let who = |by: &Option<Brought>| {
        by.as_ref().map_or_else(String::new, |by| format!("  {}  {}", short_job(&by.by), human.local(by.at)))
    };
    let why = |by: &Option<Brought>| {
        let message = by.as_ref().map(|by| first_line(&by.message)).filter(|message| !message.is_empty());
        message.map_or_else(String::new, |message| format!("  {message}"))
    };
    let lines = [(who(&change.old_by), who(&change.new_by)), (why(&change.old_by), why(&change.new_by))];
    let lines = lines.into_iter().filter(|(old, new)| !old.is_empty() || !new.is_empty());
    lines.map(|(old, new)| vec![String::new(), old, new]).collect()
}

fn short_field(field: &str) -> &str {
    field.strip_prefix("transform.").unwrap_or(field)
}

/// A value with its digests and commit ids shortened; ids to a unique prefix.
fn shown(store: &Store, text: &str) -> Result<String> {
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut words = Vec::new();
    for word in text.split(' ') {
        let id = word.parse::<specs::CommitId>().ok().filter(|_| is_digest(word));
        words.push(match id {
            Some(id) if text == word && store.commit_row(&id)?.is_some() => store.short_commit(&id)?,
            Some(_) => word[..8].to_owned(),
            None => word.replace('\n', "\\n"),
        });
    }
    Ok(words.join(" "))
}

/// Two values as table cells: long ones are cut to where they begin to differ.
fn around_the_difference(old: &str, new: &str) -> (String, String) {
    let longest = old.chars().count().max(new.chars().count());
    if longest <= LONGEST {
        return (old.to_owned(), new.to_owned());
    }
    let common = old.chars().zip(new.chars()).take_while(|(one, other)| one == other).count();
    let skip = common.saturating_sub(BEFORE);
    let cut = |text: &str| {
        let length = text.chars().count();
        let start = if skip > 0 { "…" } else { "" };
        let end = if length > skip + LONGEST { "…" } else { "" };
        format!("{start}{}{end}", text.chars().skip(skip).take(LONGEST).collect::<String>())
    };
    (cut(old), cut(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shown_where_they_differ() {
        assert_eq!(around_the_difference("a", "b"), ("a".to_owned(), "b".to_owned()));
        let long = |end: &str| format!("python3 {} --threshold {end}", "x".repeat(200));
        let (old, new) = around_the_difference(&long("0.5"), &long("0.45"));
        assert!(old.starts_with('…') && old.ends_with("0.5"), "{old}");
        assert!(new.ends_with("0.45") && new.chars().count() <= LONGEST + 2, "{new}");
    }
}
