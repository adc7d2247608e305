//! Colours of a text: strings, numbers, comments, keywords and keys of a few languages. It reads line by line and need not be right about
//! every corner of a language: the text stays what it is.

/// How a language is written.
#[derive(Debug)]
struct Language {
    endings: &'static [&'static str],
    /// What begins a comment, up to the end of the line; empty for none.
    comment: &'static str,
    quotes: &'static str,
    /// Whether three quotes begin a text of several lines.
    has_long_texts: bool,
    keywords: &'static [&'static str],
    /// What follows a key at the start of a line.
    key: Option<char>,
}

const CONSTANTS: &[&str] = &["true", "false", "null"];

const PYTHON: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "match",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

const LANGUAGES: [Language; 5] = [
    Language {
        endings: &["json", "jsonl", "ndjson", "geojson", "ipynb"],
        comment: "",
        quotes: "\"",
        has_long_texts: false,
        keywords: CONSTANTS,
        key: None,
    },
    Language {
        endings: &["yaml", "yml"],
        comment: "#",
        quotes: "\"'",
        has_long_texts: false,
        keywords: CONSTANTS,
        key: Some(':'),
    },
    Language {
        endings: &["toml", "cfg", "ini"],
        comment: "#",
        quotes: "\"'",
        has_long_texts: true,
        keywords: CONSTANTS,
        key: Some('='),
    },
    Language {
        endings: &["py", "pyi"],
        comment: "#",
        quotes: "\"'",
        has_long_texts: true,
        keywords: PYTHON,
        key: None,
    },
    Language {
        endings: &["sh", "bash"],
        comment: "#",
        quotes: "\"'",
        has_long_texts: false,
        keywords: &[
            "if", "then", "else", "elif", "fi", "for", "in", "do", "done", "while", "case", "esac", "function",
            "return",
        ],
        key: None,
    },
];

/// Divides lines into pieces, each with the class of its colour.
#[derive(Debug)]
pub(super) struct Painter {
    language: Option<&'static Language>,
    /// The quote that ends a text of several lines.
    open: Option<char>,
}

type Pieces<'t> = Vec<(Option<&'static str>, &'t str)>;

impl Painter {
    /// For a file with this name.
    pub(super) fn of(name: &str) -> Self {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        let language = LANGUAGES.iter().find(|language| language.endings.contains(&ending.as_str()));
        Self { language, open: None }
    }

    /// The pieces of the next line. Together they are the line.
    pub(super) fn line<'t>(&mut self, line: &'t str) -> Pieces<'t> {
        let Some(language) = self.language else { return vec![(None, line)] };
        let (mut pieces, mut rest) = (Pieces::new(), line);
        if let Some(quote) = self.open {
            let Some(length) = end_of_long_text(rest, quote) else { return vec![(Some("s"), line)] };
            self.open = None;
            take(&mut pieces, &mut rest, Some("s"), length);
        } else if let Some(length) = language.key.and_then(|sign| key(rest, sign)) {
            take(&mut pieces, &mut rest, Some("k"), length);
        }
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let (class, length) = self.next(language, rest, first, before);
            before = rest[..length].chars().next_back().unwrap_or(' ');
            take(&mut pieces, &mut rest, class, length);
        }
        pieces
    }

    fn next(&mut self, language: &Language, rest: &str, first: char, before: char) -> (Option<&'static str>, usize) {
        if !language.comment.is_empty() && rest.starts_with(language.comment) && !before.is_alphanumeric() {
            return (Some("c"), rest.len());
        }
        if language.quotes.contains(first) {
            let three = rest.len() - rest.trim_start_matches(first).len() >= 3;
            if three && language.has_long_texts {
                let length = end_of_long_text(&rest[3..], first).map(|end| end + 3);
                self.open = length.is_none().then_some(first);
                return (Some("s"), length.unwrap_or(rest.len()));
            }
            return (Some("s"), end_of_text(rest, first));
        }
        if is_word(first) {
            let length = rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len());
            if first.is_ascii_digit() && !is_word(before) {
                return (Some("n"), length);
            }
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let is_keyword = language.keywords.contains(&&rest[..length]);
            return (is_keyword.then_some("w"), length);
        }
        (None, first.len_utf8())
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Moves the first bytes of `rest` to the pieces.
fn take<'t>(pieces: &mut Pieces<'t>, rest: &mut &'t str, class: Option<&'static str>, length: usize) {
    let (piece, left) = rest.split_at(length);
    *rest = left;
    pieces.push((class, piece));
}

/// The length of a text that begins with a quote, on this line.
fn end_of_text(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Where a text ends that three quotes end.
fn end_of_long_text(rest: &str, quote: char) -> Option<usize> {
    let three = [quote; 3].iter().collect::<String>();
    rest.find(&three).map(|at| at + three.len())
}

/// The length of a key at the start of a line, before its sign.
fn key(line: &str, sign: char) -> Option<usize> {
    let start = line.len() - line.trim_start_matches([' ', '-']).len();
    let rest = &line[start..];
    let length = rest.find(|c: char| !is_word(c) && !"-./".contains(c))?;
    let after = rest[length..].trim_start();
    let follows = after.strip_prefix(sign)?;
    (length > 0 && (follows.is_empty() || follows.starts_with(' ') || sign == '=')).then_some(start + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn painted(name: &str, text: &str) -> String {
        let mut painter = Painter::of(name);
        let line = |line| {
            painter
                .line(line)
                .into_iter()
                .map(|(class, text)| class.map_or(text.to_owned(), |class| format!("{class}[{text}]")))
                .collect::<String>()
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_few_languages_have_colours() {
        assert_eq!(
            painted("a.json", r#"{"a\"": [1.5, true], "b": null}"#),
            r#"{s["a\""]: [n[1.5], w[true]], s["b"]: w[null]}"#
        );
        assert_eq!(
            painted("a.yaml", "- name: x # why\n  url: http://a#b"),
            "k[- name]: x c[# why]\nk[  url]: http://a#b"
        );
        assert_eq!(
            painted("a.py", "def f(x1): # no\n  '''long\n  text''' + \"s\"\nreturn"),
            "w[def] f(x1): c[# no]\n  s['''long]\ns[  text'''] + s[\"s\"]\nw[return]"
        );
        assert_eq!(painted("a.toml", "[a]\nb.c = 'x' # y"), "[a]\nk[b.c] = s['x'] c[# y]");
        assert_eq!(painted("a.txt", "true \"x\" 1"), "true \"x\" 1");
    }

    proptest! {
        #[test]
        fn pieces_are_the_line_whatever_it_is(name in "a\\.(json|py|yaml|toml|sh)", lines in prop::collection::vec("[^\\n\\r]{0,40}|['\"#\\\\a1 :=-]{0,12}", 1..5)) {
            let mut painter = Painter::of(&name);
            for line in &lines {
                let pieces: String = painter.line(line).into_iter().map(|(_, text)| text).collect();
                prop_assert_eq!(&pieces, line);
            }
        }
    }
}
