//! Reads a document as a spec, with the checks that need no other spec and no store.

use std::sync::Arc;

use super::fields::{GPU, GROWTH, LIMITS, METADATA, Object, PARALLELISM, PIPELINE, REQUESTS, SECRET, SPEC, TRANSFORM};
use super::limits::{MAX_ARGUMENT_BYTES, MAX_COMMAND_BYTES, grouped};
use super::memory::{MemoryGrowth, MemoryLimit};
use super::node::{Node, Value};
use super::read_env;
use super::read_input::input_field;
use super::read_placement::placement;
use super::reader::{Fields, Reader};
use super::types::{
    DEFAULT_CODE_PATH, DEFAULT_DATUM_TRIES, Gpu, Limits, Metadata, Network, PipelineSpec, Reprocess, Resources,
    SecretUse, Transform,
};
use super::{Parsed, Places};
use crate::diagnostics::Place;
use crate::names::PipelineName;
use crate::path::FilePath;

/// What could be read from a document.
pub(super) struct Document {
    /// The name and its position, even if something else is wrong.
    pub(super) name: Option<(PipelineName, Place)>,
    /// The spec, if nothing is wrong.
    pub(super) parsed: Option<Parsed>,
}

/// Reads one document; reports everything that is wrong with it to `reader`.
pub(super) fn document(reader: &mut Reader<'_>, node: &Node, text: &Arc<str>) -> Document {
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
    let datum_timeout = reader.timeout(&fields, "datum_timeout");
    let job_timeout = reader.timeout(&fields, "job_timeout");
    let reprocess = [("until_success", Reprocess::UntilSuccess), ("every_job", Reprocess::EveryJob)];
    let reprocess = reader.one_of(&fields, "reprocess_spec", &reprocess).unwrap_or_default();
    let salt = reader.text(&fields, "salt");
    let resource_requests = requests(reader, &fields);
    let resource_limits = limits(reader, &fields);
    let autoscaling = reader.boolean(&fields, "autoscaling");
    let placement = placement(reader, &fields);
    let output_branch = reader.parsed(&fields, "output_branch");
    if let (Some((transform, at)), Some((input, _))) = (&transform, &input) {
        let env = fields.get("transform").and_then(|node| node.entry("env"));
        read_env::check(reader, transform, env, &at.secrets, input);
    }
    let whole = reader.errors() == errors;
    let parsed = match (name.clone(), transform, input) {
        (Some((name, place)), Some((transform, at)), Some((input, leaves))) if whole => {
            let places = Places { pipeline: node.place, name: place, leaves, ..at };
            let spec = PipelineSpec {
                name,
                description,
                metadata,
                transform,
                input,
                parallelism,
                datum_tries,
                datum_timeout,
                job_timeout,
                reprocess,
                salt,
                resource_requests,
                resource_limits,
                autoscaling,
                placement,
                output_branch,
            };
            Some(Parsed { file: reader.file.to_owned(), text: text.clone(), spec, places })
        }
        _ => None,
    };
    Document { name, parsed }
}

pub(super) fn object<'n>(
    reader: &mut Reader<'_>,
    fields: &Fields<'n>,
    name: &str,
    object: &'static Object,
) -> Option<Fields<'n>> {
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

