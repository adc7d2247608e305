//! Prints the table: as text, as Markdown, as CSV.

use answers::diff::words::number;
use std::collections::BTreeSet;

use answers::metrics::{Goal, Metric, Row, Table};
use serde_json::Value;

use crate::commands::diff::page::escaped;
use crate::context::{Context, Store};
use crate::error::Result;

/// Most metrics and parameters in one table; --only and --by choose others.
const COLUMNS: usize = 12;
/// Parameters listed below the table.
const SAME: usize = 20;

/// Columns that identify a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    File,
    Commit,
    Run,
    When,
}

impl Key {
    fn head(self) -> &'static str {
        match self {
            Self::File => "FILE",
            Self::Commit => "COMMIT",
            Self::Run => "RUN",
            Self::When => "WHEN",
        }
    }

    /// The cell of a row; files with their repository if there are several.
    fn cell(self, cx: &Context, store: &Store, row: &Row, with_repo: bool) -> Result<String> {
        Ok(match self {
            Self::File if with_repo => format!("{}:{}", row.repo, row.path),
            Self::File => row.path.to_string(),
            Self::Commit => format!("{}@{}", row.repo, store.short_commit(&row.commit)?),
            Self::Run => {
                let what = if row.is_try { "try " } else { "" };
                format!("{what}@{}", store.short_run(&row.run)?)
            }
            Self::When => cx.human().ago(row.created_at),
        })
    }
}

/// The columns that distinguish the rows; if none does, the file.
fn keys(rows: &[Row]) -> Vec<Key> {
    let files: BTreeSet<_> = rows.iter().map(|row| (&row.repo, &row.path)).collect();
    let commits: BTreeSet<_> = rows.iter().map(|row| row.commit).collect();
    let repos: BTreeSet<_> = rows.iter().map(|row| &row.repo).collect();
    let mut keys = Vec::new();
    if files.len() > 1 || commits.len() == 1 {
        keys.push(Key::File);
    }
    // With one commit per repository the file tells the commit.
    if commits.len() > repos.len() {
        keys.extend([Key::Commit, Key::Run, Key::When]);
    }
    keys
}

/// Prints the table as text or Markdown.
pub(super) fn print(cx: &Context, found: &Table, markdown: bool) -> Result<()> {
    let store = cx.store()?;
    let keys = keys(&found.rows);
    let with_repo = found.rows.iter().any(|row| row.repo != found.rows[0].repo);
    let metrics = &found.metrics[..found.metrics.len().min(COLUMNS)];
    let parameters = &found.parameters[..found.parameters.len().min(COLUMNS)];
    let heads = keys.iter().map(|key| key.head().to_owned());
    let heads = heads.chain(parameters.iter().cloned()).chain(metrics.iter().map(|metric| metric.name.clone()));
    let heads: Vec<String> = heads.collect();
    let mut rows = Vec::new();
    for row in &found.rows {
        let mut cells: Vec<String> =
            keys.iter().map(|key| key.cell(cx, store, row, with_repo)).collect::<Result<_>>()?;
        cells.extend(parameters.iter().map(|name| word(row.parameters.get(name))));
        cells.extend(metrics.iter().map(|metric| marked(row, metric)));
        rows.push(cells);
    }
    if markdown {
        cx.out().text(as_markdown(&heads, &rows))?;
    } else {
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        cx.table(&heads, rows)?;
    }
    for line in below(found) {
        cx.out().line(if markdown { format!("\n{}", escaped(&line)) } else { line })?;
    }
    Ok(())
}

/// The lines below the table: common values and the legend of marks.
fn below(found: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    if !found.same.is_empty() {
        let same = found.same.iter().take(SAME).map(|(name, value)| format!("{name} {}", word(Some(value))));
        let mut same: Vec<String> = same.collect();
        if found.same.len() > SAME {
            same.push(format!("{} more", found.same.len() - SAME));
        }
        lines.push(format!("same in all rows: {}", same.join(", ")));
    }
    let marked: BTreeSet<&str> = found.rows.iter().flat_map(|row| row.best.iter().map(String::as_str)).collect();
    let goals: Vec<String> = found
        .metrics
        .iter()
        .filter(|metric| marked.contains(metric.name.as_str()))
        .filter_map(|metric| {
            let goal = match metric.goal? {
                Goal::Highest => "highest",
                Goal::Lowest => "lowest",
            };
            Some(format!("{goal} {}", metric.name))
        })
        .collect();
    if !goals.is_empty() {
        lines.push(format!("* best: {}", goals.join(", ")));
    }
    for (all, what, way) in
        [(found.metrics.len(), "metrics", "--only METRIC"), (found.parameters.len(), "parameters", "--by PARAM")]
    {
        if all > COLUMNS {
            lines.push(format!("{} more {what}: {way}, --csv or --json", all - COLUMNS));
        }
    }
    lines
}

/// A metric of a row; the best one marked.
fn marked(row: &Row, metric: &Metric) -> String {
    let mark = if row.best.contains(&metric.name) { " *" } else { "" };
    format!("{}{mark}", word(row.metrics.get(&metric.name)))
}

/// A value for display: numbers with six significant digits.
pub(super) fn word(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(of)) if of.is_f64() => number(of.as_f64().unwrap_or_default()),
        Some(other) => other.to_string(),
    }
}

fn as_markdown(heads: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell).into_owned()).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", " --- |".repeat(heads.len()));
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(heads) + &rule + &rows
}

/// The table as CSV: every value in full, the best ones in a separate column.
pub(super) fn csv(found: &Table) -> String {
    let cell = |text: &str| {
        let needs_quotes = text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ');
        if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let whole = |value: Option<&Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let fixed = ["repo", "path", "commit", "run", "try", "created_at"].map(str::to_owned);
    let names = found.parameters.iter().cloned().chain(found.metrics.iter().map(|metric| metric.name.clone()));
    let mut lines = vec![fixed.into_iter().chain(names).chain(["best".to_owned()]).collect::<Vec<_>>()];
    for row in &found.rows {
        let fixed = [
            row.repo.to_string(),
            row.path.to_string(),
            row.commit.to_string(),
            row.run.to_string(),
            row.is_try.to_string(),
            row.created_at.to_string(),
        ];
        let values = found.parameters.iter().map(|name| whole(row.parameters.get(name)));
        let metrics = found.metrics.iter().map(|metric| whole(row.metrics.get(&metric.name)));
        lines.push(fixed.into_iter().chain(values).chain(metrics).chain([row.best.join(" ")]).collect());
    }
    lines.iter().map(|line| line.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\n").collect()
}
