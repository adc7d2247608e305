//! From a document to a spec, with the checks that need no other spec and no store.

use super::fields::{INPUT, METADATA, Object, PARALLELISM, PFS, PIPELINE, SPEC, TRANSFORM};
use super::node::Node;
use super::reader::{Fields, Reader};
use super::types::{
    DEFAULT_DATUM_TRIES, Input, Metadata, Network, PfsInput, PipelineSpec, Transform, input_name_problem,
};
use super::{LeafPlaces, Parsed, Places};
use crate::diagnostics::Place;
use crate::names::{PipelineName, RepoName};

const GLOB_HINT: &str = "`/*` makes a datum of each top-level file or directory, `/` one of the whole repository";

/// What could be read of a document.
pub(super) struct Document {
    /// The name and its place, also when something else is wrong.
    pub(super) name: Option<(PipelineName, Place)>,
    /// The spec, if nothing is wrong.
    pub(super) parsed: Option<Parsed>,
}

/// Reads one document; everything that is wrong with it is noted in `reader`.
pub(super) fn document(reader: &mut Reader<'_>, node: &Node) -> Document {
    let errors = reader.errors();
    let Some(fields) = reader.fields(&SPEC, node) else { return Document { name: None, parsed: None } };
    let name = name(reader, &fields);
    let transform = transform(reader, &fields);
    let input = input_field(reader, &fields, name.as_ref().map(|(name, _)| name));
    let description = reader.text(&fields, "description").unwrap_or_default();
    let metadata = metadata(reader, &fields);
    let parallelism = object(reader, &fields, "parallelism_spec", &PARALLELISM)
        .and_then(|parallelism| reader.count(&parallelism, "constant"));
    let datum_tries = reader.count(&fields, "datum_tries").unwrap_or(DEFAULT_DATUM_TRIES);
    let output_branch = reader.parsed(&fields, "output_branch");
    let whole = reader.errors() == errors;
    let parsed = match (name.clone(), transform, input) {
        (Some((name, place)), Some((transform, at)), Some((input, leaves))) if whole => {
            let places = Places { pipeline: node.place, name: place, leaves, ..at };
            let spec =
                PipelineSpec { name, description, metadata, transform, input, parallelism, datum_tries, output_branch };
            Some(Parsed { file: reader.file.to_owned(), spec, places })
        }
        _ => None,
    };
    Document { name, parsed }
}

fn object<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, name: &str, object: &'static Object) -> Option<Fields<'n>> {
    fields.get(name).and_then(|node| reader.fields(object, node))
}