/// The transform, and the positions of its fields in a [`Places`] whose other fields are filled later.
fn transform(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<(Transform, Places)> {
    let Some(node) = fields.get("transform") else {
        reader.error(fields.place, "the pipeline has no `transform`");
        return None;
    };
    let fields = reader.fields(&TRANSFORM, node)?;
    let secrets = reader.list(&fields, "secrets");
    let place = fields.place("secrets").unwrap_or(fields.place);
    let secrets = if reader.has_too_many("secrets", place, secrets.len()) { &[] } else { secrets };
    let secrets = secrets.iter().filter_map(|node| Some((node.place, secret(reader, node)?)));
    let (secret_places, secrets) = secrets.unzip();
    let transform = Transform {
        image: reader.text(&fields, "image"),
        cmd: reader.texts(&fields, "cmd"),
        stdin: reader.texts(&fields, "stdin"),
        env: reader.text_map(&fields, "env"),
        user: reader.text(&fields, "user"),
        working_dir: reader.text(&fields, "working_dir"),
        code: reader.text(&fields, "code"),
        code_path: reader.text(&fields, "code_path").filter(|path| path != DEFAULT_CODE_PATH),
        network: reader.one_of(&fields, "network", &[("none", Network::None), ("default", Network::Default)]),
        accept_return_code: reader.exit_codes(&fields, "accept_return_code"),
        err_cmd: reader.texts(&fields, "err_cmd"),
        err_stdin: reader.texts(&fields, "err_stdin"),
        secrets,
        image_pull_secrets: reader.texts(&fields, "image_pull_secrets"),
    };
    check_transform(reader, &fields, &transform);
    check_code_path(reader, &fields, &transform);
    let places = Places {
        pipeline: node.place,
        name: node.place,
        transform: node.place,
        image: fields.place("image"),
        cmd: fields.place("cmd"),
        code: fields.place("code"),
        secrets: secret_places,
        leaves: Vec::new(),
    };
    Some((transform, places))
}

fn secret(reader: &mut Reader<'_>, node: &Node) -> Option<SecretUse> {
    let fields = reader.fields(&SECRET, node)?;
    let Some(name) = reader.text(&fields, "name") else {
        reader.error(node.place, "the secret has no `name`");
        return None;
    };
    let secret = SecretUse {
        name,
        key: reader.text(&fields, "key"),
        env_var: reader.text(&fields, "env_var"),
        // Kubernetes accepts a path with a trailing `/`.
        mount_path: reader.text(&fields, "mount_path").map(|path| match path.trim_end_matches('/') {
            "" => path.clone(),
            plain => plain.to_owned(),
        }),
    };
    let shown = secret.name.escape_debug();
    let (env_var, mount_path) = (reader.styled("env_var"), reader.styled("mount_path"));
    match (&secret.env_var, &secret.mount_path) {
        (None, None) => {
            let message = format!("secret `{shown}` is not used: it has neither `{env_var}` nor `{mount_path}`");
            reader.error(node.place, message);
        }
        (Some(_), _) if secret.key.is_none() => {
            reader.error(node.place, format!("secret `{shown}` has `{env_var}`, but no `key`"));
        }
        (Some(name), _) if name.is_empty() || name.contains('=') || name.contains(char::is_control) => {
            let message = format!("`{env_var}`: `{}` cannot name an environment variable", name.escape_debug());
            reader.error(fields.place("env_var").unwrap_or(node.place), message);
        }
        (_, Some(path)) if !is_own_directory(path) => {
            let place = fields.place("mount_path").unwrap_or(node.place);
            let message = format!("`{mount_path}`: `{}` cannot hold a secret", path.escape_debug());
            reader.error_with_hint(
                place,
                message,
                "use an absolute directory that is not reserved, such as `/secrets/mail` or `/tmp/mail`",
            );
        }
        _ => {}
    }
    Some(secret)
}

/// Whether a path is absolute, plain, and not used by pv itself. Secrets may be mounted below `/tmp`: their directories are kept when the
/// rest of it is removed.
fn is_own_directory(path: &str) -> bool {
    let below_tmp = path.strip_prefix("/tmp").filter(|rest| rest.starts_with('/') && rest.len() > 1);
    is_free(below_tmp.map_or(path, |_| "/free")) && is_plain(path) && !is_below(path, DEFAULT_CODE_PATH)
}

/// Whether a path is absolute and valid for a file in a commit.
fn is_plain(path: &str) -> bool {
    path.parse::<FilePath>().is_ok_and(|path| path.check_new().is_ok())
}

/// Whether a path is absolute, plain, and not in a directory that every sandbox creates itself.
fn is_free(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    is_plain(path) && path != "/" && !["pfs", "tmp", "proc", "sys", "dev", ".pv"].contains(&first)
}

/// Whether a path is `directory` or below it.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_code_path(reader: &mut Reader<'_>, fields: &Fields<'_>, transform: &Transform) {
    let Some(place) = fields.place("code_path") else { return };
    let (name, code) = (reader.styled("code_path"), reader.styled("code"));
    if transform.code.is_none() {
        reader.error(place, format!("`{name}` needs `{code}`: there is no code to mount there"));
    }
    let Some(path) = &transform.code_path else { return };
    if !is_free(path) {
        let message = format!("`{name}`: `{}` cannot hold code", path.escape_debug());
        let hint = "use an absolute directory that is not below `/pfs` or `/tmp`, such as `/app`";
        reader.error_with_hint(place, message, hint);
    }
    let secrets = transform.secrets.iter().filter_map(|secret| secret.mount_path.as_deref());
    if let Some(secret) = secrets.into_iter().find(|secret| is_below(secret, path) || is_below(path, secret)) {
        let message = format!("`{name}`: `{}` conflicts with the secrets at `{secret}`", path.escape_debug());
        reader.error(place, message);
    }
}

