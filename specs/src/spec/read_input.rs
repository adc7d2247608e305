//! Reads the field `input` as an [`Input`].

use std::collections::HashMap;

use super::LeafPlaces;
use super::fields::{CRON, INPUT, PFS, PROPAGATION, TRIGGER};
use super::input::{CronInput, Input, PfsInput, Trigger, input_name_problem};
use super::limits::{MAX_INPUTS, grouped};
use super::node::Node;
use super::read::object;
use super::reader::{Fields, Reader};
use crate::diagnostics::Place;
use crate::glob::{Glob, KeyTemplate};
use crate::names::{PipelineName, RepoName};
use crate::schedule::Schedule;

const GLOB_HINT: &str = "`/*` makes each top-level file or directory a datum, `/` the whole repository";

/// A leaf as far as it could be read, for the checks of names.
struct Leaf {
    name: String,
    places: LeafPlaces,
    /// The inputs above it, from the top: the number and kind of each.
    above: Vec<(usize, &'static str)>,
}

/// Shared by the leaves of one spec.
struct Leaves<'a> {
    pipeline: Option<&'a PipelineName>,
    found: Vec<Leaf>,
    above: Vec<(usize, &'static str)>,
    /// Number of inputs read so far.
    seen: usize,
    /// Number of leaves so far, including unreadable ones.
    count: usize,
}

/// Reads the input of the pipeline `name`, with the positions of its leaves.
pub(super) fn input_field(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: Option<&PipelineName>,
) -> Option<(Input, Vec<LeafPlaces>)> {
    let Some(node) = fields.get("input") else {
        let whose = name.map_or("the pipeline".to_owned(), |name| format!("pipeline `{name}`"));
        reader.error_with_hint(
            fields.place,
            format!("{whose} has no input"),
            "write `input: {pfs: {repo: REPO, glob: GLOB}}`",
        );
        return None;
    };
    let mut leaves = Leaves { pipeline: name, found: Vec::new(), above: Vec::new(), seen: 0, count: 0 };
    let input = input(reader, node, &mut leaves, Keyed::default());
    check_names(reader, &leaves.found);
    Some((input?, leaves.found.into_iter().map(|leaf| leaf.places).collect()))
}

/// Whether an input is inside a join or a group.
#[derive(Clone, Copy, Default)]
struct Keyed {
    join: bool,
    group: bool,
}

fn input(reader: &mut Reader<'_>, node: &Node, leaves: &mut Leaves<'_>, keyed: Keyed) -> Option<Input> {
    if leaves.count >= MAX_INPUTS {
        return too_many(reader, node, leaves);
    }
    let errors = reader.errors();
    let fields = reader.fields(&INPUT, node)?;
    let kinds: Vec<_> = fields.found().collect();
    match kinds.as_slice() {
        [] => {
            if reader.errors() == errors {
                let hint = "write `pfs` with `repo` and `glob`, or `cross` with a list of inputs";
                reader.error_with_hint(node.place, "the input reads nothing", hint);
            }
            None
        }
        [("pfs" | "atom", entry)] => {
            leaves.count += 1;
            pfs(reader, &entry.value, leaves, keyed).map(Input::Pfs)
        }
        [("cron", entry)] => {
            leaves.count += 1;
            cron(reader, &entry.value, leaves).map(Input::Cron)
        }
        [(kind, _)] => {
            let keyed = Keyed { join: keyed.join || *kind == "join", group: keyed.group || *kind == "group" };
            leaves.seen += 1;
            leaves.above.push((leaves.seen, kind));
            let nodes = reader.list(&fields, kind);
            let arms: Vec<_> = nodes.iter().map(|arm| input(reader, arm, leaves, keyed)).collect();
            leaves.above.pop();
            let arms = arms.into_iter().collect::<Option<Vec<_>>>()?;
            Some(match *kind {
                "cross" => Input::Cross(arms),
                "union" => Input::Union(arms),
                "join" => {
                    ensure_keyed(reader, nodes, &arms, "join_on", |leaf| leaf.join_on.is_some());
                    Input::Join(arms)
                }
                _ => {
                    ensure_keyed(reader, nodes, &arms, "group_by", |leaf| leaf.group_by.is_some());
                    Input::Group(arms)
                }
            })
        }
        [(first, _), (second, entry), ..] => {
            let hint = "an input has one kind; to combine inputs, list them under `cross`";
            reader.error_with_hint(entry.place, format!("the input has both `{first}` and `{second}`"), hint);
            None
        }
    }
}

/// Reports once that there are too many leaves; the rest is not read.
fn too_many(reader: &mut Reader<'_>, node: &Node, leaves: &mut Leaves<'_>) -> Option<Input> {
    if leaves.count == MAX_INPUTS {
        leaves.count += 1;
        let message =
            format!("this is input {}; a pipeline has at most {}", grouped(leaves.count), grouped(MAX_INPUTS));
        reader.error_with_hint(
            node.place,
            message,
            "read several directories of one repository with one glob, as in `/{a,b}/*`",
        );
    }
    None
}

/// Refuses inputs of a join or group without any part of the key: an empty key would be meaningless.
fn ensure_keyed(reader: &mut Reader<'_>, nodes: &[Node], arms: &[Input], field: &str, is_keyed: fn(&PfsInput) -> bool) {
    for (arm, node) in arms.iter().zip(nodes) {
        let silent = silent(arm, is_keyed);
        if silent.is_empty() {
            continue;
        }
        let names: Vec<_> = silent.iter().map(|leaf| format!("`{}`", leaf.name.escape_debug())).collect();
        let field = reader.styled(field);
        let kind = if field.starts_with("join") { "join" } else { "group" };
        let message = format!("input {} has no `{field}`, which a `{kind}` needs", names.join(", "));
        let hint = format!("use a capture of its glob, as in `{field}: $1` with the glob `/(*).txt`");
        reader.error_with_hint(node.place, message, hint);
    }
}

/// The leaves that must get a part of the key, because some datums have none: every input of a union needs one; for a combination, one
/// input is enough.
fn silent(input: &Input, is_keyed: fn(&PfsInput) -> bool) -> Vec<&PfsInput> {
    match input {
        Input::Union(arms) => arms.iter().flat_map(|arm| silent(arm, is_keyed)).collect(),
        other if other.leaves().into_iter().any(is_keyed) => Vec::new(),
        other => other.leaves(),
    }
}

fn pfs(reader: &mut Reader<'_>, node: &Node, leaves: &mut Leaves<'_>, keyed: Keyed) -> Option<PfsInput> {
    let fields = reader.fields(&PFS, node)?;
    let repo: Option<RepoName> = reader.parsed(&fields, "repo");
    if fields.get("repo").is_none() {
        reader.error(fields.place, "the input has no `repo`");
    }
    let name = reader.text(&fields, "name").or_else(|| repo.as_ref().map(|repo| repo.as_str().to_owned()));
    let branch = reader.parsed(&fields, "branch");
    let glob: Option<Glob> = reader.parsed(&fields, "glob");
    if fields.get("glob").is_none() {
        let whose = name.as_ref().map_or("the input".to_owned(), |name| format!("input `{}`", name.escape_debug()));
        reader.error_with_hint(fields.place, format!("{whose} has no `glob`"), GLOB_HINT);
    }
    let join_on = key(reader, &fields, "join_on", glob.as_ref(), ("join", keyed.join));
    let group_by = key(reader, &fields, "group_by", glob.as_ref(), ("group", keyed.group));
    let outer_join = reader.boolean(&fields, "outer_join");
    let reference = reader.boolean(&fields, "reference");
    let empty_files = reader.boolean(&fields, "empty_files");
    let _plain_either_way = reader.boolean(&fields, "lazy");
    let trigger = object(reader, &fields, "trigger", &TRIGGER).and_then(|fields| trigger(reader, &fields));
    let propagation_never = object(reader, &fields, "propagation_spec", &PROPAGATION)
        .is_some_and(|propagation| reader.boolean(&propagation, "never"));
    if let Some(name) = &name {
        let places = LeafPlaces {
            repo: fields.place("repo").unwrap_or(fields.place),
            name: fields.place("name"),
            branch: fields.place("branch"),
            glob: fields.place("glob").unwrap_or(fields.place),
        };
        leaves.found.push(Leaf { name: name.clone(), places, above: leaves.above.clone() });
    }
    Some(PfsInput {
        repo: repo?,
        name: name?,
        branch,
        glob: glob?,
        join_on,
        outer_join,
        group_by,
        reference,
        empty_files,
        propagation_never,
        trigger,
    })
}

/// A part of a key, which is only valid within an input of this kind (`is_within`).
fn key(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    field: &str,
    glob: Option<&Glob>,
    (kind, is_within): (&str, bool),
) -> Option<KeyTemplate> {
    let template: KeyTemplate = reader.parsed(fields, field)?;
    let place = fields.place(field)?;
    let field = reader.styled(field);
    if !is_within {
        reader.warn(place, format!("`{field}` has no effect: the input is not in a `{kind}`"), None);
    } else if let Some(glob) = glob.filter(|glob| template.groups() > glob.groups()) {
        let message = format!(
            "`{field}`: `{template}` uses capture {}, but the glob `{glob}` has {}",
            template.groups(),
            glob.groups()
        );
        reader.error_with_hint(place, message, "put the part to capture in parentheses, as in `/(*).txt`");
    }
    Some(template)
}

fn trigger(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Trigger> {
    let trigger = Trigger {
        branch: reader.parsed(fields, "branch"),
        all: reader.boolean(fields, "all"),
        rate_limit_spec: schedule(reader, fields, "rate_limit_spec"),
        size: reader.parsed(fields, "size"),
        commits: reader.count(fields, "commits"),
        cron_spec: schedule(reader, fields, "cron_spec"),
    };
    if trigger == Trigger::default() {
        return None;
    }
    let others = trigger.rate_limit_spec.is_some() || trigger.size.is_some() || trigger.commits.is_some();
    if trigger.cron_spec.is_some() && (others || trigger.all) {
        let message = format!("the trigger has other conditions besides `{}`", reader.styled("cron_spec"));
        reader.error(fields.place, message);
    } else if trigger.cron_spec.is_none() && !others {
        let hint = "write a number of `commits`, a `size` or a schedule";
        reader.error_with_hint(fields.place, "the trigger has no condition", hint);
    }
    Some(trigger)
}

fn cron(reader: &mut Reader<'_>, node: &Node, leaves: &mut Leaves<'_>) -> Option<CronInput> {
    let fields = reader.fields(&CRON, node)?;
    let name = reader.text(&fields, "name");
    if name.is_none() {
        reader.error(fields.place, "the cron input has no `name`");
    }
    let spec = schedule(reader, &fields, "spec");
    if fields.get("spec").is_none() {
        reader.error_with_hint(
            fields.place,
            "the cron input has no `spec`",
            "write a schedule, as in `spec: '@daily'`",
        );
    }
    let repo = match (fields.get("repo"), leaves.pipeline, &name) {
        (Some(_), ..) => reader.parsed(&fields, "repo"),
        (None, Some(pipeline), Some(name)) => {
            let repo = format!("{pipeline}_{name}").parse::<RepoName>();
            repo.map_err(|error| reader.error(fields.place, format!("the repository of its ticks: {error}"))).ok()
        }
        (None, ..) => None,
    };
    let start = reader.parsed(&fields, "start");
    let overwrite = reader.boolean(&fields, "overwrite");
    let place = |field| fields.place(field).unwrap_or(fields.place);
    if let Some(name) = &name {
        let places = LeafPlaces { repo: place("repo"), name: fields.place("name"), branch: None, glob: place("spec") };
        leaves.found.push(Leaf { name: name.clone(), places, above: leaves.above.clone() });
    }
    Some(CronInput { start, overwrite, ..CronInput::new(name?, repo?, spec?) })
}

/// A schedule; reports one that is never due.
fn schedule(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<Schedule> {
    let schedule: Schedule = reader.parsed(fields, name)?;
    if schedule.is_empty() {
        let message =
            format!("`{}`: `{}` never ticks: none of its months has such a day", reader.styled(name), schedule);
        let place = fields.place(name).unwrap_or(fields.place);
        reader.error_with_hint(
            place,
            message,
            "`L` is the last day of a month, as in `0 0 L 2 *`; to tick only by hand, write `@never`",
        );
    }
    Some(schedule)
}

fn check_names(reader: &mut Reader<'_>, leaves: &[Leaf]) {
    let mut met = Met::default();
    for (index, leaf) in leaves.iter().enumerate() {
        let place = leaf.places.name.unwrap_or(leaf.places.repo);
        let first = met.first(leaf, index);
        if let Some(why) = input_name_problem(&leaf.name) {
            let message = format!("`{}` cannot name an input: {why}", leaf.name.escape_debug());
            reader.error_with_hint(place, message, "give the input another `name`");
        } else if let Some(first) = first.map(|first| &leaves[first]) {
            let at = first.places.name.unwrap_or(first.places.repo);
            let message = format!("two inputs are named `{}`; the first is at {at}", leaf.name);
            reader.error_with_hint(place, message, "give one of them another `name`");
        } else if !is_shell_name(&leaf.name) {
            warn_of_variable(reader, place, &leaf.name);
        }
    }
}

/// Whether a shell can read the variable with this input's name.
pub fn is_shell_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Warns, once per name, that commands can find such an input only by its directory.
fn warn_of_variable(reader: &mut Reader<'_>, place: Place, name: &str) {
    let other = name.replace('-', "_");
    let other = if other.starts_with(|c: char| c.is_ascii_digit()) { format!("input_{other}") } else { other };
    let message = format!(
        "input `{name}`: a shell cannot read a variable with this name, so `${name}` is not the path of the datum"
    );
    let hint = format!("use `/pfs/{name}`, or write `name: {other}` for `${other}` and `/pfs/{other}`");
    reader.warn_once(place, message, Some(hint));
}

/// Which leaves with one name were seen below which input, so that each leaf checks only the inputs above it and not all earlier leaves.
#[derive(Default)]
struct Met<'l>(HashMap<(&'l str, usize), Below>);

/// The leaves with one name below an input.
struct Below {
    /// The first, and the branch of the input that contains it.
    first: (usize, Arm),
    /// The first in another branch.
    other: Option<usize>,
}

/// A direct child of an input: an input's number, or that of the leaf.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arm {
    Input(usize),
    Leaf(usize),
}

