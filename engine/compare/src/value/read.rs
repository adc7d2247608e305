//! From bytes to values.

use super::{Node, json, yaml};
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;

/// The value in a JSON or YAML file; for several documents or lines, the list of them.
pub(crate) fn read(kind: Kind, side: &mut Watched<'_>, limits: &Limits) -> Fit<Node> {
    let bytes = side.whole(limits.metrics_bytes, kind.words())?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Unfit::malformed(kind.words(), error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match kind {
        Kind::Yaml => yaml::parse(text, limits),
        Kind::JsonLines => json::parse_lines(text, limits),
        _ => json::parse(text, limits),
    }
}
