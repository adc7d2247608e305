//! Numbers and values in words, as the command line writes them.

use serde_json::Value;

/// A number with six significant digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let before = size.log10().floor() as i32 + 1;
    let places = usize::try_from(6 - before).unwrap_or(0).min(9);
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A fraction as a percentage.
pub(super) fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent == 0.0 || percent.abs() >= 0.01 { format!("{percent:.2} %") } else { format!("{percent:.1e} %") }
}

/// A value of JSON or YAML; strings without quotes.
pub(super) fn value(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
