//! The keys of the keyboard. Scripts read them; this is the one list of them for people.

use maud::html;

use super::{None, Result};
use crate::frame::View;
use crate::look::Look;

/// Where keys work, and for each: what is pressed, and what it does.
const KEYS: [(&str, &[(&str, &str)]); 3] = [
    (
        "On every page",
        &[
            ("?", "this list"),
            ("/ or Ctrl K", "go to a repository, pipeline, run, file or digest"),
            ("Esc", "close a list that was opened"),
            ("Tab, Enter", "to the next link or field; open it"),
        ],
    ),
    ("Go to", &[("g h", "overview"), ("g g", "graph"), ("g r", "repositories"), ("g p", "pipelines"), ("g u", "runs")]),
    ("In tables", &[("j", "next row"), ("k", "row before"), ("Enter", "open the row")]),
];

/// The keys of the keyboard.
pub fn keys(_: &Look<'_>, _: None, _: None) -> Result<View> {
    let list = html! {
        h1 { "Keys" }
        p .hint { "They do nothing while you type." }
        @for (place, keys) in KEYS {
            h2 { (place) }
            table .keys {
                thead { tr { th scope="col" { "Key" } th scope="col" { "What it does" } } }
                tbody { @for (key, does) in keys { tr { th scope="row" { kbd { (key) } } td { (does) } } } }
            }
        }
    };
    Ok(View::new("Keys", "").fixed("keys", list))
}
