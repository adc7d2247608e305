//! Replaces ids, times and paths with words, so that outputs can be compared. Equal ids become equal words, also if one is a prefix.

use std::path::Path;

/// Remembers ids.
#[derive(Debug)]
pub(crate) struct Filters {
    place: String,
    ids: Vec<String>,
}

impl Filters {
    pub(crate) fn new(place: &Path) -> Self {
        Self { place: place.display().to_string(), ids: Vec::new() }
    }

    pub(crate) fn apply(&mut self, text: &str) -> String {
        let text = text.replace(&self.place, "[dir]");
        let mut shown = String::new();
        let mut rest = text.as_str();
        let mut before = ' ';
        while let Some(next) = rest.chars().next() {
            let (word, length) = match recognised(rest).filter(|_| !before.is_alphanumeric()) {
                Some((Sort::Id, length)) => (self.word_for(&rest[..length]), length),
                Some((Sort::Time, length)) => ("[time]".to_owned(), length),
                Some((Sort::Ago, length)) => ("[ago]".to_owned(), length),
                Some((Sort::Took, length)) => ("[took]".to_owned(), length),
                Some((Sort::Committer, length)) => ("[committer]".to_owned(), length),
                None => (next.to_string(), next.len_utf8()),
            };
            shown += &word;
            before = rest[..length].chars().next_back().unwrap_or(' ');
            rest = &rest[length..];
        }
        collapse(&shown)
    }

    fn word_for(&mut self, id: &str) -> String {
        let known = self.ids.iter().position(|known| known.starts_with(id) || id.starts_with(known.as_str()));
        let number = known.unwrap_or(self.ids.len());
        match self.ids.get_mut(number) {
            Some(known) if known.len() < id.len() => id.clone_into(known),
            Some(_) => {}
            None => self.ids.push(id.to_owned()),
        }
        format!("[id {}]", number + 1)
    }
}

#[derive(Debug, Clone, Copy)]
enum Sort {
    Id,
    Time,
    Ago,
    Took,
    Committer,
}

/// The kind of id at the start of `text`, and its length in bytes.
fn recognised(text: &str) -> Option<(Sort, usize)> {
    time(text)
        .map(|length| (Sort::Time, length))
        .or_else(|| ago(text).map(|length| (Sort::Ago, length)))
        .or_else(|| took(text).map(|length| (Sort::Took, length)))
        .or_else(|| committer(text).map(|length| (Sort::Committer, length)))
        .or_else(|| id(text).map(|length| (Sort::Id, length)))
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// `2026-07-01T12:14:43.000123Z` or `2026-07-01 12:14:43 +00:00`
fn time(text: &str) -> Option<usize> {
    let shape = "dddd-dd-dd dd:dd:dd";
    let fits = |(c, shape): (char, char)| match shape {
        'd' => c.is_ascii_digit(),
        ' ' => c == ' ' || c == 'T',
        _ => c == shape,
    };
    let begins = text.len() >= shape.len() && text.is_char_boundary(shape.len());
    if !begins || !text.chars().zip(shape.chars()).all(fits) {
        return None;
    }
    let rest = text[shape.len()..].strip_prefix(" +").map_or(0, |_| 2);
    let from = shape.len() + rest;
    Some(from + leading(&text[from..], |c| c.is_ascii_digit() || ".:Z".contains(c)))
}

/// `12 min ago`
fn ago(text: &str) -> Option<usize> {
    let digits = leading(text, |c| c.is_ascii_digit());
    let unit = [" s ago", " min ago", " h ago"].into_iter().find(|unit| text[digits..].starts_with(unit))?;
    (digits > 0).then_some(digits + unit.len())
}

/// `0.1 s`
fn took(text: &str) -> Option<usize> {
    let digits = leading(text, |c| c.is_ascii_digit() || c == '.');
    let is_time =
        digits > 0 && text[digits..].starts_with(" s") && !text[digits + 2..].starts_with(char::is_alphanumeric);
    is_time.then_some(digits + 2)
}

/// `uid:1000@host`, or the name of a test's token: the committer through a server.
fn committer(text: &str) -> Option<usize> {
    if let Some(rest) = text.strip_prefix("server-test-") {
        return Some(12 + leading(rest, |c| c.is_ascii_digit()));
    }
    let rest = text.strip_prefix("uid:")?;
    let digits = leading(rest, |c| c.is_ascii_digit());
    let host = rest[digits..].strip_prefix('@')?;
    Some(4 + digits + 1 + leading(host, |c| c.is_alphanumeric() || "-._".contains(c)))
}

/// Eight or more hex digits.
fn id(text: &str) -> Option<usize> {
    let length = leading(text, |c| matches!(c, '0'..='9' | 'a'..='f'));
    let ends = !text[length..].starts_with(|c: char| c.is_alphanumeric());
    ((8..=64).contains(&length) && ends).then_some(length)
}

/// Columns are as wide as the replaced text was: more than two spaces become two.
fn collapse(text: &str) -> String {
    let mut shown = String::new();
    let mut spaces = 0;
    let mut at_start = true;
    for c in text.chars() {
        spaces = if c == ' ' { spaces + 1 } else { 0 };
        if spaces <= 2 || at_start {
            shown.push(c);
        }
        at_start = c == '\n' || (at_start && c == ' ');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        let mut filters = Filters::new(Path::new("/tmp/x"));
        let full = "0f".repeat(32);
        let shown = filters.apply(&format!(
            "images@0f0f0f0f 12 min ago  at 2026-07-01 12:14:43 +00:00\n{full} /tmp/x/y uid:0@vm-1, 1 file"
        ));
        assert_eq!(shown, "images@[id 1] [ago]  at [time]\n[id 1] [dir]/y [committer], 1 file");
        assert_eq!(filters.apply("run aaaabbbb  · 0.3 s\n"), "run [id 2]  · [took]\n");
        assert_eq!(filters.apply("{\"at\":\"2026-07-01T12:14:43.000123Z\"}"), "{\"at\":\"[time]\"}");
    }
}
