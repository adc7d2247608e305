//! The graph in Mermaid's language, which many wikis and code hosts render.

use std::fmt::Write as _;

use super::graph::{Graph, Sort};
use crate::trace::nodes::Trace;

/// A trace as a Mermaid flowchart, with sources on the left.
pub fn mermaid(trace: &Trace) -> String {
    let graph = Graph::of(trace);
    let mut text = String::from("flowchart LR\n");
    for (number, node) in graph.nodes.iter().enumerate() {
        let label = node.lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>");
        let (open, close, class) = shape(node.sort);
        let _ = writeln!(text, "  n{number}{open}\"{label}\"{close}:::{class}");
    }
    for arrow in &graph.arrows {
        let label = if arrow.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&arrow.label)) };
        let _ = writeln!(text, "  n{} -->{label} n{}", arrow.from, arrow.to);
    }
    text + "  classDef asked stroke-width:3px\n  classDef file fill:#fff\n  classDef source fill:#e8f0fe\n  \
            classDef directory fill:#fff\n  classDef datum fill:#f1f3f4\n  classDef open color:#b00020\n"
}

fn shape(sort: Sort) -> (&'static str, &'static str, &'static str) {
    match sort {
        Sort::Asked => ("[", "]", "asked"),
        Sort::File => ("[", "]", "file"),
        Sort::Source => ("[", "]", "source"),
        Sort::Directory => ("[[", "]]", "directory"),
        Sort::Datum => ("(", ")", "datum"),
        Sort::End => ("[/", "/]", "open"),
    }
}

/// Escapes the text of a label. Mermaid reads `#name;` as a character; everything with a meaning in Mermaid or HTML is written that way.
fn escaped(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => label.push_str("<br/>"),
            '\t' => label.push(' '),
            '"' | '#' | '<' | '>' | '&' | '`' | ';' | '\\' | '|' | '[' | ']' | '{' | '}' | '(' | ')' | '*' | '_'
            | '~' => {
                let _ = write!(label, "#{};", u32::from(c));
            }
            c => label.push(c),
        }
    }
    label
}
