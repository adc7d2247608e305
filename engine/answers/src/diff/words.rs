//! What differs inside files, in words: the same in a terminal and on a page.

use compare::{ListPairing, MetricChange, PairedBy};
use serde_json::Value;
use specs::words::count;

/// A number with six significant digits.
pub fn number(value: f64) -> String {
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
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent == 0.0 || percent.abs() >= 0.01 { format!("{percent:.2}%") } else { format!("{percent:.1e}%") }
}

/// A value of JSON or YAML; strings without quotes.
pub fn value(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A text of at most so many characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Two texts, cut so that their first difference is visible.
pub fn cut_pair(old: &str, new: &str, most: usize) -> (String, String) {
    let equal = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    if equal < most || old == new {
        return (cut(old, most), cut(new, most));
    }
    let from = |text: &str| {
        let rest: String = text.chars().skip(equal - most / 4).collect();
        format!("…{}", cut(&rest, most))
    };
    (from(old), from(new))
}

/// How a value of JSON or YAML changed: `+0.02 (+2.50%)`.
pub fn change(change: &MetricChange) -> String {
    match (change.change, change.relative, &change.old, &change.new) {
        (_, _, None, _) => "added".to_owned(),
        (_, _, _, None) => "removed".to_owned(),
        (Some(change), relative, ..) => {
            let sign = if change > 0.0 { "+" } else { "" };
            let relative = relative.map_or_else(String::new, |relative| format!(" ({sign}{})", share(relative)));
            format!("{sign}{}{relative}", number(change))
        }
        _ => change.sorts.map_or_else(String::new, |[old, new]| format!("{old} → {new}")),
    }
}

/// How the records of a list were paired: `records by id: 10 → 11, in another order`.
pub fn pairing(list: &ListPairing) -> String {
    let by = if list.by == PairedBy::Key { list.key.join(", ") } else { "content".to_owned() };
    let order = if list.reordered { ", in another order" } else { "" };
    let lacks = if list.lacks_key { "; the key is ignored: no record has it" } else { "" };
    let limited = if list.limited { "; similar records were not matched: they have too many fields" } else { "" };
    let place = if list.path == "(all)" { String::new() } else { format!("{}: ", list.path) };
    let (old, new) = (count(list.old_items as u64), count(list.new_items as u64));
    format!("{place}records by {by}: {old} → {new}{order}{lacks}{limited}")
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

    #[test]
    fn long_texts_are_cut_where_they_differ() {
        let (one, other) = (format!("{}1", "x".repeat(200)), format!("{}2", "x".repeat(200)));
        let (old, new) = cut_pair(&one, &other, 60);
        assert!(old.ends_with("x1") && new.ends_with("x2") && old.chars().count() < 80, "{old} {new}");
        assert_eq!(cut_pair("a", "b", 60), ("a".to_owned(), "b".to_owned()));
    }
}
