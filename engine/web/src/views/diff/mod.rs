//! The difference of any two references: what led to it, the folders and files that differ, and of one file its content by kind.
//!
//! - `pair`: the two sides, resolved and pinned to commits
//! - `why`: what led to the difference
//! - `listing`: folders with counts, then the files in pages
//! - `content`: one file by its kind: `text`, `table`, `values` (metrics and tensors), `pictures`
//! - `flips`: which decisions changed
//! - `runs`: two runs, a line for each repository
//!
//! A page costs what it shows: of many differences only a page is read, and large files are compared only if somebody asks for it.

mod content;
mod flips;
mod listing;
mod pair;
mod pictures;
mod runs;
mod table;
mod text;
mod values;
mod why;

use engine::EngineError;
use maud::{Markup, html};
use serde::Deserialize;
use specs::{ErrorKind, RunRef};

pub(super) use super::images::is_shown_by_browsers;
use super::{None as Nothing, Result};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;

use pair::Pair;

/// What is compared, and what of it is shown. Everything is text as it was typed; empty fields count as absent.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The older side; alone: compared with its parent.
    old: Option<String>,
    /// The newer side.
    new: Option<String>,
    /// The folder or file that is looked at, on both sides.
    path: Option<String>,
    /// Only `added`, `removed`, `modified` or `renamed` files.
    kind: Option<String>,
    /// The path, or the number of a record, after which this page begins.
    after: Option<String>,
    /// `split`: texts side by side.
    text: Option<String>,
    /// `all`: also columns without changes.
    columns: Option<String>,
    /// `side`, `blink`, `swipe` or `difference`.
    pictures: Option<String>,
    /// How many lines, rows or values are shown.
    most: Option<String>,
    /// Whether a large file is compared as well.
    large: Option<String>,
    /// `FIELD` or `FIELD=VALUE`: which decisions changed.
    flips: Option<String>,
    /// Columns that identify a row or record, separated by commas.
    key: Option<String>,
    /// The number of the record that is open.
    record: Option<String>,
}

/// The text of a parameter, unless it is empty.
fn given<'t>(text: impl Into<Option<&'t String>>) -> Option<&'t str> {
    text.into().map(|text| text.trim()).filter(|text| !text.is_empty())
}

impl Asked {
    /// How many lines, rows or values are shown of one file.
    fn most(&self, otherwise: usize) -> usize {
        const MOST: usize = 10_000;
        given(&self.most).and_then(|most| most.parse().ok()).unwrap_or(otherwise).clamp(1, MOST)
    }

    fn key(&self) -> Vec<String> {
        let words = given(&self.key).into_iter().flat_map(|key| key.split(','));
        words.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    }
}

/// The difference of two references, or a form to choose them.
#[allow(clippy::needless_pass_by_value, reason = "all views have this signature")]
pub fn diff(look: &Look<'_>, _: Nothing, asked: Asked) -> Result<View> {
    let Some(old) = given(&asked.old) else { return Ok(form_alone(look, &asked, &html! {})) };
    let compared = match (old.starts_with('@'), given(&asked.new).is_some_and(|new| new.starts_with('@'))) {
        (true, true) => runs::view(look, &asked),
        (false, false) => pair_view(look, &asked),
        (true, false) if given(&asked.new).is_none() => {
            Err(usage(format!("`{old}` is a run: it needs a second run"), "write another run beside it"))
        }
        _ => Err(usage("one side is a run, the other is not".to_owned(), "compare two of the same kind")),
    };
    match compared {
        Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound) => {
            Ok(form_alone(look, &asked, &problem(&error)))
        }
        compared => compared,
    }
}

fn usage(what: String, hint: &str) -> EngineError {
    EngineError::Usage { what, hint: Some(hint.to_owned()) }
}

/// What was asked for cannot be shown.
fn problem(error: &EngineError) -> Markup {
    html! {
        p .problem role="alert" { (error) @if let Some(hint) = error.hint() { br; span .hint { (hint) } } }
    }
}

fn pair_view(look: &Look<'_>, asked: &Asked) -> Result<View> {
    let pair = Pair::find(look.store, asked)?;
    let title = match pair.file(look.store)? {
        Some(entry) => format!("{} · difference", entry.path),
        None => format!("{} · difference", pair.sides.title),
    };
    let view = View::new(title, "repos").fixed(
        "sides",
        html! {
            h1 { "What differs" }
            (form(look, asked))
            (pair.header(look))
        },
    );
    if let Some(wanted) = given(&asked.flips) {
        return flips::add(view, look, asked, &pair, wanted);
    }
    if let Some(entry) = pair.file(look.store)? {
        return Ok(view.fixed("file", content::shown(look, asked, &pair, &entry)?));
    }
    let view = view.fixed("why", why::shown(look, &pair)?);
    let listed = listing::Listed::read(look, asked, &pair)?;
    Ok(view
        .fixed("folders", listed.folders(look, &pair))
        .fixed("files", listed.files(look, &pair))
        .fixed("decisions", flips::form(look, asked, &pair)))
}

fn form_alone(look: &Look<'_>, asked: &Asked, problem: &Markup) -> View {
    View::new("What differs", "repos").fixed("sides", html! {
        h1 { "What differs" }
        (form(look, asked))
        (problem)
        details .words {
            summary { "What can be compared" }
            ul {
                li { code { "images@main" } " and " code { "images@77ab01c2" } ": two commits, by branch, tag or id" }
                li { code { "images@main" } " alone: with the commit before it" }
                li { code { "flags@main:/cam7" } " and " code { "flags@main~3:/cam7" } ": a folder or a file" }
                li { code { "@3fa9c1d2" } " and " code { "@90c4d5e1" } ": two runs" }
                li { code { "detect@v2" } " and " code { "detect@v3" } ": the code of two versions of a pipeline" }
            }
        }
    })
}

/// Chooses two references.
fn form(look: &Look<'_>, asked: &Asked) -> Markup {
    html! {
        form .compare action=(look.link(&Address::of(["diff"]))) {
            label { "Old" input name="old" value=[given(&asked.old)] required spellcheck="false" autocomplete="off"; }
            label {
                "New"
                input name="new" value=[given(&asked.new)] placeholder="empty: Old with its parent" spellcheck="false" autocomplete="off";
            }
            label {
                "Folder or file"
                input name="path" value=[given(&asked.path)] placeholder="/" spellcheck="false" autocomplete="off";
            }
            button { "Compare" }
        }
    }
}

/// Whether both words are runs.
fn two_runs_of(asked: &Asked) -> Result<(RunRef, RunRef)> {
    let run = |text: Option<&str>| {
        let text = text.unwrap_or_default();
        text.parse::<RunRef>().map_err(|error| EngineError::Usage { what: error.to_string(), hint: error.hint() })
    };
    Ok((run(given(&asked.old))?, run(given(&asked.new))?))
}

/// The address of a difference of two words.
fn of_words(old: &str, new: Option<&str>) -> Address {
    match new {
        Some(new) => address::diff(old, new),
        None => Address::of(["diff"]).with("old", old),
    }
}
