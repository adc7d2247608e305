//! What the address of the view says.

use serde::Deserialize;

use crate::address::{self, Address};

/// Most steps around a node; there is no graph that is so deep.
const MOST_STEPS: usize = 10_000;
/// Sizes of the picture in percent.
pub(super) const ZOOM: std::ops::RangeInclusive<u32> = 25..=400;

/// The parameters.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Query {
    /// `?all`: the whole graph.
    all: Option<String>,
    /// The node that is shown with those around it.
    focus: Option<String>,
    /// How many steps of inputs are shown around it, or around what needs attention.
    up: Option<usize>,
    /// How many steps of readers.
    down: Option<usize>,
    /// The selected node, whose ancestors and descendants are lit.
    path: Option<String>,
    /// `?only_path`: nothing else is shown.
    only_path: Option<String>,
    /// `?table`: as a table.
    table: Option<String>,
    /// The last row of the page of the table before this one.
    after: Option<String>,
    /// The moment: `@RUN` or a time; empty for now.
    at: Option<String>,
    /// The size of the picture in percent.
    zoom: Option<u32>,
}

/// What an address changes.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'a> {
    /// The whole graph.
    All,
    /// What needs attention.
    Attention,
    /// A node and what is one step around it.
    Focus(&'a str),
    /// So many steps of inputs and readers.
    Steps(usize, usize),
    /// This node is selected.
    Path(&'a str),
    /// No node is selected.
    NoPath,
    /// Only the path of the selected node, or all again.
    OnlyPath(bool),
    /// As a table, or a picture.
    Table(bool),
    /// The next page of the table.
    After(&'a str),
    /// So large.
    Zoom(u32),
    /// As it is now.
    Now,
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

impl Query {
    pub(super) fn is_all(&self) -> bool {
        self.all.is_some()
    }

    pub(super) fn focus(&self) -> Option<&str> {
        given(self.focus.as_ref())
    }

    pub(super) fn up(&self) -> usize {
        self.up.unwrap_or(1).min(MOST_STEPS)
    }

    pub(super) fn down(&self) -> usize {
        self.down.unwrap_or(1).min(MOST_STEPS)
    }

    pub(super) fn path(&self) -> Option<&str> {
        given(self.path.as_ref())
    }

    pub(super) fn is_only_path(&self) -> bool {
        self.only_path.is_some() && self.path().is_some()
    }

    pub(super) fn is_table(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn after(&self) -> Option<&str> {
        given(self.after.as_ref())
    }

    pub(super) fn at(&self) -> Option<&str> {
        given(self.at.as_ref())
    }

    pub(super) fn zoom(&self) -> u32 {
        self.zoom.unwrap_or(100).clamp(*ZOOM.start(), *ZOOM.end())
    }

    /// The parameters that are kept by a form which sets `name`, with their values.
    pub(super) fn kept_beside(&self, name: &str) -> Vec<(&'static str, String)> {
        let mut kept = self.parameters();
        kept.retain(|(known, _)| *known != name && *known != "after");
        kept
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        let mut add = |name, value: Option<String>| all.extend(value.map(|value| (name, value)));
        add("all", self.is_all().then(String::new));
        add("focus", self.focus().map(str::to_owned));
        add("up", self.up.map(|steps| steps.to_string()));
        add("down", self.down.map(|steps| steps.to_string()));
        add("path", self.path().map(str::to_owned));
        add("only_path", self.is_only_path().then(String::new));
        add("table", self.is_table().then(String::new));
        add("after", self.after().map(str::to_owned));
        add("at", self.at().map(str::to_owned));
        add("zoom", self.zoom.map(|_| self.zoom().to_string()));
        all
    }

    /// The address of this view with a change.
    pub(super) fn to(&self, to: To<'_>) -> Address {
        let mut next = Self { after: None, ..self.clone() };
        let without_part =
            |query: Self| Self { all: None, focus: None, up: None, down: None, only_path: None, ..query };
        let flag = |is_set: bool| is_set.then(String::new);
        match to {
            To::All => next = Self { all: flag(true), ..without_part(next) },
            To::Attention => next = Self { path: None, ..without_part(next) },
            To::Focus(name) => next = Self { focus: Some(name.to_owned()), ..without_part(next) },
            To::Steps(up, down) => (next.up, next.down) = (Some(up), Some(down)),
            To::Path(name) => next.path = Some(name.to_owned()),
            To::NoPath => (next.path, next.only_path) = (None, None),
            To::OnlyPath(only) => next.only_path = flag(only),
            To::Table(table) => next.table = flag(table),
            To::After(name) => next.after = Some(name.to_owned()),
            To::Zoom(percent) => next.zoom = (percent != 100).then_some(percent),
            To::Now => next.at = None,
        }
        next.parameters().into_iter().fold(address::graph(), |address, (name, value)| address.with(name, value))
    }
}
