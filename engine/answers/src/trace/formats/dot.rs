//! The graph in Graphviz's language.

use std::fmt::Write as _;

use super::graph::{Graph, Sort};
use crate::trace::nodes::Trace;

/// A trace for Graphviz: `dot -Tsvg`. Files are notes, datums are boxes, sources are on the left.
pub fn dot(trace: &Trace) -> String {
    let graph = Graph::of(trace);
    let mut text = String::from(
        "digraph trace {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=9];\n",
    );
    for (number, node) in graph.nodes.iter().enumerate() {
        let label = quoted(&node.lines.join("\n"));
        let _ = writeln!(text, "  n{number} [label={label}, {}];", style(node.sort));
    }
    for arrow in &graph.arrows {
        let label = if arrow.label.is_empty() { String::new() } else { format!(" [label={}]", quoted(&arrow.label)) };
        let _ = writeln!(text, "  n{} -> n{}{label};", arrow.from, arrow.to);
    }
    text + "}\n"
}

fn style(sort: Sort) -> &'static str {
    match sort {
        Sort::Asked => "shape=note, penwidth=2",
        Sort::File => "shape=note",
        Sort::Source => "shape=note, style=filled, fillcolor=\"#e8f0fe\"",
        Sort::Directory => "shape=folder",
        Sort::Datum => "shape=box, style=\"rounded,filled\", fillcolor=\"#f1f3f4\"",
        Sort::End => "shape=plaintext, fontcolor=\"#b00020\"",
    }
}

/// A Graphviz string. A backslash starts an escape there, so it is doubled.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', " ");
    format!("\"{text}\"")
}