fn name(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<(PipelineName, Place)> {
    let Some(node) = fields.get("pipeline") else {
        reader.error_with_hint(fields.place, "the pipeline has no name", "write `pipeline: {name: NAME}`");
        return None;
    };
    let pipeline = reader.fields(&PIPELINE, node)?;
    let Some(place) = pipeline.place("name") else {
        reader.error_with_hint(node.place, "the pipeline has no name", "write `pipeline: {name: NAME}`");
        return None;
    };
    Some((reader.parsed(&pipeline, "name")?, place))
}

fn metadata(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Metadata {
    object(reader, fields, "metadata", &METADATA).map_or_else(Metadata::default, |metadata| Metadata {
        annotations: reader.text_map(&metadata, "annotations"),
        labels: reader.text_map(&metadata, "labels"),
    })
}

/// The transform, and its fields' places in a [`Places`] that is otherwise still to be filled.
fn transform(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<(Transform, Places)> {
    let Some(node) = fields.get("transform") else {
        reader.error(fields.place, "the pipeline has no `transform`");
        return None;
    };
    let fields = reader.fields(&TRANSFORM, node)?;
    let transform = Transform {
        image: reader.text(&fields, "image"),
        cmd: reader.texts(&fields, "cmd"),
        stdin: reader.texts(&fields, "stdin"),
        env: reader.text_map(&fields, "env"),
        user: reader.text(&fields, "user"),
        working_dir: reader.text(&fields, "working_dir"),
        code: reader.text(&fields, "code"),
        network: reader.one_of(&fields, "network", &[("none", Network::None), ("default", Network::Default)]),
        accept_return_code: reader.exit_codes(&fields, "accept_return_code"),
    };
    check_transform(reader, &fields, &transform);
    let places = Places {
        pipeline: node.place,
        name: node.place,
        transform: node.place,
        image: fields.place("image"),
        cmd: fields.place("cmd"),
        code: fields.place("code"),
        leaves: Vec::new(),
    };
    Some((transform, places))
}

fn check_transform(reader: &mut Reader<'_>, fields: &Fields<'_>, transform: &Transform) {
    if let (Some(dir), Some(place)) = (&transform.working_dir, fields.place("working_dir"))
        && !dir.starts_with('/')
    {
        let message =
            format!("`{}`: expected an absolute path, got `{}`", reader.styled("working_dir"), dir.escape_debug());
        reader.error(place, message);
    }
    if let Some(key) =
        transform.env.keys().find(|key| key.is_empty() || key.contains('=') || key.contains(char::is_control))
    {
        let place = fields.place("env").unwrap_or(fields.place);
        reader.error(place, format!("`env`: `{}` cannot name an environment variable", key.escape_debug()));
    }
    if let (Some(image), Some(place)) = (&transform.image, fields.place("image")) {
        check_image(reader, place, image);
    }
    if fields.get("cmd").is_none() {
        let what = if transform.stdin.is_empty() { "no `cmd`" } else { "`stdin`, but no `cmd`" };
        let message = format!("`transform` has {what}: it must come from the image's entrypoint, known at apply");
        reader.warn(fields.place, message, None);
    }
}

/// Warns of an image that may be another one tomorrow.
fn check_image(reader: &mut Reader<'_>, place: Place, image: &str) {
    if image.contains('@') {
        return; // by digest
    }
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let message = match tag {
        Some("latest") => format!("image `{image}` may be another one at the next apply"),
        None => format!("image `{image}` has no tag: `latest` is taken, which may be another one at the next apply"),
        Some(_) => return,
    };
    reader.warn_once(place, message, Some("name a version, as in `NAME:1.2`".to_owned()));
}

fn input_field(
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
    let mut leaves = Vec::new();
    let input = input(reader, node, &mut leaves);
    check_names(reader, &leaves);
    Some((input?, leaves.into_iter().map(|leaf| leaf.places).collect()))
}

/// A leaf as far as it could be read, for the checks of names.
struct Leaf {
    name: String,
    places: LeafPlaces,
}

fn input(reader: &mut Reader<'_>, node: &Node, leaves: &mut Vec<Leaf>) -> Option<Input> {
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
        [("cross", _)] => {
            let inputs: Vec<_> = reader.list(&fields, "cross").iter().map(|arm| input(reader, arm, leaves)).collect();
            inputs.into_iter().collect::<Option<Vec<_>>>().map(Input::Cross)
        }
        [(_, entry)] => pfs(reader, &entry.value, leaves).map(Input::Pfs),
        [(first, _), (second, entry), ..] => {
            let hint = "an input is of one kind; to combine inputs, list them under `cross`";
            reader.error_with_hint(entry.place, format!("the input has both `{first}` and `{second}`"), hint);
            None
        }
    }
}

fn pfs(reader: &mut Reader<'_>, node: &Node, leaves: &mut Vec<Leaf>) -> Option<PfsInput> {
    let fields = reader.fields(&PFS, node)?;
    let repo: Option<RepoName> = reader.parsed(&fields, "repo");
    if fields.get("repo").is_none() {
        reader.error(fields.place, "the input has no `repo`");
    }
    let name = reader.text(&fields, "name").or_else(|| repo.as_ref().map(|repo| repo.as_str().to_owned()));
    let branch = reader.parsed(&fields, "branch");
    let glob = reader.parsed(&fields, "glob");
    if fields.get("glob").is_none() {
        let whose = name.as_ref().map_or("the input".to_owned(), |name| format!("input `{}`", name.escape_debug()));
        reader.error_with_hint(fields.place, format!("{whose} has no `glob`"), GLOB_HINT);
    }
    let reference = reader.boolean(&fields, "reference");
    if let Some(name) = &name {
        let places = LeafPlaces {
            repo: fields.place("repo").unwrap_or(fields.place),
            name: fields.place("name"),
            branch: fields.place("branch"),
            glob: fields.place("glob").unwrap_or(fields.place),
        };
        leaves.push(Leaf { name: name.clone(), places });
    }
    Some(PfsInput { repo: repo?, name: name?, branch, glob: glob?, reference })
}

fn check_names(reader: &mut Reader<'_>, leaves: &[Leaf]) {
    for (index, leaf) in leaves.iter().enumerate() {
        let place = leaf.places.name.unwrap_or(leaf.places.repo);
        if let Some(why) = input_name_problem(&leaf.name) {
            let message = format!("`{}` cannot name an input: {why}", leaf.name.escape_debug());
            reader.error_with_hint(place, message, "give the input another `name`");
        } else if let Some(first) = leaves[..index].iter().find(|first| first.name == leaf.name) {
            let at = first.places.name.unwrap_or(first.places.repo);
            let message = format!("two inputs are named `{}`; the first is at {at}", leaf.name);
            reader.error_with_hint(place, message, "give one of them another `name`");
        }
    }
}
