//! Traverses two documents at once.

use super::{ListPairing, MetricChange, MetricsDiff};
use crate::error::Fit;
use crate::limits::Limits;
use crate::pairing::{self, PairedBy, Pairing, Wanted};
use crate::text::shortened_pair;
use crate::value::{Exact, Names, Node, sorted};

/// The differences between two values.
pub(crate) fn difference(old: &Node, new: &Node, key: &[String], limits: &Limits) -> Fit<MetricsDiff> {
    let mut found = MetricsDiff::default();
    let names = Names::default();
    Walk { found: &mut found, limits, key, names: &names, path: String::new() }.pair(Some(old), Some(new))?;
    Ok(found)
}

struct Walk<'a> {
    found: &'a mut MetricsDiff,
    limits: &'a Limits,
    key: &'a [String],
    names: &'a Names,
    path: String,
}

type Entries = [(Box<str>, Node)];

/// The content of a value that is not a leaf.
enum Inside<'v> {
    Mapping(&'v Entries),
    List(&'v [Node]),
}

fn inside(value: Option<&Node>) -> Option<Inside<'_>> {
    match value? {
        Node::Mapping(entries) if !entries.is_empty() => Some(Inside::Mapping(entries)),
        Node::List(items) if !items.is_empty() => Some(Inside::List(items)),
        _ => None,
    }
}

impl Walk<'_> {
    fn pair(&mut self, old: Option<&Node>, new: Option<&Node>) -> Fit<()> {
        match (inside(old), inside(new)) {
            (None, None) => self.leaf(old, new),
            (Some(Inside::Mapping(old)), Some(Inside::Mapping(new))) => return self.mappings(old, new),
            (Some(Inside::List(old)), Some(Inside::List(new))) => return self.lists(old, new),
            // A container that became empty, or was empty: its content was removed or added.
            (Some(Inside::List(items)), None) if matches!(new, Some(Node::List(_))) => return self.lists(items, &[]),
            (None, Some(Inside::List(items))) if matches!(old, Some(Node::List(_))) => return self.lists(&[], items),
            (Some(Inside::Mapping(entries)), None) if matches!(new, Some(Node::Mapping(_))) => {
                return self.mappings(entries, &[]);
            }
            (None, Some(Inside::Mapping(entries))) if matches!(old, Some(Node::Mapping(_))) => {
                return self.mappings(&[], entries);
            }
            (old_inside, new_inside) => {
                // One after the other, because nothing in them can be the same value. A leaf on one side is handled as a leaf.
                match old_inside {
                    Some(Inside::Mapping(entries)) => self.mappings(entries, &[])?,
                    Some(Inside::List(items)) => self.lists(items, &[])?,
                    None => self.leaf(old, None),
                }
                match new_inside {
                    Some(Inside::Mapping(entries)) => self.mappings(&[], entries)?,
                    Some(Inside::List(items)) => self.lists(&[], items)?,
                    None => self.leaf(None, new),
                }
            }
        }
        Ok(())
    }

    /// Runs `then` below a key or an item.
    fn below(&mut self, part: &str, then: impl FnOnce(&mut Self) -> Fit<()>) -> Fit<()> {
        let length = self.path.len();
        if length > 0 && !part.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(part);
        let done = then(self);
        self.path.truncate(length);
        done
    }

    fn mappings(&mut self, old: &Entries, new: &Entries) -> Fit<()> {
        let (old, new) = (numbered(old), numbered(new));
        let (mut one, mut other) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (one.peek(), other.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(one), Some(other)) => (one.0, one.1).cmp(&(other.0, other.1)),
            };
            let from_old = if order.is_gt() { None } else { one.next() };
            let from_new = if order.is_lt() { None } else { other.next() };
            let Some((key, number, _)) = from_old.or(from_new) else { return Ok(()) };
            if *number == 2 {
                self.tell_repeated(key);
            }
            self.below(&key_part(key, *number), |walk| walk.pair(from_old.map(|it| it.2), from_new.map(|it| it.2)))?;
        }
    }

    fn tell_repeated(&mut self, key: &str) {
        let part = key_part(key, 1);
        let path = if self.path.is_empty() { part } else { format!("{}.{part}", self.path) };
        if self.found.repeated_keys.len() < self.limits.listed {
            self.found.repeated_keys.push(path);
        } else {
            self.found.left_out += 1;
        }
    }

    fn lists(&mut self, old: &[Node], new: &[Node]) -> Fit<()> {
        let pairing = pairing::pair(old, new, self.names, Wanted { key: self.key, not_key: None })?;
        self.tell_pairing(&pairing, old.len(), new.len());
        let is_set = pairing.by != PairedBy::Sequence;
        let mut steps: Vec<(Option<usize>, Option<usize>)> =
            pairing.equal.iter().chain(&pairing.changed).map(|(old, new)| (Some(*old), Some(*new))).collect();
        steps.extend(pairing.removed.iter().map(|at| (Some(*at), None)));
        steps.extend(pairing.added.iter().map(|at| (None, Some(*at))));
        steps.sort_unstable_by_key(|(old, new)| (new.or(*old), new.is_some()));
        for (old_at, new_at) in steps {
            let (old, new) = (old_at.map(|at| &old[at]), new_at.map(|at| &new[at]));
            let Some((at, item)) = new_at.or(old_at).zip(new.or(old)) else { continue };
            let part = item_part(&pairing, at, item);
            let is_whole = is_set && (old.is_none() || new.is_none());
            self.below(&part, |walk| {
                if is_whole {
                    walk.leaf(old, new);
                    Ok(())
                } else {
                    walk.pair(old, new)
                }
            })?;
        }
        Ok(())
    }

    /// Records how the items of a list were paired, if that is of interest.
    fn tell_pairing(&mut self, pairing: &Pairing, old_items: usize, new_items: usize) {
        let is_set = pairing.by != PairedBy::Sequence && old_items > 0 && new_items > 0;
        let differs = !pairing.changed.is_empty() || !pairing.removed.is_empty() || !pairing.added.is_empty();
        let (reordered, limited) = (pairing.reordered, pairing.limited);
        let is_told = is_set && (differs || reordered) || old_items != new_items && old_items > 0 && new_items > 0;
        if !is_told {
            return;
        }
        if self.found.lists.len() >= self.limits.listed {
            self.found.left_out += 1;
            return;
        }
        let (path, by, key) = (self.place(), pairing.by, pairing.key.clone());
        let lacks_key = pairing.lacks_key;
        self.found.lists.push(ListPairing { path, by, key, old_items, new_items, reordered, lacks_key, limited });
    }

    fn place(&self) -> String {
        if self.path.is_empty() { "(all)".to_owned() } else { self.path.clone() }
    }

    fn leaf(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let counter = match (old, new) {
            (None, None) => return,
            (Some(old), Some(new)) if old.is_equal(new) => {
                self.found.unchanged += 1;
                return;
            }
            (Some(_), Some(_)) => &mut self.found.changed,
            (None, Some(_)) => &mut self.found.added,
            (Some(_), None) => &mut self.found.removed,
        };
        *counter += 1;
        if self.found.values.len() < self.limits.listed {
            let change = self.change(old, new);
            self.found.values.push(change);
        }
    }

    fn change(&self, old: Option<&Node>, new: Option<&Node>) -> MetricChange {
        let most = self.limits.shown_characters;
        let (change, relative) = numbers(old, new);
        let sorts = old.zip(new).map(|(old, new)| [old.sort(), new.sort()]).filter(|[old, new]| old != new);
        let (old, new) = match (old, new) {
            (Some(Node::Text(old)), Some(Node::Text(new))) => {
                let (old, new) = shortened_pair(old, new, most);
                (Some(old.into()), Some(new.into()))
            }
            (old, new) => (old.map(|value| value.json(most)), new.map(|value| value.json(most))),
        };
        MetricChange { path: self.place(), old, new, change, relative, sorts }
    }
}

