//! From text to values.

use serde_json::Value;

use super::yaml;
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;

/// The value that a JSON or YAML file is; of several documents or lines the list of them.
pub(crate) fn read(kind: Kind, side: &mut Watched<'_>, limits: &Limits) -> Fit<Value> {
    let bytes = side.whole(limits.metrics_bytes, kind.words())?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Unfit::malformed(kind.words(), error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let malformed = |error: serde_json::Error| Unfit::malformed(kind.words(), error);
    let value = match kind {
        Kind::Yaml => yaml::parse(text, limits)?,
        Kind::JsonLines => {
            let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            Value::Array(values.collect::<Result<_, _>>().map_err(malformed)?)
        }
        _ => serde_json::from_str(text).map_err(malformed)?,
    };
    let mut left = limits.values;
    check(&value, limits.nesting, &mut left)?;
    Ok(value)
}

fn check(value: &Value, depth: usize, left: &mut usize) -> Fit<()> {
    *left = left.checked_sub(1).ok_or_else(|| Unfit("too much: it has too many values".to_owned()))?;
    let deeper = || depth.checked_sub(1).ok_or_else(|| Unfit("too much: it is nested too deep".to_owned()));
    match value {
        Value::Array(items) => {
            let depth = deeper()?;
            items.iter().try_for_each(|item| check(item, depth, left))
        }
        Value::Object(entries) => {
            let depth = deeper()?;
            entries.values().try_for_each(|item| check(item, depth, left))
        }
        _ => Ok(()),
    }
}
