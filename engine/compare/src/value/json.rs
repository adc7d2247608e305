//! Strict JSON, plus `NaN`, `Infinity`, `-Infinity` as Python writes them.
//!
//! It is parsed here rather than by a library: numbers keep all their digits, and duplicate keys are kept.
//!
//! A number with a point or an exponent that no float can hold (`1e400`) makes its file a text, because readers of JSON disagree about it.

use super::Node;
use super::number::{Exact, is_beyond_floats};
use crate::error::{Fit, Unfit};
use crate::limits::Limits;

/// Parses a text as a value.
pub(super) fn parse(text: &str, limits: &Limits) -> Fit<Node> {
    let mut reader = Reader::new(text, limits);
    let value = reader.value(limits.nesting)?;
    reader.skip_space();
    if reader.at < text.len() { Err(reader.malformed("unexpected text after the value")) } else { Ok(value) }
}

/// Parses consecutive values in a text as a list.
pub(super) fn parse_lines(text: &str, limits: &Limits) -> Fit<Node> {
    let mut reader = Reader::new(text, limits);
    let mut values = Vec::new();
    loop {
        reader.skip_space();
        if reader.at == text.len() {
            return Ok(Node::List(values));
        }
        values.push(reader.value(limits.nesting)?);
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Number of values that may still follow.
    left: usize,
    values: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, limits: &Limits) -> Self {
        Self { text, at: 0, left: limits.values, values: limits.values }
    }

    fn malformed(&self, what: &str) -> Unfit {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Unfit::malformed("JSON", format_args!("{what} at line {line} column {column}"))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Fit<Node> {
        self.skip_space();
        self.left = self.left.checked_sub(1).ok_or_else(|| Unfit::too_many_values(self.values))?;
        match self.peek() {
            Some(b'{') => self.mapping(deeper(depth)?),
            Some(b'[') => self.list(deeper(depth)?),
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Fit<Node> {
        for (word, value) in [("true", Node::Bool(true)), ("false", Node::Bool(false)), ("null", Node::Null)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.malformed("expected value"))
    }

    fn number(&mut self) -> Fit<Node> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        let text = &self.text[self.at..self.at + length];
        let Some(number) = Exact::of(text) else { return Err(self.malformed("expected a number")) };
        if is_beyond_floats(text, &number) {
            return Err(self.malformed("a number out of the range of floats"));
        }
        self.at += length;
        Ok(Node::Number(text.into()))
    }

    fn list(&mut self, depth: usize) -> Fit<Node> {
        let mut items = Vec::new();
        self.members(b']', |reader| {
            items.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(Node::List(items))
    }

    fn mapping(&mut self, depth: usize) -> Fit<Node> {
        let mut entries = Vec::new();
        self.members(b'}', |reader| {
            if reader.peek() != Some(b'"') {
                return Err(reader.malformed("expected a key in quotes"));
            }
            let key = reader.string()?;
            reader.skip_space();
            if reader.peek() != Some(b':') {
                return Err(reader.malformed("expected `:`"));
            }
            reader.at += 1;
            entries.push((key, reader.value(depth)?));
            Ok(())
        })?;
        Ok(Node::Mapping(entries))
    }

    /// The members between brackets, separated by commas, without a trailing comma.
    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self) -> Fit<()>) -> Fit<()> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            if self.peek() == Some(end) {
                return Err(self.malformed("a trailing comma"));
            }
            member(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == end => break,
                _ => return Err(self.malformed(&format!("expected `,` or `{}`", end as char))),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Fit<Box<str>> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest.iter().take_while(|byte| **byte >= b' ' && !b"\"\\".contains(byte)).count();
            text.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.malformed("a control character in a string")),
                None => return Err(self.malformed("an unterminated string")),
            }
        }
        self.at += 1;
        Ok(text.into())
    }

    fn escape(&mut self) -> Fit<char> {
        self.at += 1;
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(letter @ (b'"' | b'\\' | b'/')) => letter as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.malformed("an unknown escape")),
        })
    }

    fn unicode(&mut self) -> Fit<char> {
        let first = self.digits()?;
        let code = match first {
            0xd800..=0xdbff if self.text.as_bytes()[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                match self.digits()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => first,
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.malformed("half of a surrogate pair"))
    }

    fn digits(&mut self) -> Fit<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.malformed("an unknown escape"))?;
        self.at += 4;
        Ok(code)
    }
}

fn deeper(depth: usize) -> Fit<usize> {
    depth.checked_sub(1).ok_or_else(Unfit::too_deep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        parse(text, &Limits::default()).map(|node| node.json(100).to_string()).map_err(|unfit| unfit.0)
    }

    #[test]
    fn what_is_json_is_read_as_another_reader_does() {
        let texts = [
            r#"{"a": [1, -2.5e3, true, false, null, "x\n\"\\\/\u00e9\ud83d\ude00"], "b": {}, "c": []}"#,
            " [ ] ",
            "0",
            "\"\"",
            r#"{"": {"a": [[[]]]}}"#,
        ];
        for text in texts {
            let other: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text), Ok(other.to_string()), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_says_where() {
        let cases = [
            ("{\"a\": }", "expected value at line 1 column 7"),
            ("[1,\n2,]", "a trailing comma at line 2 column 3"),
            ("{\"a\": 1 // x\n}", "expected `,` or `}` at line 1 column 9"),
            ("[1e400]", "a number out of the range of floats at line 1 column 2"),
            ("\"a\tb\"", "a control character in a string at line 1 column 3"),
            ("\"\\ud800\"", "half of a surrogate pair at line 1 column 8"),
            ("01", "expected a number at line 1 column 1"),
            ("1 2", "unexpected text after the value at line 1 column 3"),
            ("{'a': 1}", "expected a key in quotes at line 1 column 2"),
            ("", "expected value at line 1 column 1"),
        ];
        for (text, why) in cases {
            assert_eq!(read(text), Err(format!("malformed JSON: {why}")), "{text}");
        }
        assert_eq!(
            read(&format!("[{}]", "9".repeat(500))),
            Ok(format!("[\"{}\"]", "9".repeat(500))),
            "integers of any size"
        );
        assert_eq!(read("[NaN, -Infinity]"), Ok("[\"NaN\",\"-Infinity\"]".to_owned()));
    }
}