/// Entries by key, each with its occurrence number for that key.
fn numbered(entries: &Entries) -> Vec<(&str, usize, &Node)> {
    let mut last = ("", 0);
    let entries = sorted(entries).into_iter();
    let number = |(key, value)| {
        last = if last.1 > 0 && last.0 == key { (key, last.1 + 1) } else { (key, 1) };
        (key, last.1, value)
    };
    entries.map(number).collect()
}

/// A key as part of a path.
fn key_part(key: &str, number: usize) -> String {
    let needs_quotes = key.contains(['.', '"', '#', '[', ']']) || key.is_empty();
    let part = if needs_quotes { format!("{key:?}") } else { key.to_owned() };
    if number > 1 { format!("{part}#{number}") } else { part }
}

/// An item as part of a path.
fn item_part(pairing: &Pairing, at: usize, item: &Node) -> String {
    if pairing.by != PairedBy::Key {
        return at.to_string();
    }
    let null = Node::Null;
    let values = pairing.key.iter().map(|field| {
        let value = item.field(field).unwrap_or(&null).shown();
        let needs_quotes = !value.starts_with('"') && value.contains(['"', '[', ']', ',', '=']);
        if needs_quotes { format!("{field}={value:?}") } else { format!("{field}={value}") }
    });
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// The difference of two numbers, absolute and relative.
fn numbers(old: Option<&Node>, new: Option<&Node>) -> (Option<f64>, Option<f64>) {
    let (Some(Node::Number(old)), Some(Node::Number(new))) = (old, new) else { return (None, None) };
    let (Some(old), Some(new)) = (Exact::of(old), Exact::of(new)) else { return (None, None) };
    let Some(change) = Exact::difference(&old, &new) else { return (None, None) };
    let relative = change / old.float().abs();
    (Some(change), relative.is_finite().then_some(relative))
}
