//! Formats values for display.

use serde_json::Value;

/// A number with six significant digits.
pub(crate) fn number(value: f64) -> String {
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
pub(crate) fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent == 0.0 || percent.abs() >= 0.01 { format!("{percent:.2}%") } else { format!("{percent:.1e}%") }
}

/// A value of JSON or YAML; strings without quotes.
pub(crate) fn value(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_at_most() {
        let cases = [
            (0.0, "0"),
            (0.037_826_000_000_000_05, "0.037826"),
            (-2.5, "-2.5"),
            (1234.0, "1234"),
            (1e-7, "1.000e-7"),
            (123_456.789, "123457"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!([share(0.0495), share(1e-6)], ["4.95%", "1.0e-4%"]);
    }
}