fn requests(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Resources {
    let Some(amounts) = object(reader, fields, "resource_requests", &REQUESTS) else { return Resources::default() };
    Resources {
        cpu: reader.parsed(&amounts, "cpu"),
        memory: reader.parsed(&amounts, "memory"),
        disk: reader.parsed(&amounts, "disk"),
        gpu: gpu(reader, &amounts),
    }
}

fn limits(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Limits {
    let Some(amounts) = object(reader, fields, "resource_limits", &LIMITS) else { return Limits::default() };
    Limits {
        cpu: reader.parsed(&amounts, "cpu"),
        memory: memory_limit(reader, &amounts),
        disk: reader.parsed(&amounts, "disk"),
        gpu: gpu(reader, &amounts),
    }
}

fn gpu(reader: &mut Reader<'_>, amounts: &Fields<'_>) -> Option<Gpu> {
    let gpu = object(reader, amounts, "gpu", &GPU)?;
    let kind = reader.text(&gpu, "type");
    reader.count(&gpu, "number").map(|number| Gpu { kind, number })
}

/// An amount, or a mapping that says how it grows.
fn memory_limit(reader: &mut Reader<'_>, limits: &Fields<'_>) -> Option<MemoryLimit> {
    let node = limits.get("memory")?;
    if matches!(node.value, Value::Mapping(_)) {
        return memory_growth(reader, node).map(MemoryLimit::Growing);
    }
    reader.parsed(limits, "memory").map(MemoryLimit::Fixed)
}

fn memory_growth(reader: &mut Reader<'_>, node: &Node) -> Option<MemoryGrowth> {
    let fields = reader.fields(&GROWTH, node)?;
    let missing = ["start", "factor", "max"].into_iter().filter(|name| fields.get(name).is_none());
    let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let message = format!("`memory`: a limit that grows needs {}", missing.join(" and "));
        let hint = "write `memory: {start: 2Gi, factor: 2, max: 32Gi}`, or `memory: 2Gi` for a fixed limit";
        reader.error_with_hint(node.place, message, hint);
    }
    let start = reader.amount(&fields, "start", "an amount of more than zero, as in `2Gi`", |start| start.whole() > 0);
    let factor = reader
        .amount(&fields, "factor", "a number from 1.1 to 10", |factor| (1100..=10_000).contains(&factor.thousandths()));
    let max = reader.amount(&fields, "max", "an amount of more than zero, as in `32Gi`", |max| max.whole() > 0);
    let growth = MemoryGrowth { start: start?, factor: factor?, max: max? };
    if growth.max.whole() <= growth.start.whole() {
        let message = format!("`max`: `{}` is not more than `start`, which is `{}`", growth.max, growth.start);
        let hint = format!("for a limit that does not grow write `memory: {}`", growth.start);
        reader.error_with_hint(fields.place("max").unwrap_or(node.place), message, hint);
    }
    Some(growth)
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
    check_size(reader, fields, transform);
    if let (Some(image), Some(place)) = (&transform.image, fields.place("image")) {
        check_image(reader, place, image);
    }
    if let (true, Some(place)) = (transform.err_cmd.is_empty(), fields.place("err_stdin")) {
        let message = format!("`{}` has no effect without `{}`", reader.styled("err_stdin"), reader.styled("err_cmd"));
        reader.error(place, message);
    }
    if fields.get("cmd").is_none() {
        let what = if transform.stdin.is_empty() { "no `cmd`" } else { "`stdin`, but no `cmd`" };
        let message =
            format!("`transform` has {what}: the image's entrypoint must provide it, which pv checks at apply");
        reader.warn(fields.place, message, None);
    }
}

/// Refuses arguments and variables that exceed Linux's limits: every datum would fail.
fn check_size(reader: &mut Reader<'_>, fields: &Fields<'_>, transform: &Transform) {
    let variables = || transform.env.iter().map(|(name, value)| name.len() + 1 + value.len());
    for (name, command) in [("cmd", &transform.cmd), ("err_cmd", &transform.err_cmd)] {
        let Some(place) = fields.place(name) else { continue };
        let total: usize = command.iter().map(String::len).chain(variables()).map(|bytes| bytes + 9).sum();
        if let Some(longest) = command.iter().map(String::len).max().filter(|bytes| *bytes > MAX_ARGUMENT_BYTES) {
            too_long(reader, place, &format!("`{}`: an argument", reader.styled(name)), longest, MAX_ARGUMENT_BYTES);
        } else if total > MAX_COMMAND_BYTES {
            let what = format!("`{}` and `env` together", reader.styled(name));
            too_long(reader, place, &what, total, MAX_COMMAND_BYTES);
        }
    }
    if let Some(longest) = variables().max().filter(|bytes| *bytes > MAX_ARGUMENT_BYTES) {
        let place = fields.place("env").unwrap_or(fields.place);
        too_long(reader, place, "`env`: a variable", longest, MAX_ARGUMENT_BYTES);
    }
}

fn too_long(reader: &mut Reader<'_>, place: Place, what: &str, bytes: usize, most: usize) {
    let message = format!("{what}: {} bytes; a program can be given at most {}", grouped(bytes), grouped(most));
    reader.error_with_hint(place, message, "put it into an input file, into `code` or into `stdin`");
}

/// Warns about an image reference that may point to another image later.
fn check_image(reader: &mut Reader<'_>, place: Place, image: &str) {
    if image.contains('@') {
        return; // by digest
    }
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let message = match tag {
        Some("latest") => format!("image `{image}` may change before the next apply"),
        None => format!("image `{image}` has no tag: `latest` is used, which may change before the next apply"),
        Some(_) => return,
    };
    reader.warn_once(place, message, Some("use a version, as in `NAME:1.2`".to_owned()));
}
