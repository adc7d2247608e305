//! Environment variables set more than once: user code would silently see only one of the values.

use std::collections::HashMap;

use super::input::Input;
use super::node::{Entry, Node, Value};
use super::reader::Reader;
use super::types::Transform;
use crate::diagnostics::Place;

/// What sets an environment variable of a datum.
#[derive(Clone, Copy)]
enum Setter<'a> {
    /// `transform.env`.
    Env,
    /// The n-th of `transform.secrets`, with this name.
    Secret(&'a str),
}

/// Reports each variable set by `env` or a secret that another secret, an input or pv also sets.
///
/// `env` is the mapping of `transform.env`, `secrets` has the position of each secret.
pub(super) fn check(
    reader: &mut Reader<'_>,
    transform: &Transform,
    env: Option<&Node>,
    secrets: &[Place],
    input: &Input,
) {
    let of_env = env.into_iter().flat_map(entries).map(|entry| (entry.key.as_str(), Setter::Env, entry.place));
    let of_secrets = transform
        .secrets
        .iter()
        .zip(secrets)
        .filter_map(|(secret, place)| Some((secret.env_var.as_deref()?, Setter::Secret(&secret.name), *place)));
    let names: Vec<&str> = input.leaves().iter().map(|leaf| leaf.name.as_str()).collect();
    let mut first: HashMap<&str, (Setter<'_>, Place)> = HashMap::new();
    for (variable, setter, place) in of_env.chain(of_secrets) {
        let shown = variable.escape_debug();
        if let Some(by) = set_by_pv(variable, &names) {
            let message = format!("{} sets `{shown}`, and {by}", setter.in_words(reader));
            reader.error_with_hint(place, message, "rename the variable, or give the input another `name`");
        } else if let Some((other, at)) = first.get(variable) {
            let (one, other) = (setter.in_words(reader), other.in_words(reader));
            reader.error(place, format!("{one} sets `{shown}`, and so does {other} at {at}"));
        } else {
            first.insert(variable, (setter, place));
        }
    }
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        _ => &[],
    }
}

impl Setter<'_> {
    fn in_words(self, reader: &Reader<'_>) -> String {
        match self {
            Self::Env => "`env`".to_owned(),
            Self::Secret(name) => format!("`{}` of secret `{}`", reader.styled("env_var"), name.escape_debug()),
        }
    }
}

/// What else sets a variable in each datum of a pipeline with these input names.
fn set_by_pv(variable: &str, inputs: &[&str]) -> Option<String> {
    let is_input = |name: &str| inputs.contains(&name);
    if is_input(variable) {
        return Some(format!("input `{variable}` sets it to the path of the datum"));
    }
    if let Some(name) = variable.strip_suffix("_COMMIT").filter(|name| is_input(name)) {
        return Some(format!("input `{name}` sets it to the commit that it reads"));
    }
    let of_datum = variable.strip_prefix("PACH_DATUM_");
    let keyed = of_datum.and_then(|rest| rest.strip_suffix("_JOIN_ON").or_else(|| rest.strip_suffix("_GROUP_BY")));
    if let Some(name) = keyed.filter(|name| is_input(name)) {
        return Some(format!("input `{name}` sets it to the key of the datum"));
    }
    let own = ["PACH_DATUM_ID", "PACH_JOB_ID", "PACH_OUTPUT_COMMIT_ID"].contains(&variable);
    own.then(|| "pv sets it for each datum".to_owned())
}