impl<'l> Met<'l> {
    /// The first earlier leaf with the same name that can be in one datum with this one: their lowest common input is not a union, or it
    /// is, or is within, a group. Also records this leaf.
    fn first(&mut self, leaf: &'l Leaf, index: usize) -> Option<usize> {
        let mut found: Option<usize> = None;
        let mut in_group = false;
        for (depth, (input, kind)) in leaf.above.iter().enumerate() {
            in_group |= *kind == "group";
            let arm = leaf.above.get(depth + 1).map_or(Arm::Leaf(index), |(input, _)| Arm::Input(*input));
            let entry = self.0.entry((leaf.name.as_str(), *input));
            let below = entry.or_insert(Below { first: (index, arm), other: None });
            let apart = if below.first.1 == arm { below.other } else { Some(below.first.0) };
            if below.first.1 != arm {
                below.other = below.other.or(Some(index));
            }
            if in_group || *kind != "union" {
                found = found.into_iter().chain(apart).min();
            }
        }
        found
    }
}

/// For each leaf (its name and the inputs above it), the first earlier leaf that it conflicts with.
#[cfg(test)]
pub(super) fn met(leaves: &[(String, Vec<(usize, &'static str)>)]) -> Vec<Option<usize>> {
    let leaves = leaves_of(leaves);
    let mut met = Met::default();
    leaves.iter().enumerate().map(|(index, leaf)| met.first(leaf, index)).collect()
}

/// The same, pair by pair: two leaves can be in one datum unless their lowest common input is a union outside any group.
#[cfg(test)]
pub(super) fn meet_one_by_one(leaves: &[(String, Vec<(usize, &'static str)>)]) -> Vec<Option<usize>> {
    let leaves = leaves_of(leaves);
    let meet = |one: &Leaf, other: &Leaf| {
        let shared = one.above.iter().zip(&other.above).take_while(|(one, other)| one.0 == other.0);
        let kinds: Vec<&str> = shared.map(|((_, kind), _)| *kind).collect();
        kinds.last() != Some(&"union") || kinds.contains(&"group")
    };
    let first = |index: usize| {
        (0..index).find(|before| leaves[*before].name == leaves[index].name && meet(&leaves[*before], &leaves[index]))
    };
    (0..leaves.len()).map(first).collect()
}

#[cfg(test)]
fn leaves_of(leaves: &[(String, Vec<(usize, &'static str)>)]) -> Vec<Leaf> {
    let places = LeafPlaces { repo: Place::START, name: None, branch: None, glob: Place::START };
    leaves
        .iter()
        .map(|(name, above)| Leaf { name: name.clone(), places: places.clone(), above: above.clone() })
        .collect()
}
