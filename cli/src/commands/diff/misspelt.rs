//! Fields and keys that no file has, probably misspelt.

use answers::diff::Seen;
use compare::KeyUse;
use specs::nearest;

use crate::error::{CliError, Result};

/// Names that a hint lists.
const NAMES: usize = 12;

/// Whether any of the compared files had the key that was asked for.
#[derive(Default)]
pub(super) struct KeySeen {
    has_it: bool,
    lacks_it: Option<KeyUse>,
}

impl KeySeen {
    pub(super) fn add(&mut self, key_use: Option<KeyUse>) {
        let Some(key_use) = key_use else { return };
        if key_use.lacking.is_empty() {
            self.has_it = true;
        } else if self.lacks_it.is_none() {
            self.lacks_it = Some(key_use);
        }
    }

    /// An error if files with rows or records were compared, and none has the key.
    pub(super) fn check(&self) -> Result<()> {
        match &self.lacks_it {
            Some(key) if !self.has_it => Err(no_key(key)),
            _ => Ok(()),
        }
    }
}

/// An error if nothing that was read has the field, or the key.
pub(super) fn check(seen: &Seen, field: &str) -> Result<()> {
    if seen.files_without > 0 && !seen.has_field {
        let message = format!("no record has the field `{field}`");
        return Err(CliError::usage(message, hint(field, &seen.fields)));
    }
    seen.key.as_ref().map_or(Ok(()), |key| Err(no_key(key)))
}

fn no_key(key: &KeyUse) -> CliError {
    let names: Vec<String> = key.lacking.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("no file has the key {} on both sides", names.join(", "));
    CliError::usage(message, hint(key.lacking.first().map_or("", String::as_str), &key.columns))
}

/// The name that was probably meant, else the existing names.
fn hint(name: &str, known: &[String]) -> String {
    if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let plain = known.iter().filter(|name| !name.contains('.')).take(NAMES).map(String::as_str).collect::<Vec<_>>();
    if plain.is_empty() {
        return "fields are read from JSON, JSON lines, YAML, CSV and TSV".to_owned();
    }
    let more = if known.len() > plain.len() { ", …" } else { "" };
    format!("the fields are {}{more}", plain.join(", "))
}
