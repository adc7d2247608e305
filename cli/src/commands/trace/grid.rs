//! Many datums of one stage, such as the models of a grid: the first is shown in full, the others in one line.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use answers::trace::{DatumNode, FileNode, Origin};
use specs::{DatumId, Digest};

use super::back::Branch;
use crate::output::{count, plural};

/// Up to this many datums of one stage are each shown.
const SHOWN: usize = 3;
/// How many paths a line names.
const NAMED: usize = 4;

/// Collapses repetitions in branches to one line: more than three datums of one stage that execute the same, except one; and more than
/// three consecutive files whose datums are shown elsewhere. The exception is the datum that wrote the content `chosen`, else the first.
/// Adds omitted datums to `hidden`.
pub(super) fn collapsed<'t>(
    branches: Vec<Branch<'t>>,
    chosen: Option<Digest>,
    hidden: &mut HashSet<DatumId>,
) -> Vec<Branch<'t>> {
    let mut shown = Vec::new();
    let mut group: Vec<&FileNode> = Vec::new();
    for branch in branches {
        match branch {
            Branch::File(file) if is_like(&group, file) => group.push(file),
            Branch::File(file) if matches!(file.origin, Origin::Datum(_) | Origin::SeenDatum(_)) => {
                end(&mut shown, std::mem::take(&mut group), chosen, hidden);
                group.push(file);
            }
            other => {
                end(&mut shown, std::mem::take(&mut group), chosen, hidden);
                shown.push(other);
            }
        }
    }
    end(&mut shown, group, chosen, hidden);
    shown
}

/// Marks the datum that wrote a file, and its whole provenance, as hidden.
fn hide(file: &FileNode, hidden: &mut HashSet<DatumId>) {
    if let Origin::Datum(datum) = &file.origin {
        hidden.insert(datum.id);
        datum.inputs.iter().flat_map(|input| &input.files).for_each(|file| hide(file, hidden));
    }
}

fn datums<'t>(group: &[&'t FileNode]) -> Vec<&'t DatumNode> {
    let datum = |file: &&'t FileNode| if let Origin::Datum(datum) = &file.origin { Some(&**datum) } else { None };
    group.iter().filter_map(datum).collect()
}

/// Whether a file belongs to the group: one of its datums wrote it, or another that executes the same.
fn is_like(group: &[&FileNode], file: &FileNode) -> bool {
    let datums = datums(group);
    let Some(first) = datums.first() else {
        // Files whose datums are shown elsewhere form a group.
        return !group.is_empty() && matches!(file.origin, Origin::SeenDatum(_));
    };
    match &file.origin {
        Origin::Datum(datum) => {
            let key = |datum: &DatumNode| (datum.pipeline.clone(), datum.version, datum.transform, datum.network);
            key(datum) == key(first)
        }
        Origin::SeenDatum(id) => datums.iter().any(|datum| datum.id == *id),
        Origin::Source(_) | Origin::Gap(_) | Origin::Cut => false,
    }
}

/// Adds a group: if small, each file; if large, the files of one datum and a summary line.
fn end<'t>(
    shown: &mut Vec<Branch<'t>>,
    group: Vec<&'t FileNode>,
    chosen: Option<Digest>,
    hidden: &mut HashSet<DatumId>,
) {
    let mut datums = datums(&group);
    let is_chosen = |datum: &&DatumNode| {
        group.iter().any(|file| is_of(file, datum.id) && Some(file.digest) == chosen && file.size_bytes > 0)
    };
    // The others are described relative to the one that is shown.
    let one = datums.iter().position(is_chosen).unwrap_or_default();
    if !datums.is_empty() {
        datums.swap(0, one);
    }
    let is_small = if datums.is_empty() { group.len() <= SHOWN } else { datums.len() <= SHOWN };
    if is_small {
        shown.extend(group.into_iter().map(Branch::File));
        return;
    }
    let Some(first) = datums.first() else {
        let files = plural(group.len() as u64, "file", "files");
        shown.push(Branch::Grid(format!("{files} by datums shown or omitted above")));
        return;
    };
    let (of_first, others): (Vec<_>, Vec<_>) = group.into_iter().partition(|file| is_of(file, first.id));
    for file in &others {
        hide(file, hidden);
    }
    shown.extend(of_first.into_iter().map(Branch::File));
    shown.push(Branch::Grid(words(&datums, others.len())));
}

fn is_of(file: &FileNode, id: DatumId) -> bool {
    match &file.origin {
        Origin::Datum(datum) => datum.id == id,
        Origin::SeenDatum(datum) => *datum == id,
        Origin::Source(_) | Origin::Gap(_) | Origin::Cut => false,
    }
}

/// `11 more files by 11 datums of train v1 like this one, with parameters:/b.json /c.json … 9 more`
fn words(datums: &[&DatumNode], files: usize) -> String {
    let (first, others) = (datums[0], &datums[1..]);
    let files = plural(files as u64, "more file", "more files");
    let mut text = format!(
        "{files} by {} of {} v{} like this one",
        plural(others.len() as u64, "datum", "datums"),
        first.pipeline,
        first.version
    );
    let differing = differing(first, others);
    if !differing.is_empty() {
        text += &format!(", with {}", differing.join("; "));
    }
    text
}

/// For each input, the paths of the other datums that differ from the first one's.
fn differing(first: &DatumNode, others: &[&DatumNode]) -> Vec<String> {
    let paths = |datum: &DatumNode| {
        let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for input in &datum.inputs {
            paths.entry(input.input.clone()).or_default().insert(input.path.to_string());
        }
        paths
    };
    let own = paths(first);
    let mut others_by_input: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for other in others {
        for (input, paths) in paths(other).into_iter().filter(|(input, paths)| own.get(input) != Some(paths)) {
            others_by_input.entry(input).or_default().extend(paths);
        }
    }
    let line = |(input, paths): (String, BTreeSet<String>)| {
        let named: Vec<&str> = paths.iter().take(NAMED).map(String::as_str).collect();
        let more = paths.len() - named.len();
        let more = if more > 0 { format!(" and {} more", count(more as u64)) } else { String::new() };
        format!("{input}:{}{more}", named.join(" "))
    };
    others_by_input.into_iter().map(line).collect()
}
